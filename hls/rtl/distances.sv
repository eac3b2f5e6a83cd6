// Distances: sees a slot, or a state, that comes before what it reads is written (D, D_acc), and a
// row block that finishes while the lanes are busy (P). Finished row blocks and stored sums pass by
// here for as long as they are on their way; each slot is compared with all of them.
module distances
  import lstm_pkg::*;
(
    input  logic  clk,
    input  logic  rst_n,
    input  slot_t issue,
    input  slot_t passed[1:3],  // the slots issued before it
    input  logic  state,        // a state is to be loaded or given
    output logic  state_early,  // is to wait for good
    output logic  early         // what stood in the issue registers two cycles ago, or the state
);
  localparam int Life = Tail - 1;  // cycles in which a row block of most turns must not be read
  localparam int Segment = Columns / Bands;
  localparam int MostWords = Block * MaxBands > Columns ? Block * MaxBands / Columns : 1;
  localparam int TurnBits = $clog2(MaxPasses + 1);
  typedef struct packed {
    logic                keep;
    logic [TurnBits-1:0] turns;
    logic [WordBits:0]   h;         // half and first word
    logic [SeqBits-1:0]  step;      // first word of its step in the sequence buffer
    logic [SeqBits-1:0]  kept;      // and its own
    logic [WordBits:0]   words;
    logic [Bands-1:0]    segments;  // of each word
  } block_t;

  logic [Life:1] valid_q;
  block_t block, block_q[1:Life];
  logic [15:0] bands;  // of a row block, or of the four of one gate each
  logic finishes;
  assign bands = GateBlocks && issue.by_gate ? 16'd4 : gang_of(3'(issue.shape));
  assign finishes = issue.valid && issue.last && issue.finish
                    && last_gate(issue.by_gate, 2'(issue.row));
  always_comb begin
    block.keep = issue.target.keep;
    block.turns = TurnBits'(bands) * TurnBits'(Passes);
    block.h = {issue.target.parity, issue.target.word};
    block.step = issue.target.seq_addr;
    block.kept = issue.target.seq_addr + SeqBits'(issue.target.word);
    block.words = (WordBits + 1)'(1);
    for (int n = 2; n <= MostWords; n++) begin
      if (bands * 16'(Block) >= 16'(n * Columns)) block.words = (WordBits + 1)'(n);
    end
    for (int b = 0; b < Bands; b++) begin
      block.segments[b] = 16'(issue.target.lane) < 16'((b + 1) * Segment)
                          && 16'(issue.target.lane) + bands * 16'(Block) > 16'(b * Segment);
    end
  end

  // What the slot reads
  logic [Bands-1:0] segments;
  always_comb begin
    for (int b = 0; b < Bands; b++) begin
      segments[b] = BankBits'(b) >= issue.segment
                    && 16'(b) < 16'(issue.segment) + step_of(3'(issue.shape));
    end
  end

  // Whether the slot reads what a row block writes. The words of one that has several follow each
  // other in the h buffer, whose last is followed by its first.
  function automatic logic reads(block_t written);
    logic [SeqBits-1:0] from_step;
    logic h, kept;
    from_step = issue.seq_addr - written.step;
    if (MostWords == 1) begin
      h = issue.h_addr == written.h;
      kept = issue.seq_addr == written.kept;
    end else begin
      h = issue.h_addr[WordBits] == written.h[WordBits]
          && is_word(issue.h_addr[WordBits-1:0], written);
      kept = 16'(from_step) < 16'(2 ** WordBits) && is_word(WordBits'(from_step), written);
    end
    return issue.valid && |(segments & written.segments)
           && ((issue.source == SourceH && h)
               || (issue.source == SourceSequence && written.keep && kept));
  endfunction

  function automatic logic is_word(logic [WordBits-1:0] word, block_t written);
    return (WordBits + 1)'(WordBits'(word - written.h[WordBits-1:0])) < written.words;
  endfunction

  // Row blocks of fewer turns are through sooner. A state is moved a cycle sooner after them.
  logic [Life:1] hit_q;
  logic moving, drained_q;
  always_comb begin
    moving = finishes;
    for (int e = 1; e < Life - 1; e++) moving |= valid_q[e] && e < life(block_q[e].turns) - 1;
  end
  always_ff @(posedge clk) begin
    drained_q <= !moving;
    valid_q[1] <= rst_n && finishes;
    block_q[1] <= block;
    for (int e = 2; e <= Life; e++) begin
      valid_q[e] <= rst_n && valid_q[e-1] && e <= life(block_q[e-1].turns);
      block_q[e] <= block_q[e-1];
    end
    for (int e = 1; e <= Life; e++) hit_q[e] <= valid_q[e] && reads(block_q[e]);
  end

  function automatic int life(logic [TurnBits-1:0] turns);
    return Passes == MaxPasses ? Life : Life - MaxPasses + int'(turns);
  endfunction

  // The lanes are busy; a sum is not stored; a state is moved while something is on its way
  logic busy_q, stored_q, busy, stored;
  logic [1:0] state_q;
  always_comb begin
    {busy, stored} = '0;
    for (int e = 1; e < MaxPasses; e++) busy |= valid_q[e] && 16'(e) < 16'(block_q[e].turns);
    for (int e = 1; e <= 3; e++) begin
      stored |= passed[e].valid && passed[e].last && !passed[e].finish
                && shares(passed[e].row, passed[e].shape, issue.row, issue.shape);
    end
  end
  assign state_early = state && (finishes || !drained_q);
  always_ff @(posedge clk) begin
    busy_q <= finishes && busy;
    stored_q <= issue.valid && issue.first && issue.start != StartBias && stored;
    state_q <= {state_q[0], state_early};
    early <= rst_n && (|hit_q || busy_q || stored_q || state_q[1]);
  end

  // Whether two row blocks have a band in common
  function automatic logic shares(logic [BlockBits-1:0] one, logic [ShapeBits-1:0] one_shape,
                                  logic [BlockBits-1:0] other, logic [ShapeBits-1:0] other_shape);
    logic [15:0] place;  // the larger of them
    place = (gang_of(3'(one_shape)) - 16'd1) | (gang_of(3'(other_shape)) - 16'd1);
    return ((16'(one) ^ 16'(other)) & ~place) == 0;
  endfunction
endmodule
