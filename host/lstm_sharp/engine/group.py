"""Groups: which sequences of a batch run side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby


@dataclass(frozen=True)
class Group:
    """Sequences that one program runs side by side, then others of the same lengths."""

    lengths: tuple[int, ...]
    """Steps of the sequences that run side by side, descending."""
    indices: tuple[tuple[int, ...], ...]
    """Which sequences of the batch these are, by repeat."""

    @property
    def repeats(self) -> int:
        """How many such groups run one after the other."""
        return len(self.indices)

    @property
    def sequences(self) -> tuple[int, ...]:
        """Indices of all its sequences, in the order of x, h and states."""
        return tuple(chain.from_iterable(self.indices))

    @property
    def steps(self) -> int:
        """Steps of all its sequences."""
        return self.repeats * sum(self.lengths)


def group(lengths: Sequence[int], repeats: int = 1) -> Group:
    """Make a group of the first sequences of a batch: ``repeats`` times these lengths."""
    count = len(lengths)
    indices = (tuple(range(count * r, count * (r + 1))) for r in range(repeats))
    return Group(tuple(lengths), tuple(indices))


def best_groups(
    lengths: Sequence[int],
    most: int,
    fits: Callable[[tuple[int, ...]], bool],
    pace: Callable[[int], tuple[float, float]],
) -> list[Group]:
    """Cut a batch into groups of as many sequences as cost least.

    Args:
        lengths: steps of each sequence, in any order.
        most: sequences of the largest group.
        fits: whether a group of these lengths makes a program that the engine takes. A sequence
            alone is taken to fit.
        pace: cycles of a program beside its steps, and of a step, for so many sequences.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    pace = lru_cache(maxsize=None)(pace)

    def cost(g: Group) -> float:
        count = len(g.lengths)
        steps = [a - b for a, b in zip(g.lengths, (*g.lengths[1:], 0))]  # with so many side by side
        return pace(count)[0] + g.repeats * sum(
            n * pace(beside)[1] for beside, n in enumerate(steps, start=1) if n
        )

    best: list[Group] = []
    least = float("inf")
    for size in range(1, min(most, len(order)) + 1):
        groups = _merge([order[at : at + size] for at in range(0, len(order), size)], lengths)
        if size == 1 or all(fits(g.lengths) for g in groups):
            total = sum(cost(g) for g in groups)
            if total < least:
                best, least = groups, total
    return best


def _merge(parts: list[list[int]], lengths: Sequence[int]) -> list[Group]:
    """Make neighbours of the same lengths repeats of one group."""

    def key(part: list[int]) -> tuple[int, ...]:
        return tuple(lengths[index] for index in part)

    return [Group(same, tuple(map(tuple, found))) for same, found in groupby(parts, key)]
