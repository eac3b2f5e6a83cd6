// Fetch: follows loops and the outer loop over sequences. It offers an instruction at most every
// other cycle: one to read it, one to see where the list goes on.
module fetch
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic       clk, rst_n,
    input  logic       start,
    input  logic       stop,         // forget the rest
    input  header_t    header,
    output logic [6:0] fetch_index,
    input  instr_t     fetch_instr,  // unregistered
    output logic       valid,
    output work_t      work,
    input  logic       take
);
  logic running_q, read_q, final_q, last_sequence_q;
  logic [6:0] last_index_q, back_q;
  logic [7:0] index_q;
  logic looping_q, last_pass_q;  // in a loop that has ended once; it will end for the last time
  logic [15:0] passes_q;         // how often it will end
  logic [31:0] sequences_left_q;
  instr_t instr_q;
  logic move, again, list_end;
  assign again = instr_q.repeats[15:1] != 0 && !last_pass_q;
  assign list_end = final_q && !again;
  assign move = read_q && (!valid || take);

  always_ff @(posedge clk) begin
    // Read
    instr_q <= fetch_instr;
    index_q <= 8'(fetch_index);
    back_q <= fetch_index - 7'(fetch_instr.loop_back);
    final_q <= fetch_index == last_index_q;
    last_index_q <= 7'(header.instructions - 16'd1);
    last_sequence_q <= sequences_left_q[31:1] == 0;

    // Go on
    if (!rst_n || stop) begin
      running_q <= 1'b0;
      read_q <= 1'b0;
      valid <= 1'b0;
    end else begin
      if (start) running_q <= 1'b1;
      else if (move) running_q <= !(list_end && last_sequence_q);
      read_q <= running_q && !(move || start);
      if (move) valid <= 1'b1;
      else if (take) valid <= 1'b0;
    end
    if (start) begin
      fetch_index <= '0;
      looping_q <= 1'b0;
      last_pass_q <= 1'b0;
      sequences_left_q <= header.sequences;
    end else if (move) begin
      fetch_index <= again ? back_q : final_q ? '0 : fetch_index + 1'b1;
      if (instr_q.repeats[15:1] != 0) begin
        looping_q <= again;
        passes_q <= looping_q ? passes_q - 1'b1 : instr_q.repeats - 1'b1;
        last_pass_q <= again && (looping_q ? passes_q : instr_q.repeats) == 16'd2;
      end
      if (list_end) sequences_left_q <= sequences_left_q - 1'b1;
    end
    if (move) work <= prepare(instr_q, index_q, list_end && last_sequence_q);
  end

  function automatic work_t prepare(instr_t instr, logic [7:0] index, logic last);
    logic fills;
    logic [15:0] passes;
    passes = 16'(gang_of(instr.shape)) * 16'(Passes);
    fills = instr.finish && instr.cols < passes;
    prepare = '{
        instr: instr, last: last, index: index,
        gang: gang_of(instr.shape), step: step_of(instr.shape),
        is_load: instr.op != OpTiles,
        pulls: instr.pull && instr.source == SourceX,
        pull_first: instr.pull && instr.source == SourceX && instr.col_first % 16'(Bands) == 0,
        has_nops: instr.nops != 0, one_nop: instr.nops == 16'd1,
        one_column: instr.cols == 16'd1, one_row: instr.rows == 16'd1,
        one_slot: instr.cols == 16'd1 && !fills,
        row_slots: ColumnBits'(fills ? passes : instr.cols),
        past: (instr.weight_base >> (WeightAddrBits + 1)) != 0};
  endfunction
endmodule
