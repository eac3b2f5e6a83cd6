// h stream: packs groups of Lanes elements into beats, keeps them in a FIFO, and hands out credits
// for its places, so that whatever is dispatched finds room.
module h_stream
  import lstm_pkg::*;
(
    input  logic                            clk,
    input  logic                            rst_n,
    input  logic                            start,      // of a run: begin with an empty beat
    input  logic                            valid,
    input  logic [Lanes-1:0][ActBits-1:0]   elements,
    input  logic                            vector_end,
    input  logic                            run_last,
    input  logic                            give_valid, // a beat of state
    input  logic                            give_last,
    input  logic [StreamBits-1:0]           give_beat,
    output logic                            credit,     // a place has become free
    output logic                            empty,
    output logic [StreamBits-1:0]           tdata,
    output logic                            tlast,
    output logic                            tvalid,
    input  logic                            tready
);
  localparam int Groups = BeatElements / Lanes;
  localparam int GroupBits = Groups > 1 ? $clog2(Groups) : 1;
  localparam int GroupWidth = Lanes * ActBits;
  localparam int FifoBits = $clog2(FifoBeats);

  // Packer
  logic [GroupBits-1:0] group_q;
  logic [Groups-1:0][GroupWidth-1:0] beat_q;
  logic push_q, last_q;
  always_ff @(posedge clk) begin
    if (!rst_n || start) begin
      group_q <= '0;
      push_q <= 1'b0;
    end else begin
      push_q <= valid && (vector_end || group_q == GroupBits'(Groups - 1));
      if (valid) group_q <= vector_end || group_q == GroupBits'(Groups - 1) ? '0 : group_q + 1'b1;
    end
    last_q <= vector_end && run_last;
    for (int g = 0; g < Groups; g++) begin
      if (valid && group_q == GroupBits'(g)) beat_q[g] <= elements;
      else if (valid && group_q == '0) beat_q[g] <= '0;
    end
  end

  // FIFO with a register behind it
  (* ram_style = "distributed" *) logic [StreamBits:0] mem[FifoBeats];
  logic [FifoBits:0] write_q, read_q;
  logic pop, push;
  assign push = push_q || give_valid;
  assign pop = write_q != read_q && (!tvalid || tready);
  assign credit = pop;
  assign empty = write_q == read_q && !tvalid && !push;
  always_ff @(posedge clk) begin
    if (push) mem[write_q[FifoBits-1:0]] <= give_valid ? {give_last, give_beat} : {last_q, beat_q};
    if (!rst_n) begin
      write_q <= '0;
      read_q <= '0;
      tvalid <= 1'b0;
    end else begin
      if (push) write_q <= write_q + 1'b1;
      if (pop) read_q <= read_q + 1'b1;
      if (pop) tvalid <= 1'b1;
      else if (tready) tvalid <= 1'b0;
    end
    if (pop) {tlast, tdata} <= mem[read_q[FifoBits-1:0]];
  end

`ifndef SYNTHESIS
  credits_hold :
  assert property (@(posedge clk) disable iff (!rst_n)
      push |-> (FifoBits + 1)'(write_q - read_q) < (FifoBits + 1)'(FifoBeats))
  else $error("a beat of h finds no room: credits");
`endif
endmodule
