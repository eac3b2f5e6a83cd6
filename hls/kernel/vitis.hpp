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

template <int kBits>
Int<kBits> element(const Beat &beat, int place) {
  #pragma HLS INLINE
  return Int<kBits>(beat.range((place + 1) * kBits - 1, place * kBits));
}

template <int kBits>
void set_element(Beat &beat, int place, Int<kBits> value) {
  #pragma HLS INLINE
  beat.range((place + 1) * kBits - 1, place * kBits) = value;
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
