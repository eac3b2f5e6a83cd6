// Loader: takes items from the weight stream (a tile, a row block of biases, the state of Lanes
// neurons) and writes each to its memory.
module loader
  import lstm_pkg::*;
(
    input  logic                                clk,
    input  logic                                rst_n,
    input  logic                                start,      // with the instruction
    input  logic                                stop,       // forget the rest
    input  instr_t                              instr,
    output logic                                done,       // with the last write
    input  logic  [StreamBits-1:0]              tdata,
    input  logic                                tvalid,
    output logic                                tready,
    output logic                                weight_we,
    output logic                                bias_we,
    output logic                                state_we,
    output logic  [15:0]                        addr,       // tile, row block or group of Lanes
    output logic  [WordBits-1:0]                word,       // where a state's h goes
    output logic  [LaneBits-1:0]                lane,
    output logic  [Macs-1:0][WeightBits-1:0]    weights,
    output logic  [Rows-1:0][BiasBits-1:0]      biases,
    output logic  [Lanes-1:0][ActBits-1:0]      state_h,
    output logic  [Lanes-1:0][CBits-1:0]        state_c
);
  localparam int BeatBits = $clog2(ItemBeats + 1);

  // Beats move down from the top, so that an item of n beats ends up in the n highest places.
  logic [ItemBeats-1:0][StreamBits-1:0] item_q;
  logic [BeatBits-1:0] beat_q, item_beats;
  logic [15:0] left_q;
  op_e op_q;
  logic write_q, take, item_done;

  always_comb begin
    unique case (op_q)
      OpLoadBias: item_beats = BeatBits'(Rows);
      OpLoadState: item_beats = BeatBits'(Lanes);
      default: item_beats = BeatBits'(TileBeats);
    endcase
  end
  assign tready = left_q != 0;
  assign take = tready && tvalid;
  assign item_done = take && beat_q == item_beats - 1'b1;

  always_ff @(posedge clk) begin
    if (!rst_n || stop) begin
      left_q <= '0;
      write_q <= 1'b0;
    end else begin
      if (start) left_q <= instr.rows;
      else if (item_done) left_q <= left_q - 1'b1;
      write_q <= item_done;
    end
    if (start) begin
      op_q <= op_e'(instr.op);
      beat_q <= '0;
      unique case (instr.op)
        OpLoadBias: addr <= instr.bias_base;
        OpLoadState: addr <= instr.row_first * 16'(Passes);
        default: addr <= instr.weight_base;
      endcase
      word <= WordBits'(instr.h_word);
      lane <= '0;
    end else begin
      if (take) beat_q <= item_done ? '0 : beat_q + 1'b1;
      if (write_q) begin
        addr <= addr + 1'b1;
        lane <= lane == LaneBits'(Columns - Lanes) ? '0 : lane + LaneBits'(Lanes);
        if (lane == LaneBits'(Columns - Lanes)) word <= word + 1'b1;
      end
    end
    if (take) item_q <= {tdata, item_q[ItemBeats-1:1]};
  end

  assign done = write_q && left_q == 0;
  assign weight_we = write_q && op_q == OpLoadWeights;
  assign bias_we = write_q && op_q == OpLoadBias;
  assign state_we = write_q && op_q == OpLoadState;

  logic [TileBeats-1:0][StreamBits-1:0] tile;
  assign tile = item_q[ItemBeats-1-:TileBeats];
  assign weights = tile[0+:TileBeats];
  for (genvar k = 0; k < Rows; k++) begin : gen_bias
    assign biases[k] = item_q[ItemBeats-Rows+k][BiasBits-1:0];
  end
  for (genvar l = 0; l < Lanes; l++) begin : gen_state
    assign state_h[l] = item_q[ItemBeats-Lanes+l][ActBits-1:0];
    assign state_c[l] = item_q[ItemBeats-Lanes+l][32+:CBits];
  end
endmodule
