// h stream: packs groups of neurons into beats, and makes those of a state that is given.
#pragma once

#include "kernel/mfu.hpp"
#include "kernel/vector_select.hpp"

namespace lstm {

using Cells = C_t[kLanes];

// Packs h into beats; a vector's last beat is filled up with zeros. A place of the beat is written
// where it is this group's turn, so that nothing is shifted by a variable.
class Packer {
 public:
  Packer() {
    #pragma HLS ARRAY_PARTITION variable = elements_ complete
  Empty:
    for (int e = 0; e < kBeatElements; ++e) {
      #pragma HLS UNROLL
      elements_[e] = 0;
    }
  }

  // Whether a beat is complete
  bool add(const Group &group, HBeat &out) {
    #pragma HLS INLINE
    Beat beat = zero_beat();
    const bool complete = last_ || group.to.ends_vector;
  Pack_Elements:
    for (int e = 0; e < kBeatElements; ++e) {
      const Activation_t element = group_ == e / kLanes ? group.neuron[e % kLanes].h : elements_[e];
      set_element<kActBits>(beat, e, element);
      elements_[e] = complete ? Activation_t(0) : element;
    }
    group_ = complete ? UInt<8>(0) : UInt<8>(group_ + 1);
    last_ = complete ? kGroupsOfBeat == 1 : group_ == kGroupsOfBeat - 1;
    out = HBeat{beat, group.to.ends_vector && group.to.ends_run, false};
    return complete;
  }

 private:
  static constexpr int kGroupsOfBeat = kBeatElements / kLanes;
  static_assert(kGroupsOfBeat * kLanes == kBeatElements, "groups fill beats");

  Activation_t elements_[kBeatElements];
  UInt<8> group_ = 0;  // that comes next
  bool last_ = kGroupsOfBeat == 1;
};

// The beat of a neuron's h and c: slots of a state give one each.
inline HBeat state_beat(const Work &work, const Slot &slot, const Scalars &scalars,
                        const Cells &c) {
  #pragma HLS INLINE
  const int lane = kLanes - 1 - int(slot.left);
  const int element = int(slot.h_lane) + lane;
  Beat beat = zero_beat();
  set_element<32>(beat, 0, Activation_t(scalars[element / kSegment][element % kSegment]));
  set_element<32>(beat, 1, c[lane]);
  return HBeat{beat, work.ends_run && slot.last_row && slot.last, false};
}

}  // namespace lstm
