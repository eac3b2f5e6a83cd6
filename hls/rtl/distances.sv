// Distances: sees a slot, or a state, that comes before what it reads is written (D, D_acc), and a
// row block that finishes while the lanes are busy (P). Finished row blocks and stored sums pass by
// here for as long as they are on their way, and each slot is compared with all of them. Row blocks
// move on once in Passes cycles: they are as far apart, or it is told.
module distances
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic  clk, rst_n,
    input  slot_t issue,
    input  slot_t passed[1:AccDistance-1],  // the slots issued before it
    input  load_t load,         // may be of a state, or to give one
    output logic  state_early,  // is to wait for good
    output logic  early         // what stood in the issue registers two cycles ago, or the state
);
  localparam int Life = Tail - 1;  // cycles in which a row block of most turns must not be read
  localparam int Stages = (Life - 2 + Passes) / Passes;
  localparam int MostWords = Block * Bands > Columns ? Block * Bands / Columns : 1;
  localparam int GangBits = $clog2(Bands + 1);
  localparam int PhaseBits = $clog2(Passes + 1);
  typedef struct packed {
    logic                keep;
    logic [GangBits-1:0] bands;
    logic [PhaseBits-1:0] waited;   // cycles before it moved on for the first time
    logic [WordBits:0]   h;         // half and first word
    logic [SeqBits-1:0]  step;      // first word of its step in the sequence buffer
    logic [SeqBits-1:0]  kept;      // and its own
    logic [WordBits:0]   words;
    logic [Bands-1:0]    segments;  // of each word
  } block_t;

  logic [Stages:0] valid_q;
  block_t block, block_q[Stages+1];
  logic [PhaseBits-1:0] phase_q;  // 1 to Passes
  logic move;
  assign move = phase_q == PhaseBits'(Passes);
  logic state, ends;
  logic [15:0] bands;  // of its row block
  assign state = load.start && (load.instr.op == OpLoadState || load.instr.op == OpGiveState);
  assign ends = finishes(issue);
  assign bands = 16'(issue.gang);
  always_comb begin
    block.keep = issue.target.keep;
    block.waited = move ? PhaseBits'(Passes) : PhaseBits'(Passes) - phase_q;
    block.bands = GangBits'(bands);
    block.h = {issue.target.parity, issue.target.word};
    block.step = issue.target.seq_addr;
    block.kept = issue.target.seq_addr + SeqBits'(issue.target.word);
    block.words = (WordBits + 1)'(1);
    for (int n = 2; n <= MostWords; n++) begin
      if (bands * 16'(Block) >= 16'(n * Columns)) block.words = (WordBits + 1)'(n);
    end
    block.segments = '0;
    for (int b = 0; b < Bands; b++) begin
      for (int gang = 1; gang <= Bands; gang *= 2) begin  // so that nothing is added
        block.segments[b] |= bands == 16'(gang) && 16'(issue.target.lane) < 16'((b + 1) * Segment)
                             && (gang * Block > b * Segment
                                 || 16'(issue.target.lane) > 16'(b * Segment - gang * Block));
      end
    end
  end

  // What the slot reads
  logic [Bands-1:0] segments;
  always_comb begin
    for (int b = 0; b < Bands; b++) begin
      segments[b] = BankBits'(b) >= issue.segment
                    && 16'(b) < 16'(issue.segment) + 16'(issue.step);
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

  // Whether a row block left the issue registers so many cycles ago, and as many more as it takes
  // turns, at most. All cases are worked out, so that nothing is added.
  localparam int Rest = Life - MostPasses;  // one of fewer turns is through sooner
  function automatic logic since(int stage, block_t written, int most);
    since = (stage + 1) * Passes <= most + Passes;
    for (int waited = 1; waited <= Passes; waited++) begin
      for (int phase = 1; phase <= Passes; phase++) begin
        for (int gang = 1; gang <= Bands; gang *= 2) begin
          since |= written.waited == PhaseBits'(waited) && phase_q == PhaseBits'(phase)
                   && (Bands == 1 || written.bands == GangBits'(gang))
                   && waited + phase + (stage - 1) * Passes <= most + gang * Passes;
        end
      end
    end
  endfunction

  // A state is moved a cycle sooner than a slot may come. The lanes are busy, or a sum is not stored.
  logic [Stages:0] hit_q;
  // What moves is told in parts, which are put together where there is time.
  localparam int Parts = Stages / 6 + 1;
  logic [Parts-1:0] moving, moving_q;
  logic busy, busy_q, stored, stored_q, ends_q;
  logic [1:0] state_q;
  always_comb begin
    {moving, busy, stored} = '0;
    for (int n = 0; n <= Stages; n++) begin
      moving[n/6] |= valid_q[n] && since(n, block_q[n], Rest - 2);
      busy |= valid_q[n] && since(n, block_q[n], -1);
    end
    for (int e = 1; e < AccDistance; e++) begin
      stored |= passed[e].valid && passed[e].last && !passed[e].finish
                && shares(passed[e], issue);
    end
  end
  assign state_early = state && (ends || ends_q || moving_q != '0);
  always_ff @(posedge clk) begin
    phase_q <= !rst_n || move ? PhaseBits'(1) : phase_q + 1'b1;
    valid_q[0] <= rst_n && (ends || (valid_q[0] && !move));
    if (ends) block_q[0] <= block;
    for (int n = 1; n <= Stages; n++) begin
      if (!rst_n) valid_q[n] <= 1'b0;
      else if (move) valid_q[n] <= valid_q[n-1];
      if (move) block_q[n] <= block_q[n-1];
    end
    for (int n = 0; n <= Stages; n++) begin
      hit_q[n] <= valid_q[n] && reads(block_q[n]) && since(n, block_q[n], Rest);
    end
    busy_q <= ends && busy;
    stored_q <= issue.valid && issue.first && issue.start != StartBias && stored;
    ends_q <= ends;
    moving_q <= moving;
    state_q <= {state_q[0], state_early};
    early <= rst_n && (|hit_q || busy_q || stored_q || state_q[1]);
  end

  // Whether two row blocks have a band in common
  function automatic logic shares(slot_t one, slot_t other);
    bands_t place;  // in the larger of them
    place = (one.gang - 1'b1) | (other.gang - 1'b1);
    return (one.row ^ other.row) >> BandBits == 0
           && (bands_t'(one.row ^ other.row) & ~place & bands_t'(Bands - 1)) == 0;
  endfunction
endmodule
