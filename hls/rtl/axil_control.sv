// AXI4-Lite slave with the register map that Vitis HLS makes for ap_ctrl_hs: control, interrupts,
// three outputs that are valid after ap_done, and the program window. See docs/engine.md.
module axil_control (
    input  logic        clk,
    input  logic        rst_n,
    input  logic [12:0] awaddr,
    input  logic        awvalid,
    output logic        awready,
    input  logic [31:0] wdata,
    input  logic [3:0]  wstrb,
    input  logic        wvalid,
    output logic        wready,
    output logic [1:0]  bresp,
    output logic        bvalid,
    input  logic        bready,
    input  logic [12:0] araddr,
    input  logic        arvalid,
    output logic        arready,
    output logic [31:0] rdata,
    output logic [1:0]  rresp,
    output logic        rvalid,
    input  logic        rready,
    output logic        interrupt,
    // engine
    output logic        ap_start,
    input  logic        ap_done,       // pulse
    input  logic        ap_idle,
    input  logic [31:0] outputs[3],    // identity, status, cycles; taken at ap_done
    // program window, in words; reads take one edge and wait while it is busy
    output logic        window_we,
    output logic [9:0]  window_addr,
    output logic [9:0]  window_raddr,
    input  logic [31:0] window_rdata,
    input  logic        window_busy
);
  localparam logic [12:0] AddrControl = 13'h0000;
  localparam logic [12:0] AddrGlobalEnable = 13'h0004;
  localparam logic [12:0] AddrEnable = 13'h0008;
  localparam logic [12:0] AddrStatus = 13'h000c;
  localparam logic [12:0] AddrOutputs = 13'h0010;  // 16 bytes each: value, valid

  // Write channel: address, then data, then response, as the HLS slave does it
  typedef enum logic [1:0] {WriteIdle, WriteData, WriteResponse} write_e;
  write_e write_q;
  logic [12:0] waddr_q;
  logic write_fire;
  assign awready = write_q == WriteIdle;
  assign wready = write_q == WriteData;
  assign bvalid = write_q == WriteResponse;
  assign bresp = 2'b00;
  assign write_fire = wready && wvalid;
  assign window_we = write_fire && waddr_q[12];
  assign window_addr = waddr_q[11:2];
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      write_q <= WriteIdle;
    end else begin
      unique case (write_q)
        WriteIdle: if (awvalid) write_q <= WriteData;
        WriteData: if (wvalid) write_q <= WriteResponse;
        default: if (bready) write_q <= WriteIdle;
      endcase
    end
    if (awvalid && awready) waddr_q <= {awaddr[12:2], 2'b00};
  end

  // Read channel; the window takes two edges more and waits for a copy that is under way
  typedef enum logic [1:0] {ReadIdle, ReadWindow, ReadTake, ReadData} read_e;
  read_e read_q;
  logic [12:0] raddr_q;
  logic [31:0] register;
  logic read_fire;
  assign arready = read_q == ReadIdle;
  assign rvalid = read_q == ReadData;
  assign rresp = 2'b00;
  assign read_fire = arready && arvalid;
  assign window_raddr = raddr_q[11:2];
  always_ff @(posedge clk) begin
    if (!rst_n) begin
      read_q <= ReadIdle;
    end else begin
      unique case (read_q)
        ReadIdle: if (arvalid) read_q <= araddr[12] ? ReadWindow : ReadData;
        ReadWindow: if (!window_busy) read_q <= ReadTake;
        ReadTake: read_q <= ReadData;
        default: if (rready) read_q <= ReadIdle;
      endcase
    end
    if (read_fire) raddr_q <= araddr;
    if (read_fire) rdata <= register;
    else if (read_q == ReadTake) rdata <= window_rdata;
  end

  // Registers
  logic start_q, done_q, ready_q, restart_q, global_enable_q;
  logic [1:0] enable_q, status_q;
  logic [31:0] value_q[3];
  logic valid_q[3];
  function automatic logic hits(logic [12:0] address, logic [12:0] register_address);
    return {address[12:2], 2'b00} == register_address;
  endfunction

  always_comb begin
    register = '0;
    if (hits(araddr, AddrControl)) begin
      register = {22'd0, interrupt, 1'b0, restart_q, 3'd0, ready_q, ap_idle, done_q, start_q};
    end
    if (hits(araddr, AddrGlobalEnable)) register = 32'(global_enable_q);
    if (hits(araddr, AddrEnable)) register = 32'(enable_q);
    if (hits(araddr, AddrStatus)) register = 32'(status_q);
    for (int i = 0; i < 3; i++) begin
      if (hits(araddr, AddrOutputs + 13'(16 * i))) register = value_q[i];
      if (hits(araddr, AddrOutputs + 13'(16 * i + 4))) register = 32'(valid_q[i]);
    end
  end

  always_ff @(posedge clk) begin
    if (!rst_n) begin
      start_q <= 1'b0;
      done_q <= 1'b0;
      ready_q <= 1'b0;
      restart_q <= 1'b0;
      global_enable_q <= 1'b0;
      enable_q <= '0;
      status_q <= '0;
    end else begin
      if (write_fire && wstrb[0] && waddr_q == AddrControl) begin
        restart_q <= wdata[7];
      end
      if (write_fire && wstrb[0] && waddr_q == AddrControl && wdata[0]) start_q <= 1'b1;
      else if (ap_done) start_q <= restart_q;
      if (ap_done) done_q <= 1'b1;
      else if (read_fire && hits(araddr, AddrControl)) done_q <= 1'b0;
      if (ap_done) ready_q <= 1'b1;
      else if (read_fire && hits(araddr, AddrControl)) ready_q <= 1'b0;
      if (write_fire && wstrb[0] && waddr_q == AddrGlobalEnable) global_enable_q <= wdata[0];
      if (write_fire && wstrb[0] && waddr_q == AddrEnable) enable_q <= wdata[1:0];
      for (int i = 0; i < 2; i++) begin
        if (enable_q[i] && ap_done) status_q[i] <= 1'b1;
        else if (write_fire && wstrb[0] && waddr_q == AddrStatus && wdata[i]) begin
          status_q[i] <= !status_q[i];
        end
      end
    end
    for (int i = 0; i < 3; i++) begin
      if (!rst_n) begin
        value_q[i] <= '0;
        valid_q[i] <= 1'b0;
      end else if (ap_done) begin
        value_q[i] <= outputs[i];
        valid_q[i] <= 1'b1;
      end else if (read_fire && hits(araddr, AddrOutputs + 13'(16 * i + 4))) begin
        valid_q[i] <= 1'b0;
      end
    end
  end
  assign ap_start = start_q;
  assign interrupt = global_enable_q && status_q != 0;
endmodule
