"""Functional coverage: which combinations the cases have run on the simulated engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np

from cases import LEVELS, Case, kind_of
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.runtime.deploy import Stage

CHAINS = (1, 2, 3, 4)
FEWEST = {"K's inside a layer": 60, "K's between layers": 8, "several rectangles finish": 8}
"""How often a case at least is so; all else once."""
Point = tuple[str, str, int, bool, bool]
"""Schedule, kind of level, chains, stalled or not, saturated or not."""


class Coverage:
    """Counts the programs that were run, by what they were."""

    def __init__(self) -> None:
        self.points: Counter[Point] = Counter(dict.fromkeys(reachable(), 0))
        self.further: Counter[str] = Counter()
        self.cases: Counter[str] = Counter()

    def note(self, case: Case, stalled: bool) -> None:
        """Count the programs of a case that has been run."""
        self.cases[case.cfg.name] += 1
        for point, further in seen_in(case, stalled):
            self.points[point] += 1
            self.further.update(further)
        self.further.update(_of_case(case))

    def missing(self) -> list[str]:
        """Name what could have been reached and was not."""
        names = [str(point) for point in reachable() if not self.points[point]]
        return names + [n for n, count in self.further.items() if count < FEWEST.get(n, 1)]

    def table(self) -> str:
        """Show all counts."""
        told = ("stalled", "saturated")
        lines = ["Programs run, by schedule, levels and chains"]
        for (*what, chains, stalled, full), count in self.points.items():
            plus = "".join(f", {name}" for name, is_so in zip(told, (stalled, full)) if is_so)
            lines.append(f"{', '.join(what)}, {chains} chains{plus}: {count}")
        lines += [f"{name}: {count}" for name, count in self.further.items()]
        return "\n".join([*lines, f"not reached: {'; '.join(self.missing()) or 'nothing'}"])


def seen_in(case: Case, stalled: bool) -> Iterator[tuple[Point, dict[str, int]]]:
    """Tell of each program of a case what it is: the point of its first group, and more."""
    for stage, launch, _ in case.programs():
        if launch is None:
            continue
        plan, lengths = stage.plan, launch[0].lengths
        chains = len(lengths) * plan.directions
        rows = [row for g in launch for row in g.sequences if row >= 0]
        c_full, h_full = at_limits(case, stage, rows)
        own = {row: n for g in launch for index in g.indices for row, n in zip(index, g.lengths)}
        further = {
            "state in": case.state is not None,
            "state out": case.give,
            "state in and out, stalled": case.state is not None and case.give and stalled,
            "lengths equal": len(lengths) > 1 and len(set(lengths)) == 1,
            "lengths different": len(set(lengths)) > 1,
            "groups repeated": launch[0].repeats > 1,
            "several groups in a launch": len(launch) > 1,
            "empty sequences": -1 in own,
            "sequences that run on": any(
                row >= 0 and len(case.xs[row]) < n for row, n in own.items()
            ),
            "chains to spare": chains + plan.directions <= case.cfg.chains,
            "levels whole": len(plan.levels) > 1,
            "levels reloaded": len(case.stages) > 1,
            "c at its limit": c_full,
            "h at its limit": h_full,
        }
        point = case.schedule, kind_of(stage.model.levels[0]), chains, stalled, c_full or h_full
        yield point, {name: int(is_so) for name, is_so in further.items()}


def _of_case(case: Case) -> dict[str, int]:
    """Say what K's do in a case."""
    layers = [layer for stage in case.stages for layer in stage.plan.layers]
    shapes = [frozenset(rect.shape for rect in layer.x + layer.h) for layer in layers]
    return {
        "K's inside a layer": int(any(len(found) > 1 for found in shapes)),
        "K's between layers": int(len(set(shapes)) > 1),
        "several rectangles finish": int(any(len(x.finishing(case.cfg)) > 1 for x in layers)),
        "wavefront": int(any(stage.plan.wavefront for stage in case.stages)),
    }


def reachable() -> Iterator[Point]:
    """All points that can be: a bidirectional level takes two chains a sequence."""
    for point in product(SCHEDULES, LEVELS, CHAINS, (False, True), (False, True)):
        if point[1] != "both" or point[2] % 2 == 0:
            yield point


def at_limits(case: Case, stage: Stage, rows: list[int]) -> tuple[bool, bool]:
    """Whether golden's c, and h, stand at an end of their range after a program of a case.

    That is c after the last steps, and h there and in all steps of the top level.
    """
    h, c = (values[stage.cells][:, rows] for values in case.after)
    hs = [h, *(case.h[row] for row in rows)] if stage is case.stages[-1] else [h]
    return _at_limit([c], C_BITS), _at_limit(hs, case.cfg.fmt.activation_bits)


def _at_limit(arrays: list[np.ndarray], bits: int) -> bool:
    half = 1 << (bits - 1)
    return any(bool(((a == half - 1) | (a == -half)).any()) for a in arrays)
