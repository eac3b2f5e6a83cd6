// Types under plain g++: native integers, beats of bytes, and FIFOs that grow and never block.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "config.hpp"

// g++ vectorises a loop, and schedules what is often run, best beside functions of their own.
#define LSTM_APART __attribute__((noinline)) inline

namespace lstm {

template <int kBits>
using Int = std::conditional_t<
    (kBits <= 8), std::int8_t,
    std::conditional_t<(kBits <= 16), std::int16_t,
                       std::conditional_t<(kBits <= 32), std::int32_t, std::int64_t>>>;

// Counters and places of odd widths are int, as in every expression; g++ keeps those in registers.
template <int kBits>
using UInt = std::conditional_t<(kBits & (kBits - 1)) != 0 && (kBits < 32), int,
                                std::make_unsigned_t<Int<kBits>>>;

// A product in full
template <int kBits, class A, class B>
Int<kBits> multiply(A a, B b) {
  static_assert(kBits <= 64, "no native integer is that wide");
  return static_cast<Int<kBits>>(a) * static_cast<Int<kBits>>(b);
}

// Weights as multipliers take them; native integers are packed into no operand.
template <class W>
W packed_weight(W weight, W) {
  return weight;
}

// Products of weights at a place of a word, and those that LUTs make
template <int kBits, int kCount, class Weights, class A>
void multiply_packed(const Weights &weights, int first, A scalar, Int<kBits> (&products)[kCount]) {
  for (int i = 0; i < kCount; ++i) products[i] = multiply<kBits>(weights.of[first + i], scalar);
}

template <int kBits, class A, class B>
Int<kBits> multiply_in_luts(A a, B b) {
  return multiply<kBits>(a, b);
}

// value * 2^by, for negative values too
template <class T>
T shift_left(T value, int by) {
  return static_cast<T>(static_cast<std::make_unsigned_t<T>>(value) << by);
}

template <class T>
class Stream {
 public:
  explicit Stream(const char *name) : name_(name) {}

  bool empty() const { return next_ == items_.size(); }
  void write(const T &item) { items_.push_back(item); }

  T read() {
    if (empty()) throw std::runtime_error(std::string("the engine waits for ") + name_);
    const T item = items_[next_++];
    if (empty()) {
      items_.clear();
      next_ = 0;
    }
    return item;
  }

 private:
  const char *name_;
  std::vector<T> items_;
  std::size_t next_ = 0;
};

struct Beat {
  std::uint8_t byte[kStreamBits / 8];
};

struct Packet {
  Beat data;
  bool last;
};

using Axis = Stream<Packet>;

inline Beat zero_beat() { return Beat{}; }
inline Beat take(Axis &port) { return port.read().data; }
inline void give(Axis &port, const Beat &data, bool last) { port.write(Packet{data, last}); }

// The element of kBits bits, or as many as whole bytes have, at a place of a beat
template <int kBits>
Int<kBits> element(const Beat &beat, int place) {
  Int<kBits> value;
  std::memcpy(&value, &beat.byte[place * sizeof value], sizeof value);
  return value;
}

template <int kBits>
void set_element(Beat &beat, int place, Int<kBits> value) {
  std::memcpy(&beat.byte[place * sizeof value], &value, sizeof value);
}

constexpr bool kWordsHaveLimits = false;

// kCount integers of a memory's word
template <int kBits, int kCount>
struct Pack {
  Int<kBits> of[kCount];
};

template <int kBits, int kCount>
Int<kBits> get(const Pack<kBits, kCount> &pack, int place) {
  return pack.of[place];
}

template <int kBits, int kCount>
void put(Pack<kBits, kCount> &pack, int place, Int<kBits> value) {
  pack.of[place] = value;
}

// What has been read from a memory, which is not written before it has been used
template <class T>
using View = const T &;

template <class T>
const T &choose(bool first, const T &one, const T &other) {
  return first ? one : other;
}

}  // namespace lstm
