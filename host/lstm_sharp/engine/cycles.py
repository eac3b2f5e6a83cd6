"""The cycle model: exactly how long a program takes on the SystemVerilog engine.

It walks the same instructions as the hardware. Streams are taken never to stall: x offers a beat
in every cycle, h is always ready. Tests hold it against Verilated runs, to the cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program

COPY_CYCLES = 5
"""Of copying and checking the program beside one cycle an instruction."""
FETCH_CYCLES = 4
"""From the x ring being ready for its first beat to the first slot in the issue registers."""
FETCH_EVERY = 2
"""Least distance of two instructions in fetch."""
OFFER_CYCLES = 3
"""From fetch's output register being written to the first slot in the issue registers."""
NULL_CYCLES = 4
"""Cycles of the null program."""
LOAD_CYCLES = 3
"""Of a load beside its beats: to hand it to the loader, its last write, and to say so."""
RING_CYCLES = 2
"""From an x word's last beat to the slot that takes it standing in the issue registers."""
FREE_CYCLES = 1
"""From the last slot of an x-part to the x ring having its words free."""


@dataclass(frozen=True)
class Prediction:
    """What a program takes, in cycles; the parts do not overlap and add up to ``cycles``."""

    cycles: int
    tiles: int  # slots with a tile
    nops: int  # no-op slots: the recurrence and the MFU
    waits: int  # for x
    other: int  # start, loads, drain

    @property
    def limited_by(self) -> str:
        """What takes most of the cycles beside the tiles; ``macs`` if that is little."""
        if self.tiles >= 0.95 * self.cycles:
            return "macs"
        return "stream" if self.waits > self.nops else "recurrence"


def add(predictions: Sequence[Prediction]) -> Prediction:
    """Sum up programs that are run one after the other."""
    return Prediction(
        cycles=sum(p.cycles for p in predictions),
        tiles=sum(p.tiles for p in predictions),
        nops=sum(p.nops for p in predictions),
        waits=sum(p.waits for p in predictions),
        other=sum(p.other for p in predictions),
    )


def predict(cfg: Config, program: Program) -> Prediction:
    """Count the cycles of a program from ap_start to ap_done."""
    if not program.instructions:
        return Prediction(NULL_CYCLES, 0, 0, 0, NULL_CYCLES)
    walk = _Walk(cfg, COPY_CYCLES + len(program.instructions))
    order = list(program.walk())
    for _ in range(program.sequences):
        for instruction in order:
            walk.run(instruction)
    total = walk.cursor + cfg.drain_cycles
    return Prediction(
        total, walk.tiles, walk.nops, walk.waits, total - walk.tiles - walk.nops - walk.waits
    )


class _Walk:
    """The dispatcher's clock, and the x ring's."""

    def __init__(self, cfg: Config, start: int) -> None:
        self.cfg = cfg
        self.cursor = start + FETCH_CYCLES  # when the next slot can stand in the issue registers
        self.offered = start + 1  # when fetch hands the next instruction to its output register
        self.tiles = self.nops = self.waits = 0
        self.beat = start  # first cycle in which the x ring can take another beat
        self.taken = 0  # x words that have arrived in the ring
        self.popped = 0  # x words used up
        self.freed: list[int] = []  # cycle in which the ring had words up to there free, by word

    def run(self, i: Instruction) -> None:
        """Run one instruction."""
        self.cursor = max(self.cursor, self.offered + OFFER_CYCLES)
        self.offered = max(self.offered + FETCH_EVERY, self.cursor - OFFER_CYCLES + 1)
        if i.op != Op.TILES:
            self.cursor += i.nops + i.rows * i.item_beats(self.cfg) + LOAD_CYCLES
            return
        row_slots = i.row_slots(self.cfg)
        self.cursor += i.nops
        begin = self.cursor
        if i.pull:
            for column in range(i.col_first, i.col_first + i.cols):
                ready = self._arrival(self.popped + column) + RING_CYCLES
                self.cursor = max(self.cursor, ready) + 1
            waited = self.cursor - begin - i.cols
            self.waits += waited
            begin += waited
        self.cursor = begin + i.rows * row_slots
        self.tiles += i.rows * i.cols
        self.nops += i.nops + i.rows * (row_slots - i.cols)
        if i.pop and i.pull:
            words = i.col_first + i.cols
            self.freed += [self.cursor - 1 + FREE_CYCLES] * words
            self.popped += words

    def _arrival(self, word: int) -> int:
        """Cycle of the last beat of a word; words are asked for in order."""
        while self.taken <= word:
            needs_free = self.taken - self.cfg.ring_words
            if needs_free >= 0:
                self.beat = max(self.beat, self.freed[needs_free])
            self.beat += self.cfg.word_beats
            self.taken += 1
        return self.beat - 1
