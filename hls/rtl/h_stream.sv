// h stream: packs groups of Lanes elements into beats, keeps them in a FIFO, and hands out credits
// for its places, so that whatever is dispatched finds room.
module h_stream
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                            clk, rst_n,
    input  logic                            start,      // of a run: begin with an empty beat
    input  target_t                         target,     // whether, and where in its vector
    input  logic [Lanes-1:0][ActBits-1:0]   elements,
    input  axis_t                           give_beat,  // of a state
    output logic                            credit,     // a place has become free
    output logic                            empty,
    output axis_t                           h_out,
    input  logic                            ready
);
  localparam int Groups = BeatElements / Lanes;
  localparam int GroupBits = Groups > 1 ? $clog2(Groups) : 1;
  localparam int FifoBits = $clog2(FifoBeats);

  // Packer
  logic [GroupBits-1:0] group_q;
  logic [Groups-1:0][Lanes-1:0][ActBits-1:0] beat_q;
  logic [BeatElements-1:0][ActRoom-1:0] beat;
  logic complete, push_q, last_q;
  assign complete = target.vector_end || group_q == GroupBits'(Groups - 1);
  always_ff @(posedge clk) begin
    push_q <= rst_n && !start && target.emit && complete;
    if (!rst_n || start) group_q <= '0;
    else if (target.emit) group_q <= complete ? '0 : group_q + 1'b1;
    last_q <= target.vector_end && target.run_last;
    for (int g = 0; g < Groups; g++) begin
      if (target.emit && group_q == GroupBits'(g)) beat_q[g] <= elements;
      else if (target.emit && group_q == '0) beat_q[g] <= '0;
    end
  end

  for (genvar e = 0; e < BeatElements; e++) begin : gen_element
    assign beat[e] = ActRoom'(signed'(beat_q[e/Lanes][e%Lanes]));
  end

  // FIFO with a register behind it
  (* ram_style = "distributed" *) logic [StreamBits:0] mem[FifoBeats];
  logic [FifoBits:0] write_q, read_q;
  logic pop, push;
  assign push = push_q || give_beat.valid;
  assign pop = write_q != read_q && (!h_out.valid || ready);
  assign credit = pop;
  assign empty = write_q == read_q && !h_out.valid && !push;
  always_ff @(posedge clk) begin
    if (push) mem[write_q[FifoBits-1:0]] <= give_beat.valid ? {give_beat.data, give_beat.last} : {beat, last_q};
    if (!rst_n) begin
      {write_q, read_q} <= '0;
      h_out.valid <= 1'b0;
    end else begin
      if (push) write_q <= write_q + 1'b1;
      if (pop) read_q <= read_q + 1'b1;
      if (pop) h_out.valid <= 1'b1;
      else if (ready) h_out.valid <= 1'b0;
    end
    if (pop) {h_out.data, h_out.last} <= mem[read_q[FifoBits-1:0]];
  end

`ifndef SYNTHESIS
  credits_hold :
  assert property (@(posedge clk) disable iff (!rst_n)
      push |-> (FifoBits + 1)'(write_q - read_q) < (FifoBits + 1)'(FifoBeats))
  else $error("a beat of h finds no room: credits");
`endif
endmodule
