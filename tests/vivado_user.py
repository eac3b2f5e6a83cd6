"""A stub for Vivado (tests/vitis/vivado_stub.tcl) on PATH, for tests that build overlays."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from lstm_sharp.engine.config import Config
from lstm_sharp.flow import hls_rtl, tools, xilinx
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import vivado

_SCRIPT = Path(__file__).resolve().parent / "vitis" / "vivado_stub.tcl"


def tcl() -> list[str]:
    """Command that runs a Tcl script."""
    if shutil.which("tclsh"):
        return ["tclsh"]
    if not find_spec("_tkinter"):
        pytest.skip("no tclsh and no tkinter (sudo apt-get install tcl)")
    run = (
        "import os, sys, tkinter; t = tkinter.Tcl(); t.setvar('argv', tuple(sys.argv[2:])); "
        "t.createcommand('exit', lambda status=0: os._exit(int(status))); "
        "t.eval('info script {' + sys.argv[1] + '}'); t.evalfile(sys.argv[1])"
    )
    return [sys.executable, "-c", run]


def on_path(monkeypatch: pytest.MonkeyPatch, tool: Path, script: str) -> None:
    """Put a tool on PATH that is a script of the shell."""
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(f"#!/bin/bash\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.delenv(xilinx.SETTINGS, raising=False)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)


class Stub:
    """Vivado's stub on PATH, and a built folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.model = folder, folder / "model"
        self.set = monkeypatch.setenv
        command = shlex.join([*tcl(), str(_SCRIPT)])
        on_path(monkeypatch, folder / "bin" / "vivado", f'exec {command} "$@"')
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
        """Write what the stub reads of an IP that Vitis HLS exported."""
        folder = tools.build_folder(cfg, self.folder)
        render(cfg, folder)
        ip = folder / hls_rtl.FOLDER / "lstm_sharp" / "solution1" / "impl" / "ip" / "component.xml"
        ip.parent.mkdir(parents=True, exist_ok=True)
        text = _SCRIPT.with_name("component.xml").read_text()
        ip.write_text(text.replace('bits="64"', f'bits="{cfg.stream_bits}"'))
        hls_rtl.write_stamp(cfg, folder, {})
        return ip

    def all_said(self) -> list[list[str]]:
        """All that the stub says, in its order: a kind and words each."""
        return [line.split(" ") for line in self.model.read_text().splitlines()]

    def said(self, kind: str) -> list[list[str]]:
        """What it says of a kind."""
        return [words for of, *words in self.all_said() if of == kind]

    @property
    def script(self) -> str:
        """The Tcl that was run."""
        (path,) = self.folder.glob(f"*/*/{vivado.SCRIPT}")
        return path.read_text()
