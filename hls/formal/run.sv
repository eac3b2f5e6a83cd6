// A run, from ap_start to ap_done: its stages come in their order, each once, and it ends when the
// pipeline and the h stream are empty.
module run_proof
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int DrainBits = $clog2(DrainCycles + 1)
) (
    input logic clk, rst_n, start, run, program_empty, program_ready, program_refused, dispatched,
    input logic h_empty, busy, ap_done, start_q, copying,
    input logic [31:0] cycles_q,
    input logic [31:0] outputs[3],
    input logic [1:0] run_q,
    input logic [DrainBits-1:0] drain_q
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  logic in_run, copies, dispatching, draining;
  logic [31:0] cycles, drained;
  always_ff @(posedge clk) begin
    if (!rst_n || ap_done) {in_run, copies, dispatching, draining} <= '0;
    else begin
      if (start) {in_run, copies} <= '1;
      if (run) {copies, dispatching} <= 2'b01;
      if (dispatched) {dispatching, draining} <= 2'b01;
    end
    cycles <= start ? 32'd1 : cycles + 1;
    drained <= !rst_n || dispatched ? '0 : (drained == 32'(DrainCycles) ? drained : drained + 1);
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // program_memory.sv answers a start once, one way or the other; dispatcher.sv ends once
      given_answer : assume (!(program_ready || program_refused) || copies);
      given_one_answer : assume (!(program_ready && program_refused));
      given_dispatched : assume (!dispatched || dispatching);

      busy_in_run : assert (busy == in_run);
      in_order : assert (in_run == (copies || dispatching || draining)
                         && 32'(copies) + 32'(dispatching) + 32'(draining) <= 1);
      stage_agrees : assert (run_q == (copies ? 2'd1 : dispatching ? 2'd2 : draining ? 2'd3 : 2'd0));
      if (start) starts_when_idle : assert (!in_run && start_q);
      if (run) runs_what_is_fine : assert (copies && program_ready && !program_empty);
      if (ap_done) ends_a_run : assert (in_run);
      if (start_q && !busy) starts_at_once : assert (start);
      if (copies || dispatching) drain_is_set : assert (32'(drain_q) == DrainCycles - 2);
      if (draining) drain_is_counted :
        assert (drained <= 32'(DrainCycles)
                && 32'(drain_q) == (drained >= 32'(DrainCycles - 2) ? 0 : 32'(DrainCycles - 2) - drained));
      if (draining && ap_done) ends_empty : assert (h_empty && drained >= 32'(DrainCycles - 2));
      if (draining && h_empty && drained >= 32'(DrainCycles - 2)) ends_at_once : assert (ap_done);
      if (in_run) counts_cycles : assert (outputs[2] == cycles);

      seen_run : cover (draining && ap_done);
      seen_refused : cover (program_refused);
      seen_null : cover (program_ready && program_empty);
      seen_wait : cover (draining && drained == 32'(DrainCycles) && !ap_done);
    end
  end
endmodule
bind control run_proof u_proof (.*, .run_q(2'(run_q)));
