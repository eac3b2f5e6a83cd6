// LSTM-Sharp engine. Ports are those that Vitis HLS makes for the C++ kernel; docs/engine.md has
// the drawing, the register map and the pipeline.
module lstm_engine
  import lstm_pkg::*;
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
  // Host side
  logic window_we, window_busy;
  logic [9:0] window_addr, window_raddr;
  logic [31:0] window_rdata, outputs[3];
  logic ap_start, ap_done, ap_idle;
  axil_control u_control (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .awaddr(s_axi_control_AWADDR),
      .awvalid(s_axi_control_AWVALID),
      .awready(s_axi_control_AWREADY),
      .wdata(s_axi_control_WDATA),
      .wstrb(s_axi_control_WSTRB),
      .wvalid(s_axi_control_WVALID),
      .wready(s_axi_control_WREADY),
      .bresp(s_axi_control_BRESP),
      .bvalid(s_axi_control_BVALID),
      .bready(s_axi_control_BREADY),
      .araddr(s_axi_control_ARADDR),
      .arvalid(s_axi_control_ARVALID),
      .arready(s_axi_control_ARREADY),
      .rdata(s_axi_control_RDATA),
      .rresp(s_axi_control_RRESP),
      .rvalid(s_axi_control_RVALID),
      .rready(s_axi_control_RREADY),
      .interrupt,
      .ap_start,
      .ap_done,
      .ap_idle,
      .outputs,
      .window_we,
      .window_addr,
      .window_raddr,
      .window_rdata,
      .window_busy
  );

  // A run: copy and check the program, dispatch, drain
  logic start, run, busy, program_ready, program_refused, dispatched, h_empty;
  header_t header;
  status_e program_status, dispatch_status;
  logic [7:0] program_index, dispatch_index;
  run_control u_run (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .ap_start,
      .ap_done,
      .ap_idle,
      .outputs,
      .instructions(header.instructions),
      .program_ready,
      .program_refused,
      .program_status,
      .program_index,
      .dispatched,
      .dispatch_status,
      .dispatch_index,
      .h_empty,
      .start,
      .run,
      .busy
  );

  logic [6:0] fetch_index;
  instr_t fetch_instr, load_instr;
  program_memory u_program (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .we(window_we),
      .waddr(window_addr),
      .wdata(s_axi_control_WDATA),
      .wstrb(s_axi_control_WSTRB),
      .raddr(window_raddr),
      .rdata(window_rdata),
      .copying(window_busy),
      .start,
      .header,
      .ready(program_ready),
      .refused(program_refused),
      .status(program_status),
      .status_index(program_index),
      .fetch_index,
      .fetch_instr
  );

  // Dispatch
  logic load_start, load_last, load_done, load_half, load_stop, credit, room, told;
  logic state_early, early;
  logic give_request, give_done, giving, item_done, h_valid;
  always_ff @(posedge ap_clk) load_done <= ap_rst_n && (item_done || give_done);
  logic ring_some, ring_exhausted, ring_pull, ring_pop;
  logic [RingBits-1:0] ring_head;
  logic [RingBits:0] ring_level;
  slot_t issue;
  dispatcher u_dispatcher (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(run),
      .header,
      .fetch_index,
      .fetch_instr,
      .load_start,
      .load_instr,
      .load_last,
      .load_done,
      .load_half,
      .load_stop,
      .ring_head,
      .ring_some,
      .ring_exhausted,
      .ring_pull,
      .ring_pop,
      .credit,
      .give(give_request),
      .room,
      .slot(issue),
      .early,
      .told,
      .dispatched,
      .status(dispatch_status),
      .status_index(dispatch_index)
  );

  // Slots travel beside the numbers: slots[e] stands after e edges.
  localparam int SumEdge = 6 + ReduceLevels;
  slot_t slots[SumEdge+1];
  assign slots[0] = issue;
  for (genvar e = 1; e <= SumEdge; e++) begin : gen_slots
    always_ff @(posedge ap_clk) begin
      slots[e] <= slots[e-1];
      slots[e].valid <= ap_rst_n && slots[e-1].valid;
    end
  end

  distances u_distances (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .issue,
      .passed(slots[1:3]),
      .state(load_start && (load_instr.op == OpLoadState || load_instr.op == OpGiveState)),
      .state_early,
      .early
  );

  // Loads
  logic weight_we, bias_we, state_we;
  logic [15:0] load_addr;
  logic [WordBits-1:0] load_word;
  logic [LaneBits-1:0] load_lane;
  logic [Macs-1:0][WeightBits-1:0] load_weights;
  logic [Rows-1:0][BiasBits-1:0] load_biases;
  logic [Lanes-1:0][ActBits-1:0] load_h;
  logic [Lanes-1:0][CBits-1:0] load_c;
  loader u_loader (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(load_start && load_instr.op != OpGiveState && !state_early),
      .stop(load_stop),
      .instr(load_instr),
      .done(item_done),
      .tdata(weights_TDATA),
      .tvalid(weights_TVALID),
      .tready(weights_TREADY),
      .weight_we,
      .bias_we,
      .state_we,
      .addr(load_addr),
      .word(load_word),
      .lane(load_lane),
      .weights(load_weights),
      .biases(load_biases),
      .state_h(load_h),
      .state_c(load_c)
  );

  // Edges 1 and 2: weight memory with its output register; vector sources and their select
  logic [Macs-1:0][WeightBits-1:0] weight_q;
  weight_memory u_weights (
      .clk(ap_clk),
      .we(weight_we),
      .waddr(WeightAddrBits'(load_addr)),
      .wdata(load_weights),
      .raddr(issue.weight_addr),
      .rdata(weight_q)
  );

  logic [WordBits-1:0] give_word;
  target_t h_target;
  logic [Lanes-1:0][ActBits-1:0] h_new;
  logic [Columns-1:0][ActBits-1:0] ring_word, h_word, sequence_word, scalars;
  x_ring u_ring (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(run),
      .x_words(header.x_words),
      .abort(dispatched),
      .tdata(x_TDATA),
      .tvalid(x_TVALID),
      .tready(x_TREADY),
      .raddr(issue.ring_addr),
      .rdata(ring_word),
      .pull(ring_pull),
      .pop(ring_pop),
      .head(ring_head),
      .level(ring_level),
      .some(ring_some),
      .exhausted(ring_exhausted)
  );

  vector_buffer #(
      .Depth(2 ** (WordBits + 1)),
      .AddrBits(WordBits + 1),
      .RamStyle("distributed")
  ) u_h_buffer (
      .clk(ap_clk),
      .we(h_valid || state_we),
      .waddr(state_we ? {load_half, load_word} : {h_target.parity, h_target.word}),
      .wlane(state_we ? load_lane : h_target.lane),
      .wdata(state_we ? load_h : h_new),
      .raddr(giving ? {load_half, give_word} : issue.h_addr),
      .rdata(h_word)
  );
  vector_buffer #(
      .Depth(SequenceWords),
      .AddrBits(SeqBits),
      .RamStyle("block")
  ) u_sequence_buffer (
      .clk(ap_clk),
      .we(h_target.keep),
      .waddr(h_target.seq_addr),
      .wlane(h_target.lane),
      .wdata(h_new),
      .raddr(issue.seq_addr),
      .rdata(sequence_word)
  );
  vector_select u_select (
      .clk(ap_clk),
      .slot(slots[1]),
      .ring_word,
      .h_word,
      .sequence_word,
      .scalars
  );

  // Edges 3 and on: products, reduced sums; then the running sums
  logic signed [SumBits-1:0] reduced[Rows][RowSums];
  logic signed [AccBits-1:0] sums[Bands*Rows];
  mac_array u_array (
      .clk(ap_clk),
      .weights(weight_q),
      .scalars,
      .reduced
  );
  accumulator u_accumulator (
      .clk(ap_clk),
      .slot_bias(slots[SumEdge-4]),
      .slot_read(slots[SumEdge-3]),
      .slot_shift(slots[SumEdge-2]),
      .slot_add(slots[SumEdge-1]),
      .slot_sum(slots[SumEdge]),
      .reduced,
      .bias_we,
      .bias_waddr(BiasAddrBits'(load_addr)),
      .bias_wdata(load_biases),
      .sums
  );

  // MFU and h
  logic give_valid, give_last;
  logic [CAddrBits-1:0] give_addr;
  logic [Lanes-1:0][CBits-1:0] given_c;
  logic [StreamBits-1:0] give_beat;
  state_giver u_giver (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(load_start && load_instr.op == OpGiveState && !state_early),
      .stop(load_stop),
      .instr(load_instr),
      .run_last(load_last),
      .room,
      .request(give_request),
      .done(give_done),
      .c_addr(give_addr),
      .h_word(give_word),
      .reading(giving),
      .c(given_c),
      .h(h_word),
      .valid(give_valid),
      .last(give_last),
      .beat(give_beat)
  );
  mfu u_mfu (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .slot_before(slots[SumEdge-1]),
      .slot(slots[SumEdge]),
      .sums,
      .load_we(state_we),
      .load_addr(CAddrBits'(load_addr)),
      .load_c,
      .giving,
      .give_addr,
      .given_c,
      .h_valid,
      .h_target,
      .h(h_new)
  );
  h_stream u_h_stream (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(run),
      .valid(h_target.emit),
      .elements(h_new),
      .vector_end(h_target.vector_end),
      .run_last(h_target.run_last),
      .give_valid,
      .give_last,
      .give_beat,
      .credit,
      .empty(h_empty),
      .tdata(h_TDATA),
      .tlast(h_TLAST),
      .tvalid(h_TVALID),
      .tready(h_TREADY)
  );
  assign h_TKEEP = '1;
  assign h_TSTRB = '1;

`ifndef SYNTHESIS
  // Which unit is busy, for the harness's trace (its bits are named in host/lstm_sharp/report/trace.py)
  logic [10:0] activity  /*verilator public_flat_rd*/;
  assign activity = {
    busy,
    h_TVALID && h_TREADY,
    h_valid,
    slots[SumEdge].valid && slots[SumEdge].last && slots[SumEdge].finish,
    slots[SumEdge-1].valid,
    slots[2].valid,
    issue.source,
    issue.valid,
    weights_TVALID && weights_TREADY,
    x_TVALID && x_TREADY
  };

  engine_checks u_checks (
      .clk(ap_clk),
      .rst_n(ap_rst_n),
      .start(run),
      .told,
      .issue,
      .slot_read(slots[SumEdge-3]),
      .slot_sum(slots[SumEdge]),
      .h_valid,
      .h_target,
      .giving,
      .ring_head,
      .ring_level,
      .h_tdata(h_TDATA),
      .h_tlast(h_TLAST),
      .h_tvalid(h_TVALID),
      .h_tready(h_TREADY),
      .bvalid(s_axi_control_BVALID),
      .bready(s_axi_control_BREADY),
      .rvalid(s_axi_control_RVALID),
      .rready(s_axi_control_RREADY),
      .rdata(s_axi_control_RDATA)
  );
`endif
endmodule
