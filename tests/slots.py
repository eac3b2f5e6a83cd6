"""The slot machine in plain Python: what docs/slot-program.md says, independently of the compiler.

``Clock`` walks every slot and knows when each place was written. What a slot computes, csim and the
RTL say against golden.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import (
    HEADER,
    INSTRUCTION,
    STRIDE,
    Field,
    Instruction,
    Op,
    Program,
    Source,
    Start,
)

_NEVER = -(10**9)


class TooEarly(AssertionError):
    """A slot that comes before its distance is over."""

    def __init__(self, what: str, missing: int) -> None:
        super().__init__(f"{what}: {missing} slots too early")
        self.what, self.missing = what, missing


def get(line: np.ndarray, field: Field) -> int:
    return int(line[field.word]) >> field.lsb & (1 << field.width) - 1


def put(line: np.ndarray, field: Field, value: int) -> None:
    """Overwrite a field with as much of a value as it holds."""
    mask = (1 << field.width) - 1
    line[field.word] = int(line[field.word]) & ~(mask << field.lsb) | (value & mask) << field.lsb


def changed(words: np.ndarray, at: int | None, **fields: int) -> np.ndarray:
    """Copy an encoded program with fields of an instruction, or of its header, overwritten."""
    words = words.copy()
    line = words[0 if at is None else STRIDE * (at + 1) :]
    for name, value in fields.items():
        put(line, (HEADER if at is None else INSTRUCTION)[name], value)
    return words


def header(words: np.ndarray) -> dict[str, int]:
    return {name: get(words, field) for name, field in HEADER.items()}


def instruction(line: np.ndarray) -> Instruction:
    """Decode one; an op that there is not stays a plain number."""
    values = {name: get(line, field) for name, field in INSTRUCTION.items()}
    if values["op"] in set(Op):
        values["op"] = Op(values["op"])
    return Instruction(**values)


def decoded(words: np.ndarray) -> Program:
    told, lines = header(words), words.reshape(-1, STRIDE)[1:]
    found = tuple(map(instruction, lines[: told["instructions"]]))
    return Program(found, told["sequences"], told["stride"])


def run_order(program: Program) -> Iterator[Instruction]:
    """All instructions of a run."""
    for _ in range(program.sequences):
        yield from program.walk()


def check(cfg: Config, program: Program, schedule: str = "elementwise") -> None:
    """Check D, D_acc, P and what the schedule waits for, slot by slot."""
    clock = Clock(cfg, program.stride, schedule)
    for i in run_order(program):
        clock.run(i)


class Clock:
    """Knows from which slot on each place of a memory can be read."""

    def __init__(self, cfg: Config, stride: int, schedule: str = "elementwise") -> None:
        self.cfg, self.stride, self.schedule = cfg, stride, schedule
        self.slot = self.half = self.read = self.write = self.loaded = 0
        self.ready: dict[Hashable, int] = {}
        # Places of memories of a power of two: behind the last lies the first.
        self.most_h, self.most_kept = (
            cfg.columns << (words - 1).bit_length() for words in (cfg.h_words, cfg.sequence_words)
        )

    def place(self, i: Instruction) -> tuple[Instruction, str]:
        """Run an instruction with the fewest no-op slots; say what the last of them is for."""
        before, why = dict(vars(self)), ""
        while True:
            try:
                self.ready = dict(before["ready"])
                self.run(i)
                return i, why
            except TooEarly as early:
                vars(self).update(before)
                i, why = replace(i, nops=i.nops + early.missing), early.what

    def run(self, i: Instruction) -> None:
        """Run an instruction.

        Raises:
            TooEarly: a slot of it comes before its distance is over.
        """
        self.slot += i.nops
        if i.op != Op.TILES:
            self._load(i)
            return
        if i.layer:
            self.read = self.write = 0
            if i.source == Source.SEQUENCE:
                self._wait("layer", "drained")
        s = self.cfg.tile_shapes[i.shape]
        bands = [range(at, at + s.gang) for at in self._from(i.row_first, i.rows, s.gang)]
        if self.schedule not in ("unfolded", "elementwise") and i.start == Start.BIAS:
            for band in range(i.row_first, i.row_first + i.rows * s.gang):
                self._wait(self.schedule, ("finished", band))
        columns = self._from(i.col_first, i.cols, s.step)
        if self.schedule != "elementwise" and i.source == Source.H:
            for column in columns:
                self._read("barrier", i, column, s.columns)
        for row, own in enumerate(bands):
            for band in own if i.start != Start.BIAS else ():
                self._wait("D_acc", ("stored", band))
            for column in columns:
                self._read("D", i, column, s.columns)
                self.slot += 1
            self.slot -= 1
            if i.finish:
                self._finish(i, row, own)
            else:
                self._write(self.slot + self.cfg.acc_distance, *(("stored", b) for b in own))
            self.slot += 1 + i.row_slots(self.cfg) - i.cols
        self.half ^= i.step
        self.read += self.stride * (i.pop and i.source == Source.SEQUENCE)
        self.write += self.stride * (i.step and i.keep)

    @staticmethod
    def _from(first: int, count: int, step: int) -> range:
        return range(first, first + count * step, step)

    def _wait(self, what: str, *places: Hashable) -> None:
        ready = max((self.ready.get(place, _NEVER) for place in places), default=_NEVER)
        if self.slot < ready:
            raise TooEarly("a load" if ready == self.loaded else what, ready - self.slot)

    def _write(self, ready: int, *places: Hashable) -> None:
        self.ready.update(dict.fromkeys(places, ready))

    def _read(self, what: str, i: Instruction, segment: int, width: int) -> None:
        """Wait for the scalars of a column."""
        cfg, first = self.cfg, segment * self.cfg.columns // self.cfg.bands
        if i.source == Source.H:
            places: list[Hashable] = [("h", self.half, n) for n in range(first, first + width)]
        elif i.source == Source.SEQUENCE:
            first += self.read * cfg.columns
            places = [("kept", n % self.most_kept) for n in range(first, first + width)]
        else:
            return
        assert cfg.bands > 1 or any(p in self.ready for p in places), f"{segment} is never written"
        self._wait(what, *places)

    def _finish(self, i: Instruction, row: int, own: range) -> None:
        cfg, s = self.cfg, self.cfg.tile_shapes[i.shape]
        self._wait("P", "lanes")
        self._write(self.slot + s.passes, "lanes")
        ready = self.slot + i.tail(cfg)
        first = i.h_word * cfg.columns + i.h_lane + row * s.block
        places = [n % self.most_h for n in range(first, first + s.block)]
        self._write(ready, "drained", *(("finished", band) for band in own))
        self._write(ready, *(("h", 1 - self.half, n) for n in places))
        if i.keep:
            write = self.write * cfg.columns
            self._write(ready, *(("kept", (write + n) % self.most_kept) for n in places))

    def _load(self, i: Instruction) -> None:
        cfg = self.cfg
        self._wait(i.op.name, "drained")
        self.slot += i.rows * i.item_beats(cfg)
        if i.op == Op.LOAD_STATE:
            neurons, first = range(i.rows * cfg.lanes), i.h_word * cfg.columns
            places = [("h", self.half, first + n) for n in neurons]
            places += [("finished", i.row_first + n // cfg.block) for n in neurons]
            self.loaded = self.slot - 1 + cfg.tail  # more than the sv engine needs
            self._write(self.loaded, *places)
