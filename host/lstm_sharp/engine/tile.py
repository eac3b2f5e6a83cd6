"""The tile: the shapes that it takes at run time, and the adder tree that each of them taps."""

from __future__ import annotations

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


def levels(width: int, most: int) -> int:
    """Count the levels of a tree, four to one each, from products to at most so many sums."""
    count = 0
    while width > most:
        count, width = count + 1, ceil(width / 4)
    return count
