// The engine behind its ports:
//
//   weights ------------------------+
//   x ------> load_x --- words ---> compute --- beats ---> store_h ---> h
//
// The recurrence stays inside compute; the processes around it only turn beats into words and back.
#pragma once

#include "kernel/compute.hpp"

namespace lstm {

// Takes exactly the words that the header announces.
inline void load_x(Axis &x, std::uint32_t words, Stream<Word> &x_words) {
  Word next;
  #pragma HLS ARRAY_PARTITION variable = next.of complete
  int place = 0;
X_Beats:
  for (std::uint64_t left = std::uint64_t(words) * kWordBeats; left != 0; --left) {
    #pragma HLS PIPELINE II = 1
    const Beat beat = take(x);
  X_Elements:
    for (int e = 0; e < kBeatElements; ++e) {
      const int n = place * kBeatElements + e;
      if (n < kColumns) next.of[n] = element<kActivationBits>(beat, e);
    }
    const bool last = place == kWordBeats - 1;
    if (last) x_words.write(next);
    place = last ? 0 : place + 1;
  }
}

inline void store_h(Stream<HBeat> &h_beats, Axis &h) {
  bool end = false;
H_Beats:
  while (!end) {
    #pragma HLS PIPELINE II = 1
    const HBeat beat = h_beats.read();
    end = beat.end;
    if (!end) give(h, beat.data, beat.last);
  }
}

inline void run_slots(const Header header, std::uint32_t words,
                      const Instruction program[kMaxInstructions], Axis &weights, Axis &x, Axis &h,
                      std::uint32_t *status, std::uint32_t *cycles) {
  #pragma HLS DATAFLOW
  Stream<Word> x_words("x");
  #pragma HLS STREAM variable = x_words depth = kRingWords
  #pragma HLS BIND_STORAGE variable = x_words type = fifo impl = lutram
  Stream<HBeat> h_beats("h");
  #pragma HLS STREAM variable = h_beats depth = kFifoBeats
  #pragma HLS BIND_STORAGE variable = h_beats type = fifo impl = lutram
  load_x(x, words, x_words);
  compute(header, program, weights, x_words, h_beats, status, cycles);
  store_h(h_beats, h);
}

// One ap_start: a whole batch, or an error before anything has been taken from a stream.
inline void run(Axis &weights, Axis &x, Axis &h, const std::uint32_t window[kWindowWords],
                std::uint32_t *status, std::uint32_t *cycles) {
  Header header;
  Instruction program[kMaxInstructions];
  #pragma HLS BIND_STORAGE variable = program type = ram_s2p impl = lutram
  std::uint32_t run_status = read_program(window, header, program);
  std::uint32_t run_cycles = 0;
  if (run_status == kStatusFine && header.instructions != 0) {
    run_slots(header, header.x_words, program, weights, x, h, &run_status, &run_cycles);
  }
  *status = run_status;
  *cycles = run_cycles;
}

}  // namespace lstm
