// Running sums of the rows of the largest row block, in banks of K0 rows; memories of stored
// sums and of biases. Band b belongs to bank b mod G, so a row block meets neighbouring banks, and
// each of them the sum of its group from the tap of the slot's shape.
//
// slot_read stands three edges before the add: bias and stored sum are read, then shifted. One edge
// behind the add the sum is stored, where the slot says so.
module accumulator
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                      clk, rst_n,
    input  slot_t                                     slot_bias,   // one edge before slot_read
    input  slot_t                                     slot_read,
    input  slot_t                                     slot_shift,
    input  slot_t                                     slot_add,
    input  slot_t                                     slot_sum,    // belongs to the sums register
    input  logic signed [SumBits-1:0]                 reduced[Rows][RowSums],
    input  logic                                      bias_we,
    input  logic        [BiasAddrBits-1:0]            bias_waddr,
    input  logic        [Rows-1:0][BiasWordBits-1:0]  load_biases,
    output logic signed [AccBits-1:0]                 sums[Bands*Rows]  // bank after bank
);
  logic [Bands-1:0] add_q, store_q;  // whether a bank adds, or stores
  always_ff @(posedge clk) begin
    add_q <= slot_shift.valid ? banks_of(slot_shift) : '0;
    store_q <= slot_add.last && !slot_add.finish ? add_q : '0;
  end

  // Each start is two small choices: a shift by near_q places, then by far_q times Near, or the bias.
  localparam int Near = MaxShift < 9 ? 3 : 4;
  localparam int Bias = 3;
  localparam bit BiasIsFar = MaxShift < Bias * Near;  // a place of the second is free for it
  typedef struct packed {
    logic [1:0] near, far;
  } choices_t;
  function automatic choices_t choices_of(start_e start, logic [XShiftBits-1:0] x_shift);
    choices_of = '0;
    for (int n = 0; n <= MaxShift; n++) begin  // a table, where a division would be one
      if (start == StartStoredShifted && x_shift == XShiftBits'(n)) begin
        choices_of = '{2'(n % Near), 2'(n / Near)};
      end
    end
    if (BiasIsFar && start == StartBias) choices_of.far = 2'(Bias);
  endfunction

  localparam int Places = (Blocks + Bands - 1) / Bands;  // bands of a bank
  localparam int BiasPlaces = (BiasBlocks + Bands - 1) / Bands;
  localparam int PlaceBits = place_bits(Places);
  localparam int BiasPlaceBits = place_bits(BiasPlaces);
  // As slot_read has it. Reset, so that no shift register ends here: a deep memory of stored sums has
  // no time for one.
  logic [PlaceBits-1:0] place_q;
  always_ff @(posedge clk) place_q <= rst_n ? PlaceBits'(slot_bias.row >> BandBits) : '0;
  for (genvar j = 0; j < Bands; j++) begin : gen_bank
    logic [Rows-1:0][BiasWordBits-1:0] bias_mem[BiasPlaces];
    logic [Rows-1:0][BiasWordBits-1:0] bias_latch, bias_q;
    always_ff @(posedge clk) begin
      if (bias_we && (Bands == 1 || BankBits'(bias_waddr) == BankBits'(j))) begin
        bias_mem[BiasPlaceBits'(bias_waddr >> BandBits)] <= load_biases;
      end
      bias_latch <= bias_mem[BiasPlaceBits'(slot_bias.bias_addr >> BandBits)];
      bias_q <= bias_latch;
    end

    (* ram_style = "distributed" *) logic [Rows-1:0][AccBits-1:0] stored_mem[Places];
    logic [Rows-1:0][AccBits-1:0] stored_q, sum_q;
    always_ff @(posedge clk) begin
      if (store_q[j]) stored_mem[PlaceBits'(slot_sum.row >> BandBits)] <= sum_q;
      stored_q <= stored_mem[place_q];
    end

    for (genvar k = 0; k < Rows; k++) begin : gen_row
      // Of each shape the tap of the group that the bank belongs to; with one shape both sums.
      logic [Shapes-1:0][SumBits-1:0] taps;
      logic signed [SumBits-1:0] operand[2];
      logic signed [AccBits-1:0] start_q;
      for (genvar s = 0; s < Shapes; s++) begin : gen_shape
        assign taps[s] = reduced[k][first_tap(s)+j%Gangs[s]];
      end
      if (Bands == 1) begin : gen_both
        assign operand = '{reduced[k][0], reduced[k][1]};
      end else begin : gen_tap
        assign operand = '{taps[slot_add.shape], '0};
      end

      logic [Near-1:0][AccBits-1:0] near;
      logic [3:0][AccBits-1:0] far;
      logic [AccBits-1:0] bias;
      choices_t choices_q;
      assign bias = AccBits'(signed'(bias_q[k][BiasBits-1:0]));
      for (genvar n = 0; n < Near; n++) begin : gen_near
        assign near[n] = stored_q[k] << n;
      end
      for (genvar n = 0; n < 4; n++) begin : gen_far
        assign far[n] = BiasIsFar && n == Bias ? bias : near[choices_q.near] << (Near * n);
      end
      always_ff @(posedge clk) begin
        choices_q <= choices_of(slot_read.start, RowScales == 0 ? slot_read.x_shift
                                : XShiftBits'(bias_latch[k] >> BiasBits));
        start_q <= !BiasIsFar && slot_shift.start == StartBias ? bias : far[choices_q.far];
        if (add_q[j]) begin
          sum_q[k] <= AccBits'(operand[0]) + (slot_add.first ? start_q : signed'(sum_q[k]))
                      + AccBits'(operand[1]);
        end
      end
      assign sums[j*Rows+k] = sum_q[k];
    end
  end
endmodule
