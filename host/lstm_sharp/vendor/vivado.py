"""Overlays: Vivado builds a bitstream from the block design (design.py).

``python -m lstm_sharp.vendor.vivado BOARD`` renders the Tcl, runs it, and prints where the overlay
is: ``.bit``, ``.hwh`` and ``.json`` of one name. See docs/adding-a-board.md.
"""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_sharp import files, paths
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import DEFAULT
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.engine.registers import ENGINE_CELL, ENGINE_VLNVS
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import hls_rtl, tools, verilate, xilinx
from lstm_sharp.flow.design import Design, design
from lstm_sharp.flow.render import filled, render
from lstm_sharp.terminal import Parser, ended

SCRIPT = "build_overlay.tcl"
_TOP = "engine_ip"
"""Module, template and file of the SystemVerilog engine as Vivado packages it."""
_PORT = re.compile(r"^ {4}(input|output) +logic +(\[.*?\] )? *(\w+),?$", re.MULTILINE)
_LOG, _CONSOLE = "vivado.log", "console.log"


def write_script(made: Design, work: Path, repository: Path | None = None) -> Path:
    """Write the Tcl that builds an overlay, and what it takes.

    Args:
        made: the block design.
        work: folder for it all, below the one that the config is rendered to.
        repository: folder of the IP that Vitis HLS exported.

    Returns:
        The script; it runs anywhere, given what it names.

    Raises:
        ToolError: Jinja2 is not installed.
    """
    cfg, wrapper = made.cfg, work / f"{_TOP}.v"
    own = ENGINE_VLNVS[cfg.engine]  # of this version and no other: drivers are bound to it
    vlnvs = {c.name: re.sub(r"[^:]+$", "*", c.vlnv) for c in made.cells} | {ENGINE_CELL: own}
    work.mkdir(parents=True, exist_ok=True)
    text = filled(f"overlay/{_TOP}.v.j2", cfg=cfg, ports=ports(cfg), top=_TOP)
    files.write_text(wrapper, text)
    text = filled(
        f"overlay/{SCRIPT}.j2",
        design=made,
        engine=cfg.engine,
        vlnv=own.split(":"),
        vlnvs=vlnvs,
        ps_ip=made.cells[0].vlnv.split(":")[2],
        repository=repository,
        sources=[*verilate.synthesised(work.parent), wrapper],
        top=_TOP,
        metadata=json.dumps(_metadata(made), indent=2),
    )
    files.write_text(work / SCRIPT, text)
    return work / SCRIPT


def build(
    cfg: Config,
    board: str,
    project: Path | None = None,
    build_dir: Path | None = None,
    settings: str | None = None,
) -> Path:
    """Build an overlay.

    Args:
        cfg: the engine, hls or sv.
        board: a folder of overlays/.
        project: folder below which Vitis HLS exported the IP; by default that of `make hls`.
        build_dir: gets a folder for each config.
        settings: settings64.sh of the tool; None: what ``XILINX_SETTINGS`` names, if anything.

    Returns:
        Path of the ``.bit``; ``.hwh`` and ``.json`` lie beside it.

    Raises:
        ToolError: no tool, or an unsupported one.
        UsageError: no HLS IP, or an unknown board.
        ToolError: Vivado failed, or timing is not met; there is no overlay then.
    """
    made = design(cfg, board)
    folder = tools.build_folder(cfg, build_dir)
    work = folder / f"overlay-{board}-{cfg.engine}"
    tools.clear(work / "built", work / SCRIPT)
    env = xilinx.environment(settings)
    command, release = find(env)
    render(cfg, folder)
    script = write_script(made, work, _hls_ip(folder, project) if cfg.engine == "hls" else None)
    (work / _LOG).unlink(missing_ok=True)
    status, text, said = xilinx.run(
        "Vivado", release, [*command, script], work / _CONSOLE, env, "overlay: "
    )
    bit = work / "built" / f"{cfg.name}.bit"
    if status or not bit.is_file():
        log = work / (_LOG if (work / _LOG).is_file() else _CONSOLE)
        raise ToolError(f"no overlay: {_why(status, text, said)} (log: {log})")
    return bit


def find(env: Mapping[str, str]) -> tuple[list[str], str]:
    """Find Vivado, and its release; errors are those of ``xilinx.find``."""
    options = ("-mode", "batch", "-notrace", "-nojournal", "-log", _LOG, "-source")
    without = (
        "`make cosim` simulates the engine, `make resources` counts what it takes, and a virtual "
        "board runs it"
    )
    return xilinx.find([("vivado", *options)], env, without)


def _why(status: int, text: str, said: Sequence[str]) -> str:
    """Say why there is no overlay."""
    last = said[-1] if said else "the start"
    if last.startswith("FAILED: "):
        return last.removeprefix("FAILED: ")
    how = "vivado ended without an overlay"
    if status:
        how = f"vivado failed with status {status}: {tools.complaint(text)}"
    return f"broken off during {last}: {how}; run it again"


def _hls_ip(folder: Path, project: Path | None) -> Path:
    """Find the folder of the one IP that Vitis HLS exported.

    Raises:
        UsageError: none, several, or, where no project is named, one of another kernel.
    """
    if project is None:
        hls_rtl.read_stamp(folder / hls_rtl.FOLDER)
    return xilinx.one(
        project or folder / hls_rtl.FOLDER,
        "impl/ip/component.xml",
        "HLS IPs ({})",
        "run `make hls`, name the one HLS project with --hls-project, or take ENGINE=sv",
    ).parent


def ports(cfg: Config) -> list[tuple[str, str, str]]:
    """Return direction, range and name of each port of the SystemVerilog engine."""
    text = (paths.hardware() / "rtl" / "lstm_engine.sv").read_text(encoding="utf-8")
    header = text[: text.index(");")]
    return [
        (direction, width.replace("StreamBits", str(cfg.stream_bits)), name)
        for direction, width, name in _PORT.findall(header)
    ]


def _metadata(made: Design) -> dict[str, object]:
    """What is known of an overlay before it is built; the Tcl puts the rest for ``@NAME@``."""
    return {
        "config": made.cfg.name,
        "identity": made.cfg.digest,
        "knobs": made.cfg.knobs(),
        "board": made.system.name,
        "part": made.system.part,
        "engine": ENGINE_VLNVS[made.cfg.engine],
        "clock_mhz": made.clock_mhz,
        "vivado": "@vivado@",
        "slack_ns": {"setup": "@setup@", "hold": "@hold@"},
        "used": {kind: f"@{kind}@" for kind in ("lut", "ff", "bram36", "uram", "dsp")},
    }


def main(arguments: list[str] | None = None) -> int:
    """Build the overlay of a board."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("board", nargs="?", metavar="BOARD", help="default: the config's")
    parser.add_argument("--config", help="engine config (default: the board's)")
    parser.add_argument("--engine", choices=sorted(ENGINE_VLNVS), default="hls")
    parser.add_argument("--hls-project", type=Path, metavar="DIR", help="made by Vitis HLS")
    parser.add_argument("--build", type=Path, metavar="DIR", help="default: build")
    parser.add_argument("--settings", metavar="FILE", help=f"default: ${xilinx.SETTINGS}")
    options = parser.parse_args(arguments)
    return ended(lambda: _main(options))


def _main(options: Namespace) -> None:
    cfg = config.load(options.config or options.board or DEFAULT).of(options.engine)
    board = options.board or board_of(cfg)
    bit = build(cfg, board, options.hls_project, options.build, options.settings)
    about = files.read_json(bit.with_suffix(".json"))
    slack = ", ".join(f"{kind} {ns:g} ns" for kind, ns in about["slack_ns"].items())
    used = ", ".join(f"{count} {kind}" for kind, count in about["used"].items())
    print(f"{bit} (slack: {slack}; used: {used})")


if __name__ == "__main__":
    sys.exit(main())
