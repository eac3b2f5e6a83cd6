"""How far a run is from the float one, in the figure that formats are compared by."""

from __future__ import annotations

import numpy as np


def decibels(signal: np.ndarray, found: np.ndarray) -> float:
    """Return signal to error, 10 log10(sum signal^2 / sum (found - signal)^2).

    Args:
        signal: what is right, float of any shape; h of the float model.
        found: what came instead, of the same shape.

    Returns:
        inf where nothing differs, -inf where a signal of zeros is missed.
    """
    signal = np.asarray(signal, dtype=np.float64)
    error = float(np.square(found - signal).sum())
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.square(signal).sum() / error)) if error else np.inf
