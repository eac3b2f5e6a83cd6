// The x ring: a word stands in its place from its last beat until it is used up, whatever comes
// meanwhile, and the port takes beats of the run's words alone.
module x_ring_proof
  import lstm_config_pkg::*, lstm_pkg::*;
#(
    parameter int BeatBits = WordBeats > 1 ? $clog2(WordBeats) : 1,
    parameter int Beat = BeatElements < Columns ? BeatElements : Columns
) (
    input logic                            clk, rst_n, start, abort, ready, pull, pop,
    input logic [31:0]                     x_words, left_q,
    input axis_t                           x,
    input logic [RingBits-1:0]             raddr, tail_q, next_q,
    input logic [Columns-1:0][ActBits-1:0] rdata,
    input ring_t                           ring,
    input logic                            more_q, last_beat_q, take, word_done,
    input logic [BeatBits-1:0]             beat_q,
    input logic [RingBits:0]               ahead_q
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  // Any place, and what was taken for the first element of its word
  logic [RingBits-1:0] place;
  logic coming, held, read;  // its first beat is there, the whole word; it was read
  logic [ActBits-1:0] element;
  logic [31:0] taken;  // words, in this run
  logic [31:0] x_words_q;
  logic runs, aborted;
  // The word's age: it is used up with those that were pulled
  logic [RingBits:0] age;
  logic in_ring, stays;
  assign age = (RingBits + 1)'(RingBits'(place - ring.head));
  assign in_ring = held && age < ring.level;
  assign stays = age >= ring.level - ahead_q + (RingBits + 1)'(pull);
  always_ff @(posedge clk) begin
    place <= place;
    read <= rst_n && raddr == place && held;
    if (!rst_n || start) begin
      {coming, held} <= '0;
      taken <= '0;
    end else begin
      if (take && tail_q == place && beat_q == '0) begin
        coming <= WordBeats > 1;
        element <= x.data[ActBits-1:0];
      end else if (word_done) coming <= 1'b0;
      if (pop && in_ring && !stays) held <= 1'b0;
      else if (word_done && tail_q == place) held <= 1'b1;
      if (word_done) taken <= taken + 1'b1;
    end
    if (!rst_n || abort) runs <= 1'b0;
    else if (start) runs <= 1'b1;
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      // dispatcher.sv pulls what is there
      given_some : assume (!pull || ring.some);

      level_in_bounds : assert (32'(ring.level) <= RingWords && ahead_q <= ring.level);
      some_is_true : assert (ring.some == (ahead_q != 0));
      places_agree :
        assert (tail_q == RingBits'(ring.head + RingBits'(ring.level))
                && next_q == RingBits'(tail_q - RingBits'(ahead_q)));
      beat_agrees : assert (32'(beat_q) < WordBeats && last_beat_q == (32'(beat_q) == WordBeats - 1));
      if (ready) takes_where_there_is_room : assert (32'(ring.level) < RingWords);
      if (take) never_overwrites : assert (!(held && tail_q == place));
      if (held) held_is_in_ring : assert ((RingBits + 1)'(RingBits'(place - ring.head)) < ring.level);
      coming_stands : assert (coming == (beat_q != '0 && tail_q == place));
      if (coming || held) word_stands : assert (x_ring.gen_segment[0].mem[place][ActBits-1:0] == element);
      if (read) word_is_read : assert (rdata[0] == element);
      if (more_q) takes_its_words : assert (left_q != 0 && left_q + taken == x_words_q);
      if (!more_q && runs && !aborted) took_all : assert (taken == x_words_q);

      seen_full : cover (32'(ring.level) == RingWords);
      seen_read : cover (read && taken > RingWords);
      seen_all : cover (runs && !more_q && taken == 5 && ring.level == 0);
    end
  end
  always_ff @(posedge clk) begin
    if (start) x_words_q <= x_words;
    if (!rst_n) aborted <= 1'b1;
    else if (abort) aborted <= 1'b1;
    else if (start) aborted <= 1'b0;
  end
endmodule
bind x_ring x_ring_proof u_proof (.*);
