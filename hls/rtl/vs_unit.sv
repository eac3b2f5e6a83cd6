// VS unit: K weights of one column segment times one scalar. Four edges from inputs to products.
//
// A DSP makes Packed products: its operand holds the weights of so many rows, ProductBits apart. What
// the loader has made of them (lstm_pkg's packed_weights) is, with signs spread between, their sum.
module vs_unit
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter bit InLuts = 0  // no DSPs
) (
    input  logic                                         clk,
    input  logic        [Rows-1:0][WeightBits-1:0]       weights,
    input  logic signed [ActBits-1:0]                    scalar,
    output logic signed [Rows-1:0][ProductBits-1:0]      products
);
  // Register by register as in a DSP: operands (A, B), M, P.
  logic signed [ActBits-1:0] b_q;
  always_ff @(posedge clk) b_q <= scalar;

  if (InLuts) begin : gen_luts
    for (genvar k = 0; k < Rows; k++) begin : gen_mac
      lut_multiplier u_multiplier (
          .clk, .weight(weights[k]), .scalar_q(b_q), .product(products[k])
      );
    end
  end else begin : gen_dsps
    localparam int ResultBits = Packed == 1 ? ProductBits : Packed * ProductBits;
    // Half of what lies above each product but the last: none of them borrows from the next, and
    // each differs from what it is by its sign bit.
    function automatic logic signed [ResultBits-1:0] halves();
      halves = '0;
      for (int i = 1; i < Packed; i++) halves[i*ProductBits-1] = 1'b1;
    endfunction
    for (genvar k = 0; k < Rows; k += Packed) begin : gen_mac
      logic signed [PackedBits-1:0] operand, a_q;
      logic signed [ResultBits-1:0] m_q, p_q;
      for (genvar i = 0; i < Packed; i++) begin : gen_product
        if (i < Packed - 1) begin : gen_spread
          assign operand[i*ProductBits+:ProductBits] = ProductBits'(signed'(weights[k+i]));
          assign products[k+i] = {~p_q[(i+1)*ProductBits-1], p_q[i*ProductBits+:ProductBits-1]};
        end else begin : gen_top
          assign operand[i*ProductBits+:WeightBits] = weights[k+i];
          assign products[k+i] = p_q[i*ProductBits+:ProductBits];
        end
      end
      always_ff @(posedge clk) begin
        a_q <= operand;
        m_q <= ResultBits'(a_q * b_q);
        p_q <= m_q + halves();
      end
    end
  end
endmodule
