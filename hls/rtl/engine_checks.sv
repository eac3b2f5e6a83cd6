// What every simulation checks beside the distances, which a run's status tells (distances.sv): the x
// ring's bounds, and our ports' AXI rules. That the h FIFO never overflows, h_stream.sv checks.
module engine_checks
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic        clk, rst_n,
    input logic        told,  // by its status, that the run goes wrong
    input slot_t       issue,
    input ring_t       ring,
    input axis_t       h_out,
    input logic        h_ready,
    input logic        s_axi_control_BVALID, s_axi_control_BREADY,
    input logic        s_axi_control_RVALID, s_axi_control_RREADY,
    input logic [31:0] s_axi_control_RDATA
);
  ring_holds_word :
  assert property (@(posedge clk) disable iff (!rst_n)
      issue.valid && issue.source == SourceX
      |-> $past(ring.level) > (RingBits + 1)'(RingBits'(issue.ring_addr - $past(ring.head)))
          || told)
  else $error("x word %0d is taken before it has come", issue.ring_addr);

  h_stream_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n) h_out.valid && !h_ready |=> $stable(h_out));
  b_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n)
      s_axi_control_BVALID && !s_axi_control_BREADY |=> s_axi_control_BVALID);
  r_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n)
      s_axi_control_RVALID && !s_axi_control_RREADY
      |=> s_axi_control_RVALID && $stable(s_axi_control_RDATA));
endmodule
