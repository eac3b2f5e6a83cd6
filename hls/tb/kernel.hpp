// Plays a run on the C++ kernel, whatever its types stand for.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "job.hpp"
#include "kernel/top.hpp"

namespace kernel {

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

// Memories keep what they hold from one run to the next, as on the chip; streams begin empty. Says
// whether the run left beats in one.
inline job::Result play(const job::Run &run, bool &left) {
  static lstm::Axis weights("weights"), x("x"), h("h");
  fill(weights, run.weights);
  fill(x, run.x);
  std::uint32_t window[lstm::kWindowWords] = {};
  if (run.program.size() > lstm::kWindowWords) throw std::runtime_error("the program is too long");
  for (std::size_t i = 0; i < run.program.size(); ++i) window[i] = run.program[i];

  job::Result result = {};
  std::uint32_t cycles = 0;
  lstm_sharp(weights, x, h, window, &result.identity, &result.status, &cycles);
  result.cycles = cycles;
  result.last_ok = empty(h, result.h);
  std::vector<std::uint8_t> rest;
  left = !(weights.empty() && x.empty());
  empty(weights, rest);
  empty(x, rest);
  return result;
}

}  // namespace kernel
