// Running sums of the K0 rows of a band, and the memories of stored sums and of biases of the bands
// that belong to this bank.
module accumulator_bank
  import lstm_pkg::*;
#(
    parameter int Places = 1,      // bands that belong to it
    parameter int BiasPlaces = 1
) (
    input  logic                                      clk,
    input  slot_t                                     slot_bias,
    input  slot_t                                     slot_read,
    input  slot_t                                     slot_shift,
    input  slot_t                                     slot_sum,
    input  logic                                      add,       // to the sum of this bank
    input  logic                                      first,     // to its start
    input  logic                                      store,
    input  logic signed [SumBits-1:0]                 reduced[Rows][2],
    input  logic                                      bias_we,
    input  logic        [BiasAddrBits-1:0]            bias_waddr,
    input  logic        [Rows-1:0][BiasBits-1:0]      bias_wdata,
    output logic signed [AccBits-1:0]                 sums[Rows]
);
  // A band's place in its bank
  localparam int PlaceBits = Places > 1 ? $clog2(Places) : 1;
  localparam int BiasPlaceBits = BiasPlaces > 1 ? $clog2(BiasPlaces) : 1;

  logic [Rows-1:0][BiasBits-1:0] bias_mem[BiasPlaces];
  logic [Rows-1:0][BiasBits-1:0] bias_latch, bias_q;
  always_ff @(posedge clk) begin
    if (bias_we) bias_mem[BiasPlaceBits'(bias_waddr >> BandBits)] <= bias_wdata;
    bias_latch <= bias_mem[BiasPlaceBits'(slot_bias.bias_addr >> BandBits)];
    bias_q <= bias_latch;
  end

  (* ram_style = "distributed" *) logic [Rows-1:0][AccBits-1:0] stored_mem[Places];
  logic [Rows-1:0][AccBits-1:0] stored_q, sums_packed;
  always_ff @(posedge clk) begin
    if (store) stored_mem[PlaceBits'(slot_sum.row >> BandBits)] <= sums_packed;
    stored_q <= stored_mem[PlaceBits'(slot_read.row >> BandBits)];
  end

  // Of many accumulators each start is two small choices: a shift by near_q places, then by far_q
  // times Near, or the bias.
  localparam int Near = MaxShift < 9 ? 3 : 4;
  localparam int Bias = 3;
  logic [3:0] shift, shift_q;
  logic [1:0] near_q, far_q;
  assign shift = slot_read.start == StartStoredShifted ? slot_read.x_shift : '0;
  always_ff @(posedge clk) begin
    shift_q <= shift;
    for (int n = 0; n <= MaxShift; n++) begin  // a table, where a division would be one
      if (shift == 4'(n)) {near_q, far_q} <= {2'(n % Near), 2'(n / Near)};
    end
    if (MaxShift < Bias * Near && slot_read.start == StartBias) far_q <= 2'(Bias);
  end

  for (genvar k = 0; k < Rows; k++) begin : gen_row
    logic signed [AccBits-1:0] bias, stored, start_q, sum_q;
    assign bias = AccBits'(signed'(bias_q[k]));
    assign stored = stored_q[k];
    if (Bands == 1) begin : gen_sum
      always_ff @(posedge clk) begin
        start_q <= slot_shift.start == StartBias ? bias : stored <<< shift_q;
        if (add) begin
          sum_q <= (first ? start_q : sum_q) + AccBits'(reduced[k][0]) + AccBits'(reduced[k][1]);
        end
      end
    end else begin : gen_lean_sum
      logic [Near-1:0][AccBits-1:0] near;
      logic [3:0][AccBits-1:0] far;
      for (genvar n = 0; n < Near; n++) begin : gen_near
        assign near[n] = stored <<< n;
      end
      for (genvar n = 0; n < 4; n++) begin : gen_far
        assign far[n] = MaxShift < Bias * Near && n == Bias ? bias : near[near_q] << (Near * n);
      end
      always_ff @(posedge clk) begin
        start_q <= MaxShift >= Bias * Near && slot_shift.start == StartBias ? bias : far[far_q];
        if (add) sum_q <= AccBits'(reduced[k][0]) + (first ? start_q : sum_q);
      end
    end
    assign sums_packed[k] = sum_q;
    assign sums[k] = sum_q;
  end
endmodule
