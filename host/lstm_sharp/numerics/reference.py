"""The float LSTM that errors are measured against."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstm_sharp.model.model import Layer, Model


class Answer(NamedTuple):
    """What a run gives, all float64."""

    h: np.ndarray  # (batch, time, hidden), the last level's
    last_h: np.ndarray  # (cells, batch, H), H the widest cell's: after the last step
    last_c: np.ndarray
    peak_c: float
    """The largest abs(c) of any cell after any step."""


def run(model: Model, x: np.ndarray, state: tuple[np.ndarray, np.ndarray] | None = None) -> Answer:
    """Run x (batch, time, X) through all levels in float64.

    Args:
        model: the float model.
        x: (batch, time, X).
        state: h and c of every cell, (cells, batch, H) each; zeros by default.

    The last step of a reverse cell is step 0.
    """
    widest = max(layer.hidden_size for layer in model.layers)
    shape = (len(model.layers), x.shape[0], widest)
    before_h, before_c = (np.zeros(shape), np.zeros(shape)) if state is None else state
    after_h, after_c = np.zeros(shape), np.zeros(shape)
    x = x.astype(np.float64)
    index, peak = 0, 0.0
    for level in model.levels:
        outputs = []
        for cell in level:
            size = cell.hidden_size
            order = slice(None, None, -1 if cell.reverse else 1)
            h, c = before_h[index, :, :size], before_c[index, :, :size]
            steps, c, reached = _run_cell(cell, x[:, order], h, c)
            peak = max(peak, reached)
            after_h[index, :, :size], after_c[index, :, :size] = steps[:, -1], c
            outputs.append(steps[:, order])
            index += 1
        x = np.concatenate(outputs, axis=2)
    return Answer(x, after_h, after_c, peak)


def _run_cell(
    layer: Layer, x: np.ndarray, h: np.ndarray, c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Run one cell over x as ordered; returns h (batch, time, H), the last c and its peak."""
    x_sums = x @ layer.w_ih.T + layer.b
    out = np.empty((*x.shape[:2], layer.hidden_size))
    peak = 0.0
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x_sums[:, t] + h @ layer.w_hh.T, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        peak = max(peak, float(np.abs(c).max()))
        out[:, t] = h = _sigmoid(o) * np.tanh(c)
    return out, c, peak


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * z))
