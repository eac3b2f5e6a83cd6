// The arithmetic behind the sums: sigma, tanh and the cell update of one neuron, bit for bit
// numerics/golden.py.
#pragma once

#include "kernel/types.hpp"
#include "tanh_table.hpp"

namespace lstm {

using Z_t = Int<kZBits>;               // argument of tanh
using Tanh_t = Int<kZFrac + 1>;        // y of numerics/activation.py: tanh is (2 y + 1) 2^-17
using Factor_t = Int<kSigmaFrac + 1>;  // sigma, or tanh's 2 y + 1, in units of 2^-17

using Scaled_t = Int<kScaledBits>;  // a sum times its row's factor

constexpr int kScaleBits = kActShiftBits + kFactorBits;
using Scale = UInt<kScaleBits>;  // of a row: act_shift, above it factor
using Scales = Pack<kScaleBits, kRows>;

// From scaled sum to argument: left as far as the widest scale needs, then right.
static_assert(1 + kSegmentBits + kFracBits == kZBits, "sign, segment, place in the segment");
constexpr int kZLeft = kZShiftMin < 0 ? -kZShiftMin : 0;
constexpr int kZRight = kZShiftMin > 0 ? kZShiftMin : 0;
constexpr int kWideBits = kScaledBits + kZLeft;
static_assert(kWideBits <= 64, "csim has no wider integer");

// f c + i g in units of 2^-34, and o tanh(c) in the same, or in those of a GRU's z c
constexpr int kCellFrac = 2 * kSigmaFrac;
constexpr int kCellBits = kCBits + kSigmaFrac + 1;  // of 2 f c
constexpr int kGateBits = kCellFrac + 1;            // of i g, o tanh(c)
constexpr int kFiner = kGru ? kGruCFrac - kSigmaFrac : 0;
constexpr int kOutputFrac = kCellFrac + kFiner;
constexpr int kOperandBits = kGru ? kCBits + 1 : kSigmaFrac + 1;  // of what o multiplies
constexpr int kOutputBits = kGru ? kCBits + kSigmaFrac + 1 : kCellFrac + 2;
constexpr int kWideCBits = kCBits + (kRowScales ? kMaxCShift : 0);  // of c in units of 2^-16
static_assert(kCFrac == kZFrac, "c is an argument of tanh, but for its shift");
static_assert(kCFrac + 1 == kSigmaFrac, "2 c and the factors have the same scale");

struct Neuron {
  C_t c;
  Activation_t h;
  bool saturated;  // c was, or a GRU's n_h or n_x
};

inline Tanh_t tanh_steps(Z_t z) {
  #pragma HLS INLINE
  const bool negative = z < 0;
  const UInt<kZBits - 1> u = negative ? Z_t(~z) : z;
  const UInt<kTanhBits> segment = tanh_segment(UInt<kSegmentBits>(u >> kFracBits));
  const UInt<kTanhBits - kSlopeBits> base = UInt<kTanhBits - kSlopeBits>(segment >> kSlopeBits);
  const UInt<kSlopeBits> slope = segment & ((1 << kSlopeBits) - 1);
  const UInt<kFracBits> place = u & ((1 << kFracBits) - 1);
  const UInt<kSlopeBits + kFracBits> rise = slope * place;
  #pragma HLS BIND_OP variable = rise op = mul impl = dsp
  const Tanh_t y = base + (rise >> kFracBits);
  return negative ? Tanh_t(~y) : y;
}

// Times 4, 5, 6 or 7 quarters, by one sum: 7 is 8 - 1, whose negative is a complement and 1.
inline Scaled_t scaled(Acc_t sum, UInt<kFactorBits> factor) {
  #pragma HLS INLINE
  if (!kRowScales) return sum;
  using Eight_t = Int<kAccBits + 3>;
  const Eight_t one = sum;
  const bool less = factor == 3;
  const Eight_t most = less ? Eight_t(shift_left(one, 3) | 1) : shift_left(one, 2);
  const Eight_t more = factor == 0   ? Eight_t(0)
                       : factor == 1 ? one
                       : less        ? Eight_t(~one)
                                     : shift_left(one, 1);
  return Scaled_t(most + more);
}

inline Int<kWideBits> shifted(Acc_t sum, Scale scale, int right) {
  #pragma HLS INLINE
  const int act_shift = int(scale) & ((1 << kActShiftBits) - 1);
  const Int<kWideBits> wide = scaled(sum, UInt<kFactorBits>(scale >> kActShiftBits));
  return shift_left(wide, kZLeft) >> (right + act_shift);
}

inline Z_t argument(Acc_t sum, Scale scale, int right) {
  #pragma HLS INLINE
  return saturate<kZBits>(shifted(sum, scale, right));
}

// sigma(z) = (1 + tanh(z / 2)) / 2; the division of z is in the shift
inline Factor_t sigma(Acc_t sum, Scale scale) {
  #pragma HLS INLINE
  return Factor_t(tanh_steps(argument(sum, scale, kZRight + 1))) + (1 << kZFrac);
}

inline Factor_t centre(Tanh_t y) {
  #pragma HLS INLINE
  return 2 * Factor_t(y) + 1;
}

// sums, scales: of the gates i, f, g, o, or in their places of n_h, r, n_x, z
inline Neuron update_cell(const Acc_t (&sums)[4], const Scale (&scales)[4], C_t c_before,
                          int c_shift, int h_drop, bool gru) {
  #pragma HLS INLINE
  const Factor_t i = sigma(sums[0], scales[0]);
  const Factor_t f = sigma(sums[1], scales[1]);
  const Tanh_t tanh_g = tanh_steps(argument(sums[2], scales[2], kZRight));
  const Factor_t g = centre(Tanh_t(tanh_g >> c_shift));
  const Factor_t o = sigma(sums[3], scales[3]);

  // f c + i g, or r n_h + n_x; n_h stands for the middle of its step
  constexpr int kDrop = kCellFrac - kCFrac;
  constexpr int kHalf = 1 << (kDrop - 1);
  C_t factor = c_before;
  Int<kCellBits> beside = multiply<kGateBits>(i, g);
  Neuron after;
  after.saturated = false;
  if (gru) {
    const Int<kWideBits> n_h = shifted(sums[0], scales[0], kZRight + 1);
    const Int<kWideBits> n_x = shifted(sums[2], scales[2], kZRight);
    const Int<kCBits - 1> held_h = saturate<kCBits - 1>(n_h);
    const C_t held_x = saturate<kCBits>(n_x);
    after.saturated = held_h != n_h || held_x != n_x;
    factor = shift_left(C_t(held_h), 1) | 1;
    beside = shift_left(Int<kCellBits>(held_x), kDrop);
  }
  const Int<kCellBits> product = multiply<kCellBits>(f, factor);
  const auto c = Int<kCBits + 1>((shift_left(product, 1) + beside + kHalf) >> kDrop);
  after.c = saturate<kCBits>(c);
  if (!gru) after.saturated = after.c != c;

  // o tanh(c); or n + z (c - n), which is the new c
  const Int<kWideCBits> wide_c = shift_left(Int<kWideCBits>(after.c), c_shift);
  const Factor_t t = centre(tanh_steps(saturate<kZBits>(wide_c)));
  Int<kOperandBits> operand = shift_left(Int<kOperandBits>(t), kFiner);
  Int<kOutputBits> above = 0;
  if (gru) {
    operand = c_before - operand;
    above = shift_left(Int<kOutputBits>(t), kGruCFrac) + (1 << (kSigmaFrac - 1));
  }
  const Int<kOutputBits> out = multiply<kOutputBits>(o, operand) + above;
  if (gru) after.c = C_t(out >> kSigmaFrac);
  constexpr int kDropH = kOutputFrac - kHFrac;
  const Int<kOutputBits> half = shift_left(Int<kOutputBits>(1), kDropH - 1 + h_drop);
  const Activation_t h = saturate<kActBits>((out + half) >> kDropH);
  after.h = kMixed ? shift_left(Activation_t(h >> h_drop), h_drop) : h;
  return after;
}

}  // namespace lstm
