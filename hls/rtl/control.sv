// Control: the AXI4-Lite slave with the register map that Vitis HLS makes for ap_ctrl_hs (control,
// interrupts, three outputs that are valid after ap_done, the program window; docs/engine.md), and
// what goes on between ap_start and ap_done: the program is copied and checked, dispatched, and the
// pipeline drained.
module control
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input  logic                    clk, rst_n,
    input  logic [AxilAddrBits-1:0] s_axi_control_AWADDR, s_axi_control_ARADDR,
    input  logic [31:0]             s_axi_control_WDATA,
    input  logic [3:0]              s_axi_control_WSTRB,
    input  logic                    s_axi_control_AWVALID, s_axi_control_WVALID,
    input  logic                    s_axi_control_BREADY,
    input  logic                    s_axi_control_ARVALID, s_axi_control_RREADY,
    output logic                    s_axi_control_AWREADY, s_axi_control_WREADY,
    output logic                    s_axi_control_BVALID,
    output logic                    s_axi_control_ARREADY, s_axi_control_RVALID,
    output logic [31:0]             s_axi_control_RDATA,
    output logic [1:0]              s_axi_control_BRESP, s_axi_control_RRESP,
    output logic                    interrupt,
    // program window, in words; reads take one edge and wait while it is copied
    output logic                    window_we,
    output logic [WindowBits-1:0]   window_waddr, window_raddr,
    input  logic [31:0]             window_rdata,
    // program memory, dispatcher and h stream
    output logic                    start,         // copy the program
    input  logic                    copying,
    input  logic                    program_empty, // the null program
    input  logic                    program_ready, program_refused,
    output logic                    run,           // dispatch it
    input  logic                    dispatched,
    input  outcome_t                program_outcome, dispatch_outcome,
    input  logic                    h_empty,
    input  logic                    c_saturates,   // somewhere, now
    output logic                    busy
);
  // Outputs: addresses, and those of their valid bits
  localparam int Outputs = 3;
  localparam logic [AxilAddrBits-1:0] AddrValues[Outputs] = '{
      AddrIdentity, AddrStatus, AddrCycles};
  localparam logic [AxilAddrBits-1:0] AddrValids[Outputs] = '{
      AddrIdentityCtrl, AddrStatusCtrl, AddrCyclesCtrl};
  logic ap_done;
  logic [31:0] outputs[Outputs];

  // Write channel: address, then data, then response, as the HLS slave does it
  typedef enum logic [1:0] {WriteIdle, WriteData, WriteResponse} write_e;
  write_e write_q;
  logic [AxilAddrBits-1:0] waddr_q;
  logic [31:0] wdata;
  logic write_fire, write_low;  // of its lowest byte
  assign wdata = s_axi_control_WDATA;
  assign write_fire = write_q == WriteData && s_axi_control_WVALID;
  assign write_low = write_fire && s_axi_control_WSTRB[0];
  assign window_we = write_fire && waddr_q >= AddrMemoryProgram;
  assign window_waddr = WindowBits'(waddr_q >> 2);
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      write_q <= WriteIdle;
    end else begin
      unique case (write_q)
        WriteIdle: if (s_axi_control_AWVALID) write_q <= WriteData;
        WriteData: if (s_axi_control_WVALID) write_q <= WriteResponse;
        default: if (s_axi_control_BREADY) write_q <= WriteIdle;
      endcase
    end
    if (s_axi_control_AWVALID && write_q == WriteIdle) waddr_q <= whole(s_axi_control_AWADDR);
  end

  // Read channel; the window takes two edges more and waits for a copy that is under way
  typedef enum logic [1:0] {ReadIdle, ReadWindow, ReadTake, ReadData} read_e;
  read_e read_q;
  logic [AxilAddrBits-1:0] araddr;
  logic [31:0] register, rdata_q;
  logic read_fire;
  assign araddr = whole(s_axi_control_ARADDR);
  assign read_fire = read_q == ReadIdle && s_axi_control_ARVALID;
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      read_q <= ReadIdle;
    end else begin
      unique case (read_q)
        ReadIdle: if (read_fire) read_q <= araddr >= AddrMemoryProgram ? ReadWindow : ReadData;
        ReadWindow: if (!copying) read_q <= ReadTake;
        ReadTake: read_q <= ReadData;
        default: if (s_axi_control_RREADY) read_q <= ReadIdle;
      endcase
    end
    if (read_fire) window_raddr <= WindowBits'(araddr >> 2);
    if (read_fire) rdata_q <= register;
    else if (read_q == ReadTake) rdata_q <= window_rdata;
  end

  function automatic logic [AxilAddrBits-1:0] whole(logic [AxilAddrBits-1:0] address);
    return {address[AxilAddrBits-1:2], 2'b00};
  endfunction

  assign s_axi_control_AWREADY = write_q == WriteIdle;
  assign s_axi_control_WREADY = write_q == WriteData;
  assign s_axi_control_BVALID = write_q == WriteResponse;
  assign s_axi_control_ARREADY = read_q == ReadIdle;
  assign s_axi_control_RVALID = read_q == ReadData;
  assign s_axi_control_RDATA = rdata_q;
  assign {s_axi_control_BRESP, s_axi_control_RRESP} = '0;

  // Registers
  logic start_q, done_q, ready_q, restart_q, global_enable_q;
  logic [1:0] enable_q, status_q;
  logic [31:0] value_q[Outputs];
  logic valid_q[Outputs];
  assign interrupt = global_enable_q && status_q != 0;
  always_comb begin
    register = '0;
    if (araddr == AddrCtrl) begin
      register[ApStart] = start_q;
      register[ApDone] = done_q;
      register[ApIdle] = !busy && !start_q;
      register[ApReady] = ready_q;
      register[AutoRestart] = restart_q;
      register[Interrupt] = interrupt;
    end
    if (araddr == AddrGier) register = 32'(global_enable_q);
    if (araddr == AddrIpIer) register = 32'(enable_q);
    if (araddr == AddrIpIsr) register = 32'(status_q);
    for (int i = 0; i < Outputs; i++) begin
      if (araddr == AddrValues[i]) register = value_q[i];
      if (araddr == AddrValids[i]) register = 32'(valid_q[i]);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      {start_q, done_q, ready_q, restart_q, global_enable_q, enable_q, status_q} <= '0;
    end else begin
      if (write_low && waddr_q == AddrCtrl) restart_q <= wdata[AutoRestart];
      if (write_low && waddr_q == AddrCtrl && wdata[ApStart]) start_q <= 1'b1;
      else if (ap_done) start_q <= restart_q;
      if (ap_done) {done_q, ready_q} <= '1;
      else if (read_fire && araddr == AddrCtrl) {done_q, ready_q} <= '0;
      if (write_low && waddr_q == AddrGier) global_enable_q <= wdata[0];
      if (write_low && waddr_q == AddrIpIer) enable_q <= wdata[1:0];
      for (int i = 0; i < 2; i++) begin
        if (enable_q[i] && ap_done) status_q[i] <= 1'b1;
        else if (write_low && waddr_q == AddrIpIsr && wdata[i]) status_q[i] <= !status_q[i];
      end
    end
    for (int i = 0; i < Outputs; i++) begin
      if (!rst_n) value_q[i] <= '0;
      else if (ap_done) value_q[i] <= outputs[i];
      if (!rst_n) valid_q[i] <= 1'b0;
      else if (ap_done) valid_q[i] <= 1'b1;
      else if (read_fire && araddr == AddrValids[i]) valid_q[i] <= 1'b0;
    end
  end

  // A run
  typedef enum logic [1:0] {Idle, Prepare, Run, Drain} run_e;
  run_e run_q;
  localparam int DrainBits = $clog2(DrainCycles + 1);
  logic [DrainBits-1:0] drain_q;
  logic [31:0] cycles_q;
  logic c_saturated_q;
  outcome_t outcome;
  assign outcome = run_q == Prepare ? program_outcome : dispatch_outcome;
  assign busy = run_q != Idle;
  assign start = !busy && start_q;
  assign run = program_ready && !program_empty;
  assign ap_done = program_refused || (program_ready && program_empty)
                   || (run_q == Drain && drain_q == 0 && h_empty);
  assign outputs = '{Identity, 32'(outcome) | 32'(c_saturated_q) << CSaturated, cycles_q};
  always_ff @(posedge clk) begin
    if (!rst_n || ap_done) begin
      run_q <= Idle;
    end else begin
      unique case (run_q)
        Idle: if (start) run_q <= Prepare;
        Prepare: if (program_ready) run_q <= Run;
        Run: if (dispatched) run_q <= Drain;
        default: ;
      endcase
    end
    c_saturated_q <= RowScales == 1 && !start && (c_saturated_q || c_saturates);
    cycles_q <= start ? 32'd1 : cycles_q + 32'd1;
    if (run_q != Drain) drain_q <= DrainBits'(DrainCycles - 2);
    else if (drain_q != 0) drain_q <= drain_q - 1'b1;
  end
endmodule
