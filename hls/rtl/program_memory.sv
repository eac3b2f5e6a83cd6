// Program memory: the window that the host writes, and the copy that a run walks. At start the
// window is copied an instruction a cycle, and each instruction is checked on the way.
module program_memory
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic        clk, rst_n,
    input  logic        we,            // window, from AXI4-Lite
    input  logic [WindowBits-1:0] waddr, raddr,  // 32-bit words
    input  logic [31:0] wdata,
    input  logic [3:0]  wstrb,
    output logic [31:0] rdata,         // one edge later, while no copy runs
    output logic        copying,
    input  logic        start,
    output header_t     header,        // stands while its run goes on
    output logic        ready,         // pulse: all copied and fine
    output logic        refused,       // pulse: bad program
    output outcome_t    outcome,
    input  logic [6:0]  fetch_index,
    output instr_t      fetch_instr
);
  localparam int Lines = MaxInstructions + 1;

  logic [7:0] line_q;  // line that is read, 0 is the header; one past the last at the end
  line_t window_line;
  logic [2:0] rbank_q;
  for (genvar b = 0; b < Stride; b++) begin : gen_bank
    (* ram_style = "distributed" *) logic [3:0][7:0] mem[Lines];
    logic [6:0] address;
    assign address = copying ? line_q[6:0] : raddr[9:3];
    always_ff @(posedge clk) begin
      for (int i = 0; i < 4; i++) begin
        if (we && waddr[2:0] == 3'(b) && wstrb[i]) mem[waddr[9:3]][i] <= wdata[8*i+:8];
      end
      window_line[b] <= mem[address];
    end
  end
  always_ff @(posedge clk) rbank_q <= raddr[2:0];
  assign rdata = window_line[rbank_q];

  // Read: the header is being read; Header: it stands in window_line; Judge: in its register; Copy:
  // instruction line_q - 2 stands in window_line; Sums, Bounds: the last one is being checked.
  typedef enum logic [2:0] {Idle, Read, Header, Judge, Copy, Sums, Bounds, Verdict} state_e;
  state_e state_q;
  instr_t instr;
  logic [6:0] index_q;  // of the instruction that stands in window_line
  assign instr = decode_instr(window_line);

  (* ram_style = "distributed" *) instr_t copy_mem[Lines];
  always_ff @(posedge clk) if (state_q == Copy) copy_mem[index_q] <= instr;
  assign fetch_instr = copy_mem[fetch_index];

  logic [7:0] last_line_q;
  logic header_fine;
  assign header_fine = header.magic == 16'(Magic) && header.instructions <= 16'(MaxInstructions)
                       && (header.sequences != 0 || header.instructions == 0);
  assign ready = state_q == Verdict && outcome.status == StatusFine;
  assign refused = state_q == Verdict && outcome.status != StatusFine;

  always_ff @(posedge clk) begin
    if (state_q == Idle || state_q == Read) line_q <= '0;
    else line_q <= line_q + 1'b1;
    index_q <= 7'(line_q - 8'd1);
    copying <= rst_n && (copying ? state_q != Verdict : start);
    if (state_q == Header) header <= decode_header(window_line);
    last_line_q <= 8'(header.instructions) + 8'd1;
    if (!rst_n) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: if (start) state_q <= Read;
        Judge: state_q <= header_fine && header.instructions != 0 ? Copy : Verdict;
        Copy: if (line_q == last_line_q) state_q <= Sums;
        default: state_q <= state_e'(state_q + 3'd1);
      endcase
    end
  end

  // Checks, three edges: sums, bounds, status
  typedef logic [17+BandBits:0] sum_t;
  logic sums_valid_q, fine_q, loops_q;  // fine: what needs no sum
  logic [7:0] sums_index_q, loop_first_q;
  sum_t end_q, most_q;  // of bands, or of what a load writes, and where its memory ends
  sum_t col_end_q, col_most_q, bias_end_q, bias_most_q;  // columns in segments
  logic bounds_q, bounds_valid_q;
  logic [7:0] bounds_index_q;
  logic [7:0] loop_end_q;  // behind the last loop: the next begins there or later
  logic [15:0] first;
  sum_t most, rows, bands, segments;  // how many of each
  always_comb begin
    {bands, segments} = '0;
    for (int s = 0; s < Shapes; s++) begin
      if (is_shape(instr.shape, s)) begin
        bands |= sum_t'(instr.rows) * sum_t'(Gangs[s]);
        segments |= sum_t'(instr.cols) * sum_t'(Bands / Gangs[s]);
      end
    end
    rows = instr.op == OpTiles ? bands : sum_t'(instr.rows);
    unique case (instr.op)
      OpLoadWeights: {first, most} = {instr.weight_base, sum_t'(WeightTiles)};
      OpLoadBias: {first, most} = {instr.bias_base, sum_t'(BiasBlocks)};
      OpLoadState, OpGiveState: {first, most} = {instr.row_first * 16'(Passes), sum_t'(CGroups)};
      default: {first, most} = {instr.row_first, sum_t'(Blocks)};
    endcase
  end
  always_ff @(posedge clk) begin
    sums_valid_q <= state_q == Copy;
    sums_index_q <= 8'(index_q);
    fine_q <= instr.rows != 0 && instr.loop_back <= 8'(index_q) && instr.op <= OpGiveState
              && instr.row_first < 16'(Blocks) && instr.h_word < 16'(HWords)
              && (instr.op != OpTiles || tiles_fine(instr));
    loops_q <= instr.repeats[15:1] != 0;
    loop_first_q <= 8'(index_q) - instr.loop_back;
    end_q <= sum_t'(first) + rows;
    most_q <= most;
    col_end_q <= sum_t'(instr.col_first) + segments;
    bias_end_q <= sum_t'(instr.bias_base) + bands;
    {col_most_q, bias_most_q} <= '1;
    if (instr.op == OpTiles) begin
      col_most_q <= sum_t'(Bands * (instr.source == SourceX ? XColumns : HWords));
      if (RowScales == 1 || instr.start == StartBias) bias_most_q <= sum_t'(BiasBlocks);
    end

    bounds_valid_q <= sums_valid_q;
    bounds_index_q <= sums_index_q;
    bounds_q <= fine_q && end_q <= most_q && col_end_q <= col_most_q && bias_end_q <= bias_most_q
                && (!loops_q || loop_first_q >= loop_end_q);
    if (state_q == Judge) loop_end_q <= '0;
    else if (sums_valid_q && loops_q) loop_end_q <= sums_index_q + 1'b1;

    if (state_q == Judge) begin
      outcome <= '{'0, header_fine ? StatusFine : StatusHeader};
    end else if (bounds_valid_q && !bounds_q && outcome.status == StatusFine) begin
      outcome <= '{bounds_index_q, StatusInstruction};
    end
  end

  // Row blocks, their neurons and columns lie in their places, multiples of what they cover.
  function automatic logic tiles_fine(instr_t i);
    logic placed;
    placed = Shapes == 8 || i.shape < 3'(Shapes);
    for (int s = 0; s < Shapes; s++) begin
      if (is_shape(i.shape, s)) begin
        placed &= i.row_first % 16'(Gangs[s]) == 0 && i.col_first % 16'(Bands / Gangs[s]) == 0
                  && (i.h_lane & lane_mask(Gangs[s] * Block)) == 0;
      end
    end
    placed &= (RowScales == 0 && i.start != StartBias)
              || (i.row_first ^ i.bias_base) % 16'(Bands) == 0;
    return placed && i.cols != 0 && i.start != 2'd3
           && i.x_shift <= 4'(MaxShift) && i.h_lane < 8'(Columns);
  endfunction

  // Where so many neurons must not begin: their places are multiples of them, or whole words.
  function automatic logic [7:0] lane_mask(int neurons);
    return 8'((neurons < Columns ? neurons : Columns) - 1);
  endfunction
endmodule
