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
_SMALL = 1 << 20
"""Multiplications of a gate's step that are too few for threads to be worth their spinning."""
_COLUMNS = 64
"""Of a piece, which has as many rows as go with that: with few of either it would be slow."""


def product(x: np.ndarray, gates: np.ndarray, batch: int) -> np.ndarray:
    """Multiply x (rows, X), so many of them a step, by each gate's matrix (4, X, H).

    Returns:
        float64 (4, rows, H).
    """
    (rows, width), hidden = x.shape, gates.shape[2]
    if rows == 1 and width * hidden >= _VECTOR:
        return product(np.repeat(x, 2, axis=0), gates, batch)[:, :1]
    if rows * width * hidden <= _MATRIX or batch * width * hidden > _SMALL:
        return np.matmul(x, gates)
    out = np.empty((len(gates), rows, hidden))
    pieces = -(-rows * width * min(hidden, _COLUMNS) // _MATRIX)
    for n in range(pieces):  # as even as can be, so that none is of one row
        some = slice(n * rows // pieces, (n + 1) * rows // pieces)
        for first in range(0, hidden, _COLUMNS):
            columns = slice(first, first + _COLUMNS)
            np.matmul(x[some], gates[:, :, columns], out=out[:, some, columns])
    return out


def input_sums(x: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """Multiply x (batch, time, X) by each gate's matrix, (4, X + 1, H) with the bias as last row.

    Returns:
        float64 (4, time, batch, H).
    """
    batch, time, _ = x.shape
    rows = np.ones((time, batch, gates.shape[1]))
    rows[:, :, :-1] = x.transpose(1, 0, 2)
    return product(rows.reshape(time * batch, -1), gates, batch).reshape(4, time, batch, -1)
