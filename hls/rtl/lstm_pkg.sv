// Types and functions that all modules share; sizes and program format are lstm_config_pkg's.
package lstm_pkg;
  import lstm_config_pkg::*;

  // AXI4-Stream
  typedef struct packed {
    logic [StreamBits-1:0] data;
    logic                  last;
    logic                  valid;
  } axis_t;

  function automatic int larger(int a, int b);
    return a > b ? a : b;
  endfunction

  localparam int WindowBits = $clog2(WindowWords);  // addresses of 32-bit words

  // Weights of a beat as DSPs want them: of those that lie in one operand each is less by one where
  // those below it are negative together, for their sign is spread over all that lies above.
  typedef logic [BeatWeights-1:0][WeightBits-1:0] beat_weights_t;
  function automatic beat_weights_t packed_weights(beat_weights_t weights);
    logic negative;  // those of the operand that were looked at
    negative = 1'b0;
    for (int w = 0; w < BeatWeights; w++) begin
      if (w % Packed == 0) negative = 1'b0;
      packed_weights[w] = weights[w] - WeightBits'(negative);
      negative = weights[w][WeightBits-1] || (negative && weights[w] == '0);
    end
  endfunction

  // Bits of a place in so many, and of a number up to so much
  function automatic int place_bits(int places);
    return places > 1 ? $clog2(places) : 1;
  endfunction

  // Shapes of the tile: Gangs[s] VS units share a scalar. With a single one its number is not
  // looked at. The largest row block has Bands bands of Rows rows, a word Bands segments.
  localparam int Shapes = $size(Gangs);
  localparam int ShapeBits = place_bits(Shapes);
  localparam int BandBits = $clog2(Bands);  // of a segment in its word, of a band's bank
  localparam int BankBits = place_bits(Bands);
  localparam int Segment = Columns / Bands;
  typedef logic [2:0] shape_t;
  typedef logic [BandBits:0] bands_t;

  function automatic logic is_shape(shape_t shape, int s);
    return Shapes == 1 || ShapeBits'(shape) == ShapeBits'(s);
  endfunction

  function automatic bands_t gang_of(shape_t shape);
    gang_of = '0;
    for (int s = 0; s < Shapes; s++) if (is_shape(shape, s)) gang_of |= bands_t'(Gangs[s]);
  endfunction

  // Segments from one column to the next
  function automatic bands_t step_of(shape_t shape);
    step_of = '0;
    for (int s = 0; s < Shapes; s++) if (is_shape(shape, s)) step_of |= bands_t'(Bands / Gangs[s]);
  endfunction

  // Sums that the reduce trees give for a row: the taps of shape after shape, or with one shape two
  // that the accumulator adds itself. Place of a shape's first:
  function automatic int first_tap(int shape);
    first_tap = 0;
    for (int s = 0; s < shape; s++) first_tap += Gangs[s];
  endfunction
  localparam int RowSums = Bands == 1 ? 2 : first_tap(Shapes);

  // Instruction with what the dispatcher would otherwise have to compare for
  localparam int ColumnBits = $clog2(larger(Bands * larger(XColumns, HWords), MostPasses) + 1);
  localparam int RowBits = $clog2(Blocks + 1);
  typedef struct packed {
    instr_t                instr;
    bands_t                gang;       // of its shape: bands of a row block,
    bands_t                step;       // and segments from one column to the next
    logic                  last;       // of the run
    logic [7:0]            index;
    logic                  is_load;
    logic                  pulls;
    logic                  has_nops;
    logic                  one_nop;
    logic                  one_column;
    logic                  one_row;
    logic                  one_slot;   // in a row
    logic                  pull_first; // the first column begins a word
    logic                  past;       // its weights lie where not even a counter reaches
    logic [ColumnBits-1:0] row_slots;
  } work_t;

  // Tile slot on its way from issue to accumulate
  localparam int WeightAddrBits = $clog2(WeightTiles);
  localparam int BiasAddrBits = place_bits(BiasBlocks);
  localparam int BesideBias = RowScales * XShiftBits;  // its row's x_shift, above it
  localparam int BiasWordBits = BiasBits + BesideBias;
  localparam int ScaleBits = FactorBits + ActShiftBits;  // of a row's, in the MFU
  localparam int BlockBits = place_bits(Blocks);
  localparam int RingBits = $clog2(RingWords);
  localparam int WordBits = place_bits(HWords);
  localparam int LaneBits = place_bits(Columns);
  localparam int SeqBits = $clog2(SequenceWords);
  localparam int CAddrBits = BlockBits + $clog2(Passes);

  // Where a finished neuron goes
  typedef struct packed {
    logic                c_zero;
    logic                parity;    // half of the h buffer
    logic [WordBits-1:0] word;
    logic [LaneBits-1:0] lane;
    logic                emit;
    logic                keep;
    logic [SeqBits-1:0]  seq_addr;  // of h's first word, then of its own (mfu.sv)
    logic                vector_end;
    logic                run_last;
    logic [3:0]          h_drop;    // of a mixed format
  } target_t;

  typedef struct packed {
    logic                      valid;
    logic [ShapeBits-1:0]      shape;
    bands_t                    gang;        // of its shape: bands of a row block,
    bands_t                    step;        // and segments of a column
    source_e                   source;
    logic [RingBits-1:0]       ring_addr;
    logic [WordBits:0]         h_addr;      // half, word
    logic [SeqBits-1:0]        seq_addr;
    logic [BankBits-1:0]       segment;     // of the word that is read
    logic [WeightAddrBits-1:0] weight_addr;
    logic                      first;       // of its row
    logic                      last;        // of its row
    start_e                    start;
    logic                      finish;
    logic [BlockBits-1:0]      row;         // first band
    logic [BiasAddrBits-1:0]   bias_addr;
    logic [3:0]                x_shift;
    logic [3:0]                act_shift;
    logic [1:0]                c_shift;
    target_t                   target;
  } slot_t;

  // Whether its row block goes to the MFU
  function automatic logic finishes(slot_t slot);
    return slot.valid && slot.last && slot.finish;
  endfunction

  // Banks of the bands that its row block covers
  function automatic logic [Bands-1:0] banks_of(slot_t slot);
    for (int j = 0; j < Bands; j++) begin
      banks_of[j] = ((bands_t'(BankBits'(slot.row)) ^ bands_t'(j))
                     & (bands_t'(Bands) - slot.gang)) == 0;
    end
  endfunction

  // Place in a vector of h that lies so many neurons further on
  function automatic logic [WordBits+LaneBits-1:0] after_neurons(
      int count, logic [WordBits-1:0] word, logic [LaneBits-1:0] lane);
    if (count >= Columns) return {word + WordBits'(count / Columns), lane};
    if (lane == LaneBits'(Columns - count)) return {word + WordBits'(1), LaneBits'(0)};
    return {word, lane + LaneBits'(count)};
  endfunction

  // A load, or a state to be given, on its way from the dispatcher
  typedef struct packed {
    logic   start;
    instr_t instr;
    logic   last;  // of the run
    logic   half;  // of the h buffer, for a state
    logic   stop;  // the run is given up
  } load_t;

  // What the loader writes, and where
  typedef struct packed {
    logic                weights;
    logic                bias;
    logic                state;
    logic [15:0]         addr;  // tile, row block or group of Lanes
    logic [WordBits-1:0] word;  // where a state's h goes
    logic [LaneBits-1:0] lane;
  } load_write_t;

  typedef struct packed {
    logic [RingBits-1:0] head;       // oldest word
    logic [RingBits:0]   level;      // whole words held
    logic                some;       // a word that has not been pulled yet
    logic                exhausted;  // a cycle late: takes no more words in this run
  } ring_t;

  // How a run ended, as the status register has it
  typedef struct packed {
    logic [7:0] index;  // of the instruction
    status_e    status;
  } outcome_t;
endpackage
