// The compute process: all memories, and one pipelined loop over the slots of a run.
#pragma once

#include "kernel/distances.hpp"
#include "kernel/loader.hpp"

namespace lstm {

inline void compute(std::uint32_t slots, std::uint32_t x_word_count, UInt<16> stride, bool gru,
                    Stream<Work> &works, Axis &weight_stream, Stream<Word> &x_words,
                    Stream<HBeat> &h_beats, std::uint32_t *status, std::uint32_t *cycles) {
  // Memories keep what they hold from run to run; each is cut so that a slot finds all it needs.
  // Each has one place in the loop that reads it and one behind that writes it, a port for either.
  static BramStrip bram_weights[kBankTiles][kBramStrips];
  #pragma HLS ARRAY_PARTITION variable = bram_weights dim = 2 complete
  #pragma HLS BIND_STORAGE variable = bram_weights type = ram_s2p impl = bram latency = 2
  static BramStrip bram_rest[kRestDepth][kBramStrips];
  static UramStrip uram_weights[kUramDepth][kUramStrips];
  static UramStrip uram_rest[kUramRestDepth][kUramStrips];
#ifdef LSTM_SHARP_REST  // else nothing is in them, and no pragma names what is not there
  #pragma HLS ARRAY_PARTITION variable = bram_rest dim = 2 complete
  #pragma HLS BIND_STORAGE variable = bram_rest type = ram_s2p impl = bram latency = 2
#endif
#ifdef LSTM_SHARP_URAM
  #pragma HLS ARRAY_PARTITION variable = uram_weights dim = 2 complete
  #pragma HLS BIND_STORAGE variable = uram_weights type = ram_s2p impl = uram latency = 2
#endif
#ifdef LSTM_SHARP_URAM_REST
  #pragma HLS ARRAY_PARTITION variable = uram_rest dim = 2 complete
  #pragma HLS BIND_STORAGE variable = uram_rest type = ram_s2p impl = uram latency = 2
#endif
  static Biases biases[kBiasDepth];
  #pragma HLS ARRAY_PARTITION variable = biases dim = 2 complete
  #pragma HLS BIND_STORAGE variable = biases type = ram_s2p impl = lutram
  static Scales scales[kScaleDepth];
#ifdef LSTM_SHARP_ROW_SCALES
  #pragma HLS BIND_STORAGE variable = scales type = ram_s2p impl = bram
#endif
  static Stored stored[kStoredDepth];
  #pragma HLS ARRAY_PARTITION variable = stored dim = 2 complete
  #pragma HLS BIND_STORAGE variable = stored type = ram_s2p impl = lutram
  static Word x_buffer[kXDepth];
  #pragma HLS BIND_STORAGE variable = x_buffer type = ram_s2p impl = lutram
  static HElements h_buffer[2 * kHDepth];  // one half is read, the other written
  #pragma HLS ARRAY_PARTITION variable = h_buffer dim = 2 complete
  #pragma HLS BIND_STORAGE variable = h_buffer type = ram_s2p impl = lutram
  static HElements sequence[kSequenceDepth];
  #pragma HLS ARRAY_PARTITION variable = sequence dim = 2 complete
  #pragma HLS BIND_STORAGE variable = sequence type = ram_s2p impl = bram
  static Cells c_buffer[kCDepth];
  #pragma HLS ARRAY_PARTITION variable = c_buffer dim = 2 complete
  #pragma HLS BIND_STORAGE variable = c_buffer type = ram_s2p impl = lutram

  Sums running;
  #pragma HLS ARRAY_PARTITION variable = running complete
Start:
  for (int k = 0; k < kBands * kRows; ++k) {
    #pragma HLS UNROLL
    running[k] = 0;
  }
  Dispatcher dispatcher(x_word_count, stride, works.read());
  Loader loader;
  // The x word that was pulled last: the next slot may want it again before the memory has it.
  Word x = no_word();
  int x_is_at = kXDepth;  // none
  Turns turns(gru);
  Packer packer;
  bool saturated = false;  // some c
  Distances distances;
  // The turns of the last row block may come after the last slot.
Slots:
  for (UInt<33> left = UInt<33>(slots) + kMostPasses - 1; left != 0; --left) {
    // flp: h that has been computed goes out while x starves.
    #pragma HLS PIPELINE II = 1 style = flp
    // Distances that every program keeps, for the tool to rely on and to keep; csim checks them.
    #pragma HLS DEPENDENCE variable = bram_weights inter RAW distance = kLoadGap true
#ifdef LSTM_SHARP_REST
    #pragma HLS DEPENDENCE variable = bram_rest inter RAW distance = kLoadGap true
#endif
#ifdef LSTM_SHARP_URAM
    #pragma HLS DEPENDENCE variable = uram_weights inter RAW distance = kLoadGap true
#endif
#ifdef LSTM_SHARP_URAM_REST
    #pragma HLS DEPENDENCE variable = uram_rest inter RAW distance = kLoadGap true
#endif
    #pragma HLS DEPENDENCE variable = biases inter RAW distance = kLoadGap true
#ifdef LSTM_SHARP_ROW_SCALES
    #pragma HLS DEPENDENCE variable = scales inter RAW distance = kLoadGap true
#endif
    #pragma HLS DEPENDENCE variable = stored inter RAW distance = kSumGap true
    #pragma HLS DEPENDENCE variable = x_buffer inter RAW distance = kXGap true
    #pragma HLS DEPENDENCE variable = h_buffer inter RAW distance = kHGap true
    #pragma HLS DEPENDENCE variable = sequence inter RAW distance = kHGap true
    #pragma HLS DEPENDENCE variable = c_buffer inter RAW distance = kHGap true
    const Slot &slot = dispatcher.slot();
    const Work &work = dispatcher.work();
    const Turn turn = turns.next(work, slot);

    // All reads; writes come last. A slot that gives a state is no tile and has no turn.
    const int h_at = h_place(slot.half, slot.give ? int(slot.h_word) : word_of(slot.segment));
    const int c_at = place_in<kCDepth>(slot.give ? int(slot.row) : int(turns.number()));
    const int x_at = place_in<kXDepth>(word_of(slot.segment));
    const int sequence_at = place_in<kSequenceDepth>(slot.sequence_read + word_of(slot.segment));
    const int band_at = place_in<kStoredDepth>(int(slot.row) / kBands);
    const int bias_at = place_in<kBiasDepth>(int(slot.row + work.bias_offset) / kBands);
    const WeightPlace weight_at = weight_place(slot.weight);
    View<Scales> row_scales = scales[turns.scales_at()];
    Cells c;
    #pragma HLS ARRAY_PARTITION variable = c complete
  Read_C:
    for (int lane = 0; lane < kLanes; ++lane) c[lane] = c_buffer[c_at][lane];
    if (slot.pull) {
      x = x_words.read();
      x_is_at = x_at;
    }
    Scalars scalars;
    #pragma HLS ARRAY_PARTITION variable = scalars complete dim = 0
    if (slot.tile || slot.give) {
      View<Word> word = choose(x_at == x_is_at, x, x_buffer[x_at]);
      choose_scalars(work, word, sequence[sequence_at], h_buffer[h_at], scalars);
    }
    if (slot.load) loader.shift_in(work, slot, take(weight_stream));

    if (slot.tile) {
      Spans spans;
      #pragma HLS ARRAY_PARTITION variable = spans complete dim = 0
      const Share share = {place_in<kBands>(slot.segment), int(work.segment_step)};
      multiply_tile(bram_weights, bram_rest, uram_weights, uram_rest, weight_at, scalars, share,
                    spans);
      accumulate(work, slot, spans, biases[bias_at], stored[band_at], running);
    }
    HBeat out;
    bool sends = slot.give;
    if (slot.give) out = state_beat(work, slot, scalars, c);
    const bool loaded = slot.load && slot.last;
    const bool state = loaded && work.loads_state;
    distances.check(work, slot);

    if (loaded && work.loads_weights) {
    Store_Bram:
      for (int s = 0; s < kBramColumns / kBramStrip; ++s) {
        const BramStrip strip = loader.strip<kBramStrip>(s * kBramStrip);
        if (weight_at.rest) bram_rest[weight_at.of_rest][s] = strip;
        if (!weight_at.rest) bram_weights[weight_at.bank][s] = strip;
      }
    Store_Uram:
      for (int s = 0; s < kUramColumns / kUramStrip; ++s) {
        const UramStrip strip = loader.strip<kUramStrip>(kBramColumns + s * kUramStrip);
        if (weight_at.rest) uram_rest[weight_at.of_rest][s] = strip;
        if (!weight_at.rest) uram_weights[weight_at.bank][s] = strip;
      }
    }
    if (loaded && work.loads_bias) {
    Store_Biases:
      for (int at = 0; at < kBands * kRows; ++at) {
        if (place_in<kBands>(slot.row) == at / kRows) biases[bias_at][at] = loader.bias(at % kRows);
      }
      if (kRowScales) scales[place_in<kScaleDepth>(slot.row)] = loader.scales();
    }
    if (slot.tile && slot.last && !work.finish) {
    Store_Sums:
      for (int at = 0; at < kBands * kRows; ++at) {
        if (meets(work, slot, at / kRows)) stored[band_at][at] = running[at];
      }
    }
    if (slot.pull) x_buffer[x_at] = x;
    if (turn.valid || state) {
      const Group group = state ? loader.state(slot) : turns.update(turn, running, row_scales, c);
      #pragma HLS ARRAY_PARTITION variable = group.neuron complete
      distances.check(group);
      write_group(group, h_buffer, sequence, c_buffer);
    Note_Saturation:
      for (int lane = 0; lane < kLanes; ++lane) saturated |= group.neuron[lane].saturated;
      if (group.to.emit) sends = packer.add(group, out);
    }
    if (sends) h_beats.write(out);
    dispatcher.advance(works);
  }
Leave_Words:
  for (std::uint32_t left = dispatcher.words_left(); left != 0; --left) x_words.read();
Leave_Works:
  for (bool more = dispatcher.leaves_works(); more;) more = !works.read().ends_list;
  h_beats.write(HBeat{zero_beat(), false, true});
  const bool told = kRowScales && saturated;
  *status = dispatcher.status(slots) | std::uint32_t(told) << kCSaturated;
  *cycles = dispatcher.slots();
}

}  // namespace lstm
