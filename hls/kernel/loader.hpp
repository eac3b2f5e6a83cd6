// Loader: gathers the beats of an item of the weight stream, a tile, the biases of a band or the
// state of kLanes neurons. Beats are shifted in, so that each has its place with the last one.
#pragma once

#include "kernel/mfu.hpp"
#include "kernel/types.hpp"

namespace lstm {

class Loader {
 public:
  Loader() {
    // A beat's weights in one word: of single ones there would be more than the tool parts.
    #pragma HLS ARRAY_RESHAPE variable = tile_ complete dim = 2
    #pragma HLS ARRAY_PARTITION variable = tile_ complete dim = 1
    #pragma HLS ARRAY_PARTITION variable = rows_ complete
    #pragma HLS ARRAY_PARTITION variable = state_ complete dim = 0
  }

  void shift_in(const Work &work, const Slot &slot, const Beat &beat) {
    #pragma HLS INLINE
    if (work.loads_weights) {
    Beats:
      for (int b = 0; b + 1 < kTileBeats; ++b) {
      Move_Weights:
        for (int w = 0; w < kBeatWeights; ++w) tile_[b][w] = tile_[b + 1][w];
      }
    Beat_Weights:
      for (int w = 0; w < kBeatWeights; ++w) {
        Weight_t weight = element<kWeightBits>(beat, w);
        // The columns that DSPs multiply come first.
        if (w % kPacked != 0 && beat_ * kBeatWeights + w < kRows * kDspColumns) {
          weight = packed_weight(weight, tile_[kTileBeats - 1][w - 1]);
        }
        tile_[kTileBeats - 1][w] = weight;
      }
      beat_ = slot.last ? 0 : beat_ + 1;
    }
    if (work.loads_bias) {
    Move_Rows:
      for (int k = 0; k + 1 < kRows; ++k) rows_[k] = rows_[k + 1];
      rows_[kRows - 1] = element<64>(beat, 0);
    }
    if (work.loads_state) {
    Move_States:
      for (int lane = 0; lane + 1 < kLanes; ++lane) state_[lane] = state_[lane + 1];
      state_[kLanes - 1].h = Activation_t(element<32>(beat, 0));
      state_[kLanes - 1].c = C_t(element<32>(beat, 1));
    }
  }

  // Columns of the tile that lie in one strip of a memory
  template <int kCount>
  Pack<kWeightBits, kRows * kCount> strip(int first) const {
    #pragma HLS INLINE
    Pack<kWeightBits, kRows * kCount> strip;
  Strip_Weights:
    for (int w = 0; w < kRows * kCount; ++w) {
      const int at = first * kRows + w;
      put<kWeightBits>(strip, w, tile_[at / kBeatWeights][at % kBeatWeights]);
    }
    return strip;
  }

  // Of a row: its bias, below it x_shift
  BiasWord bias(int k) const {
    #pragma HLS INLINE
    constexpr int kAbove = 64 - kBiasBits;
    const Int<64> bias = shift_left(rows_[k], kAbove) >> kAbove;
    const int x_shift = int(rows_[k] >> kXShiftAt) & ((1 << kBesideBias) - 1);
    return BiasWord(shift_left(bias, kBesideBias) | x_shift);
  }

  Scales scales() const {
    #pragma HLS INLINE
    constexpr int kAbove = 64 - kActShiftAt - kScaleBits;
    Scales scales;
  Scale_Rows:
    for (int k = 0; k < kRows; ++k) {
      const Int<64> above = shift_left(rows_[k], kAbove) >> (64 - kScaleBits);
      put<kScaleBits>(scales, k, Int<kScaleBits>(above));
    }
    return scales;
  }

  // The state goes where the next h-part reads it.
  Group state(const Slot &slot) const {
    #pragma HLS INLINE
    Group group;
    #pragma HLS ARRAY_PARTITION variable = group.neuron complete
  Lanes:
    for (int lane = 0; lane < kLanes; ++lane) group.neuron[lane] = state_[lane];
    group.to.number = UInt<16>(slot.row);
    group.to.half = slot.half;
    group.to.h_word = slot.h_word;
    group.to.h_lane = slot.h_lane;
    return group;
  }

 private:
  Weight_t tile_[kTileBeats][kBeatWeights] = {};
  int beat_ = 0;              // of the tile, that comes next
  Int<64> rows_[kRows] = {};  // a bias each, and its row's scale
  Neuron state_[kLanes] = {};
};

}  // namespace lstm
