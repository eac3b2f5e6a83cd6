// Running sums of the rows of the largest row block, bank after bank.
#pragma once

#include "kernel/mac_array.hpp"
#include "kernel/mfu.hpp"

namespace lstm {

using Biases = BiasWord[kBands * kRows];  // a band of each bank
using Stored = Acc_t[kBands * kRows];

// Whether a row block has a band in this bank of accumulators
inline bool meets(const Work &work, const Slot &slot, int bank) {
  #pragma HLS INLINE
  return ((slot.row ^ bank) & (kBands - work.gang)) == 0;
}

// What a bank adds to its running sum k in a slot: of all shapes' groups that it can belong to, its
// own one's sum.
inline Sum_t sum_of(const Work &work, const Spans &spans, int bank, int k) {
  #pragma HLS INLINE
  Sum_t sum = spans[1][k];
Shapes:
  for (int s = 1; s < kShapes; ++s) {
    if (work.shape == s) sum = spans[kGangs[s] + bank % kGangs[s]][k];
  }
  return sum;
}

// Places that a row's stored sum moves up by
inline int shift_of(const Work &work, BiasWord bias) {
  #pragma HLS INLINE
  const int own = int(bias) & ((1 << kBesideBias) - 1);
  return !work.shifts ? 0 : kRowScales ? own : int(work.x_shift);
}

// The running sums, which start anew at a row's first column
inline void accumulate(const Work &work, const Slot &slot, const Spans &spans, const Biases &biases,
                       const Stored &stored, Sums &running) {
  #pragma HLS INLINE
Banks:
  for (int bank = 0; bank < kBands; ++bank) {
    if (meets(work, slot, bank)) {
      if (slot.first) {
      Begin:
        for (int at = bank * kRows; at < (bank + 1) * kRows; ++at) {
          const BiasWord bias = biases[at];
          running[at] = work.from_bias ? Acc_t(bias >> kBesideBias)
                                       : shift_left(stored[at], shift_of(work, bias));
        }
      }
    Accumulate:
      for (int k = 0; k < kRows; ++k) {
        running[bank * kRows + k] += sum_of(work, spans, bank, k);
      }
    }
  }
}

}  // namespace lstm
