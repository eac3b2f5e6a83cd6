`timescale 1ns/1ps
module lstm_sharp_control_s_axi;
localparam
    ADDR_AP_CTRL         = 13'h0000,
    ADDR_IDENTITY_DATA_0 = 13'h0010,
    ADDR_STATUS_DATA_0   = 13'h0020,
    ADDR_CYCLES_DATA_0   = 13'h0030,
    ADDR_PROGRAM_BASE    = 13'h1000,
    ADDR_PROGRAM_HIGH    = 13'h1fff;
endmodule
