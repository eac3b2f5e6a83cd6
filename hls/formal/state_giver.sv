// The state giver: a state of n groups gives n x Lanes beats, each with a place that it took in the
// h FIFO before, and is done with the last.
module state_giver_proof
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int TurnBits = Lanes > 1 ? $clog2(Lanes) : 1
) (
    input logic                clk, rst_n, state_early, room, request, done, reading, start, busy_q, ask,
    input load_t               load,
    input axis_t               beat,
    input logic [15:0]         left_q,
    input logic [TurnBits-1:0] turn_q,
    input logic                last_d[2], valid_d[2]
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  logic in_state, ask_q[3], load_last;
  logic [15:0] groups, asked;
  logic [TurnBits-1:0] turn;
  always_ff @(posedge clk) begin
    ask_q <= rst_n ? '{ask, ask_q[0], ask_q[1]} : '{default: '0};
    if (!rst_n || load.stop) in_state <= 1'b0;
    else if (start) in_state <= 1'b1;
    else if (done) in_state <= 1'b0;
    if (start) begin
      groups <= load.instr.rows;
      asked <= '0;
      turn <= '0;
    end else if (ask) begin
      turn <= 32'(turn) == Lanes - 1 ? '0 : turn + 1'b1;
      if (32'(turn) == Lanes - 1) asked <= asked + 1'b1;
    end
  end

  logic [1:0] in_reset = '0;  // cycles, up to three
  always_ff @(posedge clk) in_reset <= rst_n ? '0 : in_reset == 3 ? in_reset : in_reset + 1'b1;

  logic stopped;  // what was asked for before may still come
  always_ff @(posedge clk) begin
    if (!rst_n || load.stop) stopped <= 1'b1;
    else if (start) stopped <= 1'b0;
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) given_long_reset : assume (in_reset == 0 || in_reset == 3);
    if (in_reset == 3) reset_clears : assert (!last_d[0] && !last_d[1] && !busy_q && !in_state);
    if (rst_n) begin
      // dispatcher.sv waits for a state, and gives a run up before it begins another
      given_one_state : assume (!start || (!in_state && !ask_q[0] && !ask_q[1] && !ask_q[2]));
      given_groups : assume (!start || load.instr.rows != 0);

      if (ask) asks_where_there_is_room : assert (room);
      takes_its_place : assert (request == ask_q[0]);
      beat_for_each : assert (beat.valid == ask_q[2] && valid_d[0] == ask_q[0] && valid_d[1] == ask_q[1]);
      if (in_state) counts : assert (left_q == groups - asked && asked <= groups && groups != 0 && turn_q == turn
                                     && busy_q == (asked != groups));
      if (!in_state) idle : assert (!busy_q && !ask);
      if (in_state) reads : assert (reading);
      if (done && !stopped) all_are_asked : assert (asked == groups && !ask && !ask_q[0] && ask_q[1]);
      if (in_state && asked == groups) ends : assert (last_d[0] || last_d[1]);
      if (last_d[0]) last_is_asked : assert (ask_q[0] && (stopped || asked == groups));
      if (last_d[1]) last_is_next : assert (ask_q[1] && (stopped || asked == groups) && !last_d[0]);
      if (beat.valid && beat.last) last_of_run : assert (ask_q[2] && !ask_q[1] && !ask_q[0]);

      seen_done : cover (done && groups == 2);
      seen_wait : cover (busy_q && !room && asked == 1);
      seen_last : cover (beat.valid && beat.last);
    end
  end
endmodule
bind state_giver state_giver_proof u_proof (.*);
