"""What a user hands in to be run, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import C_LIMIT
from lstm_sharp.numerics.quantize import QuantModel

FloatState = tuple[np.ndarray, np.ndarray]
"""h and c, (cells, batch, H) each, H the widest cell's; a cell is one direction of a layer."""
ENGINE_LIMITS = 1.0, float(C_LIMIT)
FLOAT_LIMITS = np.inf, np.inf


def check_input(model: Model | QuantModel, x: np.ndarray, what: str) -> np.ndarray:
    """Return x as (batch, time, X) float64.

    Raises:
        UsageError: wrong shape, empty, not numbers, NaN or infinity.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "fiu":
        raise UsageError(f"{what} has type {x.dtype}; float32 (batch, time, features) is expected")
    if x.ndim != 3:
        raise UsageError(f"{what} has shape {x.shape}; (batch, time, features) is expected")
    if x.shape[2] != model.input_size:
        raise UsageError(f"{what} has {x.shape[2]} features, {model.name} takes {model.input_size}")
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise UsageError(
            f"{what} has {x.shape[0]} sequences of {x.shape[1]} steps; give at least one of each"
        )
    bad = int(x.size - np.isfinite(x).sum())
    if bad:
        raise UsageError(f"{what} has {bad} NaN or infinite of {x.size} values; clean it first")
    return x.astype(np.float64)


def check_sizes(model: Model, x: np.ndarray, what: str) -> None:
    """Refuse x (batch, time, X) that contradicts the sizes which the model's file fixes.

    Raises:
        UsageError: it does; the batch may have been taken for the time.
    """
    if all(size in (0, given) for size, given in zip(model.sizes, x.shape)):
        if model.check:
            model.check(*x.shape[:2])
        return

    def told(*sizes: int) -> str:
        return f"({', '.join(str(size or 'any') for size in sizes)}, {model.input_size})"

    batch, time = model.sizes
    first = f"{told(time, batch)}, time first, so here" if model.time_first else "x as"
    raise UsageError(
        f"{what} has shape {x.shape}, but the file of {model.name} declares {first} (batch, time, "
        f"features) = {told(batch, time)}; give it so, or export the model with dynamic axes"
    )


def check_lengths(x: np.ndarray, lengths: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """Return the steps of each sequence of x (batch, time, X), (batch,) int64.

    Raises:
        UsageError: not whole numbers, not one a sequence, below 1 or beyond x.
    """
    batch, time, _ = x.shape
    ends = np.full(batch, time) if lengths is None else np.asarray(lengths)
    if ends.dtype.kind not in "iu" or ends.shape != (batch,):
        raise UsageError(
            f"lengths have type {ends.dtype} and shape {ends.shape}; one whole number for each of "
            f"{batch} sequences is expected"
        )
    wrong = (ends < 1) | (ends > time)
    if wrong.any():
        raise UsageError(
            f"sequence {int(wrong.argmax())} has a length of {int(ends[wrong.argmax()])}; "
            f"1 to the {time} steps of the input are possible"
        )
    return ends.astype(np.int64)


def check_state(
    model: Model | QuantModel, batch: int, state: FloatState, limits: tuple[float, float]
) -> FloatState:
    """Return h and c as float64.

    Args:
        model: whose state it is.
        batch: sequences.
        state: h and c.
        limits: largest abs(h) and abs(c): ``ENGINE_LIMITS``, or ``FLOAT_LIMITS``.

    Raises:
        UsageError: wrong shape, NaN or infinity, or out of range.
    """
    widest = max(layer.hidden_size for layer in model.layers)
    want = (len(model.layers), batch, widest)
    for name, value, most in zip(("h", "c"), state, limits):
        if np.shape(value) != want:
            raise UsageError(
                f"state {name} has shape {np.shape(value)}; (cells, batch, hidden) = {want} is "
                "expected"
            )
        if not np.isfinite(np.asarray(value, dtype=np.float64)).all():
            raise UsageError(f"state {name} has NaN or infinite values; clean it first")
        reach = float(np.abs(np.asarray(value, dtype=np.float64)).max())
        if reach > most:
            raise UsageError(
                f"state {name} reaches {reach:g}, an engine holds {most:g}; give what a run of "
                "this model on an engine has left behind, or run it with backend float"
            )
    return np.asarray(state[0], dtype=np.float64), np.asarray(state[1], dtype=np.float64)
