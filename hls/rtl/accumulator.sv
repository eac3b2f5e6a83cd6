// Running sums of the K rows of a row block, and the memory of stored sums.
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
    input  logic signed [SumBits-1:0]                 reduced[Rows][2],
    input  logic                                      bias_we,
    input  logic        [BiasAddrBits-1:0]            bias_waddr,
    input  logic        [Rows-1:0][BiasBits-1:0]      bias_wdata,
    output logic signed [AccBits-1:0]                 sums[Rows]
);
  logic [Rows-1:0][BiasBits-1:0] bias_mem[BiasBlocks];
  logic [Rows-1:0][BiasBits-1:0] bias_latch, bias_q;
  always_ff @(posedge clk) begin
    if (bias_we) bias_mem[bias_waddr] <= bias_wdata;
    bias_latch <= bias_mem[slot_bias.bias_addr];
    bias_q <= bias_latch;
  end

  (* ram_style = "distributed" *) logic [Rows-1:0][AccBits-1:0] stored_mem[Blocks];
  logic [Rows-1:0][AccBits-1:0] stored_q, sums_packed;
  always_ff @(posedge clk) begin
    if (slot_sum.valid && slot_sum.last && !slot_sum.finish) begin
      stored_mem[slot_sum.row] <= sums_packed;
    end
    stored_q <= stored_mem[slot_read.row];
  end

  logic [3:0] shift_q;
  always_ff @(posedge clk) shift_q <= slot_read.start == StartStoredShifted ? slot_read.x_shift : '0;

  for (genvar k = 0; k < Rows; k++) begin : gen_row
    logic signed [AccBits-1:0] bias, stored, start_q, sum_q;
    assign bias = AccBits'(signed'(bias_q[k]));
    assign stored = stored_q[k];
    always_ff @(posedge clk) begin
      start_q <= slot_shift.start == StartBias ? bias : stored <<< shift_q;
      if (slot_add.valid) begin
        sum_q <= (slot_add.first ? start_q : sum_q)
                 + AccBits'(reduced[k][0]) + AccBits'(reduced[k][1]);
      end
    end
    assign sums_packed[k] = sum_q;
    assign sums[k] = sum_q;
  end
endmodule
