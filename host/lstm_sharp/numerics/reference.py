"""The float LSTM and GRU that errors are measured against."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics.golden import run_levels
from lstm_sharp.numerics.products import input_sums, product

Map = Callable[[np.ndarray], np.ndarray]


class Answer(NamedTuple):
    """What a run gives, all float64."""

    h: np.ndarray  # (batch, time, hidden), the last level's
    last_h: np.ndarray  # (cells, batch, H), H the widest cell's: after the last step
    last_c: np.ndarray
    peak_c: float
    """The largest abs(c) of any cell after any step."""


def run(
    model: Model,
    x: np.ndarray,
    state: tuple[np.ndarray, np.ndarray] | None = None,
    watch: Callable[[Layer, np.ndarray, np.ndarray, float], None] | None = None,
    tanh: Map = np.tanh,
    rounded: Map = np.asarray,
) -> Answer:
    """Run x (batch, time, X) through all levels in float64.

    Args:
        model: the float model.
        x: (batch, time, X).
        state: h and c of every cell, (cells, batch, H) each; zeros by default.
        watch: called with each cell, its x and h (batch, time, ...) in the order of its steps, and
            the largest abs(c) of it.
        tanh: of floats, which sigma is made of, too.
        rounded: what becomes of h (batch, H) after each step.

    The last step of a reverse cell is step 0.
    """
    zeros = np.zeros(model.state_shape(len(x)))
    h, c = (v.astype(np.float64) for v in (state or (zeros, zeros)))
    peaks: list[float] = [0.0]

    def run_cell(
        layer: Layer, x: np.ndarray, h: np.ndarray, c: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        x_sums = input_sums(x, layer.x_gates)
        out, peak = np.empty((*x.shape[:2], layer.hidden_size)), 0.0
        for t in range(x.shape[1]):
            sums = x_sums[:, t] + product(h, layer.h_gates, len(h))
            if layer.kind == "gru":
                n_h, r, n_x, z = sums
                n = tanh(n_x + sigmoid(r, tanh) * n_h)
                c = n + sigmoid(z, tanh) * (c - n)
                h = c
            else:
                i, f, g, o = sums
                c = sigmoid(f, tanh) * c + sigmoid(i, tanh) * tanh(g)
                h = sigmoid(o, tanh) * tanh(c)
            peak = max(peak, float(np.abs(c).max()))
            out[:, t] = h = rounded(h)
        peaks.append(peak)
        if watch:
            watch(layer, x, out, peak)
        return out, c

    return Answer(*run_levels(model, x.astype(np.float64), h, c, run_cell), max(peaks))


def sigmoid(z: np.ndarray, tanh: Map = np.tanh) -> np.ndarray:
    """Compute it of floats, by tanh as the engine does."""
    return 0.5 * (1.0 + tanh(0.5 * z))
