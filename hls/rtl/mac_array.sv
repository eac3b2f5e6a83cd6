// The array: N VS units, and the trees that reduce their products row by row. Three edges to the
// products, and one for each level of the trees.
module mac_array
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                       clk,
    input  logic        [Macs-1:0][WeightBits-1:0]     weights,
    input  logic        [Columns-1:0][ActBits-1:0]     scalars,
    output logic signed [SumBits-1:0]                  reduced[Rows][RowSums]
);
  logic signed [Rows-1:0][ProductBits-1:0] products[Columns];
  for (genvar n = 0; n < Columns; n++) begin : gen_vs
    vs_unit #(.InLuts(n >= Columns - LutColumns)) u_vs (
        .clk, .weights(weights[n*Rows+:Rows]), .scalar(scalars[n]), .products(products[n])
    );
  end
  for (genvar k = 0; k < Rows; k++) begin : gen_reduce
    logic signed [Columns-1:0][ProductBits-1:0] row;
    for (genvar n = 0; n < Columns; n++) begin : gen_product
      assign row[n] = products[n][k];
    end
    reduce u_reduce (.clk, .products(row), .sums(reduced[k]));
  end
endmodule
