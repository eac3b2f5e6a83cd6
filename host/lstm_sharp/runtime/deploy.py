"""A quantised model on an engine: resident as a whole, or level by level with reloaded weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import accumulate
from math import ceil

import numpy as np

from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.cycles import Prediction, hls_cycles
from lstm_sharp.compiler.group import Launch
from lstm_sharp.compiler.launches import FREE, Call, Launcher, plan_launches
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.limits import check_fit
from lstm_sharp.compiler.pack import Allocate, Batch
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import make_plan, shapes_of
from lstm_sharp.compiler.weights import weight_beats
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Program
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.batch import Pair


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

    def turn(self, batch: Batch) -> Batch:
        """Turn sequences round, in time, for a level that is one reverse cell."""
        if len(self.model.layers) > 1 or not self.model.layers[0].reverse:
            return batch
        return batch[:, ::-1] if isinstance(batch, np.ndarray) else [s[::-1] for s in batch]

    def weights(self) -> np.ndarray:
        """Pack the weights and biases, uint8."""
        return weight_beats(self.model, self.plan)

    def load(self) -> jobs.Run:
        """Make the run that loads them."""
        return jobs.Run(self.plan.load_program().encode(self.plan.cfg), self.weights())

    def run_of(
        self,
        launch: Launch,
        batch: Batch,
        state: State | None,
        give: bool,
        allocate: Allocate = pack.zeros,
    ) -> jobs.Run:
        """Make the run of a launch; integer sequences and state are the whole batch's.

        x is packed into what ``allocate`` gives.
        """
        plan = self.plan
        return jobs.Run(
            _words(plan, launch, state is not None, give),
            jobs.nothing() if state is None else pack.state_beats(state, plan, launch),
            pack.x_beats(self.turn(batch), plan, launch, allocate),
            pack.h_beats(plan, launch, give) * plan.cfg.stream_bits // 8,
        )

    def runs(
        self,
        batch: Batch,
        state: State | None,
        give: bool,
        host: Launcher = FREE,
        allocate: Allocate = pack.zeros,
    ) -> tuple[tuple[Launch, ...], list[jobs.Run]]:
        """Cut integer sequences into launches, and make the run of each."""
        call = Call(tuple(map(len, batch)), state is not None, give, host)
        launches = plan_launches(self.plan, call)
        return launches, [self.run_of(launch, batch, state, give, allocate) for launch in launches]


@dataclass(frozen=True)
class Cells:
    """All that a plan needs to know of a model, which may be large: the shapes of its cells."""

    levels: tuple[tuple[LayerShape, ...], ...]
    reverse: bool  # whether any of them goes backwards

    @classmethod
    def of(cls, model: AnyModel) -> Cells:
        """Take it from a model; the scales of a float model are not known yet."""
        if isinstance(model, Cells):
            return model
        if isinstance(model, QuantModel):
            cells = shapes_of(model)
        else:
            cells = tuple(
                LayerShape(cell.input_size, cell.hidden_size, kind=cell.kind)
                for cell in model.layers
            )
        ends = accumulate(len(level) for level in model.levels)
        levels = (cells[end - len(level) : end] for end, level in zip(ends, model.levels))
        return cls(tuple(levels), model.reverse)


AnyModel = Model | QuantModel | Cells
"""A float model, an integer model, whose scales count, too, or the shapes alone."""
Play = Callable[[Stage, Sequence[jobs.Run]], Sequence[jobs.Result]]
"""Plays the runs of a stage on an engine, one after the other, its weights being loaded. It gives
their results, after that of the load if it has loaded them."""


@lru_cache(maxsize=64)
def _words(plan: Plan, launch: Launch, state: bool, give: bool) -> np.ndarray:
    """Encode the program of a launch."""
    words = plan.program_of(launch, state, give).encode(plan.cfg)
    words.flags.writeable = False  # others get the same array
    return words


def programs(plan: Plan, call: Call) -> list[Program]:
    """Make the program of each launch."""
    states = call.with_state, call.give_state
    return [plan.program_of(launch, *states) for launch in plan_launches(plan, call)]


def deploy(
    model: QuantModel, cfg: Config, schedule: str, steps: int = 1, sequences: int | None = None
) -> tuple[Stage, ...]:
    """Lay a quantised model out on an engine, as ``plans`` says; arguments and errors are its."""
    stages: list[Stage] = []
    for plan in plans(model, cfg, schedule, steps, sequences):
        first = stages[-1].cells.stop if stages else 0
        cells = model.layers[first : first + len(plan.layers)]
        directions = (plan.directions,) * (len(cells) // plan.directions)
        scale = np.array(0.5**model.fmt.h_frac) if first else model.x_scale  # of h, or of x
        part = replace(model, layers=cells, directions=directions, x_scale=scale)
        stages.append(Stage(part, plan, first))
    return tuple(stages)


def plans(
    model: AnyModel,
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
    model = Cells.of(model)
    levels = model.levels
    if len(levels) > 1 and not model.reverse:
        try:
            cells = [cell for level in levels for cell in level]
            whole = make_plan(cells, cfg, schedule, sequences=sequences)
            whole.program([steps], with_state=True, give_state=True).encode(cfg)
            return (whole,)
        except UsageError:
            pass
    check_levels(model, cfg)
    return tuple(make_plan(level, cfg, schedule, len(level), sequences) for level in levels)


def check_levels(model: AnyModel, cfg: Config) -> None:
    """Refuse a model that an engine does not even hold level by level.

    Raises:
        UsageError: a level that the engine does not hold alone.
    """
    levels = Cells.of(model).levels
    for index, level in enumerate(levels):
        check_fit(level, cfg, len(level), index if len(levels) > 1 else None)


class Deployment:
    """A quantised model on an engine, laid out for as many steps and sequences as are asked for.

    Args:
        model: the integer model.
        find: gives the engine when it is asked for; None where no shipped config holds the model.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
    """

    def __init__(
        self, model: QuantModel, find: Callable[[], Config | None], schedule: str = "best"
    ) -> None:
        self.model, self.find, self.schedule = model, find, schedule
        self._stages = cache(lambda cfg, *size: deploy(model, cfg, schedule, *size))
        self._others = cache(lambda cfg, *size: plans(model, cfg, schedule, *size))

    @property
    def engine(self) -> Config:
        """The engine.

        Raises:
            UsageError: there is none.
        """
        cfg = self.find()
        if cfg is None:
            raise UsageError(f"no config holds {self.model.name}; give one")
        return cfg

    def stages(self, steps: int = 1, sequences: int | None = None) -> tuple[Stage, ...]:
        """Lay the model out for so many steps and sequences.

        Raises:
            UsageError: the engine does not hold it for so many steps.
        """
        cfg = self.engine
        return self._stages(cfg, steps, min(sequences or cfg.chains, cfg.chains))

    def plans(self, engine: str, steps: int, sequences: int) -> tuple[Plan, ...]:
        """Say how one of the two engines holds the model: as ``stages`` does where D is the same.

        Errors are those of ``stages``.
        """
        other = self.engine.of(engine)
        if other.tail == self.engine.tail:
            stages = self.stages(steps, sequences)
            return tuple(replace(stage.plan, cfg=other) for stage in stages)
        return self._others(other, steps, min(sequences, other.chains))


def predict_plans(plans: Sequence[Plan], call: Call) -> tuple[Prediction, int]:
    """Ask the cycle model, which is the sv engine's, for all programs of a call, and for all loads.

    Raises:
        UsageError: sequences that the engine cannot run.
    """
    made = [(plan.cfg, p) for plan in plans for p in programs(plan, call)]
    for cfg, program in made:
        program.encode(cfg)
    loads = sum(cycles.predict(plan.cfg, plan.load_program()).cycles for plan in plans)
    return cycles.add([cycles.predict(cfg, program) for cfg, program in made]), loads


def own_cycles(plans: Sequence[Plan], call: Call) -> tuple[int, int]:
    """Predict a call's cycles, and those of all loads, on the engine that it is compiled for.

    Those of the sv engine are exact, those of the hls engine are ``hls_cycles``.
    """
    if plans[0].cfg.engine == "sv":
        run, loads = predict_plans(plans, call)
        return run.cycles, loads
    return (
        sum(hls_cycles(q.cfg, p) for q in plans for p in programs(q, call)),
        sum(hls_cycles(plan.cfg, plan.load_program()) for plan in plans),
    )


def break_even(stages: Sequence[object], loads: int, run: int, batch: int) -> int | None:
    """Least batch that takes as long to run as the reloads take; None if nothing is reloaded."""
    return ceil(loads * batch / run) if len(stages) > 1 else None


def run(
    stages: Sequence[Stage],
    batch: Batch,
    state: Pair | None,
    give: bool,
    play: Play,
    host: Launcher = FREE,
    allocate: Allocate = pack.zeros,
) -> tuple[Batch, Pair | None, list[Sequence[jobs.Result]]]:
    """Run integer sequences through all stages.

    Args:
        stages: from ``deploy``.
        batch: integers of any type, (B, T, X), or (T, X) of each sequence.
        state: h and c to begin with, (cells, B, H) integers each.
        give: whether the state after the last steps is asked for.
        play: plays the runs.
        host: what a launch costs it, and takes.
        allocate: gives the memory that each run's x is packed into.

    Returns:
        h of the format's own type, (B, T, width) or of each sequence if lengths differ; h and c
        after the last steps if ``give``, int64; and what ``play`` gave for each stage.
    """
    seen = []
    cells = [q for stage in stages for q in stage.model.layers]
    shape = (len(cells), len(batch), max(q.hidden_size for q in cells))
    after = State(np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    for stage in stages:
        before = None if state is None else State(*(v[stage.cells] for v in state))
        left = State(*(v[stage.cells] for v in after)) if give else None
        launches, runs = stage.runs(batch, before, give, host, allocate)
        results = play(stage, runs)
        h = pack.empty_h(stage.plan, [len(s) for s in batch])
        for launch, result in zip(launches, results[-len(runs) :]):
            pack.unpack_h(result.h_bytes, stage.plan, launch, h, left)
        batch = stage.turn(h)
        seen.append(results)
    return batch, after if give else None, seen
