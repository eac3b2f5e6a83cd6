// Weight memory: a word holds a tile. Its depth is cut into banks of a power of two (and of 4,096),
// so that block RAMs of 512 x 72, 1K x 36, 2K x 18 or 4K x 9 bits are filled; the banks' output
// registers come before the choice between them.
module weight_memory
  import lstm_pkg::*;
(
    input  logic                              clk,
    input  logic                              we,
    input  logic [WeightAddrBits-1:0]         waddr,
    input  logic [Macs-1:0][WeightBits-1:0]   wdata,
    input  logic [WeightAddrBits-1:0]         raddr,
    output logic [Macs-1:0][WeightBits-1:0]   rdata    // two edges later
);
  localparam int Whole = 4096;  // banks above that would only be cut again
  localparam int Least = 512;

  function automatic int bank_depth(int first);
    int left = WeightTiles - first;
    if (left >= Whole) return Whole;
    for (int depth = Whole / 2; depth > Least; depth /= 2) if (left >= depth) return depth;
    return left;
  endfunction
  function automatic int bank_first(int bank);
    int first = 0;
    for (int b = 0; b < bank; b++) first += bank_depth(first);
    return first;
  endfunction
  function automatic int bank_count();
    int count = 0;
    for (int first = 0; first < WeightTiles; first += bank_depth(first)) count++;
    return count;
  endfunction
  localparam int Banks = bank_count();

  logic [Banks-1:0][Macs-1:0][WeightBits-1:0] bank_q;
  logic [Banks-1:0] hit, hit_latch, hit_q;
  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    localparam int First = bank_first(b);
    localparam int Depth = bank_depth(First);
    localparam int Bits = $clog2(Depth);
    (* ram_style = "block" *) logic [Macs-1:0][WeightBits-1:0] weight_mem[Depth];
    logic [Macs-1:0][WeightBits-1:0] latch;
    // Banks begin at multiples of their depth: the lower bits are the place within.
    always_ff @(posedge clk) begin
      if (we && int'(waddr) >= First && int'(waddr) < First + Depth) begin
        weight_mem[Bits'(waddr)] <= wdata;
      end
      latch <= weight_mem[Bits'(raddr)];
      bank_q[b] <= latch;
    end
    assign hit[b] = int'(raddr) >= First && int'(raddr) < First + Depth;
  end
  always_ff @(posedge clk) begin
    hit_latch <= hit;
    hit_q <= hit_latch;
  end
  always_comb begin
    rdata = Banks == 1 ? bank_q[0] : '0;
    if (Banks > 1) begin
      for (int b = 0; b < Banks; b++) rdata |= bank_q[b] & {Macs * WeightBits{hit_q[b]}};
    end
  end
endmodule
