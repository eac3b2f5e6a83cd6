// Loader: gathers the beats of an item of the weight stream, a tile or the state of kLanes neurons.
#pragma once

#include "kernel/mfu.hpp"
#include "kernel/types.hpp"

namespace lstm {

class Loader {
 public:
  Loader() {
    #pragma HLS ARRAY_PARTITION variable = tile_ complete dim = 0
    #pragma HLS ARRAY_PARTITION variable = state_ complete
  }

  void gather_tile(const Beat &beat, int place) {
    #pragma HLS INLINE
  Beat_Weights:
    for (int w = 0; w < kBeatWeights; ++w) tile_[place][w] = element<kWeightBits>(beat, w);
  }

  void gather_state(const Beat &beat, int lane) {
    #pragma HLS INLINE
    state_[lane].h = Activation_t(element<32>(beat, 0));
    state_[lane].c = C_t(element<32>(beat, 1));
  }

  // Stores some columns of the tile just gathered.
  template <int kFirst, int kCount, class Columns>
  void store_columns(Columns &columns) const {
    #pragma HLS INLINE
  VS_Units:
    for (int n = 0; n < kCount; ++n) {
    Rows:
      for (int k = 0; k < kRows; ++k) {
        const int at = (kFirst + n) * kRows + k;
        columns[n][k] = tile_[at / kBeatWeights][at % kBeatWeights];
      }
    }
  }

  // The state just gathered goes where the next h-part reads it.
  Group state(const Slot &slot) {
    #pragma HLS INLINE
    Group group;
  Lanes:
    for (int lane = 0; lane < kLanes; ++lane) group.neuron[lane] = state_[lane];
    group.valid = true;
    group.number = slot.row;
    group.half = slot.half;
    group.place = slot.place;
    return group;
  }

 private:
  Weight_t tile_[kTileBeats][kBeatWeights];
  Neuron state_[kLanes];
};

}  // namespace lstm
