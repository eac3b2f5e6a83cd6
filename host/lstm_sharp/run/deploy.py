"""A quantised model on an engine: resident as a whole, or level by level with reloaded weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil

import numpy as np

from lstm_sharp.engine import cycles, pack
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.cycles import Prediction
from lstm_sharp.engine.group import Group
from lstm_sharp.engine.hls import hls_cycles
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.program import Program
from lstm_sharp.engine.schedule import Plan, check_fit, make_plan, shapes_of
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import QuantModel
from lstm_sharp.run import jobs
from lstm_sharp.run.batch import Pair

Play = Callable[[Sequence[jobs.Run]], list[jobs.Result]]
"""Plays runs on an engine, one after the other; the first loads the weights."""


@dataclass(frozen=True)
class Stage:
    """Levels of a model whose weights are in the engine together."""

    model: QuantModel  # these levels alone
    plan: Plan
    first: int  # of its cells, in the whole model

    @property
    def cells(self) -> slice:
        """Its cells in the whole model."""
        return slice(self.first, self.first + len(self.model.layers))

    def turn(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Turn sequences round, in time, for a level that is one reverse cell."""
        turned = len(self.model.layers) == 1 and self.model.layers[0].reverse
        return [s[::-1] for s in sequences] if turned else list(sequences)

    def programs(self, lengths: Sequence[int], state: bool, give: bool) -> list[Program]:
        """Make one program for each group of sequences."""
        return programs(self.plan, lengths, state, give)

    def load(self) -> jobs.Run:
        """Make the run that loads the weights."""
        return jobs.Run(
            self.plan.load_program().encode(self.plan.cfg), pack.weight_beats(self.model, self.plan)
        )

    def run_of(
        self, group: Group, sequences: Sequence[np.ndarray], state: State | None, give: bool
    ) -> jobs.Run:
        """Make the run of a group; integer sequences (T, X) and state are the whole batch's."""
        plan, cfg = self.plan, self.plan.cfg
        return jobs.Run(
            plan.program(group.lengths, group.repeats, state is not None, give).encode(cfg),
            jobs.nothing() if state is None else pack.state_beats(state, plan, group),
            pack.x_beats(self.turn(sequences), plan, group),
            pack.h_beats(plan, group, give) * cfg.stream_bits // 8,
        )

    def runs(
        self, sequences: Sequence[np.ndarray], state: State | None, give: bool
    ) -> tuple[list[Group], list[jobs.Run]]:
        """Make the job: the weights, then a run for each group of integer sequences (T, X)."""
        groups = self.plan.groups([len(s) for s in sequences])
        return groups, [self.load(), *(self.run_of(g, sequences, state, give) for g in groups)]


def programs(plan: Plan, lengths: Sequence[int], state: bool, give: bool) -> list[Program]:
    """Make one program for each group of sequences."""
    return [plan.program(g.lengths, g.repeats, state, give) for g in plan.groups(lengths)]


def deploy(
    model: QuantModel, cfg: Config, schedule: str, steps: int = 1, sequences: int | None = None
) -> tuple[Stage, ...]:
    """Lay a quantised model out on an engine, as ``plans`` says; arguments and errors are its."""
    stages: list[Stage] = []
    for plan in plans(model, cfg, schedule, steps, sequences):
        first = stages[-1].cells.stop if stages else 0
        cells = model.layers[first : first + len(plan.layers)]
        directions = (plan.directions,) * (len(cells) // plan.directions)
        stages.append(Stage(replace(model, layers=cells, directions=directions), plan, first))
    return tuple(stages)


def plans(
    model: Model | QuantModel,
    cfg: Config,
    schedule: str = "best",
    steps: int = 1,
    sequences: int | None = None,
) -> tuple[Plan, ...]:
    """Say how an engine holds a model: one plan if whole, else one a level.

    Args:
        model: whose sizes count, and not its weights.
        cfg: the engine.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        steps: of the longest sequence.
        sequences: of a batch, which the cuts should suit; None: as many as run side by side.

    Raises:
        UsageError: a level that the engine does not hold alone.
    """
    levels = level_shapes(model)
    if len(levels) > 1 and not any(cell.reverse for cell in model.layers):
        try:
            cells = [cell for level in levels for cell in level]
            whole = make_plan(cells, cfg, schedule, None, sequences)
            whole.program([steps], with_state=True, give_state=True).encode(cfg)
            return (whole,)
        except UsageError:
            pass
    found: list[Plan] = []
    for index, level in enumerate(levels):
        check_fit(level, cfg, (len(level),), index if len(levels) > 1 else None)
        found.append(make_plan(level, cfg, schedule, (len(level),), sequences))
    return tuple(found)


def level_shapes(model: Model | QuantModel) -> list[tuple[LayerShape, ...]]:
    """Shapes of the cells of each level; the scales of a float model are not known yet."""
    if isinstance(model, QuantModel):
        cells = shapes_of(model)
    else:
        cells = tuple(LayerShape(cell.input_size, cell.hidden_size) for cell in model.layers)
    ends = accumulate(len(level) for level in model.levels)
    return [cells[end - len(level) : end] for end, level in zip(ends, model.levels)]


def predict(
    stages: Sequence[Stage], lengths: Sequence[int], state: bool, give: bool
) -> tuple[Prediction, int]:
    """Ask the cycle model for all programs of a call, and for all loads.

    Raises:
        UsageError: sequences that the engine cannot run.
    """
    return predict_plans([stage.plan for stage in stages], lengths, state, give)


def predict_plans(
    plans: Sequence[Plan], lengths: Sequence[int], state: bool = False, give: bool = False
) -> tuple[Prediction, int]:
    """Do what ``predict`` does for what ``plans`` gives."""
    made = [(plan.cfg, p) for plan in plans for p in programs(plan, lengths, state, give)]
    for cfg, program in made:
        program.encode(cfg)
    loads = sum(cycles.predict(plan.cfg, plan.load_program()).cycles for plan in plans)
    return cycles.add([cycles.predict(cfg, program) for cfg, program in made]), loads


def bounds(
    stages: Sequence[Stage], lengths: Sequence[int], state: bool, give: bool
) -> tuple[int, int]:
    """Cycles that no order of a call's tiles goes under, and those that the HLS kernel takes."""
    least = sum(
        cycles.lower_bound(s.plan, group) for s in stages for group in s.plan.groups(lengths)
    )
    kernel = sum(
        hls_cycles(s.plan.cfg, program)
        for s in stages
        for program in s.programs(lengths, state, give)
    )
    return least, kernel


def break_even(stages: Sequence[Stage | Plan], loads: int, run: int, batch: int) -> int | None:
    """Least batch that takes as long to run as the reloads take; None if nothing is reloaded."""
    return ceil(loads * batch / run) if len(stages) > 1 else None


def run(
    stages: Sequence[Stage],
    sequences: Sequence[np.ndarray],
    state: Pair | None,
    give: bool,
    play: Play,
) -> tuple[list[np.ndarray], Pair | None, list[list[jobs.Result]]]:
    """Run integer sequences (T, X) through all stages.

    Returns:
        h (T, width) int64 of each sequence, h and c after its last step if ``give``, and the
        results of each stage's runs, the load's first.
    """
    seen = []
    cells = [q for stage in stages for q in stage.model.layers]
    shape = (len(cells), len(sequences), max(q.hidden_size for q in cells))
    after = State(np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    for stage in stages:
        own = None if state is None else State(*(v[stage.cells] for v in state))
        groups, runs = stage.runs(sequences, own, give)
        results = play(runs)
        hs: list[np.ndarray] = [np.zeros(0)] * len(sequences)
        for group, result in zip(groups, results[1:]):
            found, left = pack.unpack_h(result.h_bytes, stage.plan, group, give)
            for index, h in zip(group.sequences, found):
                hs[index] = h
            if left is not None:
                rows, width = list(group.sequences), left.h.shape[2]
                after.h[stage.cells, rows, :width] = left.h
                after.c[stage.cells, rows, :width] = left.c
        sequences = stage.turn(hs)
        seen.append(results)
    return list(sequences), (after.h, after.c) if give else None, seen
