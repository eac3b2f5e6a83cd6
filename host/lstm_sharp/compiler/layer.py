"""The instructions of a level, in the order of its schedule; where its weights lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain as chained
from itertools import pairwise
from math import ceil
from typing import Any

from lstm_sharp.compiler.cover import Rect
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
    x: tuple[Rect, ...]  # rectangles of the x-part in the order of dispatch, which is that of tiles
    h: tuple[Rect, ...]  # of the h-part
    bands: int  # places of its sums and biases
    weight_base: int
    bias_base: int

    @property
    def x_tiles(self) -> int:
        """Tiles of the x-part."""
        return sum(rect.tiles for rect in self.x)

    @property
    def h_tiles(self) -> int:
        """Tiles of the h-part."""
        return sum(rect.tiles for rect in self.h)

    @property
    def tiles(self) -> int:
        """Tiles of the cell's weights."""
        return self.x_tiles + self.h_tiles

    def row_tiles(self, cfg: Config) -> int:
        """Tiles of the h-part up to the end of its first row block: no row has fewer."""
        return sum(rect.cols for rect in self.h if rect.row_first == 0)

    def x_words(self, cfg: Config) -> int:
        """Words of N elements of an x vector."""
        return ceil(self.shape.input_size / cfg.columns)

    def finishing(self, cfg: Config) -> tuple[int, ...]:
        """Which rectangles of the h-part end their rows."""
        return tuple(
            n
            for n, rect in enumerate(self.h)
            if not any(rect.shares_rows(later, cfg) for later in self.h[n + 1 :])
        )

    def neurons(self, cfg: Config) -> int:
        """Elements of h that its row blocks make, with those that fill the last ones."""
        return cfg.block * max(self.h[n].row_end(cfg) for n in self.finishing(cfg))

    def state_groups(self, cfg: Config) -> int:
        """Groups of ``lanes`` neurons of its h and c."""
        return self.neurons(cfg) // cfg.lanes


@dataclass(frozen=True)
class Chain:
    """One recurrence: a cell on one sequence, with its own places in the engine's memories."""

    cell: LayerPlan
    height: int  # of its level among those that run together
    begin: int  # the program's step in which it takes its first
    steps: int
    row_first: int  # band in the memories of stored sums and c
    word_first: int  # in the h buffer, and in a step of the sequence buffer
    below: int = 0  # in a wavefront: where h of the level below lies in the h buffer

    @property
    def end(self) -> int:
        """The program's step in which it takes no more."""
        return self.begin + self.steps

    def active(self, step: int) -> bool:
        """Whether it takes part in a step of the program."""
        return self.begin <= step < self.end


@dataclass(frozen=True)
class LevelProgram:
    """Writes the instructions of cells that run together, chains in lockstep.

    Those are the cells of one level; or in a wavefront one of each level, a level being a step
    behind the one below, whose h it takes from the h buffer. In a step each chain's h-part follows
    its x-part, or the x-part of the ``lead``-th chain after.
    """

    cfg: Config
    levels: tuple[tuple[LayerPlan, ...], ...]  # one cell each, or forward and reverse
    lead: int
    words: int  # of h that a chain takes in its buffers
    bottom: bool  # whether the first level takes x
    top: bool  # whether the last one gives h

    def instructions(
        self, lengths: Sequence[int], with_state: bool, give_state: bool
    ) -> list[Instruction]:
        """All steps of sequences of descending lengths.

        A chain's first step is apart, since it may take zero for h and c. Else there is a loop for
        each stretch of steps of the same chains.
        """
        chains = list(self._chains(lengths))
        instructions: list[Instruction] = []
        edges = {at for c in chains for at in (c.begin, c.begin + 1, c.end)}
        for begin, end in pairwise(sorted(edges)):
            active = [c for c in chains if c.active(begin)]
            fresh = [c for c in active if c.begin == begin]
            if with_state:
                instructions += [self._state(Op.LOAD_STATE, c) for c in fresh]
            step = self._step(active, [] if with_state else fresh)
            if begin == 0:
                step[0] = replace(step[0], layer=True)
            instructions += loop(step, end - begin)
            if give_state:
                over = sorted((c for c in active if c.end == end), key=lambda c: c.height)
                instructions += [self._state(Op.GIVE_STATE, c) for c in over]
        return instructions

    def _chains(self, lengths: Sequence[int]) -> Iterator[Chain]:
        """Sequence after sequence, within it level after level, direction after direction."""
        bands = max(cell.bands for cells in self.levels for cell in cells)
        place = 0
        for steps in lengths:
            for height, cells in enumerate(self.levels):
                for cell in cells:
                    word = place * self.words
                    below = word - self.words if height else 0
                    yield Chain(cell, height, height, steps, place * bands, word, below)
                    place += 1

    def _step(self, active: list[Chain], zeros: list[Chain]) -> list[Instruction]:
        """One time step of the chains that take part, some of which take zero for h and c."""
        last = active[-1]
        x = [self._x_part(chain, chain is last) for chain in active]
        h = [self._h_part(chain, chain is last, chain in zeros) for chain in active]
        step = [i for part in x[: self.lead] for i in part]
        for place, own in enumerate(h):
            ahead = x[place + self.lead : place + self.lead + 1]
            step += chained.from_iterable((*ahead, own))
        return step

    def _x_part(self, chain: Chain, is_last: bool) -> list[Instruction]:
        """W_ih x: sums start from the bias and are stored."""
        cell, cfg = chain.cell, self.cfg
        source, word = Source.X, 0
        if chain.height:
            source, word = Source.H, chain.below
        elif not self.bottom:
            source, word = Source.SEQUENCE, chain.word_first
        found: list[Instruction] = []
        pulled = 0  # words, by rectangles before
        for n, (rect, tile) in enumerate(_with_tiles(cell.x, cell.weight_base)):
            before = any(rect.shares_rows(earlier, cfg) for earlier in cell.x[:n])
            last = n == len(cell.x) - 1
            words = -(-rect.col_end(cfg) // cfg.bands)
            found.append(
                Instruction(
                    source=source,
                    start=Start.STORED if before else Start.BIAS,
                    pull=source == Source.X and words > pulled,
                    pop=last and (source == Source.X or (source == Source.SEQUENCE and is_last)),
                    **self._common(chain, rect, tile, word),
                )
            )
            pulled = max(pulled, words)
        return found

    def _h_part(self, chain: Chain, is_last: bool, zero: bool) -> list[Instruction]:
        """W_hh h: takes up the x sums; rows finish, those of the last chain end the step."""
        cell, cfg = chain.cell, self.cfg
        base = cell.weight_base + cell.x_tiles
        highest = chain.height == len(self.levels) - 1
        rects = _uncut(cell.h) if zero else cell.h
        finishing = replace(cell, h=rects).finishing(cfg)
        found: list[Instruction] = []
        for n, (rect, tile) in enumerate(_with_tiles(rects, base)):
            before = any(rect.shares_rows(earlier, cfg) for earlier in rects[:n])
            finish, last = n in finishing, n == len(rects) - 1
            found.append(
                Instruction(
                    source=Source.ZERO if zero else Source.H,
                    c_zero=zero,
                    start=Start.STORED if before else Start.STORED_SHIFTED,
                    finish=finish,
                    ends=last,
                    step=last and is_last,
                    emit=finish and highest and self.top,
                    keep=finish and highest and not self.top,
                    **self._common(chain, rect, tile, chain.word_first),
                )
            )
        return found

    def _common(self, chain: Chain, rect: Rect, tile: int, word: int) -> dict[str, Any]:
        """Fields of a rectangle; its scalars begin at a word of where they come from."""
        cell, cfg = chain.cell, self.cfg
        first = rect.row_first * cfg.block  # neuron
        return {
            "shape": rect.shape,
            "row_first": chain.row_first + rect.row_first,
            "rows": rect.rows,
            "col_first": word * cfg.bands + rect.col_first,
            "cols": rect.cols,
            "weight_base": tile,
            "bias_base": cell.bias_base + rect.row_first,
            "h_word": chain.word_first + first // cfg.columns,
            "h_lane": first % cfg.columns,
            "x_shift": cell.shape.x_shift,
            "act_shift": cell.shape.act_shift,
        }

    def _state(self, op: Op, chain: Chain) -> Instruction:
        return Instruction(
            op=op,
            row_first=chain.row_first,
            rows=chain.cell.state_groups(self.cfg),
            h_word=chain.word_first,
        )


def loop(body: list[Instruction], times: int) -> list[Instruction]:
    """Repeat body; nothing at all for zero times."""
    if times < 1:
        return []
    last = replace(body[-1], repeats=times, loop_back=len(body) - 1) if times > 1 else body[-1]
    return [*body[:-1], last]


def _with_tiles(rects: Sequence[Rect], base: int) -> Iterator[tuple[Rect, int]]:
    """Pair rectangles with the addresses of their first tiles."""
    for rect in rects:
        yield rect, base
        base += rect.tiles


def _uncut(rects: tuple[Rect, ...]) -> tuple[Rect, ...]:
    """Make one rectangle of those that side by side are one.

    Where scalars are zero the order of the tiles makes no difference.
    """
    first = rects[0]
    if any(r[:3] != first[:3] for r in rects):
        return rects
    return (first._replace(cols=sum(r.cols for r in rects)),)
