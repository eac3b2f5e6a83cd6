// Memory whose reader comes at least kSlots slots after the slot that its contents count from, for
// the slot compiler sees to that. csim's debug build has each element remember that slot.
#pragma once

#ifdef LSTM_SHARP_DEBUG
#include <cstdint>
#include <stdexcept>
#include <string>
#endif

#include "config.hpp"

namespace lstm {

#ifdef LSTM_SHARP_DEBUG

// Counts the slots of all runs.
inline std::int64_t &slot_now() {
  static std::int64_t now = 0;
  return now;
}

inline void next_slot() { ++slot_now(); }
inline void begin_run() { slot_now() += kTail; }  // the pipeline has run dry

template <class T, int kSlots>
class Kept {
 public:
  Kept() = default;
  explicit Kept(T value) : value_(value) {}  // never too young

  void write(T value, int ago) {
    value_ = value;
    written_ = slot_now() - ago;
  }

  operator T() const {
    const std::int64_t since = slot_now() - written_;
    if (since < kSlots) {
      throw std::logic_error("read " + std::to_string(since) +
                             " slots after the slot that wrote it; the distance is " +
                             std::to_string(kSlots));
    }
    return value_;
  }

 private:
  T value_ = 0;
  std::int64_t written_ = -kSlots;
};

// What is written counts from the slot that came ago slots before this one.
template <class T, int kSlots>
void keep(Kept<T, kSlots> &place, T value, int ago) {
  place.write(value, ago);
}

#else

template <class T, int kSlots>
using Kept = T;

inline void next_slot() {}
inline void begin_run() {}

template <class T>
void keep(T &place, T value, int) {
  #pragma HLS INLINE
  place = value;
}

#endif

}  // namespace lstm
