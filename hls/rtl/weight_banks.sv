// Part of the weight memory, in banks whose depths fill their RAMs. The banks' output registers come
// before the choice between them.
module weight_banks
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int Bits = 1,
    parameter int Banks = 1,
    parameter int Depths[Banks] = '{default: 1},  // each begins at a multiple of its own
    parameter     RamStyle = "block"
) (
    input  logic                       clk,
    input  logic                       we,
    input  logic [WeightAddrBits-1:0]  waddr,
    input  logic [Bits-1:0]            wdata,
    input  logic [WeightAddrBits-1:0]  raddr,
    output logic [Bits-1:0]            rdata    // two edges later
);
  function automatic int first_of(int bank);
    first_of = 0;
    for (int b = 0; b < bank; b++) first_of += Depths[b];
  endfunction

  logic [Banks-1:0][Bits-1:0] bank_q;
  logic [Banks-1:0] hit, hit_latch, hit_q;
  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    localparam int First = first_of(b);
    localparam int Depth = Depths[b];
    localparam int PlaceBits = Depth > 1 ? $clog2(Depth) : 1;
    (* ram_style = RamStyle *) logic [Bits-1:0] weight_mem[Depth];
    logic [Bits-1:0] latch;
    always_ff @(posedge clk) begin
      if (we && int'(waddr) >= First && int'(waddr) < First + Depth) begin
        weight_mem[PlaceBits'(waddr)] <= wdata;
      end
      latch <= weight_mem[PlaceBits'(raddr)];
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
      for (int b = 0; b < Banks; b++) rdata |= bank_q[b] & {Bits{hit_q[b]}};
    end
  end
endmodule
