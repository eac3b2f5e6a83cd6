"""No-op slots that keep the distances D, D_acc and P; the synthesised kernel trusts in them."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start, loops

FETCH_EVERY = 2
"""Least distance of two instructions in fetch, in cycles."""
_LONG_AGO = -(1 << 40)
_SETTLED = 3
"""Rounds of a loop after which distances repeat: a round before, and each half of the h buffer."""


def insert_nops(
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


def _walk(clock: _Clock, kept: list[Instruction], sequences: int) -> bool:
    """Run the list once or twice and add what no-ops it lacks; False if it has to be run again.

    Where an instruction lacks more in a later round than it got, those after it may need less.
    """
    for again in (False, True)[:sequences]:
        for block, rounds in loops(kept):
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
    """Walks slots and remembers from which slot on each place may be read."""

    def __init__(self, cfg: Config, schedule: str, instructions: list[Instruction]) -> None:
        self.cfg = cfg
        self.schedule = schedule
        self.slot = 0
        self.half = 0
        self.lanes_free = _LONG_AGO  # for a row that finishes
        self.drained = _LONG_AGO  # when all h is there
        bands = max(_bands(cfg, i).stop for i in instructions)
        places = max(max(i.col_end(cfg), _segments(cfg, i).stop) for i in instructions)
        self.stored = np.full(bands, _LONG_AGO)  # by band
        self.finished = np.full(bands, _LONG_AGO)
        self.written = np.full((2, places), _LONG_AGO)  # by half and segment of the h buffer

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
        cfg = self.cfg
        if i.op != Op.TILES:
            return self.drained
        bands = _bands(cfg, i)
        earliest = self.drained if i.layer and i.source == Source.SEQUENCE else self.slot
        if i.start != Start.BIAS:
            ready = self.stored[bands].reshape(i.rows, -1).max(axis=1)
            earliest = max(earliest, int((ready - np.arange(i.rows) * i.row_slots(cfg)).max()))
        elif self.schedule == "intergate":
            earliest = max(earliest, int(self.finished[bands].max()))
        if i.source == Source.H:
            columns = self.written[self.half, i.col_first : i.col_end(cfg)]
            ready = columns.reshape(i.cols, -1).max(axis=1)
            if self.schedule == "elementwise":
                ready = ready - np.arange(i.cols)
            earliest = max(earliest, int(ready.max()))
        if i.finish:
            earliest = max(earliest, self.lanes_free - (i.cols - 1))
        return earliest

    def advance(self, i: Instruction) -> None:
        """Run one instruction."""
        cfg, start = self.cfg, self.slot + i.nops
        self.slot += i.slots(cfg)
        if i.op == Op.LOAD_STATE:  # h and c come into their buffers as finished ones do
            self.finished[_bands(cfg, i)] = self.slot - 1 + cfg.tail
            self.written[self.half, _segments(cfg, i)] = self.slot - 1 + cfg.tail
        if i.op != Op.TILES:
            return
        last_slots = start + np.arange(i.rows) * i.row_slots(cfg) + i.cols - 1
        if i.finish:
            self._finish(i, last_slots)
        else:
            stored = self.stored[_bands(cfg, i)].reshape(i.rows, -1)
            stored[:] = last_slots[:, None] + cfg.acc_distance
        if i.step:
            self.half = 1 - self.half

    def _finish(self, i: Instruction, last_slots: np.ndarray) -> None:
        """Note what comes of the rows of a finishing rectangle."""
        cfg, block = self.cfg, self.cfg.tile_shapes[i.shape].block
        ready = last_slots + i.tail(cfg)
        self.finished[_bands(cfg, i)].reshape(i.rows, -1)[:] = ready[:, None]
        places, size = _segments(cfg, i), cfg.columns // cfg.bands
        ends = np.arange(places.start + 1, places.stop + 1) * size - _neuron(cfg, i)
        row = np.minimum((ends - 1) // block, len(ready) - 1)  # the last that a segment has
        other = self.written[1 - self.half, places]  # which may have neurons of two rectangles
        np.maximum(other, ready[row], out=other)
        self.drained = max(self.drained, int(ready[-1]))
        self.lanes_free = int(last_slots[-1]) + i.passes(cfg)


def _bands(cfg: Config, i: Instruction) -> slice:
    """Bands that an instruction touches, those of a row behind those of the row before."""
    count = 0
    if i.op == Op.TILES:
        count = i.rows * cfg.tile_shapes[i.shape].gang
    elif i.op in (Op.LOAD_STATE, Op.GIVE_STATE):
        count = i.rows // cfg.passes
    return slice(i.row_first, i.row_first + count)


def _neuron(cfg: Config, i: Instruction) -> int:
    """Place in the h buffer of the first neuron that it finishes or loads."""
    return i.h_word * cfg.columns + i.h_lane


def _segments(cfg: Config, i: Instruction) -> slice:
    """Segments of the h buffer that a finishing rectangle or a load writes."""
    count = i.rows * (cfg.tile_shapes[i.shape].block if i.op == Op.TILES else cfg.lanes)
    first, size = _neuron(cfg, i), cfg.columns // cfg.bands
    return slice(first // size, -(-(first + count) // size))
