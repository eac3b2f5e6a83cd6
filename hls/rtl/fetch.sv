// Fetch: follows loops and the outer loop over sequences, and offers one instruction ahead.
module fetch
  import lstm_pkg::*;
(
    input  logic       clk,
    input  logic       rst_n,
    input  logic       start,
    input  logic       stop,        // forget the rest
    input  header_t    header,
    output logic [6:0] fetch_index,
    input  instr_t     fetch_instr,
    output logic       valid,
    output instr_t     instr,
    output logic       last,        // of the run
    output logic [7:0] index,
    input  logic       take
);
  logic running_q;
  logic [15:0] round_q;
  logic [31:0] sequences_left_q;
  logic again, list_end, advance;
  assign again = fetch_instr.repeats > 16'd1 && round_q != fetch_instr.repeats - 16'd1;
  assign list_end = !again && 16'(fetch_index) == header.instructions - 16'd1;
  assign advance = running_q && (!valid || take);

  always_ff @(posedge clk) begin
    if (!rst_n || stop) begin
      running_q <= 1'b0;
      valid <= 1'b0;
    end else if (start) begin
      running_q <= 1'b1;
      valid <= 1'b0;
    end else begin
      if (advance && list_end && sequences_left_q <= 32'd1) running_q <= 1'b0;
      if (advance) valid <= 1'b1;
      else if (take) valid <= 1'b0;
    end
    if (start) begin
      fetch_index <= '0;
      round_q <= '0;
      sequences_left_q <= header.sequences;
    end else if (advance) begin
      if (again) begin
        fetch_index <= fetch_index - 7'(fetch_instr.loop_back);
      end else begin
        fetch_index <= list_end ? '0 : fetch_index + 1'b1;
      end
      if (fetch_instr.repeats > 16'd1) round_q <= again ? round_q + 1'b1 : '0;
      if (list_end) sequences_left_q <= sequences_left_q - 1'b1;
    end
    if (advance) begin
      instr <= fetch_instr;
      index <= 8'(fetch_index);
      last <= list_end && sequences_left_q <= 32'd1;
    end
  end
endmodule
