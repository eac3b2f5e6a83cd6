// Credits for the h FIFO: whether it has room for a row block that is about to finish, counting all
// beats of those that were dispatched before.
module h_credits
  import lstm_pkg::*;
(
    input  logic   clk,
    input  logic   rst_n,
    input  logic   start,
    input  logic   emits,        // a row block is dispatched whose h goes there
    input  shape_t shape,
    input  logic   by_gate,      // it ends four, of K neurons together
    input  logic   ends_vector,  // with it: a beat that is not full is complete
    input  logic   credit,
    input  logic   give,         // takes a place for a beat of state
    output logic   room
);
  localparam int CreditBits = $clog2(FifoBeats + 1);
  logic [CreditBits-1:0] credits_q;

  if (MaxBands == 1) begin : gen_equal
    // A row block completes a beat of h after every BeatBlocks-th one, or several at once. Room is
    // seen a cycle late, hence with two row blocks to spare.
    localparam int BeatBlocks = BeatElements > Block ? BeatElements / Block : 1;
    localparam int BlockBeats = Block > BeatElements ? Block / BeatElements : 1;
    localparam int BeatBlockBits = BeatBlocks > 1 ? $clog2(BeatBlocks) : 1;
    logic [BeatBlockBits-1:0] beat_block_q;
    logic completes;
    assign completes = ends_vector || beat_block_q == BeatBlockBits'(BeatBlocks - 1);
    always_ff @(posedge clk) begin
      room <= credits_q >= CreditBits'(3 * BlockBeats);
      if (!rst_n || start) begin
        credits_q <= CreditBits'(FifoBeats);
        beat_block_q <= '0;
      end else begin
        credits_q <= credits_q + CreditBits'(credit) - CreditBits'(give)
                     - (emits && completes ? CreditBits'(BlockBeats) : '0);
        if (emits) beat_block_q <= completes ? '0 : beat_block_q + 1'b1;
      end
    end
  end else begin : gen_shapes
    // Row blocks are of different sizes, in units that fit a beat; a beat may lie across two of
    // them. Beats are taken off a cycle after they were counted: room is seen two cycles late.
    localparam int Unit = Block < BeatElements ? Block : BeatElements;
    localparam int BeatUnits = BeatElements / Unit;
    localparam int MostUnits = BeatUnits - 1 + MaxBands * Block / Unit;
    localparam int UnitBits = $clog2(MostUnits + 1);
    localparam int MostBeats = MostUnits / BeatUnits + 1;
    logic [UnitBits-1:0] begun_q, units, beats_q;
    logic rest, partial_q;
    always_comb begin
      units = begun_q + UnitBits'((GateBlocks && by_gate ? 16'd4 : gang_of(shape))
                                  * 16'(Block / Unit));
      rest = units % UnitBits'(BeatUnits) != 0;
    end
    always_ff @(posedge clk) begin
      room <= credits_q >= CreditBits'(3 * MostBeats);
      partial_q <= emits && ends_vector && rest;
      beats_q <= emits ? units / UnitBits'(BeatUnits) : '0;
      if (!rst_n || start) begin
        credits_q <= CreditBits'(FifoBeats);
        begun_q <= '0;
      end else begin
        // States are given while the pipeline is empty.
        credits_q <= credits_q + CreditBits'(credit) - CreditBits'(give || partial_q)
                     - CreditBits'(beats_q);
        if (emits) begun_q <= ends_vector ? '0 : units % UnitBits'(BeatUnits);
      end
    end
  end
endmodule
