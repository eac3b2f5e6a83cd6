"""Where `elementwise` cuts an h-part, so that the columns of h that come last are read last.

The last rectangle finishes: its rows end one after the other, and so h comes column after column.
What lies before it reads the columns that came first, in rectangles that grow as columns come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lstm_sharp.compiler.cycles import Prediction

Cost = Callable[[tuple[int, ...], int], Prediction]
"""What so many steps take, cut in rectangles of these widths."""
STEPS = 16
"""Of a typical run, by which tiles and cuts are chosen."""


def best_cuts(columns: int, rows: int, most: int, cost: Cost) -> tuple[int, ...]:
    """Choose the widths of an h-part's rectangles.

    Args:
        columns: of the h-part.
        rows: row blocks.
        most: rectangles that a program has room for.
        cost: the cycle model.
    """
    best: tuple[int, ...] = (columns,)
    seen = cost(best, STEPS)
    for cuts in _candidates(columns) if rows > 1 else ():
        if len(cuts) > most or _idle(best, seen, cost) == 0:
            break
        taken = cost(cuts, STEPS)
        if taken.cycles < seen.cycles:
            best, seen = cuts, taken
    return best


def _idle(cuts: tuple[int, ...], seen: Prediction, cost: Cost) -> int:
    """No-op slots of a step while nothing begins or ends."""
    return seen.nops - cost(cuts, STEPS - 1).nops


def _candidates(columns: int) -> Iterator[tuple[int, ...]]:
    """Widths, fewest rectangles first."""
    found: dict[tuple[int, ...], None] = {}
    for last in _some(columns - 1):
        for first in _some(columns - last):
            widths, left, width = [], columns - last, first
            while left:
                widths.append(min(left, width))
                left -= widths[-1]
                width = max(width + 1, width * columns // last)
            found[(*widths, last)] = None
    return iter(sorted(found, key=len))


def _some(most: int) -> list[int]:
    """Numbers up to most: all small ones, few large ones."""
    return [n for n in range(1, most + 1) if n <= 8 or n == most or n & (n - 1) & (n - 2) == 0]
