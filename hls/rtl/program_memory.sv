// Program memory: the window that the host writes, and the copy that a run walks. At start the
// window is copied an instruction a cycle, and each instruction is checked on the way.
module program_memory
  import lstm_pkg::*;
(
    input  logic        clk,
    input  logic        rst_n,
    input  logic        we,            // window, from AXI4-Lite
    input  logic [9:0]  waddr,         // 32-bit words
    input  logic [31:0] wdata,
    input  logic [3:0]  wstrb,
    input  logic [9:0]  raddr,
    output logic [31:0] rdata,         // one edge later, while no copy runs
    output logic        copying,
    input  logic        start,
    output header_t     header,        // stands while its run goes on
    output logic        ready,         // pulse: all copied and fine
    output logic        refused,       // pulse: bad program
    output status_e     status,
    output logic [7:0]  status_index,
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
  logic [6:0] index;
  assign instr = decode_instr(window_line);
  assign index = 7'(line_q - 8'd2);
  assign copying = state_q != Idle;

  (* ram_style = "distributed" *) instr_t copy_mem[Lines];
  always_ff @(posedge clk) if (state_q == Copy) copy_mem[index] <= instr;
  assign fetch_instr = copy_mem[fetch_index];

  logic [7:0] last_line_q;
  logic header_fine;
  assign header_fine = header.magic == Magic && header.instructions <= 16'(MaxInstructions)
                       && (header.sequences != 0 || header.instructions == 0);
  assign ready = state_q == Verdict && status == StatusFine;
  assign refused = state_q == Verdict && status != StatusFine;

  always_ff @(posedge clk) begin
    if (state_q == Idle || state_q == Read) line_q <= '0;
    else line_q <= line_q + 1'b1;
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
  typedef struct packed {
    logic        valid;
    logic [7:0]  index;
    logic        fine;        // what needs no sum
    op_e         op;
    logic        of_x;        // scalars are x or an h below, not this layer's h
    logic        from_bias;
    logic [16:0] row_end;
    logic [16:0] col_end;
    logic [16:0] load_end;
    logic [15:0] bias_base;
  } sums_t;
  sums_t sums_q;
  logic bounds_q, bounds_valid_q;
  logic [7:0] bounds_index_q;
  logic [15:0] load_base;
  assign load_base = instr.op == OpLoadWeights ? instr.weight_base
                     : instr.op == OpLoadBias ? instr.bias_base : 16'd0;
  always_ff @(posedge clk) begin
    sums_q.valid <= state_q == Copy;
    sums_q.index <= 8'(index);
    sums_q.fine <= instr.rows != 0 && instr.loop_back <= 8'(index)
                   && (instr.op != OpTiles || tiles_fine(instr));
    sums_q.op <= instr.op;
    sums_q.of_x <= instr.source == SourceX || instr.source == SourceSequence;
    sums_q.from_bias <= instr.start == StartBias;
    sums_q.row_end <= 17'(instr.row_first) + 17'(instr.rows);
    sums_q.col_end <= 17'(instr.col_first) + 17'(instr.cols);
    sums_q.load_end <= 17'(instr.rows) + 17'(load_base);
    sums_q.bias_base <= instr.bias_base;

    bounds_valid_q <= sums_q.valid;
    bounds_index_q <= sums_q.index;
    bounds_q <= sums_q.fine && in_bounds(sums_q);

    if (state_q == Judge) begin
      status <= header_fine ? StatusFine : StatusHeader;
      status_index <= '0;
    end else if (bounds_valid_q && !bounds_q && status == StatusFine) begin
      status <= StatusInstruction;
      status_index <= bounds_index_q;
    end
  end

  function automatic logic tiles_fine(instr_t i);
    return i.cols != 0 && i.start != 2'd3 && i.x_shift <= 4'(MaxShift)
           && i.h_word < 16'(HColumns) && i.h_lane < 8'(Columns)
           && (i.h_lane & 8'(Lanes - 1)) == 0;
  endfunction

  function automatic logic in_bounds(sums_t s);
    logic bias_fits;
    bias_fits = !s.from_bias || 18'(s.row_end) + 18'(s.bias_base) <= 18'(BiasBlocks);
    unique case (s.op)
      OpLoadWeights: return s.load_end <= 17'(WeightTiles);
      OpLoadBias: return s.load_end <= 17'(BiasBlocks);
      OpLoadState: return s.load_end <= 17'(HColumns * Columns / Lanes);
      default:
        return s.row_end <= 17'(Blocks) && bias_fits
               && s.col_end <= 17'(s.of_x ? XColumns : HColumns);
    endcase
  endfunction
endmodule
