// Shapes of the tile (docs/shapes.md): what the number of one stands for. All here is a choice
// among constants and shifts, no table in a memory; with one shape nothing of it is left.
#pragma once

#include "kernel/types.hpp"
#include "program_format.hpp"

namespace lstm {

constexpr int kSegment = kColumns / kBands;  // elements of a segment

// Bands that so many row blocks of an instruction's shape cover
inline UInt<16> in_bands(const Instruction &i, UInt<16> row_blocks) {
  #pragma HLS INLINE
  UInt<16> bands = row_blocks;
Gangs:
  for (int s = 1; s < kShapes; ++s) {
    if (i.shape == s) bands = UInt<16>(row_blocks * kGangs[s]);
  }
  return bands;
}

// Segments that so many columns of its shape are wide
inline UInt<16> in_segments(const Instruction &i, UInt<16> columns) {
  #pragma HLS INLINE
  UInt<16> segments = UInt<16>(columns * kBands);
Steps:
  for (int s = 1; s < kShapes; ++s) {
    if (i.shape == s) segments = UInt<16>(columns * (kBands / kGangs[s]));
  }
  return segments;
}

// Cycles in which the lanes take up a row block of its shape
inline UInt<16> passes_of(const Instruction &i) {
  #pragma HLS INLINE
  return in_bands(i, kPasses);
}

}  // namespace lstm
