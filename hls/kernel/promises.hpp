// What the DEPENDENCE pragmas of compute tell Vitis, held against every slot of csim.
#pragma once

#include "kernel/memories.hpp"

namespace lstm {

class Promises {
 public:
  void check(const Work &work, const Slot &slot) {
    ++now_;
    if (slot.load && slot.last) check_load(work, slot);
    if (slot.give) check_give(slot);
    if (slot.tile) check_tile(work, slot);
  }

  void check(const Group &group) {
    if (group.reads_c) c_.read(group.number, now_);
    c_.write(group.number, now_);
    const int segment = group.h_lane / kSegment;
    const int segments = (group.h_lane + kLanes - 1) / kSegment - segment + 1;
    h_.write(h_place(group.half, group.h_word) * kBands + segment, now_, segments);
    if (group.keep) {
      sequence_.write(group.sequence_word * kBands + segment, now_, segments);
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
    if (slot.first && work.from_bias) {
      biases_.read(place_in<kBiasDepth * kBands>(slot.row + work.bias_offset), now_, work.gang);
    }
    if (slot.first && !work.from_bias) stored_.read(slot.row, now_, work.gang);
    if (slot.last && !work.finish) stored_.write(slot.row, now_, work.gang);
  }

  std::int64_t now_ = 0;
  Promise<kWeightTiles, kLoadGap> weights_{"tile"};
  Promise<kBiasDepth * kBands, kLoadGap> biases_{"biases of band"};
  Promise<kStoredDepth * kBands, kSumGap> stored_{"sums of band"};
  Promise<2 * kHDepth * kBands, kHGap> h_{"h segment"};
  Promise<kSequenceDepth * kBands, kHGap> sequence_{"sequence segment"};
  Promise<kCDepth, kHGap> c_{"c of group"};
};

}  // namespace lstm
