// Dispatcher: turns the instructions of a run into slots, one a cycle. It counts; it decides
// nothing but to wait for x and for room in the h FIFO. What the next cycle has to know of a
// counter (is this the last one?) is worked out a cycle early, to keep its loop short.
module dispatcher
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                clk, rst_n,
    input  logic                start,
    input  header_t             header,
    // instructions
    output logic [6:0]          fetch_index,
    input  instr_t              fetch_instr,
    // loads
    output load_t               load,
    input  logic                load_done,
    // x ring
    input  ring_t               ring,
    output logic                ring_pull, ring_pop,
    // h FIFO
    input  logic                credit,
    input  logic                give,            // takes a place for a beat of state
    output logic                room,            // for a few beats
    // slots
    output slot_t               slot,
    input  logic                early,           // two cycles ago, or its state: see distances.sv
    output logic                told,            // the run goes wrong, and its status will say so
    output logic                dispatched,      // pulse: nothing is left, or the run is given up
    output outcome_t            outcome
);
  logic next_valid, proceed, give_up_q;
  work_t next, cur;
  fetch u_fetch (.*, .stop(give_up_q), .valid(next_valid), .work(next), .take(proceed));

  // Where the instruction stands: no-op slots, then tiles and, where a row finishes too soon for
  // the lanes, filling slots; or a load.
  logic nop_q, tile_q, fill_q, load_q, load_start_q, idle_q;
  logic last_nop_q, last_column_q, last_slot_q, last_row_q, emits_q;
  logic [15:0] nops_left_q;
  logic [ColumnBits-1:0] columns_left_q, slots_left_q, column_q, column_next;
  logic [RowBits-1:0] rows_left_q;

  logic pulls_q, pull_here_q, wait_here, row_done, instr_done;
  assign wait_here = tile_q && ((pull_here_q && !ring.some)
                                || (emits_q && last_column_q && !room));
  assign row_done = !nop_q && last_slot_q && !wait_here;
  assign instr_done = (row_done && last_row_q) || load_done;
  assign proceed = idle_q || instr_done;

  assign column_next = column_q + ColumnBits'(cur.step);
  always_ff @(posedge clk) begin
    load_start_q <= 1'b0;
    if (!rst_n || give_up_q) begin
      {nop_q, tile_q, fill_q, load_q, last_slot_q} <= '0;
      idle_q <= 1'b1;
    end else if (proceed) begin
      idle_q <= !next_valid;
      nop_q <= next_valid && next.has_nops;
      tile_q <= next_valid && !next.has_nops && !next.is_load;
      load_q <= next_valid && !next.has_nops && next.is_load;
      load_start_q <= next_valid && !next.has_nops && next.is_load;
      fill_q <= 1'b0;
      last_slot_q <= next_valid && next.one_slot && !next.is_load;
    end else if (nop_q && last_nop_q) begin
      nop_q <= 1'b0;
      tile_q <= !cur.is_load;
      load_q <= cur.is_load;
      load_start_q <= cur.is_load;
    end else if (!nop_q && !wait_here && !load_q) begin
      tile_q <= last_slot_q || (tile_q && !last_column_q);
      fill_q <= !last_slot_q && (fill_q || last_column_q);
      last_slot_q <= last_slot_q ? cur.one_slot : slots_left_q == ColumnBits'(2);
    end

    if (proceed) begin
      cur <= next;
      pulls_q <= next.pulls;
      pull_here_q <= next.pull_first;
      emits_q <= next.instr.finish && next.instr.emit;
      nops_left_q <= next.instr.nops;
      last_nop_q <= next.one_nop;
      columns_left_q <= ColumnBits'(next.instr.cols);
      last_column_q <= next.one_column;
      column_q <= ColumnBits'(next.instr.col_first);
      slots_left_q <= next.row_slots;
      rows_left_q <= RowBits'(next.instr.rows);
      last_row_q <= next.one_row;
    end else if (nop_q) begin
      nops_left_q <= nops_left_q - 1'b1;
      last_nop_q <= nops_left_q == 16'd2;
    end else if (row_done) begin
      {pulls_q, pull_here_q} <= '0;
      columns_left_q <= ColumnBits'(cur.instr.cols);
      last_column_q <= cur.one_column;
      column_q <= ColumnBits'(cur.instr.col_first);
      slots_left_q <= cur.row_slots;
      rows_left_q <= rows_left_q - 1'b1;
      last_row_q <= rows_left_q == RowBits'(2);
    end else if (!wait_here) begin
      columns_left_q <= columns_left_q - 1'b1;
      last_column_q <= columns_left_q == ColumnBits'(2);
      column_q <= column_next;
      pull_here_q <= pulls_q && column_next % ColumnBits'(Bands) == 0;
      slots_left_q <= slots_left_q - 1'b1;
    end
  end

  // Places that move on with slots and rows
  logic [BlockBits-1:0] row_q;
  logic [BiasAddrBits-1:0] bias_q;
  logic [WeightAddrBits:0] weight_q;
  logic [WordBits-1:0] word_q;
  logic [LaneBits-1:0] lane_q;
  always_ff @(posedge clk) begin
    if (proceed) begin
      row_q <= BlockBits'(next.instr.row_first);
      bias_q <= BiasAddrBits'(next.instr.bias_base);
      weight_q <= (WeightAddrBits + 1)'(next.instr.weight_base);
      word_q <= WordBits'(next.instr.h_word);
      lane_q <= LaneBits'(next.instr.h_lane);
    end else begin
      if (tile_q && !wait_here) weight_q <= weight_q + 1'b1;
      if (row_done) begin
        row_q <= row_q + BlockBits'(cur.gang);
        bias_q <= bias_q + BiasAddrBits'(cur.gang);
        {word_q, lane_q} <= after_block(cur.instr.shape, word_q, lane_q);
      end
    end
  end

  // Place of the neuron that follows a row block
  function automatic logic [WordBits+LaneBits-1:0] after_block(
      shape_t shape, logic [WordBits-1:0] word, logic [LaneBits-1:0] lane);
    after_block = '0;
    for (int s = 0; s < Shapes; s++) begin
      if (is_shape(shape, s)) after_block |= after_neurons(Gangs[s] * Block, word, lane);
    end
  endfunction

  // Buffers that move on with steps and layers
  logic half_q;
  logic [SeqBits-1:0] seq_read_q, seq_write_q;
  assign load = '{
      start: load_start_q, instr: cur.instr, last: cur.last, half: half_q, stop: give_up_q};
  assign ring_pull = tile_q && pull_here_q && !wait_here;
  assign ring_pop = row_done && last_row_q && cur.instr.pop && cur.instr.source == SourceX;
  // Words of x that were pulled and not used up yet. A word is pulled in its turn, and read
  // afterwards, whatever the ring holds by chance.
  logic [RingBits:0] pulled_q;
  logic [ColumnBits-1:0] word;
  assign word = column_q >> BandBits;
  always_ff @(posedge clk) begin
    if (start || ring_pop) pulled_q <= '0;
    else if (ring_pull) pulled_q <= pulled_q + 1'b1;
    if (!rst_n || start) half_q <= 1'b0;
    else if (row_done && last_row_q && cur.instr.step) half_q <= !half_q;
    if (start || (proceed && next.instr.layer)) begin
      {seq_read_q, seq_write_q} <= '0;
    end else if (row_done && last_row_q) begin
      if (cur.instr.pop && cur.instr.source == SourceSequence) begin
        seq_read_q <= seq_read_q + SeqBits'(header.stride);
      end
      if (cur.instr.step && cur.instr.keep) begin
        seq_write_q <= seq_write_q + SeqBits'(header.stride);
      end
    end
  end

  // Room in the h FIFO
  logic ends_vector;
  assign ends_vector = last_row_q && cur.instr.ends;
  h_credits u_credits (
      .*,
      .emits(tile_q && emits_q && last_column_q && room && !wait_here),
      .gang(cur.gang)
  );

  // Issue registers
  logic past_q;
  logic [7:0] index_q;
  always_ff @(posedge clk) begin
    slot <= '{
        valid: rst_n && tile_q && !wait_here,
        shape: Shapes > 1 ? ShapeBits'(cur.instr.shape) : '0,
        gang: cur.gang, step: cur.step, source: cur.instr.source,
        ring_addr: ring.head + RingBits'(word),
        h_addr: {half_q, WordBits'(word)},
        seq_addr: seq_read_q + SeqBits'(word),
        segment: BankBits'(column_q % ColumnBits'(Bands)),
        weight_addr: WeightAddrBits'(weight_q),
        first: column_q == ColumnBits'(cur.instr.col_first), last: last_column_q,
        start: cur.instr.start, finish: cur.instr.finish,
        row: row_q, bias_addr: bias_q,
        x_shift: cur.instr.x_shift, act_shift: cur.instr.act_shift,
        c_shift: cur.instr.c_shift,
        target: '{
            c_zero: cur.instr.c_zero, parity: !half_q, word: word_q, lane: lane_q,
            emit: cur.instr.emit, keep: cur.instr.keep, seq_addr: seq_write_q,
            vector_end: ends_vector, run_last: cur.last,
            h_drop: Mixed == 1 ? cur.instr.h_drop : '0}};
    past_q <= cur.past || weight_q >= (WeightAddrBits + 1)'(WeightTiles);
    index_q <= cur.index;
  end

  // The end: all dispatched, or given up. Both are seen a cycle or two late, which harms nobody. Of
  // one slot, that it lacks x counts before all else.
  logic short, out_of_turn_q, not_pulled_q, exhausted_q;
  assign short = out_of_turn_q || not_pulled_q || exhausted_q;
  logic [7:0] early_index_q[2];
  assign told = short || (slot.valid && past_q) || early || outcome.status != StatusFine;
  always_ff @(posedge clk) begin
    dispatched <= rst_n && (give_up_q || (instr_done && cur.last));
    out_of_turn_q <= tile_q && pull_here_q && word != ColumnBits'(pulled_q);
    not_pulled_q <= tile_q && !pull_here_q && cur.instr.source == SourceX
                    && word >= ColumnBits'(pulled_q);
    exhausted_q <= tile_q && pull_here_q && !ring.some && ring.exhausted;
    early_index_q <= '{index_q, early_index_q[0]};
    give_up_q <= rst_n && !give_up_q && !start && (short || (slot.valid && past_q) || early);
    if (start) begin
      outcome <= '{'0, StatusFine};
    end else if (outcome.status == StatusFine) begin
      if (early) begin
        outcome <= '{early_index_q[1], StatusDistance};
      end else if (short) begin
        outcome <= '{'0, StatusWords};
      end else if (slot.valid && past_q) begin
        outcome <= '{index_q, StatusWeights};
      end else if (dispatched && (!ring.exhausted || ring.some)) begin
        outcome <= '{'0, StatusWords};
      end
    end
  end
endmodule
