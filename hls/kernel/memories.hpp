// What the compute process does with its memories, one function for each part of a slot.
#pragma once

#include "kernel/kept.hpp"
#include "kernel/loader.hpp"
#include "kernel/mfu.hpp"
#include "kernel/walker.hpp"

namespace lstm {

// The columns of a tile that lie in BRAM, and the others; an array that nothing uses has one.
using BramTile = Weight_t[kBramColumns > 0 ? kBramColumns : 1][kRows];
using UramTile = Weight_t[kUramColumns > 0 ? kUramColumns : 1][kRows];
using Biases = Bias_t[kRows];
using Sums = Acc_t[kRows];
using Stored = Kept<Acc_t, kAccDistance>[kRows];
using Elements = Activation_t[kColumns];  // of x, and the scalars of a column
using HElements = Kept<Activation_t, kTail>[kColumns];
using Cells = C_t[kLanes];

// Least gaps, in slots, between writing a place and reading it. They follow from the distances that
// every program keeps (docs/slot-program.md); an element of h is written in its neuron's turn.
constexpr int kLoadGap = kTail;
constexpr int kHGap = kTail - (kPasses - 1);
constexpr int kSumGap = kAccDistance;
static_assert(kHGap > kSumGap, "the tail is longer than the accumulators' part of it");

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
                       UramTile (&uram_weights)[kWeightTiles], Biases (&biases)[kBiasBlocks]) {
  #pragma HLS INLINE
  Group group;
  if (slot.i.op == kOpLoadWeights) {
    loader.gather_tile(beat, slot.column);
    if (slot.last) {
      loader.store_columns<0, kBramColumns>(bram_weights[slot.weight]);
      loader.store_columns<kBramColumns, kUramColumns>(uram_weights[slot.weight]);
    }
  } else if (slot.i.op == kOpLoadBias) {
    biases[slot.bias][slot.column] = Bias_t(element<64>(beat, 0));
  } else {
    loader.gather_state(beat, slot.column);
    if (slot.last) group = loader.state(slot);
  }
  return group;
}

// The scalars of a tile's columns
inline void read_scalars(const Slot &slot, Stream<Word> &x_words, Elements (&x_buffer)[kXColumns],
                         const HElements (&h_buffer)[2 * kHDepth],
                         const HElements (&sequence)[kSequenceDepth], Elements &scalars) {
  #pragma HLS INLINE
  if (slot.pull) {
    const Word word = x_words.read();
  Keep:
    for (int n = 0; n < kColumns; ++n) x_buffer[slot.column][n] = word.of[n];
  }
  const int h_word = h_place(slot.half, slot.column);
  const int sequence_word = sequence_place(slot.sequence_read + slot.column);
Scalars:
  for (int n = 0; n < kColumns; ++n) {
    scalars[n] = slot.i.source == kSourceX          ? x_buffer[slot.column][n]
                 : slot.i.source == kSourceSequence ? Activation_t(sequence[sequence_word][n])
                 : slot.i.source == kSourceH        ? Activation_t(h_buffer[h_word][n])
                                                    : Activation_t(0);
  }
}

// Adds the products of some columns to K sums.
template <int kFirst, int kCount, class Columns>
void add_products(const Columns &columns, const Elements &scalars, Sum_t (&sums)[kRows]) {
  #pragma HLS INLINE
VS_Units:
  for (int n = 0; n < kCount; ++n) {
  Rows:
    for (int k = 0; k < kRows; ++k) {
      sums[k] += multiply<kProductBits>(columns[n][k], scalars[kFirst + n]);
    }
  }
}

// K sums of N products. Loops inside the pipelined one are unrolled whole.
LSTM_APART void multiply_tile(const BramTile &bram, const UramTile &uram, const Elements &scalars,
                              Sum_t (&sums)[kRows]) {
  #pragma HLS INLINE
  Sum_t own[kRows];  // known to overlap with nothing
Clear:
  for (int k = 0; k < kRows; ++k) own[k] = 0;
  add_products<0, kBramColumns>(bram, scalars, own);
  add_products<kBramColumns, kUramColumns>(uram, scalars, own);
Give:
  for (int k = 0; k < kRows; ++k) sums[k] = own[k];
}

// The running sums, which start anew at a row's first column
inline void accumulate(const Slot &slot, const Sum_t (&sums)[kRows],
                       const Biases (&biases)[kBiasBlocks], const Stored (&stored)[kBlocks],
                       Sums &running) {
  #pragma HLS INLINE
  const int shift = slot.i.start == kStartStoredShifted ? int(slot.i.x_shift) : 0;
Accumulate:
  for (int k = 0; k < kRows; ++k) {
    const Acc_t start = slot.i.start == kStartBias ? Acc_t(biases[slot.bias][k])
                                                   : shift_left(Acc_t(stored[slot.row][k]), shift);
    running[k] = (slot.first ? start : running[k]) + sums[k];
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

inline void store_sums(const Sums &running, Stored &stored) {
  #pragma HLS INLINE
Store:
  for (int k = 0; k < kRows; ++k) keep(stored[k], running[k], 0);
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
    keep(h_buffer[word][n], group.neuron[lane].h, group.turn);
    if (group.keep) keep(sequence[kept][n], group.neuron[lane].h, group.turn);
    c_buffer[group.number][lane] = group.neuron[lane].c;
  }
}

}  // namespace lstm
