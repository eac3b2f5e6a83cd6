// The program memory: what a run walks is what was checked. A program is called ready when each of
// its instructions keeps to the memories' bounds, and start is answered within as many cycles.
module program_proof
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic     clk, rst_n, start, copying, ready, refused,
    input header_t  header,
    input outcome_t outcome,
    input logic [2:0] state_q,  // Idle, Read, Header, Judge, Copy, Sums, Bounds, Verdict
    input instr_t   instr,
    input logic [6:0] index_q,
    input logic [7:0] line_q, last_line_q, sums_index_q, bounds_index_q,
    input logic     sums_valid_q, bounds_valid_q, bounds_q, fine_q, loops_q,
    input logic [17+BandBits:0] end_q, most_q, col_end_q, col_most_q, bias_end_q, bias_most_q
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  // Any instruction of the program, as it was copied, and how far its check is
  logic [6:0] chosen;
  instr_t copied;
  logic copied_q, summed, bounded, active;
  logic [8:0] waited;
  logic fine, passes, header_fine;  // ready, and not begun anew since
  header_t header_was;
  assign passes = fine_q && end_q <= most_q && col_end_q <= col_most_q && bias_end_q <= bias_most_q;
  assign header_fine = header.instructions >= 1 && header.instructions <= 16'(MaxInstructions);
  always_ff @(posedge clk) begin
    chosen <= chosen;
    if (!rst_n || start) {copied_q, summed, bounded} <= '0;
    else begin
      if (state_q == 4 && index_q == chosen) begin
        copied <= instr;
        copied_q <= 1'b1;
      end
      summed <= copied_q;
      bounded <= summed;
    end
    if (!rst_n || start) fine <= 1'b0;
    else if (ready) fine <= 1'b1;
    if (ready) header_was <= header;
    if (!rst_n || ready || refused) active <= 1'b0;
    else if (start) active <= 1'b1;
    waited <= !rst_n || start || !active ? '0 : waited + 1'b1;
  end

  // The bounds, plainly
  function automatic logic fits(instr_t i);
    int gang;
    gang = int'(gang_of(i.shape));
    fits = i.rows != 0 && int'(i.loop_back) <= int'(chosen);
    if (i.op == OpTiles) begin
      fits &= i.cols != 0 && int'(i.row_first) + int'(i.rows) * gang <= Blocks
              && int'(i.col_first) + int'(i.cols) * int'(step_of(i.shape))
                 <= Bands * (i.source == SourceX ? XColumns : HWords);
      if (RowScales == 1 || i.start == StartBias) fits &= int'(i.bias_base) + int'(i.rows) * gang <= BiasBlocks;
    end
    if (i.op == OpLoadWeights) fits &= int'(i.weight_base) + int'(i.rows) <= WeightTiles;
    if (i.op == OpLoadBias) fits &= int'(i.bias_base) + int'(i.rows) <= BiasBlocks;
    return fits && i.op <= OpGiveState;
  endfunction

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // control.sv: one start after the other's answer
      given_one_start : assume (!start || !active);

      answers_once : assert (!(ready && refused));
      if (ready || refused) answers_a_start : assert (active);
      answers_in_time : assert (32'(waited) <= MaxInstructions + 8);
      in_state : assert (active == (state_q != 0));
      if (state_q < 4) waited_little : assert (32'(waited) + 1 == 32'(state_q) || state_q == 0);
      if (state_q == 2 || state_q == 3) line_begins : assert (32'(line_q) + 2 == 32'(state_q));
      if (state_q >= 4) header_is_fine :
        assert (last_line_q == 8'(header.instructions) + 8'd1 || state_q == 7);
      if (state_q == 4) counts :
        assert (32'(waited) == 32'(line_q) + 1 && line_q >= 2 && line_q <= last_line_q
                && index_q == 7'(line_q - 8'd2) && header.instructions >= 1
                && header.instructions <= 16'(MaxInstructions));
      if (state_q > 4) counts_on : assert (32'(waited) <= MaxInstructions + 32'(state_q));
      if (state_q == 4) copies_in_order : assert (copied_q == (chosen < index_q) && !fine);
      if (state_q == 4 && !copied_q) nothing_yet : assert (!summed && !bounded);
      if (state_q == 2 || state_q == 3 || state_q == 7 || fine) checks_rest :
        assert (!sums_valid_q && !bounds_valid_q);
      if (state_q == 1 || state_q == 6) sums_rest : assert (!sums_valid_q);
      if (state_q == 5 || state_q == 6 || (state_q == 7 && header.instructions != 0
          && outcome.status == StatusFine)) copied_all :
        assert (copied_q == (16'(chosen) < header.instructions));
      if (state_q == 5 || state_q == 6) steps : assert (header_fine && (state_q == 5 || copied_q == summed));
      if (state_q == 7 && copied_q) all_is_checked : assert (bounded);
      if (state_q >= 1 && state_q < 4) none_copied : assert (!copied_q && !summed && !bounded && !fine);
      if (copied_q && !summed) sums_tell :
        assert (sums_valid_q && (!passes || fits(copied)));
      if (summed) after_copy : assert (copied_q);
      if (bounded) after_sum : assert (summed);
      if (summed && !bounded) bounds_tell : assert (bounds_valid_q && (!bounds_q || fits(copied)));
      if (bounded && outcome.status == StatusFine) outcome_tells : assert (fits(copied));
      if (copied_q) copy_stands : assert (program_memory.copy_mem[chosen] == copied);
      if (fine) program_fits :
        assert (header.instructions == 0 || 16'(chosen) >= header.instructions
                || (copied_q && bounded && fits(copied) && outcome.status == StatusFine));
      if (fine) header_stands : assert (header == header_was && state_q == 0);

      seen_ready : cover (ready && header.instructions == 3);
      seen_refused : cover (refused && header.instructions == 3);
    end
  end
endmodule
bind program_memory program_proof u_proof (.*, .state_q(3'(state_q)));
