// Where row blocks hold one gate each: keeps the sums of gates i, f and g until those of o are there,
// and gives all four neuron by neuron, as the MFU takes them. For schedules sequential and batch.
module gate_sums
  import lstm_pkg::*;
(
    input  logic                                   clk,
    input  logic                                   write,     // sums of a gate that is not the last
    input  logic                                   by_gate,
    input  logic        [BlockBits-1:0]            row,       // band; its low bits are the gate
    input  logic signed [AccBits-1:0]              sums[Bands*Rows],
    output logic        [4*Rows-1:0][AccBits-1:0]  finished   // else the row block, in every quarter
);
  localparam int Places = (Blocks + 3) / 4;
  localparam int PlaceBits = Places > 1 ? $clog2(Places) : 1;
  logic [Rows-1:0][AccBits-1:0] packed_sums;
  logic [2:0][Rows-1:0][AccBits-1:0] kept;
  for (genvar k = 0; k < Rows; k++) begin : gen_row
    assign packed_sums[k] = sums[k];
  end
  for (genvar g = 0; g < 3; g++) begin : gen_gate
    (* ram_style = "distributed" *) logic [Rows-1:0][AccBits-1:0] gate_mem[Places];
    always_ff @(posedge clk) begin
      if (write && 2'(row) == 2'(g)) gate_mem[PlaceBits'(row>>2)] <= packed_sums;
    end
    assign kept[g] = gate_mem[PlaceBits'(row>>2)];
  end
  for (genvar n = 0; n < Rows; n++) begin : gen_neuron
    for (genvar g = 0; g < 4; g++) begin : gen_sum
      if (g < 3) begin : gen_kept
        assign finished[4*n+g] = by_gate ? kept[g][n] : packed_sums[(4*n+g)%Rows];
      end else begin : gen_last
        assign finished[4*n+g] = by_gate ? packed_sums[n] : packed_sums[(4*n+g)%Rows];
      end
    end
  end
endmodule
