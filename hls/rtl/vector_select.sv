// Vector select: takes one of the sources' words, and of it the scalar of each VS unit.
module vector_select
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                              clk,
    input  slot_t                             slot,      // stands beside the words
    input  logic [Columns-1:0][ActBits-1:0]   ring_word,
    input  logic [Columns-1:0][ActBits-1:0]   h_word,
    input  logic [Columns-1:0][ActBits-1:0]   sequence_word,
    output logic [Columns-1:0][ActBits-1:0]   scalars    // one edge later
);
  logic [Columns-1:0][ActBits-1:0] vector_q;
  always_ff @(posedge clk) begin
    unique case (slot.source)
      SourceX: vector_q <= ring_word;
      SourceSequence: vector_q <= sequence_word;
      SourceH: vector_q <= h_word;
      default: vector_q <= '0;
    endcase
  end

  if (Bands == 1) begin : gen_word
    assign scalars = vector_q;
  end else begin : gen_segments
    for (genvar i = 0; i < Bands; i++) begin : gen_place
      logic [BandBits-1:0] select_q;
      // The column's first segment has zeros in the bits of those that follow in it.
      always_ff @(posedge clk) begin
        select_q <= slot.segment | (BandBits'(i) & BandBits'(slot.step - 1'b1));
      end
      for (genvar r = 0; r < Segment; r++) begin : gen_element
        logic [Bands-1:0][ActBits-1:0] choice;
        for (genvar q = 0; q < Bands; q++) begin : gen_choice
          assign choice[q] = vector_q[q*Segment+r];
        end
        assign scalars[i*Segment+r] = choice[select_q];
      end
    end
  end
endmodule
