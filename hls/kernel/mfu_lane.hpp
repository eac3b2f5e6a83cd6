// The arithmetic behind the sums: sigma, tanh and the cell update of one neuron, bit for bit
// numerics/golden.py.
#pragma once

#include "kernel/types.hpp"
#include "tanh_table.hpp"

namespace lstm {

using Z_t = Int<kZBits>;               // argument of tanh
using Tanh_t = Int<kZFrac + 1>;        // y of numerics/activation.py: tanh is (2 y + 1) 2^-17
using Factor_t = Int<kSigmaFrac + 1>;  // sigma, or tanh's 2 y + 1, in units of 2^-17

// From accumulator to argument: left as far as the widest scale needs, then right.
static_assert(1 + kSegmentBits + kFracBits == kZBits, "sign, segment, place in the segment");
constexpr int kZLeft = kZShiftMin < 0 ? -kZShiftMin : 0;
constexpr int kZRight = kZShiftMin > 0 ? kZShiftMin : 0;
constexpr int kWideBits = kAccBits + kZLeft;
static_assert(kWideBits <= 64, "csim has no wider integer");

// f c + i g in units of 2^-34, and o tanh(c) in the same
constexpr int kCellFrac = 2 * kSigmaFrac;
constexpr int kCellBits = kCBits + kSigmaFrac + 1;  // of 2 f c
constexpr int kGateBits = kCellFrac + 1;            // of i g, o tanh(c)
constexpr int kOutputBits = kCellFrac + 2;
static_assert(kCFrac == kZFrac, "c is an argument of tanh as it is");
static_assert(kCFrac + 1 == kSigmaFrac, "2 c and the factors have the same scale");

struct Neuron {
  C_t c;
  Activation_t h;
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

inline Z_t argument(Acc_t sum, int right) {
  #pragma HLS INLINE
  const Int<kWideBits> wide = shift_left(Int<kWideBits>(sum), kZLeft);
  return saturate<kZBits>(wide >> right);
}

// sigma(z) = (1 + tanh(z / 2)) / 2; the division of z is in the shift
inline Factor_t sigma(Acc_t sum, int act_shift) {
  #pragma HLS INLINE
  return Factor_t(tanh_steps(argument(sum, kZRight + act_shift + 1))) + (1 << kZFrac);
}

inline Factor_t centre(Tanh_t y) {
  #pragma HLS INLINE
  return 2 * Factor_t(y) + 1;
}

// sums: of the gates i, f, g, o
inline Neuron update_cell(const Acc_t (&sums)[4], C_t c_before, int act_shift) {
  #pragma HLS INLINE
  const Factor_t i = sigma(sums[0], act_shift);
  const Factor_t f = sigma(sums[1], act_shift);
  const Factor_t g = centre(tanh_steps(argument(sums[2], kZRight + act_shift)));
  const Factor_t o = sigma(sums[3], act_shift);

  constexpr int kDrop = kCellFrac - kCFrac;
  constexpr int kHalf = 1 << (kDrop - 1);
  const Int<kCellBits> fc = multiply<kCellBits>(f, c_before);
  const Int<kGateBits> ig = multiply<kGateBits>(i, g);
  Neuron after;
  after.c = saturate<kCBits>((shift_left(fc, 1) + ig + kHalf) >> kDrop);

  const Factor_t t = centre(tanh_steps(saturate<kZBits>(after.c)));
  constexpr int kDropH = kCellFrac - kHFrac;
  const Int<kOutputBits> out = multiply<kGateBits>(o, t) + (Int<kOutputBits>(1) << (kDropH - 1));
  after.h = saturate<kActBits>(out >> kDropH);
  return after;
}

}  // namespace lstm
