// The loader: a load of n items takes their beats and no more, writes n items, each of the beats
// that came for it, to places one behind the other, and says so with the last.
module loader_proof
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int BeatBits = $clog2(ItemBeatsMax + 1)
) (
    input logic        clk, rst_n, state_early, done, ready, start, take, item_done, write_q,
    input load_t       load,
    input axis_t       weights,
    input load_write_t write,
    input op_e         op_q,
    input logic [15:0] left_q, addr_q,
    input logic [BeatBits-1:0] beat_q, item_beats,
    input logic [StreamBits-1:0] packed_beat,
    input logic [ItemBeatsMax-1:0][StreamBits-1:0] item_q
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  logic busy, given_up;
  logic [15:0] items, whole, written, first;  // of the load; taken, and written so far
  logic [BeatBits-1:0] chosen, beats;         // any beat of an item; beats that are there of one
  logic [StreamBits-1:0] wanted;
  always_comb begin
    beats = BeatBits'(TileBeats);
    if (op_q == OpLoadBias) beats = BeatBits'(Rows);
    if (op_q == OpLoadState) beats = BeatBits'(Lanes);
  end
  always_ff @(posedge clk) begin
    chosen <= chosen;
    if (!rst_n || load.stop) busy <= 1'b0;
    else if (start) busy <= 1'b1;
    else if (done) busy <= 1'b0;
    if (start) begin
      items <= load.instr.rows;
      {whole, written} <= '0;
      first <= load.instr.op == OpLoadBias ? load.instr.bias_base
               : load.instr.op == OpLoadState ? load.instr.row_first * 16'(Passes)
               : load.instr.weight_base;
    end else begin
      if (item_done) whole <= whole + 1'b1;
      if (write_q) written <= written + 1'b1;
    end
    if (take && beat_q == chosen) wanted <= op_q == OpLoadWeights ? packed_beat : weights.data;
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // dispatcher.sv waits for a load; program_memory.sv refuses one of nothing
      given_one_load : assume (!(start && busy));
      given_items : assume (!start || (load.instr.rows != 0 && (load.instr.op == OpLoadWeights
          || load.instr.op == OpLoadBias || load.instr.op == OpLoadState)));

      if (ready) takes_in_a_load : assert (busy);
      if (busy) op_is_one : assert (op_q == OpLoadWeights || op_q == OpLoadBias || op_q == OpLoadState);
      if (busy) counts : assert (left_q == items - whole && whole <= items && items != 0
                                 && whole == written + 16'(write_q));
      if (busy) places : assert (addr_q == first + written && 32'(beat_q) < 32'(beats));
      if (busy && left_q == 0) last_beat_is_past : assert (beat_q == 0);
      if (busy && left_q == 0) says_so : assert (done && written + 1'b1 == items);
      if (!busy) idle : assert (!ready && !done && !write_q);
      if (busy && 32'(chosen) < 32'(beat_q)) beat_moves_on :
        assert (item_q[ItemBeatsMax-32'(beat_q)+32'(chosen)] == wanted);
      if (write_q && 32'(chosen) < 32'(beats)) beat_in_its_place :
        assert (beat_q == 0 && item_q[ItemBeatsMax-32'(beats)+32'(chosen)] == wanted);
      if (write_q) one_memory :
        assert (32'(write.weights) + 32'(write.bias) + 32'(write.state) == 1
                && write.weights == (op_q == OpLoadWeights) && write.state == (op_q == OpLoadState));
      if (write_q) right_place : assert (write.addr == first + written);

      seen_done : cover (done && items == 2);
      seen_state : cover (done && op_q == OpLoadState);
      seen_stop : cover (load.stop && busy && beat_q != 0);
    end
  end
endmodule
bind loader loader_proof u_proof (.*);
