// Walker: follows the slot program, one slot a call. It counts and takes no ordering decision.
#pragma once

#include "kernel/program.hpp"
#include "kernel/shapes.hpp"
#include "kernel/types.hpp"

namespace lstm {

// A place in the h vector, in steps of kLanes neurons
struct Place {
  UInt<16> word;
  UInt<16> lane;
};

inline Place after(Place place) {
  #pragma HLS INLINE
  const bool wraps = place.lane + kLanes >= kColumns;
  Place next;
  next.word = wraps ? UInt<16>(place.word + 1) : place.word;
  next.lane = wraps ? UInt<16>(place.lane + kLanes - kColumns) : UInt<16>(place.lane + kLanes);
  return next;
}

// What one slot does. Neither tile nor load: a no-op slot.
struct Slot {
  Instruction i;           // to which it belongs
  bool tile = false;       // multiplies a tile
  bool load = false;       // takes a beat from the weight stream
  bool give = false;       // sends a beat of state
  bool pull = false;       // takes a word from the x stream
  bool first_row = false;  // of the rectangle
  bool last_row = false;
  bool first = false;  // column of its row, beat of its item
  bool last = false;
  bool ends_run = false;       // lies in the run's last row
  UInt<16> gang = 1;           // bands of its row block
  UInt<16> row = 0;            // first band of its row block; group of a state
  UInt<16> bias = 0;           // band of its biases
  UInt<16> word = 0;           // of the scalars
  UInt<16> segment = 0;        // first one in that word
  UInt<16> column = 0;         // beat of an item
  Place place = {0, 0};        // of a state's h: a group for a load, a neuron to be sent
  UInt<17> weight = 0;         // address of its tile
  UInt<1> half = 0;            // of the h buffer that is read
  UInt<32> sequence_read = 0;  // word of the sequence buffer where this step begins
  UInt<32> sequence_write = 0;
};

class Walker {
 public:
  Walker(const Header &header, const Instruction program[kMaxInstructions])
      : header_(header),
        done_(header.instructions == 0 || header.sequences == 0),
        current_(program[0]),
        ahead_(program[following()]) {}

  // Goes one slot on; after the last one, and after an error, all are no-op slots.
  Slot next(const Instruction program[kMaxInstructions]) {
    #pragma HLS INLINE
    Slot slot;
    if (!done_) {
      ++slots_;
      slot.i = current_;
      if (nop_ != slot.i.nops) {
        ++nop_;
      } else {
        const UInt<16> row_slots = slots_of_row(slot.i);
        fill(slot);
        if (slot.tile && slot.weight >= kWeightTiles) {
          give_up(slot, status_of(kStatusWeights, index_));
        } else if (slot.pull && pulled_ == header_.x_words) {
          give_up(slot, kStatusWords);
        } else {
          step_on(slot, row_slots, program);
        }
      }
    }
    return slot;
  }

  // Of the run so far; a run that is cut short by its header counts as one that pulls too little.
  std::uint32_t status() const {
    const bool whole = done_ && pulled_ == header_.x_words;
    return status_ != kStatusFine || whole ? status_ : std::uint32_t(kStatusWords);
  }
  std::uint32_t slots() const { return slots_; }
  std::uint32_t pulled() const { return pulled_; }

 private:
  // Finishing rows give the lanes time to take up a row block.
  static UInt<16> slots_of_row(const Instruction &i) {
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

  void fill(Slot &slot) {
    #pragma HLS INLINE
    const Instruction &i = slot.i;
    const bool tiles = i.op == kOpTiles;
    slot.tile = tiles && column_ < i.cols;
    slot.give = i.op == kOpGiveState;
    slot.load = !tiles && !slot.give;
    slot.first_row = row_ == 0;
    slot.last_row = row_ + 1 == i.rows;
    slot.first = column_ == 0;
    slot.last = column_ + 1 == (tiles ? i.cols : slots_of_row(i));
    slot.ends_run = slot.last_row && !again(i) && ends_list() && sequence_ + 1 == header_.sequences;
    if (slot.first_row && slot.first) {
      weight_ = i.weight_base;
      place_ = Place{i.h_word, 0};
      if (tiles && i.layer) sequence_read_ = sequence_write_ = 0;
    }
    const UInt<16> bands = in_bands(i, row_);
    slot.gang = in_bands(i, 1);
    slot.row = tiles ? UInt<16>(i.row_first + bands) : UInt<16>(i.row_first * kPasses + row_);
    slot.bias = UInt<16>(i.bias_base + (tiles ? bands : row_));
    const UInt<16> segment = i.col_first + in_segments(i, column_);
    slot.word = segment / kBands;
    slot.segment = segment % kBands;
    slot.column = column_;
    // A word is pulled with its first segment; columns that share it come one after the other.
    slot.pull = slot.tile && slot.first_row && i.pull && i.source == kSourceX && slot.segment == 0;
    slot.weight = weight_;
    slot.place = place_;
    if (slot.give) slot.place.lane += column_;
    slot.half = half_;
    slot.sequence_read = sequence_read_;
    slot.sequence_write = sequence_write_;
  }

  void step_on(const Slot &slot, UInt<16> row_slots, const Instruction program[kMaxInstructions]) {
    #pragma HLS INLINE
    if (slot.pull) ++pulled_;
    if (slot.load ? slot.last : slot.tile) ++weight_;
    if (slot.last && !slot.tile) place_ = after(place_);
    ++column_;
    if (column_ == row_slots) {
      column_ = 0;
      ++row_;
      if (slot.last_row) {
        row_ = 0;
        nop_ = 0;
        end_rectangle(slot.i);
        go_to_next(program);
      }
    }
  }

  LSTM_APART void end_rectangle(const Instruction &i) {
    #pragma HLS INLINE
    if (i.op == kOpTiles) {
      if (i.pop && i.source == kSourceSequence) sequence_read_ += header_.stride;
      if (i.step && i.keep) sequence_write_ += header_.stride;
      if (i.step) half_ = half_ ^ 1;
    }
  }

  bool again(const Instruction &i) const { return i.repeats > 1 && round_ + 1 != i.repeats; }
  bool ends_list() const { return index_ + 1 == header_.instructions; }

  // Index of the instruction after the current one
  UInt<7> following() const {
    #pragma HLS INLINE
    return again(current_) ? UInt<7>(index_ - current_.loop_back)
           : ends_list()   ? UInt<7>(0)
                           : UInt<7>(index_ + 1);
  }

  // Reading the program takes a cycle, so that the next instruction has been read a slot before.
  void go_to_next(const Instruction program[kMaxInstructions]) {
    #pragma HLS INLINE
    const bool loops = again(current_);
    const UInt<7> next = following();
    if (!loops && ends_list()) {
      ++sequence_;
      done_ = sequence_ == header_.sequences;
    }
    if (current_.repeats > 1) round_ = loops ? UInt<16>(round_ + 1) : UInt<16>(0);
    index_ = next;
    current_ = ahead_;
    ahead_ = program[following()];
  }

  void give_up(Slot &slot, std::uint32_t status) {
    #pragma HLS INLINE
    slot.tile = slot.load = slot.give = slot.pull = false;
    status_ = status;
    done_ = true;
  }

  const Header header_;
  bool done_;
  std::uint32_t status_ = kStatusFine;
  std::uint32_t slots_ = 0;
  std::uint32_t pulled_ = 0;
  // Where it stands: sequence, instruction, round of its loop, no-op slot, row, slot of the row
  std::uint32_t sequence_ = 0;
  UInt<7> index_ = 0;
  UInt<16> round_ = 0;
  Instruction current_;
  Instruction ahead_;  // the one after it
  UInt<16> nop_ = 0;
  UInt<16> row_ = 0;
  UInt<16> column_ = 0;
  UInt<17> weight_ = 0;
  Place place_ = {0, 0};
  UInt<1> half_ = 0;
  UInt<32> sequence_read_ = 0;
  UInt<32> sequence_write_ = 0;
};

}  // namespace lstm
