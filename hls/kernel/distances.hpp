// Distances that the compiler of programs keeps and the DEPENDENCE pragmas of compute tell Vitis,
// held against every slot of csim. What is read of h is whole segments, so that a segment is as old
// as the element of it that finished last, and that counts from the slot that finished its row
// block.
#pragma once

#include "kernel/accumulator.hpp"
#include "kernel/vector_buffer.hpp"

namespace lstm {

// Least gaps, in slots, between writing a place and reading it. They follow from the distances that
// every program keeps (docs/slot-program.md); an element of h is written in its neuron's turn.
constexpr int kLoadGap = kTail;
constexpr int kHGap = kTail - (kMostPasses - 1);
constexpr int kSumGap = kAccDistance;
constexpr int kXGap = 2;  // one slot later, the word is the one that was pulled last
static_assert(kHGap > kSumGap, "the tail is longer than the accumulators' part of it");

#if defined(__SYNTHESIS__) || defined(LSTM_SHARP_VITIS)

struct Distances {  // taken on trust
  void check(const Work &, const Slot &) {}
  void check(const Group &) {}
};

#else

// A place is not read before kDistance slots have passed since it was written.
template <int kPlaces, int kDistance>
class Written {
 public:
  explicit Written(const char *name) : name_(name), written_(kPlaces, -kDistance) {}

  void write(int place, std::int64_t slot, int count = 1) {
    for (int end = place + count; place < end; ++place) written_[place] = slot;
  }

  void read(int place, std::int64_t slot, int count = 1) const {
    for (int end = place + count; place < end; ++place) {
      if (slot - written_[place] < kDistance) fail(place, slot);
    }
  }

 private:
  [[noreturn]] LSTM_APART void fail(int place, std::int64_t slot) const {
    throw std::logic_error(
        "slot " + std::to_string(slot) + " reads " + name_ + " " + std::to_string(place) +
        " only " + std::to_string(slot - written_[place]) + " slots after it was written; " +
        std::to_string(kDistance) + " are promised");
  }

  const char *name_;
  std::vector<std::int64_t> written_;
};

class Distances {
 public:
  void check(const Work &work, const Slot &slot) {
    ++now_;
    if (slot.load && slot.last) check_load(work, slot);
    if (slot.give) check_give(slot);
    if (slot.tile) check_tile(work, slot);
  }

  void check(const Group &group) {
    if (group.reads_c) c_.read(group.to.number, now_);
    c_.write(group.to.number, now_);
    const int segment = group.to.h_lane / kSegment;
    const int segments = (group.to.h_lane + kLanes - 1) / kSegment - segment + 1;
    h_.write(h_place(group.to.half, group.to.h_word) * kBands + segment, now_ - group.ago,
             segments);
    if (group.to.keep) {
      sequence_.write(group.to.sequence_word * kBands + segment, now_ - group.ago, segments);
    }
  }

 private:
  void check_load(const Work &work, const Slot &slot) {
    if (work.loads_weights) weights_.write(slot.weight, now_);
    if (work.loads_bias) biases_.write(slot.row, now_);
  }

  void check_give(const Slot &slot) {
    const int word = h_place(slot.half, slot.h_word);
    h_.read(word * kBands + slot.h_lane / kSegment, now_);
    c_.read(slot.row, now_);
  }

  void check_tile(const Work &work, const Slot &slot) {
    if (slot.weight < kWeightTiles) weights_.read(slot.weight, now_);
    const int word = word_of(slot.segment), segment = place_in<kBands>(slot.segment);
    if (work.from_h) h_.read(h_place(slot.half, word) * kBands + segment, now_, work.segment_step);
    if (work.from_sequence) {
      const int at = place_in<kSequenceDepth>(slot.sequence_read + word);
      sequence_.read(at * kBands + segment, now_, work.segment_step);
    }
    const bool scaled = slot.first ? work.shifts : slot.last && work.finish;
    if ((slot.first && work.from_bias) || (kRowScales && scaled)) {
      biases_.read(place_in<kBiasDepth * kBands>(slot.row + work.bias_offset), now_, work.gang);
    }
    if (slot.first && !work.from_bias) stored_.read(slot.row, now_, work.gang);
    if (slot.last && !work.finish) stored_.write(slot.row, now_, work.gang);
  }

  std::int64_t now_ = 0;
  Written<kWeightTiles, kLoadGap> weights_{"tile"};
  Written<kBiasDepth * kBands, kLoadGap> biases_{"biases of band"};
  Written<kStoredDepth * kBands, kSumGap> stored_{"sums of band"};
  Written<2 * kHDepth * kBands, kTail> h_{"h segment"};
  Written<kSequenceDepth * kBands, kTail> sequence_{"sequence segment"};
  Written<kCDepth, kHGap> c_{"c of group"};
};

#endif

}  // namespace lstm
