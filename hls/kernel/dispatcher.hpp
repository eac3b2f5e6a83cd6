// Dispatcher: turns works into slots, one a call. It counts and takes no ordering decision. What
// the next slot has to know of a counter (is this the last one?) is worked out a slot early, so
// that no slot waits for more than one comparison or one sum (docs/kernel.md).
#pragma once

#include "kernel/fetch.hpp"

namespace lstm {

// What one slot does. Neither tile nor load nor give: a no-op slot.
struct Slot {
  bool tile;       // multiplies a tile
  bool load;       // takes a beat from the weight stream
  bool give;       // sends a beat of state
  bool pull;       // takes a word from the x stream
  bool first;      // column of its row
  bool last;       // column of its row, beat of its item
  bool first_row;  // of the work
  bool last_row;
  UInt<kRowBits> row;         // first band of its row block; group of a state
  UInt<kColumnBits> segment;  // first one, counted from the vector's first word
  UInt<kColumnBits> left;     // slots of its row that follow
  UInt<17> weight;            // address of its tile
  UInt<16> h_word, h_lane;    // of a state's h
  UInt<1> half = 0;           // of the h buffer that is read
  // Word of the sequence buffer where this step begins
  UInt<kSequenceBits> sequence_read = 0;
  UInt<kSequenceBits> sequence_write = 0;
};

inline int word_of(UInt<kColumnBits> segment) {
  #pragma HLS INLINE
  return int(segment) / kBands;
}

class Dispatcher {
 public:
  Dispatcher(std::uint32_t x_words, UInt<16> stride, const Work &first)
      : work_(first),
        words_left_(x_words),
        more_words_(x_words != 0),
        stride_(UInt<kSequenceBits>(place_in<kSequenceDepth>(stride))) {
    begin();
  }

  // The work that the slot belongs to
  const Work &work() const { return work_; }

  // The slot where it stands
  const Slot &slot() {
    #pragma HLS INLINE
    const bool active = running_ && !waiting_;
    slot_.tile = active && work_.tiles && column_;
    slot_.load = active && work_.loads;
    slot_.give = active && work_.gives;
    // A word is pulled with its first segment; columns that share it come one after the other.
    wants_word_ =
        slot_.tile && slot_.first_row && work_.pulls && place_in<kBands>(slot_.segment) == 0;
    slot_.pull = wants_word_ && more_words_;
    return slot_;
  }

  // Goes one slot on, after the last one to no-op slots. A program that runs past the weights, or
  // short of x, is noted and carried through with what there is: no slot waits for that.
  void advance(Stream<Work> &works) {
    #pragma HLS INLINE
    note();
    if (slot_.pull) {
      more_words_ = words_left_ != 1;
      --words_left_;
      ++pulled_;
    }
    if (running_) ++slots_;
    const bool row_ends = last_slot_ && !waiting_;
    const bool counts = work_.tiles ? column_ : last_slot_;
    if (counts && !waiting_) ++slot_.weight;
    if (row_ends && slot_.last_row) {
      end(works);
    } else if (row_ends) {
      begin_row();
      slot_.first_row = false;
      slot_.last_row = rows_left_ == 1;
      --rows_left_;
      slot_.row += work_.row_step;
      go_on(slot_.h_word, slot_.h_lane);
    } else if (waiting_) {
      waiting_ = !last_wait_;
      last_wait_ = waits_left_ == 2;
      --waits_left_;
    } else {
      if (column_) slot_.segment += work_.segment_step;
      slot_.first = false;
      column_ = column_ && !slot_.last;
      slot_.last = slot_.left == work_.last_slots;
      last_slot_ = slot_.left == 1;
      --slot_.left;
    }
  }

  // Whether fetch has given more than the slots have taken
  bool leaves_works() const { return !work_.ends_list; }

  // Of a run of so many slots by its header; one that is cut short by that counts as one that pulls
  // too little.
  std::uint32_t status(std::uint32_t slots) const {
    if (bad_) return status_;
    const bool fine = whole_ && !more_words_ && slots_ <= slots;
    return std::uint32_t(fine ? kStatusFine : kStatusWords);
  }
  std::uint32_t slots() const { return slots_; }
  std::uint32_t words_left() const { return words_left_; }

 private:
  // A word of x is pulled in its turn, and read afterwards.
  void note() {
    #pragma HLS INLINE
    const bool over = slot_.tile && slot_.weight >= kWeightTiles;
    const int word = word_of(slot_.segment);
    const bool lacks = slot_.tile && work_.from_x &&
                       (wants_word_ ? !more_words_ || word != pulled_ : word >= pulled_);
    if (!bad_ && over && !lacks) status_ = status_of(kStatusWeights, work_.index);
    bad_ = bad_ || over || lacks;
  }

  // Ends a work. After the last one the same happens in every slot, and no harm is done.
  void end(Stream<Work> &works) {
    #pragma HLS INLINE
    if (work_.pops_x) pulled_ = 0;
    if (work_.pops) slot_.sequence_read = stride_on(slot_.sequence_read);
    if (work_.moves_on) slot_.sequence_write = stride_on(slot_.sequence_write);
    if (work_.steps) slot_.half = slot_.half ^ 1;
    whole_ = work_.ends_run;
    running_ = !work_.ends_list;
    if (!work_.ends_list) {
      work_ = works.read();
      begin();
    }
  }

  UInt<kSequenceBits> stride_on(UInt<kSequenceBits> word) const {
    #pragma HLS INLINE
    return UInt<kSequenceBits>(place_in<kSequenceDepth>(word + stride_));
  }

  void begin() {
    #pragma HLS INLINE
    if (work_.clears) slot_.sequence_read = slot_.sequence_write = 0;
    waiting_ = work_.waits_first;
    last_wait_ = work_.one_wait;
    waits_left_ = work_.waits;
    slot_.first_row = true;
    slot_.last_row = work_.one_row;
    rows_left_ = work_.more_rows;
    slot_.row = work_.row_first;
    slot_.weight = work_.weight_base;
    slot_.h_word = work_.h_word;
    slot_.h_lane = work_.h_lane;
    begin_row();
  }

  void begin_row() {
    #pragma HLS INLINE
    slot_.first = column_ = true;
    slot_.last = work_.one_column;
    last_slot_ = work_.one_slot;
    slot_.left = work_.more_slots;
    slot_.segment = work_.segment_first;
  }

  Work work_;
  Slot slot_ = {};
  bool waiting_;    // in its no-op slots
  bool last_wait_;  // in the last of them
  UInt<16> waits_left_;
  bool column_;     // in a row, and not in the slots that fill it up
  bool last_slot_;  // of the row
  UInt<kRowBits> rows_left_;
  bool wants_word_ = false;
  UInt<kColumnBits> pulled_ = 0;  // words of x, not used up yet
  // The run
  bool running_ = true;
  bool whole_ = false;
  bool bad_ = false;
  std::uint32_t status_ = kStatusWords;
  std::uint32_t slots_ = 0;
  std::uint32_t words_left_;
  bool more_words_;
  const UInt<kSequenceBits> stride_;
};

}  // namespace lstm
