// Reduce: adder tree over the N products of one row, four to one a registered level, down to one
// or two sums that the accumulator adds itself.
module row_reduce
  import lstm_pkg::*;
(
    input  logic                                        clk,
    input  logic signed [Columns-1:0][ProductBits-1:0]  products,
    output logic signed [SumBits-1:0]                   sums[2]
);
  function automatic int width_at(int level);
    width_at = Columns;
    for (int l = 0; l < level; l++) width_at = (width_at + 3) / 4;
  endfunction

  for (genvar level = 0; level <= ReduceLevels; level++) begin : gen_level
    localparam int Width = width_at(level);
    localparam int Bits = ProductBits + 2 * level;
    logic signed [Bits-1:0] node[Width];
  end

  for (genvar n = 0; n < Columns; n++) begin : gen_leaf
    assign gen_level[0].node[n] = products[n];
  end

  for (genvar level = 1; level <= ReduceLevels; level++) begin : gen_add
    localparam int Below = width_at(level - 1);
    for (genvar n = 0; n < width_at(level); n++) begin : gen_node
      localparam int Bits = ProductBits + 2 * level;
      logic signed [Bits-1:0] term[4];
      for (genvar j = 0; j < 4; j++) begin : gen_term
        if (4 * n + j < Below) begin : gen_real
          assign term[j] = Bits'(gen_level[level-1].node[4*n+j]);
        end else begin : gen_none
          assign term[j] = '0;
        end
      end
      always_ff @(posedge clk) gen_level[level].node[n] <= term[0] + term[1] + term[2] + term[3];
    end
  end

  assign sums[0] = SumBits'(gen_level[ReduceLevels].node[0]);
  if (width_at(ReduceLevels) == 2) begin : gen_two
    assign sums[1] = SumBits'(gen_level[ReduceLevels].node[1]);
  end else begin : gen_one
    assign sums[1] = '0;
  end
endmodule
