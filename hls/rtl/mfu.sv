// MFU: takes a row block's finished sums, hands its neurons to the lanes in turns, as many as its
// shape takes, and says where each result goes.
module mfu
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                                clk, rst_n,
    input  logic                                gru,         // all cells of the run are
    input  slot_t                               slot_early,  // four edges before its sums are taken
    input  slot_t                               slot_before, // stands in slot one edge later
    input  slot_t                               slot,        // belongs to the sums register
    input  logic signed [AccBits-1:0]           sums[Bands*Rows],
    input  load_write_t                         load_write,  // of a state, with its c
    input  logic        [Lanes-1:0][CBits-1:0]  load_c,
    input  logic        [Rows-1:0][ScaleBits-1:0] load_scales,
    input  logic                                giving,
    input  logic        [CAddrBits-1:0]         give_addr,
    output logic        [Lanes-1:0][CBits-1:0]  given_c,
    output logic                                h_valid,     // to be taken at the next edge
    output target_t                             h_target,
    output logic        [Lanes-1:0][ActBits-1:0] h,
    output logic                                c_saturates
);
  // With one shape turn 0 takes its sums from the accumulators, the others from a copy that moves
  // up. With several, a copy of all banks stands and each turn is a choice of it, an edge later.
  localparam int TurnBits = place_bits(MostPasses);
  slot_t begun;  // whose turn 0 comes next
  logic finished_q, begins, busy_q, last_q;
  logic [TurnBits-1:0] left_q, more_turns;
  logic [CAddrBits-1:0] c_addr_q;
  logic [3:0] act_shift_q;
  logic [1:0] c_shift_q;
  target_t target_q;
  logic signed [AccBits-1:0] turn_sums[4*Lanes];
  assign begun = Bands > 1 ? slot : slot_before;
  assign begins = Bands > 1 ? finished_q : finishes(slot_before);
  assign more_turns = TurnBits'(16'(begun.gang) * 16'(Passes) - 16'd1);
  always_ff @(posedge clk) begin
    finished_q <= rst_n && finishes(slot_before);
    busy_q <= rst_n && (begins || (busy_q && !last_q));
    if (begins) begin
      left_q <= more_turns;
      last_q <= more_turns == 0;
      c_addr_q <= place_of(begun);
      act_shift_q <= begun.act_shift;
      c_shift_q <= begun.c_shift;
      target_q <= begun.target;
    end else begin
      left_q <= left_q - 1'b1;
      last_q <= left_q == TurnBits'(1);
      c_addr_q <= c_addr_q + 1'b1;
      {target_q.word, target_q.lane} <= after_neurons(Lanes, target_q.word, target_q.lane);
    end
  end
  // Place of c of its first neurons
  function automatic logic [CAddrBits-1:0] place_of(slot_t finishing);
    return CAddrBits'(finishing.row) << $clog2(Passes);
  endfunction

  if (Bands > 1) begin : gen_choice
    // The low bits of c's place are the band's bank and the turn within the band: they say which
    // sums a turn takes. Those of turn 0 come straight from the accumulators into the turn's
    // register, the others from the copy.
    logic [MostPasses-1:0][4*Lanes-1:0][AccBits-1:0] held_q;
    logic [2*MostPasses-1:0][4*Lanes-1:0][AccBits-1:0] offered;
    logic [4*Lanes-1:0][AccBits-1:0] chosen_q;
    logic [TurnBits:0] choice_q;
    logic [TurnBits-1:0] next_q;
    for (genvar c = 0; c < MostPasses; c++) begin : gen_place
      logic [4*Lanes-1:0][AccBits-1:0] fresh;
      for (genvar k = 0; k < 4 * Lanes; k++) begin : gen_sum
        assign fresh[k] = sums[4*Lanes*c+k];
      end
      always_ff @(posedge clk) if (finished_q) held_q[c] <= fresh;
      assign offered[c] = held_q[c];
      assign offered[MostPasses+c] = c % Passes == 0 ? fresh : held_q[c];
    end
    always_ff @(posedge clk) begin
      next_q <= finished_q ? TurnBits'(place_of(slot)) + 1'b1 : next_q + 1'b1;
      choice_q <= finishes(slot_before) ? {1'b1, TurnBits'(place_of(slot_before))}
                  : {1'b0, (finished_q ? TurnBits'(place_of(slot)) : next_q) + 1'b1};
      chosen_q <= offered[choice_q];
    end
    for (genvar k = 0; k < 4 * Lanes; k++) begin : gen_sums
      assign turn_sums[k] = chosen_q[k];
    end
  end else begin : gen_copy
    logic [Rows-1:0][AccBits-1:0] held_q;
    for (genvar k = 0; k < Rows; k++) begin : gen_held
      localparam int From = (k + 4 * Lanes) % Rows;
      always_ff @(posedge clk) held_q[k] <= finished_q ? sums[From] : held_q[From];
    end
    for (genvar k = 0; k < 4 * Lanes; k++) begin : gen_sums
      assign turn_sums[k] = finished_q ? sums[k] : held_q[k];
    end
  end

  // Scales of a turn's rows: one for all, or of each its own. Those are read ahead of their turn, in
  // the same order; a word is a band's.
  logic [4*Lanes-1:0][ScaleBits-1:0] scales;
  if (RowScales == 1) begin : gen_scales
    localparam int PassBits = $clog2(Passes);
    localparam int PlaceBits = place_bits(Passes);
    typedef logic [Passes-1:0][4*Lanes-1:0][ScaleBits-1:0] band_t;
    typedef logic [BiasAddrBits+PassBits-1:0] place_t;  // band, and turn within it
    (* ram_style = "block" *) band_t scale_mem[BiasBlocks];
    band_t latch, band_q;
    place_t place_q, place_latch, turn_q;
    always_ff @(posedge clk) begin
      if (load_write.bias) scale_mem[BiasAddrBits'(load_write.addr)] <= load_scales;
      place_q <= finishes(slot_early) ? place_t'(slot_early.bias_addr) << PassBits : place_q + 1'b1;
      latch <= scale_mem[BiasAddrBits'(place_q >> PassBits)];
      place_latch <= place_q;
      band_q <= latch;
      turn_q <= place_latch;
      // Reset, so that no shift register is made of it and of those beside it: what follows in the
      // lanes has no time for one.
      scales <= rst_n ? band_q[PlaceBits'(turn_q % place_t'(Passes))] : '0;
    end
  end else begin : gen_shared
    assign scales = {4 * Lanes{{FactorBits'(0), act_shift_q}}};
  end

  logic valid_q[HEdge];
  target_t beside_q[HEdge];
  always_comb begin
    valid_q[0] = busy_q;
    beside_q[0] = target_q;
    beside_q[0].vector_end &= last_q;
  end
  for (genvar e = 1; e < HEdge; e++) begin : gen_beside
    always_ff @(posedge clk) begin
      valid_q[e] <= rst_n && valid_q[e-1];
      beside_q[e] <= beside_q[e-1];
      // The writes have no time for these: valid in emit and keep, the sum for the word's address.
      if (e == HEdge - 1) begin
        beside_q[e].emit <= rst_n && valid_q[e-1] && beside_q[e-1].emit;
        beside_q[e].keep <= rst_n && valid_q[e-1] && beside_q[e-1].keep;
      end
      if (e == 2) beside_q[e].seq_addr <= beside_q[e-1].seq_addr + SeqBits'(beside_q[e-1].word);
    end
  end
  assign h_valid = valid_q[HEdge-1];
  assign h_target = beside_q[HEdge-1];

  logic [Lanes-1:0] saturates;
  assign c_saturates = |saturates;
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    mfu_lane u_lane (
        .clk, .sums(turn_sums[4*lane+:4]), .scales(scales[4*lane+:4]), .c_shift(c_shift_q), .gru,
        .h_drop(beside_q[HEdge-3].h_drop),
        .valid(busy_q), .c_addr(c_addr_q), .c_zero(target_q.c_zero),
        .load_we(load_write.state), .load_addr(CAddrBits'(load_write.addr)), .load_c(load_c[lane]),
        .giving, .give_addr, .given_c(given_c[lane]), .h(h[lane]),
        .saturates(saturates[lane])
    );
  end
endmodule
