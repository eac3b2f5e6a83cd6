// What the DEPENDENCE pragmas of compute tell Vitis, held against every slot of csim.
#pragma once

#include "kernel/memories.hpp"

namespace lstm {

class Promises {
 public:
  void check(std::int64_t now, const Slot &slot, const Group &group) {
    if (slot.load && slot.last) check_load(now, slot);
    if (slot.give) check_give(now, slot);
    if (slot.tile) check_tile(now, slot);
    if (group.valid) check_group(now, group);
  }

 private:
  void check_load(std::int64_t now, const Slot &slot) {
    if (slot.i.op == kOpLoadWeights) weights_.write(slot.weight, now);
    if (slot.i.op == kOpLoadBias) biases_.write(slot.bias, now);
  }

  void check_give(std::int64_t now, const Slot &slot) {
    const int word = h_place(slot.half, slot.place.word);
    h_.read(word * kBands + slot.place.lane / kSegment, now);
    c_.read(slot.row, now);
  }

  void check_tile(std::int64_t now, const Slot &slot) {
    weights_.read(slot.weight, now);
    const UInt<16> step = in_segments(slot.i, 1);
    if (slot.i.source == kSourceH) {
      h_.read(h_place(slot.half, slot.word) * kBands + slot.segment, now, step);
    }
    if (slot.i.source == kSourceSequence) {
      const int word = sequence_place(slot.sequence_read + slot.word);
      sequence_.read(word * kBands + slot.segment, now, step);
    }
    if (slot.first && slot.i.start == kStartBias) biases_.read(slot.bias, now, slot.gang);
    if (slot.first && slot.i.start != kStartBias) stored_.read(slot.row, now, slot.gang);
    if (slot.last && !slot.i.finish) stored_.write(slot.row, now, slot.gang);
  }

  void check_group(std::int64_t now, const Group &group) {
    if (group.reads_c) c_.read(group.number, now);
    c_.write(group.number, now);
    const int segment = group.place.lane / kSegment;
    const int segments = (group.place.lane + kLanes - 1) / kSegment - segment + 1;
    h_.write(h_place(group.half, group.place.word) * kBands + segment, now, segments);
    if (group.keep) {
      const int word = sequence_place(group.sequence_word);
      sequence_.write(word * kBands + segment, now, segments);
    }
  }

  Promise<kWeightTiles, kLoadGap> weights_{"tile"};
  Promise<kBiasBlocks, kLoadGap> biases_{"biases of band"};
  Promise<kBlocks, kSumGap> stored_{"sums of band"};
  Promise<2 * kHDepth * kBands, kHGap> h_{"h segment"};
  Promise<kSequenceDepth * kBands, kHGap> sequence_{"sequence segment"};
  Promise<kGroups, kHGap> c_{"c of group"};
};

}  // namespace lstm
