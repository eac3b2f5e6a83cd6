"""The float LSTM that errors are measured against."""

from __future__ import annotations

import numpy as np

from lstm_sharp.model.model import Model


def run(
    model: Model, x: np.ndarray, state: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run x (batch, time, X) through all layers in float64.

    Args:
        model: the float model.
        x: (batch, time, X).
        state: h and c, (layers, batch, H) each; zeros by default.

    Returns:
        The last layer's h (batch, time, H), and h and c of every layer after the last step,
        (layers, batch, H) each with H the widest layer's.
    """
    batch, widest = x.shape[0], max(layer.hidden_size for layer in model.layers)
    after_h = np.zeros((len(model.layers), batch, widest))
    after_c = np.zeros_like(after_h)
    x = x.astype(np.float64)
    for index, layer in enumerate(model.layers):
        size = layer.hidden_size
        h = np.zeros((batch, size)) if state is None else state[0][index, :, :size]
        c = np.zeros((batch, size)) if state is None else state[1][index, :, :size]
        x_sums = x @ layer.w_ih.T + layer.b
        out = np.empty(x.shape[:2] + (size,))
        for t in range(x.shape[1]):
            i, f, g, o = np.split(x_sums[:, t] + h @ layer.w_hh.T, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
            out[:, t] = h
        after_h[index, :, :size], after_c[index, :, :size] = h, c
        x = out
    return x, after_h, after_c


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * z))
