"""Sequences of different length on golden, float and heads, which take batches of one length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import le

import numpy as np

from lstm_sharp.compiler.pack import Batch
from lstm_sharp.errors import UsageError

Pair = tuple[np.ndarray, np.ndarray]
"""h and c, (cells, batch, H) each."""
Run = Callable[[np.ndarray, "Pair | None"], tuple[np.ndarray, Pair]]
"""Takes x (batch, time, X) and a state; gives h (batch, time, width) and the state after."""


Head = Callable[[np.ndarray], np.ndarray]
"""What a model computes after its LSTM: h (batch, time, width) to an output."""


def head_by_length(head: Head, h: np.ndarray, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Run a head on each sequence's own steps.

    Args:
        head: of the model.
        h: (batch, time, width).
        lengths: steps of each sequence.

    Returns:
        The output in the shape that the whole h gives it, zero where a sequence has no step.

    Raises:
        UsageError: an output in which sequences do not stand one by one.
    """
    whole = head(h)
    if np.all(np.asarray(lengths) == h.shape[1]):
        return whole
    out = np.zeros_like(whole)
    # The axis of the batch is the one that two sequences more make longer, whatever their steps.
    more = head(np.concatenate([h, h[:1], h[:1]]))
    sides = [a for a, (old, new) in enumerate(zip(whole.shape, more.shape)) if new == old + 2]
    for row, length in enumerate(lengths):
        own = head(h[row : row + 1, :length])
        fits = own.ndim == whole.ndim and all(map(le, own.shape, whole.shape))
        if not (fits and len(sides) == 1 and own.shape[sides[0]] == 1):
            raise UsageError(
                f"what follows the LSTM gives {own.shape} for one sequence and {whole.shape} for "
                f"{len(h)}, not one for each; leave out lengths, or take h"
            )
        place = [slice(size) for size in own.shape]
        place[sides[0]] = slice(row, row + 1)
        out[tuple(place)] = own
    return out


def padded(hs: Batch, time: int) -> np.ndarray:
    """Put h (T, width) of each sequence into one array (batch, time, width), zeros behind them."""
    whole = np.zeros((len(hs), time, hs[0].shape[1]), hs[0].dtype)
    for row, own in zip(whole, hs):
        row[: len(own)] = own
    return whole


def by_length(xs: Batch, state: Pair | None, run: Run) -> tuple[Batch, Pair]:
    """Run sequences of one length together, length after length.

    Args:
        xs: (B, T, X), or (T, X) each.
        state: of all sequences, or None.
        run: the model.

    Returns:
        h (T, width) of each sequence, in one array where x is, and the state after the last step of
        each.
    """
    if isinstance(xs, np.ndarray):
        return run(xs, state)
    lengths = np.array([len(x) for x in xs])
    order: list[int] = []
    hs: list[np.ndarray] = []
    states: list[Pair] = []
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length).tolist()
        own = state and (state[0][:, rows], state[1][:, rows])
        found, left = run(np.stack([xs[row] for row in rows]), own)
        order += rows
        hs += list(found)
        states.append(left)
    back = np.argsort(order)
    h, c = (np.concatenate(parts, axis=1)[:, back] for parts in zip(*states))
    return [hs[index] for index in back], (h, c)
