// x ring: beats of the x stream become words of N elements; words stay until their step is done.
module x_ring
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                            clk, rst_n,
    input  logic                            start,       // begins to take x_words words
    input  logic [31:0]                     x_words,
    input  logic                            abort,       // takes no more
    input  axis_t                           x,
    output logic                            ready,
    input  logic [RingBits-1:0]             raddr,
    output logic [Columns-1:0][ActBits-1:0] rdata,       // one edge later
    input  logic                            pull,        // the next word is being used
    input  logic                            pop,         // all that have been, that one too, are used up
    output ring_t                           ring
);
  localparam int BeatBits = WordBeats > 1 ? $clog2(WordBeats) : 1;

  logic [31:0] left_q;  // words still to be taken whole
  logic more_q;
  logic [BeatBits-1:0] beat_q;
  logic last_beat_q;  // worked out early: mapping finds it to be a carry of the counter otherwise
  logic [RingBits-1:0] tail_q, next_q;  // where a word is written, and the next to be pulled
  logic [RingBits:0] ahead_q, ahead;    // words that have not been pulled yet
  logic take, word_done;
  assign ready = more_q && !ring.level[RingBits];
  assign take = ready && x.valid;
  assign word_done = take && last_beat_q;
  assign ahead = ahead_q + (RingBits + 1)'(word_done) - (RingBits + 1)'(pull);

  always_ff @(posedge clk) begin
    if (start) left_q <= x_words;
    else if (word_done) left_q <= left_q - 1;
    if (!rst_n || abort) more_q <= 1'b0;
    else if (start) more_q <= x_words != 0;
    else if (word_done && left_q == 32'd1) more_q <= 1'b0;
    ring.exhausted <= !more_q && !start;

    if (!rst_n || start) begin
      beat_q <= '0;
      last_beat_q <= WordBeats == 1;
      tail_q <= '0;
      next_q <= '0;
      ring.head <= '0;
      ring.level <= '0;
      ahead_q <= '0;
      ring.some <= 1'b0;
    end else begin
      if (take) begin
        beat_q <= word_done ? '0 : beat_q + 1'b1;
        last_beat_q <= WordBeats == 1 || (!last_beat_q && beat_q == BeatBits'(WordBeats - 2));
      end
      if (word_done) tail_q <= tail_q + 1'b1;
      if (pull) next_q <= next_q + 1'b1;
      if (pop) ring.head <= next_q + RingBits'(pull);
      ring.level <= pop ? ahead : ring.level + (RingBits + 1)'(word_done);
      ahead_q <= ahead;
      if (word_done != pull) ring.some <= word_done || ahead_q != (RingBits + 1)'(1);
    end
  end

  for (genvar b = 0; b < WordBeats; b++) begin : gen_segment
    localparam int First = b * BeatElements;
    localparam int Count = First + BeatElements > Columns ? Columns - First : BeatElements;
    (* ram_style = "distributed" *) logic [Count*ActBits-1:0] mem[RingWords];
    logic [Count-1:0][ActBits-1:0] elements;
    for (genvar e = 0; e < Count; e++) begin : gen_element
      assign elements[e] = x.data[e*ActRoom+:ActBits];
    end
    always_ff @(posedge clk) begin
      if (take && beat_q == BeatBits'(b)) mem[tail_q] <= elements;
      rdata[First+:Count] <= mem[raddr];
    end
  end
endmodule
