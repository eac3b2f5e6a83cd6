// Type names of the kernel. What they stand for differs between Vitis and plain g++, and only here.
#pragma once

#include "config.hpp"

#if defined(__SYNTHESIS__) || defined(LSTM_SHARP_VITIS)  // the latter: Vitis' own C simulation
#include "kernel/vitis.hpp"
#else
#include "kernel/native.hpp"
#endif

namespace lstm {

constexpr int kShapes = sizeof kGangs / sizeof kGangs[0];
constexpr int kBramColumns = kColumns - kUramColumns;
constexpr int kDspColumns = kColumns - kLutColumns;
constexpr int kProgramDepth = kMaxInstructions + 1;
// Configs are held to the rest by engine/knobs.py: a band is the gates i, f, g, o of each neuron,
// and the lanes take it up in whole turns, whose neurons lie in one word; the number of bands is a
// power of two; a beat holds h and c of a neuron.
static_assert(kBankTiles + kRestTiles == kWeightTiles, "two memories hold all tiles");
static_assert(kBiasDepth * kBands >= kBiasBlocks, "each bank has biases of its own");
static_assert(kStoredDepth * kBands >= kBlocks && kBlocks % kBands == 0,
              "the largest row block fits everywhere");
static_assert(kWordBeats * kBeatElements >= kColumns, "the beats of a word hold N elements");
static_assert(kTileBeats * kBeatWeights >= kRows * kColumns, "the beats of a tile hold M weights");
static_assert(kWindowWords == kStride * kProgramDepth, "the header comes first");

using Weight_t = Int<kWeightBits>;
using Activation_t = Int<kActBits>;                        // elements of x and h
constexpr int kBesideBias = kRowScales ? kXShiftBits : 0;  // its row's x_shift, below it
using BiasWord = Int<kBiasBits + kBesideBias>;
using Sum_t = Int<kSumBits>;  // N products
using Acc_t = Int<kAccBits>;
using C_t = Int<kCBits>;

using Word = Pack<kActBits, kColumns>;  // of x: the scalars of one column of tiles

inline Word no_word() {
  #pragma HLS INLINE
  Word word;
No_Elements:
  for (int n = 0; n < kColumns; ++n) {
    #pragma HLS UNROLL
    put<kActBits>(word, n, 0);
  }
  return word;
}

// A beat of h on its way to the port; end stands behind the last one and holds nothing.
struct HBeat {
  Beat data;
  bool last;
  bool end;
};

// Bits that a number up to most takes
constexpr int bits_for(int most) {
  int bits = 1;
  while (most >> bits != 0) ++bits;
  return bits;
}

constexpr int larger(int a, int b) { return a > b ? a : b; }

// Columns of a tile that lie in one word of a memory; csim knows no widest integer.
constexpr int kBramStrip = kWordsHaveLimits ? kBramWord : larger(kBramColumns, 1);
constexpr int kUramStrip = kWordsHaveLimits ? kUramWord : larger(kUramColumns, 1);
constexpr int kBramStrips = larger(kBramColumns / kBramStrip, 1);  // one that nothing uses, else
constexpr int kUramStrips = larger(kUramColumns / kUramStrip, 1);
constexpr int kUramDepth = kUramColumns > 0 ? kBankTiles : 1;
constexpr int kUramRestDepth = kUramColumns > 0 ? kRestDepth : 1;
constexpr int kSequenceBits = bits_for(kSequenceDepth - 1);

// A place in a memory so deep, whatever a program counts up to: depths are powers of two.
template <int kDepth>
int place_in(int place) {
  #pragma HLS INLINE
  static_assert((kDepth & (kDepth - 1)) == 0, "places are masked");
  return place & (kDepth - 1);
}

// Clips to a signed integer of kBits.
template <int kBits, class Wide>
Int<kBits> saturate(Wide value) {
  #pragma HLS INLINE
  const Int<kBits> most = (std::int64_t(1) << (kBits - 1)) - 1;
  const Int<kBits> least = -(std::int64_t(1) << (kBits - 1));
  return value > most ? most : value < least ? least : Int<kBits>(value);
}

}  // namespace lstm
