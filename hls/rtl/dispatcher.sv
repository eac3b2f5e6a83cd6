// Dispatcher: turns the instructions of a run into slots, one a cycle. It counts; it decides
// nothing but to wait for x and for room in the h FIFO.
module dispatcher
  import lstm_pkg::*;
(
    input  logic              clk,
    input  logic              rst_n,
    input  logic              start,
    input  header_t           header,
    // instructions
    output logic [6:0]        fetch_index,
    input  instr_t            fetch_instr,
    // loads
    output logic              load_start,
    output instr_t            load_instr,
    input  logic              load_done,
    output logic              load_half,    // of the h buffer, for a state
    // x ring
    input  logic [RingBits-1:0] ring_head,
    input  logic [RingBits:0]   ring_level,
    output logic [RingBits:0]   ring_pop_words,
    output logic                ring_pop,
    // h FIFO
    input  logic              credit,
    // slots
    output slot_t             slot,
    output logic              dispatched,   // pulse: nothing is left, or the run is given up
    output status_e           status,
    output logic [7:0]        status_index
);
  // A row block completes a beat of h after every BeatBlocks-th one, or several at once.
  localparam int BeatBlocks = BeatElements > Block ? BeatElements / Block : 1;
  localparam int BlockBeats = Block > BeatElements ? Block / BeatElements : 1;
  localparam int BeatBlockBits = BeatBlocks > 1 ? $clog2(BeatBlocks) : 1;
  localparam int CreditBits = $clog2(FifoBeats + 1);

  logic next_valid, next_last, take_next, give_up;
  instr_t next;
  logic [7:0] next_index;
  fetch u_fetch (
      .clk,
      .rst_n,
      .start,
      .stop(give_up),
      .header,
      .fetch_index,
      .fetch_instr,
      .valid(next_valid),
      .instr(next),
      .last(next_last),
      .index(next_index),
      .take(take_next)
  );

  // The instruction being dispatched, and where it stands
  logic active_q, last_q, loading_q;
  instr_t cur;
  logic [7:0] index_q;
  logic [15:0] nops_q, rows_left_q, slots_left_q, cols_left_q, col_q;
  logic [15:0] row_slots;
  logic first_row_q;
  logic [BlockBits-1:0] row_q;
  logic [BiasAddrBits-1:0] bias_q;
  logic [WeightAddrBits:0] weight_q;
  logic [WordBits-1:0] word_q;
  logic [LaneBits-1:0] lane_q;
  logic half_q;
  logic [SeqBits-1:0] seq_read_q, seq_write_q;
  logic [31:0] x_left_q;
  logic [CreditBits-1:0] credits_q, credits_need;
  logic [BeatBlockBits-1:0] beat_block_q;

  function automatic logic [15:0] slots_of_row(instr_t i);
    return i.finish && i.cols < 16'(Passes) ? 16'(Passes) : i.cols;
  endfunction
  assign row_slots = slots_of_row(cur);

  logic is_tiles, is_tile, row_ends, last_row, ends_vector, completes, pulls, x_waits, h_waits;
  logic weight_past, x_short, issue, step_on, instr_done;
  assign is_tiles = active_q && cur.op == OpTiles;
  assign is_tile = is_tiles && nops_q == 0 && cols_left_q != 0;
  assign row_ends = slots_left_q == 16'd1;
  assign last_row = rows_left_q == 16'd1;
  assign ends_vector = last_row && cur.step;
  assign completes = cur.finish && cur.emit && cols_left_q == 16'd1
                     && (ends_vector || beat_block_q == BeatBlockBits'(BeatBlocks - 1));
  assign credits_need = completes ? CreditBits'(BlockBeats) : '0;
  assign pulls = is_tile && cur.pull && cur.source == SourceX && first_row_q;
  assign x_waits = pulls && 16'(ring_level) <= col_q;
  assign h_waits = credits_need > credits_q;
  assign weight_past = is_tile && weight_q >= (WeightAddrBits + 1)'(WeightTiles);
  assign issue = is_tile && !x_waits && !h_waits && !weight_past;
  assign step_on = issue || (is_tiles && nops_q == 0 && cols_left_q == 0);
  assign instr_done = (step_on && row_ends && last_row) || (loading_q && load_done);
  assign x_short = pulls && x_left_q == 0;
  assign give_up = weight_past || x_short;
  assign take_next = next_valid && (!active_q || instr_done) && !give_up;

  always_ff @(posedge clk) begin
    if (!rst_n || give_up) active_q <= 1'b0;
    else if (take_next) active_q <= 1'b1;
    else if (instr_done) active_q <= 1'b0;

    if (take_next) begin
      cur <= next;
      last_q <= next_last;
      index_q <= next_index;
      nops_q <= next.nops;
      rows_left_q <= next.rows;
      slots_left_q <= slots_of_row(next);
      cols_left_q <= next.cols;
      col_q <= next.col_first;
      first_row_q <= 1'b1;
      row_q <= BlockBits'(next.row_first);
      bias_q <= BiasAddrBits'(next.bias_base + next.row_first);
      weight_q <= (WeightAddrBits + 1)'(next.weight_base);
      word_q <= WordBits'(next.h_word);
      lane_q <= LaneBits'(next.h_lane);
    end else begin
      if (active_q && nops_q != 0) nops_q <= nops_q - 1'b1;
      if (issue) begin
        weight_q <= weight_q + 1'b1;
        cols_left_q <= cols_left_q - 1'b1;
        col_q <= col_q + 1'b1;
      end
      if (step_on) slots_left_q <= slots_left_q - 1'b1;
      if (step_on && row_ends) begin
        slots_left_q <= row_slots;
        cols_left_q <= cur.cols;
        col_q <= cur.col_first;
        rows_left_q <= rows_left_q - 1'b1;
        first_row_q <= 1'b0;
        row_q <= row_q + 1'b1;
        bias_q <= bias_q + 1'b1;
        {word_q, lane_q} <= after_block(word_q, lane_q);
      end
    end
  end

  // Place of the neuron that follows a row block
  function automatic logic [WordBits+LaneBits-1:0] after_block(
      logic [WordBits-1:0] word, logic [LaneBits-1:0] lane);
    if (Block >= Columns) return {word + WordBits'(Block / Columns), lane};
    if (lane == LaneBits'(Columns - Block)) return {word + WordBits'(1), LaneBits'(0)};
    return {word, lane + LaneBits'(Block)};
  endfunction

  // Loads wait for their no-op slots like rectangles.
  assign load_start = active_q && cur.op != OpTiles && nops_q == 0 && !loading_q;
  assign load_instr = cur;
  assign load_half = half_q;
  always_ff @(posedge clk) begin
    if (!rst_n || load_done) loading_q <= 1'b0;
    else if (load_start) loading_q <= 1'b1;
  end

  // Buffers that move on with steps and layers
  assign ring_pop = step_on && row_ends && last_row && cur.pop && cur.source == SourceX;
  assign ring_pop_words = (RingBits + 1)'(cur.col_first + cur.cols);
  always_ff @(posedge clk) begin
    if (!rst_n || start) begin
      half_q <= 1'b0;
    end else if (instr_done && is_tiles && cur.step) begin
      half_q <= !half_q;
    end
    if (take_next && next.layer && next.op == OpTiles) begin
      seq_read_q <= '0;
      seq_write_q <= '0;
    end else if (instr_done && is_tiles) begin
      if (cur.pop && cur.source == SourceSequence) seq_read_q <= seq_read_q + SeqBits'(header.stride);
      if (cur.step && cur.keep) seq_write_q <= seq_write_q + SeqBits'(header.stride);
    end
    if (start) x_left_q <= header.x_words;
    else if (issue && pulls) x_left_q <= x_left_q - 1'b1;
    if (!rst_n || start) begin
      credits_q <= CreditBits'(FifoBeats);
      beat_block_q <= '0;
    end else begin
      credits_q <= credits_q + CreditBits'(credit) - (issue ? credits_need : '0);
      if (issue && cur.finish && cur.emit && cols_left_q == 16'd1) begin
        beat_block_q <= completes ? '0 : beat_block_q + 1'b1;
      end
    end
  end

  // Issue registers
  always_ff @(posedge clk) begin
    slot.valid <= rst_n && issue;
    slot.source <= source_e'(cur.source);
    slot.ring_addr <= ring_head + RingBits'(col_q);
    slot.h_addr <= {half_q, WordBits'(col_q)};
    slot.seq_addr <= seq_read_q + SeqBits'(col_q);
    slot.weight_addr <= WeightAddrBits'(weight_q);
    slot.first <= col_q == cur.col_first;
    slot.last <= cols_left_q == 16'd1;
    slot.start <= start_e'(cur.start);
    slot.finish <= cur.finish;
    slot.row <= row_q;
    slot.bias_addr <= bias_q;
    slot.x_shift <= cur.x_shift;
    slot.act_shift <= cur.act_shift;
    slot.target.c_zero <= cur.c_zero;
    slot.target.parity <= !half_q;
    slot.target.word <= word_q;
    slot.target.lane <= lane_q;
    slot.target.emit <= cur.emit;
    slot.target.keep <= cur.keep;
    slot.target.seq_addr <= seq_write_q;
    slot.target.vector_end <= ends_vector;
    slot.target.run_last <= last_q;
  end

  // The end: all dispatched, or given up
  always_ff @(posedge clk) begin
    dispatched <= rst_n && (give_up || (instr_done && last_q && active_q));
    if (start) begin
      status <= StatusFine;
      status_index <= '0;
    end else if (give_up) begin
      status <= weight_past ? StatusWeights : StatusWords;
      status_index <= weight_past ? index_q : '0;
    end else if (instr_done && last_q && (x_left_q != 0)
                 && !(issue && pulls && x_left_q == 32'd1)) begin
      status <= StatusWords;
    end
  end
endmodule
