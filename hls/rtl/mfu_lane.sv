// One MFU lane: from a neuron's four sums to its c and h, a neuron each cycle.
//
// Edges are counted from the register that holds the sums: 1 shift, 2 to 4 tanh table, 5 operands,
// 6 to 8 cell, 9 c written and table of c, 10 and 11 slope, 12 to 14 output; h is taken at edge 15.
// Row scales have an edge before the shift and one behind the cell, which are not counted here.
//
// A GRU's n_h, r, n_x, z stand where i, f, g, o do. In the cell's place r n_h + n_x is summed, in the
// output's z c + (1 - z) n, which is the new c: in an engine with GRUs any c is written at edge 15.
module mfu_lane
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                        clk,
    input  logic                        gru,
    input  logic signed [AccBits-1:0]   sums[4],    // i, f, g, o
    input  logic [3:0][ScaleBits-1:0]   scales,     // factor and act_shift of each
    input  logic        [1:0]           c_shift,
    input  logic        [3:0]           h_drop,     // after edge 12
    input  logic                        valid,
    input  logic        [CAddrBits-1:0] c_addr,
    input  logic                        c_zero,
    input  logic                        load_we,    // c of a state
    input  logic        [CAddrBits-1:0] load_addr,
    input  logic        [CBits-1:0]     load_c,
    input  logic                        giving,     // c is read for a state
    input  logic        [CAddrBits-1:0] give_addr,
    output logic        [CBits-1:0]     given_c,    // two edges later
    output logic                        saturates,  // c, on its way to memory; n_h or n_x
    output logic        [ActBits-1:0]   h           // after edge 14, saturated, unregistered
);
  // Accumulator to argument: tanh takes z, sigma takes z / 2.
  localparam int Left = ZShiftMin < 0 ? -ZShiftMin : 0;
  localparam int Right = ZShiftMin > 0 ? ZShiftMin : 0;
  localparam int WideBits = ScaledBits + Left;
  localparam int ShiftedBits = WideBits - Right;
  localparam int CWriteEdge = Gru == 1 ? HEdge : CellEdge;
  localparam int CAddrEdge = CReadEdge - Gru;  // with GRUs c is latched before it is chosen
  localparam int HeldWait = CReadEdge - RowScales - 1;  // of n_h: edges 2 to 4

  logic [BaseBits-1:0] y[4];
  logic negative[4];
  logic [CBits-1:0] held_q[4];  // 2 n_h + 1, n_x: after edge 2
  logic [3:0] beyond_q;
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

    if (Gru == 1 && gate % 2 == 0) begin : gen_held
      localparam int Bits = CBits - 1 - Sigma;
      logic [larger(ShiftedBits - 1, Bits)-1:0] magnitude;
      logic [Bits-1:0] held;
      logic beyond, beyond_m;
      assign beyond_q[gate] = beyond_m;
      assign magnitude = $bits(magnitude)'(shifted_q);
      assign beyond = |(magnitude >> Bits);
      assign held = (magnitude[Bits-1:0] | {Bits{beyond}}) ^ {Bits{sign_q}};
      always_ff @(posedge clk) begin
        held_q[gate] <= gru ? CBits'({sign_q, held, 1'b1} >> (1 - Sigma)) : '0;
        beyond_m <= beyond;
      end
    end else begin : gen_none
      assign held_q[gate] = '0;
      assign beyond_q[gate] = 1'b0;
    end
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
      if (e == CAddrEdge && giving) c_addr_q[e] <= give_addr;
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
  logic [CBits-1:0] c_cell, c_next, load_c_q;
  logic load_q;
  always_ff @(posedge clk) begin
    load_q <= load_we;
    load_c_q <= load_c;
    saturates <= Gru == 1 && gru ? valid_q[RowScales+2] && beyond_q != '0
                 : valid_q[CellEdge-1] && !load_q && cell_c[CBits] != cell_c[CBits-1];
    if (valid_q[CWriteEdge-1]) c_mem[c_addr_q[CWriteEdge-1]] <= load_q ? load_c_q : c_next;
  end

  localparam int CellFrac = 2 * SigmaFrac;  // of f c + i g
  localparam int CellBits = CBits + SigmaFrac + 2;
  localparam int Drop = CellFrac - CFrac;
  factor_t i_q, f_q, g_q, i_m, g_m;
  logic signed [CBits-1:0] c_q;
  logic signed [CellBits-2:0] fc_m, fc_p;  // of one fraction bit less
  logic signed [CellBits-1:0] ig_m, cell_p;
  logic [CBits-1:0] c_read, n_h;
  logic signed [CBits-1:0] n_x;
  always_ff @(posedge clk) begin
    i_q <= Gru == 1 && gru ? '0 : sigma(y[0], negative[0]);  // edge 5
    f_q <= sigma(y[1], negative[1]);
    g_q <= centre(y[2] >> c_shift_q[CReadEdge], negative[2]);
    c_q <= Gru == 1 && gru ? n_h : c_zero_q[CReadEdge] ? '0 : c_read;

    fc_m <= (CellBits - 1)'(f_q * c_q);  // edge 6
    i_m <= i_q;
    g_m <= g_q;

    fc_p <= fc_m + (CellBits - 1)'(signed'({n_x, 1'b1, (Drop - 2)'(0)}));  // edge 7, half an LSB
    ig_m <= CellBits'(i_m * g_m);

    cell_p <= {fc_p, 1'b0} + ig_m;  // edge 8
  end

  assign given_c = Gru == 1 ? c_read : c_q;

  // c saturates on its way to memory; its table saturates much earlier, at 8
  localparam int CellWide = CBits + RowScales * MaxCShift;
  logic [CellWide-1:0] cell_magnitude;
  assign cell_sum = cell_p[CellBits-1:Drop];
  if (RowScales == 1) begin : gen_cell_shift
    always_ff @(posedge clk) begin
      cell_c <= cell_sum;
      cell_magnitude <= (CellWide'(cell_sum) << c_shift_q[CellEdge-2])
                        ^ {CellWide{cell_sum[CBits]}};
    end
  end else begin : gen_cell
    assign cell_c = cell_sum;
    assign cell_magnitude = cell_c[CBits-1:0] ^ {CBits{cell_c[CBits]}};
  end
  assign c_cell = cell_c[CBits] == cell_c[CBits-1] ? cell_c[CBits-1:0]
                                                  : {cell_c[CBits], {(CBits - 1) {~cell_c[CBits]}}};
  logic [BaseBits-1:0] c_y;
  logic c_negative;
  // Of a GRU the table gives -t, which is subtracted from c: the sign is turned where there is time.
  tanh_table #(.InBits(CellWide + 1)) u_cell_table (
      .clk, .magnitude(cell_magnitude), .sign(cell_c[CBits] ^ (Gru == 1 && gru)),
      .y(c_y), .negative(c_negative)
  );

  // o waits for tanh(c): edges 5 to 11, and 12 in the DSP
  logic [OutputWait-1:0][SigmaFrac:0] o_q;
  always_ff @(posedge clk) begin
    o_q[0] <= sigma(y[3], negative[3]);
    for (int e = 1; e < OutputWait; e++) o_q[e] <= o_q[e-1];
  end

  // For o tanh(c) an operand is t; for t + z (c - t) it is c - t, and t is added.
  localparam int Finer = Gru == 1 ? GruCFrac - SigmaFrac : 0;
  localparam int OutShift = CellFrac + Finer - HFrac;
  localparam int OutBits = Gru == 1 ? CBits + SigmaFrac + 1 : CellFrac + 2;
  localparam int OperandBits = Gru == 1 ? CBits + 1 : SigmaFrac + 1;
  // With a mixed format h_drop bits of h are 0: an LSB of h lies so much higher. With one it is fixed.
  logic [ActBits-1:0] lsb_q, lsb_h, kept_h;
  if (Mixed == 1) begin : gen_mixed
    logic [ActBits-1:0] lsb, kept_q;
    assign lsb = ActBits'(1) << h_drop;
    always_ff @(posedge clk) begin
      {lsb_q, kept_q} <= {lsb, -lsb};
      {lsb_h, kept_h} <= {lsb_q, kept_q};
    end
  end else begin : gen_fixed
    assign {lsb_q, lsb_h, kept_h} = {ActBits'(1), ActBits'(1), {ActBits{1'b1}}};
  end
  factor_t o_m;
  logic signed [OperandBits-1:0] t_q;
  logic signed [OutBits-1:0] above, out_m, out_p;
  logic signed [OutBits-OutShift-1:0] rounded;
  always_ff @(posedge clk) begin
    o_m <= o_q[OutputWait-1];  // edge 12
    out_m <= OutBits'(o_m * t_q);  // edge 13
    out_p <= out_m + above;  // edge 14
  end
  if (Gru == 1) begin : gen_gru
    logic [HeldWait-2:0][CBits-1:0] n_h_q;  // edges 3 and 4
    logic [HeldWait:0][CBits-1:0] n_x_q;    // 3 to 6
    logic [OutputWait-1:0][CBits-1:0] before_q;
    logic [CWriteEdge-CellEdge-1:0][CBits-1:0] cell_q;
    logic signed [CBits-1:0] kept;
    logic signed [OperandBits-1:Finer] upper;  // t has no lower bits: so no DSP takes this sum in
    factor_t t_added;
    assign kept = gru && !c_zero_q[CReadEdge+OutputWait] ? before_q[OutputWait-1] : '0;
    assign upper = (OperandBits - Finer)'(signed'(kept[CBits-1:Finer]))
                   + (OperandBits - Finer)'(centre(c_y, c_negative));
    always_ff @(posedge clk) begin
      c_read <= c_mem[c_addr_q[CAddrEdge]];
      n_h_q <= {n_h_q[HeldWait-3:0], held_q[0]};
      n_x_q <= {n_x_q[HeldWait-1:0], held_q[2]};
      before_q <= {before_q[OutputWait-2:0], c_read};
      cell_q <= {cell_q[CWriteEdge-CellEdge-2:0], c_cell};
      t_q <= {upper, kept[Finer-1:0]};
      t_added <= gru ? centre(c_y, !c_negative) : '0;
      above <= (OutBits'(t_added) <<< GruCFrac) | (OutBits'(gru) << (SigmaFrac - 1));
    end
    assign n_h = n_h_q[HeldWait-2];
    assign n_x = n_x_q[HeldWait];
    assign c_next = gru ? out_p[SigmaFrac+:CBits] : cell_q[CWriteEdge-CellEdge-1];
    logic [ActBits-1:0] up;
    assign up = out_p[OutShift-1+:ActBits] & lsb_h;
    assign rounded = out_p[OutBits-1:OutShift] + (OutBits - OutShift)'(up);
  end else begin : gen_lstm
    assign c_read = c_mem[c_addr_q[CAddrEdge]];
    assign {n_h, n_x} = '0;
    assign c_next = c_cell;
    assign above = OutBits'(lsb_q) << (OutShift - 1);  // half of an LSB of h
    assign rounded = out_p[OutBits-1:OutShift];
    always_ff @(posedge clk) t_q <= centre(c_y, c_negative);
  end

  // Of an LSTM only rounding up to 1 can leave the range, of a GRU a state that is given beyond it.
  logic below;
  assign below = rounded[OutBits-OutShift-1];
  assign h = (rounded[OutBits-OutShift-1:ActBits-1] == {(OutBits - OutShift - ActBits + 1) {below}}
              ? rounded[ActBits-1:0] : {below, {(ActBits - 1) {~below}}})
             & kept_h;
endmodule
