"""Test vectors of a package: sequences, and what an engine must give for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.numerics.stored import own_format
from lstm_sharp.runtime.deploy import Stage, deploy
from lstm_sharp.runtime.inputs import check_input

SEQUENCES, STEPS, SEED = 8, 16, 1
"""How many sequences, their length where nothing shortens it, and the seed of drawn inputs."""


class Half(NamedTuple):
    """Half of the vectors."""

    x: np.ndarray  # (B / 2, T, X)
    state: State | None
    h: np.ndarray
    end: State


@dataclass(frozen=True)
class Vectors:
    """Sequences and what they must give, all integers (int64); B sequences of T steps.

    The first half starts from zeros. The second half goes on from the state in which the first
    one ended, as a caller does who carries the state over.
    """

    x: np.ndarray  # (B, T, X)
    h_start: np.ndarray  # (cells, B, widest H), as golden.State has it
    c_start: np.ndarray
    h: np.ndarray  # (B, T, width), the last level's
    h_end: np.ndarray  # (cells, B, widest H), after the last step
    c_end: np.ndarray

    @property
    def half(self) -> int:
        """How many sequences start from zeros; as many go on from a state."""
        return self.x.shape[0] // 2

    def halves(self) -> Iterator[Half]:
        """Yield those that start from zeros, then those that go on from a state."""
        for rows in (slice(self.half), slice(self.half, None)):
            start = State(self.h_start[:, rows], self.c_start[:, rows])
            end = State(self.h_end[:, rows], self.c_end[:, rows])
            yield Half(self.x[rows], start if rows.start else None, self.h[rows], end)


def prepare(
    model: Model,
    cfg: Config,
    schedule: str = "best",
    calibration: np.ndarray | None = None,
    assume: tuple[float, float] | None = None,
) -> tuple[QuantModel, tuple[Stage, ...], Vectors, np.ndarray]:
    """Quantise a model, lay it out on an engine, and make its test vectors.

    Args:
        model: the float model. Its integer model is taken, if it has one, and vectors are drawn as
            far as that takes x.
        cfg: the engine.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (batch, time, X) float: sets the scales, and its first sequences
            become the vectors, over again if there are fewer.
        assume: instead, the ends between which x lies: it is drawn, and weights are rounded each to
            the nearest, for nothing is known that they could be fitted to.

    Returns:
        The integer model, its stages, its vectors, and the calibration data, float64.

    Raises:
        UsageError: the config does not hold the model, or calibration data that cannot be used;
            neither of the two, or both.
    """
    held, method = model.quantized, "error"
    if held is not None:
        own_format(model, str(cfg.fmt), calibration)
        calibration = typical(model)
    elif (calibration is None) == (assume is None):
        raise UsageError(
            "how far x reaches is not to be guessed: give calibration data (--calibration X.npy), "
            "or the ends between which x lies (--assume-range A,B), and not both"
        )
    if held is None and assume is not None:
        method, calibration = "min-max", drawn(model, *assume)
    calibration = check_input(model, np.asarray(calibration), "calibration data")
    quantized = held or quantize(model, cfg.fmt, calibration, method=method, **cfg.limits)
    stages = deploy(quantized, cfg, schedule, sequences=SEQUENCES // 2)
    first = np.arange(SEQUENCES) % len(calibration)
    x = calibration[first, : _steps(stages)]
    return quantized, stages, make(quantized, quantized.quantize_input(x)), calibration


def drawn(model: Model, low: float, high: float) -> np.ndarray:
    """Draw inputs between two ends, (8, 16, X) float64, the ends among them.

    Raises:
        UsageError: they are no ends.
    """
    if not (np.isfinite([low, high]).all() and low < high):
        raise UsageError(f"x from {low:g} to {high:g} is no range; give its ends, such as -1,1")
    x = np.random.default_rng(SEED).uniform(low, high, (SEQUENCES, STEPS, model.input_size))
    x[:, 0], x[:, 1] = low, high
    return x


def typical(model: Model) -> np.ndarray:
    """Draw x over all that the integer model takes, or from -1 to 1 if there is none; float64."""
    return drawn(model, -1, 1) * (1.0 if model.quantized is None else model.quantized.x_reach)


def largest_error(model: Model, quantized: QuantModel, x: np.ndarray) -> float:
    """Return the largest abs(h - float h) over x (batch, time, X) float."""
    errors = []
    for at in range(0, len(x), 256):
        part = x[at : at + 256]
        h, _ = golden.run(quantized, quantized.quantize_input(part))
        errors.append(np.abs(quantized.dequantize_h(h) - reference.run(model, part).h).max())
    return float(max(errors))


def make(model: QuantModel, x: np.ndarray) -> Vectors:
    """Run the golden model on integer x (B, T, X), B even."""
    fresh, resumed = np.split(x, 2)
    zeros = State.zeros(model, len(fresh))
    h, middle = golden.run(model, fresh, zeros)
    more, end = golden.run(model, resumed, middle)
    return Vectors(
        x,
        np.concatenate([zeros.h, middle.h], axis=1),
        np.concatenate([zeros.c, middle.c], axis=1),
        np.concatenate([h, more]),
        np.concatenate([middle.h, end.h], axis=1),
        np.concatenate([middle.c, end.c], axis=1),
    )


def _steps(stages: tuple[Stage, ...]) -> int:
    """Choose the most steps: ``STEPS``, or what the engine keeps between levels in one call."""
    plan = stages[0].plan
    stride = plan.stride(1)
    return min(STEPS, plan.cfg.sequence_words // stride if stride else STEPS)
