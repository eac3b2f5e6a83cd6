"""The instructions of a level, in the order of its schedule; where its weights lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain as chained
from itertools import pairwise

from lstm_sharp.compiler.tiling import Rect
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start


@dataclass(frozen=True)
class LayerShape:
    """What the compiler needs to know of a cell: one direction of one layer."""

    input_size: int
    hidden_size: int
    x_shift: int = 0  # the largest of its rows, as is the next
    act_shift: int = 0
    c_shift: int = 0
    even: bool = True  # all rows have one scale
    kind: str = "lstm"
    symmetric: bool = True  # no weight is the least of its width
    h_drop: int = 0

    @property
    def weights(self) -> int:
        """How many a cell of this shape has."""
        return 4 * self.hidden_size * (self.input_size + self.hidden_size)


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

    def finishing(self, cfg: Config) -> list[Rect]:
        """Rectangles of the h-part that end their rows."""
        return [
            rect
            for n, rect in enumerate(self.h, start=1)
            if not any(rect.shares_rows(later, cfg) for later in self.h[n:])
        ]

    def neurons(self, cfg: Config) -> int:
        """Elements of h that its row blocks make, with those that fill the last ones."""
        return cfg.block * max(rect.row_end(cfg) for rect in self.finishing(cfg))


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
        source, word = Source.X, 0
        if chain.height:
            source, word = Source.H, chain.below
        elif not self.bottom:
            source, word = Source.SEQUENCE, chain.word_first
        found: list[Instruction] = []
        pulled = 0  # words, by rectangles before
        for rect, first, last, own in self._rects(chain, chain.cell.x, 0, word):
            words = -(-rect.col_end(self.cfg) // self.cfg.bands)
            found.append(
                replace(
                    own,
                    source=source,
                    start=Start.BIAS if first else Start.STORED,
                    pull=source == Source.X and words > pulled,
                    pop=last and (source == Source.X or (source == Source.SEQUENCE and is_last)),
                )
            )
            pulled = max(pulled, words)
        return found

    def _h_part(self, chain: Chain, is_last: bool, zero: bool) -> list[Instruction]:
        """W_hh h: takes up the x sums; rows finish, those of the last chain end the step."""
        cell = replace(chain.cell, h=_uncut(chain.cell.h)) if zero else chain.cell
        highest = chain.height == len(self.levels) - 1
        finishing = cell.finishing(self.cfg)
        return [
            replace(
                own,
                source=Source.ZERO if zero else Source.H,
                c_zero=zero,
                start=Start.STORED_SHIFTED if first else Start.STORED,
                finish=rect in finishing,
                ends=last,
                step=last and is_last,
                emit=rect in finishing and highest and self.top,
                keep=rect in finishing and highest and not self.top,
            )
            for rect, first, last, own in self._rects(chain, cell.h, cell.x_tiles, chain.word_first)
        ]

    def _rects(
        self, chain: Chain, rects: Sequence[Rect], tile: int, word: int
    ) -> Iterator[tuple[Rect, bool, bool, Instruction]]:
        """Yield the rectangles of a part, whether each is its rows' first, the last, and places.

        Its tiles follow each other; its scalars begin at a word of where they come from.
        """
        cell, cfg = chain.cell, self.cfg
        shared = 1 - cfg.row_scales  # else they come with the biases
        for n, rect in enumerate(rects):
            neuron = rect.row_first * cfg.block
            yield (
                rect,
                not any(rect.shares_rows(earlier, cfg) for earlier in rects[:n]),
                n == len(rects) - 1,
                Instruction(
                    shape=rect.shape,
                    row_first=chain.row_first + rect.row_first,
                    rows=rect.rows,
                    col_first=word * cfg.bands + rect.col_first,
                    cols=rect.cols,
                    weight_base=cell.weight_base + tile,
                    bias_base=cell.bias_base + rect.row_first,
                    h_word=chain.word_first + neuron // cfg.columns,
                    h_lane=neuron % cfg.columns,
                    c_shift=cell.shape.c_shift,
                    h_drop=cell.shape.h_drop,
                    x_shift=shared * cell.shape.x_shift,
                    act_shift=shared * cell.shape.act_shift,
                ),
            )
            tile += rect.tiles

    def _state(self, op: Op, chain: Chain) -> Instruction:
        return Instruction(
            op=op,
            row_first=chain.row_first,
            rows=chain.cell.neurons(self.cfg) // self.cfg.lanes,
            h_word=chain.word_first,
        )


def loop(body: list[Instruction], times: int) -> list[Instruction]:
    """Repeat body; nothing at all for zero times."""
    if times < 1:
        return []
    last = replace(body[-1], repeats=times, loop_back=len(body) - 1) if times > 1 else body[-1]
    return [*body[:-1], last]


def _uncut(rects: tuple[Rect, ...]) -> tuple[Rect, ...]:
    """Make one rectangle of those that side by side are one.

    Where scalars are zero the order of the tiles makes no difference.
    """
    first = rects[0]
    if any(r[:3] != first[:3] for r in rects):
        return rects
    return (first._replace(cols=sum(r.cols for r in rects)),)
