// Memory of h words: written Lanes elements at a time, read a word of N elements at a time.
// Distributed for the small h buffer, block RAM for the sequence buffer.
module vector_buffer
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int Depth = 2,
    parameter     RamStyle = "distributed",
    localparam int AddrBits = $clog2(Depth)
) (
    input  logic                                clk,
    input  logic                                we,
    input  logic [AddrBits-1:0]                 waddr,
    input  logic [LaneBits-1:0]                 wlane,  // multiple of Lanes
    input  logic [Lanes-1:0][ActBits-1:0]       wdata,
    input  logic [AddrBits-1:0]                 raddr,
    output logic [Columns-1:0][ActBits-1:0]     rdata   // one edge later
);
  localparam int Groups = Columns / Lanes;
  (* ram_style = RamStyle *) logic [Groups-1:0][Lanes*ActBits-1:0] mem[Depth];
  always_ff @(posedge clk) begin
    for (int g = 0; g < Groups; g++) begin
      if (we && wlane >> $clog2(Lanes) == LaneBits'(g)) mem[waddr][g] <= wdata;
    end
    rdata <= mem[raddr];
  end
endmodule
