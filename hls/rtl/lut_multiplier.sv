// A multiplier of LUTs with the registers of a DSP's: weight times scalar, whose register is shared.
// Of groups of the weight's bits the multiples of the scalar are summed first, and then those sums.
module lut_multiplier
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                          clk,
    input  logic signed [WeightBits-1:0]  weight,
    input  logic signed [ActBits-1:0]     scalar_q,
    output logic signed [ProductBits-1:0] product
);
  localparam int Group = WeightBits > 8 ? 4 : 2;  // bits; four groups at most
  localparam int PartBits = ActBits + Group;
  logic signed [4*Group-1:0] a_q;
  logic signed [ProductBits-1:0] part[4];
  always_ff @(posedge clk) a_q <= (4 * Group)'(weight);
  for (genvar i = 0; i < 4; i++) begin : gen_part
    if (i * Group < WeightBits) begin : gen_group
      logic signed [PartBits-1:0] term[4], sum_q;
      for (genvar j = 0; j < 4; j++) begin : gen_term
        if (j < Group) begin : gen_bit
          assign term[j] = a_q[Group*i+j] ? PartBits'(scalar_q) <<< j : '0;
        end else begin : gen_none
          assign term[j] = '0;
        end
      end
      // The highest bit counts negative.
      always_ff @(posedge clk) begin
        if ((i + 1) * Group >= WeightBits && Group == 2) sum_q <= term[0] - term[1];
        else if ((i + 1) * Group >= WeightBits) sum_q <= term[0] + term[1] + term[2] - term[3];
        else sum_q <= term[0] + term[1] + term[2] + term[3];
      end
      assign part[i] = ProductBits'(sum_q) <<< (Group * i);
    end else begin : gen_none
      assign part[i] = '0;
    end
  end
  always_ff @(posedge clk) product <= part[0] + part[1] + part[2] + part[3];
endmodule
