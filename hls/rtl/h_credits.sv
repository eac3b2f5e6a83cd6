// Credits for the h FIFO: whether it has room for a row block that is about to finish, counting all
// beats of those that were dispatched before. Row blocks are of different sizes, in units that fit
// a beat; a beat may lie across two of them. Room is seen two cycles late, hence with two row blocks
// to spare.
module h_credits
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic   clk, rst_n,
    input  logic   start,
    input  logic   emits,        // a row block is dispatched whose h goes there
    input  bands_t gang,         // its bands
    input  logic   ends_vector,  // with it: a beat that is not full is complete
    input  logic   credit,
    input  logic   give,         // takes a place for a beat of state
    output logic   room
);
  localparam int CreditBits = $clog2(FifoBeats + 1);
  localparam int Unit = Block < BeatElements ? Block : BeatElements;
  localparam int BeatUnits = BeatElements / Unit;
  localparam int MostUnits = BeatUnits - 1 + Bands * Block / Unit;
  localparam int UnitBits = $clog2(MostUnits + 1);
  localparam int MostBeats = (MostUnits + BeatUnits - 1) / BeatUnits;
  logic [CreditBits-1:0] credits_q;
  logic [UnitBits-1:0] begun_q, count, beats_q;
  logic rest, partial_q;
  assign count = begun_q + UnitBits'(16'(gang) * 16'(Block / Unit));
  assign rest = count % UnitBits'(BeatUnits) != 0;
  always_ff @(posedge clk) begin
    room <= credits_q >= CreditBits'(3 * MostBeats);
    partial_q <= emits && ends_vector && rest;
    beats_q <= emits ? count / UnitBits'(BeatUnits) : '0;
    if (!rst_n || start) begin
      credits_q <= CreditBits'(FifoBeats);
      begun_q <= '0;
    end else begin
      // States are given while the pipeline is empty.
      credits_q <= credits_q + CreditBits'(credit) - CreditBits'(give || partial_q)
                   - CreditBits'(beats_q);
      if (emits) begun_q <= ends_vector ? '0 : count % UnitBits'(BeatUnits);
    end
  end
endmodule
