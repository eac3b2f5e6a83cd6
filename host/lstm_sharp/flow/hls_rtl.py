"""What Vitis HLS made of a kernel: its folder, and its RTL in the SystemVerilog engine's place.

``make cosim RTL=hls`` simulates that RTL: ``LSTM_SHARP_RTL=hls`` chooses it, and
``LSTM_SHARP_HLS_PROJECT`` names the folder that `make hls` made.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_sharp import files
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE, ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from lstm_sharp.flow.xilinx import one

FOLDER, STAMP = "vitis", "made.json"
"""Beside hls/ of a rendered project: all that the tool makes; and what it was made from."""
CHOICE, PROJECT = "LSTM_SHARP_RTL", "LSTM_SHARP_HLS_PROJECT"
TOP = ENGINE_VLNVS["hls"].split(":")[2]
FLAGS = ("-Wno-fatal", "-Wno-STMTDLY", "-Wno-WIDTH", "-Wno-CASEINCOMPLETE")
"""Beside those of the engine: initial values come with delays, and widths are left to match."""
_ROM = re.compile(r"\$readmem[hb]\s*\(\s*\"([^\"]+)\"")
_ADDRESS = re.compile(r"ADDR_(\w+?)(_DATA_0|_BASE)\s*=\s*\d+'h([0-9a-fA-F]+)")


class OtherEngine(UsageError):
    """The RTL that was given is of another config."""


@dataclass(frozen=True)
class HlsRtl:
    """A synthesised kernel."""

    cfg: Config
    sources: list[Path]
    data: list[Path]  # of its ROMs: a simulation reads zeros where a file is not there


def engine() -> str:
    """Name the engine whose RTL is simulated.

    Raises:
        UsageError: neither ``sv`` nor ``hls``.
    """
    rtl = os.environ.get(CHOICE, "sv")
    if rtl not in ENGINE_VLNVS:
        raise UsageError(f"RTL={rtl} is unknown; sv is the SystemVerilog engine, hls the kernel's")
    return rtl


def chosen() -> bool:
    """Whether tests run on HLS RTL.

    Raises:
        UsageError: as ``engine``.
    """
    return engine() == "hls"


def given(cfg: Config | None = None) -> HlsRtl:
    """Find the RTL that the environment names, and its ROMs.

    Args:
        cfg: whose it must be; None: any config's.

    Raises:
        OtherEngine: it is another's.
        UsageError: no project, one whose run did not end, or RTL that cannot be simulated as it is.
    """
    project = os.environ.get(PROJECT)
    if not project:
        raise UsageError(f"{PROJECT} names no folder; `make hls` prints the one that it makes")
    out = Path(project).resolve()
    has = config.from_knobs(read_stamp(out)["knobs"], str(out / STAMP)).of("hls")
    if cfg and has.identity != cfg.identity:
        raise OtherEngine(
            f"the HLS RTL is of {has.name} ({has.digest}), not of {cfg.name} ({cfg.digest})"
        )
    folder = one(out, f"syn/verilog/{TOP}.v", remedy="run `make hls`").parent
    sources = sorted(folder.glob("*.v"))
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in sources)
    data = [folder / Path(name).name for name in sorted(set(_ROM.findall(text)))]
    lacking = [path.name for path in data if not path.is_file()]
    if lacking:
        raise UsageError(f"{', '.join(lacking)} of a ROM is not in {folder}; run `make hls` again")
    if any(folder.glob("*_ip.tcl")):
        raise UsageError(f"{folder} needs Vivado's own IP (*_ip.tcl), which Verilator has not")
    for name, kind, offset in _ADDRESS.findall(text):
        register = ("Memory_" if kind == "_BASE" else "") + name.lower()
        if register in ENGINE and ENGINE[register].offset != int(offset, 16):
            raise UsageError(
                f"{register} lies at 0x{offset} in {folder}, {ENGINE[register].offset:#06x} is its "
                "address (docs/engine.md)"
            )
    return HlsRtl(has, sources, data)


def write_stamp(cfg: Config, folder: Path, more: Mapping[str, object]) -> None:
    """Note from what the things in ``folder / FOLDER`` have been made."""
    stamp = {"identity": cfg.digest, "knobs": cfg.knobs(), "sources": kernel_digest(folder), **more}
    files.write_text(folder / FOLDER / STAMP, json.dumps(stamp, indent=2) + "\n")


def read_stamp(out: Path) -> dict[str, Any]:
    """Read what a folder of Vitis HLS's was made from.

    Raises:
        UsageError: its run did not end, or the kernel beside it is another by now.
    """
    try:
        stamp: dict[str, Any] = files.read_json(out / STAMP)
    except UsageError:
        raise UsageError(
            f"{out} has no {STAMP}: no run of Vitis HLS came to its end there; run `make hls`"
        ) from None
    if stamp.get("sources") != kernel_digest(out.parent):
        raise UsageError(
            f"{out} was made from another kernel than {out.parent}/hls; run `make hls`"
        )
    return stamp


def kernel_digest(folder: Path) -> str:
    """Hash the kernel and its script below a rendered project."""
    sources = (p for p in (folder / "hls").rglob("*") if p.suffix in (".hpp", ".cpp", ".tcl"))
    return tools.digest(sorted(sources))
