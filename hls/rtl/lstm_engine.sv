// LSTM-Sharp engine. Ports are those that Vitis HLS makes for the C++ kernel; docs/engine.md has
// the drawing, the register map and the pipeline. Inside, streams are structs; `.*` connects what
// has the same name.
module lstm_engine
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                    ap_clk,
    input  logic                    ap_rst_n,
    input  logic [12:0]             s_axi_control_AWADDR,
    input  logic                    s_axi_control_AWVALID,
    output logic                    s_axi_control_AWREADY,
    input  logic [31:0]             s_axi_control_WDATA,
    input  logic [3:0]              s_axi_control_WSTRB,
    input  logic                    s_axi_control_WVALID,
    output logic                    s_axi_control_WREADY,
    output logic [1:0]              s_axi_control_BRESP,
    output logic                    s_axi_control_BVALID,
    input  logic                    s_axi_control_BREADY,
    input  logic [12:0]             s_axi_control_ARADDR,
    input  logic                    s_axi_control_ARVALID,
    output logic                    s_axi_control_ARREADY,
    output logic [31:0]             s_axi_control_RDATA,
    output logic [1:0]              s_axi_control_RRESP,
    output logic                    s_axi_control_RVALID,
    input  logic                    s_axi_control_RREADY,
    output logic                    interrupt,
    input  logic [StreamBits-1:0]   weights_TDATA,
    input  logic [StreamBits/8-1:0] weights_TKEEP,
    input  logic [StreamBits/8-1:0] weights_TSTRB,
    input  logic                    weights_TLAST,
    input  logic                    weights_TVALID,
    output logic                    weights_TREADY,
    input  logic [StreamBits-1:0]   x_TDATA,
    input  logic [StreamBits/8-1:0] x_TKEEP,
    input  logic [StreamBits/8-1:0] x_TSTRB,
    input  logic                    x_TLAST,
    input  logic                    x_TVALID,
    output logic                    x_TREADY,
    output logic [StreamBits-1:0]   h_TDATA,
    output logic [StreamBits/8-1:0] h_TKEEP,
    output logic [StreamBits/8-1:0] h_TSTRB,
    output logic                    h_TLAST,
    output logic                    h_TVALID,
    input  logic                    h_TREADY
);
  // Ports
  logic clk, rst_n;
  assign {clk, rst_n} = {ap_clk, ap_rst_n};
  axis_t weights, x, h_out;
  assign weights = '{weights_TDATA, weights_TLAST, weights_TVALID};
  assign x = '{x_TDATA, x_TLAST, x_TVALID};
  assign {h_TDATA, h_TLAST, h_TVALID} = h_out;
  assign {h_TKEEP, h_TSTRB} = '1;

  // A run: copy and check the program, dispatch, drain
  logic window_we, copying, start, run, busy, program_ready, program_refused, dispatched, h_empty;
  logic c_saturates;
  logic [WindowBits-1:0] window_waddr, window_raddr;
  logic [31:0] window_rdata;
  header_t header;
  outcome_t program_outcome, dispatch_outcome;
  logic [6:0] fetch_index;
  instr_t fetch_instr;
  control u_control (.*, .program_empty(header.instructions == 0));
  program_memory u_program (
      .*,
      .we(window_we), .waddr(window_waddr),
      .wdata(s_axi_control_WDATA), .wstrb(s_axi_control_WSTRB),
      .raddr(window_raddr), .rdata(window_rdata),
      .ready(program_ready), .refused(program_refused), .outcome(program_outcome)
  );

  // Dispatch
  load_t load;
  logic loaded, given, load_done, credit, room, give_request, giving, early, state_early, told;
  ring_t ring;
  logic ring_pull, ring_pop;
  slot_t issue;
  always_ff @(posedge clk) load_done <= rst_n && (loaded || given);
  dispatcher u_dispatcher (
      .*, .start(run), .give(give_request), .slot(issue), .outcome(dispatch_outcome)
  );

  // Slots travel beside the numbers: slots[e] stands after e edges.
  slot_t slots[SumEdge+1];
  assign slots[0] = issue;
  for (genvar e = 1; e <= SumEdge; e++) begin : gen_slots
    always_ff @(posedge clk) begin
      slots[e] <= slots[e-1];
      slots[e].valid <= rst_n && slots[e-1].valid;
    end
  end
  distances u_distances (.*, .passed(slots[1:AccDistance-1]));

  // Loads, and states that are given
  load_write_t load_write;
  logic [Macs-1:0][WeightBits-1:0] load_weights;
  logic [Rows-1:0][BiasWordBits-1:0] load_biases;
  logic [Rows-1:0][ScaleBits-1:0] load_scales;
  logic [Lanes-1:0][ActBits-1:0] load_h;
  logic [Lanes-1:0][CBits-1:0] load_c, given_c;
  logic [CAddrBits-1:0] give_addr;
  logic [WordBits-1:0] give_word;
  logic [Columns-1:0][ActBits-1:0] ring_word, h_word, sequence_word, scalars;
  axis_t give_beat;
  loader u_loader (.*, .ready(weights_TREADY), .done(loaded), .write(load_write));
  state_giver u_giver (
      .*,
      .request(give_request), .done(given), .reading(giving),
      .c_addr(give_addr), .h_addr(give_word), .c(given_c), .h(h_word), .beat(give_beat)
  );

  // Edges 1 and 2: weight memory with its output register; vector sources and their select
  logic [Macs-1:0][WeightBits-1:0] weight_q;
  target_t h_target;
  logic h_valid;
  logic [Lanes-1:0][ActBits-1:0] h;
  weight_memory u_weights (
      .*,
      .we(load_write.weights), .waddr(WeightAddrBits'(load_write.addr)), .wdata(load_weights),
      .raddr(issue.weight_addr), .rdata(weight_q)
  );
  x_ring u_ring (
      .*,
      .start(run), .x_words(header.x_words), .abort(dispatched), .ready(x_TREADY),
      .raddr(issue.ring_addr), .rdata(ring_word), .pull(ring_pull), .pop(ring_pop)
  );
  vector_buffer #(.Depth(2 ** (WordBits + 1)), .RamStyle("distributed")) u_h_buffer (
      .*,
      .we(h_valid || load_write.state),
      .waddr(load_write.state ? {load.half, load_write.word} : {h_target.parity, h_target.word}),
      .wlane(load_write.state ? load_write.lane : h_target.lane),
      .wdata(load_write.state ? load_h : h),
      .raddr(giving ? {load.half, give_word} : issue.h_addr), .rdata(h_word)
  );
  vector_buffer #(.Depth(SequenceWords), .RamStyle("block")) u_sequence_buffer (
      .*,
      .we(h_target.keep), .waddr(h_target.seq_addr), .wlane(h_target.lane), .wdata(h),
      .raddr(issue.seq_addr), .rdata(sequence_word)
  );
  vector_select u_select (.*, .slot(slots[1]));

  // Edges 3 and on: products, reduced sums; then the running sums, and of those h
  logic signed [SumBits-1:0] reduced[Rows][RowSums];
  logic signed [AccBits-1:0] sums[Bands*Rows];
  mac_array u_array (.*, .weights(weight_q));
  accumulator u_accumulator (
      .*,
      .slot_bias(slots[SumEdge-4]), .slot_read(slots[SumEdge-3]), .slot_shift(slots[SumEdge-2]),
      .slot_add(slots[SumEdge-1]), .slot_sum(slots[SumEdge]),
      .bias_we(load_write.bias), .bias_waddr(BiasAddrBits'(load_write.addr))
  );
  mfu u_mfu (
      .*,
      .gru(header.gru),
      .slot_early(slots[SumEdge-4+(Bands>1?1:0)]), .slot_before(slots[SumEdge-1]),
      .slot(slots[SumEdge])
  );
  h_stream u_h_stream (
      .*, .start(run), .target(h_target), .elements(h), .empty(h_empty), .ready(h_TREADY)
  );

`ifndef SYNTHESIS
  // Which unit is busy, for the harness's trace (its bits are named in host/workshop/pictures.py)
  logic [10:0] activity  /*verilator public_flat_rd*/;
  assign activity = {
    busy, h_TVALID && h_TREADY, h_valid, finishes(slots[SumEdge]), slots[SumEdge-1].valid,
    slots[2].valid, issue.source, issue.valid, weights_TVALID && weights_TREADY,
    x_TVALID && x_TREADY
  };

  engine_checks u_checks (.*, .h_ready(h_TREADY));
`endif
endmodule
