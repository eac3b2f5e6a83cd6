"""The golden model: what csim, RTL and board must equal bit for bit.

Everything is an integer; sums are formed in float64, which is exact below 2**53, because BLAS is
many times faster on it than NumPy is on integers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import AnyCell, Levels
from lstm_sharp.numerics.activation import Z_BITS, Z_FRAC, all_steps
from lstm_sharp.numerics.formats import C_BITS, C_FRAC, GRU_C_FRAC, SIGMA_FRAC, Format
from lstm_sharp.numerics.products import input_sums, product
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel

_Z_HALF = 1 << (Z_BITS - 1)
_ONE = 1 << Z_FRAC
_C_HALF = 1 << (C_BITS - 1)
_PRODUCT_FRAC = 2 * SIGMA_FRAC  # of i g, and of o tanh(c)
_DROP = _PRODUCT_FRAC - C_FRAC  # bits that c does not keep of them
_T_IN_C = 2.0 ** (GRU_C_FRAC - SIGMA_FRAC)  # an LSB of tanh in those of a GRU's c
_Ends = tuple[np.ndarray, np.ndarray]  # first and last index of the table, for each neuron
_Stepped = tuple[np.ndarray, np.ndarray, int]  # h, unsaturated; c; and how often values were held


class State(NamedTuple):
    """h and c of cells in the model's order, integers: (cells, batch, H) each, H the widest cell's.

    A forward cell's is that before the first or after the last step, a reverse cell's that before
    step T - 1 or after step 0.
    """

    h: np.ndarray
    c: np.ndarray

    @classmethod
    def zeros(cls, model: QuantModel, batch: int) -> State:
        """The state in which a sequence starts by default."""
        shape = model.state_shape(batch)
        return cls(np.zeros(shape, np.int64), np.zeros(shape, np.int64))


HELD = {"lstm": "c", "gru": "n_h or n_x"}
"""What is held to the ends of its range where it goes beyond, beside h, by the kind of a cell."""


class Saturated(NamedTuple):
    """How often a cell's numbers were held to the ends of their range, over all steps."""

    h: int  # by rounding up to 1 alone, so by one LSB
    c: int  # or what ``HELD`` says


def run(
    model: QuantModel,
    x: np.ndarray,
    state: tuple[np.ndarray, np.ndarray] | None = None,
    saturated: list[Saturated] | None = None,
) -> tuple[np.ndarray, State]:
    """Run integer x (batch, time, X) through all levels.

    Args:
        model: the integer model.
        x: its input.
        state: h and c to begin with; zeros by default.
        saturated: gets what saturated, of cell after cell.

    Returns:
        The last level's h (batch, time, hidden) int64, and the state that the run leaves behind.
    """
    h, c = (v.astype(np.int64) for v in state or State.zeros(model, x.shape[0]))
    x, *after = run_levels(model, x, h, c, partial(run_cell, model.fmt, saturated))
    return x, State(*after)


def run_levels(
    model: Levels[AnyCell],
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    run_cell: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run x (batch, time, X) through the cells of all levels, in integers or in floats.

    Args:
        model: the stack.
        x: of the lowest level.
        h: of every cell before its first step, (cells, batch, H) of the widest H.
        c: likewise.
        run_cell: takes a cell, its x (batch, time, X) in the order of its steps, h and c (batch,
            H); gives h of each step (batch, time, H), and the last c.

    Returns:
        The last level's h (batch, time, hidden), and h and c after the last step of each cell.
    """
    after_h, after_c, index = np.zeros_like(h), np.zeros_like(c), 0
    for level in model.levels:
        outputs = []
        for cell in level:
            own = index, slice(None), slice(cell.hidden_size)
            order = slice(None, None, -1 if cell.reverse else 1)
            steps, after_c[own] = run_cell(cell, x[:, order], h[own], c[own])
            after_h[own] = steps[:, -1]
            outputs.append(steps[:, order])
            index += 1
        x = np.concatenate(outputs, axis=2)
    return x, after_h, after_c


def run_cell(
    fmt: Format,
    saturated: list[Saturated] | None,
    layer: QuantLayer,
    x: np.ndarray,
    h: np.ndarray,
    c: np.ndarray,
    watch: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Run one cell over x as ordered; returns h (batch, time, H) and the last c, both int64.

    ``watch`` is called after each step with its sums, real numbers of z's (4, batch, H), and with
    c (batch, H).
    """
    _check_exact(layer, fmt)
    x_sums = input_sums(x, layer.x_gates)
    # tanh takes z, sigma takes z / 2: see numerics.activation
    scale = np.full((4, 1, 1), 2.0 ** (Z_FRAC - fmt.h_frac - 1))
    scale[2] *= 2.0
    h, c, h_frac = h.astype(np.float64), c.astype(np.float64), fmt.h_frac - layer.h_drop
    step = _gru_step if layer.kind == "gru" else partial(_lstm_step, 2.0**layer.c_shift)
    # Arrays, for NumPy is three times slower where a limit is a single number.
    ends = np.zeros(h.shape), np.full(h.shape, 2.0 * _Z_HALF - 1)
    out, held = np.empty((*x.shape[:2], layer.hidden_size), np.int64), 0
    for t in range(x.shape[1]):
        z = product(h, layer.h_gates, len(h))
        z += x_sums[:, t]
        z *= scale
        h, c, over = step(h_frac, ends, z, c)
        h.clip(-(1 << h_frac), (1 << h_frac) - 1, out=h)
        if layer.h_drop:
            h *= 1 << layer.h_drop
        out[:, t], held = h, held + over
        if watch:
            watch(z, c)
    if saturated is not None:
        highest = ((1 << h_frac) - 1) << layer.h_drop
        saturated.append(Saturated(int(np.count_nonzero(out == highest)), held))
    return out, c.astype(np.int64)


def _lstm_step(c_scale: float, h_frac: int, ends: _Ends, z: np.ndarray, c: np.ndarray) -> _Stepped:
    """Update neurons by their sums z (4, batch, H) and c."""
    i, f, g, o = _lookup(z, ends)
    if c_scale > 1:
        g = np.floor(g / c_scale)
    c = _round(2.0 * (f + _ONE) * c + (i + _ONE) * (2.0 * g + 1.0), _DROP)
    held = _saturate(c, _C_HALF)
    t_of_c = 2.0 * _lookup(c * c_scale, ends) + 1.0
    return _round((o + _ONE) * t_of_c, _PRODUCT_FRAC - h_frac), c, held


def _gru_step(h_frac: int, ends: _Ends, z: np.ndarray, c: np.ndarray) -> _Stepped:
    """As ``_lstm_step``."""
    n_h, n_x = np.floor(z[0]), np.floor(z[2])
    held = _saturate(n_h, _C_HALF / 2) + _saturate(n_x, _C_HALF)
    r, keep = _lookup(z[1::2], ends) + _ONE
    n = _round(2.0 * r * (2.0 * n_h + 1.0) + n_x * 2.0**_DROP, _DROP)
    t = 2.0 * _lookup(n, ends) + 1.0
    c = _round(keep * (c - t * _T_IN_C) + t * 2.0**GRU_C_FRAC, SIGMA_FRAC)
    return _round(c.copy(), GRU_C_FRAC - h_frac), c, held


def _saturate(value: np.ndarray, half: float) -> int:
    """Hold values to [-half, half), in place, and count those that are beyond."""
    if value.max() < half and value.min() >= -half:
        return 0
    held = int(np.count_nonzero((value >= half) | (value < -half)))
    value.clip(-half, half - 1, out=value)
    return held


def _lookup(z: np.ndarray, ends: _Ends) -> np.ndarray:
    """Look y up, float64, for real z in units of 2**-Z_FRAC: floor, saturate to indices' ends."""
    index = np.floor(z)
    index += _Z_HALF
    np.minimum(index, ends[1], out=index)
    np.maximum(index, ends[0], out=index)
    return all_steps().take(index.astype(np.intp), mode="clip").astype(np.float64)


def _round(value: np.ndarray, drop: int) -> np.ndarray:
    """Drop bits of a value, in place, rounding half up."""
    value *= 0.5**drop
    value += 0.5
    return np.floor(value, out=value)


def _check_exact(layer: QuantLayer, fmt: Format) -> None:
    """Refuse sizes whose worst sum would leave float64's exact integers."""
    product = 1 << (fmt.weight_bits + fmt.activation_bits - 2)
    shift = int(layer.x_shift.max())
    worst = layer.input_size * product + (1 << (fmt.bias_bits - 1))
    odd = max((1, 5, 3, 7)[factor] for factor in np.unique(layer.factor))  # of 4 + factor
    worst = ((worst << shift) + layer.hidden_size * product) * odd
    if worst >= 1 << 53:
        raise UsageError(
            f"{layer.input_size} inputs and {layer.hidden_size} units at {fmt} and x_shift "
            f"{shift} can sum to {worst}, over 2**53; use fewer bits"
        )
