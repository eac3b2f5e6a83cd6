"""Random cases that golden model, csim and RTL run alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lstm_sharp.engine import pack
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.program import Program
from lstm_sharp.engine.schedule import SCHEDULES, Plan, make_plan, shapes_of, weight_tiles
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.formats import C_BITS, Format
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel
from lstm_sharp.run.jobs import Run

_SIZES = (1, 2, 3, 5, 7, 11, 13)


@dataclass(frozen=True)
class Case:
    """A quantised model, its input and state, and the programs that run it."""

    seed: int
    model: QuantModel
    plan: Plan
    program: Program
    x: np.ndarray  # (batch, time, X) int64
    state: golden.State | None
    h: np.ndarray  # golden result, (batch, time, H) int64

    def __str__(self) -> str:
        sizes = [self.model.input_size, *(q.hidden_size for q in self.model.layers)]
        return (
            f"seed {self.seed}: {self.plan.cfg.name} {self.model.fmt} {self.plan.schedule}, "
            f"sizes {sizes}, batch and time {self.x.shape[:2]}, state {self.state is not None}"
        )

    def runs(self) -> list[Run]:
        """Return the job: weights, then the sequences."""
        cfg = self.plan.cfg
        state = np.zeros(0, np.uint8)
        if self.state is not None:
            state = pack.state_beats(self.model, self.plan, self.state)
        beats = self.x.shape[0] * self.x.shape[1] * pack.vector_beats(self.plan.layers[-1], cfg)
        return [
            Run(
                self.plan.load_program().encode(cfg),
                pack.weight_beats(self.model, self.plan),
                np.zeros(0, np.uint8),
                0,
            ),
            Run(
                self.program.encode(cfg),
                state,
                pack.x_beats(self.x, cfg),
                beats * cfg.stream_bits // 8,
            ),
        ]

    def unpack(self, beats: np.ndarray) -> np.ndarray:
        """Unpack the second run's h."""
        return pack.unpack_h(beats, self.plan, *self.x.shape[:2])


def draw(cfg: Config, seed: int, most_layers: int = 3, sizes: list[int] | None = None) -> Case:
    """Draw a case that fits a config: awkward sizes, full-range integers, every fourth extreme.

    ``sizes`` (X, then H of each layer) takes the place of those that would be drawn.
    """
    rng = np.random.default_rng(seed)
    inputs = [*_SIZES, cfg.columns - 1, cfg.columns, cfg.columns + 1, cfg.max_input]
    hiddens = [*_SIZES, cfg.columns - 1, cfg.columns + 1, cfg.block + 1, cfg.max_hidden]
    fixed = sizes
    while True:
        size = _pick(rng, inputs, cfg.max_input)
        count = int(rng.integers(1, most_layers + 1))
        widest = cfg.max_hidden if count == 1 else min(cfg.max_hidden, cfg.max_input)
        sizes = fixed or [size, *(_pick(rng, hiddens, widest) for _ in range(count))]
        model = random_model(rng, cfg.fmt, sizes, cfg.max_shift, extreme=seed % 4 == 0)
        shapes = [LayerShape(x, h) for x, h in zip(sizes, sizes[1:])]
        if weight_tiles(shapes, cfg) <= cfg.weight_tiles:
            break
    plan = make_plan(shapes_of(model), cfg, str(rng.choice(SCHEDULES)))
    batch, time = int(rng.integers(1, 4)), int(rng.choice([1, 2, 3, 4, 6]))
    half = 1 << (cfg.fmt.activation_bits - 1)
    x = rng.integers(-half, half, (batch, time, sizes[0]))
    if seed % 4 == 0:
        x = np.where(rng.random(x.shape) < 0.5, -half, half - 1)
    state = None
    if rng.random() < 0.5:
        shape = (len(model.layers), batch, max(sizes[1:]))
        c_half = 1 << (C_BITS - 1)
        state = golden.State(rng.integers(-half, half, shape), rng.integers(-c_half, c_half, shape))
    h, _ = golden.run(model, x, state)
    program = plan.program(time, batch, state is not None)
    return Case(seed, model, plan, program, x, state, h)


def random_model(
    rng: np.random.Generator, fmt: Format, sizes: list[int], max_shift: int, extreme: bool
) -> QuantModel:
    """Draw integer layers directly, so that every shift and the ends of every range occur."""
    half = 1 << (fmt.weight_bits - 1)
    bias = 1 << (fmt.bias_bits - 1)
    layers = []
    for x_size, h_size in zip(sizes, sizes[1:]):
        w_ih = rng.integers(-half, half, (4 * h_size, x_size))
        w_hh = rng.integers(-half, half, (4 * h_size, h_size))
        b = rng.integers(-(bias >> 6), bias >> 6, 4 * h_size)
        low, high = fmt.weight_frac_min + 6, fmt.weight_frac_max
        if extreme:
            w_ih, w_hh = (
                np.where(rng.random(w.shape) < 0.5, -half, half - 1) for w in (w_ih, w_hh)
            )
            b = np.where(rng.random(b.shape) < 0.5, -bias, bias - 1)
            low = fmt.weight_frac_min
        frac = int(rng.integers(low, high + 1))
        shift = int(rng.integers(0, max_shift + 1))
        layers.append(QuantLayer(w_ih, w_hh, b, fmt.h_frac, fmt.h_frac + frac - shift, frac, shift))
    return QuantModel(fmt, tuple(layers))


def _pick(rng: np.random.Generator, sizes: list[int], most: int) -> int:
    return int(min(max(1, rng.choice(sizes)), most))
