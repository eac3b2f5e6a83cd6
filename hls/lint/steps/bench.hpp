// What steps.cpp, compiled by clang, and steps_main.cpp, by g++, share.
#pragma once

#include <cstddef>
#include <cstdint>

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed + 1) {}
  std::int64_t below(std::int64_t end) {  // xorshift64*, from the upper bits
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return std::int64_t((state_ * 0x2545f4914f6cdd1dull >> 1) % std::uint64_t(end));
  }
  bool flip() { return below(1024) < 512; }
  std::int64_t number(int bits) {  // signed
    return below(std::int64_t(1) << bits) - (std::int64_t(1) << (bits - 1));
  }

 private:
  std::uint64_t state_;
};

// An update: bytes of its objects, and its functions
struct Update {
  const char *name;
  std::size_t state, in, memories, out;
  void (*begin)(Random &, void *state, void *memories);
  void (*draw)(Random &, void *in);
  void (*step)(void *state, const void *in, const void *memories, void *out);
};
