`timescale 1 ns / 1 ps
(* CORE_GENERATION_INFO="lstm_sharp" *)
module lstm_sharp (
        {names}
);
parameter    ap_ST_fsm_state1 = 2'd1;
{declared}
(* fsm_encoding = "none" *) reg   [1:0] ap_CS_fsm;
initial begin
#0 ap_CS_fsm = 2'd1;
end
always @ (posedge ap_clk) begin
    if (ap_rst_n == 1'b0) begin
        ap_CS_fsm <= ap_ST_fsm_state1;
    end
end
lstm_engine grp_engine_fu (
        {connected}
);
endmodule
