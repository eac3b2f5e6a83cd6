"""A level of cells on the engine: where weights lie, how a step is cut, and its instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start


@dataclass(frozen=True)
class LayerShape:
    """What the compiler needs to know of a cell: one direction of one layer."""

    input_size: int
    hidden_size: int
    x_shift: int = 0
    act_shift: int = 0


@dataclass(frozen=True)
class LayerPlan:
    """Where a cell's weights lie and how its step is cut; the same for every run."""

    shape: LayerShape
    rows: int  # row blocks
    x_columns: int  # column tiles of the x-part
    h_cuts: tuple[int, ...]  # column tiles of each rectangle of the h-part
    weight_base: int
    bias_base: int

    @property
    def h_columns(self) -> int:
        """Column tiles of the h-part."""
        return sum(self.h_cuts)

    @property
    def tiles(self) -> int:
        """Tiles of the cell's weights."""
        return self.rows * (self.x_columns + self.h_columns)

    def state_groups(self, cfg: Config) -> int:
        """Groups of ``lanes`` neurons of its h and c."""
        return self.rows * cfg.passes


@dataclass(frozen=True)
class Chain:
    """One recurrence: a cell on one sequence, with its own places in the engine's memories."""

    cell: LayerPlan
    steps: int
    row_first: int  # in the memories of stored sums and c
    word_first: int  # in the h buffer, and in a step of the sequence buffer


@dataclass(frozen=True)
class LevelProgram:
    """Writes the instructions of the cells that run at one height of a stack, chains in lockstep.

    In a step each chain's h-part follows its x-part, or the x-part of the ``lead``-th chain after.
    """

    cfg: Config
    cells: tuple[LayerPlan, ...]  # one, or forward and reverse
    lead: int
    words: int  # of h that a chain takes in its buffers
    bottom: bool
    top: bool

    def instructions(
        self, lengths: Sequence[int], with_state: bool, give_state: bool
    ) -> list[Instruction]:
        """All steps of sequences of descending lengths.

        The first step is apart, since it may take zero for h and c. Then comes a loop for each
        number of chains that are left.
        """
        chains = list(self._chains(lengths))
        first = self._step(chains, zero=not with_state)
        opening = next(index for index, i in enumerate(first) if i.op == Op.TILES)
        first[opening] = replace(first[opening], layer=True)
        loads = [self._state(Op.LOAD_STATE, chain) for chain in chains] if with_state else []
        instructions = loads + first
        done = 1
        for end in sorted(set(lengths)):
            active = [chain for chain in chains if chain.steps >= end]
            instructions += _loop(self._step(active), end - done)
            if give_state:
                over = [chain for chain in active if chain.steps == end]
                instructions += [self._state(Op.GIVE_STATE, chain) for chain in over]
            done = end
        return instructions

    def _chains(self, lengths: Sequence[int]) -> Iterator[Chain]:
        """Sequence after sequence, within it direction after direction."""
        for sequence, steps in enumerate(lengths):
            for direction, cell in enumerate(self.cells):
                place = sequence * len(self.cells) + direction
                yield Chain(cell, steps, place * cell.rows, place * self.words)

    def _step(self, active: list[Chain], zero: bool = False) -> list[Instruction]:
        """One time step of the chains that are left."""
        last = active[-1]
        x = [self._x_part(chain, chain is last) for chain in active]
        step = x[: self.lead]
        for index, chain in enumerate(active, start=self.lead):
            step += x[index : index + 1] + self._h_part(chain, chain is last, zero)
        return step

    def _x_part(self, chain: Chain, is_last: bool) -> Instruction:
        """W_ih x: sums start from the bias and are stored."""
        return Instruction(
            source=Source.X if self.bottom else Source.SEQUENCE,
            start=Start.BIAS,
            pull=self.bottom,
            pop=self.bottom or is_last,
            col_first=0 if self.bottom else chain.word_first,
            cols=chain.cell.x_columns,
            weight_base=chain.cell.weight_base,
            **self._common(chain),
        )

    def _h_part(self, chain: Chain, is_last: bool, zero: bool) -> list[Instruction]:
        """W_hh h: takes up the x sums; the last rectangle finishes, the last chain's ends the step.

        Where h is zero the order of the tiles makes no difference: one rectangle will do.
        """
        cell = chain.cell
        rectangles: list[Instruction] = []
        tile, column = cell.weight_base + cell.rows * cell.x_columns, chain.word_first
        for width in (cell.h_columns,) if zero else cell.h_cuts:
            rectangles.append(
                Instruction(
                    source=Source.ZERO if zero else Source.H,
                    c_zero=zero,
                    start=Start.STORED if rectangles else Start.STORED_SHIFTED,
                    col_first=column,
                    cols=width,
                    weight_base=tile,
                    **self._common(chain),
                )
            )
            tile, column = tile + cell.rows * width, column + width
        rectangles[-1] = replace(
            rectangles[-1], finish=True, ends=True, step=is_last, emit=self.top, keep=not self.top
        )
        return rectangles

    def _common(self, chain: Chain) -> dict[str, Any]:
        return {
            "row_first": chain.row_first,
            "rows": chain.cell.rows,
            "bias_base": chain.cell.bias_base,
            "h_word": chain.word_first,
            "x_shift": chain.cell.shape.x_shift,
            "act_shift": chain.cell.shape.act_shift,
        }

    def _state(self, op: Op, chain: Chain) -> Instruction:
        return Instruction(
            op=op,
            row_first=chain.row_first,
            rows=chain.cell.state_groups(self.cfg),
            h_word=chain.word_first,
        )


def _loop(body: list[Instruction], times: int) -> list[Instruction]:
    """Repeat body; nothing at all for zero times."""
    if times < 1:
        return []
    last = replace(body[-1], repeats=times, loop_back=len(body) - 1) if times > 1 else body[-1]
    return [*body[:-1], last]
