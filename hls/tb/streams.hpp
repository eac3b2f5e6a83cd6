// Streams of the kernel filled from bytes and emptied into bytes, whatever its types stand for.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "kernel/types.hpp"

namespace streams {

constexpr int kBeatBytes = lstm::kStreamBits / 8;

inline void fill(lstm::Axis &port, const std::vector<std::uint8_t> &bytes) {
  if (bytes.size() % kBeatBytes != 0) throw std::runtime_error("a stream is not in whole beats");
  for (std::size_t at = 0; at < bytes.size(); at += kBeatBytes) {
    lstm::Beat beat = lstm::zero_beat();
    for (int b = 0; b < kBeatBytes; ++b) {
      lstm::set_element<8>(beat, b, static_cast<std::int8_t>(bytes[at + b]));
    }
    lstm::give(port, beat, at + kBeatBytes == bytes.size());
  }
}

// Returns whether TLAST came with the last beat, and with no other.
inline bool empty(lstm::Axis &port, std::vector<std::uint8_t> &bytes) {
  bool last_ok = true;
  while (!port.empty()) {
    const lstm::Packet packet = port.read();
    for (int b = 0; b < kBeatBytes; ++b) {
      bytes.push_back(static_cast<std::uint8_t>(int(lstm::element<8>(packet.data, b))));
    }
    last_ok = last_ok && bool(packet.last) == port.empty();
  }
  return last_ok;
}

}  // namespace streams
