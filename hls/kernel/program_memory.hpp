// The slot program on the chip: copied from the window, and checked before anything starts.
#pragma once

#include "kernel/types.hpp"
#include "program_format.hpp"

namespace lstm {

inline std::uint32_t status_of(Status status, int instruction) {
  return static_cast<std::uint32_t>(status) | static_cast<std::uint32_t>(instruction) << 8;
}

// first + count <= most, and there is something
inline bool within(int first, int count, int most) {
  #pragma HLS INLINE
  return count != 0 && first + count <= most;
}

// Whether a rectangle of a shape of so large a gang lies where its row blocks, their neurons and
// columns can: a bank of accumulators takes biases and sums of its own bands alone. Scales lie
// where biases do.
inline bool placed_in_range(const Instruction &i, int gang) {
  #pragma HLS INLINE
  const int step = kBands / gang;
  const bool biased = within(i.bias_base, i.rows * gang, kBiasBlocks) &&
                      i.bias_base % kBands == i.row_first % kBands;
  const bool starts =
      i.start <= kStartStoredShifted && (biased || (!kRowScales && i.start != kStartBias));
  const int words = i.source == kSourceX ? kXColumns : kHWords;
  const int neurons = gang * kBlock < kColumns ? gang * kBlock : kColumns;
  return within(i.row_first, i.rows * gang, kBlocks) && i.row_first % gang == 0 && starts &&
         within(i.col_first, i.cols * step, words * kBands) && i.col_first % step == 0 &&
         i.h_lane % neurons == 0;
}

inline bool rectangle_in_range(const Instruction &i) {
  #pragma HLS INLINE
  bool placed = false;
Shapes:
  for (int s = 0; s < kShapes; ++s) placed |= i.shape == s && placed_in_range(i, kGangs[s]);
  return placed && i.x_shift <= kMaxShift && i.h_lane < kColumns;
}

// Loops do not nest: one begins where the last one has ended, or later.
inline bool in_range(const Instruction &i, int number, int loop_end) {
  #pragma HLS INLINE
  const bool loop_fine =
      i.loop_back <= number && (i.repeats <= 1 || number - i.loop_back >= loop_end);
  const bool fine = loop_fine && i.row_first < kBlocks && i.h_word < kHWords;
  switch (i.op) {
    case kOpLoadWeights:
      return fine && within(i.weight_base, i.rows, kWeightTiles);
    case kOpLoadBias:
      return fine && within(i.bias_base, i.rows, kBiasBlocks);
    case kOpLoadState:
    case kOpGiveState:
      return fine && within(i.row_first * kPasses, i.rows, kCGroups);
    case kOpTiles:
      return fine && rectangle_in_range(i);
    default:
      return false;
  }
}

inline Line read_line(const std::uint32_t window[kWindowWords], int number) {
  #pragma HLS INLINE
  Line line;
Words:
  for (int word = 0; word < kStride; ++word) line.word[word] = window[number * kStride + word];
  return line;
}

// Copies the program from its window; returns a status.
inline std::uint32_t read_program(const std::uint32_t window[kWindowWords], Header &header,
                                  Instruction program[kProgramDepth]) {
  header = decode_header(read_line(window, 0));
  const bool runs = header.sequences != 0 || header.instructions == 0;
  if (header.magic != kMagic || header.instructions > kMaxInstructions || !runs) {
    return status_of(kStatusHeader, 0);
  }
  std::uint32_t status = kStatusFine;
  UInt<8> loop_end = 0;  // behind the last loop
Instructions:
  for (int number = 0; number < header.instructions; ++number) {
    #pragma HLS PIPELINE II = kStride
    #pragma HLS LOOP_TRIPCOUNT min = 1 max = kMaxInstructions
    const Instruction instruction = decode_instruction(read_line(window, number + 1));
    program[number] = instruction;
    if (status == kStatusFine && !in_range(instruction, number, loop_end)) {
      status = status_of(kStatusInstruction, number);
    }
    if (instruction.repeats > 1) loop_end = UInt<8>(number + 1);
  }
  return status;
}

}  // namespace lstm
