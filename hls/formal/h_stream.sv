// The h stream: beats leave in the order in which they were made, none is lost, and the port keeps
// the rules of AXI4-Stream.
module h_stream_proof
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int Groups = BeatElements / Lanes,
    parameter int GroupBits = Groups > 1 ? $clog2(Groups) : 1,
    parameter int FifoBits = $clog2(FifoBeats)
) (
    input logic                          clk, rst_n, start, ready, credit, empty, push, pop, push_q, last_q,
    input target_t                       target,
    input axis_t                         give_beat, h_out,
    input logic [Lanes-1:0][ActBits-1:0] elements,
    input logic [GroupBits-1:0]          group_q,
    input logic [Groups-1:0][Lanes-1:0][ActBits-1:0] beat_q,
    input logic [BeatElements-1:0][ActRoom-1:0]      beat,
    input logic [FifoBits:0]             write_q, read_q
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  logic [FifoBits:0] level;
  assign level = write_q - read_q;

  // Any beat, by its number, and what must come out in its place
  logic [FifoBits:0] number;
  logic held, out;
  logic [StreamBits:0] wanted;
  // Any group of a beat, and what the beat must have there
  logic [GroupBits-1:0] chosen, count;
  logic [Lanes-1:0][ActBits-1:0] element;
  logic stalled;
  axis_t was;
  always_ff @(posedge clk) begin
    number <= number;
    chosen <= chosen;
    was <= h_out;
    stalled <= rst_n && h_out.valid && !ready;
    if (!rst_n) {held, out} <= '0;
    else begin
      if (push && write_q == number) begin
        held <= 1'b1;
        wanted <= give_beat.valid ? {give_beat.data, give_beat.last} : {beat, last_q};
      end else if (pop && read_q == number) held <= 1'b0;
      if (pop) out <= held && read_q == number;
      else if (ready) out <= 1'b0;
    end
    if (!rst_n || start) count <= '0;
    else if (target.emit) begin
      count <= target.vector_end || 32'(count) == Groups - 1 ? '0 : count + 1'b1;
      if (count == chosen) element <= elements;
      else if (count == '0) element <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // h_credits.sv: what is dispatched finds room
      given_room : assume (!push || level < (FifoBits + 1)'(FifoBeats));
      // state_giver.sv gives while the pipeline is empty; control.sv starts when it is
      given_one_source : assume (!(push_q && give_beat.valid));
      given_empty_at_start : assume (!(start && target.emit));

      level_in_bounds : assert (level <= (FifoBits + 1)'(FifoBeats));
      if (stalled) port_is_stable : assert (h_out.valid && h_out == was);
      credit_of_each_beat : assert (credit == pop);
      if (empty) empty_has_nothing : assert (level == 0 && !h_out.valid && !push);
      if (held) waits_in_its_place :
        assert ((FifoBits + 1)'(number - read_q) < level
                && h_stream.mem[number[FifoBits-1:0]] == wanted);
      if (out) comes_out_as_it_was :
        assert (h_out.valid && {h_out.data, h_out.last} == wanted && read_q == number + 1'b1);
      groups_are_counted : assert (group_q == count && 32'(count) < Groups);
      if ((count != 0 || push_q) && 32'(chosen) < Groups) group_in_its_place :
        assert (beat_q[chosen] == element);

      seen_full : cover (level == (FifoBits + 1)'(FifoBeats) && h_out.valid);
      seen_number : cover (out && number == (FifoBits + 1)'(FifoBeats + 1));
      seen_given : cover (out && h_out.valid && wanted[0] && give_beat.valid);
    end
  end
endmodule
bind h_stream h_stream_proof u_proof (.*);
