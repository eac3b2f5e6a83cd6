// MFU: hands a row block's finished sums to the lanes in turns.
#pragma once

#include "kernel/dispatcher.hpp"
#include "kernel/mfu_lane.hpp"

namespace lstm {

using Sums = Acc_t[kBands * kRows];                               // running sums, bank after bank
constexpr int kScalePlaceBits = bits_for(kScaleDepth * kPasses);  // of a turn, and behind the last

// Where finished neurons go
struct Target {
  bool emit = false;
  bool keep = false;
  bool ends_vector = false;
  bool ends_run = false;
  UInt<16> number = 0;  // place in the c buffer
  UInt<1> half = 0;     // of the h buffer
  UInt<16> h_word = 0;
  UInt<16> h_lane = 0;
  UInt<kSequenceBits> sequence_word = 0;
};

// Neurons that leave the lanes together, or came together from the weight stream
struct Group {
  Neuron neuron[kLanes] = {};
  Target to;
  bool reads_c = false;
  UInt<16> ago = 0;  // slots since that from which D counts: of the shape with most turns, the one
                     // that finished it; a shape with fewer may be read that much earlier
};

// A turn of the lanes: kLanes neurons of the row block that finished last
struct Turn {
  bool valid;
  bool begins;  // the row block finishes in this slot
  bool last;
};

// Turns of the row block that finished last. Finishing slots are as far apart as its turns take, so
// a new one never comes before the last turn of the one before.
class Turns {
 public:
  explicit Turns(bool gru) : gru_(gru) {
    #pragma HLS ARRAY_PARTITION variable = sums_ complete dim = 0
  }

  // The turn of this slot; that it is the last one, a slot tells early.
  Turn next(const Work &work, const Slot &slot) {
    #pragma HLS INLINE
    const bool begins = slot.tile && slot.last && work.finish;
    Turn turn = {begins || active_, begins, last_};
    if (begins) {
      // One shape's turns are constant.
      const int turns = kShapes == 1 ? kPasses : int(work.gang) * kPasses;
      left_ = UInt<16>(turns);
      to_.number = UInt<16>(slot.row * kPasses);
      if (slot.first_row) {
        to_.h_word = work.h_word;
        to_.h_lane = work.h_lane;
      }
      to_.half = slot.half ^ 1;
      to_.sequence_word = slot.sequence_write;
      to_.emit = work.emit;
      to_.keep = work.keep;
      to_.ends_vector = work.ends && slot.last_row;
      to_.ends_run = work.ends_run && slot.last_row;
      const int band = place_in<kScaleDepth>(int(slot.row + work.bias_offset));
      scale_ = UInt<kScalePlaceBits>(band * kPasses);
      act_shift_ = work.act_shift;
      c_shift_ = work.c_shift;
      h_drop_ = work.h_drop;
      c_zero_ = work.c_zero;
      turn.last = turns == 1;
      active_ = turns != 1;
      last_ = turns == 2;
    } else if (active_) {
      active_ = !last_;
      last_ = left_ == 2;
    }
    return turn;
  }

  // Place in the c buffer
  UInt<16> number() const { return to_.number; }

  // And of the turn's band in the memory of scales
  int scales_at() const { return place_in<kScaleDepth>(int(scale_) / kPasses); }

  // c of these neurons, and the sums of their gates, become their new c and h.
  Group update(const Turn &turn, const Sums &running, const Scales &scales,
               const C_t (&c_before)[kLanes]) {
    #pragma HLS INLINE
    if (turn.begins) {
    Banks:
      for (int bank = 0; bank < kBands; ++bank) {
      Hold:
        for (int k = 0; k < kRows; ++k) sums_[bank][k] = running[bank * kRows + k];
      }
    }
    // kPasses turns take up a bank, the last of its rows moving to where the first ones were.
    const int bank = place_in<kBands>(to_.number / kPasses);
    Group group;
    #pragma HLS ARRAY_PARTITION variable = group.neuron complete
  Lanes:
    for (int lane = 0; lane < kLanes; ++lane) {
      const int k = 4 * lane;
      const Acc_t gates[4] = {sums_[bank][k], sums_[bank][k + 1], sums_[bank][k + 2],
                              sums_[bank][k + 3]};
      #pragma HLS ARRAY_PARTITION variable = gates complete
      const Scale own[4] = {scale_of(scales, k), scale_of(scales, k + 1), scale_of(scales, k + 2),
                            scale_of(scales, k + 3)};
      #pragma HLS ARRAY_PARTITION variable = own complete
      group.neuron[lane] = update_cell(gates, own, c_zero_ ? C_t(0) : c_before[lane], c_shift_,
                                       h_drop_, kGru && gru_);
    }
  Move_Up:
    for (int k = 0; k + 4 * kLanes < kRows; ++k) sums_[bank][k] = sums_[bank][k + 4 * kLanes];
    group.to = to_;
    group.to.ends_vector = turn.last && to_.ends_vector;
    group.to.sequence_word =
        UInt<kSequenceBits>(place_in<kSequenceDepth>(to_.sequence_word + to_.h_word));
    group.reads_c = !c_zero_;
    group.ago = UInt<16>(kMostPasses - left_);
    ++to_.number;
    ++scale_;
    --left_;
    go_on(to_.h_word, to_.h_lane);
    return group;
  }

 private:
  // Of the turn's row k: its own among the band's, or that of all
  Scale scale_of(const Scales &scales, int k) const {
    #pragma HLS INLINE
    int own = act_shift_;
  Passes:
    for (int pass = 0; kRowScales && pass < kPasses; ++pass) {
      if (place_in<kPasses>(int(scale_)) == pass) {
        own = int(get<kScaleBits>(scales, 4 * kLanes * pass + k));
      }
    }
    return Scale(own & ((1 << kScaleBits) - 1));
  }

  const bool gru_;
  bool active_ = false;              // a turn of an earlier row block follows
  bool last_ = false;                // its last
  UInt<16> left_ = 0;                // turns with this one
  Target to_;                        // of its neurons; the word of the sequence is its step's first
  UInt<kScalePlaceBits> scale_ = 0;  // place of its rows' scales
  UInt<kActShiftBits> act_shift_ = 0;
  UInt<2> c_shift_ = 0;
  UInt<4> h_drop_ = 0;
  bool c_zero_ = false;
  Acc_t sums_[kBands][kRows] = {};
};

}  // namespace lstm
