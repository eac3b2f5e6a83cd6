// tanh by table and linear interpolation, three edges: table (into the DSP's input registers),
// M, P. z has any width; beyond ZBits it saturates. y ^ negative is what numerics/activation.py calls y.
module tanh_table
  import lstm_pkg::*;
#(
    parameter int InBits = ZBits
) (
    input  logic                     clk,
    input  logic signed [InBits-1:0] z,
    output logic        [15:0]       y,
    output logic                     negative
);
  logic beyond;
  logic [ZBits-2:0] magnitude;
  logic [26:0] entry;
  if (InBits > ZBits) begin : gen_saturate
    assign beyond = z[InBits-1:ZBits-1] != {(InBits - ZBits + 1) {z[InBits-1]}};
  end else begin : gen_fits
    assign beyond = 1'b0;
  end
  assign magnitude = z[ZBits-2:0] ^ {(ZBits - 1) {z[InBits-1]}};
  assign entry = TanhTable[magnitude[ZBits-2:FracBits]];

  logic [15:0] base_q, base_m, y_q;
  logic [FracBits:0] slope_q;
  logic [FracBits-1:0] frac_q;
  logic [2*FracBits:0] rise_m;
  logic negative_q, negative_m, negative_p;
  always_ff @(posedge clk) begin
    base_q <= beyond ? TanhEnd : entry[26:11];
    slope_q <= beyond ? '0 : entry[10:0];
    frac_q <= magnitude[FracBits-1:0];
    negative_q <= z[InBits-1];

    rise_m <= (2 * FracBits + 1)'(slope_q * frac_q);
    base_m <= base_q;
    negative_m <= negative_q;

    y_q <= base_m + 16'(rise_m[2*FracBits:FracBits]);
    negative_p <= negative_m;
  end
  assign y = y_q;
  assign negative = negative_p;
endmodule
