"""RTL as Vitis HLS writes it, made from the SystemVerilog engine: seen from outside, a kernel's.

``python stub.py FOLDER`` makes one of ``tiny`` below a folder, and prints where.
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
from lstm_sharp.vendor import vivado

ROM = "lstm_sharp_compute_kTanh_ROM_AUTO_1R"
_TABLE = (  # (text of tanh_table.sv, what takes its place): the table comes from a ROM
    (r"  // 64 segments fit.*?assign entry =[^;]*;", f"""\
  localparam int EntryBits = BaseBits + SlopeBits;
  logic [EntryBits-1:0] entry;
  logic beyond_q;
  {ROM} kTanh_U (.clk(clk), .reset(1'b0), .address0(magnitude[ZBits-2:FracBits]),
      .ce0(1'b1), .q0(entry));"""),
    (r"base_q <= beyond [^;]*;\s*slope_q <= [^;]*;", "beyond_q <= beyond;"),
    (r"  assign y = y_q;", """\
  assign base_q = beyond_q ? BaseBits'(TanhEnd) : entry[EntryBits-1:SlopeBits];
  assign slope_q = beyond_q ? '0 : entry[SlopeBits-1:0];
  assign y = y_q;"""),
)  # fmt: skip


def make(cfg: Config, folder: Path) -> Path:
    """Render a config and make its stub; return the folder that Vitis HLS would have made."""
    render(cfg, folder)
    verilog = folder / hls_rtl.FOLDER / "project" / "solution1" / "syn" / "verilog"
    verilog.mkdir(parents=True)
    for path in verilate.sources(folder):
        text = path.read_text().replace(cfg.of("sv").digest, cfg.digest)
        if path.stem == "tanh_table":
            for old, new in _TABLE:
                text, count = re.subn(old, lambda _, new=new: new, text, flags=re.DOTALL)
                assert count == 1, old
        first = {"lstm_config_pkg": "a0_", "lstm_pkg": "a1_"}.get(path.stem, "")  # in this order
        (verilog / f"{first}{path.stem}.v").write_text(text)
    base, slope = activation.table()
    bits = (len(base) - 1).bit_length()
    (verilog / f"{ROM}.v").write_text(_text("rom").format(name=ROM, bits=bits, range=len(base)))
    entries = (base << activation.SLOPE_BITS) | slope
    (verilog / f"{ROM}.dat").write_text("\n".join(f"{entry:07x}" for entry in entries))
    (verilog / "lstm_sharp.v").write_text(_top(cfg))
    (verilog / "lstm_sharp_control_s_axi.v").write_text(_text("control"))
    hls_rtl.write_stamp(cfg, folder, {"tool": "none", "stages": [], "programs": []})
    return folder / hls_rtl.FOLDER


def _text(name: str) -> str:
    return Path(__file__).with_name(f"stub_{name}.v").read_text()


def _top(cfg: Config) -> str:
    """Declare the engine's ports as HLS does, in the body of the module."""
    ports = vivado.ports(cfg)
    names = ",\n        ".join(name for _, _, name in ports)
    connected = ",\n        ".join(f".{name}({name})" for _, _, name in ports)
    declared = "\n".join(f"{way}  {wide} {name};" for way, wide, name in ports)
    return _text("top").format(names=names, declared=declared, connected=connected)


if __name__ == "__main__":
    print(make(config.load("tiny").of("hls"), Path(sys.argv[1]).resolve()))
