"""From floats to the integers that every backend runs: rounding of weights, x, h and c."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from lstm_sharp.model.model import Cell, Layer, Levels, Model, by_gate
from lstm_sharp.numerics.formats import C_BITS, C_FRAC, GRU_C_FRAC, Format


@dataclass(frozen=True)
class QuantLayer(Cell):
    """One LSTM or GRU cell in integers.

    A real weight of row r is integer * (4 + factor[r]) / 4 * 2**-frac[r], and 2**x_shift[r] times
    that in w_ih, which takes x as a fraction in [-1, 1), like h. The accumulator's LSB is that of
    w_hh times 2**-h_frac; the bias is given in the x-part's, 2**x_shift[r] times as large. What
    belongs to rows may be given as one number for all.
    """

    w_ih: np.ndarray  # (4H, X) int64, within the format's weight bits
    w_hh: np.ndarray  # (4H, H) int64
    b: np.ndarray  # (4H,) int64, within the format's bias bits
    frac: np.ndarray  # (4H,) int64, of w_hh
    x_shift: np.ndarray  # (4H,) int64, 0 to the engine's max_shift
    reverse: bool = False
    factor: np.ndarray = 0  # type: ignore[assignment]  # (4H,) int64, 0 to 3
    c_shift: int = 0
    """An LSTM's c has C_FRAC - c_shift fraction bits; 0 to MAX_C_SHIFT, 0 of a GRU."""
    kind: str = "lstm"
    h_drop: int = 0
    """The last bits of h that are 0; of a level that is narrower than the stack's format."""

    def __post_init__(self) -> None:
        for name in ("frac", "x_shift", "factor"):
            rows = np.broadcast_to(np.asarray(getattr(self, name), np.int64), self.b.shape)
            object.__setattr__(self, name, rows)

    @property
    def row_scale(self) -> np.ndarray:
        """What one LSB of w_hh is worth, (4H,) float64."""
        return scale_of(self.factor, self.frac)

    @cached_property
    def x_gates(self) -> np.ndarray:
        """As a ``Cell``'s, of what the integers stand for, exactly."""
        rows = np.column_stack([self.w_ih, self.b]) * 2.0 ** self.x_shift[:, None]
        return by_gate(rows * self.row_scale[:, None])

    @cached_property
    def h_gates(self) -> np.ndarray:
        """As ``x_gates``."""
        return by_gate(self.w_hh * self.row_scale[:, None])

    @property
    def c_frac(self) -> int:
        """Fraction bits of c."""
        return GRU_C_FRAC if self.kind == "gru" else C_FRAC - self.c_shift


@dataclass(frozen=True)
class QuantModel(Levels[QuantLayer]):
    """A stack of integer cells, ordered as in ``Model``, and the scale of its input.

    Raises:
        UsageError: cells that make no stack; see ``Levels.levels``.
    """

    fmt: Format
    layers: tuple[QuantLayer, ...]
    name: str = "model"
    head: Callable[[np.ndarray], np.ndarray] | None = None
    no_head: ClassVar[str] = "has no head with it"
    notes: tuple[str, ...] = field(default=())
    """What was coarsened beyond the format, in words."""
    directions: tuple[int, ...] | None = None
    """Cells of each level, 1 or 2; None when each has one."""
    x_scale: np.ndarray = 1.0  # type: ignore[assignment]  # (X,) float64
    """What an LSB of the input's features is worth; w_ih's columns hold it too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = np.broadcast_to(np.asarray(self.x_scale, np.float64), (self.input_size,))
        object.__setattr__(self, "x_scale", scale)

    @property
    def units(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What an LSB of each cell's w_ih (4H, X), w_hh (4H, 1) and b (4H,) is worth, float64."""
        found, reach = [], self.x_scale * 2.0**self.fmt.h_frac
        for level in self.levels:
            for q in level:
                unit = q.row_scale * 2.0**q.x_shift
                of_b = unit * 0.5**self.fmt.h_frac
                found.append((unit[:, None] / reach, q.row_scale[:, None], of_b))
            reach = np.ones(1)  # of h
        return found

    def in_float(self) -> Model:
        """Give the float model that the integer weights stand for."""
        cells = [
            Layer(q.w_ih * of_w_ih, q.w_hh * of_w_hh, q.b * of_b, q.reverse, q.kind)
            for q, (of_w_ih, of_w_hh, of_b) in zip(self.layers, self.units)
        ]
        return Model(tuple(cells), self.name, self.head, self.directions)

    def quantize_input(self, x: np.ndarray) -> np.ndarray:
        """Turn x (batch, time, X) float into int64, rounded half up, saturated."""
        drop = self.fmt.h_drop(0)
        x = x / (self.x_scale * 2.0**drop)
        return to_int(x, 0, self.fmt.activation_bits - drop) << drop

    def dequantize_input(self, x: np.ndarray) -> np.ndarray:
        """Turn integer x (..., X) into float64."""
        return x * self.x_scale

    @property
    def x_reach(self) -> np.ndarray:
        """The largest abs(x) of each feature that saturates by one LSB at most, (X,) float64."""
        return self.x_scale * (2.0 ** (self.fmt.activation_bits - 1) + 0.5)

    def clipped(self, x: np.ndarray) -> int:
        """Count values of x (..., X) float beyond ``x_reach``."""
        return int(np.count_nonzero(np.abs(x) > self.x_reach))

    def quantize_state(self, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn h and c (cells, batch, H) float into int64, rounded half up, saturated."""
        return to_int(h, self.fmt.h_frac, self.fmt.activation_bits), to_int(c, self._c_frac, C_BITS)

    def dequantize_h(self, h: np.ndarray) -> np.ndarray:
        """Turn integer h into float32."""
        return (np.asarray(h) * 0.5**self.fmt.h_frac).astype(np.float32)

    def dequantize_c(self, c: np.ndarray) -> np.ndarray:
        """Turn integer c (cells, batch, H) into float32 (exact: 24 bits)."""
        return (np.asarray(c) * 0.5**self._c_frac).astype(np.float32)

    @property
    def c_reach(self) -> np.ndarray:
        """The largest abs(c) that a cell holds, (cells, 1, 1) float64."""
        return 2.0 ** (C_BITS - 1 - self._c_frac)

    @property
    def _c_frac(self) -> np.ndarray:
        return np.array([q.c_frac for q in self.layers])[:, None, None]


def scale_of(factor: np.ndarray, frac: np.ndarray) -> np.ndarray:
    """Say what an LSB of a row's weights is worth."""
    return (4 + factor) * 2.0 ** -(frac + 2)


def at_limit(c: np.ndarray) -> np.ndarray:
    """Say of integer c, any shape, which values stand at one of its limits."""
    most = (1 << (C_BITS - 1)) - 1
    return (c >= most) | (c < -most)


def to_int(values: np.ndarray, frac: int | np.ndarray, bits: int) -> np.ndarray:
    """Scale by 2**frac, round half up, saturate to a signed integer of bits."""
    half = 1 << (bits - 1)
    scaled = np.floor(np.asarray(values, dtype=np.float64) * 2.0**frac + 0.5)
    return np.clip(scaled, -half, half - 1).astype(np.int64)
