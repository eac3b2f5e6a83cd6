"""E-PUR and BrainWave as programs for the cycle model, at our multipliers and clock.

Both are rectangles of tiles in their own order, walked by ``cycles.predict`` as ours are. Of E-PUR
the distances are ours too: ``insert_nops`` puts in what its order waits. BrainWave's published
times do not grow with the tiles that a distance D would be counted from, so its wait is a formula,
as in ``by_gate``: so many cycles from one step's start to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import ceil
from statistics import geometric_mean
from typing import Any, NamedTuple

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.distances import insert_nops
from lstm_sharp.compiler.layer import LayerShape, loop
from lstm_sharp.compiler.perf import perf
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Program, Source, Start
from workshop.paper.utilisation import BUDGETS, SIZES, STEPS

UNITS = {"wider": None, "more": 16}
"""How E-PUR's units grow with the budget: columns of a dot product, None: all of a gate's."""
WIDTHS = (4, 8, 16, 32, 64, 128, 256)
"""Columns of a dot product that are tried where E-PUR's order may have any tile."""
FACTORS = (0.5, 1, 2, 4)
"""Of the tails, for sensitivity."""
BESIDE = 94_208
"""Multipliers of ours beside BrainWave's 96,000: the most of which a legal tile is made."""
NATIVE, LANES, ENGINES = 400, 40, 6
"""BrainWave's: rows and columns of a native tile, columns of it in a cycle, tile engines."""


def epur(shape: LayerShape, macs: int, steps: int, columns: int | None, tail: float = 1) -> int:
    """Model a layer on E-PUR: the x-part of all steps, and then step after step its h-part.

    Each of the four gates has a quarter of the multipliers, as dot products along a row of weights:
    a tile has a row of each gate or more, and as many columns as a dot product is wide.

    Args:
        shape: of the layer.
        macs: multipliers.
        steps: T.
        columns: of a dot product; None: one dot product a gate.
        tail: times that of our pipeline with a tree for so many columns.

    Returns:
        Cycles from start to end.
    """
    width = columns or macs // 4
    rows = macs // width
    lanes = max(1, rows // 4)  # each gate's unit has its own: no row waits for another
    cfg = replace(config.load("tiny"), rows=rows, columns=width, lanes=lanes, max_hidden=4096)
    cfg = replace(cfg, given_tail=round(tail * cfg.tail))
    blocks = ceil(shape.hidden_size / cfg.block)
    part = Instruction(rows=blocks, cols=ceil(shape.input_size / width))
    last = replace(
        part,
        source=Source.H,
        start=Start.STORED_SHIFTED,
        cols=ceil(shape.hidden_size / width),
        finish=True,
        ends=True,
        step=True,
    )
    first = replace(last, source=Source.ZERO, c_zero=True)
    listed = [*loop([part], steps), first, *loop([last], steps - 1)]
    program = Program(tuple(insert_nops(cfg, listed, "unfolded")))
    return cycles.predict(cfg, program).cycles


class BrainWave(NamedTuple):
    """An array of tile engines, each of which takes native tiles whole."""

    native: float = NATIVE
    lanes: float = LANES
    engines: int = ENGINES

    @property
    def macs(self) -> float:
        """Multipliers."""
        return self.native * self.lanes * self.engines

    def gate_cycles(self, rows: int, columns: int) -> int:
        """Cycles of one matrix: its native tiles dealt to the engines."""
        tiles = ceil(rows / self.native) * ceil(columns / self.native)
        return ceil(ceil(tiles / self.engines) * self.native / self.lanes)


SCALINGS: dict[str, Callable[[int], BrainWave]] = {
    "smaller tiles": lambda macs: BrainWave(native=macs / (LANES * ENGINES)),
    "other lanes": lambda macs: BrainWave(lanes=macs / (NATIVE * ENGINES)),
}
"""How BrainWave may be scaled to a budget; the first pads least."""


def brainwave(
    shape: LayerShape, array: BrainWave, steps: int, chain: float, gates: int = 4
) -> cycles.Prediction:
    """Model a layer on BrainWave: the matrices of x and of h, and a chain that takes its time.

    Args:
        shape: of the layer.
        array: its engines.
        steps: T.
        chain: cycles from one step's start to the next where the matrices do not take longer.
        gates: of a GRU 3.
    """
    x, h = (
        Instruction(rows=gates, cols=array.gate_cycles(shape.hidden_size, size))
        for size in (shape.input_size, shape.hidden_size)
    )
    idle = max(0, round(chain) - gates * (x.cols + h.cols))
    listed = loop([x, replace(h, source=Source.H, nops=idle)], steps)
    return cycles.predict(_plain(), Program(tuple(listed)))


def _plain() -> Config:
    """Return an engine whose own distances do not matter."""
    return config.load("tiny")


FORMS: dict[str, Callable[[float, float, float], float]] = {
    "max(L, T)": lambda chain, whole, h: max(chain, whole),
    "max(T, L + T_h / 2)": lambda chain, whole, h: max(whole, chain + h / 2),
    "max(T, L + T_h)": lambda chain, whole, h: max(whole, chain + h),
    "L + T": lambda chain, whole, h: chain + whole,
}
"""What a step may take, of the chain L, the tiles T of a step and those T_h of its h-part."""


def fit(rows: Iterable[dict[str, Any]], clock_mhz: float, gates: int) -> dict[str, Any]:
    """Find the chain that each form needs to come nearest to published times.

    Args:
        rows: X = H as ``hidden``, ``steps`` and ``brainwave_ms``.
        clock_mhz: of the board.
        gates: of a cell.

    Returns:
        Of each form L, its worst relative error, and the cycles a step of each row; and those
        that are published.
    """
    told, tiles = [], []
    for row in rows:
        size = row["hidden"]
        told.append(row["brainwave_ms"] * 1e3 * clock_mhz / row["steps"])
        tiles.append(gates * BrainWave().gate_cycles(size, size))
    found: dict[str, Any] = {"published": [round(cycles, 1) for cycles in told], "forms": {}}
    for name, form in FORMS.items():

        def off(chain: float, form: Callable[..., float] = form) -> list[float]:
            return [form(chain, 2 * h, h) / seen - 1 for h, seen in zip(tiles, told)]

        best = min(range(1, ceil(max(told)) + 1), key=lambda chain: max(map(abs, off(chain))))
        found["forms"][name] = {"chain": best, "errors": [round(e, 4) for e in off(best)]}
    return found


@cache
def ours(
    input_size: int, hidden_size: int, macs: int, schedule: str = "best", **knobs: Any
) -> dict[str, Any]:
    """Ask the cycle model about a layer of ours, 100 steps unless said; see ``perf``."""
    return perf(input_size, hidden_size, macs, schedule=schedule, **{"steps": STEPS, **knobs})


def step(size: int, macs: int, schedule: str = "best", factor: float = 1, **knobs: Any) -> float:
    """Cycles of a step of ours, X = H, with so many times its tail."""
    found = ours(size, size, macs, schedule, **knobs)
    if factor != 1:
        found = ours(size, size, macs, schedule, tail=round(factor * found["tail"]), **knobs)
    return float(found["cycles_per_step"])


def speedup(theirs: Sequence[float], own: Sequence[float]) -> float:
    """Geometric mean over layers of how many times as fast ours is."""
    return round(geometric_mean([a / b for a, b in zip(theirs, own)]), 3)


def study(published: dict[str, Any], lists: dict[int, str]) -> dict[str, Any]:
    """Model both rivals beside ours.

    Args:
        published: what docs/paper/published.json holds.
        lists: of each budget the K's that an engine of several shapes has.

    Returns:
        The fits of BrainWave's step, and of both rivals cycles a step, speedups, what of them
        comes from which idea, and how they depend on what is assumed.
    """
    clock = published["brainwave"]["clock_mhz"]
    deepbench = published["deepbench"]
    fits = {kind: fit(deepbench[kind], clock, gates) for kind, gates in (("lstm", 4), ("gru", 3))}
    chain = fits["lstm"]["forms"]["max(L, T)"]["chain"]
    sizes = [row["hidden"] for row in deepbench["lstm"]]
    budgets = [_budget(macs, chain, lists[macs]) for macs in BUDGETS]
    return {
        "kind": "modelled by us",
        "sizes": SIZES,
        "steps": STEPS,
        "chain": chain,
        "fits": fits,
        "budgets": budgets,
        "brainwave": _beside(sizes, chain),
        "epur_sensitivity": [_epur_by_tail(name) for name in UNITS],
        "brainwave_sensitivity": [
            _brainwave_by_chain(name, sizes if name == "its own" else list(SIZES), chain)
            for name in ("its own", *SCALINGS)
        ],
        "tail_for_theirs": _tail_for(published["paper"][0]["fpga"], sizes, chain),
    }


def _epur_step(size: int, macs: int, columns: int | None, tail: float = 1) -> float:
    return epur(LayerShape(size, size), macs, STEPS, columns, tail) / STEPS


def _brainwave_step(size: int, array: BrainWave, chain: float) -> float:
    return brainwave(LayerShape(size, size), array, STEPS, chain).cycles / STEPS


def _in_turn(size: int, array: BrainWave, tail: int) -> float:
    """Cycles of a step on BrainWave's array if its chain were no longer than our tail."""
    return _brainwave_step(size, array, 8 * array.gate_cycles(size, size) + tail - 1)


def _budget(macs: int, chain: int, k_list: str) -> dict[str, Any]:
    """Set ours beside both rivals at one budget."""
    own = [step(size, macs) for size in SIZES]
    rungs = {s: [step(size, macs, s) for size in SIZES] for s in ("intergate", "unfolded")}
    rungs["elementwise"] = own
    padded = [min(a, step(size, macs, k_list=k_list)) for a, size in zip(own, SIZES)]
    units = {name: [_epur_step(n, macs, w) for n in SIZES] for name, w in UNITS.items()}
    fitting = [w for w in WIDTHS if 4 * w <= macs]
    any_tile = [min(_epur_step(n, macs, w) for w in fitting) for n in SIZES]
    scaled = {
        name: [_brainwave_step(n, of(macs), chain) for n in SIZES] for name, of in SCALINGS.items()
    }
    least = SCALINGS["smaller tiles"](macs)
    tails = [ours(n, n, macs, "intergate")["tail"] for n in SIZES]
    short = [_in_turn(n, least, tail) for n, tail in zip(SIZES, tails)]
    after = [rungs["unfolded"], own, padded]
    return {
        "macs": macs,
        "ours": padded,
        "epur": units,
        "brainwave": scaled,
        "speedup": {
            "epur": {name: speedup(seen, padded) for name, seen in units.items()},
            "brainwave": {name: speedup(seen, padded) for name, seen in scaled.items()},
        },
        "epur_ideas": _ideas([units["wider"], any_tile, *after]),
        "brainwave_ideas": _ideas([scaled["smaller tiles"], short, rungs["intergate"], *after]),
    }


def _ideas(rungs: Sequence[Sequence[float]]) -> list[float]:
    """Speedup of each rung over the one before; their product is the whole."""
    return [speedup(before, after) for before, after in pairwise(rungs)]


def _beside(sizes: Sequence[int], chain: int) -> dict[str, Any]:
    """Set ours beside BrainWave's own array at DeepBench's sizes."""
    array, tails = BrainWave(), [ours(n, n, BESIDE, "intergate")["tail"] for n in sizes]
    theirs = [_brainwave_step(n, array, chain) for n in sizes]
    rungs = [[step(n, BESIDE, s) for n in sizes] for s in ("intergate", "unfolded", "best")]
    short = [_in_turn(n, array, tail) for n, tail in zip(sizes, tails)]
    return {
        "sizes": sizes,
        "macs": BESIDE,
        "theirs": theirs,
        "ours": rungs[-1],
        "speedup": speedup(theirs, rungs[-1]),
        "by_size": [round(a / b, 2) for a, b in zip(theirs, rungs[-1])],
        "ideas": _ideas([theirs, short, *rungs]),
    }


def _epur_by_tail(units: str) -> dict[str, Any]:
    """Speedup over E-PUR over all budgets and sizes, both tails longer or shorter."""
    every = [(macs, size) for macs in BUDGETS for size in SIZES]
    found = {}
    for factor in FACTORS:
        theirs = [_epur_step(size, macs, UNITS[units], factor) for macs, size in every]
        found[str(factor)] = speedup(theirs, [step(n, m, factor=factor) for m, n in every])
    return {"units": units, "speedup": found}


def _brainwave_by_chain(scaling: str, sizes: list[int], chain: int) -> dict[str, Any]:
    """Speedup over BrainWave, its chain longer or shorter, and ours with it."""
    of = SCALINGS.get(scaling)
    every = [(macs, n) for macs in (BUDGETS if of else (BESIDE,)) for n in sizes]
    own = [step(n, macs) for macs, n in every]
    found: dict[str, Any] = {"scaling": scaling, "theirs": {}, "both": {}}
    for factor in FACTORS:
        theirs = [
            _brainwave_step(n, of(macs) if of else BrainWave(), factor * chain) for macs, n in every
        ]
        found["theirs"][str(factor)] = speedup(theirs, own)
        longer = [step(n, macs, factor=factor) for macs, n in every]
        found["both"][str(factor)] = speedup(theirs, longer)
    return found


def _tail_for(aim: float, sizes: Sequence[int], chain: int) -> int:
    """Find the tail of ours with which it would be no more than so many times BrainWave."""
    theirs = [_brainwave_step(n, BrainWave(), chain) for n in sizes]
    low, high = 1, chain
    while low < high:
        tail = (low + high) // 2
        if speedup(theirs, [step(n, BESIDE, tail=tail) for n in sizes]) > aim:
            low = tail + 1
        else:
            high = tail
    return low
