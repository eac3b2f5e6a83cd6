// The dispatcher: each tile of an instruction is issued, once, in its order; and of a cycle in which
// it does not wait for x, for the h FIFO or for a load there is always less left to do.
module dispatcher_proof
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic    clk, rst_n, start, next_valid, proceed, give_up_q, load_done, room, dispatched,
    input logic    nop_q, tile_q, fill_q, load_q, load_start_q, idle_q, wait_here, row_done, instr_done,
    input logic    last_nop_q, last_column_q, last_slot_q, last_row_q, emits_q, pull_here_q,
    input logic [15:0] nops_left_q,
    input logic [ColumnBits-1:0] columns_left_q, slots_left_q, column_q,
    input logic [RowBits-1:0] rows_left_q,
    input logic [BlockBits-1:0] row_q,
    input logic [WeightAddrBits:0] weight_q,
    input work_t   next, cur,
    input ring_t   ring,
    input logic    ring_pull,
    input slot_t   slot,
    input load_t   load
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  // What stands in issue, counted from the instruction alone
  logic busy, loading, tiles_valid;
  logic [15:0] nops, row, column;   // no-op slots so far, the tile, or its row's filling slot
  logic [15:0] passes, width;       // slots of a row: columns, or as many as the lanes take turns
  logic [WeightAddrBits:0] weight;
  logic tile_now, done_now;
  assign passes = 16'(cur.gang) * 16'(Passes);
  assign width = cur.instr.finish && cur.instr.cols < passes ? passes : cur.instr.cols;
  assign tile_now = busy && !cur.is_load && nops == cur.instr.nops && column < cur.instr.cols;
  assign done_now = busy && !cur.is_load && nops == cur.instr.nops && row == cur.instr.rows - 1
                    && column == width - 1 && !wait_here;

  // How much is left, whatever is waited for
  typedef struct packed {
    logic [15:0] nops, rows, slots;
  } rank_t;
  rank_t rank, rank_q;
  logic counts, counts_q;
  assign rank = '{cur.instr.nops - nops, cur.instr.rows - row, width - column};
  assign counts = busy && !proceed && !wait_here && !load_q;

  slot_t expected;
  logic expects;
  always_ff @(posedge clk) begin
    rank_q <= rank;
    counts_q <= rst_n && !give_up_q && counts;
    expects <= rst_n && tile_now && !wait_here;
    expected.first <= column == '0;
    expected.last <= column == cur.instr.cols - 1;
    expected.weight_addr <= WeightAddrBits'(weight);
    expected.row <= BlockBits'(cur.instr.row_first + row * 16'(cur.gang));
    if (!rst_n || give_up_q) {busy, loading} <= '0;
    else if (proceed) begin
      busy <= next_valid;
      {nops, row, column} <= '0;
      weight <= (WeightAddrBits + 1)'(next.instr.weight_base);
    end else if (busy && nops != cur.instr.nops) nops <= nops + 1'b1;
    else if (busy && !cur.is_load && !wait_here) begin
      if (column < cur.instr.cols) weight <= weight + 1'b1;
      column <= column == width - 1 ? '0 : column + 1'b1;
      if (column == width - 1) row <= row + 1'b1;
    end
  end

  // What program_memory.sv lets pass
  function automatic logic rectangle(work_t work);
    return work.gang == gang_of(work.instr.shape) && work.step == step_of(work.instr.shape)
        && (work.is_load || (work.instr.rows != 0 && work.instr.rows <= 16'(Blocks)
        && work.instr.cols != 0
        && 24'(work.instr.cols) * 24'(work.step) <= 24'(Bands * larger(XColumns, HWords))));
  endfunction

  logic [15:0] next_passes, next_width;
  assign next_passes = 16'(next.gang) * 16'(Passes);
  assign next_width = next.instr.finish && next.instr.cols < next_passes ? next_passes : next.instr.cols;
  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // program_memory.sv: rectangles that there are; fetch.sv: the flags say what they say
      given_rectangle : assume (!next_valid || rectangle(next));
      given_flags : assume (!next_valid || (next.is_load == (next.instr.op != OpTiles) && next.has_nops == (next.instr.nops != 0)
          && next.one_nop == (next.instr.nops == 1) && next.one_column == (next.instr.cols == 1)
          && next.one_row == (next.instr.rows == 1) && next.one_slot == (next_width == 1)
          && next.row_slots == ColumnBits'(next_width)));
      // loader.sv, state_giver.sv: done in a load
      given_done : assume (!load_done || (load_q && !load_start_q));
      given_start : assume (!start || idle_q);

      idle_agrees : assert (idle_q == !busy);
      if (busy) rectangle_stays : assert (rectangle(cur));
      if (busy) one_state : assert (32'(nop_q) + 32'(tile_q) + 32'(fill_q) + 32'(load_q) == 1);
      if (!busy) no_state : assert (!nop_q && !tile_q && !fill_q && !load_q && !last_slot_q);
      if (busy) nop_agrees : assert (nops <= cur.instr.nops && nop_q == (nops != cur.instr.nops)
          && (!nop_q || (nops_left_q == cur.instr.nops - nops && last_nop_q == (nops_left_q == 1))));
      if (busy && !nop_q) load_agrees : assert (load_q == cur.is_load);
      if (busy && !cur.is_load) row_agrees :
        assert (row < cur.instr.rows && 16'(rows_left_q) == cur.instr.rows - row
                && last_row_q == (row == cur.instr.rows - 1));
      if (busy && !cur.is_load) slot_agrees :
        assert (column < width && 16'(slots_left_q) == width - column
                && (nop_q || last_slot_q == (column == width - 1)));
      if (busy && !cur.is_load) column_agrees :
        assert (columns_left_q == ColumnBits'(cur.instr.cols - column)
                && column_q == ColumnBits'(cur.instr.col_first + column * 16'(cur.step))
                && row_q == BlockBits'(cur.instr.row_first + row * 16'(cur.gang)));
      if (busy && !nop_q && !cur.is_load) tile_agrees :
        assert (tile_q == (column < cur.instr.cols) && last_column_q == (column == cur.instr.cols - 1)
                && weight_q == weight);
      if (busy && nop_q && !cur.is_load) begin_agrees :
        assert (row == 0 && column == 0 && weight_q == weight
                && last_column_q == (cur.instr.cols == 1) && !last_slot_q == !cur.one_slot);
      if (busy) flags_agree :
        assert (cur.has_nops == (cur.instr.nops != 0) && cur.one_slot == (width == 1)
                && cur.one_column == (cur.instr.cols == 1) && cur.row_slots == ColumnBits'(width));

      tile_is_issued : assert (slot.valid == expects);
      if (slot.valid) tile_is_right :
        assert (slot.first == expected.first && slot.last == expected.last
                && slot.row == expected.row && slot.weight_addr == expected.weight_addr);
      if (busy && !cur.is_load) ends_with_last : assert (instr_done == done_now);
      if (counts_q && busy) less_is_left : assert (rank < rank_q);
      if (wait_here) waits_with_reason :
        assert (tile_q && ((pull_here_q && !ring.some) || (emits_q && last_column_q && !room)));
      if (ring_pull) pulls_what_is_there : assert (ring.some);
      if (load_q && !load_start_q) load_asked_once : assert (!load.start);

      seen_fill : cover (fill_q && row == 1);
      seen_wait : cover (wait_here && nops == 1);
      seen_end : cover (done_now && row == 1 && cur.instr.nops == 2);
      seen_load : cover (load_q && load_done);
    end
  end
endmodule
bind dispatcher dispatcher_proof u_proof (.*);
