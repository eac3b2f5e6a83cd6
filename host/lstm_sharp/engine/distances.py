"""No-op slots: the distances that the hardware relies on and does not check on its own."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program, Source, Start

_LONG_AGO = -(1 << 40)


def keep_distances(
    cfg: Config, instructions: list[Instruction], schedule: str
) -> list[Instruction]:
    """Put no-op slots in front of instructions until every distance is kept.

    Loops are walked three times at most and the whole list twice, which is where distances have
    settled; an instruction in a loop gets what its worst round needs.

    Args:
        cfg: the engine.
        instructions: in program order, without no-ops.
        schedule: ``elementwise`` waits for the columns that it reads, ``unfolded`` for the whole
            h of the step before, ``intergate`` for that even before an x-part.

    Returns:
        The instructions with ``nops`` set.
    """
    shortened = [replace(i, repeats=min(i.repeats, 3)) for i in instructions]
    where = {id(i): index for index, i in enumerate(shortened)}
    order = [where[id(i)] for i in Program(tuple(shortened)).walk()] * 2
    nops = [0] * len(instructions)
    settled = False
    while not settled:
        settled = True
        clock = _Clock(cfg, schedule)
        for index in order:
            missing = clock.advance(replace(shortened[index], nops=nops[index]))
            if missing > 0:
                nops[index] += missing
                settled = False
                break
    return [replace(i, nops=n) for i, n in zip(instructions, nops)]


class _Clock:
    """Walks slots and remembers when each row block was stored and finished."""

    def __init__(self, cfg: Config, schedule: str) -> None:
        self.cfg = cfg
        self.schedule = schedule
        self.slot = 0
        self.last_finish = _LONG_AGO
        self.stored = np.full(cfg.blocks, _LONG_AGO)
        self.finished = np.full(cfg.blocks, _LONG_AGO)  # of the step before: what h reads
        self.finishing = np.full(cfg.blocks, _LONG_AGO)  # of this step

    def advance(self, i: Instruction) -> int:
        """Run one instruction; return the no-op slots that it lacks, 0 if none."""
        start = self.slot + i.nops
        missing = max(0, self._earliest(i) - start)
        if missing == 0:
            self.slot = start + i.slots(self.cfg) - i.nops
            self._record(i, start)
        return missing

    def _earliest(self, i: Instruction) -> int:
        """First slot at which the instruction may start."""
        drained = self.last_finish + self.cfg.tail
        if i.op == Op.LOAD_STATE or (i.layer and i.source == Source.SEQUENCE):
            return drained
        if i.op != Op.TILES:
            return self.slot
        if i.start == Start.BIAS and self.schedule == "intergate":
            return drained
        earliest = self.slot
        if i.start != Start.BIAS:
            rows = np.arange(i.rows)
            ready = self.stored[i.row_first : i.row_first + i.rows] + self.cfg.acc_distance
            earliest = max(earliest, int((ready - rows * i.row_slots(self.cfg)).max()))
        if i.source == Source.H and self.schedule != "elementwise":
            earliest = max(earliest, drained)
        elif i.source == Source.H:
            for column in range(i.col_first, i.col_first + i.cols):
                ready_at = self._written(column) + self.cfg.tail
                earliest = max(earliest, ready_at - (column - i.col_first))
        if i.finish:
            earliest = max(earliest, self.last_finish + self.cfg.passes - (i.cols - 1))
        return earliest

    def _written(self, column: int) -> int:
        """Slot that finished the last neuron of a word of h."""
        first = column * self.cfg.columns // self.cfg.block
        end = ceil((column + 1) * self.cfg.columns / self.cfg.block)
        return int(self.finished[first:end].max(initial=_LONG_AGO))

    def _record(self, i: Instruction, start: int) -> None:
        if i.op == Op.LOAD_STATE:  # h and c come into their buffers as finished ones do
            self.last_finish = self.slot - 1
            self.finished[:] = self.last_finish
        if i.op != Op.TILES:
            return
        last_slots = start + np.arange(i.rows) * i.row_slots(self.cfg) + i.cols - 1
        rows = slice(i.row_first, i.row_first + i.rows)
        if i.finish:
            self.finishing[rows] = last_slots
            self.last_finish = int(last_slots[-1])
        else:
            self.stored[rows] = last_slots
        if i.step:
            self.finished, self.finishing = self.finishing, np.full(self.cfg.blocks, _LONG_AGO)
