// Fetch: follows the program's loops, and gives each instruction with all that the dispatcher would
// otherwise have to compare for.
#pragma once

#include "kernel/program_memory.hpp"
#include "kernel/shapes.hpp"
#include "kernel/types.hpp"

namespace lstm {

// Widths of what a program that has been checked counts
constexpr int kMostSegments = kBands * larger(kXColumns, kHWords);
constexpr int kColumnBits =
    bits_for(larger(larger(kMostSegments, kMostPasses), larger(larger(kTileBeats, kRows), kLanes)));
constexpr int kRowBits =
    bits_for(larger(larger(kBlocks, kCGroups), larger(kWeightTiles, kBiasBlocks)));

// Goes on in the h vector, by kLanes neurons: each word takes a whole number of such steps.
inline void go_on(UInt<16> &h_word, UInt<16> &h_lane) {
  #pragma HLS INLINE
  const bool wraps = h_lane == kColumns - kLanes;
  h_word = wraps ? UInt<16>(h_word + 1) : h_word;
  h_lane = wraps ? UInt<16>(0) : UInt<16>(h_lane + kLanes);
}

// An instruction as the dispatcher wants it
struct Work {
  bool ends_run;   // nothing follows in the program,
  bool ends_list;  // or nothing more is given
  UInt<7> index;
  // What its slots do: multiply tiles, take a beat, or give one
  bool tiles, loads, gives;
  bool loads_weights, loads_bias, loads_state;
  // Tiles
  bool from_x, from_sequence, from_h;  // scalars, also of a state; else they are zeros
  bool from_bias;                      // start values; else stored sums
  bool finish, ends, c_zero, pulls, emit, keep;
  bool shifts;  // stored sums
  UInt<4> x_shift;
  UInt<4> act_shift;
  UInt<2> c_shift;
  UInt<4> h_drop;
  UInt<3> shape;
  UInt<kColumnBits> gang;  // bands of a row block
  // Afterwards
  bool pops, moves_on, steps;  // places of the sequence buffer to read and to write; halves of h
  bool pops_x;                 // what was pulled of x is used up
  bool clears;                 // beforehand: both places
  // Where it lies
  UInt<kRowBits> row_first;    // band, or group of a state
  UInt<kRowBits> row_step;     // from row to row
  UInt<kRowBits> bias_offset;  // of a band's biases
  UInt<kColumnBits> segment_first;
  UInt<kColumnBits> segment_step;  // from column to column
  UInt<16> weight_base;
  UInt<16> h_word, h_lane;
  // How long it is: no-op slots; rows and slots of a row behind the first, slots of a row from its
  // last column on; and what each begins with
  UInt<16> waits;
  UInt<kRowBits> more_rows;
  UInt<kColumnBits> more_slots;
  UInt<kColumnBits> last_slots;
  bool waits_first, one_wait, one_row, one_slot, one_column;
};

// Slots of a row; finishing rows give the lanes time to take up a row block.
inline UInt<16> slots_of_row(const Instruction &i) {
  #pragma HLS INLINE
  switch (i.op) {
    case kOpLoadWeights:
      return kTileBeats;
    case kOpLoadBias:
      return kRows;
    case kOpLoadState:
    case kOpGiveState:
      return kLanes;
    default:
      return i.finish && i.cols < passes_of(i) ? passes_of(i) : i.cols;
  }
}

inline Work prepare(const Instruction &i, UInt<7> index) {
  #pragma HLS INLINE
  const bool tiles = i.op == kOpTiles;
  const bool state = i.op == kOpLoadState || i.op == kOpGiveState;
  const UInt<16> slots = slots_of_row(i);
  const UInt<16> columns = tiles ? i.cols : slots;
  Work work;
  work.ends_run = work.ends_list = false;
  work.index = index;
  work.tiles = tiles;
  work.gives = i.op == kOpGiveState;
  work.loads = !tiles && !work.gives;
  work.loads_weights = i.op == kOpLoadWeights;
  work.loads_bias = i.op == kOpLoadBias;
  work.loads_state = i.op == kOpLoadState;
  work.from_x = tiles && i.source == kSourceX;
  work.from_sequence = tiles && i.source == kSourceSequence;
  work.from_h = tiles ? i.source == kSourceH : work.gives;
  work.from_bias = i.start == kStartBias;
  work.shifts = i.start == kStartStoredShifted;
  work.x_shift = i.x_shift;
  work.act_shift = i.act_shift;
  work.c_shift = kRowScales ? i.c_shift : UInt<2>(0);
  work.h_drop = kMixed ? i.h_drop : UInt<4>(0);
  work.finish = tiles && i.finish;
  work.ends = i.ends;
  work.c_zero = i.c_zero;
  work.pulls = i.pull && work.from_x;
  work.emit = i.emit;
  work.keep = i.keep;
  work.shape = i.shape;
  work.gang = UInt<kColumnBits>(in_bands(i, 1));
  work.pops = tiles && i.pop && work.from_sequence;
  work.pops_x = tiles && i.pop && work.from_x;
  work.steps = tiles && i.step;
  work.moves_on = work.steps && i.keep;
  work.clears = tiles && i.layer;
  work.row_first = UInt<kRowBits>(tiles             ? int(i.row_first)
                                  : state           ? int(i.row_first) * kPasses
                                  : work.loads_bias ? int(i.bias_base)
                                                    : 0);
  work.row_step = UInt<kRowBits>(tiles ? int(work.gang) : 1);
  work.bias_offset = UInt<kRowBits>(
      tiles ? place_in<kBiasDepth * kBands>(int(i.bias_base) - int(i.row_first)) : 0);
  work.segment_first = UInt<kColumnBits>(tiles ? int(i.col_first) : 0);
  work.segment_step = UInt<kColumnBits>(tiles ? int(in_segments(i, 1)) : 0);
  work.weight_base = i.weight_base;
  work.h_word = i.h_word;
  work.h_lane = tiles ? UInt<16>(i.h_lane) : UInt<16>(0);
  work.waits = i.nops;
  work.more_rows = UInt<kRowBits>(i.rows - 1);
  work.more_slots = UInt<kColumnBits>(slots - 1);
  work.last_slots = UInt<kColumnBits>(slots - columns + 1);
  work.waits_first = i.nops != 0;
  work.one_wait = i.nops == 1;
  work.one_row = i.rows == 1;
  work.one_slot = slots == 1;
  work.one_column = columns == 1;
  return work;
}

// Gives the works of a run one after the other, and no more than it has slots: each has one at
// least.
class Fetch {
 public:
  Fetch(UInt<7> instructions, std::uint32_t sequences, std::uint32_t slots)
      : last_index_(UInt<7>(instructions - 1)), sequences_(sequences), slots_(slots) {}

  bool more() const { return more_; }

  Work next(const Instruction program[kProgramDepth]) {
    #pragma HLS INLINE
    const Instruction i = program[index_];
    const bool again = i.repeats > round_;
    const bool last = !again && index_ == last_index_;
    Work work = prepare(i, index_);
    work.ends_run = last && sequences_ == 1;
    work.ends_list = work.ends_run || slots_ <= 1;
    more_ = !work.ends_list;
    index_ = again ? UInt<7>(index_ - i.loop_back) : last ? UInt<7>(0) : UInt<7>(index_ + 1);
    if (i.repeats > 1) round_ = again ? UInt<16>(round_ + 1) : UInt<16>(1);
    if (last) --sequences_;
    --slots_;
    return work;
  }

 private:
  const UInt<7> last_index_;
  UInt<7> index_ = 0;
  UInt<16> round_ = 1;  // of the loop that it is in, with this one; loops do not nest
  std::uint32_t sequences_;
  std::uint32_t slots_;
  bool more_ = true;
};

// The next index waits for a read of the program and a comparison, hence two cycles a work.
inline void fetch_works(const Instruction program[kProgramDepth], UInt<7> instructions,
                        std::uint32_t sequences, std::uint32_t slots, Stream<Work> &works) {
  Fetch fetch(instructions, sequences, slots);
Works:
  while (fetch.more()) {
    #pragma HLS PIPELINE II = 2
    works.write(fetch.next(program));
  }
}

}  // namespace lstm
