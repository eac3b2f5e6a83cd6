// The compute process: all memories, and one pipelined loop over the slots of a run.
#pragma once

#include "kernel/memories.hpp"
#include "kernel/promises.hpp"

namespace lstm {

inline void compute(const Header header, const Instruction program[kMaxInstructions],
                    Axis &weight_stream, Stream<Word> &x_words, Stream<HBeat> &h_beats,
                    std::uint32_t *status, std::uint32_t *cycles) {
  // Memories keep what they hold from run to run; each is cut so that a slot finds all it needs.
  // All have one reader and one writer in a slot. BRAM and UltraRAM are for the weights alone.
  static BramTile bram_weights[kWeightTiles];
  #pragma HLS ARRAY_PARTITION variable = bram_weights dim = 2 complete
  #pragma HLS ARRAY_RESHAPE variable = bram_weights dim = 3 complete
  #pragma HLS BIND_STORAGE variable = bram_weights type = ram_s2p impl = bram
  static UramTile uram_weights[kWeightTiles];
  #pragma HLS ARRAY_PARTITION variable = uram_weights dim = 2 complete
  #pragma HLS ARRAY_RESHAPE variable = uram_weights dim = 3 complete
#ifdef LSTM_SHARP_URAM  // a part without UltraRAM would refuse the word
  #pragma HLS BIND_STORAGE variable = uram_weights type = ram_s2p impl = uram
#endif
  static Biases biases[kBiasDepth];
  #pragma HLS ARRAY_PARTITION variable = biases dim = 2 complete
  #pragma HLS BIND_STORAGE variable = biases type = ram_s2p impl = lutram
  static Stored stored[kStoredDepth];
  #pragma HLS ARRAY_PARTITION variable = stored dim = 2 complete
  #pragma HLS BIND_STORAGE variable = stored type = ram_s2p impl = lutram
  static Elements x_buffer[kXColumns];
  #pragma HLS ARRAY_RESHAPE variable = x_buffer dim = 2 complete
  #pragma HLS BIND_STORAGE variable = x_buffer type = ram_s2p impl = lutram
  static HElements h_buffer[2 * kHDepth];  // one half is read, the other written
  #pragma HLS ARRAY_PARTITION variable = h_buffer dim = 2 complete
  #pragma HLS BIND_STORAGE variable = h_buffer type = ram_s2p impl = lutram
  static HElements sequence[kSequenceDepth];
  #pragma HLS ARRAY_PARTITION variable = sequence dim = 2 complete
  #pragma HLS BIND_STORAGE variable = sequence type = ram_s2p impl = lutram
  static Cells c_buffer[kGroups];
  #pragma HLS ARRAY_PARTITION variable = c_buffer dim = 2 complete
  #pragma HLS BIND_STORAGE variable = c_buffer type = ram_s2p impl = lutram
  static Sums running;
  #pragma HLS ARRAY_PARTITION variable = running complete

  Walker walker(header, program);
  Loader loader;
  Turns turns;
  Packer packer;
  Promises promises;
  // The turns of the last row block may come after the last slot.
  const std::uint64_t total = std::uint64_t(header.slots) + kMostPasses - 1;
  begin_run();
Slots:
  for (std::uint64_t now = 0; now < total; ++now) {
    // flp: h that has been computed goes out while x starves.
    #pragma HLS PIPELINE II = 1 style = flp
    // Distances that every program keeps, for the tool to rely on and to keep; csim checks them.
    #pragma HLS DEPENDENCE variable = bram_weights inter RAW distance = kLoadGap true
    #pragma HLS DEPENDENCE variable = uram_weights inter RAW distance = kLoadGap true
    #pragma HLS DEPENDENCE variable = biases inter RAW distance = kLoadGap true
    #pragma HLS DEPENDENCE variable = stored inter RAW distance = kSumGap true
    #pragma HLS DEPENDENCE variable = h_buffer inter RAW distance = kHGap true
    #pragma HLS DEPENDENCE variable = sequence inter RAW distance = kHGap true
    #pragma HLS DEPENDENCE variable = c_buffer inter RAW distance = kHGap true
    next_slot();
    const Slot slot = walker.next(program);
    Group group;
    if (slot.load) {
      group = load_beat(slot, take(weight_stream), loader, bram_weights, uram_weights, biases);
    }
    if (slot.tile) {
      Scalars scalars;
      #pragma HLS ARRAY_PARTITION variable = scalars complete dim = 0
      read_scalars(slot, x_words, x_buffer, h_buffer, sequence, scalars);
      Spans spans;
      const Share share = {int(slot.segment), int(in_segments(slot.i, 1))};
      multiply_tile(bram_weights[slot.weight], uram_weights[slot.weight], scalars, share, spans);
      accumulate(slot, spans, biases, stored, running);
      if (slot.last && slot.i.finish) turns.take(slot, running);
      if (slot.last && !slot.i.finish) store_sums(slot, running, stored[slot.row / kBands]);
    }
    const bool active = turns.active();
    if (active) group = turns.next(c_buffer[turns.number()]);
    // A slot that gives is never one of the others; said, so that they share a port of h and of c.
    const bool gives = slot.give && !slot.tile && !active;
    promises.check(now, slot, group);
    if (group.valid) write_group(group, h_buffer, sequence, c_buffer);
    HBeat out;
    const bool complete = group.emit && packer.add(group, out);
    if (gives) {
      const int word = h_place(slot.half, slot.place.word);
      out = state_beat(slot, h_buffer[word], c_buffer[slot.row]);
    }
    if (complete || gives) h_beats.write(out);
  }
Drain:
  for (std::uint32_t left = walker.pulled(); left < header.x_words; ++left) x_words.read();
  h_beats.write(HBeat{zero_beat(), false, true});
  *status = walker.status();
  *cycles = walker.slots();
}

}  // namespace lstm
