// The array: K N products, VS unit by VS unit, and the trees that reduce them row by row.
#pragma once

#include "kernel/vector_select.hpp"

namespace lstm {

// Weights lie in words of some columns each, a strip of the tile, and each strip in two memories:
// as many tiles as are a power of two, and the rest.
using BramStrip = Pack<kWeightBits, kRows * kBramStrip>;
using UramStrip = Pack<kWeightBits, kRows * kUramStrip>;

// Sums of products: span g + i is that of group i of g, for g = kBands a segment's. So span n is
// the sum of spans 2 n and 2 n + 1; there is no span 0.
using Spans = Sum_t[2 * kBands][kRows];

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
      if (n < kDspColumns) {
      Dsps:
        for (int k = 0; k < kRows; k += kPacked) {
          Int<kProductBits> products[kPacked];
          #pragma HLS ARRAY_PARTITION variable = products complete
          multiply_packed<kProductBits>(strip, c * kRows + k, scalar, products);
        Parts:
          for (int i = 0; i < kPacked; ++i) spans[kBands + n / kSegment][k + i] += products[i];
        }
      } else {
      Luts:
        for (int k = 0; k < kRows; ++k) {
          const Weight_t weight = get<kWeightBits>(strip, c * kRows + k);
          spans[kBands + n / kSegment][k] += multiply_in_luts<kProductBits>(weight, scalar);
        }
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

}  // namespace lstm
