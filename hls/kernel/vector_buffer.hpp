// The buffers of h: two halves of which a step reads one and writes the other, and the sequence.
#pragma once

#include "kernel/h_stream.hpp"

namespace lstm {

inline int h_place(UInt<1> half, int word) {
  #pragma HLS INLINE
  return half * kHDepth + place_in<kHDepth>(word);
}

// Puts new h and c where they are wanted.
inline void write_group(const Group &group, HElements (&h_buffer)[2 * kHDepth],
                        HElements (&sequence)[kSequenceDepth], Cells (&c_buffer)[kCDepth]) {
  #pragma HLS INLINE
  const int h_at = h_place(group.to.half, group.to.h_word);
  const int c_at = place_in<kCDepth>(group.to.number);
Write_H:
  for (int n = 0; n < kColumns; ++n) {
    if (group.to.h_lane == n - n % kLanes) {
      h_buffer[h_at][n] = group.neuron[n % kLanes].h;
      if (group.to.keep) sequence[group.to.sequence_word][n] = group.neuron[n % kLanes].h;
    }
  }
Write_C:
  for (int lane = 0; lane < kLanes; ++lane) c_buffer[c_at][lane] = group.neuron[lane].c;
}

}  // namespace lstm
