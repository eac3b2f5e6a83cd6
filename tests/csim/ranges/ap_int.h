// Integers that refuse a value that they cannot hold, and note the least and most that each width
// has held: in the file that LSTM_SHARP_RANGES names, a line "bits signed least most" each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

class Range {
 public:
  Range(int bits, bool is_signed) : bits_(bits), signed_(is_signed) {}

  ~Range() {
    const char *name = std::getenv("LSTM_SHARP_RANGES");
    std::FILE *file = name == nullptr ? nullptr : std::fopen(name, "a");
    if (file == nullptr) return;
    std::fprintf(file, "%d %d %lld %lld\n", bits_, signed_, static_cast<long long>(least_),
                 static_cast<long long>(most_));
    std::fclose(file);
  }

  void note(std::int64_t value) {
    const bool fits = signed_ ? value >> (bits_ - 1) == 0 || value >> (bits_ - 1) == -1
                              : value >= 0 && value >> bits_ == 0;
    if (!fits) {
      throw std::logic_error(std::to_string(value) + " does not fit " + std::to_string(bits_) +
                             (signed_ ? " bits, signed" : " bits"));
    }
    least_ = std::min(least_, value);
    most_ = std::max(most_, value);
  }

 private:
  int bits_;
  bool signed_;
  std::int64_t least_ = 0, most_ = 0;
};

template <int kBits, bool kSigned>
class Number {
  static_assert(kBits < 64 || kSigned, "wider than what it is computed in");

 public:
  Number() = default;
  template <class T>
  Number(T value) : value_(static_cast<std::int64_t>(value)) {
    static Range range(kBits, kSigned);
    range.note(value_);
  }
  operator std::int64_t() const { return value_; }
  Number &operator+=(std::int64_t by) { return *this = Number(value_ + by); }
  Number &operator-=(std::int64_t by) { return *this = Number(value_ - by); }
  Number &operator++() { return *this += 1; }
  Number &operator--() { return *this -= 1; }

  class Part {
   public:
    Part(Number &whole, int high, int low) : whole_(whole), mask_(bits(high, low)), low_(low) {}
    void operator=(std::int64_t value) {
      whole_ = Number((whole_.value_ & ~mask_) | (value << low_ & mask_));
    }

   private:
    Number &whole_;
    std::int64_t mask_;
    int low_;
  };
  Part range(int high, int low) { return Part(*this, high, low); }
  std::int64_t range(int high, int low) const {  // signed, as in Bits
    const std::int64_t value = value_ >> low & bits(high - low, 0);
    return value >> (high - low) ? value - (bits(high - low, 0) + 1) : value;
  }

 private:
  static std::int64_t bits(int high, int low) {
    return ((std::int64_t(1) << (high - low + 1)) - 1) << low;
  }

  std::int64_t value_ = 0;
};

template <int kBits>
using ap_int = Number<kBits, true>;

// A beat: bits without a value
template <int kBits>
class Bits {
 public:
  class Part {
   public:
    Part(Bits &whole, int high, int low) : whole_(whole), high_(high), low_(low) {}
    void operator=(std::int64_t value) {
      for (int b = low_; b <= high_; ++b) whole_.bit_[b] = value >> (b - low_) & 1;
    }

   private:
    Bits &whole_;
    int high_, low_;
  };

  Bits() = default;
  Bits(int) {}
  Part range(int high, int low) { return Part(*this, high, low); }
  std::int64_t range(int high, int low) const {  // signed, as all that is taken out of a beat is
    std::int64_t value = bit_[high] ? -1 : 0;
    for (int b = high; b >= low; --b) value = value * 2 + bit_[b];
    return value;
  }

 private:
  bool bit_[kBits] = {};
};

template <int kBits>
using ap_uint =
    std::conditional_t<(kBits < 64), Number<(kBits < 64 ? kBits : 1), false>, Bits<kBits>>;
