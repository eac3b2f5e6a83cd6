"""Sequences of different length on models that take batches of one length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]
"""h and c, (cells, batch, H) each."""
Run = Callable[[np.ndarray, "Pair | None"], tuple[np.ndarray, Pair]]
"""Takes x (batch, time, X) and a state; gives h (batch, time, width) and the state after."""


def by_length(
    xs: Sequence[np.ndarray], state: Pair | None, run: Run
) -> tuple[list[np.ndarray], Pair]:
    """Run sequences of one length together, length after length.

    Args:
        xs: (T, X) each.
        state: of all sequences, or None.
        run: the model.

    Returns:
        h (T, width) of each sequence, and the state after the last step of each.
    """
    lengths = np.array([len(x) for x in xs])
    hs: list[np.ndarray] = [xs[0]] * len(xs)
    after: Pair | None = None
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        own = None if state is None else (state[0][:, rows], state[1][:, rows])
        found, left = run(np.stack([xs[int(row)] for row in rows]), own)
        for row, h in zip(rows, found):
            hs[row] = h
        if after is None:
            h, c = (np.zeros((v.shape[0], len(xs), v.shape[2]), v.dtype) for v in left)
            after = h, c
        for whole, part in zip(after, left):
            whole[:, rows] = part
    assert after is not None
    return hs, after
