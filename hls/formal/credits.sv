// The h path's credits, from dispatch to the port: what h_credits counts is what h_stream's FIFO
// takes, and neither goes over or under. In between stands a pipeline of as many stages as the
// engine's, in which each row block carries how many beats were due when it was dispatched.
module credits
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic  clk, rst_n, start, ready,
    input logic  emits,        // a row block is dispatched whose h goes to the port
    input bands_t gang,
    input logic  ends_vector,
    input logic  ask,          // a beat of state is on its way
    input logic [Lanes-1:0][ActBits-1:0] elements,
    input axis_t state
);
  localparam int Flight = SumEdge + HEdge + 2;
  localparam int Groups = BeatElements / Lanes;
  localparam int GroupBits = $clog2(Groups + 1);
  localparam int FifoBits = $clog2(FifoBeats);
  localparam int Turns = Bands * Passes;
  localparam int TurnBits = $clog2(Turns + 1);
  localparam int Unit = (Block < BeatElements ? Block : BeatElements) / Lanes;  // groups of h_credits' unit
  typedef logic [$clog2(2*FifoBeats+8*Flight)-1:0] beats_t;
  typedef logic [TurnBits-1:0] turns_t;
  typedef struct packed {
    beats_t               beats;   // whole ones since the run began, this row block's too,
    logic [GroupBits-1:0] groups;  // and groups of one that is not
  } due_t;
  typedef struct packed {
    logic   valid, ends;
    turns_t turns;
    due_t   due;
  } stage_t;

  function automatic due_t after(due_t due, turns_t turns, logic ends);
    int groups;
    groups = int'(due.groups) + int'(turns);
    after.beats = due.beats + beats_t'(groups / Groups + ((ends && groups % Groups != 0) ? 1 : 0));
    after.groups = ends ? '0 : GroupBits'(groups % Groups);
  endfunction

  // The pipeline, and its end where a row block takes its turns
  stage_t stages[Flight+1], turn;
  due_t due_q, made;     // dispatched so far, and packed
  turns_t waited, least; // since the last row block was dispatched
  logic ask_q[3];
  logic emit, last_turn, flying, asking;
  assign stages[0] = '{emits, ends_vector, turns_t'(turns_t'(gang) * turns_t'(Passes)), after(due_q, turns_t'(gang) * turns_t'(Passes), ends_vector)};
  assign emit = turn.valid;
  assign last_turn = turn.turns == turns_t'(1);
  always_comb begin
    flying = turn.valid;
    for (int s = 1; s <= Flight; s++) flying |= stages[s].valid;
    asking = ask_q[0] || ask_q[1] || ask_q[2];
  end
  always_ff @(posedge clk) begin
    for (int s = 1; s <= Flight; s++) begin
      stages[s] <= stages[s-1];
      if (!stages[s-1].valid && s == 1) stages[1].due <= due_q;
      if (!rst_n || start) begin
        stages[s].valid <= 1'b0;
        stages[s].due <= '0;
      end
    end
    if (emits) due_q <= stages[0].due;
    if (!emit || last_turn) turn <= stages[Flight];
    else turn.turns <= turn.turns - 1'b1;
    if (emit) made <= after(made, turns_t'(1), last_turn && turn.ends);
    ask_q <= '{ask, ask_q[0], ask_q[1]};
    if (emits) begin
      waited <= turns_t'(1);
      least <= stages[0].turns;
    end else if (waited < turns_t'(Turns)) waited <= waited + 1'b1;
    if (!rst_n || start) begin
      {turn, due_q, made} <= '0;
      ask_q <= '{default: '0};
      waited <= turns_t'(Turns);
      least <= '0;
    end
  end

  logic credit, empty, room;
  target_t target;
  axis_t give_beat, h_out;
  always_comb begin
    target = '0;
    target.emit = emit;
    target.vector_end = turn.ends && last_turn;
    give_beat = state;
    give_beat.valid = ask_q[2];
  end
  h_credits u_credits (.*, .give(ask_q[0]));
  h_stream u_h_stream (.*);

  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;
  beats_t level, owed, pending, most;
  assign level = beats_t'((FifoBits + 1)'(u_h_stream.write_q - u_h_stream.read_q));
  assign owed = due_q.beats - made.beats;
  assign pending = beats_t'(u_credits.partial_q) + beats_t'(u_credits.beats_q) + beats_t'(ask_q[0]);
  assign most = beats_t'(u_credits.MostBeats);
  logic emits_q;
  beats_t pending_q;
  always_ff @(posedge clk) begin
    emits_q <= rst_n && emits;
    pending_q <= rst_n && !start ? pending : '0;
  end

  // What makes the balance inductive: each stage says the same of those before it
  logic gang_fine, chain, spaced, bounded;
  always_comb begin
    gang_fine = 1'b0;
    for (int s = 0; s < Shapes; s++) gang_fine |= gang == bands_t'(Gangs[s]);
    chain = stages[1].due == due_q
            && turn.due == (turn.valid ? after(made, turn.turns, turn.ends) : made)
            && stages[Flight].due == (stages[Flight].valid
                ? after(turn.due, stages[Flight].turns, stages[Flight].ends) : turn.due);
    spaced = !turn.valid || (turn.turns != 0 && turn.turns <= turns_t'(Turns));
    bounded = beats_t'(turn.due.beats - made.beats) <= 2 * most && 32'(made.groups) < Groups;
    for (int s = 1; s <= Flight; s++) begin
      if (s < Flight) chain &= stages[s].due == (stages[s].valid
          ? after(stages[s+1].due, stages[s].turns, stages[s].ends) : stages[s+1].due);
      spaced &= !stages[s].valid || (stages[s].turns != 0 && stages[s].turns <= turns_t'(Turns));
      bounded &= beats_t'(stages[s].due.beats - made.beats) <= beats_t'((Flight + 2 - s) * 2) * most;
      bounded &= 32'(stages[s].due.groups) < Groups;
      for (int t = s - 1; t >= 1 && t > s - Turns; t--) begin
        spaced &= !(stages[s].valid && stages[t].valid) || 32'(stages[s].turns) <= s - t;
      end
      if (s + Turns > Flight + 1) begin
        spaced &= !(turn.valid && stages[s].valid) || 32'(turn.turns) <= Flight + 1 - s;
      end
      if (s < Turns) begin
        spaced &= 32'(waited) > s || !stages[s].valid || 32'(waited) == s;
        spaced &= 32'(waited) != s || (stages[s].valid && stages[s].turns == least);
        spaced &= 32'(waited) <= s || !stages[s].valid;
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (!rst_n) given_idle_in_reset : assume (!emits);
    if (rst_n) begin
      given_shape : assume (gang_fine);
      // dispatcher.sv, state_giver.sv: only where there is room
      given_room : assume (!(emits || ask) || room);
      // distances.sv: P; state_giver.sv: D
      given_turns : assume (!emits || waited >= least);
      given_empty_pipeline : assume (!ask || !(emits || emits_q || flying || u_h_stream.push_q));
      given_wait_for_state : assume (!emits || !(ask || asking));
      // control.sv: a run starts when all of the last has left
      given_drained : assume (!start || (empty && !flying && !emits && !ask && !asking && !emits_q));

      chain_holds : assert (chain);
      spaced_holds : assert (spaced && waited != 0 && 32'(waited) <= Turns);
      bounded_holds : assert (bounded);
      same_begun : assert (32'(u_credits.begun_q) * Unit == 32'(due_q.groups));
      same_group : assert (32'(u_h_stream.group_q) == 32'(made.groups));
      balance :
      assert (beats_t'(u_credits.credits_q) + level + owed + beats_t'(u_h_stream.push_q)
              + beats_t'(ask_q[1]) + beats_t'(ask_q[2]) == beats_t'(FifoBeats) + pending - beats_t'(ask_q[0]));
      if (!emits_q) none_pending : assert (!u_credits.partial_q && u_credits.beats_q == 0);
      if (asking) alone : assert (!u_h_stream.push_q && !flying && !emits_q);
      pending_holds : assert (pending <= most && pending_q <= most);
      if (room) room_is_true : assert (beats_t'(u_credits.credits_q) + pending_q >= 3 * most);
      no_underflow : assert (beats_t'(u_credits.credits_q) >= pending);
      no_overflow : assert (u_credits.credits_q <= FifoBeats);
      finds_room : assert (!u_h_stream.push || level < beats_t'(FifoBeats));

      seen_least : cover (u_credits.credits_q < 3 && !room);
      seen_full : cover (level == beats_t'(FifoBeats));
      seen_state : cover (give_beat.valid && made.groups == 0 && made.beats != 0);
    end
  end
endmodule
