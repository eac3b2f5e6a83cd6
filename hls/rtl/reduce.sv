// Reduce: adder tree over the N products of one row, with a tap for each shape of the tile: the sums
// of 1, 2, 4 ... segments, as many as the shape's VS units share no scalar. With one shape the last
// two sums of the tree stay apart, which the accumulator adds itself.
//
// Within a segment four nodes are added to one a registered level. A span of segments is the sum of
// two halves: while either has more than two nodes they stay apart, so it comes from the level
// that Config.tap_levels says. Early taps wait, so that all come after ReduceLevels edges.
module reduce
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                        clk,
    input  logic signed [Columns-1:0][ProductBits-1:0]  products,
    output logic signed [SumBits-1:0]                   sums[RowSums]  // shape after shape
);
  localparam int Levels = Bands == 1 ? ReduceLevels : TapLevels[0];

  function automatic int width_at(int level);
    width_at = Segment;
    for (int l = 0; l < level; l++) width_at = (width_at + 3) / 4;
  endfunction

  // Within segments
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int Width = width_at(level);
    localparam int Bits = ProductBits + 2 * level;
    logic signed [Bits-1:0] node[Bands*Width];
  end
  for (genvar n = 0; n < Columns; n++) begin : gen_leaf
    assign gen_level[0].node[n] = products[n];
  end
  for (genvar level = 1; level <= Levels; level++) begin : gen_add
    localparam int Width = width_at(level);
    localparam int Below = width_at(level - 1);
    localparam int Bits = ProductBits + 2 * level;
    for (genvar n = 0; n < Bands * Width; n++) begin : gen_node
      logic signed [Bits-1:0] term[4];
      for (genvar j = 0; j < 4; j++) begin : gen_term
        if (4 * (n % Width) + j < Below) begin : gen_real
          assign term[j] = Bits'(gen_level[level-1].node[n/Width*Below+4*(n%Width)+j]);
        end else begin : gen_none
          assign term[j] = '0;
        end
      end
      always_ff @(posedge clk) gen_level[level].node[n] <= term[0] + term[1] + term[2] + term[3];
    end
  end

  if (Bands == 1) begin : gen_last
    for (genvar i = 0; i < RowSums; i++) begin : gen_sum
      if (i < width_at(Levels)) begin : gen_node
        assign sums[i] = SumBits'(gen_level[Levels].node[i]);
      end else begin : gen_none
        assign sums[i] = '0;
      end
    end
  end else begin : gen_spans
    // Spans of 2^l segments: two sums of the level below, or four where they come in time. The sums
    // of the halves are others' nodes: in this order no adder is shared with them, which would put
    // two carry chains in series.
    for (genvar l = 0; l <= BandBits; l++) begin : gen_span
      localparam int Count = Bands >> l;
      logic signed [SumBits-1:0] node[Count];
    end
    for (genvar n = 0; n < Bands; n++) begin : gen_segment
      assign gen_span[0].node[n] = SumBits'(gen_level[Levels].node[n]);
    end
    for (genvar l = 1; l <= BandBits; l++) begin : gen_join
      localparam int Bits = ProductBits + $clog2(Segment << l);
      for (genvar n = 0; n < Bands >> l; n++) begin : gen_node
        logic signed [Bits-1:0] term[4], sum_q;
        if (TapLevels[l-1] < TapLevels[l]) begin : gen_two
          assign term = '{Bits'(gen_span[l-1].node[2*n]), Bits'(gen_span[l-1].node[2*n+1]), '0, '0};
        end else begin : gen_four
          for (genvar j = 0; j < 4; j++) begin : gen_term
            localparam int At = 4 * n + (j == 1 ? 2 : j == 2 ? 1 : j);
            if (l > 1) begin : gen_sum
              assign term[j] = Bits'(gen_span[l-2].node[At]);
            end else begin : gen_inner
              assign term[j] = Bits'(gen_level[Levels-1].node[At]);
            end
          end
        end
        always_ff @(posedge clk) sum_q <= term[0] + term[1] + term[2] + term[3];
        assign gen_span[l].node[n] = SumBits'(sum_q);
      end
    end

    // Taps
    for (genvar s = 0; s < Shapes; s++) begin : gen_shape
      localparam int Span = $clog2(Bands / Gangs[s]);
      localparam int Bits = ProductBits + $clog2(Segment << Span);
      localparam int Wait = ReduceLevels - TapLevels[Span];
      for (genvar i = 0; i < Gangs[s]; i++) begin : gen_tap
        logic [Bits-1:0] wait_q[Wait+1];
        assign wait_q[0] = Bits'(gen_span[Span].node[i]);
        for (genvar e = 0; e < Wait; e++) begin : gen_wait
          always_ff @(posedge clk) wait_q[e+1] <= wait_q[e];
        end
        assign sums[first_tap(s)+i] = SumBits'(signed'(wait_q[Wait]));
      end
    end
  end
endmodule
