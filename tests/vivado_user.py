"""A stand-in for Vivado (tests/vitis/vivado_stub.tcl) on PATH, for tests that build overlays."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.flow import hls_rtl, tools, xilinx
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import vivado

_SCRIPT = Path(__file__).resolve().parent / "vitis" / "vivado_stub.tcl"
_INTERFACE = '<busInterface name="{}" kind="{}" side="{}" bits="{}"/>'


def _tcl() -> list[str]:
    """Command that runs a Tcl script."""
    if shutil.which("tclsh"):
        return ["tclsh"]
    try:
        import tkinter  # noqa: F401
    except ImportError:
        pytest.skip("no tclsh and no tkinter (sudo apt-get install tcl)")
    run = (
        "import os, sys, tkinter; t = tkinter.Tcl(); t.setvar('argv', tuple(sys.argv[2:])); "
        "t.createcommand('exit', lambda status=0: os._exit(int(status))); "
        "t.eval('info script {' + sys.argv[1] + '}'); t.evalfile(sys.argv[1])"
    )
    return [sys.executable, "-c", run]


class Stub:
    """Vivado's stand-in on PATH, and a built folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.model = folder, folder / "model"
        self.set = monkeypatch.setenv
        command = shlex.join([*_tcl(), str(_SCRIPT)])
        (folder / "bin").mkdir()
        tool = folder / "bin" / "vivado"
        tool.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        tool.chmod(0o755)
        monkeypatch.delenv(xilinx.SETTINGS, raising=False)
        self.set("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
        self.set("STUB_MODEL", str(self.model))
        self.use()

    def use(self, release: str = "2024.1", fail: str = "", boards: str = "") -> None:
        self.set("STUB_RELEASE", release)
        self.set("STUB_FAIL", fail)
        self.set("STUB_BOARDS", boards)

    def build(self, cfg: Config, board: str) -> Path:
        if cfg.engine == "hls":
            self.hls_ip(cfg)
        return vivado.build(cfg, board, build_dir=self.folder)

    def hls_ip(self, cfg: Config) -> Path:
        """Write what the stand-in reads of an IP that Vitis HLS exported."""
        folder = tools.build_folder(cfg, self.folder)
        render(cfg, folder)
        ip = folder / hls_rtl.FOLDER / "lstm_sharp" / "solution1" / "impl" / "ip" / "component.xml"
        ip.parent.mkdir(parents=True, exist_ok=True)
        names = zip(("vendor", "library", "name", "version"), ENGINE_VLNVS["hls"].split(":"))
        bits = cfg.stream_bits
        interfaces = [
            ("ap_clk", "clock", "slave", 1),
            ("ap_rst_n", "reset", "slave", 1),
            ("s_axi_control", "aximm", "slave", 32),
            ("weights", "axis", "slave", bits),
            ("x", "axis", "slave", bits),
            ("h", "axis", "master", bits),
        ]
        ip.write_text(
            "".join(f"<spirit:{tag}>{text}</spirit:{tag}>" for tag, text in names)
            + "".join(_INTERFACE.format(*interface) for interface in interfaces)
        )
        hls_rtl.write_stamp(cfg, folder, {})
        return ip

    def said(self, kind: str) -> list[list[str]]:
        """What the stand-in says of a kind: events in their order, cells, parameters."""
        lines = [line.split(" ") for line in self.model.read_text().splitlines()]
        return [line[1:] for line in lines if line[0] == kind]

    def order(self) -> list[str]:
        return [line.split(" ")[0] for line in self.model.read_text().splitlines()]

    @property
    def script(self) -> str:
        """The Tcl that was run."""
        (path,) = self.folder.glob(f"*/*/{vivado.SCRIPT}")
        return path.read_text()
