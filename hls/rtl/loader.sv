// Loader: takes items from the weight stream (a tile, a row block of biases, the state of Lanes
// neurons) and writes each to its memory.
module loader
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                clk, rst_n,
    input  load_t                               load,
    input  logic                                state_early, // the run is to be given up instead
    output logic                                done,        // with the last write
    input  axis_t                               weights,
    output logic                                ready,
    output load_write_t                         write,
    output logic  [Macs-1:0][WeightBits-1:0]    load_weights,
    output logic  [Rows-1:0][BiasWordBits-1:0]  load_biases,
    output logic  [Rows-1:0][ScaleBits-1:0]     load_scales,
    output logic  [Lanes-1:0][ActBits-1:0]      load_h,
    output logic  [Lanes-1:0][CBits-1:0]        load_c
);
  localparam int BeatBits = $clog2(ItemBeatsMax + 1);

  // Beats move down from the top, so that an item of n beats ends up in the n highest places.
  logic [ItemBeatsMax-1:0][StreamBits-1:0] item_q;
  logic [BeatBits-1:0] beat_q, item_beats;
  logic [15:0] left_q, addr_q;
  logic [WordBits-1:0] word_q;
  logic [LaneBits-1:0] lane_q;
  op_e op_q;
  logic start, write_q, take, item_done;

  always_comb begin
    unique case (op_q)
      OpLoadBias: item_beats = BeatBits'(Rows);
      OpLoadState: item_beats = BeatBits'(Lanes);
      default: item_beats = BeatBits'(TileBeats);
    endcase
  end
  assign start = load.start && load.instr.op != OpGiveState && !state_early;
  assign ready = left_q != 0;
  assign take = ready && weights.valid;
  assign item_done = take && beat_q == item_beats - 1'b1;

  // The columns that DSPs multiply come first.
  localparam int DspWeights = Packed > 1 ? Rows * (Columns - LutColumns) : 0;
  beat_weights_t plain, as_packed;
  logic [StreamBits-1:0] packed_beat;
  assign as_packed = packed_weights(plain);
  always_comb begin
    packed_beat = '0;
    for (int w = 0; w < BeatWeights; w++) begin
      plain[w] = weights.data[w*WeightRoom+:WeightBits];
      packed_beat[w*WeightRoom+:WeightBits] =
          32'(beat_q) < 32'((DspWeights + BeatWeights - 1 - w) / BeatWeights) ? as_packed[w] : plain[w];
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || load.stop) begin
      left_q <= '0;
      write_q <= 1'b0;
    end else begin
      if (start) left_q <= load.instr.rows;
      else if (item_done) left_q <= left_q - 1'b1;
      write_q <= item_done;
    end
    if (start) begin
      op_q <= load.instr.op;
      beat_q <= '0;
      unique case (load.instr.op)
        OpLoadBias: addr_q <= load.instr.bias_base;
        OpLoadState: addr_q <= load.instr.row_first * 16'(Passes);
        default: addr_q <= load.instr.weight_base;
      endcase
      word_q <= WordBits'(load.instr.h_word);
      lane_q <= '0;
    end else begin
      if (take) beat_q <= item_done ? '0 : beat_q + 1'b1;
      if (write_q) begin
        addr_q <= addr_q + 1'b1;
        {word_q, lane_q} <= after_neurons(Lanes, word_q, lane_q);
      end
    end
    if (take) item_q <= {op_q == OpLoadWeights ? packed_beat : weights.data, item_q[ItemBeatsMax-1:1]};
  end

  assign done = write_q && left_q == 0;
  assign write = '{
      weights: write_q && op_q == OpLoadWeights, bias: write_q && op_q == OpLoadBias,
      state: write_q && op_q == OpLoadState, addr: addr_q, word: word_q, lane: lane_q};

  for (genvar w = 0; w < Macs; w++) begin : gen_weight
    assign load_weights[w] =
        item_q[ItemBeatsMax-TileBeats+w/BeatWeights][w%BeatWeights*WeightRoom+:WeightBits];
  end
  for (genvar k = 0; k < Rows; k++) begin : gen_bias
    logic [StreamBits-1:0] beat;
    assign beat = item_q[ItemBeatsMax-Rows+k];
    assign load_biases[k] = BiasWordBits'({beat[XShiftAt+:XShiftBits], beat[BiasBits-1:0]});
    assign load_scales[k] = beat[ActShiftAt+:ScaleBits];
  end
  for (genvar l = 0; l < Lanes; l++) begin : gen_state
    assign load_h[l] = item_q[ItemBeatsMax-Lanes+l][ActBits-1:0];
    assign load_c[l] = item_q[ItemBeatsMax-Lanes+l][32+:CBits];
  end
endmodule
