// The AXI4-Lite slave: rules of the channels, answers in bounded time, and registers that lose
// neither a start nor the end of a run.
module axil_proof
  import lstm_config_pkg::*, lstm_pkg::*;
(
    input logic                    clk, rst_n,
    input logic [AxilAddrBits-1:0] s_axi_control_AWADDR, s_axi_control_ARADDR,
    input logic [31:0]             s_axi_control_WDATA, s_axi_control_RDATA, window_rdata,
    input logic [3:0]              s_axi_control_WSTRB,
    input logic                    s_axi_control_AWVALID, s_axi_control_AWREADY,
    input logic                    s_axi_control_WVALID, s_axi_control_WREADY,
    input logic                    s_axi_control_BVALID, s_axi_control_BREADY,
    input logic                    s_axi_control_ARVALID, s_axi_control_ARREADY,
    input logic                    s_axi_control_RVALID, s_axi_control_RREADY,
    input logic [1:0]              s_axi_control_BRESP, s_axi_control_RRESP,
    input logic                    window_we, copying, ap_done, interrupt,
    input logic [WindowBits-1:0]   window_waddr,
    input logic [AxilAddrBits-1:0] waddr_q,
    input logic                    start_q, done_q, restart_q, global_enable_q,
    input logic [1:0]              enable_q, status_q,
    input logic [1:0]              read_q  // idle, window, take, data
);
  logic began = 1'b0;
  always_ff @(posedge clk) began <= 1'b1;

  // What the master has handed over and is owed an answer for
  logic aw, w, ar, b_stalled, r_stalled, done_seen;
  logic [31:0] r_was;
  logic [AxilAddrBits-1:0] waddr, raddr;
  logic [2:0] waited;  // cycles for an answer that no copy excuses
  logic writes, start_due, ctrl_read;
  logic [1:0] status;
  assign writes = s_axi_control_WVALID && s_axi_control_WREADY && s_axi_control_WSTRB[0];
  assign ctrl_read = s_axi_control_ARVALID && s_axi_control_ARREADY
                     && s_axi_control_ARADDR >> 2 == AddrCtrl >> 2;
  always_ff @(posedge clk) begin
    b_stalled <= rst_n && s_axi_control_BVALID && !s_axi_control_BREADY;
    r_stalled <= rst_n && s_axi_control_RVALID && !s_axi_control_RREADY;
    r_was <= s_axi_control_RDATA;
    if (!rst_n) {aw, w, ar, start_due, done_seen, status, waited} <= '0;
    else begin
      if (s_axi_control_AWVALID && s_axi_control_AWREADY) begin
        aw <= 1'b1;
        waddr <= s_axi_control_AWADDR;
      end
      if (s_axi_control_WVALID && s_axi_control_WREADY) w <= 1'b1;
      if (s_axi_control_BVALID && s_axi_control_BREADY) {aw, w} <= '0;
      if (s_axi_control_ARVALID && s_axi_control_ARREADY) begin
        ar <= 1'b1;
        raddr <= s_axi_control_ARADDR;
        waited <= '0;
      end else if (!copying) waited <= ar && !s_axi_control_RVALID ? waited + 1'b1 : '0;
      if (s_axi_control_RVALID && s_axi_control_RREADY) ar <= 1'b0;

      if (writes && waddr >> 2 == AddrCtrl >> 2 && s_axi_control_WDATA[ApStart]) start_due <= 1'b1;
      else if (ap_done) start_due <= restart_q;
      if (ap_done) done_seen <= 1'b1;
      else if (ctrl_read) done_seen <= 1'b0;
      for (int i = 0; i < 2; i++) begin
        if (ap_done && enable_q[i]) status[i] <= 1'b1;
        else if (writes && waddr >> 2 == AddrIpIsr >> 2 && s_axi_control_WDATA[i]) status[i] <= !status[i];
      end
    end
  end

  always_ff @(posedge clk) begin
    if (!began) given_reset : assume (!rst_n);
    if (rst_n) begin
      if (b_stalled) b_is_stable : assert (s_axi_control_BVALID);
      if (r_stalled) r_is_stable : assert (s_axi_control_RVALID && s_axi_control_RDATA == r_was);
      if (s_axi_control_BVALID) b_after_address_and_data : assert (aw && w);
      if (s_axi_control_RVALID) r_after_address : assert (ar);
      if (aw) one_write : assert (!s_axi_control_AWREADY);
      if (w) one_datum : assert (!s_axi_control_WREADY);
      if (ar) one_read : assert (!s_axi_control_ARREADY);
      if (aw && !w) takes_data : assert (s_axi_control_WREADY);
      if (aw && w) answers_write : assert (s_axi_control_BVALID);
      if (!aw) takes_address : assert (s_axi_control_AWREADY && !w);
      answers_read : assert (32'(waited) <= 2 && (ar || s_axi_control_ARREADY));
      if (read_q == 1) read_begins : assert (waited == 0);
      if (read_q == 2) read_goes_on : assert (waited == 1);
      if (ar && waited == 2) answers_read_then : assert (s_axi_control_RVALID);
      okay : assert (s_axi_control_BRESP == 0 && s_axi_control_RRESP == 0);
      window_written_once :
        assert (window_we == (s_axi_control_WVALID && s_axi_control_WREADY && waddr >= AddrMemoryProgram));
      if (aw) address_is_kept : assert (waddr_q == {waddr[AxilAddrBits-1:2], 2'b00});
      if (window_we) window_in_place : assert (window_waddr == WindowBits'(waddr >> 2));
      start_is_kept : assert (start_q == start_due);
      done_is_kept : assert (done_q == done_seen);
      status_is_kept : assert (status_q == status);
      interrupt_is_status : assert (interrupt == (global_enable_q && status_q != 0));

      seen_write : cover (s_axi_control_BVALID && window_we == 0 && start_q);
      seen_wait : cover (s_axi_control_RVALID && raddr >= AddrMemoryProgram && r_stalled);
      seen_interrupt : cover (interrupt && done_q);
    end
  end
endmodule
bind control axil_proof u_proof (.*, .read_q(2'(read_q)));
