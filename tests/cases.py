"""Random cases that golden model, csim and RTL run alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from covers import in_wavefront, recovered
from lstm_sharp.compiler.group import Start
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.limits import bias_blocks, weight_tiles
from lstm_sharp.compiler.schedule import SCHEDULES, Plan
from lstm_sharp.compiler.starts import Host
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Program
from lstm_sharp.flow.jobs import Result, Run
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.formats import C_BITS, Format
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.batch import Pair, by_length

LEVELS = {"forward": (False,), "reverse": (True,), "both": (False, True)}
"""What a level can be: whether each of its cells is reverse."""
_SIZES = (1, 2, 3, 5, 7, 11, 13)
_MOST_SLOTS = 15_000
"""That a drawn case takes, so that it is simulated soon."""


class Crowded(Plan):
    """Runs as many sequences side by side as there can be, though fewer may be faster."""

    def pace(self, sequences: int) -> tuple[float, float]:
        """Tell that a step takes the same time, however many take it."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Case:
    """A quantised model on an engine, sequences, and what must come out."""

    seed: int
    cfg: Config
    model: QuantModel
    stages: tuple[deploy.Stage, ...]
    xs: list[np.ndarray]  # (T, X) int64 each
    state: Pair | None
    give: bool  # whether the engine is asked for the state after the last steps
    h: list[np.ndarray]  # golden: (T, width) int64 each
    after: Pair  # golden: h and c after the last steps, (cells, sequences, H) int64 each
    start_cycles: int = 0

    def __str__(self) -> str:
        levels = [f"{kind_of(level)} {level[0].hidden_size}" for level in self.model.levels]
        return (
            f"seed {self.seed}: {self.cfg.name} {self.model.fmt} {self.schedule}, X "
            f"{self.model.input_size}, levels {', '.join(levels)} in {len(self.stages)} stages of "
            f"{self.stages[0].plan.cfg.chains} chains at most, steps {self.lengths}, "
            f"state in {self.state is not None}, out {self.give}"
        )

    @property
    def schedule(self) -> str:
        """That of all stages."""
        return self.stages[0].plan.schedule

    @property
    def lengths(self) -> list[int]:
        """Steps of each sequence."""
        return [len(x) for x in self.xs]

    def programs(self) -> Iterator[tuple[deploy.Stage, Start | None, Program]]:
        """Yield all programs in the order in which they run; the loads have no start."""
        for stage in self.stages:
            yield stage, None, stage.plan.load_program()
            states = self.state is not None, self.give
            for start in stage.starts(self.lengths, *states, Host(self.start_cycles)):
                yield stage, start, stage.plan.program_of(start, *states)

    def runs(self) -> list[Run]:
        """Make the job of a case of one stage: weights, then the sequences."""
        (stage,) = self.stages
        state = None if self.state is None else golden.State(*self.state)
        return [stage.load(), *stage.runs(self.xs, state, self.give, Host(self.start_cycles))[1]]

    def play(self, executable: Path, options: Sequence[str] = ()) -> tuple[str, list[int]]:
        """Run on a simulated engine; say what differs from golden, and each program's cycles."""
        taken: list[int] = []

        def play(stage: deploy.Stage, runs: Sequence[Run]) -> Sequence[Result]:
            results = engines.player(executable, self.cfg, options=options)(stage, runs)
            taken.extend(result.cycles for result in results)
            return results

        return self.differs(play), taken

    def differs(self, play: deploy.Play) -> str:
        """Say what is not as golden has it when this plays the runs; nothing if all is."""
        asked = self.stages, self.xs, self.state, self.give
        hs, after, _ = deploy.run(*asked, play, Host(self.start_cycles), allocate=anything)
        wrong = [f"h[{n}]" for n, h in enumerate(hs) if not np.array_equal(h, self.h[n])]
        for name, found, right in zip("hc", after or (), self.after):
            if not np.array_equal(found, right):
                wrong.append(f"{name} after the last steps")
        if self.give != (after is not None):
            wrong.append("whether there is a state")
        return f"{', '.join(wrong)} differ: {self}" if wrong else ""


def draw(
    cfg: Config,
    seed: int,
    *,
    kinds: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    lengths: Sequence[int] | None = None,
    state: bool | None = None,
    give: bool | None = None,
    schedule: str | None = None,
    chains: int | None = None,
) -> Case:
    """Draw a case: awkward sizes, full-range integers, every second extreme.

    It is compiled for an engine of as many chains or fewer, and some stacks for one that does not
    hold all levels together.

    Args:
        cfg: the engine that runs it.
        seed: names the case.
        kinds: of each level, as in ``LEVELS``. What is not given is drawn.
        sizes: X, then H of each level.
        lengths: steps of the sequences.
        state: whether they begin with a state.
        give: whether the state after them is asked for.
        schedule: one of ``SCHEDULES``.
        chains: of the engine that it is compiled for, up to those of the one that runs it; then as
            many sequences as there can be run side by side.
    """
    rng, extreme = np.random.default_rng(seed), seed % 2 == 0
    kinds, sizes, lengths = _drawn_outline(rng, cfg, kinds, sizes, lengths)
    model = random_model(rng, cfg.fmt, kinds, sizes, cfg.max_shift, extreme)
    bits = cfg.fmt.activation_bits
    xs = [_integers(rng, bits, (steps, sizes[0]), extreme) for steps in lengths]
    before: Pair | None = None
    if rng.random() < 0.5 if state is None else state:
        shape = (len(model.layers), len(xs), max(sizes[1:]))
        before = _integers(rng, bits, shape, extreme), _integers(rng, C_BITS, shape, extreme)
    schedule = schedule or str(rng.choice(SCHEDULES))
    stages = _deployed(rng, model, cfg, schedule, max(lengths), chains)
    give = bool(rng.random() < 0.5) if give is None else give
    h, after = by_length(xs, before, partial(_golden, model))
    return Case(seed, cfg, model, stages, xs, before, give, h, after)


def anything(size: int) -> np.ndarray:
    """Give memory in which something lies, as a driver does."""
    return np.random.default_rng(size).integers(0, 256, size, np.uint8)


def kind_of(level: Sequence[QuantLayer]) -> str:
    """Name a level as in ``LEVELS``."""
    return next(k for k, v in LEVELS.items() if v == tuple(cell.reverse for cell in level))


def random_model(
    rng: np.random.Generator,
    fmt: Format,
    kinds: Sequence[str],
    sizes: Sequence[int],
    max_shift: int,
    extreme: bool,
) -> QuantModel:
    """Draw integer cells directly, so that every shift and the ends of every range occur."""
    cells: list[QuantLayer] = []
    for kind, level in zip(kinds, _shapes(kinds, sizes)):
        for reverse, shape in zip(LEVELS[kind], level):
            rows = 4 * shape.hidden_size
            w_ih = _integers(rng, fmt.weight_bits, (rows, shape.input_size), extreme)
            w_hh = _integers(rng, fmt.weight_bits, (rows, shape.hidden_size), extreme)
            b = _integers(rng, fmt.bias_bits - (0 if extreme else 6), (rows,), extreme)
            low = fmt.weight_frac_min + (0 if extreme else 6)
            frac = int(rng.integers(low, fmt.weight_frac_max + 1))
            shift = int(rng.integers(0, max_shift + 1))
            cells.append(QuantLayer(w_ih, w_hh, b, fmt.h_frac, frac - shift, frac, shift, reverse))
    return QuantModel(fmt, tuple(cells), directions=tuple(len(LEVELS[kind]) for kind in kinds))


def _deployed(
    rng: np.random.Generator,
    model: QuantModel,
    cfg: Config,
    schedule: str,
    steps: int,
    chains: int | None,
) -> tuple[deploy.Stage, ...]:
    """Deploy on an engine that is as this one or smaller."""
    crowded = chains is not None or rng.random() < 0.5
    if chains is None:
        least = max(map(len, model.levels))
        chains = cfg.chains if rng.random() < 0.5 else int(rng.integers(least, cfg.chains + 1))
    tiles = cfg.weight_tiles
    if rng.random() < 0.3 and schedule in SCHEDULES:
        tiles = max(
            weight_tiles([LayerShape(q.input_size, q.hidden_size) for q in level], cfg)
            for level in model.levels
        )
    smaller = replace(cfg, chains=chains, weight_tiles=tiles)
    stages = deploy.deploy(model, smaller, schedule, steps)
    if cfg.bands > 1 and rng.random() < 0.7:
        stages = tuple(replace(stage, plan=recovered(rng, stage.plan)) for stage in stages)
    if rng.random() < 0.5:
        stages = tuple(replace(stage, plan=in_wavefront(stage.plan)) for stage in stages)
    if not crowded:
        return stages
    return tuple(replace(stage, plan=Crowded(**vars(stage.plan))) for stage in stages)


def _drawn_outline(
    rng: np.random.Generator,
    cfg: Config,
    kinds: Sequence[str] | None,
    sizes: Sequence[int] | None,
    lengths: Sequence[int] | None,
) -> tuple[Sequence[str], Sequence[int], Sequence[int]]:
    """Draw what is None until the engine holds each level alone, and simulates all soon."""
    while True:
        drawn = _outline(rng, cfg)
        outline = kinds or drawn[0], sizes or drawn[1], lengths or drawn[2]
        if len(outline[0]) != len(outline[1]) - 1:
            continue
        levels = _shapes(*outline[:2])
        tiles = [weight_tiles(level, cfg) for level in levels]
        if (
            max(map(len, levels)) <= cfg.chains
            and max(tiles) <= cfg.weight_tiles
            and max(bias_blocks(level, cfg) for level in levels) <= cfg.bias_blocks
            and (sizes or sum(tiles) * (cfg.tile_beats + sum(outline[2])) <= _MOST_SLOTS)
        ):
            return outline


def _outline(rng: np.random.Generator, cfg: Config) -> tuple[list[str], list[int], list[int]]:
    """Draw kinds of levels, sizes, and lengths: all equal, all different, or some equal."""
    kinds = [str(kind) for kind in rng.choice(list(LEVELS), rng.integers(1, 4))]
    if rng.random() < 0.3:
        kinds = ["forward"] * len(kinds)
    near = [cfg.columns - 1, cfg.columns, cfg.columns + 1, cfg.block + 1]
    sizes = [_pick(rng, [*_SIZES, *near, cfg.max_input], cfg.max_input)]
    for index, kind in enumerate(kinds):
        above = cfg.max_input // len(LEVELS[kind]) if index < len(kinds) - 1 else cfg.max_hidden
        most = min(cfg.max_hidden, above)
        sizes.append(_pick(rng, [*_SIZES, *near, most], most))
    batch, choice = int(rng.integers(1, 10)), rng.integers(1, 13, 2)
    lengths = [
        np.full(batch, choice[0]),
        rng.choice(np.arange(1, 13), batch, replace=False),
        rng.choice(choice, batch),
    ][rng.integers(3)]
    return kinds, sizes, lengths.tolist()


def _shapes(kinds: Sequence[str], sizes: Sequence[int]) -> list[list[LayerShape]]:
    """Shapes of the cells of each level."""
    cells = [len(LEVELS[kind]) for kind in kinds]
    widths = [sizes[0], *(n * size for n, size in zip(cells, sizes[1:]))]
    return [[LayerShape(x, h)] * n for x, h, n in zip(widths, sizes[1:], cells)]


def _golden(model: QuantModel, x: np.ndarray, state: Pair | None) -> tuple[np.ndarray, Pair]:
    h, after = golden.run(model, x, None if state is None else golden.State(*state))
    return h, (after.h, after.c)


def _integers(
    rng: np.random.Generator, bits: int, shape: tuple[int, ...], extreme: bool
) -> np.ndarray:
    """Draw signed integers, from all or from the ends of their range."""
    half = 1 << (bits - 1)
    if extreme:
        return np.where(rng.random(shape) < 0.5, -half, half - 1)
    return rng.integers(-half, half, shape)


def _pick(rng: np.random.Generator, sizes: list[int], most: int) -> int:
    return int(min(max(1, rng.choice(sizes)), most))
