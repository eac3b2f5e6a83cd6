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
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lstm_sharp import files, paths
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render
from workshop import synth, witness
from workshop.recurrence import dataflow, delays, layout, verilog
from workshop.recurrence.dataflow import Step
from workshop.recurrence.layout import Layout, Layouts
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

_OBJECTS = {"state": "State", "in": "In", "memories": "Memories", "out": "Out"}
_CLANG = (
    *("-target", "x86_64-linux-musl", "-std=c++14", "-O2", "-g0", "-fno-sanitize=all"),
    # Everything inside one function, all loops unrolled, and no vectors
    *("-mllvm", "-inline-threshold=100000", "-mllvm", "-unroll-threshold=100000"),
    *("-fno-vectorize", "-fno-slp-vectorize", "-fno-jump-tables", "-fno-discard-value-names"),
    "-Wno-bit-int-extension",
    "-Wno-unknown-pragmas",
)


@dataclass(frozen=True)
class Depth:
    """How deep an update is."""

    step: str
    path: witness.Route  # the longest
    luts: int  # most LUT levels of all paths
    chains: int  # most carry chains in series
    most: int  # LUT levels allowed
    ns: float | None  # as an HLS tool adds up operations; only for UltraScale+
    made_from: str  # hash of the Verilog

    @property
    def fails(self) -> bool:
        """Whether it is too long."""
        return self.luts > self.most or self.chains > MOST_CHAINS


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
        flags = ("-DLSTM_SHARP_VITIS", "-I", str(paths.hardware() / "tb" / "vitis"))
        form = self._clang("steps.ll", *flags, "-S", "-emit-llvm")
        module = Module(form.read_text(encoding="utf-8"))
        self.layouts = self._layouts(form)
        self.steps = {name: dataflow.step(module, name, self.layouts[name]) for name in STEPS}

    def native_layouts(self) -> dict[str, dict[str, Layout]]:
        """Where the same fields lie with the native integers of csim."""
        return self._layouts(self._clang("native.o", "-c"))

    def _clang(self, target: str, *flags: str) -> Path:
        """Compile the updates; what clang tells of records is in the log."""
        if importlib.util.find_spec("ziglang") is None:
            raise UsageError("clang not found; install it with: pip install ziglang")
        headers = sorted((self.rendered / "hls").rglob("*.hpp"))
        here = next(path for path in self.sources if path.name == "steps.cpp")
        command = [sys.executable, "-m", "ziglang", "c++", *_CLANG, *layout.FLAGS, *flags]
        command += ["-o", f"recurrence/{tools.fresh(target)}"]
        self.folder.mkdir(parents=True, exist_ok=True)
        # What zig finds in its cache it does not compile, and then tells nothing of records.
        with tempfile.TemporaryDirectory() as cache:
            return tools.build(
                self.folder / target,
                [*headers, *self.sources],
                [*command, "-I", "hls", "-I", str(here.parent), str(here)],
                self.rendered,
                {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
            )

    def _layouts(self, compiled: Path) -> dict[str, dict[str, Layout]]:
        found = Layouts(compiled.with_name(compiled.name + ".log").read_text(encoding="utf-8"))
        return {
            name: {there: found.of(f"{name}::{here}") for there, here in _OBJECTS.items()}
            for name in STEPS
        }


def measure(cfg: Config, build_dir: Path | None = None) -> list[Depth]:
    """Measure all updates of a config's kernel.

    Raises:
        UsageError: no clang or Yosys, or an update that is no plain logic.
        ToolError: one of them failed.
    """
    made = board(cfg.board)
    family = made.family if made else "xc7"
    steps = Steps(cfg, build_dir)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(partial(depth, steps.folder, family), steps.steps.values()))


def depth(folder: Path, family: str, step: Step) -> Depth:
    """Map a step with Yosys, and walk its paths; errors as of ``measure``.

    Each has a netlist of its own: mapping saves levels only on what is longest in it.
    """
    rtl = source(folder, step)
    verdict = witness.judge(synth.map_rtl(folder, family, step.name, [rtl]))
    routes = [route for route in verdict.worst if "." in route.end]  # fields, no stages before
    if not routes:
        raise NotADatapath(f"{step.name}: nothing of its state changes; is State the right type?")
    return Depth(
        step.name,
        routes[0],
        max(route.luts for route in routes),
        max(route.chains for route in routes),
        MOST_LUTS[family],
        delays.longest(step) if family == "xcup" else None,
        tools.digest([rtl]),
    )


def source(folder: Path, step: Step) -> Path:
    """Write the Verilog that is measured."""
    path = folder / "rtl" / f"{step.name}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(str(path), verilog.registered(step))
    return path


def table(cfg: Config, depths: list[Depth]) -> str:
    """Lay out the updates beside what is allowed."""
    budget = (1 - delays.UNCERTAINTY) * 1000 / cfg.clock_mhz
    lines = [
        f"{cfg.name}: loop-carried updates of the C++ kernel, Yosys mapping, not placed; at most "
        f"{depths[0].most} LUT, {MOST_CHAINS} carry chain"
    ]
    for depth in depths:
        lines.append(
            f"  {depth.step:12}{'FAILS' if depth.fails else 'passes':8}{depth.luts} LUT, "
            f"{depth.chains} carry; longest {depth.path}"
        )
        if depth.ns is not None:
            lines.append(
                f"{'':22}operations of an HLS tool: {depth.ns:.1f} of {budget:.1f} ns (estimated)"
            )
    return "\n".join(lines)


def entry(cfg: Config, depths: list[Depth]) -> dict[str, object]:
    """Lay out what documentation shows of a config."""
    return {
        "identity": cfg.digest,
        "clock_mhz": cfg.clock_mhz,
        "yosys": synth.version(),
        "updates": {
            depth.step: {
                "luts": depth.luts,
                "chains": depth.chains,
                "most": depth.most,
                "fails": depth.fails,
                "ns": depth.ns and round(depth.ns, 2),
                "longest": str(depth.path),
                "made_from": depth.made_from,
            }
            for depth in depths
        },
    }
