// VS unit: K weights of one column segment times one scalar. Four edges from inputs to products.
module vs_unit
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                         clk,
    input  logic        [Rows-1:0][WeightBits-1:0]       weights,
    input  logic signed [ActBits-1:0]                    scalar,
    output logic signed [Rows-1:0][ProductBits-1:0]      products
);
  // Register by register as in a DSP: operands (A, B), M, P.
  logic signed [ActBits-1:0] b_q;
  always_ff @(posedge clk) b_q <= scalar;

  for (genvar k = 0; k < Rows; k++) begin : gen_mac
    logic signed [WeightBits-1:0]  a_q;
    logic signed [ProductBits-1:0] m_q;
    logic signed [ProductBits-1:0] p_q;
    always_ff @(posedge clk) begin
      a_q <= weights[k];
      m_q <= ProductBits'(a_q * b_q);
      p_q <= m_q;
    end
    assign products[k] = p_q;
  end
endmodule
