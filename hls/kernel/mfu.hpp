// MFU: hands a row block's finished sums to the lanes in turns, and packs h into beats.
#pragma once

#include "kernel/cell.hpp"
#include "kernel/shapes.hpp"
#include "kernel/walker.hpp"

namespace lstm {

using Sums = Acc_t[kBands * kRows];  // running sums, bank after bank

// Neurons that leave the lanes together, or came together from the weight stream
struct Group {
  Neuron neuron[kLanes];
  bool valid = false;
  bool reads_c = false;
  bool emit = false;
  bool keep = false;
  bool ends_vector = false;
  bool ends_run = false;
  UInt<16> ago = 0;     // slots since that from which D counts: of the shape with most turns, the
                        // one that finished it; a shape with fewer may be read that much earlier
  UInt<16> number = 0;  // place in the c buffer
  UInt<1> half = 0;     // of the h buffer
  Place place = {0, 0};
  UInt<32> sequence_word = 0;
};

// Turns of the row block that finished last. Finishing slots are as far apart as its turns take, so
// a new one never comes before the last turn of the one before.
class Turns {
 public:
  Turns() {
    #pragma HLS ARRAY_PARTITION variable = sums_ complete dim = 0
  }

  void take(const Slot &slot, const Sums &sums) {
    #pragma HLS INLINE
    slot_ = slot;
    turn_ = 0;
    if (slot.first_row) place_ = Place{slot.i.h_word, slot.i.h_lane};
  Banks:
    for (int bank = 0; bank < kBands; ++bank) {
    Hold:
      for (int k = 0; k < kRows; ++k) sums_[bank][k] = sums[bank * kRows + k];
    }
  }

  bool active() const { return turn_ < turns(); }
  UInt<16> number() const { return UInt<16>(slot_.row * kPasses + turn_); }

  // One turn: c of these neurons becomes their new c and h.
  Group next(const C_t (&c_before)[kLanes]) {
    #pragma HLS INLINE
    Group group;
    // kPasses turns take up a bank, the last of its rows moving to where the first ones were.
    const int bank = (slot_.row + turn_ / kPasses) % kBands;
  Lanes:
    for (int lane = 0; lane < kLanes; ++lane) {
      const int k = 4 * lane;
      const Acc_t gates[4] = {sums_[bank][k], sums_[bank][k + 1], sums_[bank][k + 2],
                              sums_[bank][k + 3]};
      const C_t c = slot_.i.c_zero ? C_t(0) : c_before[lane];
      group.neuron[lane] = update_cell(gates, c, slot_.i.act_shift);
    }
  Move_Up:
    for (int k = 0; k + 4 * kLanes < kRows; ++k) sums_[bank][k] = sums_[bank][k + 4 * kLanes];
    const bool last = turn_ + 1 == turns();
    group.valid = true;
    group.reads_c = !slot_.i.c_zero;
    group.emit = slot_.i.emit;
    group.keep = slot_.i.keep;
    group.ends_vector = last && slot_.last_row && slot_.i.ends;
    group.ends_run = slot_.ends_run;
    group.ago = UInt<16>(turn_ + (kMostPasses - turns()));
    group.number = number();
    group.half = slot_.half ^ 1;
    group.place = place_;
    group.sequence_word = slot_.sequence_write + place_.word;
    place_ = after(place_);
    ++turn_;
    return group;
  }

 private:
  // One shape's are constant.
  int turns() const { return kShapes == 1 ? kPasses : int(slot_.gang) * kPasses; }

  Slot slot_{};
  UInt<16> turn_ = kMostPasses;
  Place place_ = {0, 0};
  Acc_t sums_[kBands][kRows];
};

// Packs h into beats; a vector's last beat is filled up with zeros.
class Packer {
 public:
  // Whether a beat is complete
  bool add(const Group &group, HBeat &out) {
    #pragma HLS INLINE
  Pack:
    for (int lane = 0; lane < kLanes; ++lane) {
      set_element<kActivationBits>(beat_, elements_ + lane, group.neuron[lane].h);
    }
    elements_ += kLanes;
    const bool complete = elements_ == kBeatElements || group.ends_vector;
    out = HBeat{beat_, group.ends_vector && group.ends_run, false};
    if (complete) {
      beat_ = zero_beat();
      elements_ = 0;
    }
    return complete;
  }

 private:
  Beat beat_ = zero_beat();
  UInt<16> elements_ = 0;
};

}  // namespace lstm
