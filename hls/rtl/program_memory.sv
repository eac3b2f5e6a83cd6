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

  // Idle, Read: the header is being read, Header: it stands in window_line, Copy: instruction
  // line_q - 1 stands there, Check: the last one's check is out.
  typedef enum logic [2:0] {Idle, Read, Header, Copy, Check, Verdict} state_e;
  state_e state_q;
  instr_t instr;
  logic [6:0] index;
  assign instr = decode_instr(window_line);
  assign index = 7'(line_q - 8'd2);
  assign copying = state_q != Idle;

  (* ram_style = "distributed" *) instr_t copy_mem[Lines];
  always_ff @(posedge clk) if (state_q == Copy) copy_mem[index] <= instr;
  assign fetch_instr = copy_mem[fetch_index];

  logic fine_q, checked_q;
  logic [7:0] checked_index_q;
  status_e status_q;
  logic [7:0] status_index_q;
  assign ready = state_q == Verdict && status_q == StatusFine;
  assign refused = state_q == Verdict && status_q != StatusFine;
  assign status = status_q;
  assign status_index = status_index_q;

  always_ff @(posedge clk) begin
    line_q <= state_q == Idle ? '0 : line_q + 1'b1;
    if (state_q == Header) header <= decode_header(window_line);
    if (!rst_n) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: if (start) state_q <= Read;
        Read: state_q <= Header;
        Header: begin
          state_q <= window_header.instructions == 0 || !header_fine ? Verdict : Copy;
        end
        Copy: if (16'(line_q) == header.instructions + 16'd1) state_q <= Check;
        Check: state_q <= Verdict;
        default: state_q <= Idle;
      endcase
    end
  end

  header_t window_header;
  logic header_fine;
  assign window_header = decode_header(window_line);
  assign header_fine = window_header.magic == Magic
                       && window_header.instructions <= 16'(MaxInstructions)
                       && (window_header.sequences != 0 || window_header.instructions == 0);

  always_ff @(posedge clk) begin
    fine_q <= in_range(instr, index);
    checked_q <= state_q == Copy;
    checked_index_q <= 8'(index);
    if (state_q == Header) begin
      status_q <= header_fine ? StatusFine : StatusHeader;
      status_index_q <= '0;
    end else if (checked_q && !fine_q && status_q == StatusFine) begin
      status_q <= StatusInstruction;
      status_index_q <= checked_index_q;
    end
  end

  // first + count <= most, count > 0
  function automatic logic fits(logic [15:0] first, logic [15:0] count, int most);
    return count != 0 && 17'(first) + 17'(count) <= 17'(most);
  endfunction

  function automatic logic in_range(instr_t i, logic [6:0] own);
    logic fine;
    unique case (op_e'(i.op))
      OpLoadWeights: fine = fits(i.weight_base, i.rows, WeightTiles);
      OpLoadBias: fine = fits(i.bias_base, i.rows, BiasBlocks);
      OpLoadState: fine = fits(16'd0, i.rows, HColumns * Columns / Lanes);
      default: begin
        fine = fits(i.row_first, i.rows, Blocks)
               && fits(i.col_first, i.cols,
                         i.source == SourceX || i.source == SourceSequence ? XColumns : HColumns)
               && i.start != 2'd3 && i.x_shift <= 4'(MaxShift)
               && i.h_word < 16'(HColumns) && i.h_lane < 8'(Columns)
               && (i.h_lane & 8'(Lanes - 1)) == 0;
        if (i.start == StartBias) begin
          fine &= fits(i.bias_base, 16'(i.row_first + i.rows), BiasBlocks);
        end
      end
    endcase
    return fine && i.loop_back <= 8'(own);
  endfunction
endmodule
