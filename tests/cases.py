"""Random cases that golden model, csim and RTL run alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from operator import ge
from pathlib import Path

import numpy as np

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.group import Launch
from lstm_sharp.compiler.launches import Call, Launcher, plan_launches
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.limits import bias_blocks, weight_tiles
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Program
from lstm_sharp.flow import hls_rtl
from lstm_sharp.flow.jobs import Result, Run
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.formats import C_BITS, MAX_C_SHIFT, Format
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.batch import Pair, by_length
from tilings import in_wavefront, retiled

_TINY = config.load("tiny")


def engine(name: str, knobs: str, base: Config = _TINY) -> Config:
    """Change knobs of an engine, each given as KNOB=NUMBER; k_list has several."""
    numbers = {
        knob: value.split(",") for knob, _, value in (k.partition("=") for k in knobs.split())
    }
    given = {k: tuple(map(int, v)) if k == "k_list" else int(v[0]) for k, v in numbers.items()}
    return config.resized(base, name=name, **given)


# Without GRUs, too
_SMALL_SHAPES = """gru=0 rows=4 columns=8 k_list=4,8,16 stream_bits=128 max_input=40 max_hidden=40
    weight_tiles=2048 bias_blocks=128 packed=2 lut_columns=3"""
_SHAPES_LANES = """rows=8 columns=48 lanes=2 k_list=8,16,64 max_input=130 max_hidden=70
    weight_tiles=2048 bias_blocks=128 sequence_words=512"""
_WIDE = """rows=16 columns=2 lanes=2 uram_columns=1 max_input=130 max_hidden=130 weight_tiles=4301
    sequence_words=512"""
_SQUARE = "rows=16 columns=4 lanes=4 max_input=9 max_hidden=9 max_shift=15 stream_bits=128"
ENGINES = {
    "tiny": _TINY,
    # One scale for all rows, as of configs without the knob
    "plain": engine("plain", "row_scales=0"),
    # Row blocks wider than words, several lanes, weights in two banks of BRAM and of UltraRAM
    "wide": engine("wide", _WIDE, _TINY.with_format("W16A16")),
    # A row block of any shape but the largest ends inside a beat. Products are packed, and widths
    # are no whole bytes
    "shapes": engine("shapes", _SMALL_SHAPES, _TINY.with_format("W5A9")),
    # A K is missing, lanes take a band in one turn, segments take more than one level
    "shapes-lanes": engine("shapes-lanes", _SHAPES_LANES, _TINY.with_format("W8A8")),
    "pynq-z2": config.load("pynq-z2"),
    "zcu104": config.load("zcu104"),
}
"""The engines that tests build, so few that all are compiled soon; for others programs are compiled
alone, see ``any_engine``."""
KERNELS = {name: cfg.of("hls") for name, cfg in ENGINES.items()} | {
    # Four turns, of which a column alone knows nothing; D is far longer than they need
    "one-column": engine("one-column", "rows=16 columns=1 max_shift=0 min_tail=30").of("hls"),
    "square": engine("square", _SQUARE).of("hls"),
}
"""The same for csim, which compiles sooner."""
_SHAPES = [
    *((k, n, lanes, ()) for k, n, lanes in ((4, 2, 1), (8, 4, 1), (16, 2, 1), (16, 8, 2))),
    *((k, n, lanes, ()) for k, n, lanes in ((32, 8, 4), (4, 4, 1))),
    *((4, 4, 1, (4, 8, 16)), (8, 16, 2, (8, 16, 64)), (4, 12, 1, (4, 8)), (8, 8, 1, (8, 32))),
]
"""K, N, lanes and all K's of further engines."""


def any_engine(seed: int, **knobs: int) -> Config:
    """Draw an engine."""
    rng = np.random.default_rng([seed, 1])
    rows, columns, lanes, k_list = _SHAPES[rng.integers(len(_SHAPES))]
    drawn = {"rows": rows, "columns": columns, "lanes": lanes, "k_list": k_list}
    drawn |= {"format": str(rng.choice(["W8A16", "W8A8"])), "sequence_words": 4096}
    return config.resized(_TINY, **{**drawn, "weight_tiles": 4096, "bias_blocks": 256, **knobs})


START_CYCLES = (0, 500, 50_000, 10**9)
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
    start_cycles: int = 0
    _saturated: list[golden.Saturated] = field(default_factory=list)

    @cached_property
    def golden(self) -> tuple[list[np.ndarray], Pair]:
        """What must come out: h, (T, width) each, and h and c after the last steps, int64."""
        return golden_of(self.model, self.xs, self.state, self._saturated)

    @property
    def c_saturates(self) -> bool:
        """Whether golden holds some c to the ends of its range."""
        return bool(self.golden) and any(cell.c for cell in self._saturated)

    @property
    def h(self) -> list[np.ndarray]:
        """Golden h of each sequence."""
        return self.golden[0]

    @property
    def after(self) -> Pair:
        """Golden h and c after the last steps, (cells, sequences, H) each."""
        return self.golden[1]

    def __str__(self) -> str:
        levels = [f"{kind_of(level)} {level[0].hidden_size}" for level in self.model.levels]
        return (
            f"seed {self.seed}: {self.cfg.name} {self.model.fmt} {self.schedule}, "
            f"{self.model.kind}, X "
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

    @property
    def host(self) -> Launcher:
        """Who launches its programs."""
        return Launcher(self.start_cycles)

    @property
    def call(self) -> Call:
        """What is asked of the engine."""
        return Call(tuple(self.lengths), self.state is not None, self.give, self.host)

    def programs(self) -> Iterator[tuple[deploy.Stage, Launch | None, Program]]:
        """Yield all programs in the order in which they run; the loads have no launch."""
        for stage in self.stages:
            yield stage, None, stage.plan.load_program()
            states = self.state is not None, self.give
            for launch in plan_launches(stage.plan, self.call):
                yield stage, launch, stage.plan.program_of(launch, *states)

    def runs(self) -> list[Run]:
        """Make the job of a case of one stage: weights, then the sequences."""
        (stage,) = self.stages
        state = None if self.state is None else golden.State(*self.state)
        return [stage.load(), *stage.runs(self.xs, state, self.give, self.host)[1]]

    def play(self, executable: Path, options: Sequence[str] = ()) -> tuple[str, list[int]]:
        """Run on a simulated engine; say what differs from golden, and each program's cycles.

        The sv engine's cycles differ too if they are not the model's, or with stalled streams less.
        """
        taken: list[int] = []

        def play(stage: deploy.Stage, runs: Sequence[Run]) -> Sequence[Result]:
            results = engines.player(executable, self.cfg, options=options)(stage, runs)
            taken.extend(result.cycles for result in results)
            return results

        differs = self.differs(play)
        if self.cfg.engine == "sv" and not hls_rtl.chosen():
            model = [cycles.predict(self.cfg, program).cycles for _, _, program in self.programs()]
            fine = all(map(ge, taken, model)) if "--stall" in options else taken == model
            differs += "" if fine else f"cycles {taken}, model {model}: {self}"
        return differs, taken

    def differs(self, play: deploy.Play) -> str:
        """Say what is not as golden has it when this plays the runs; nothing if all is."""
        asked = self.stages, self.xs, self.state, self.give
        hs, after, results = deploy.run(*asked, play, self.host, allocate=anything)
        wrong = [f"h[{n}]" for n, h in enumerate(hs) if not np.array_equal(h, self.h[n])]
        for name, found, right in zip("hc", after or (), self.after):
            if not np.array_equal(found, right):
                wrong.append(f"{name} after the last steps")
        told = any(result.c_saturated for played in results for result in played)
        if told != (self.c_saturates and self.cfg.row_scales == 1):
            wrong.append("whether c saturates")
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
    start_cycles: int | None = None,
    cell: str | None = None,
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
        start_cycles: that a launch costs its host.
        cell: ``lstm`` or, of an engine that runs it, ``gru``, which is every third case.
    """
    rng, extreme = np.random.default_rng(seed), seed % 2 == 0
    kinds, sizes, lengths = _drawn_outline(rng, cfg, kinds, sizes, lengths)
    cell = cell or ("gru" if cfg.gru and seed % 3 == 2 else "lstm")
    scaled = cfg.row_scales == 1
    model = random_model(
        rng, cfg.fmt, kinds, sizes, cfg.max_shift, extreme, scaled, cell, cfg.packed > 1
    )
    bits = cfg.fmt.activation_bits
    xs = [integers(rng, bits, (steps, sizes[0]), extreme) for steps in lengths]
    before: Pair | None = None
    if rng.random() < 0.5 if state is None else state:
        shape = (len(model.layers), len(xs), max(sizes[1:]))
        before = integers(rng, bits, shape, extreme), integers(rng, C_BITS, shape, extreme)
    schedule = schedule or str(rng.choice(SCHEDULES))
    stages = _deployed(rng, model, cfg, schedule, max(lengths), chains)
    give = bool(rng.random() < 0.5) if give is None else give
    if start_cycles is None:
        start_cycles = int(rng.choice(START_CYCLES)) * (len(xs) > 4)
    return Case(seed, cfg, model, stages, xs, before, give, start_cycles)


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
    row_scales: bool = False,
    cell: str = "lstm",
    symmetric: bool = False,
) -> QuantModel:
    """Draw integer cells directly, so that every shift and the ends of every range occur.

    With ``row_scales`` each row has its own, and each LSTM cell its scale of c. ``symmetric`` ones
    have no weight of -2**(w - 1). Of a mixed format each level has activations of its own width.
    """
    if fmt.mixed:
        widths = rng.integers(2, fmt.activation_bits + 1, len(kinds))
        fmt = replace(fmt, levels=tuple(Format(fmt.weight_bits, int(bits)) for bits in widths))
    cells: list[QuantLayer] = []
    least = -fmt.most_weight - (not symmetric)
    for index, (kind, level) in enumerate(zip(kinds, _shapes(kinds, sizes))):
        for reverse, shape in zip(LEVELS[kind], level):
            rows = 4 * shape.hidden_size
            w_ih = integers(rng, fmt.weight_bits, (rows, shape.input_size), extreme)
            w_hh = integers(rng, fmt.weight_bits, (rows, shape.hidden_size), extreme)
            w_ih, w_hh = np.maximum(w_ih, least), np.maximum(w_hh, least)
            b = integers(rng, fmt.bias_bits - (0 if extreme else 6), (rows,), extreme)
            low = fmt.weight_frac_min + (0 if extreme else 6)
            each = rows if row_scales else None
            drawn = partial(
                _numbers, rng, each, bool(row_scales and extreme and rng.random() < 0.5)
            )
            frac, shift = drawn(low, fmt.weight_frac_max), drawn(0, max_shift)
            factor = drawn(0, 3) if row_scales else 0
            scaled = row_scales and cell == "lstm"
            c_shift = int(rng.integers(0, MAX_C_SHIFT + 1)) if scaled else 0
            scales = frac, shift, reverse, factor, c_shift, cell, fmt.h_drop(index)
            cells.append(QuantLayer(w_ih, w_hh, b, *scales))
    return QuantModel(fmt, tuple(cells), directions=tuple(len(LEVELS[kind]) for kind in kinds))


def saturating(cfg: Config, cell: str = "lstm") -> tuple[Run, Run, Run]:
    """Load a model, and run a step of it in which every c saturates, and one in which none does.

    Of a GRU it is n_h.
    """
    fmt, size, chains = cfg.fmt, cfg.max_hidden, cfg.chains
    w_ih, w_hh = np.zeros((4 * size, 1), np.int64), np.zeros((4 * size, size), np.int64)
    b = np.zeros(4 * size, np.int64)
    if cell == "gru":
        w_hh[:size] = (1 << (fmt.weight_bits - 1)) - 1
    else:
        b += (1 << (fmt.bias_bits - 1)) - 1
    model = QuantModel(fmt, (QuantLayer(w_ih, w_hh, b, fmt.weight_frac_min, 0, kind=cell),))
    (stage,) = deploy.deploy(model, cfg, "unfolded", 1, chains)
    zeros = golden.State.zeros(model, chains)
    most_h, most_c = ((1 << (bits - 1)) - 1 for bits in (fmt.activation_bits, C_BITS))
    full = golden.State(zeros.h + most_h, zeros.c + most_c)
    x = np.zeros((chains, 1, 1), np.int64)
    (loud,), (quiet,) = (stage.runs(x, state, False)[1] for state in (full, zeros))
    return stage.load(), loud, quiet


def _numbers(
    rng: np.random.Generator, count: int | None, ends: bool, least: int, most: int
) -> np.ndarray:
    """Draw numbers from all of a range or from its ends; one for all where no count is given."""
    return rng.choice([least, most], count) if ends else rng.integers(least, most + 1, count)


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
        stages = tuple(replace(stage, plan=retiled(rng, stage.plan)) for stage in stages)
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
        lambda: np.full(batch, choice[0]),
        lambda: rng.choice(np.arange(1, 13), batch, replace=False),
        lambda: rng.choice(choice, batch),
        lambda: rng.choice([np.arange(1, 5), np.full(4, 3)][batch % 2], 35),
    ][rng.choice(4, p=(0.3, 0.3, 0.3, 0.1))]()
    return kinds, sizes, lengths.tolist()


def _shapes(kinds: Sequence[str], sizes: Sequence[int]) -> list[list[LayerShape]]:
    """Shapes of the cells of each level."""
    cells = [len(LEVELS[kind]) for kind in kinds]
    widths = [sizes[0], *(n * size for n, size in zip(cells, sizes[1:]))]
    return [[LayerShape(x, h)] * n for x, h, n in zip(widths, sizes[1:], cells)]


def golden_of(
    model: QuantModel,
    xs: list[np.ndarray],
    state: Pair | None,
    saturated: list[golden.Saturated] | None = None,
) -> tuple[list[np.ndarray], Pair]:
    """Run golden on sequences (T, X) of any lengths: h of each, and the state after the last."""

    def run(x: np.ndarray, state: Pair | None) -> tuple[np.ndarray, Pair]:
        h, after = golden.run(model, x, state and golden.State(*state), saturated)
        return h, (after.h, after.c)

    return by_length(xs, state, run)


def integers(
    rng: np.random.Generator, bits: int, shape: tuple[int, ...], extreme: bool
) -> np.ndarray:
    """Draw signed integers, from all or from the ends of their range."""
    half = 1 << (bits - 1)
    if extreme:
        return np.where(rng.random(shape) < 0.5, -half, half - 1)
    return rng.integers(-half, half, shape)


def _pick(rng: np.random.Generator, sizes: list[int], most: int) -> int:
    return int(min(max(1, rng.choice(sizes)), most))
