// Fetch: what it offers stays until it is taken, says plainly what its instruction says, and the
// list comes to an end: each instruction lowers a rank.
module fetch_proof
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic       clk, rst_n, start, stop, valid, take, move, again, list_end, running_q, read_q,
    input logic       final_q, last_sequence_q, looping_q, last_pass_q,
    input header_t    header,
    input logic [6:0] fetch_index, last_index_q, back_q,
    input logic [7:0] index_q,
    input logic [15:0] passes_q,
    input logic [31:0] sequences_left_q,
    input instr_t     fetch_instr, instr_q,
    input work_t      work
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  // The rank: sequences, places of the list behind the furthest that was reached, turns of the loop
  // that ends there, places up to there
  typedef struct packed {
    logic [31:0] sequences;
    logic [7:0]  ahead;
    logic [16:0] turns;
    logic [7:0]  behind;
  } rank_t;
  logic active, first, moved, ended, offered;
  logic [7:0] furthest;
  logic [2:0] idle;  // cycles without an instruction, while there are some
  rank_t rank, rank_q;
  work_t work_was;
  header_t header_q;
  always_comb begin
    rank.sequences = sequences_left_q;
    rank.ahead = 8'(header.instructions) - furthest;
    rank.turns = !looping_q ? 17'h10000 : last_pass_q ? '0 : 17'(passes_q);
    rank.behind = furthest - 8'(fetch_index);
  end
  always_ff @(posedge clk) begin
    header_q <= header;
    work_was <= work;
    offered <= rst_n && !stop && valid && !take;
    moved <= rst_n && !stop && move;
    rank_q <= rank;
    if (!rst_n || stop) {active, ended} <= '0;
    else if (start) {active, ended} <= 2'b10;
    else if (move && list_end && last_sequence_q) {active, ended} <= 2'b01;
    if (start) furthest <= '0;
    else if (move) begin
      if (list_end) furthest <= '0;
      else if (!again && furthest == 8'(fetch_index)) furthest <= furthest + 1'b1;
    end
    if (!rst_n || start || valid || !active) idle <= '0;
    else idle <= idle + 1'b1;
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // program_memory.sv: a program that is fine stands while its run goes on; its loops go back,
      // and lie apart from each other; control.sv starts one run after the other
      given_header : assume (header.instructions >= 1 && header.instructions <= 16'(MaxInstructions)
                             && header.sequences != 0);
      given_standing : assume (!active || header == header_q);
      given_back : assume (fetch_instr.loop_back <= 8'(fetch_index));
      given_one_run : assume (!(start && (active || valid)));
      given_apart : assume (!(8'(fetch_index) != furthest && fetch_instr.repeats > 1));
      given_same : assume (!(read_q && active) || instr_q == fetch_instr);

      if (offered) offer_stands : assert (valid && work == work_was);
      if (valid) says_plainly :
        assert (work.is_load == (work.instr.op != OpTiles) && work.has_nops == (work.instr.nops != 0)
                && work.one_nop == (work.instr.nops == 1) && work.one_column == (work.instr.cols == 1)
                && work.one_row == (work.instr.rows == 1) && work.gang == gang_of(work.instr.shape)
                && work.pulls == (work.instr.pull && work.instr.source == SourceX));
      if (moved && !ended) rank_falls : assert (rank < rank_q);
      never_stands_still : assert (idle <= 2);
      if (active && !valid) soon_offers : assert (idle <= 3'(read_q));
      if (valid && work.last) last_is_last : assert (ended);
      if (active) rank_is_bounded :
        assert (furthest < 8'(header.instructions) && 8'(fetch_index) <= furthest
                && sequences_left_q != 0 && sequences_left_q <= header.sequences);
      if (active) in_loop : assert (8'(fetch_index) == furthest || looping_q);
      if (active && looping_q) loop_turns : assert (last_pass_q || passes_q >= 2);
      if (last_pass_q && active) last_pass_loops : assert (looping_q);
      if (active && read_q) read_agrees :
        assert (index_q == 8'(fetch_index) && final_q == (fetch_index == last_index_q)
                && back_q == fetch_index - 7'(instr_q.loop_back));
      if (active) header_agrees : assert (running_q && 16'(last_index_q) == header.instructions - 16'd1);
      if (active && read_q) sequences_agree : assert (last_sequence_q == (sequences_left_q == 1));
      if (read_q) reads_in_run : assert (active);
      if (running_q) runs : assert (active);

      seen_end : cover (ended && valid && work.last);
      seen_loop : cover (looping_q && last_pass_q && moved);
      seen_sequence : cover (moved && rank.sequences == 1 && rank_q.sequences == 2);
    end
  end
endmodule
bind fetch fetch_proof u_proof (.*);
