// What the hardware relies on, checked in every simulation: a program that breaks the distances D,
// D_acc and P (docs/slot-program.md), or the x ring's bounds, is told so by its status; the h FIFO
// never overflows; and our ports keep the AXI rules.
module engine_checks
  import lstm_pkg::*;
(
    input logic                     clk,
    input logic                     rst_n,
    input logic                     start,       // of a run, with an empty pipeline
    input logic                     told,        // by its status, that the run goes wrong
    input slot_t                    issue,
    input slot_t                    slot_read,   // where the accumulator reads stored sums
    input slot_t                    slot_sum,    // where it holds the row's sum
    input logic                     h_valid,
    input target_t                  h_target,
    input logic                     giving,      // the read ports of h and c are lent
    input logic  [RingBits-1:0]     ring_head,
    input logic  [RingBits:0]       ring_level,
    input logic  [StreamBits-1:0]   h_tdata,
    input logic                     h_tlast,
    input logic                     h_tvalid,
    input logic                     h_tready,
    input logic                     bvalid,
    input logic                     bready,
    input logic                     rvalid,
    input logic                     rready,
    input logic  [31:0]             rdata
);
  // Writes that are on their way, per place: of h a word, or with several shapes so few elements
  // that a column has whole ones
  function automatic int common(int a, int b);
    return b == 0 ? a : common(b, a % b);
  endfunction
  localparam int Unit = Bands == 1 ? Columns : common(Lanes, Columns / Bands);
  localparam int WordUnits = Columns / Unit;
  localparam int TurnUnits = Lanes > Unit ? Lanes / Unit : 1;
  logic [15:0] pending_h[WordUnits*2**(WordBits+1)];
  logic [15:0] pending_sequence[WordUnits*2**SeqBits];
  logic [15:0] pending_store[2**BlockBits];
  logic [15:0] unwritten;  // groups of h, wherever they go
  logic [15:0] turns_left;
  logic finishes, stores_begin, stores_end;
  int turns;  // of the lanes, for the row block that finishes
  assign turns = Passes * (issue.by_gate ? 4 : int'(gang_of(3'(issue.shape))));
  assign finishes = issue.valid && issue.last && issue.finish
                    && last_gate(issue.by_gate, 2'(issue.row));
  assign stores_begin = slot_read.valid && slot_read.last && !slot_read.finish;
  assign stores_end = slot_sum.valid && slot_sum.last && !slot_sum.finish;

  // First unit of the neurons that a row block's turn takes, in the h buffer and in the sequence
  function automatic logic [WordBits-1:0] word_of(target_t target, int turn);
    return target.word + WordBits'((int'(target.lane) + turn * Lanes) / Columns);
  endfunction
  function automatic int unit_of(target_t target, int turn);
    return (int'(target.lane) + turn * Lanes) % Columns / Unit;
  endfunction
  function automatic int h_unit(target_t target, int turn);
    return WordUnits * int'({target.parity, word_of(target, turn)}) + unit_of(target, turn);
  endfunction
  function automatic int sequence_unit(target_t target, logic [SeqBits-1:0] word, int turn);
    return WordUnits * int'(word) + unit_of(target, turn);
  endfunction
  function automatic logic [SeqBits-1:0] sequence_word(target_t target, int turn);
    return target.seq_addr + SeqBits'(word_of(target, turn));
  endfunction

  // What the slot reads of h and is not written yet
  int unit_first, units;
  logic h_pending, sequence_pending;
  always_comb begin
    unit_first = int'(issue.segment) * WordUnits / Bands;
    units = WordUnits * int'(step_of(3'(issue.shape))) / Bands;
    {h_pending, sequence_pending} = '0;
    for (int u = 0; u < WordUnits; u++) begin
      if (u >= unit_first && u < unit_first + units) begin
        h_pending |= pending_h[WordUnits*int'(issue.h_addr)+u] != 0;
        sequence_pending |= pending_sequence[WordUnits*int'(issue.seq_addr)+u] != 0;
      end
    end
  end

  // Sums of the row block that are not stored yet
  logic stores_pending;
  always_comb begin
    stores_pending = 1'b0;
    for (int g = 0; g < Bands; g++) begin
      if (g < int'(gang_of(3'(slot_read.shape)))) begin
        stores_pending |= pending_store[slot_read.row+BlockBits'(g)] != 0;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n || start) begin
      foreach (pending_h[i]) pending_h[i] <= '0;
      foreach (pending_sequence[i]) pending_sequence[i] <= '0;
      foreach (pending_store[i]) pending_store[i] <= '0;
      unwritten <= '0;
      turns_left <= '0;
    end else begin
      // Blocking on purpose: several turns may count on the same place in one cycle.
      /* verilator lint_off BLKSEQ */
      for (int turn = 0; turn < MaxPasses; turn++) begin
        if (finishes && turn < turns) begin
          for (int u = 0; u < TurnUnits; u++) begin
            pending_h[h_unit(issue.target, turn)+u] += 1;
            if (issue.target.keep) begin
              pending_sequence[sequence_unit(issue.target, sequence_word(issue.target, turn), turn)
                               +u] += 1;
            end
          end
        end
      end
      for (int u = 0; u < TurnUnits; u++) begin
        if (h_valid) begin
          pending_h[h_unit(h_target, 0)+u] -= 1;
          if (h_target.keep) pending_sequence[sequence_unit(h_target, h_target.seq_addr, 0)+u] -= 1;
        end
      end
      unwritten <= unwritten + (finishes ? 16'(turns) : '0) - 16'(h_valid);
      for (int g = 0; g < Bands; g++) begin
        if (stores_begin && g < int'(gang_of(3'(slot_read.shape)))) begin
          pending_store[slot_read.row+BlockBits'(g)] += 1;
        end
        if (stores_end && g < int'(gang_of(3'(slot_sum.shape)))) begin
          pending_store[slot_sum.row+BlockBits'(g)] -= 1;
        end
      end
      /* verilator lint_on BLKSEQ */
      turns_left <= finishes ? 16'(turns - 1) : turns_left - 16'(turns_left != 0);
    end
  end

  // A program that breaks one of these has been told so two cycles after the slot.
  slot_t slot_q, slot_qq;
  logic [2:0] broken, broken_q, broken_qq;  // D of h, D of the sequence, P
  assign broken = {issue.valid && issue.source == SourceH && h_pending,
                   issue.valid && issue.source == SourceSequence && sequence_pending,
                   finishes && turns_left != 0};
  always_ff @(posedge clk) begin
    {slot_q, slot_qq} <= {issue, slot_q};
    {broken_q, broken_qq} <= rst_n && !start ? {broken, broken_q} : '0;
  end
  distance_d :
  assert property (@(posedge clk) disable iff (!rst_n) broken_qq[2] |-> told)
  else $error("h word %0d is read before it is written: distance D", slot_qq.h_addr);
  distance_d_sequence :
  assert property (@(posedge clk) disable iff (!rst_n) broken_qq[1] |-> told)
  else $error("sequence word %0d is read before it is written: distance D", slot_qq.seq_addr);
  distance_d_state :
  assert property (@(posedge clk) disable iff (!rst_n) giving |-> unwritten == 0)
  else $error("state is given while %0d groups of h are not written: distance D", unwritten);
  distance_d_acc :
  assert property (@(posedge clk) disable iff (!rst_n)
      slot_read.valid && slot_read.first && slot_read.start != StartBias
      |-> !stores_pending || told)
  else $error("sum of row block %0d is read before it is stored: distance D_acc", slot_read.row);
  distance_p :
  assert property (@(posedge clk) disable iff (!rst_n) broken_qq[0] |-> told)
  else $error("row block %0d finishes while the lanes are busy: distance P", slot_qq.row);

  ring_holds_word :
  assert property (@(posedge clk) disable iff (!rst_n)
      issue.valid && issue.source == SourceX
      |-> $past(ring_level) > (RingBits + 1)'(RingBits'(issue.ring_addr - $past(ring_head)))
          || told)
  else $error("x word %0d is taken before it has come", issue.ring_addr);

  h_stream_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n)
      h_tvalid && !h_tready |=> h_tvalid && $stable(h_tdata) && $stable(h_tlast));
  b_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n) bvalid && !bready |=> bvalid);
  r_is_stable :
  assert property (@(posedge clk) disable iff (!rst_n)
      rvalid && !rready |=> rvalid && $stable(rdata));
endmodule
