"""The logic depth of the C++ kernel's loop-carried updates, by way of LLVM's intermediate form.

``python -m workshop.recurrence [CONFIG...]`` prints it. The updates are functions of
hls/lint/steps/steps.cpp that call the kernel; clang compiles them with integers of any width, and
what it makes becomes Verilog, which Yosys maps and the timing witness walks. See
docs/recurrences.md.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lstm_sharp import files, paths
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render
from workshop import libclang, synth, witness
from workshop.libclang import Layout
from workshop.recurrence import dataflow, delays, verilog
from workshop.recurrence.dataflow import Step
from workshop.recurrence.llvm_ir import Module, NotADatapath

STEPS = {  # namespace in steps.cpp: what it updates
    "fetch": "the next instruction, in two cycles",
    "dispatcher": "where the work stands, in no-op slots, rows and columns",
    "loader": "the tile, biases or state that are being gathered",
    "sums": "running sums",
    "turns": "the row block that the lanes take up",
    "packer": "the beat of h that is being filled",
}
MOST_LUTS = {"xc7": 6, "xcup": 4}
"""LUT levels of an update, by family: what 100 MHz leave on 7-series, 188 MHz on UltraScale+."""
MOST_CHAINS = 1
"""Carry chains in series."""

_CLANG = (
    *(
        "-target",
        "x86_64-linux-musl",
        "-std=c++14",
        "-DLSTM_SHARP_VITIS",
        "-O2",
        "-g0",
        "-fno-sanitize=all",
    ),
    # Everything inside one function, all loops unrolled, and no vectors
    *("-mllvm", "-inline-threshold=100000", "-mllvm", "-unroll-threshold=100000"),
    *("-fno-vectorize", "-fno-slp-vectorize", "-fno-jump-tables", "-fno-discard-value-names"),
    "-Wno-bit-int-extension",
    "-Wno-unknown-pragmas",
)


class Depth(NamedTuple):
    """How deep an update is."""

    luts: int  # most LUT levels of all paths
    chains: int  # most carry chains in series
    most: int  # LUT levels allowed
    fails: bool
    ns: float | None  # as an HLS tool adds up operations; only for UltraScale+
    longest: str  # path
    made_from: str  # hash of the Verilog


class Steps:
    """All updates of a config's kernel, as wires.

    Raises:
        UsageError: no clang.
        ToolError: clang failed.
        NotADatapath: an update is more than logic between registers.
    """

    def __init__(self, cfg: Config, build_dir: Path | None = None) -> None:
        self.rendered = tools.build_folder(cfg, build_dir)
        render(cfg, self.rendered)
        self.folder = self.rendered / "recurrence"
        self.sources = sorted((paths.hardware() / "lint" / "steps").iterdir())
        self.source = paths.hardware() / "lint" / "steps" / "steps.cpp"
        module = Module(self.clang("steps.ll", "-S", "-emit-llvm").read_text(encoding="utf-8"))
        unit = libclang.parse(self.source, self.rendered / "hls", "-DLSTM_SHARP_VITIS")
        self.layouts: dict[str, dict[str, Layout]] = {name: {} for name in STEPS}
        for space in unit.cursor.get_children():
            for record in space.get_children() if space.spelling in STEPS else ():
                if libclang.kind(record) == "STRUCT_DECL":
                    found = self.layouts[space.spelling]
                    found[record.spelling.lower()] = libclang.layout(record.type)
        self.steps = {name: dataflow.step(module, name, self.layouts[name]) for name in STEPS}

    def clang(self, target: str, *flags: str) -> Path:
        """Compile the updates."""
        if importlib.util.find_spec("ziglang") is None:
            raise ToolError("clang not found; install it with: pip install ziglang")
        # Whole paths, for zig takes what it has compiled before in another folder for the same.
        folders = (self.rendered / "hls", self.source.parent, paths.hardware() / "tb" / "vitis")
        self.folder.mkdir(parents=True, exist_ok=True)
        return tools.build(
            self.folder / target,
            [*sorted((self.rendered / "hls").rglob("*.hpp")), *self.sources],
            [
                *(sys.executable, "-m", "ziglang", "c++", *_CLANG, *flags),
                *(f"-I{folder}" for folder in folders),
                *("-o", f"recurrence/{tools.fresh(target)}", self.source),
            ],
            self.rendered,
        )


def measure(cfg: Config, build_dir: Path | None = None) -> dict[str, Depth]:
    """Measure all updates of a config's kernel.

    Raises:
        UsageError: no clang or Yosys, or an update that is no plain logic.
        ToolError: one of them failed.
    """
    made = board(cfg.board)
    steps = Steps(cfg, build_dir)
    one = partial(depth, steps.folder, made.family if made else "xc7")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(STEPS, pool.map(one, steps.steps.values())))


def depth(folder: Path, family: str, step: Step) -> Depth:
    """Map a step with Yosys, and walk its paths; errors as of ``measure``.

    Each has a netlist of its own: mapping saves levels only on what is longest in it.
    """
    rtl = source(folder, step)
    verdict = witness.judge(synth.map_rtl(folder, family, step.name, [rtl]))
    routes = [route for route in verdict.worst if "." in route.end]  # fields, no stages before
    if not routes:
        raise NotADatapath(f"{step.name}: nothing of its state changes; is State the right type?")
    luts, chains = (max(getattr(r, figure) for r in routes) for figure in ("luts", "chains"))
    most, ns = MOST_LUTS[family], round(delays.longest(step), 2) if family == "xcup" else None
    fails = luts > most or chains > MOST_CHAINS
    return Depth(luts, chains, most, fails, ns, str(routes[0]), tools.digest([rtl]))


def source(folder: Path, step: Step) -> Path:
    """Write the Verilog that is measured."""
    path = folder / "rtl" / f"{step.name}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(str(path), verilog.registered(step))
    return path


def table(cfg: Config, depths: dict[str, Depth]) -> str:
    """Lay out the updates beside what is allowed."""
    budget, most = (
        (1 - delays.UNCERTAINTY) * 1000 / cfg.clock_mhz,
        {d.most for d in depths.values()},
    )
    lines = [
        f"{cfg.name}: loop-carried updates of the C++ kernel, Yosys mapping, not placed; at most "
        f"{max(most)} LUT, {MOST_CHAINS} carry chain"
    ]
    for step, of in depths.items():
        verdict = "FAILS" if of.fails else "passes"
        lines.append(
            f"  {step:12}{verdict:8}{of.luts} LUT, {of.chains} carry; longest {of.longest}"
        )
        if of.ns is not None:
            used = f"{of.ns:.2f} of {budget:.2f} ns (estimated)"
            lines.append(f"{'':22}operations of an HLS tool: {used}")
    return "\n".join(lines)


def entry(cfg: Config, depths: dict[str, Depth]) -> dict[str, object]:
    """Lay out what documentation shows of a config."""
    updates = {step: of._asdict() for step, of in depths.items()}
    own = {"identity": cfg.digest, "clock_mhz": cfg.clock_mhz, "yosys": synth.version()}
    return {**own, "updates": updates}
