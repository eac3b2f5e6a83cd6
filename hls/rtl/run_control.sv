// From ap_start to ap_done: the program is copied and checked, dispatched, and the pipeline drained.
module run_control
  import lstm_pkg::*;
(
    input  logic        clk,
    input  logic        rst_n,
    // host side
    input  logic        ap_start,
    output logic        ap_done,       // pulse
    output logic        ap_idle,
    output logic [31:0] outputs[3],    // identity, status, cycles
    // program memory
    input  logic [15:0] instructions,  // 0: the null program
    input  logic        program_ready,
    input  logic        program_refused,
    input  status_e     program_status,
    input  logic [7:0]  program_index,
    // dispatcher and h stream
    input  logic        dispatched,
    input  status_e     dispatch_status,
    input  logic [7:0]  dispatch_index,
    input  logic        h_empty,
    output logic        start,         // copy the program
    output logic        run,           // dispatch it
    output logic        busy
);
  typedef enum logic [1:0] {Idle, Prepare, Run, Drain} state_e;
  state_e state_q;
  localparam int DrainBits = $clog2(DrainCycles + 1);
  logic [DrainBits-1:0] drain_q;
  logic [31:0] status, cycles_q;
  assign busy = state_q != Idle;
  assign start = !busy && ap_start;
  assign run = program_ready && instructions != 0;
  assign ap_idle = !busy && !ap_start;
  assign ap_done = program_refused || (program_ready && instructions == 0)
                   || (state_q == Drain && drain_q == 0 && h_empty);
  assign status = state_q == Prepare ? {16'd0, program_index, program_status}
                                     : {16'd0, dispatch_index, dispatch_status};
  assign outputs = '{Identity, status, cycles_q};
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: if (ap_start) state_q <= Prepare;
        Prepare: if (program_ready) state_q <= Run;
        Run: if (dispatched) state_q <= Drain;
        default: ;
      endcase
      if (ap_done) state_q <= Idle;
    end
    cycles_q <= start ? 32'd1 : cycles_q + 32'd1;
    if (state_q != Drain) drain_q <= DrainBits'(DrainCycles - 2);
    else if (drain_q != 0) drain_q <= drain_q - 1'b1;
  end
endmodule
