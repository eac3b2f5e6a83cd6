// What the compute process does with its memories, one function for each part of a slot.
#pragma once

#include "kernel/dispatcher.hpp"
#include "kernel/kept.hpp"
#include "kernel/loader.hpp"
#include "kernel/mfu.hpp"

namespace lstm {

// Weights lie in words of some columns each, a strip of the tile, and each strip in two memories:
// as many tiles as are a power of two, and the rest.
using BramStrip = Pack<kWeightBits, kRows * kBramStrip>;
using UramStrip = Pack<kWeightBits, kRows * kUramStrip>;
using Biases = Bias_t[kBands * kRows];  // bank after bank: a band of each
using Stored = Kept<Acc_t, kAccDistance>[kBands * kRows];
using HElement = Kept<Activation_t, kTail>;
using HElements = HElement[kColumns];
using Scalars = HElement[kBands][kSegment];  // a word, segment by segment
// Sums of products: span g + i is that of group i of g, for g = kBands a segment's. So span n is
// the sum of spans 2 n and 2 n + 1; there is no span 0.
using Spans = Sum_t[2 * kBands][kRows];
using Cells = C_t[kLanes];

// Segments that a column takes of its word
struct Share {
  int first;
  int count;
};

// Least gaps, in slots, between writing a place and reading it. They follow from the distances that
// every program keeps (docs/slot-program.md); an element of h is written in its neuron's turn.
constexpr int kLoadGap = kTail;
constexpr int kHGap = kTail - (kMostPasses - 1);
constexpr int kSumGap = kAccDistance;
constexpr int kXGap = 2;  // one slot later, the word is the one that was pulled last
static_assert(kHGap > kSumGap, "the tail is longer than the accumulators' part of it");

// Where a tile's weights lie
struct WeightPlace {
  bool rest;
  int bank, of_rest;  // address in the memories of either kind
};

inline WeightPlace weight_place(UInt<17> weight) {
  #pragma HLS INLINE
  return {kRestTiles != 0 && (weight & kBankTiles) != 0, place_in<kBankTiles>(weight),
          place_in<kRestDepth>(weight)};
}

inline int h_place(UInt<1> half, int word) {
  #pragma HLS INLINE
  return half * kHDepth + place_in<kHDepth>(word);
}

// The word that holds a tile's scalars, from where the work takes it
inline void choose_scalars(const Work &work, const Word &x, const HElements &sequence,
                           const HElements &h, Scalars &scalars) {
  #pragma HLS INLINE
Segments:
  for (int s = 0; s < kBands; ++s) {
  Scalars:
    for (int e = 0; e < kSegment; ++e) {
      const int n = s * kSegment + e;
      scalars[s][e] = work.from_x          ? HElement(get<kActivationBits>(x, n))
                      : work.from_sequence ? sequence[n]
                      : work.from_h        ? h[n]
                                           : HElement(Activation_t(0));
    }
  }
}

// Adds the products of some columns to the sums of their segments: of each strip, a word of one of
// its two memories. VS units at the same place of each group share a scalar: a choice among those
// at its own place in each segment.
template <int kFirst, int kCount, int kStrip, class Strips, class Rest>
void add_products(const Strips &strips, const Rest &rest, const WeightPlace &at,
                  const Scalars &scalars, const Share &share, Spans &spans) {
  #pragma HLS INLINE
Strips:
  for (int s = 0; s < kCount / kStrip; ++s) {
    View<Pack<kWeightBits, kStrip * kRows>> strip =
        choose(at.rest, rest[at.of_rest][s], strips[at.bank][s]);
  VS_Units:
    for (int c = 0; c < kStrip; ++c) {
      const int n = kFirst + s * kStrip + c;
      const int segment = share.first + (n / kSegment & (share.count - 1));
      const Activation_t scalar = scalars[segment][n % kSegment];
    Rows:
      for (int k = 0; k < kRows; ++k) {
        const Weight_t weight = get<kWeightBits>(strip, c * kRows + k);
        spans[kBands + n / kSegment][k] += multiply<kProductBits>(weight, scalar);
      }
    }
  }
}

// K N products and their sums. Loops inside the pipelined one are unrolled whole.
LSTM_APART void multiply_tile(const BramStrip (&bram)[kBankTiles][kBramStrips],
                              const BramStrip (&bram_rest)[kRestDepth][kBramStrips],
                              const UramStrip (&uram)[kUramDepth][kUramStrips],
                              const UramStrip (&uram_rest)[kUramRestDepth][kUramStrips],
                              const WeightPlace &at, const Scalars &scalars, const Share share,
                              Spans &spans) {
  #pragma HLS INLINE
  #pragma HLS EXPRESSION_BALANCE
  Spans own;  // known to overlap with nothing
  #pragma HLS ARRAY_PARTITION variable = own complete dim = 0
Clear:
  for (int segment = kBands; segment < 2 * kBands; ++segment) {
  Zero:
    for (int k = 0; k < kRows; ++k) own[segment][k] = 0;
  }
  add_products<0, kBramColumns, kBramStrip>(bram, bram_rest, at, scalars, share, own);
  add_products<kBramColumns, kUramColumns, kUramStrip>(uram, uram_rest, at, scalars, share, own);
Halves:
  for (int span = kBands - 1; span > 0; --span) {
  Join:
    for (int k = 0; k < kRows; ++k) own[span][k] = own[2 * span][k] + own[2 * span + 1][k];
  }
Give:
  for (int span = 1; span < 2 * kBands; ++span) {
  Sums:
    for (int k = 0; k < kRows; ++k) spans[span][k] = own[span][k];
  }
}

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

// The running sums, which start anew at a row's first column
inline void accumulate(const Work &work, const Slot &slot, const Spans &spans, const Biases &biases,
                       const Stored &stored, Sums &running) {
  #pragma HLS INLINE
Banks:
  for (int bank = 0; bank < kBands; ++bank) {
    if (meets(work, slot, bank)) {
      if (slot.first && work.from_bias) {
      Begin:
        for (int k = 0; k < kRows; ++k) running[bank * kRows + k] = biases[bank * kRows + k];
      }
      if (slot.first && !work.from_bias) {
      Go_On:
        for (int k = 0; k < kRows; ++k) {
          const Acc_t sum = stored[bank * kRows + k];
          running[bank * kRows + k] = shift_left(sum, work.x_shift);
        }
      }
    Accumulate:
      for (int k = 0; k < kRows; ++k) {
        running[bank * kRows + k] += sum_of(work, spans, bank, k);
      }
    }
  }
}

// The beat of a neuron's h and c: slots of a state give one each.
inline HBeat state_beat(const Work &work, const Slot &slot, const Scalars &scalars,
                        const Cells &c) {
  #pragma HLS INLINE
  const int lane = kLanes - 1 - int(slot.left);
  const int element = int(slot.h_lane) + lane;
  Beat beat = zero_beat();
  set_element<32>(beat, 0, Activation_t(scalars[element / kSegment][element % kSegment]));
  set_element<32>(beat, 1, c[lane]);
  return HBeat{beat, work.ends_run && slot.last_row && slot.last, false};
}

// Puts new h and c where they are wanted.
inline void write_group(const Group &group, HElements (&h_buffer)[2 * kHDepth],
                        HElements (&sequence)[kSequenceDepth], Cells (&c_buffer)[kCDepth]) {
  #pragma HLS INLINE
  const int h_at = h_place(group.half, group.h_word);
  const int c_at = place_in<kCDepth>(group.number);
Write_H:
  for (int n = 0; n < kColumns; ++n) {
    if (group.h_lane == n - n % kLanes) {
      keep(h_buffer[h_at][n], group.neuron[n % kLanes].h, group.ago);
      if (group.keep) keep(sequence[group.sequence_word][n], group.neuron[n % kLanes].h, group.ago);
    }
  }
Write_C:
  for (int lane = 0; lane < kLanes; ++lane) c_buffer[c_at][lane] = group.neuron[lane].c;
}

}  // namespace lstm
