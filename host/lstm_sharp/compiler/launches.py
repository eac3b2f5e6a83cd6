"""How a batch is cut into launches, a program each, within the window and a DMA's length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import groupby
from math import ceil, inf
from typing import NamedTuple

from lstm_sharp.compiler import pack
from lstm_sharp.compiler.group import Group, Launch, group
from lstm_sharp.compiler.limits import check_lengths, check_steps
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.engine.program import MAX_INSTRUCTIONS
from lstm_sharp.errors import UsageError

Lengths = tuple[int, ...]


class Launcher(NamedTuple):
    """Who launches programs."""

    start_cycles: int = 0  # what a launch costs, in the engine's cycles
    most_h_beats: int = 1 << 62  # that a launch may give: the length register of a DMA


FREE = Launcher()
"""Launches cost nothing: a simulated engine."""


class Call(NamedTuple):
    """What is asked of an engine."""

    lengths: Lengths  # steps of each sequence, in any order
    with_state: bool = False  # they begin with a state
    give_state: bool = False  # the state after their last steps is wanted
    host: Launcher = FREE  # where a launch costs it nothing, each group is one

    def pieces(self, most: int) -> list[Call]:
        """Cut it in time into calls of so many steps, each of which goes on where one ended."""
        ends = max(self.lengths)
        return [
            self._replace(
                lengths=tuple(min(length - at, most) for length in self.lengths if length > at),
                with_state=self.with_state or at > 0,
                give_state=self.give_state or at + most < ends,
            )
            for at in range(0, ends, most)
        ]


@lru_cache(maxsize=256)
def plan_launches(plan: Plan, call: Call) -> tuple[Launch, ...]:
    """Cut a batch into launches so that cycles, with those that launches cost, are least.

    It is sorted by length and cut into groups of as many sequences as the cycle model finds
    fastest: not always all that the engine has chains for. Where a launch costs something,
    neighbours become one: one list of instructions after the other, as long as the window holds
    them; or as repeats of one group in which all run as long as the longest, if lengths are the
    same or if what comes after a sequence's end can be thrown away.

    Args:
        plan: what runs them.
        call: the batch.

    Returns:
        The launches, longest sequences first; together they hold each sequence once.

    Raises:
        UsageError: a sequence that does not even run alone.
    """
    lengths = call.lengths
    for length in lengths:
        check_lengths([length], plan.cfg, plan.beside)
    check_steps(plan.cfg, max(lengths), plan.stride(1))
    terms = _Terms(plan, call)
    terms.check_alone(max(lengths))
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    best: list[Launch] = []
    least = inf
    for size in range(1, min(plan.most_sequences, len(order)) + 1):
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        total, launches = _cheapest(_merge(parts, lengths), size, terms)
        if total < least:
            best, least = launches, total
    return tuple(best)


class _Terms:
    """What groups cost, and what an engine takes."""

    def __init__(self, plan: Plan, call: Call) -> None:
        self.plan, self._states = plan, (call.with_state, call.give_state)
        self.start_cycles, self.room = call.host
        self.runs_on = plan.directions == 1 and not call.give_state
        self.pace = partial(_pace, plan)
        self._count = partial(_count, plan)

    def check_alone(self, steps: int) -> None:
        """Refuse a sequence whose h alone is more than a launch may give."""
        beats, one = self.beats((steps,)), self.beats((2,)) - self.beats((1,))
        if beats > self.room:
            most = max(0, self.room - (beats - steps * one)) // one
            raise UsageError(
                f"h of a sequence of {steps} steps takes {beats} beats, one launch gives "
                f"{self.room} at most; run at most {most} steps in one call and carry the state "
                "over"
            )

    def instructions(self, lengths: Lengths, *states: bool) -> int:
        """Count those of a group; how much lengths differ makes no difference.

        In a wavefront it does where the levels' ends meet; more than those apart is the most.
        """
        apart = len(self.plan.layers) + 1 if self.plan.wavefront else 1
        ranks = {n: 1 + apart * rank for rank, n in enumerate(sorted({1, *lengths}))}
        return self._count(tuple(ranks[n] for n in lengths), *(states or self._states))

    def fits(self, lengths: Lengths) -> bool:
        """Whether sequences side by side make a program that the engine takes, states included.

        A sequence alone does.
        """
        plan, count = self.plan, len(lengths)
        words = plan.stride(count) * lengths[0]
        if count == 1 or words > plan.cfg.sequence_words:
            return count == 1
        return self.instructions(lengths, True, True) <= MAX_INSTRUCTIONS

    def beats(self, lengths: Lengths) -> int:
        """Beats of h of a group."""
        return pack.h_beats(self.plan, (group(lengths),), self._states[1])

    def repeats(self, lengths: Lengths) -> int:
        """Count the repeats of a group that a launch may run, 0 if not even one."""
        return self.room // self.beats(lengths)

    def steps(self, lengths: Lengths) -> float:
        """Cycles of the steps of a group."""
        beside = enumerate(zip(lengths, (*lengths[1:], 0)), 1)
        return sum((n - less) * self.pace(count)[1] for count, (n, less) in beside if n > less)

    def cost(self, lengths: Lengths, repeats: int) -> float:
        """Cost of a group in launches of its own."""
        most = self.repeats(lengths)
        launches = ceil(repeats / most) if most else inf
        fixed = self.start_cycles + self.pace(len(lengths))[0]
        return launches * fixed + repeats * self.steps(lengths)


@lru_cache(maxsize=1024)
def _pace(plan: Plan, sequences: int) -> tuple[float, float]:
    return plan.pace(sequences)


@lru_cache(maxsize=1024)
def _count(plan: Plan, lengths: Lengths, with_state: bool, give_state: bool) -> int:
    return len(plan.instructions(lengths, with_state, give_state))


def _cheapest(groups: list[Group], size: int, terms: _Terms) -> tuple[float, list[Launch]]:
    """Cut groups, in their order, into launches that together cost least."""
    best = [(0.0, 0, False)]  # of so many groups: all, where the last launches begin, filled up?
    for end in range(1, len(groups) + 1):
        found = [
            (best[begin][0] + cost, begin, filled)
            for begin, cost, filled in _ways(groups, end, size, terms)
        ]
        best.append(min(found, key=lambda way: way[0], default=(inf, 0, False)))
    launches: list[Launch] = []
    end = len(groups)
    while end and best[-1][0] < inf:
        _, begin, filled = best[end]
        launches = _launches(groups[begin:end], size if filled else 0, terms) + launches
        end = begin
    return best[-1][0], launches


def _ways(
    groups: list[Group], end: int, size: int, terms: _Terms
) -> Iterator[tuple[int, float, bool]]:
    """Yield how the groups up to this end can be started: first one, cost, whether filled up."""
    shortest = groups[end - 1].lengths[-1]
    repeats, instructions, beats, cycles = 0, 0.0, 0, 0.0
    for begin in range(end - 1, -1, -1):
        g = groups[begin]
        fits = terms.fits(g.lengths)
        if begin == end - 1 and fits:
            yield begin, terms.cost(g.lengths, g.repeats), False
        if not terms.start_cycles:
            return
        repeats += g.repeats
        beats += g.repeats * terms.beats(g.lengths)
        instructions += g.repeats * terms.instructions(g.lengths) if fits else inf
        cycles += g.repeats * terms.steps(g.lengths) if fits else inf
        listed = instructions <= MAX_INSTRUCTIONS
        if listed and begin < end - 1 and beats <= terms.room:
            yield begin, terms.start_cycles + terms.pace(len(g.lengths))[0] + cycles, False
        fills = terms.runs_on or g.lengths[0] == shortest
        longest = (g.lengths[0],) * size
        if fills and terms.fits(longest):
            yield begin, terms.cost(longest, repeats), True
        if not (listed or fills):
            return


def _launches(groups: list[Group], size: int, terms: _Terms) -> list[Launch]:
    """Make launches of neighbours; with a size, of repeats of one group filled up to it."""
    if len(groups) > 1 and not size:
        return [tuple(groups)]
    (g, *_) = groups
    if size:
        rows = [index for own in groups for index in own.sequences]
        rows += [-1] * (-len(rows) % size)
        parts = [tuple(rows[at : at + size]) for at in range(0, len(rows), size)]
        g = Group((g.lengths[0],) * size, tuple(parts))
    most = terms.repeats(g.lengths)
    return [(Group(g.lengths, g.indices[at : at + most]),) for at in range(0, g.repeats, most)]


def _merge(parts: list[list[int]], lengths: Sequence[int]) -> list[Group]:
    """Make neighbours of the same lengths repeats of one group."""

    def key(part: list[int]) -> Lengths:
        return tuple(lengths[index] for index in part)

    return [Group(same, tuple(map(tuple, found))) for same, found in groupby(parts, key)]
