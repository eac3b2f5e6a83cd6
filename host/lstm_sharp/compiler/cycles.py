"""The cycle model: exactly how long a program takes on the SystemVerilog engine.

It walks the same instructions as the hardware. Streams are taken never to stall: x offers a beat
in every cycle, h is always ready. Tests hold it against Verilated runs, to the cycle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from lstm_sharp.compiler.distances import FETCH_EVERY
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER, Instruction, Op, Program, Source, loops

COPY_CYCLES = 5
"""Of copying and checking the program beside one cycle an instruction."""
FETCH_CYCLES = 4
"""From the x ring being ready for its first beat to the first slot in the issue registers."""
OFFER_CYCLES = 3
"""From fetch's output register being written to the first slot in the issue registers."""
NULL_CYCLES = 4
"""Cycles of the null program."""
LOAD_CYCLES = 3
"""Of a load beside its beats: to hand it to the loader, its last write, and to say so."""
GIVE_CYCLES = 4
"""Of giving a state beside its beats."""
RING_CYCLES = 2
"""From an x word's last beat to the slot that takes it standing in the issue registers."""


class Prediction(NamedTuple):
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
    return Prediction._make(map(sum, zip(*predictions)))


def predict(cfg: Config, program: Program) -> Prediction:
    """Count the cycles of a program from ap_start to ap_done."""
    if not program.instructions:
        return Prediction(NULL_CYCLES, 0, 0, 0, NULL_CYCLES)
    walk = _Walk(cfg, COPY_CYCLES + len(program.instructions))
    parts = [
        (program.instructions[block.start : block.stop], rounds)
        for block, rounds in loops(program.instructions)
    ]

    def once() -> None:
        for part, rounds in parts:
            walk.repeat(partial(walk.run_all, part), rounds)

    walk.repeat(once, program.sequences)
    total, slots = walk.cursor + cfg.drain_cycles, (walk.tiles, walk.nops, walk.waits)
    return Prediction(total, *slots, total - sum(slots))


class Span(NamedTuple):
    """Cycles that an instruction takes: from ``begin``, no-op slots first, up to before ``end``."""

    instruction: Instruction
    begin: int
    end: int
    nops: int  # before its first tile
    waits: int  # for x, among its tiles


def trace(cfg: Config, program: Program) -> Iterator[Span]:
    """Tell what is dispatched when, from ap_start on, instruction after instruction.

    Loops and repeats are unrolled.
    """
    walk = _Walk(cfg, COPY_CYCLES + len(program.instructions))
    for _ in range(program.sequences):
        for instruction in program.walk():
            before = walk.waits
            walk.run(instruction)
            waited = walk.waits - before
            tiles = instruction.rows * instruction.row_slots(cfg) * (instruction.op == Op.TILES)
            begin = walk.cursor - tiles - waited - instruction.nops
            yield Span(instruction, begin, walk.cursor, instruction.nops, waited)


HLS_BESIDE_TAIL = 12
"""Stages of the slot loop before a slot reads its memories, and of the loops around it: a guess."""


def hls_cycles(cfg: Config, program: Program | np.ndarray) -> int:
    """Predict the cycles of a program on the kernel of hls/kernel/, streams that never stall.

    Seen on no tool yet: it is what the kernel's loops are written for. It reads a program word a
    cycle, then spends a cycle a slot and a load beat (II = 1), the turns of the last row block and
    the depth of its pipeline. Waiting for x is not in it.

    Args:
        cfg: the engine.
        program: as it is, or encoded in uint32 words.
    """
    words = program.encode(cfg) if isinstance(program, Program) else program
    slots = int(words[HEADER["slots"].word])
    return words.size + slots + cfg.most_passes - 1 + cfg.tail + HLS_BESIDE_TAIL


def beside_slots(cfg: Config, chains: int) -> int:
    """Cycles of a run beside its slots, with no fewer than two instructions a chain."""
    return COPY_CYCLES + 2 * chains + FETCH_CYCLES + cfg.drain_cycles


def recurrence_bound(tail: int, first: int, h: int, steps: int) -> int:
    """Slots that so many steps of a chain take at least, ``first`` up to its first row's end."""
    return first + (2 * tail + h - 1) * (steps - 1) // 2


class _Walk:
    """The dispatcher's clock, and the x ring's."""

    def __init__(self, cfg: Config, start: int) -> None:
        self.cfg = cfg
        self.cursor = start + FETCH_CYCLES  # when the next slot can stand in the issue registers
        self.offered = start + 1  # when fetch hands the next instruction to its output register
        self.tiles = self.nops = self.waits = 0
        self.beat = start  # first cycle in which the x stream's next beat can come
        self.free = deque([start] * cfg.ring_words)  # since when each empty word of the ring is
        self.held: deque[int] = deque()  # cycle of the last beat of each word in the ring

    def repeat(self, once: Callable[[], None], times: int) -> None:
        """Run something so many times; rounds that begin alike are counted, not walked."""
        began: tuple[int, ...] = ()
        for left in range(times - 1, -1, -1):
            before = self._counts()
            once()
            state = self._relative()
            if state == began and left:
                self._skip([left * (b - a) for a, b in zip(before, self._counts())])
                return
            began = state

    def _counts(self) -> tuple[int, ...]:
        return self.cursor, self.tiles, self.nops, self.waits

    def run_all(self, instructions: Sequence[Instruction]) -> None:
        """Run instructions one after the other."""
        for instruction in instructions:
            self.run(instruction)

    def run(self, i: Instruction) -> None:
        """Run one instruction."""
        self.cursor = max(self.cursor, self.offered + OFFER_CYCLES)
        self.offered = max(self.offered + FETCH_EVERY, self.cursor - OFFER_CYCLES + 1)
        if i.op != Op.TILES:
            beside = GIVE_CYCLES if i.op == Op.GIVE_STATE else LOAD_CYCLES
            self.cursor += i.nops + i.rows * i.item_beats(self.cfg) + beside
            return
        row_slots, step = i.row_slots(self.cfg), self.cfg.tile_shapes[i.shape].step
        self.cursor += i.nops
        begin = self.cursor
        if i.pull:
            for column in range(i.col_first, i.col_end(self.cfg), step):
                word, inside = divmod(column, self.cfg.bands)
                if not inside:  # a word is waited for where it begins
                    self.cursor = max(self.cursor, self._arrival(word) + RING_CYCLES)
                self.cursor += 1
            waited = self.cursor - begin - i.cols
            self.waits += waited
            begin += waited
        self.cursor = begin + i.rows * row_slots
        self.tiles += i.rows * i.cols
        self.nops += i.nops + i.rows * (row_slots - i.cols)
        if i.pop and i.source == Source.X:
            for _ in range(-(-i.col_end(self.cfg) // self.cfg.bands)):
                self.held.popleft()
                self.free.append(self.cursor - 1)  # with the last slot in the issue registers

    def _arrival(self, column: int) -> int:
        """Cycle of the last beat of a word, counted from the oldest that the ring holds."""
        while len(self.held) <= column:
            self.beat = max(self.beat, self.free.popleft()) + self.cfg.word_beats
            self.held.append(self.beat - 1)
        return self.held[column]

    def _relative(self) -> tuple[int, ...]:
        """All that the next round depends on, seen from the cursor."""
        free = [max(since, self.beat) for since in self.free]
        times = (self.offered, *self.held, *free)
        return (len(self.held), *(t - self.cursor for t in times))

    def _skip(self, counts: list[int]) -> None:
        cycles, *slots = counts
        self.cursor, self.offered = self.cursor + cycles, self.offered + cycles
        self.beat += cycles
        self.held = deque(t + cycles for t in self.held)
        self.free = deque(t + cycles for t in self.free)
        self.tiles, self.nops, self.waits = map(sum, zip(self._counts()[1:], slots))
