// The engine behind its ports:
//
//   program -> fetch_works -- works --+
//   weights --------------------------+
//   x -------> load_x ------- words --+-> compute --- beats ---> store_h ---> h
//
// The recurrence of h stays inside compute. The processes around it turn beats into words and back,
// and follow the program's loops.
#pragma once

#include "kernel/compute.hpp"

namespace lstm {

// Takes exactly the words that the header announces.
inline void load_x(Axis &x, std::uint32_t words, Stream<Word> &x_words) {
  Word next = no_word();
  int place = 0;
X_Beats:
  for (UInt<48> left = UInt<48>(words) * kWordBeats; left != 0; --left) {
    #pragma HLS PIPELINE II = 1
    const Beat beat = take(x);
  X_Elements:
    for (int n = 0; n < kColumns; ++n) {
      if (place == n / kBeatElements) {
        put<kActBits>(next, n, element<kActBits>(beat, n % kBeatElements));
      }
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

inline void run_slots(UInt<7> instructions, std::uint32_t sequences, std::uint32_t slots,
                      std::uint32_t words, UInt<16> stride, bool gru,
                      const Instruction program[kProgramDepth], Axis &weights, Axis &x, Axis &h,
                      std::uint32_t *status, std::uint32_t *cycles) {
  #pragma HLS DATAFLOW
  Stream<Work> works("program");
  #pragma HLS STREAM variable = works depth = kWorks
  #pragma HLS BIND_STORAGE variable = works type = fifo impl = srl
  Stream<Word> x_words("x");
  #pragma HLS STREAM variable = x_words depth = kRingWords
  #pragma HLS BIND_STORAGE variable = x_words type = fifo impl = lutram
  Stream<HBeat> h_beats("h");
  #pragma HLS STREAM variable = h_beats depth = kFifoBeats
  #pragma HLS BIND_STORAGE variable = h_beats type = fifo impl = lutram
  fetch_works(program, instructions, sequences, slots, works);
  load_x(x, words, x_words);
  compute(slots, words, stride, gru, works, weights, x_words, h_beats, status, cycles);
  store_h(h_beats, h);
}

// One ap_start: a whole batch, or an error before anything has been taken from a stream.
inline void run(Axis &weights, Axis &x, Axis &h, const std::uint32_t window[kWindowWords],
                std::uint32_t *status, std::uint32_t *cycles) {
  Header header;
  Instruction program[kProgramDepth];
  #pragma HLS AGGREGATE variable = program compact = bit
  #pragma HLS BIND_STORAGE variable = program type = ram_s2p impl = lutram
  std::uint32_t run_status = read_program(window, header, program);
  std::uint32_t run_cycles = 0;
  if (run_status == kStatusFine && header.instructions != 0) {
    run_slots(UInt<7>(header.instructions), header.sequences, header.slots, header.x_words,
              header.stride, header.gru, program, weights, x, h, &run_status, &run_cycles);
  }
  *status = run_status;
  *cycles = run_cycles;
}

}  // namespace lstm
