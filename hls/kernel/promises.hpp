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
    h_.read(h_place(slot.half, slot.place.word), now);
    c_.read(slot.row, now);
  }

  void check_tile(std::int64_t now, const Slot &slot) {
    weights_.read(slot.weight, now);
    if (slot.i.source == kSourceH) h_.read(h_place(slot.half, slot.column), now);
    if (slot.i.source == kSourceSequence) {
      sequence_.read(sequence_place(slot.sequence_read + slot.column), now);
    }
    if (slot.first && slot.i.start == kStartBias) biases_.read(slot.bias, now);
    if (slot.first && slot.i.start != kStartBias) stored_.read(slot.row, now);
    if (slot.last && !slot.i.finish) stored_.write(slot.row, now);
  }

  void check_group(std::int64_t now, const Group &group) {
    if (group.reads_c) c_.read(group.number, now);
    c_.write(group.number, now);
    h_.write(h_place(group.half, group.place.word), now);
    if (group.keep) sequence_.write(sequence_place(group.sequence_word), now);
  }

  Promise<kWeightTiles, kLoadGap> weights_{"tile"};
  Promise<kBiasBlocks, kLoadGap> biases_{"biases of row block"};
  Promise<kBlocks, kSumGap> stored_{"sums of row block"};
  Promise<2 * kHDepth, kHGap> h_{"h word"};
  Promise<kSequenceDepth, kHGap> sequence_{"sequence word"};
  Promise<kGroups, kHGap> c_{"c of group"};
};

}  // namespace lstm
