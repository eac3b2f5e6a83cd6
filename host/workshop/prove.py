"""Formal proofs of the SystemVerilog engine's units (``make prove``), see docs/proofs.md.

``python -m workshop.prove [CONFIG...] [--only UNIT]`` prints a line for each proof, and a line and
the place of a trace for each that fails; the exit status is then 1. Where no config is named, what
was proved goes to docs/results/proofs.json; a named one is looked at, and nothing is written.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lstm_sharp import files, paths
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import tools, yosys
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser, Progress, ended, say
from workshop import results

CONFIGS = ("tiny", "pynq-z2", "zcu104")
"""What is proved where no config is named."""
COVERED = "tiny"
"""The config on which it is shown that what is proved of happens."""
SECONDS = 600
"""Most for an answer of the solver."""


@dataclass(frozen=True)
class Unit:
    """What is proved at once: modules, and the properties in hls/formal/ of the same name.

    Attributes:
        rtl: the modules, the one whose ports are free first, unless the properties have a top.
        proves: in a few words, for the table.
        depth: of the induction, and of the base case.
        reach: cycles after which all that is covered can be reached.
        cut: modules of which the ports alone are taken: they may do anything.
        smaller: sizes for the covers, that would else be reached too late for a solver.
    """

    name: str
    rtl: tuple[str, ...]
    proves: str
    depth: int = 3
    reach: int = 20
    cut: tuple[str, ...] = ()
    smaller: tuple[tuple[str, int], ...] = ()

    @property
    def top(self) -> str:
        """The module that is elaborated."""
        own = f"module {self.name}\n" in self.properties.read_text(encoding="utf-8")
        return self.name if own else self.rtl[0]

    @property
    def properties(self) -> Path:
        """The file of its properties."""
        return paths.hardware() / "formal" / f"{self.name}.sv"


UNITS = (
    Unit("axil", ("control",), "AXI4-Lite; starts, ends and interrupts are not lost"),
    Unit("run", ("control",), "a run's stages in their order; it ends empty", reach=60),
    Unit("loader", ("loader",), "port weights: all beats, each in its place", 2, 40),
    Unit("x_ring", ("x_ring",), "port x: no word is lost, or overwritten before it is used", 2, 60),
    Unit(
        *("h_stream", ("h_stream",), "port h: AXI4-Stream; no beat is lost or changed", 2, 40),
        smaller=(("FifoBeats", 8),),
    ),
    Unit(
        *("credits", ("h_credits", "h_stream"), "credits of the h FIFO neither over nor under"),
        *(2, 70),
        smaller=(("FifoBeats", 8),),
    ),
    Unit("state_giver", ("state_giver",), "states: a beat each, with a place for it", 5, 40),
    Unit("program", ("program_memory",), "a program is answered in time, and what passes fits"),
    Unit("fetch", ("fetch",), "a program comes to its end, by a rank", 2, 20),
    Unit(
        *("dispatcher", ("dispatcher",), "each tile once, in order; always less left to do"),
        *(2, 20, ("fetch", "h_credits")),
    ),
)


@dataclass(frozen=True)
class Verdict:
    """How a check ended.

    Attributes:
        holds: all assertions do, or all covers were reached.
        fallen: assertions that do not, or covers that were not.
        seconds: wall-clock time.
        trace: the waveform of an assertion that fell.
    """

    holds: bool
    fallen: tuple[str, ...]
    seconds: float
    trace: Path


def prepare(
    cfg: Config, unit: Unit, place: Path, edits: Sequence[tuple[str, str]] = (), small: bool = False
) -> int:
    """Make ``unit.smt2`` of a unit in a folder.

    Args:
        cfg: the engine.
        unit: the unit.
        place: the folder, which must lie below a rendered one's parent.
        edits: texts of its first module to replace, and by what: a variant that is broken.
        small: with the sizes that covers want.

    Returns:
        How many assertions it has.

    Raises:
        ToolError: Yosys failed, or is missing.
        UsageError: a text that is to be replaced is not there.
    """
    folder = tools.build_folder(cfg)
    render(cfg, folder)
    place.mkdir(parents=True, exist_ok=True)
    names = ("lstm_config_pkg", "lstm_pkg", *unit.cut, *unit.rtl)
    for name in names:
        text = (folder / "rtl" / f"{name}.sv").read_text(encoding="utf-8")
        if name in unit.cut:
            text = text[: text.index("\n);")] + "\n);\nendmodule\n"
        for old, new in edits if name == unit.rtl[0] else ():
            if old not in text:
                raise UsageError(f"{name}.sv has no {old!r}")
            text = text.replace(old, new)
        for size, value in unit.smaller if small and name == names[0] else ():
            text = re.sub(rf"(int {size} = )\d+", rf"\g<1>{value}", text)
        files.write_text(str(place / f"{name}.sv"), text)
    files.write_text(str(place / "properties.sv"), unit.properties.read_text(encoding="utf-8"))
    script = Path(__file__).with_suffix(".ys").read_text(encoding="utf-8")
    sources = " ".join(f"{name}.sv" for name in (*names, "properties"))
    files.write_text(str(place / "unit.ys"), script.format(top=unit.top, sources=sources))
    tools.run([*yosys.program("yosys"), "-q", "-s", "unit.ys"], place, place / "yosys.log")
    return len(re.findall(r"^; yosys-smt2-assert ", (place / "unit.smt2").read_text(), re.M))


def check(place: Path, kind: str, depth: int) -> Verdict:
    """Ask the solver about ``unit.smt2`` of a folder.

    Args:
        place: the folder.
        kind: base, the first cycles after reset; step, the induction; cover.
        depth: cycles.

    Raises:
        ToolError: the solver gave no answer.
    """
    shim = place / "bin" / "bitwuzla"  # the name by which smtbmc starts it
    shim.parent.mkdir(exist_ok=True)
    solver = Path(__file__).with_name("solver.py")
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{solver}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    how = {"base": ["-t", str(depth)], "step": ["-i", "-t", str(depth)]}
    how["cover"] = ["-c", "-t", f"{depth}:{depth + 2}"]
    trace, log = place / f"{kind}.vcd", place / f"{kind}.log"
    trace.unlink(missing_ok=True)
    command = [*yosys.program("yosys_smtbmc"), "-s", "bitwuzla", "--noprogress"]
    command += ["--timeout", str(SECONDS), "--dump-vcd", trace.name, *how[kind], "unit.smt2"]
    path = f"{shim.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    began = time.monotonic()
    _, said = tools.follow(command, place, log, {**os.environ, "PATH": path})
    status = re.findall(r"Status: (PASSED|FAILED)", said)
    if not status:
        raise ToolError(
            f"no answer of the solver about {place.name}: {tools.complaint(said)} (see {log})"
        )
    fallen = re.findall(
        r"(?:Assert failed in|Unreached cover statement at) \w+: (?:u_proof\.)?(\w+)", said
    )
    return Verdict(status[-1] == "PASSED", tuple(fallen), time.monotonic() - began, trace)


def prove(cfg: Config, unit: Unit) -> dict[str, Any]:
    """Prove a unit of an engine by induction, and show what its covers name.

    Returns:
        What docs/results/proofs.json has of it; ``holds`` alone decides.

    Raises:
        ToolError: a tool failed, or is missing.
    """
    place = tools.build_folder(cfg) / "formal" / unit.name
    assertions = prepare(cfg, unit, place)
    checks = {kind: check(place, kind, unit.depth) for kind in ("base", "step")}
    if cfg.name == COVERED:
        prepare(cfg, unit, place / "cover", small=True)
        checks["cover"] = check(place / "cover", "cover", unit.reach)
    return {
        "assertions": assertions,
        "depth": unit.depth,
        "covers": unit.reach if "cover" in checks else None,
        "seconds": round(sum(verdict.seconds for verdict in checks.values()), 1),
        "holds": all(verdict.holds for verdict in checks.values()),
        "failed": [_told(kind, verdict) for kind, verdict in checks.items() if not verdict.holds],
    }


def _told(kind: str, verdict: Verdict) -> str:
    what = {"base": "falls", "step": "is not inductive", "cover": "is never reached"}[kind]
    trace = os.path.relpath(verdict.trace)
    return f"{', '.join(verdict.fallen) or 'something'} {what}" + (
        "" if kind == "cover" else f", see {trace}"
    )


def version() -> str:
    """Return the solver's version.

    Raises:
        ToolError: it is not installed.
    """
    try:
        return importlib.metadata.version("bitwuzla")
    except importlib.metadata.PackageNotFoundError:
        raise ToolError("Bitwuzla not found; install it with: pip install bitwuzla") from None


def _known(cfg: Config) -> dict[str, Any]:
    """What was proved before of an engine's units that there still are."""
    path = results.DOCS / "results" / "proofs.json"
    known = results.read("proofs").get(cfg.name, {}) if path.is_file() else {}
    return {unit.name: known[unit.name] for unit in UNITS if unit.name in known}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove all units, or one, of configs."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG")
    parser.add_argument("--only", metavar="UNIT", choices=[unit.name for unit in UNITS])
    options = parser.parse_args(arguments)
    return ended(partial(_main, options.configs, options.only))


def _main(names: Sequence[str], only: str | None) -> int:
    engines, solver = [config.load(name) for name in names or CONFIGS], version()
    units = [unit for unit in UNITS if only in (None, unit.name)]
    cases = [(cfg, unit) for cfg in engines for unit in units]
    for cfg in engines:
        render(cfg, tools.build_folder(cfg))
    told, failed = Progress("proving"), 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        told(0, len(cases))
        for done, ((cfg, unit), one) in enumerate(zip(cases, pool.map(prove, *zip(*cases))), 1):
            told(len(cases), len(cases))  # clears the line
            verdict = "holds" if one["holds"] else "FAILS"
            depth = f"induction, {one['depth']} cycles"
            say(
                f"{verdict}  {cfg.name:14} {unit.name:12} {one['assertions']:3} assertions, "
                f"{depth}, {one['seconds']:5.1f} s"
            )
            for text in one["failed"]:
                say(f"       {text}", most=500)
            failed |= not one["holds"]
            if one["holds"] and not names:
                tool = {"yosys": yosys.version(), "bitwuzla": solver}
                results.add("proofs", cfg, {**_known(cfg), unit.name: {**one, **tool}})
            told(done, len(cases))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
