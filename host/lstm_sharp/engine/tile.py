"""The tile: the shapes that it takes at run time, and the adder tree that each of them taps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True)
class TileShape:
    """A shape that the tile of an engine takes at run time, M staying the same."""

    gang: int  # g: VS units that share a scalar, each with the K0 rows of a band of its own
    rows: int  # K = g K0
    columns: int  # N = N0 / g
    block: int  # neurons of a row block, K / 4
    passes: int  # cycles in which the lanes take up a row block
    step: int  # segments from one column to the next


def shapes(rows: int, columns: int, passes: int, k_list: Sequence[int]) -> tuple[TileShape, ...]:
    """List the shapes of a tile, smallest K first.

    Args:
        rows: K0.
        columns: N0.
        passes: cycles in which the lanes take up K0 / 4 neurons.
        k_list: all K's; K0 alone if empty.
    """
    gangs = [k // rows for k in k_list or (rows,)]
    return tuple(
        TileShape(g, rows * g, columns // g, rows // 4 * g, passes * g, gangs[-1] // g)
        for g in gangs
    )


def levels(width: int, most: int) -> int:
    """Count the levels of a tree, four to one each, from products to at most so many sums."""
    count = 0
    while width > most:
        count, width = count + 1, ceil(width / 4)
    return count


def tap_levels(columns: int, bands: int) -> tuple[int, ...]:
    """List the levels at which the sums of 1, 2, 4 ... segments of a row's products are there.

    Four sums of the level below make one. Those of two halves stay apart while either half has more
    than two of them, so that every span is a node of one tree, as low as in a tree of its own.

    Args:
        columns: N0.
        bands: G, segments of a row, a power of two.
    """
    segment = columns // bands
    return tuple(levels(segment << n, 1) for n in range(bands.bit_length()))
