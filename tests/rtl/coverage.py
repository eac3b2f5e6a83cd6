"""Functional coverage: which combinations the cases have run on the simulated engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np

from cases import LEVELS, Case, kind_of
from lstm_sharp.compiler.group import Group
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.runtime.deploy import Stage

CHAINS = (1, 2, 3, 4)
FURTHER = (
    "state in",
    "state out",
    "state in and out, stalled",
    "lengths equal",
    "lengths different",
    "groups repeated",
    "chains to spare",
    "levels whole",
    "levels reloaded",
    "c at its limit",
    "h at its limit",
)
Point = tuple[str, str, int, bool, bool]
"""Schedule, kind of level, chains, stalled or not, saturated or not."""


class Coverage:
    """Counts the programs that were run, by what they were."""

    def __init__(self) -> None:
        self.points: Counter[Point] = Counter()
        self.further: Counter[str] = Counter()
        self.cases: Counter[str] = Counter()

    def note(self, case: Case, stalled: bool) -> None:
        """Count the programs of a case that has been run."""
        self.cases[case.cfg.name] += 1
        for point, further in seen_in(case, stalled):
            self.points[point] += 1
            self.further.update(further)

    def missing(self) -> list[str]:
        """Name what could have been reached and was not."""
        names = [
            f"{schedule}, {kind}, {chains} chains, "
            f"{'stalled' if stalled else 'not stalled'}, {'saturated' if full else 'not saturated'}"
            for schedule, kind, chains, stalled, full in reachable()
            if not self.points[schedule, kind, chains, stalled, full]
        ]
        return names + [name for name in FURTHER if not self.further[name]]

    def table(self) -> str:
        """Show all counts."""
        lines = [
            "Programs run, by schedule, levels and chains: plain / stalled / saturated / both",
            f"{'':22}" + "".join(f"{f'{chains} chains':>18}" for chains in CHAINS),
        ]
        for schedule, kind in product(SCHEDULES, LEVELS):
            counts = [
                " / ".join(
                    str(self.points[schedule, kind, chains, stalled, full])
                    for full, stalled in product((False, True), repeat=2)
                )
                if _possible(kind, chains)
                else "-"
                for chains in CHAINS
            ]
            lines.append(f"{schedule:12}{kind:10}" + "".join(f"{count:>18}" for count in counts))
        lines += [f"{name:26}{self.further[name]:>6}" for name in FURTHER]
        lines.append("- cannot be: a bidirectional level takes two chains a sequence")
        lines.append(f"not reached: {'; '.join(self.missing()) or 'nothing'}")
        return "\n".join(lines)


def seen_in(case: Case, stalled: bool) -> Iterator[tuple[Point, list[str]]]:
    """Tell of each program of a case what it is."""
    for stage, start, _ in case.programs():
        if start is None:
            continue
        (group,) = start
        plan, lengths = stage.plan, group.lengths
        chains = len(lengths) * plan.directions
        limits = at_limits(case, stage, group)
        further = (
            case.state is not None,
            case.give,
            case.state is not None and case.give and stalled,
            len(lengths) > 1 and len(set(lengths)) == 1,
            len(set(lengths)) > 1,
            group.repeats > 1,
            chains + plan.directions <= case.cfg.chains,
            len(plan.levels) > 1,
            len(case.stages) > 1,
            *limits,
        )
        point = case.schedule, kind_of(stage.model.levels[0]), chains, stalled, any(limits)
        yield point, [name for name, holds in zip(FURTHER, further, strict=True) if holds]


def reachable() -> Iterator[Point]:
    """All points that can be: a bidirectional level takes two chains a sequence."""
    for point in product(SCHEDULES, LEVELS, CHAINS, (False, True), (False, True)):
        if _possible(point[1], point[2]):
            yield point


def at_limits(case: Case, stage: Stage, group: Group) -> tuple[bool, bool]:
    """Whether golden's c, and h, stand at an end of their range after a program of a case.

    That is c after the last steps, and h there and in all steps of the top level.
    """
    rows = list(group.sequences)
    h, c = (values[stage.cells][:, rows] for values in case.after)
    hs = [h, *(case.h[row] for row in rows)] if stage is case.stages[-1] else [h]
    return _at_limit([c], C_BITS), _at_limit(hs, case.cfg.fmt.activation_bits)


def _at_limit(arrays: list[np.ndarray], bits: int) -> bool:
    half = 1 << (bits - 1)
    return any(bool(((a == half - 1) | (a == -half)).any()) for a in arrays)


def _possible(kind: str, chains: int) -> bool:
    return kind != "both" or chains % 2 == 0
