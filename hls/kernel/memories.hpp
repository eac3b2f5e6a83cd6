// What the compute process does with its memories, one function for each part of a slot.
#pragma once

#include "kernel/kept.hpp"
#include "kernel/loader.hpp"
#include "kernel/mfu.hpp"
#include "kernel/shapes.hpp"
#include "kernel/walker.hpp"

namespace lstm {

// The columns of a tile that lie in BRAM, and the others; an array that nothing uses has one.
using BramTile = Weight_t[kBramColumns > 0 ? kBramColumns : 1][kRows];
using UramTile = Weight_t[kUramColumns > 0 ? kUramColumns : 1][kRows];
using Biases = Bias_t[kBands * kRows];  // bank after bank: a band of each
using Stored = Kept<Acc_t, kAccDistance>[kBands * kRows];
using Elements = Activation_t[kColumns];  // of x
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
static_assert(kHGap > kSumGap, "the tail is longer than the accumulators' part of it");

constexpr int kBiasDepth = (kBiasBlocks + kBands - 1) / kBands;
constexpr int kStoredDepth = kBlocks / kBands;
static_assert(kStoredDepth * kBands == kBlocks, "the largest row block fits everywhere");
// Depths of memories that are written at a counted place: a program that counts too far wraps.
constexpr int kHDepth = power_of_two(kHWords);
constexpr int kSequenceDepth = power_of_two(kSequenceWords);

inline int h_place(UInt<1> half, UInt<16> word) {
  #pragma HLS INLINE
  return half * kHDepth + (word & UInt<16>(kHDepth - 1));
}

inline int sequence_place(UInt<32> word) {
  #pragma HLS INLINE
  return word & UInt<32>(kSequenceDepth - 1);
}

// Takes one beat of the weight stream; a whole state is what it returns.
inline Group load_beat(const Slot &slot, const Beat &beat, Loader &loader,
                       BramTile (&bram_weights)[kWeightTiles],
                       UramTile (&uram_weights)[kWeightTiles], Biases (&biases)[kBiasDepth]) {
  #pragma HLS INLINE
  Group group;
  if (slot.i.op == kOpLoadWeights) {
    loader.gather_tile(beat, slot.column);
    if (slot.last) {
      loader.store_columns<0, kBramColumns>(bram_weights[slot.weight]);
      loader.store_columns<kBramColumns, kUramColumns>(uram_weights[slot.weight]);
    }
  } else if (slot.i.op == kOpLoadBias) {
    const int k = slot.bias % kBands * kRows + slot.column;
    biases[slot.bias / kBands][k] = Bias_t(element<64>(beat, 0));
  } else {
    loader.gather_state(beat, slot.column);
    if (slot.last) group = loader.state(slot);
  }
  return group;
}

// The word that holds a tile's scalars
inline void read_scalars(const Slot &slot, Stream<Word> &x_words, Elements (&x_buffer)[kXColumns],
                         const HElements (&h_buffer)[2 * kHDepth],
                         const HElements (&sequence)[kSequenceDepth], Scalars &scalars) {
  #pragma HLS INLINE
  if (slot.pull) {
    const Word word = x_words.read();
  Keep:
    for (int n = 0; n < kColumns; ++n) x_buffer[slot.word][n] = word.of[n];
  }
  const int h_word = h_place(slot.half, slot.word);
  const int sequence_word = sequence_place(slot.sequence_read + slot.word);
Segments:
  for (int s = 0; s < kBands; ++s) {
  Scalars:
    for (int e = 0; e < kSegment; ++e) {
      const int n = s * kSegment + e;
      scalars[s][e] = slot.i.source == kSourceX          ? HElement(x_buffer[slot.word][n])
                      : slot.i.source == kSourceSequence ? sequence[sequence_word][n]
                      : slot.i.source == kSourceH        ? h_buffer[h_word][n]
                                                         : HElement(Activation_t(0));
    }
  }
}

// Adds the products of some columns to the sums of their segments. VS units at the same place of
// each group share a scalar: a choice among those at its own place in each segment.
template <int kFirst, int kCount, class Columns>
void add_products(const Columns &columns, const Scalars &scalars, const Share &share,
                  Spans &spans) {
  #pragma HLS INLINE
VS_Units:
  for (int n = 0; n < kCount; ++n) {
    const int own = (kFirst + n) / kSegment;
    const int segment = share.first + (own & (share.count - 1));
    const Activation_t scalar = scalars[segment][(kFirst + n) % kSegment];
  Rows:
    for (int k = 0; k < kRows; ++k) {
      spans[kBands + own][k] += multiply<kProductBits>(columns[n][k], scalar);
    }
  }
}

// K N products and their sums. Loops inside the pipelined one are unrolled whole.
LSTM_APART void multiply_tile(const BramTile &bram, const UramTile &uram, const Scalars &scalars,
                              const Share share, Spans &spans) {
  #pragma HLS INLINE
  Spans own;  // known to overlap with nothing
Clear:
  for (int segment = kBands; segment < 2 * kBands; ++segment) {
  Zero:
    for (int k = 0; k < kRows; ++k) own[segment][k] = 0;
  }
  add_products<0, kBramColumns>(bram, scalars, share, own);
  add_products<kBramColumns, kUramColumns>(uram, scalars, share, own);
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

// Whether a slot's row block has a band in this bank of accumulators
inline bool meets(const Slot &slot, int bank) {
  #pragma HLS INLINE
  return ((slot.row ^ bank) & (kBands - slot.gang)) == 0;
}

// What a bank adds to its running sum k in a slot: of all shapes' groups that it can belong to, its
// own one's sum.
inline Sum_t sum_of(const Slot &slot, const Spans &spans, int bank, int k) {
  #pragma HLS INLINE
  Sum_t sum = spans[1][k];
Shapes:
  for (int s = 1; s < kShapes; ++s) {
    if (slot.i.shape == s) sum = spans[kGangs[s] + bank % kGangs[s]][k];
  }
  return sum;
}

// The running sums, which start anew at a row's first column
inline void accumulate(const Slot &slot, const Spans &spans, const Biases (&biases)[kBiasDepth],
                       const Stored (&stored)[kStoredDepth], Sums &running) {
  #pragma HLS INLINE
  const int shift = slot.i.start == kStartStoredShifted ? int(slot.i.x_shift) : 0;
Banks:
  for (int bank = 0; bank < kBands; ++bank) {
    if (meets(slot, bank)) {
    Accumulate:
      for (int k = 0; k < kRows; ++k) {
        const int at = bank * kRows + k;
        const Acc_t start = slot.i.start == kStartBias
                                ? Acc_t(biases[slot.bias / kBands][at])
                                : shift_left(Acc_t(stored[slot.row / kBands][at]), shift);
        running[at] = (slot.first ? start : running[at]) + sum_of(slot, spans, bank, k);
      }
    }
  }
}

// The beat of a neuron's h and c
inline HBeat state_beat(const Slot &slot, const HElements &h, const Cells &c) {
  #pragma HLS INLINE
  Beat beat = zero_beat();
  set_element<32>(beat, 0, Activation_t(h[slot.place.lane]));
  set_element<32>(beat, 1, c[slot.column]);
  return HBeat{beat, slot.ends_run && slot.last, false};
}

inline void store_sums(const Slot &slot, const Sums &running, Stored &stored) {
  #pragma HLS INLINE
Store_Banks:
  for (int bank = 0; bank < kBands; ++bank) {
    if (meets(slot, bank)) {
    Store:
      for (int k = 0; k < kRows; ++k) keep(stored[bank * kRows + k], running[bank * kRows + k], 0);
    }
  }
}

// Puts new h and c where they are wanted.
inline void write_group(const Group &group, HElements (&h_buffer)[2 * kHDepth],
                        HElements (&sequence)[kSequenceDepth], Cells (&c_buffer)[kGroups]) {
  #pragma HLS INLINE
  const int word = h_place(group.half, group.place.word);
  const int kept = sequence_place(group.sequence_word);
Write:
  for (int lane = 0; lane < kLanes; ++lane) {
    const int n = group.place.lane + lane;
    keep(h_buffer[word][n], group.neuron[lane].h, group.ago);
    if (group.keep) keep(sequence[kept][n], group.neuron[lane].h, group.ago);
    c_buffer[group.number][lane] = group.neuron[lane].c;
  }
}

}  // namespace lstm
