// Types under Vitis HLS: the same names as in native.hpp.
#pragma once

#include <ap_axi_sdata.h>
#include <ap_int.h>
#include <hls_stream.h>

#include <cstdint>

#include "config.hpp"

#define LSTM_APART inline

namespace lstm {

template <int kBits>
using Int = ap_int<kBits>;

template <int kBits>
using UInt = ap_uint<kBits>;

template <int kBits, class A, class B>
Int<kBits> multiply(A a, B b) {
  #pragma HLS INLINE
  const Int<kBits> product = a * b;  // as wide as both together: wider would take more DSPs
  #pragma HLS BIND_OP variable = product op = mul impl = dsp
  return product;
}

// The same of LUTs
template <int kBits, class A, class B>
Int<kBits> multiply_in_luts(A a, B b) {
  #pragma HLS INLINE
  const Int<kBits> product = a * b;
  #pragma HLS BIND_OP variable = product op = mul impl = fabric
  return product;
}

// A weight of an operand that holds several: less by one where those below it are negative
// together, for their sign is spread over all that lies above.
template <class W>
W packed_weight(W weight, W below) {
  #pragma HLS INLINE
  return W(weight - W(below < 0 ? 1 : 0));
}

template <class T>
T shift_left(T value, int by) {
  #pragma HLS INLINE
  return value << by;
}

template <class T>
using Stream = hls::stream<T>;

using Beat = ap_uint<kStreamBits>;
using Packet = ap_axiu<kStreamBits, 0, 0, 0>;
using Axis = hls::stream<Packet>;

inline Beat zero_beat() { return Beat(0); }
inline Beat take(Axis &port) { return port.read().data; }

inline void give(Axis &port, const Beat &data, bool last) {
  #pragma HLS INLINE
  Packet packet;
  packet.data = data;
  packet.keep = -1;
  packet.strb = -1;
  packet.last = last;
  port.write(packet);
}

// The element of kBits bits at a place of a beat, where it takes whole bytes
constexpr int room_of(int bits) { return bits <= 8 ? 8 : bits <= 16 ? 16 : bits; }

template <int kBits>
Int<kBits> element(const Beat &beat, int place) {
  #pragma HLS INLINE
  const int at = place * room_of(kBits);
  return Int<kBits>(beat.range(at + kBits - 1, at));
}

template <int kBits>
void set_element(Beat &beat, int place, Int<kBits> value) {
  #pragma HLS INLINE
  constexpr int kRoom = room_of(kBits);
  beat.range((place + 1) * kRoom - 1, place * kRoom) = Int<kRoom>(value);
}

constexpr bool kWordsHaveLimits = true;

// kCount integers side by side in one word of a memory or of a FIFO, which so has the ports and the
// width that it says
template <int kBits, int kCount>
using Pack = ap_uint<kBits * kCount>;

template <int kBits, class Packed>
Int<kBits> get(const Packed &pack, int place) {
  #pragma HLS INLINE
  return Int<kBits>(pack.range((place + 1) * kBits - 1, place * kBits));
}

// Half of what lies above each of several numbers of kBits but the last
constexpr std::int64_t halves(int count, int bits) {
  return count < 2 ? 0 : halves(count - 1, bits) | std::int64_t(1) << ((count - 1) * bits - 1);
}

// Products of kCount weights at a place of a word, which one DSP makes: its operand holds them
// kBits apart. Halves are added by the DSP's own adder, so that no product borrows from the next;
// it then differs from what it is by its sign bit.
template <int kBits, int kCount, class Weights, class A>
void multiply_packed(const Weights &weights, int first, A scalar, Int<kBits> (&products)[kCount]) {
  #pragma HLS INLINE
  const Int<kCount * kBits> half = halves(kCount, kBits);
  UInt<kPackedBits> spread = 0;
Spread:
  for (int i = 0; i < kCount; ++i) {
    const int high = i + 1 < kCount ? (i + 1) * kBits - 1 : kPackedBits - 1;
    spread.range(high, i * kBits) = Int<kBits>(get<kWeightBits>(weights, first + i));
  }
  const Int<kPackedBits> operand = get<kPackedBits>(spread, 0);
  const Int<kCount * kBits> product = operand * scalar;
  #pragma HLS BIND_OP variable = product op = mul impl = dsp
  const Int<kCount * kBits> result = (product + half) ^ half;
Part:
  for (int i = 0; i < kCount; ++i) products[i] = get<kBits>(result, i);
}

template <int kBits, class Packed>
void put(Packed &pack, int place, Int<kBits> value) {
  #pragma HLS INLINE
  pack.range((place + 1) * kBits - 1, place * kBits) = value;
}

// What has been read from a memory, which is not written before it has been used
template <class T>
using View = T;

// Of two values that have been read, not of two places to read from
template <class T>
T choose(bool first, T one, T other) {
  #pragma HLS INLINE
  return first ? one : other;
}

}  // namespace lstm
