"""No-op slots: the distances that the hardware relies on and does not check on its own."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start

FETCH_EVERY = 2
"""Least distance of two instructions in fetch, in cycles."""
_LONG_AGO = -(1 << 40)
_SETTLED = 3
"""Rounds of a loop after which distances repeat: a round before, and each half of the h buffer."""


def keep_distances(
    cfg: Config, instructions: list[Instruction], schedule: str, sequences: int = 1
) -> list[Instruction]:
    """Put no-op slots in front of instructions until every distance is kept.

    Loops are walked three times at most and the whole list twice, which is where distances have
    settled; an instruction in a loop gets what its worst round needs.

    Args:
        cfg: the engine.
        instructions: in program order, without no-ops.
        schedule: ``elementwise`` waits for the columns that it reads, ``unfolded`` for all h that
            it reads, ``intergate`` for the h of the chain's step before even with an x-part.
        sequences: how often the whole list will be run.

    Returns:
        The instructions with ``nops`` set.
    """
    kept = list(instructions)
    while not _walk(_Clock(cfg, schedule, instructions), kept, sequences):
        pass
    return kept


def blocks(instructions: list[Instruction]) -> list[tuple[range, int]]:
    """Cut a list into loops and what lies between: indices, and how often they are run."""
    found: list[tuple[range, int]] = []
    begin = 0
    for index, i in enumerate(instructions):
        if i.repeats > 1:
            if begin < index - i.loop_back:
                found.append((range(begin, index - i.loop_back), 1))
            found.append((range(index - i.loop_back, index + 1), i.repeats))
            begin = index + 1
    if begin < len(instructions):
        found.append((range(begin, len(instructions)), 1))
    return found


def _walk(clock: _Clock, kept: list[Instruction], sequences: int) -> bool:
    """Run the list once or twice and add what no-ops it lacks; False if it has to be run again.

    Where an instruction lacks more in a later round than it got, those after it may need less.
    """
    for again in (False, True)[:sequences]:
        for block, rounds in blocks(kept):
            start = copy(clock)
            while grown := _settle(clock, kept, block, min(rounds, _SETTLED), again):
                later = slice(grown, len(kept) if again else block.stop)
                kept[later] = [replace(i, nops=0) for i in kept[later]]
                if again:
                    return False
                clock = copy(start)
    return True


def _settle(
    clock: _Clock, kept: list[Instruction], block: range, rounds: int, again: bool
) -> int | None:
    """Run a block; where an instruction grows that was run before, return the next one's index."""
    for done in range(rounds):
        for index in block:
            missing = clock.missing(kept[index])
            if missing:
                kept[index] = replace(kept[index], nops=kept[index].nops + missing)
                if done or again:
                    return index + 1
            clock.advance(kept[index])
    return None


class _Clock:
    """Walks slots and remembers when each place was last written."""

    def __init__(self, cfg: Config, schedule: str, instructions: list[Instruction]) -> None:
        self.cfg = cfg
        self.schedule = schedule
        self.slot = 0
        self.half = 0
        self.last_finish = _LONG_AGO
        rows = max(i.row_first + i.rows for i in instructions)
        words = max(i.h_word + i.col_first + i.cols + _words(cfg, i) for i in instructions)
        self.stored = np.full(rows, _LONG_AGO)  # by row block
        self.finished = np.full(rows, _LONG_AGO)
        self.written = np.full((2, words), _LONG_AGO)  # by half and word of the h buffer

    def __copy__(self) -> _Clock:
        other = object.__new__(_Clock)
        arrays = {k: v.copy() for k, v in vars(self).items() if isinstance(v, np.ndarray)}
        vars(other).update(vars(self) | arrays)
        return other

    def missing(self, i: Instruction) -> int:
        """No-op slots that an instruction lacks.

        A no-op where fetch has to pause anyway costs nothing, and counts.
        """
        pause = FETCH_EVERY - i.rows * i.row_slots(self.cfg) if i.op == Op.TILES else 0
        return max(0, pause - i.nops, self._earliest(i) - self.slot - i.nops)

    def _earliest(self, i: Instruction) -> int:
        """First slot at which the instruction may start."""
        drained = self.last_finish + self.cfg.tail
        if i.op != Op.TILES:
            return drained
        rows = slice(i.row_first, i.row_first + i.rows)
        earliest = drained if i.layer and i.source == Source.SEQUENCE else self.slot
        if i.start != Start.BIAS:
            ready = self.stored[rows] + self.cfg.acc_distance
            earliest = max(earliest, int((ready - np.arange(i.rows) * i.row_slots(self.cfg)).max()))
        elif self.schedule == "intergate":
            earliest = max(earliest, int(self.finished[rows].max()) + self.cfg.tail)
        if i.source == Source.H:
            ready = self.written[self.half, i.col_first : i.col_first + i.cols] + self.cfg.tail
            if self.schedule == "elementwise":
                ready = ready - np.arange(i.cols)
            earliest = max(earliest, int(ready.max()))
        if i.finish:
            earliest = max(earliest, self.last_finish + self.cfg.passes - (i.cols - 1))
        return earliest

    def advance(self, i: Instruction) -> None:
        """Run one instruction."""
        start = self.slot + i.nops
        self.slot += i.slots(self.cfg)
        words = slice(i.h_word, i.h_word + _words(self.cfg, i))
        if i.op == Op.LOAD_STATE:  # h and c come into their buffers as finished ones do
            passes = self.cfg.passes
            self.finished[i.row_first : i.row_first + i.rows // passes] = self.slot - 1
            self.written[self.half, words] = self.slot - 1
        if i.op != Op.TILES:
            return
        last_slots = start + np.arange(i.rows) * i.row_slots(self.cfg) + i.cols - 1
        rows = slice(i.row_first, i.row_first + i.rows)
        if i.finish:
            self.finished[rows] = last_slots
            ends = np.arange(1, words.stop - words.start + 1) * self.cfg.columns - i.h_lane
            row = np.minimum((ends - 1) // self.cfg.block, i.rows - 1)  # the last that a word has
            self.written[1 - self.half, words] = last_slots[row]
            self.last_finish = int(last_slots[-1])
        else:
            self.stored[rows] = last_slots
        if i.step:
            self.half = 1 - self.half


def _words(cfg: Config, i: Instruction) -> int:
    """Words of the h buffer that a finishing rectangle or a load writes."""
    neurons = i.rows * (cfg.block if i.op == Op.TILES else cfg.lanes)
    return -(-(i.h_lane + neurons) // cfg.columns)
