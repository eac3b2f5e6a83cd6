// The compute process: all memories, and one pipelined loop over the slots of a run.
#pragma once

#include "kernel/mfu.hpp"
#include "kernel/walker.hpp"

namespace lstm {

// Slots from the one that writes an h element, its turn included, to the first that may read it
constexpr int kHDistance = kTail - (kPasses - 1);
static_assert(kHDistance > kAccDistance, "the tail is longer than the accumulators' part of it");

// Depths of memories that are written at a counted place; a program that counts too far wraps.
constexpr int kHDepth = power_of_two(kHWords);
constexpr int kSequenceDepth = power_of_two(kSequenceWords);

// K sums of N products. Loops inside the pipelined one are unrolled whole.
inline void multiply_tile(const Weight_t (&tile)[kColumns][kRows],
                          const Activation_t (&scalars)[kColumns], Sum_t (&sums)[kRows]) {
  #pragma HLS INLINE
Clear:
  for (int k = 0; k < kRows; ++k) sums[k] = 0;
VS_Units:
  for (int n = 0; n < kColumns; ++n) {
  Rows:
    for (int k = 0; k < kRows; ++k) {
      const Product_t product = tile[n][k] * scalars[n];
      sums[k] += product;
    }
  }
}

// Items of the weight stream: beats are gathered until an item is whole.
class Loader {
 public:
  void gather(const Beat &beat, int place) {
    #pragma HLS INLINE
  Beat_Weights:
    for (int w = 0; w < kBeatWeights; ++w) tile_[place][w] = element<kWeightBits>(beat, w);
  }

  void store_tile(Weight_t (&tile)[kColumns][kRows]) const {
    #pragma HLS INLINE
  Tile_Columns:
    for (int n = 0; n < kColumns; ++n) {
    Tile_Rows:
      for (int k = 0; k < kRows; ++k) {
        const int at = n * kRows + k;
        tile[n][k] = tile_[at / kBeatWeights][at % kBeatWeights];
      }
    }
  }

 private:
  Weight_t tile_[kTileBeats][kBeatWeights] = {};
};

}  // namespace lstm
