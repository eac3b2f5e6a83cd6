// State giver: reads h and c of a chain, neuron after neuron, and hands a beat of each to the h stream.
// The pipeline is empty meanwhile, so it borrows the read ports of both memories.
module state_giver
  import lstm_pkg::*;
(
    input  logic                                clk,
    input  logic                                rst_n,
    input  logic                                start,     // with the instruction
    input  logic                                stop,      // forget the rest
    input  instr_t                              instr,
    input  logic                                run_last,
    input  logic                                room,      // in the h FIFO, with some to spare
    output logic                                request,   // took a place there
    output logic                                done,      // in the cycle before the last beat
    output logic  [CAddrBits-1:0]               c_addr,    // c comes two edges later,
    output logic  [WordBits-1:0]                h_word,    // h one edge after this
    output logic                                reading,
    input  logic  [Lanes-1:0][CBits-1:0]        c,
    input  logic  [Columns-1:0][ActBits-1:0]    h,
    output logic                                valid,
    output logic                                last,
    output logic  [StreamBits-1:0]              beat
);
  localparam int TurnBits = Lanes > 1 ? $clog2(Lanes) : 1;
  logic busy_q, ask, group_done, last_beat;
  logic [15:0] left_q;  // groups
  logic [TurnBits-1:0] turn_q, turn_d[2];
  logic [LaneBits-1:0] lane_q, lane_d[2];
  logic [WordBits-1:0] word_q;
  logic last_d[3], valid_d[3];
  assign ask = busy_q && room;
  assign group_done = ask && turn_q == TurnBits'(Lanes - 1);
  assign last_beat = group_done && left_q == 16'd1;

  always_ff @(posedge clk) begin
    if (!rst_n || stop) {busy_q, reading} <= '0;
    else if (start) {busy_q, reading} <= '1;
    else begin
      if (last_beat) busy_q <= 1'b0;
      if (last_d[1]) reading <= 1'b0;
    end
    request <= rst_n && ask;
    if (start) begin
      left_q <= instr.rows;
      turn_q <= '0;
      lane_q <= '0;
      word_q <= WordBits'(instr.h_word);
      c_addr <= CAddrBits'(instr.row_first * Passes);
    end else if (ask) begin
      turn_q <= group_done ? '0 : turn_q + 1'b1;
      lane_q <= lane_q == LaneBits'(Columns - 1) ? '0 : lane_q + 1'b1;
      if (lane_q == LaneBits'(Columns - 1)) word_q <= word_q + 1'b1;
      if (group_done) begin
        c_addr <= c_addr + 1'b1;
        left_q <= left_q - 1'b1;
      end
    end

    valid_d[0] <= rst_n && ask;
    valid_d[1] <= rst_n && valid_d[0];
    valid_d[2] <= rst_n && valid_d[1];
    last_d[0] <= last_beat;
    last_d[1] <= last_d[0];
    last_d[2] <= last_d[1];
    turn_d <= '{turn_q, turn_d[0]};
    lane_d <= '{lane_q, lane_d[0]};
    h_word <= word_q;
    beat <= StreamBits'({32'(signed'(c[turn_d[1]])), 32'(signed'(h[lane_d[1]]))});
  end
  assign valid = valid_d[2];
  assign last = last_d[2] && run_last;
  assign done = last_d[1];
endmodule
