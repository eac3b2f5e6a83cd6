// Weight memory: a word holds a tile, its last UramColumns columns in UltraRAM and the others in
// block RAM. Read data comes two edges later.
module weight_memory
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                              clk,
    input  logic                              we,
    input  logic [WeightAddrBits-1:0]         waddr,
    input  logic [Macs-1:0][WeightBits-1:0]   wdata,
    input  logic [WeightAddrBits-1:0]         raddr,
    output logic [Macs-1:0][WeightBits-1:0]   rdata
);
  localparam int BramMacs = (Columns - UramColumns) * Rows;
  if (BramMacs > 0) begin : gen_bram
    weight_banks #(
        .Bits(BramMacs * WeightBits),
        .Banks($size(BramBanks)), .Depths(BramBanks), .RamStyle("block")
    ) u_banks (
        .clk, .we, .waddr, .wdata(wdata[0+:BramMacs]), .raddr, .rdata(rdata[0+:BramMacs])
    );
  end
  if (BramMacs < Macs) begin : gen_uram
    localparam int UramMacs = Macs - BramMacs;
    weight_banks #(
        .Bits(UramMacs * WeightBits),
        .Banks($size(UramBanks)), .Depths(UramBanks), .RamStyle("ultra")
    ) u_banks (
        .clk, .we, .waddr, .wdata(wdata[BramMacs+:UramMacs]),
        .raddr, .rdata(rdata[BramMacs+:UramMacs])
    );
  end
endmodule
