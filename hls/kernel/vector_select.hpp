// Vector select: takes one of the sources' words, of which the VS units take their scalars.
#pragma once

#include "kernel/dispatcher.hpp"

namespace lstm {

using HElements = Activation_t[kColumns];
using Scalars = Activation_t[kBands][kSegment];  // a word, segment by segment

// Segments that a column takes of its word
struct Share {
  int first;
  int count;
};

// The word that holds a tile's scalars, from where the work takes it
inline void choose_scalars(const Work &work, const Word &x, const HElements &sequence,
                           const HElements &h, Scalars &scalars) {
  #pragma HLS INLINE
Segments:
  for (int s = 0; s < kBands; ++s) {
  Scalars:
    for (int e = 0; e < kSegment; ++e) {
      const int n = s * kSegment + e;
      scalars[s][e] = work.from_x          ? get<kActBits>(x, n)
                      : work.from_sequence ? sequence[n]
                      : work.from_h        ? h[n]
                                           : Activation_t(0);
    }
  }
}

}  // namespace lstm
