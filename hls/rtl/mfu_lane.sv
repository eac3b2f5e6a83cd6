// One MFU lane: from a neuron's four sums to its c and h, a neuron each cycle.
//
// Edges are counted from the register that holds the sums: 1 shift, 2 to 4 tanh table, 5 operands,
// 6 to 8 cell, 9 c written and table of c, 10 and 11 slope, 12 to 14 output; h is taken at edge 15.
// Row scales have an edge before the shift and one behind the cell, which are not counted here.
module mfu_lane
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                        clk,
    input  logic signed [AccBits-1:0]   sums[4],    // i, f, g, o
    input  logic [3:0][ScaleBits-1:0]   scales,     // factor and act_shift of each
    input  logic        [1:0]           c_shift,
    input  logic                        valid,
    input  logic        [CAddrBits-1:0] c_addr,
    input  logic                        c_zero,
    input  logic                        load_we,    // c of a state
    input  logic        [CAddrBits-1:0] load_addr,
    input  logic        [CBits-1:0]     load_c,
    input  logic                        giving,     // c is read for a state
    input  logic        [CAddrBits-1:0] give_addr,
    output logic        [CBits-1:0]     given_c,    // two edges later
    output logic                        saturates,  // c, on its way to memory
    output logic        [ActBits-1:0]   h           // after edge 14, saturated, unregistered
);
  // Accumulator to argument: tanh takes z, sigma takes z / 2.
  localparam int Left = ZShiftMin < 0 ? -ZShiftMin : 0;
  localparam int Right = ZShiftMin > 0 ? ZShiftMin : 0;
  localparam int WideBits = ScaledBits + Left;
  localparam int ShiftedBits = WideBits - Right;

  logic [BaseBits-1:0] y[4];
  logic negative[4];
  for (genvar gate = 0; gate < 4; gate++) begin : gen_gate
    localparam int Sigma = gate == 2 ? 0 : 1;
    // Times 4, 5, 6 or 7 quarters, by one sum: 7 is 8 - 1, whose negative is a complement and 1.
    logic signed [ScaledBits-1:0] one, most, more, scaled;
    logic [FactorBits-1:0] factor;
    logic [ActShiftBits-1:0] act_shift;
    assign one = ScaledBits'(sums[gate]);
    assign factor = scales[gate][ActShiftBits+:FactorBits];
    always_comb begin
      most = factor == 3 ? (one <<< 3) | 1 : one <<< 2;
      unique case (factor)
        0: more = '0;
        1: more = one;
        2: more = one <<< 1;
        default: more = ~one;
      endcase
    end
    if (RowScales == 1) begin : gen_scale
      always_ff @(posedge clk) begin
        scaled <= most + more;
        act_shift <= scales[gate][ActShiftBits-1:0];
      end
    end else begin : gen_as_it_is
      assign scaled = one;
      assign act_shift = scales[gate][ActShiftBits-1:0];
    end

    // Sign and magnitude, as the table wants them: shifting and complementing may change places.
    logic [WideBits-2:0] wide;
    logic [ShiftedBits-2:0] shifted_q;
    logic sign_q;
    assign wide = (WideBits - 1)'(WideBits'(scaled) <<< Left)
                  ^ {(WideBits - 1) {scaled[ScaledBits-1]}};
    always_ff @(posedge clk) begin
      shifted_q <= (ShiftedBits - 1)'((wide >> (Right + Sigma)) >> act_shift);
      sign_q <= scaled[ScaledBits-1];
    end
    tanh_table #(.InBits(ShiftedBits)) u_table (
        .clk, .magnitude(shifted_q), .sign(sign_q), .y(y[gate]), .negative(negative[gate])
    );
  end

  // What travels beside the numbers, up to the edge at which c is written. A load of c joins at the
  // last: the memory's write enable has no time for a choice of addresses.
  logic valid_q[CWriteEdge], c_zero_q[CWriteEdge];
  logic [CAddrBits-1:0] c_addr_q[CWriteEdge];
  logic [1:0] c_shift_q[CWriteEdge];
  always_comb begin
    valid_q[0] = valid;
    c_zero_q[0] = c_zero;
    c_addr_q[0] = c_addr;
    c_shift_q[0] = RowScales == 1 ? c_shift : '0;
  end
  for (genvar e = 1; e < CWriteEdge; e++) begin : gen_beside
    always_ff @(posedge clk) begin
      valid_q[e] <= valid_q[e-1] || (e == CWriteEdge - 1 && load_we);
      c_zero_q[e] <= c_zero_q[e-1] && !(e == CReadEdge && giving);
      c_shift_q[e] <= c_shift_q[e-1];
      if (e == CReadEdge && giving) c_addr_q[e] <= give_addr;
      else if (e == CWriteEdge - 1 && load_we) c_addr_q[e] <= load_addr;
      else c_addr_q[e] <= c_addr_q[e-1];
    end
  end

  // sigma in units of 2^-SigmaFrac, and tanh as 2 y + 1 in the same
  typedef logic signed [SigmaFrac:0] factor_t;
  function automatic factor_t sigma(logic [BaseBits-1:0] value, logic below);
    return below ? signed'({2'b00, ~value}) : signed'({2'b01, value});
  endfunction
  function automatic factor_t centre(logic [BaseBits-1:0] value, logic below);
    return signed'({below, value ^ {BaseBits{below}}, 1'b1});
  endfunction

  (* ram_style = "distributed" *) logic [CBits-1:0] c_mem[2**CAddrBits];
  logic signed [CBits:0] cell_sum, cell_c;
  logic [CBits-1:0] c_next, load_c_q;
  logic load_q;
  always_ff @(posedge clk) begin
    load_q <= load_we;
    load_c_q <= load_c;
    saturates <= valid_q[CWriteEdge-1] && !load_q && cell_c[CBits] != cell_c[CBits-1];
    if (valid_q[CWriteEdge-1]) c_mem[c_addr_q[CWriteEdge-1]] <= load_q ? load_c_q : c_next;
  end

  localparam int CellFrac = 2 * SigmaFrac;  // of f c + i g
  localparam int CellBits = CBits + SigmaFrac + 2;
  localparam int Drop = CellFrac - CFrac;
  factor_t i_q, f_q, g_q, i_m, g_m;
  logic signed [CBits-1:0] c_q;
  logic signed [CellBits-2:0] fc_m, fc_p;  // of one fraction bit less
  logic signed [CellBits-1:0] ig_m, cell_p;
  always_ff @(posedge clk) begin
    i_q <= sigma(y[0], negative[0]);  // edge 5
    f_q <= sigma(y[1], negative[1]);
    g_q <= centre(y[2] >> c_shift_q[CReadEdge], negative[2]);
    c_q <= c_zero_q[CReadEdge] ? '0 : c_mem[c_addr_q[CReadEdge]];

    fc_m <= (CellBits - 1)'(f_q * c_q);  // edge 6
    i_m <= i_q;
    g_m <= g_q;

    fc_p <= fc_m + (CellBits - 1)'(1 << (Drop - 2));  // edge 7, half of an LSB of c
    ig_m <= CellBits'(i_m * g_m);

    cell_p <= {fc_p, 1'b0} + ig_m;  // edge 8
  end

  assign given_c = c_q;

  // c saturates on its way to memory; its table saturates much earlier, at 8
  localparam int CellWide = CBits + RowScales * MaxCShift;
  logic [CellWide-1:0] cell_magnitude;
  assign cell_sum = cell_p[CellBits-1:Drop];
  if (RowScales == 1) begin : gen_cell_shift
    always_ff @(posedge clk) begin
      cell_c <= cell_sum;
      cell_magnitude <= (CellWide'(cell_sum) << c_shift_q[CWriteEdge-2])
                        ^ {CellWide{cell_sum[CBits]}};
    end
  end else begin : gen_cell
    assign cell_c = cell_sum;
    assign cell_magnitude = cell_c[CBits-1:0] ^ {CBits{cell_c[CBits]}};
  end
  assign c_next = cell_c[CBits] == cell_c[CBits-1] ? cell_c[CBits-1:0]
                                                  : {cell_c[CBits], {(CBits - 1) {~cell_c[CBits]}}};
  logic [BaseBits-1:0] c_y;
  logic c_negative;
  tanh_table #(.InBits(CellWide + 1)) u_cell_table (
      .clk, .magnitude(cell_magnitude), .sign(cell_c[CBits]), .y(c_y), .negative(c_negative)
  );

  // o waits for tanh(c): edges 5 to 11, and 12 in the DSP
  logic [OutputWait-1:0][SigmaFrac:0] o_q;
  always_ff @(posedge clk) begin
    o_q[0] <= sigma(y[3], negative[3]);
    for (int e = 1; e < OutputWait; e++) o_q[e] <= o_q[e-1];
  end

  localparam int OutShift = CellFrac - HFrac;
  localparam int OutBits = CellFrac + 2;
  factor_t o_m, t_q;
  logic signed [OutBits-1:0] out_m, out_p;
  always_ff @(posedge clk) begin
    o_m <= o_q[OutputWait-1];  // edge 12
    t_q <= centre(c_y, c_negative);
    out_m <= OutBits'(o_m * t_q);  // edge 13
    out_p <= out_m + (OutBits'(1) << (OutShift - 1));  // edge 14, half of an LSB of h
  end

  // |o tanh(c)| < 1, so only rounding up to +1 can leave the range
  logic signed [OutBits-OutShift-1:0] rounded;
  assign rounded = out_p[OutBits-1:OutShift];
  assign h = !rounded[OutBits-OutShift-1] && rounded[ActBits-1]
             ? {1'b0, {(ActBits - 1) {1'b1}}} : rounded[ActBits-1:0];
endmodule
