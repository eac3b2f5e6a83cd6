// Vector select: takes one of the sources' words, and of it the scalar of each VS unit.
module vector_select
  import lstm_pkg::*;
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
    localparam int Segment = Columns / Bands;
    for (genvar i = 0; i < Bands; i++) begin : gen_place
      logic [BandBits-1:0] select_q;
      always_ff @(posedge clk) select_q <= segment_of(slot.shape, slot.segment, i);
      for (genvar r = 0; r < Segment; r++) begin : gen_element
        logic [Bands-1:0][ActBits-1:0] choice;
        for (genvar q = 0; q < Bands; q++) begin : gen_choice
          assign choice[q] = vector_q[q*Segment+r];
        end
        assign scalars[i*Segment+r] = choice[select_q];
      end
    end
  end

  // Segment that the VS units in the place of segment i take: a column is Bands / gang segments
  // wide, and so many bits of its first one are zero.
  function automatic logic [BankBits-1:0] segment_of(
      logic [ShapeBits-1:0] shape, logic [BankBits-1:0] first, int i);
    segment_of = '0;
    for (int s = 0; s < Shapes; s++) begin
      if (is_shape(3'(shape), s)) segment_of = first | BankBits'(i % (Bands / Gangs[s]));
    end
  endfunction
endmodule
