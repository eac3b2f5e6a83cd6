// A multiplier of LUTs with the registers of a DSP's: weight times scalar, whose register is shared.
// Two bits of the weight at a time choose among multiples of the scalar; those are then summed.
module lut_multiplier
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                          clk,
    input  logic signed [WeightBits-1:0]  weight,
    input  logic signed [ActBits-1:0]     scalar_q,
    output logic signed [ProductBits-1:0] product
);
  localparam int Pairs = (WeightBits + 1) / 2;  // four at most
  localparam int PairBits = ActBits + 2;
  logic signed [2*Pairs-1:0] a_q;
  logic signed [ProductBits-1:0] part[4];
  always_ff @(posedge clk) a_q <= (2 * Pairs)'(weight);
  for (genvar i = 0; i < 4; i++) begin : gen_part
    if (i < Pairs) begin : gen_pair
      logic signed [PairBits-1:0] one, two, sum_q;
      assign one = a_q[2*i] ? PairBits'(scalar_q) : '0;
      assign two = a_q[2*i+1] ? PairBits'(scalar_q) <<< 1 : '0;
      always_ff @(posedge clk) sum_q <= i == Pairs - 1 ? one - two : one + two;
      assign part[i] = ProductBits'(sum_q) <<< (2 * i);
    end else begin : gen_none
      assign part[i] = '0;
    end
  end
  always_ff @(posedge clk) product <= part[0] + part[1] + part[2] + part[3];
endmodule
