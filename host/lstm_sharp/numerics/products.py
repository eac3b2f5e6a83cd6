"""Matrix products of a cell, a gate at a time, in pieces that BLAS does in one thread.

OpenBLAS, which NumPy's wheels bring, takes all cores for a product that is not small. Its threads
then spin for tens of milliseconds in wait of the next one, which for a recurrence comes at once,
again and again: twice the processor time for nothing. A call of its own for each gate and each few
rows stays below what it deems worth threads, and is as fast.
"""

from __future__ import annotations

import numpy as np

_MATRIX, _VECTOR = 1 << 18, 9 << 10
"""Multiplications that OpenBLAS does in one thread, of a matrix or of one row by a matrix: what its
sources call SMP_THRESHOLD_MIN and GEMM_MULTITHREAD_THRESHOLD make them."""
_FEWEST = 16
"""Rows of a piece: smaller ones take longer than threads save."""


def product(x: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """Multiply x (rows, X) by each gate's matrix (4, X, H): float64 (4, rows, H)."""
    if len(x) == 1 and gates[0].size >= _VECTOR:
        return np.matmul(np.repeat(x, 2, axis=0), gates)[:, :1]
    most = _MATRIX // gates[0].size
    if len(x) <= most or most < _FEWEST:
        return np.matmul(x, gates)
    out = np.empty((len(gates), len(x), gates.shape[2]))
    pieces = -(-len(x) // most)
    for n in range(pieces):
        part = slice(n * len(x) // pieces, (n + 1) * len(x) // pieces)
        np.matmul(x[part], gates, out=out[:, part])
    return out


def input_sums(x: np.ndarray, gates: np.ndarray, unit: float = 1.0) -> np.ndarray:
    """Multiply x (batch, time, X), in units, by each gate's matrix, whose last row is the bias.

    Returns:
        float64 (4, time, batch, H).
    """
    batch, time, _ = x.shape
    rows = np.full((time, batch, gates.shape[1]), unit)
    np.multiply(x.transpose(1, 0, 2), unit, out=rows[:, :, :-1], dtype=np.float64)
    return product(rows.reshape(time * batch, -1), gates).reshape(4, time, batch, -1)
