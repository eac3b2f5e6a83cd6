// MFU: takes a row block's finished sums, hands its neurons to the lanes in turns, as many as its
// shape takes, and says where each result goes.
module mfu
  import lstm_pkg::*;
(
    input  logic                                clk,
    input  logic                                rst_n,
    input  slot_t                               slot_before, // stands in slot one edge later
    input  slot_t                               slot,        // belongs to the sums register
    input  logic signed [AccBits-1:0]           sums[Bands*Rows],
    input  logic                                load_we,
    input  logic        [CAddrBits-1:0]         load_addr,
    input  logic        [Lanes-1:0][CBits-1:0]  load_c,
    input  logic                                giving,
    input  logic        [CAddrBits-1:0]         give_addr,
    output logic        [Lanes-1:0][CBits-1:0]  given_c,
    output logic                                h_valid,     // to be taken at the next edge
    output target_t                             h_target,
    output logic        [Lanes-1:0][ActBits-1:0] h
);
  localparam int HEdge = 15;  // at which h is taken, see mfu_lane

  // With one shape turn 0 comes straight from the accumulators, the others from a copy that moves
  // up. With several, and where row blocks hold one gate each, a copy of all banks stands, and each
  // turn is a choice of it.
  logic taken, taken_next, turn_valid;
  logic [3:0] turn_act_shift;
  target_t turn_target;
  logic signed [AccBits-1:0] turn_sums[4*Lanes];
  logic [CAddrBits-1:0] turn_c_addr;
  assign taken_next = slot_before.valid && slot_before.last && slot_before.finish;
  always_ff @(posedge clk) begin
    taken <= rst_n && taken_next;
    if (MaxBands > 1 && taken && last_gate(slot.by_gate, 2'(slot.row))) begin
      turn_act_shift <= slot.act_shift;
    end else if (MaxBands == 1 && taken_next) begin
      turn_act_shift <= slot_before.act_shift;
    end
  end

  if (MaxBands > 1) begin : gen_shapes
    localparam int TurnBits = $clog2(MaxPasses);
    logic busy_q, last_q, hand_over, hand_over_next;
    logic [TurnBits-1:0] left_q, turns_left;  // when this turn is over
    logic [CAddrBits-1:0] c_addr_q, c_next_q, c_first;
    target_t target_q;
    logic [MaxPasses-1:0][4*Lanes-1:0][AccBits-1:0] held_q;
    logic [2*MaxPasses-1:0][4*Lanes-1:0][AccBits-1:0] offered;
    logic [4*Lanes-1:0][AccBits-1:0] chosen_q;
    logic [TurnBits:0] choice_q;

    always_comb begin
      turns_left = '0;
      for (int s = 0; s < Shapes; s++) begin
        if (is_shape(3'(slot.shape), s)) turns_left |= TurnBits'(Passes * Gangs[s] - 1);
      end
      if (slot.by_gate) turns_left = TurnBits'(4 * Passes - 1);
    end
    assign hand_over = taken && last_gate(slot.by_gate, 2'(slot.row));
    assign hand_over_next = taken_next && last_gate(slot_before.by_gate, 2'(slot_before.row));
    assign c_first = place_of(slot);
    always_ff @(posedge clk) begin
      if (!rst_n) busy_q <= 1'b0;
      else busy_q <= hand_over || (busy_q && !last_q);
      if (hand_over) begin
        left_q <= turns_left;
        last_q <= turns_left == 0;
        c_addr_q <= c_first;
        c_next_q <= c_first + 1'b1;
        target_q <= slot.target;
      end else begin
        left_q <= left_q - 1'b1;
        last_q <= left_q == TurnBits'(1);
        c_addr_q <= c_next_q;
        c_next_q <= c_next_q + 1'b1;
        if (target_q.lane == LaneBits'(Columns - Lanes)) begin
          target_q.lane <= '0;
          target_q.word <= target_q.word + 1'b1;
        end else begin
          target_q.lane <= target_q.lane + LaneBits'(Lanes);
        end
      end
    end
    // The low bits of c's place are the band's bank and the turn within the band: they say which
    // sums a turn takes. Those of turn 0 come straight from the accumulators into the turn's
    // register, the others from a copy of all banks.
    logic [MaxPasses-1:0][4*Lanes-1:0][AccBits-1:0] finished;
    if (GateBlocks) begin : gen_gates
      gate_sums u_gates (
          .clk,
          .write(taken && !hand_over),
          .by_gate(slot.by_gate),
          .row(slot.row),
          .sums,
          .finished
      );
    end else begin : gen_bands
      for (genvar k = 0; k < Bands * Rows; k++) begin : gen_finished
        assign finished[k/(4*Lanes)][k%(4*Lanes)] = sums[k];
      end
    end
    for (genvar c = 0; c < MaxPasses; c++) begin : gen_place
      always_ff @(posedge clk) if (hand_over) held_q[c] <= finished[c];
      assign offered[c] = held_q[c];
      assign offered[MaxPasses+c] = c % Passes == 0 ? finished[c] : held_q[c];
    end
    always_ff @(posedge clk) begin
      choice_q <= hand_over_next ? {1'b1, TurnBits'(place_of(slot_before))}
                                 : {1'b0, TurnBits'((hand_over ? c_first : c_next_q) + 1'b1)};
      chosen_q <= offered[choice_q];
    end

    // Place of c of its first neurons; the last of four row blocks of one gate has all gates'.
    function automatic logic [CAddrBits-1:0] place_of(slot_t finishing);
      return CAddrBits'(finishing.by_gate ? finishing.row - BlockBits'(3) : finishing.row)
             << $clog2(Passes);
    endfunction

    assign turn_valid = busy_q;
    assign turn_c_addr = c_addr_q;
    always_comb begin
      turn_target = target_q;
      turn_target.vector_end &= last_q;
    end
    for (genvar k = 0; k < 4 * Lanes; k++) begin : gen_sums
      assign turn_sums[k] = signed'(chosen_q[k]);
    end
  end else if (Passes == 1) begin : gen_one_turn
    assign turn_valid = taken;
    assign turn_target = slot.target;
    assign turn_sums = sums;
    assign turn_c_addr = CAddrBits'(slot.row);
  end else begin : gen_turns
    localparam int TurnBits = $clog2(Passes);
    logic busy_q;
    logic [TurnBits-1:0] turn_q;
    slot_t slot_q, turn_slot;
    logic [WordBits-1:0] word_q;
    logic [LaneBits-1:0] lane_q;
    logic signed [AccBits-1:0] held_q[Rows];

    always_ff @(posedge clk) begin
      if (!rst_n) busy_q <= 1'b0;
      else if (taken) busy_q <= 1'b1;
      else if (turn_q == TurnBits'(Passes - 1)) busy_q <= 1'b0;
      turn_q <= taken ? TurnBits'(1) : turn_q + 1'b1;
      if (taken) slot_q <= slot;
      for (int k = 0; k < Rows; k++) begin
        if (taken) held_q[k] <= sums[(k + 4 * Lanes) % Rows];
        else held_q[k] <= held_q[(k + 4 * Lanes) % Rows];
      end
      if (turn_target.lane == LaneBits'(Columns - Lanes)) begin
        lane_q <= '0;
        word_q <= turn_target.word + 1'b1;
      end else begin
        lane_q <= turn_target.lane + LaneBits'(Lanes);
        word_q <= turn_target.word;
      end
    end

    assign turn_valid = taken || busy_q;
    assign turn_slot = taken ? slot : slot_q;
    assign turn_c_addr = {turn_slot.row, taken ? TurnBits'(0) : turn_q};
    always_comb begin
      turn_target = turn_slot.target;
      if (!taken) begin
        turn_target.word = word_q;
        turn_target.lane = lane_q;
      end
      turn_target.vector_end &= !taken && turn_q == TurnBits'(Passes - 1);
    end
    for (genvar k = 0; k < 4 * Lanes; k++) begin : gen_sums
      assign turn_sums[k] = taken ? sums[k] : held_q[k];
    end
  end

  logic valid_q[HEdge];
  target_t target_q[HEdge];
  always_comb begin
    valid_q[0] = turn_valid;
    target_q[0] = turn_target;
  end
  for (genvar e = 1; e < HEdge; e++) begin : gen_beside
    always_ff @(posedge clk) begin
      valid_q[e] <= rst_n && valid_q[e-1];
      target_q[e] <= target_q[e-1];
      // The writes have no time for these: valid in emit and keep, the sum for the word's address.
      if (e == HEdge - 1) begin
        target_q[e].emit <= rst_n && valid_q[e-1] && target_q[e-1].emit;
        target_q[e].keep <= rst_n && valid_q[e-1] && target_q[e-1].keep;
      end
      if (e == 2) target_q[e].seq_addr <= target_q[e-1].seq_addr + SeqBits'(target_q[e-1].word);
    end
  end
  assign h_valid = valid_q[HEdge-1];
  assign h_target = target_q[HEdge-1];

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic signed [AccBits-1:0] lane_sums[4];
    for (genvar gate = 0; gate < 4; gate++) begin : gen_sum
      assign lane_sums[gate] = turn_sums[4*lane+gate];
    end
    mfu_lane u_lane (
        .clk,
        .sums(lane_sums),
        .act_shift(turn_act_shift),
        .valid(turn_valid),
        .c_addr(turn_c_addr),
        .c_zero(turn_target.c_zero),
        .load_we,
        .load_addr,
        .load_c(load_c[lane]),
        .giving,
        .give_addr,
        .given_c(given_c[lane]),
        .h(h[lane])
    );
  end
endmodule
