"""The slot program: what the host writes into the engine's program window.

A program is a header and a list of instructions, ``STRIDE`` 32-bit words each. An instruction is
a rectangle of tiles or a load from the weight stream. The tables below are the only definition of
the layout: the encoder, the SystemVerilog package and the C++ header are all made from them. See
docs/slot-program.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, NamedTuple, get_type_hints

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError

STRIDE = 8
"""32-bit words from one instruction to the next; the header takes the first place."""
MAX_INSTRUCTIONS = 127
"""Instructions that fit the window beside the header."""
MAGIC = 0x4C53


class Op(IntEnum):
    """What an instruction does."""

    TILES = 0  # dispatch a rectangle of tiles
    LOAD_WEIGHTS = 1  # rows tiles from the weight stream to weight_base
    LOAD_BIAS = 2  # rows row blocks of biases to bias_base
    LOAD_STATE = 3  # rows groups of h and c into the buffers the next h-part reads
    GIVE_STATE = 4  # rows groups of h and c, as the next h-part would read them, to the h stream


class Source(IntEnum):
    """Where the scalars of a rectangle come from."""

    X = 0  # the x ring, filled by the x stream
    SEQUENCE = 1  # the h sequence of the layer below
    H = 2  # h of the step before
    ZERO = 3  # h of the step before, all zero


class Start(IntEnum):
    """What a row block's running sum starts from."""

    BIAS = 0
    STORED = 1  # the stored sum, to go on with the same part
    STORED_SHIFTED = 2  # the stored x-part, times 2**x_shift


class Status(IntEnum):
    """How a run ended: bits 7:0 of the status register; docs/engine.md says more."""

    FINE = 0
    HEADER = 1
    INSTRUCTION = 2  # out of range; its number is in bits 15:8, as for WEIGHTS and DISTANCE
    WORDS = 3  # of x: another number than told, or one out of turn
    WEIGHTS = 4  # past the end of their memory
    DISTANCE = 5  # a slot or state that comes too early, of the sv engine alone


_STATUSES: dict[int, str] = {
    Status.FINE: "fine",
    Status.HEADER: "its header is wrong",
    Status.INSTRUCTION: "instruction {} is out of the config's range",
    Status.WORDS: "it pulls other words of x than its header says, or out of turn",
    Status.WEIGHTS: "instruction {} runs past the end of the weight memory",
    Status.DISTANCE: "a slot of instruction {} comes too early",
}


C_SATURATED = 16
"""Bit of the status register: some c saturated in this run, of an engine with row scales."""


def describe(status: int) -> str:
    """Say in words what a status register tells."""
    code, instruction = status & 0xFF, status >> 8 & 0xFF
    text = _STATUSES.get(code, "of a kind that is not known")
    return f"{text.format(instruction)} (status {code})"


class Field(NamedTuple):
    """Where a field lies."""

    word: int
    lsb: int
    width: int

    @property
    def msb(self) -> int:
        """Highest bit of the field's own value."""
        return self.width - 1

    @property
    def bits(self) -> str:
        """Highest and lowest bit in its word, as Verilog writes a range."""
        return f"{self.lsb + self.width - 1}:{self.lsb}"

    @property
    def cpp_type(self) -> str:
        """Type of the field's value in C++."""
        return "bool" if self.width == 1 else f"UInt<{self.width}>"


HEADER = {
    "magic": Field(0, 16, 16),
    "instructions": Field(0, 0, 16),
    "sequences": Field(1, 0, 32),  # times that the whole list is run
    "x_words": Field(2, 0, 32),  # x words that all rectangles together pull
    "slots": Field(3, 0, 32),  # slots of the whole run, no-op slots and load beats included
    "stride": Field(4, 0, 16),  # words from one step to the next in the sequence buffer
    "gru": Field(4, 16, 1),  # all cells are GRUs, of an engine that runs such
}


@dataclass(frozen=True)
class Instruction:
    """One instruction, and where each of its fields lies."""

    op: Annotated[Op, Field(0, 24, 3)] = Op.TILES
    shape: Annotated[int, Field(0, 27, 3)] = 0  # of the tiles: its number in the config's list
    source: Annotated[Source, Field(0, 2, 2)] = Source.X
    start: Annotated[Start, Field(0, 4, 2)] = Start.BIAS
    finish: Annotated[bool, Field(0, 6, 1)] = False  # sums go to the MFU; else they are stored
    ends: Annotated[bool, Field(0, 0, 1)] = False  # finishes the last neurons of the vector h
    c_zero: Annotated[bool, Field(0, 7, 1)] = False  # the MFU takes c of the step before as zero
    pull: Annotated[bool, Field(0, 8, 1)] = False  # the first row waits for each of its x words
    pop: Annotated[bool, Field(0, 9, 1)] = False  # afterwards the x words of this step are used up
    emit: Annotated[bool, Field(0, 10, 1)] = False  # h leaves through the h stream
    keep: Annotated[bool, Field(0, 11, 1)] = False  # h goes to the sequence buffer
    step: Annotated[bool, Field(0, 12, 1)] = False  # ends a time step
    layer: Annotated[bool, Field(0, 13, 1)] = False  # sequence buffer from its start
    c_shift: Annotated[int, Field(0, 14, 2)] = 0  # C_FRAC over the fraction bits of c
    # In an engine with row scales these come with the biases: engine/beats.py
    x_shift: Annotated[int, Field(0, 16, 4)] = 0
    act_shift: Annotated[int, Field(0, 20, 4)] = 0  # frac over the format's least
    # band in the memories of sums and c, chains side by side
    row_first: Annotated[int, Field(1, 0, 16)] = 0
    # row blocks; items of a load, groups of lanes of a state
    rows: Annotated[int, Field(1, 16, 16)] = 0
    # segment of x, of the h buffer, or of a step in the sequence
    col_first: Annotated[int, Field(2, 0, 16)] = 0
    cols: Annotated[int, Field(2, 16, 16)] = 0  # columns of tiles
    # tile of the first row and column; then columns, then rows
    weight_base: Annotated[int, Field(3, 0, 16)] = 0
    bias_base: Annotated[int, Field(3, 16, 16)] = 0  # band of biases of the first row
    nops: Annotated[int, Field(4, 0, 16)] = 0  # no-op slots before the first slot
    repeats: Annotated[int, Field(4, 16, 16)] = 0  # of the loop that ends here; 0 and 1: none
    h_word: Annotated[int, Field(5, 0, 16)] = 0  # of the first row's neurons in the h buffer
    h_lane: Annotated[int, Field(5, 16, 8)] = 0
    h_drop: Annotated[int, Field(6, 0, 4)] = 0  # last bits of h that are 0, of a mixed format
    loop_back: Annotated[int, Field(5, 24, 8)] = 0  # instructions from the loop's first to this one

    def row_slots(self, cfg: Config) -> int:
        """Slots of one row: its columns, filled up to the MFU's passes where it finishes."""
        return max(self.cols, self.passes(cfg)) if self.finish else self.cols

    def passes(self, cfg: Config) -> int:
        """Least slots of a finishing row: cycles in which the lanes take up a row block."""
        return cfg.tile_shapes[self.shape].passes

    def tail(self, cfg: Config) -> int:
        """D of what it finishes: from a row's last slot to its last h being readable."""
        return cfg.tail - cfg.most_passes + self.passes(cfg)

    def col_end(self, cfg: Config) -> int:
        """Segment behind the last column."""
        return self.col_first + self.cols * cfg.tile_shapes[self.shape].step

    def pulled(self, cfg: Config) -> int:
        """Words of x that it is the first to read: those whose first segment it has."""
        if not self.pull:
            return 0
        return -(-self.col_end(cfg) // cfg.bands) - -(-self.col_first // cfg.bands)

    def item_beats(self, cfg: Config) -> int:
        """Beats of one item of a load."""
        beats = {Op.LOAD_WEIGHTS: cfg.tile_beats, Op.LOAD_BIAS: cfg.rows}
        return beats.get(self.op, cfg.lanes)

    def slots(self, cfg: Config) -> int:
        """Slots from the first no-op to the last tile, or beats of a load."""
        if self.op == Op.TILES:
            return self.nops + self.rows * self.row_slots(cfg)
        return self.nops + self.rows * self.item_beats(cfg)


INSTRUCTION: dict[str, Field] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Instruction, include_extras=True).items()
}
MAX_STEPS = 1 << INSTRUCTION["repeats"].width
"""Steps that a program of any schedule has room for: a loop, and one step beside it."""


def loops(instructions: Sequence[Instruction]) -> list[tuple[range, int]]:
    """Cut a list into loops and what lies between: indices, and how often they are run."""
    found, begin = [], 0
    for end, i in enumerate(instructions, start=1):
        if i.repeats > 1:
            first = end - 1 - i.loop_back
            found += [(range(begin, first), 1), (range(first, end), i.repeats)]
            begin = end
    return [*found, (range(begin, len(instructions)), 1)]


@dataclass(frozen=True)
class Program:
    """A list of instructions, run ``sequences`` times."""

    instructions: tuple[Instruction, ...]
    sequences: int = 1
    stride: int = 0
    gru: bool = False

    def walk(self) -> Iterator[Instruction]:
        """Yield the instructions in the order in which one sequence runs them."""
        for block, rounds in loops(self.instructions):
            for _ in range(rounds):
                yield from self.instructions[block.start : block.stop]

    def encode(self, cfg: Config) -> np.ndarray:
        """Encode header and instructions as uint32 words.

        Raises:
            UsageError: more instructions, or a larger number, than the format has room for.
        """
        count = len(self.instructions)
        if count > MAX_INSTRUCTIONS:
            raise UsageError(
                f"the program takes {count} instructions, the window holds {MAX_INSTRUCTIONS}; "
                "run fewer layers together"
            )
        words = np.zeros((count + 1, STRIDE), np.uint32)
        order = list(self.walk())
        header = {
            "magic": MAGIC,
            "instructions": count,
            "sequences": self.sequences,
            "x_words": self.sequences * sum(i.pulled(cfg) for i in order),
            "slots": self.sequences * sum(i.slots(cfg) for i in order),
            "stride": self.stride,
            "gru": self.gru,
        }
        _put(words[0], HEADER, header)
        for row, instruction in zip(words[1:], self.instructions):
            _put(row, INSTRUCTION, vars(instruction))
        return words.reshape(-1)


def null_program() -> np.ndarray:
    """Return the words of a program without instructions: the engine says who it is."""
    words = np.zeros(STRIDE, np.uint32)
    _put(words, HEADER, {"magic": MAGIC})
    return words


def idle_program(turns: int) -> Program:
    """Make a program of 32,768 slots a turn, that touches no stream: it takes time, no more."""
    nops = (1 << (INSTRUCTION["nops"].width - 1)) - 1
    return Program((Instruction(source=Source.ZERO, rows=1, cols=1, nops=nops),), turns)


def _put(row: np.ndarray, layout: dict[str, Field], values: dict[str, int]) -> None:
    for name, value in values.items():
        field = layout[name]
        if not 0 <= int(value) < 1 << field.width:
            raise UsageError(
                f"program field {name} = {int(value)} needs more than {field.width} "
                "bits; run fewer steps or sequences in one call"
            )
        row[field.word] |= np.uint32(int(value) << field.lsb)
