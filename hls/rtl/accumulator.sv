// Running sums of the rows of the largest row block, in banks of K0 rows; memories of stored
// sums and of biases. Band b belongs to bank b mod G, so a row block meets neighbouring banks, and
// each of them the sum of its group from the tap of the slot's shape.
//
// slot_read stands three edges before the add: bias and stored sum are read, then shifted. One edge
// behind the add the sum is stored, where the slot says so.
module accumulator
  import lstm_pkg::*;
(
    input  logic                                      clk,
    input  slot_t                                     slot_bias,   // one edge before slot_read
    input  slot_t                                     slot_read,
    input  slot_t                                     slot_shift,
    input  slot_t                                     slot_add,
    input  slot_t                                     slot_sum,    // belongs to the sums register
    input  logic signed [SumBits-1:0]                 reduced[Rows][RowSums],
    input  logic                                      bias_we,
    input  logic        [BiasAddrBits-1:0]            bias_waddr,
    input  logic        [Rows-1:0][BiasBits-1:0]      bias_wdata,
    output logic signed [AccBits-1:0]                 sums[Bands*Rows]  // bank after bank
);
  logic [Bands-1:0] add, store;
  if (Bands == 1) begin : gen_all
    assign add = slot_add.valid;
    assign store = slot_sum.valid && slot_sum.last && !slot_sum.finish;
  end else begin : gen_enable
    logic [Bands-1:0] add_q, store_q;
    always_ff @(posedge clk) begin
      add_q <= slot_shift.valid ? banks_of(slot_shift.shape, slot_shift.row) : '0;
      store_q <= slot_add.last && !slot_add.finish ? add_q : '0;
    end
    assign add = add_q;
    assign store = store_q;
  end

  // Place of the first tap of a shape among all
  function automatic int first_of(int shape);
    first_of = 0;
    for (int s = 0; s < shape; s++) first_of += Gangs[s];
  endfunction

  for (genvar j = 0; j < Bands; j++) begin : gen_bank
    logic signed [SumBits-1:0] operands[Rows][2];
    for (genvar k = 0; k < Rows; k++) begin : gen_row
      if (Bands == 1) begin : gen_both
        assign operands[k] = '{reduced[k][0], reduced[k][1]};
      end else begin : gen_tap
        logic [Shapes-1:0][SumBits-1:0] taps;
        for (genvar s = 0; s < Shapes; s++) begin : gen_shape
          assign taps[s] = reduced[k][first_of(s)+j%Gangs[s]];
        end
        assign operands[k] = '{taps[slot_add.shape], '0};
      end
    end
    accumulator_bank #(
        .Places((Blocks + Bands - 1) / Bands),
        .BiasPlaces((BiasBlocks + Bands - 1) / Bands)
    ) u_bank (
        .clk,
        .slot_bias,
        .slot_read,
        .slot_shift,
        .slot_sum,
        .add(add[j]),
        .first(slot_add.first),
        .store(store[j]),
        .reduced(operands),
        .bias_we(bias_we && (Bands == 1 || BankBits'(bias_waddr) == BankBits'(j))),
        .bias_waddr,
        .bias_wdata,
        .sums(sums[j*Rows+:Rows])
    );
  end
endmodule
