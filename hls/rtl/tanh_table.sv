// tanh by table and linear interpolation, three edges: table (into the DSP's input registers),
// M, P. The argument comes as sign and magnitude, z ^ sign, of any width; beyond ZBits it saturates.
// y ^ negative is what numerics/activation.py calls y.
module tanh_table
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int InBits = ZBits
) (
    input  logic              clk,
    input  logic [InBits-2:0] magnitude,
    input  logic              sign,
    output logic [BaseBits-1:0] y,
    output logic              negative
);
  localparam int RiseBits = SlopeBits + FracBits;
  logic beyond;
  if (InBits > ZBits) begin : gen_saturate
    assign beyond = |magnitude[InBits-2:ZBits-1];
  end else begin : gen_fits
    assign beyond = 1'b0;
  end

  // 64 segments fit a 6-input LUT; written group by group so that tools find that.
  localparam int Groups = 2 ** (SegmentBits - 6);
  localparam int EntryBits = BaseBits + SlopeBits;
  logic [EntryBits-1:0] group_entry[Groups];
  logic [EntryBits-1:0] entry;
  for (genvar g = 0; g < Groups; g++) begin : gen_group
    assign group_entry[g] = TanhTable[g][magnitude[FracBits+:6]];
  end
  assign entry = group_entry[magnitude[ZBits-2:FracBits+6]];

  logic [BaseBits-1:0] base_q, base_m, y_q;
  logic [SlopeBits-1:0] slope_q;
  logic [FracBits-1:0] frac_q;
  logic [RiseBits-1:0] rise_m;
  logic negative_q, negative_m, negative_p;
  always_ff @(posedge clk) begin
    base_q <= beyond ? BaseBits'(TanhEnd) : entry[EntryBits-1:SlopeBits];
    slope_q <= beyond ? '0 : entry[SlopeBits-1:0];
    frac_q <= magnitude[FracBits-1:0];
    negative_q <= sign;

    rise_m <= RiseBits'(slope_q * frac_q);
    base_m <= base_q;
    negative_m <= negative_q;

    y_q <= base_m + BaseBits'(rise_m[RiseBits-1:FracBits]);
    negative_p <= negative_m;
  end
  assign y = y_q;
  assign negative = negative_p;
endmodule
