"""A group: sequences that run side by side. A launch: the groups that one program runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Group:
    """Sequences that run side by side, then others of the same lengths."""

    lengths: tuple[int, ...]
    """Steps of the sequences that run side by side, descending. A sequence of the batch may be
    shorter than that: it runs on after its end, and what comes then is nobody's."""
    indices: tuple[tuple[int, ...], ...]
    """Which sequences of the batch these are, by repeat; at the very end -1 for an empty one."""

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


Launch = tuple[Group, ...]
"""Groups that one program runs, one after the other."""


def group(lengths: Sequence[int], repeats: int = 1) -> Group:
    """Make a group of the first sequences of a batch: ``repeats`` times these lengths."""
    count = len(lengths)
    indices = (tuple(range(count * r, count * (r + 1))) for r in range(repeats))
    return Group(tuple(lengths), tuple(indices))
