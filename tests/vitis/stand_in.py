"""RTL as Vitis HLS writes it, made from the SystemVerilog engine: seen from outside, a kernel's.

``python stand_in.py FOLDER`` makes one of ``tiny`` below a folder, and prints where.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import hls_rtl, verilate
from lstm_sharp.flow.render import render
from lstm_sharp.numerics import activation

ROM = "lstm_sharp_compute_kTanh_ROM_AUTO_1R"
_TABLE = (  # (text of tanh_table.sv, what takes its place): the table comes from a ROM
    (r"  // 64 segments fit.*?assign entry =[^;]*;", f"""\
  logic [26:0] entry;
  logic beyond_q;
  {ROM} kTanh_U (.clk(clk), .reset(1'b0), .address0(magnitude[ZBits-2:FracBits]),
      .ce0(1'b1), .q0(entry));"""),
    (r"base_q <= beyond [^;]*;\s*slope_q <= [^;]*;", "beyond_q <= beyond;"),
    (r"  assign y = y_q;", """\
  assign base_q = beyond_q ? TanhEnd : entry[26:11];
  assign slope_q = beyond_q ? '0 : entry[10:0];
  assign y = y_q;"""),
)  # fmt: skip
_ROM = """`timescale 1 ns / 1 ps
module {name} (address0, ce0, q0, reset, clk);
parameter DataWidth = 27;
parameter AddressWidth = {bits};
parameter AddressRange = {range};
input[AddressWidth-1:0] address0;
input ce0;
output reg[DataWidth-1:0] q0;
input reset;
input clk;
reg [DataWidth-1:0] rom0[0:AddressRange-1];
initial begin
    $readmemh("./{name}.dat", rom0);
end
always @(posedge clk)
begin
    if (ce0)
    begin
        q0 <= rom0[address0];
    end
end
endmodule
"""
_TOP = """`timescale 1 ns / 1 ps
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
"""
_CONTROL = """`timescale 1ns/1ps
module lstm_sharp_control_s_axi;
localparam
    ADDR_AP_CTRL         = 13'h0000,
    ADDR_IDENTITY_DATA_0 = 13'h0010,
    ADDR_STATUS_DATA_0   = 13'h0020,
    ADDR_CYCLES_DATA_0   = 13'h0030,
    ADDR_PROGRAM_BASE    = 13'h1000,
    ADDR_PROGRAM_HIGH    = 13'h1fff;
endmodule
"""


def make(cfg: Config, folder: Path) -> Path:
    """Render a config and make its stand-in; return the folder that Vitis HLS would have made."""
    render(cfg, folder)
    verilog = folder / hls_rtl.FOLDER / "project" / "solution1" / "syn" / "verilog"
    verilog.mkdir(parents=True)
    package, *engine = verilate.sources(folder)
    text = package.read_text().replace(cfg.of("sv").digest, cfg.digest)
    (verilog / "a_package.v").write_text(text)
    for path in engine:
        text = path.read_text()
        if path.stem == "tanh_table":
            for old, new in _TABLE:
                text, count = re.subn(old, lambda _, new=new: new, text, flags=re.DOTALL)
                assert count == 1, old
        (verilog / f"{path.stem}.v").write_text(text)
    base, slope = activation.table()
    bits = (len(base) - 1).bit_length()
    (verilog / f"{ROM}.v").write_text(_ROM.format(name=ROM, bits=bits, range=len(base)))
    entries = (base << activation.SLOPE_BITS) | slope
    (verilog / f"{ROM}.dat").write_text("\n".join(f"{entry:07x}" for entry in entries))
    (verilog / "lstm_sharp.v").write_text(_top(cfg, folder))
    (verilog / "lstm_sharp_control_s_axi.v").write_text(_CONTROL)
    hls_rtl.write_stamp(cfg, folder, {"tool": "none", "stages": [], "programs": []})
    return folder / hls_rtl.FOLDER


def _top(cfg: Config, folder: Path) -> str:
    """Declare the engine's ports as HLS does, in the body of the module."""
    text = (folder / "rtl" / "lstm_engine.sv").read_text()
    form = r"^ {4}(input|output) +logic +(\[.*?\] )? *(\w+),?$"
    ports = re.findall(form, text[: text.index(");")], re.MULTILINE)
    declared = "\n".join(
        f"{way}  {wide.replace('StreamBits', str(cfg.stream_bits))} {name};"
        for way, wide, name in ports
    )
    names = ",\n        ".join(name for _, _, name in ports)
    connected = ",\n        ".join(f".{name}({name})" for _, _, name in ports)
    return _TOP.format(names=names, declared=declared, connected=connected)


if __name__ == "__main__":
    print(make(config.load("tiny").of("hls"), Path(sys.argv[1]).resolve()))
