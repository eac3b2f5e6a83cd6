// State giver: reads h and c of a chain, neuron after neuron, and hands a beat of each to the h stream.
// The pipeline is empty meanwhile, so it borrows the read ports of both memories.
module state_giver
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                clk, rst_n,
    input  load_t                               load,
    input  logic                                state_early, // the run is to be given up instead
    input  logic                                room,      // in the h FIFO, with some to spare
    output logic                                request,   // took a place there
    output logic                                done,      // in the cycle before the last beat
    output logic  [CAddrBits-1:0]               c_addr,    // c comes two edges later,
    output logic  [WordBits-1:0]                h_addr,    // h one edge after this
    output logic                                reading,
    input  logic  [Lanes-1:0][CBits-1:0]        c,
    input  logic  [Columns-1:0][ActBits-1:0]    h,
    output axis_t                               beat
);
  localparam int TurnBits = Lanes > 1 ? $clog2(Lanes) : 1;
  logic start, busy_q, ask, group_done, last_beat;
  logic [15:0] left_q;  // groups
  logic [TurnBits-1:0] turn_q, turn_d[2];
  logic [LaneBits-1:0] lane_q, lane_d[2];
  logic [WordBits-1:0] word_q;
  logic last_d[2], valid_d[2];
  assign start = load.start && load.instr.op == OpGiveState && !state_early;
  assign ask = busy_q && room;
  assign group_done = ask && turn_q == TurnBits'(Lanes - 1);
  assign last_beat = group_done && left_q == 16'd1;

  always_ff @(posedge clk) begin
    if (!rst_n || load.stop) {busy_q, reading} <= '0;
    else if (start) {busy_q, reading} <= '1;
    else begin
      if (last_beat) busy_q <= 1'b0;
      if (last_d[1]) reading <= 1'b0;
    end
    request <= rst_n && ask;
    if (start) begin
      left_q <= load.instr.rows;
      turn_q <= '0;
      lane_q <= '0;
      word_q <= WordBits'(load.instr.h_word);
      c_addr <= CAddrBits'(load.instr.row_first * Passes);
    end else if (ask) begin
      turn_q <= group_done ? '0 : turn_q + 1'b1;
      {word_q, lane_q} <= after_neurons(1, word_q, lane_q);
      if (group_done) begin
        c_addr <= c_addr + 1'b1;
        left_q <= left_q - 1'b1;
      end
    end

    valid_d <= '{rst_n && ask, rst_n && valid_d[0]};
    last_d <= '{last_beat, last_d[0]};
    beat.valid <= rst_n && valid_d[1];
    beat.last <= last_d[1] && load.last;
    turn_d <= '{turn_q, turn_d[0]};
    lane_d <= '{lane_q, lane_d[0]};
    h_addr <= word_q;
    beat.data <= StreamBits'({32'(signed'(c[turn_d[1]])), 32'(signed'(h[lane_d[1]]))});
  end
  assign done = last_d[1];
endmodule
