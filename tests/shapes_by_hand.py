"""Programs of any tile shapes, written by hand, and what must come of them.

Nothing of the compiler is in these: rectangles are drawn, weights packed after docs/shapes.md, and
no-op slots counted here, none too many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

import cases
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program, Source, Start
from lstm_sharp.flow.jobs import Result, Run
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel
from lstm_sharp.runtime import engines

STEPS = 3


class Rect(NamedTuple):
    """A rectangle of one shape: bands and segments counted from the layer's first."""

    shape: int
    band: int
    rows: int
    segment: int
    cols: int
    begins: bool  # has the first columns of its rows
    ends: bool  # has the last ones


@dataclass(frozen=True)
class Layer:
    """Where a layer lies, and how its parts are cut."""

    q: QuantLayer
    bands: int
    row_first: int
    bias_base: int
    word: int  # of the h buffer
    x: tuple[Rect, ...]
    h: tuple[Rect, ...]


def cut(rng: np.random.Generator, cfg: Config, first: int, bands: int, size: int) -> Iterator[Rect]:
    """Cut a part into ranges of rows of any shapes, and some of these in two along a column.

    Row blocks begin at multiples of their bands, counted from the memories' first and the layer's.
    """
    segments, at, shapes = -(-size * cfg.bands // cfg.columns), 0, list(enumerate(cfg.tile_shapes))
    for others in (2, 1, 0):
        left = bands - at
        fit = [n for n, s in shapes if not (first | at) % s.gang and s.gang <= left]
        if not others:
            fit = [n for n in fit if not left % cfg.tile_shapes[n].gang]
        shape = int(rng.choice(fit))
        s = cfg.tile_shapes[shape]
        rows = int(rng.integers(1, left // s.gang + 1)) if others else left // s.gang
        cols = -(-segments // s.step)
        where = int(rng.integers(0, cols))
        if where:
            yield Rect(shape, at, rows, 0, where, True, False)
        yield Rect(shape, at, rows, where * s.step, cols - where, not where, True)
        at += rows * s.gang
        if at == bands:
            return


def draw(cfg: Config, seed: int) -> tuple[QuantModel, list[Layer]]:
    """Draw two layers, one on the other; bands begin anywhere, alike for sums and biases."""
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(1, 33, 3)]
    kinds, extreme = ("forward", "forward"), seed % 2 == 0
    model = cases.random_model(rng, cfg.fmt, kinds, sizes, cfg.max_shift, extreme)
    layers, bias = [], 0
    for q in model.layers:
        offset = int(rng.choice([0, rng.integers(0, cfg.bands)]))
        least = -(-q.hidden_size // cfg.block)
        bands = int(rng.integers(least, least + cfg.bands))
        x = tuple(cut(rng, cfg, offset, bands, q.input_size))
        h = tuple(cut(rng, cfg, offset, bands, q.hidden_size))
        row = cfg.bands * int(rng.integers(0, 2)) + offset
        layers.append(Layer(q, bands, row, bias + offset, int(rng.integers(0, 3)), x, h))
        bias += cfg.bands * (2 + bands // cfg.bands)
    return model, layers


def packed(cfg: Config, layers: list[Layer]) -> tuple[Program, np.ndarray]:
    """Load all tiles, part after part, then the layers' biases."""
    tiles, beats = [], []
    for layer in layers:
        for matrix, rects in ((layer.q.w_ih, layer.x), (layer.q.w_hh, layer.h)):
            rows = _by_band(cfg, layer, matrix, 2 * cfg.columns)
            tiles += [t for rect in rects for t in _tiles(cfg, rect, rows)]
        words = np.zeros((layer.bands * cfg.rows, cfg.stream_bits // 64), "<i8")
        words[:, 0] = _by_band(cfg, layer, layer.q.b[:, None], 0).reshape(-1)
        beats.append(words)
    weights = np.zeros((len(tiles), cfg.tile_beats * cfg.beat_weights), "i1")
    weights[:, : cfg.macs] = tiles
    biases = [Instruction(op=Op.LOAD_BIAS, bias_base=n.bias_base, rows=n.bands) for n in layers]
    load = Program((Instruction(op=Op.LOAD_WEIGHTS, rows=len(tiles)), *biases))
    return load, np.concatenate([part.reshape(-1).view(np.uint8) for part in (weights, *beats)])


def _by_band(cfg: Config, layer: Layer, matrix: np.ndarray, spare: int) -> np.ndarray:
    """Gate rows as (bands, K0, columns), zeros beyond the layer."""
    hidden, size = layer.q.hidden_size, matrix.shape[1]
    rows = np.zeros((layer.bands * cfg.block, 4, size + spare), np.int64)
    rows[:hidden, :, :size] = matrix.reshape(4, hidden, size).transpose(1, 0, 2)
    return rows.reshape(layer.bands, cfg.rows, -1)


def _tiles(cfg: Config, rect: Rect, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Rows outside, columns inside; in a tile band after band, column after column, K0 rows."""
    s, segment = cfg.tile_shapes[rect.shape], cfg.columns // cfg.bands
    for row in range(rect.rows):
        for col in range(rect.cols):
            band, first = rect.band + row * s.gang, rect.segment * segment + col * s.columns
            tile = rows[band : band + s.gang, :, first : first + s.columns]
            yield tile.transpose(0, 2, 1).reshape(-1)


def written(cfg: Config, layers: list[Layer]) -> Iterator[Instruction]:
    """Write the steps of one layer after the other, without no-op slots; states at the end."""
    tile = 0
    for below, layer in zip([None, *layers], layers):
        tiles = tile
        top, bottom = layer is layers[-1], below is None
        # A layer's h begins at the same word in a step of the sequence buffer as in the h buffer.
        word = 0 if below is None else below.word
        for step in range(STEPS):
            tile = tiles
            for n, rect in enumerate(layer.x):
                common, tile = _common(cfg, layer, rect, tile)
                yield Instruction(
                    source=Source.X if bottom else Source.SEQUENCE,
                    start=Start.BIAS if rect.begins else Start.STORED,
                    pull=bottom and rect.band == 0,
                    pop=n == len(layer.x) - 1,
                    layer=n == step == 0,
                    col_first=word * cfg.bands + rect.segment,
                    **common,
                )
            for n, rect in enumerate(layer.h):
                common, tile = _common(cfg, layer, rect, tile)
                last = n == len(layer.h) - 1
                yield Instruction(
                    source=Source.H if step else Source.ZERO,
                    start=Start.STORED_SHIFTED if rect.begins else Start.STORED,
                    finish=rect.ends,
                    ends=last,
                    step=last,
                    c_zero=step == 0,
                    emit=top,
                    keep=not top,
                    col_first=layer.word * cfg.bands + rect.segment,
                    **common,
                )
        if top:
            where = {"row_first": layer.row_first, "h_word": layer.word}
            yield Instruction(op=Op.GIVE_STATE, rows=layer.bands * cfg.passes, **where)


def _common(cfg: Config, layer: Layer, rect: Rect, tile: int) -> tuple[dict, int]:
    place = layer.word * cfg.columns + rect.band * cfg.block
    return {
        "shape": rect.shape,
        "rows": rect.rows,
        "cols": rect.cols,
        "row_first": layer.row_first + rect.band,
        "bias_base": layer.bias_base + rect.band,
        "weight_base": tile,
        "x_shift": layer.q.x_shift,
        "act_shift": layer.q.w_hh_frac - cfg.fmt.weight_frac_min,
        "h_word": place // cfg.columns,
        "h_lane": place % cfg.columns,
    }, tile + rect.rows * rect.cols


class Clock:
    """Knows in which slot each place can be read, and so how soon an instruction can begin."""

    def __init__(self, cfg: Config, stride: int) -> None:
        self.cfg, self.stride = cfg, stride
        self.slot = self.half = self.free = self.drained = self.read = self.write = 0
        self.waits: list[bool] = []  # of each instruction: for what another slot writes
        self.stored: dict[int, int] = defaultdict(int)  # by band
        self.h: dict[tuple[int, int], int] = defaultdict(int)  # by half and neuron's place
        self.kept: dict[int, int] = defaultdict(int)

    def place(self, i: Instruction) -> Instruction:
        """Give it the fewest no-op slots that it can have."""
        earliest = self._earliest(i)
        free = self.free - (i.cols - 1) if i.finish else self.slot
        self.waits.append(i.op == Op.TILES and earliest > max(self.slot, free))
        i = replace(i, nops=max(0, earliest - self.slot, free - self.slot))
        self.slot += i.nops
        if i.op == Op.TILES:
            self._run(i)
        return i

    def _earliest(self, i: Instruction) -> int:
        if i.op != Op.TILES:
            return self.drained
        if i.layer:
            self.read = self.write = 0
        early, cfg, n = [0], self.cfg, self.cfg.columns // self.cfg.bands
        s, slots = cfg.tile_shapes[i.shape], i.row_slots(cfg)
        if i.start != Start.BIAS:
            for band in range(i.rows * s.gang):
                early.append(self.stored[i.row_first + band] - band // s.gang * slots)
        for place in range(i.col_first * n, i.col_end(cfg) * n):
            column = (place - i.col_first * n) // s.columns
            if i.source == Source.H:
                early.append(self.h[self.half, place] - column)
            elif i.source == Source.SEQUENCE:
                early.append(self.kept[self.read * cfg.columns + place] - column)
        return max(early)

    def _run(self, i: Instruction) -> None:
        cfg, s = self.cfg, self.cfg.tile_shapes[i.shape]
        for row in range(i.rows):
            last = self.slot + i.cols - 1
            self.slot += i.row_slots(cfg)
            for band in range(i.row_first + row * s.gang, i.row_first + (row + 1) * s.gang):
                self.stored[band] = last + cfg.acc_distance
            if not i.finish:
                continue
            self.free, ready = last + s.passes, last + i.tail(cfg)
            self.drained = max(self.drained, last + cfg.tail)
            first = i.h_word * cfg.columns + i.h_lane + row * s.block
            for place in range(first, first + s.block):
                self.h[1 - self.half, place] = ready
                if i.keep:
                    self.kept[self.write * cfg.columns + place] = ready
        self.half ^= i.step
        self.read += self.stride * (i.pop and i.source == Source.SEQUENCE)
        self.write += self.stride * (i.step and i.keep)


@dataclass(frozen=True)
class Made:
    """A job: a load and a run, and what must come of it."""

    cfg: Config
    program: Program
    waits: list[bool]  # which instructions have no-op slots for the sake of what they read
    load: Run
    run: Run
    h: np.ndarray  # (STEPS, H)
    state: golden.State
    neurons: int  # of a vector, those that fill up row blocks among them

    def hasty(self, number: int) -> list[Run]:
        """Return the runs, an instruction a slot too early."""
        instructions = list(self.program.instructions)
        instructions[number] = replace(instructions[number], nops=instructions[number].nops - 1)
        program = replace(self.program, instructions=tuple(instructions))
        return [self.load, replace(self.run, program=program.encode(self.cfg))]

    def check(self, result: Result) -> None:
        """Refuse any bit that is not golden's."""
        cfg = self.cfg
        engines.check(cfg, self.run, result)
        states = self.neurons * cfg.stream_bits // 8
        vectors = result.h_bytes[:-states].view(f"<i{cfg.fmt.activation_bits // 8}")
        hidden = self.h.shape[1]
        assert np.array_equal(vectors.reshape(STEPS, -1)[:, :hidden], self.h)
        pairs = result.h_bytes[-states:].view("<i4").reshape(self.neurons, -1)[:hidden]
        for found, right in zip(pairs.T, (self.state.h, self.state.c)):
            assert np.array_equal(found, right[-1, 0, :hidden])


@lru_cache
def make(cfg: Config, seed: int) -> Made:
    """Draw a case and write it down."""
    model, layers = draw(cfg, seed)
    size, fmt = model.input_size, cfg.fmt
    stride = 3 + -(-layers[0].bands * cfg.block // cfg.columns)
    clock = Clock(cfg, stride)
    program = Program(tuple(map(clock.place, written(cfg, layers))), stride=stride)
    low = 1 << (fmt.activation_bits - 1)
    x = np.random.default_rng(seed).integers(-low, low, (1, STEPS, size))
    h, after = golden.run(model, x)
    columns = np.pad(x[0], ((0, 0), (0, -size % cfg.columns))).reshape(-1, cfg.columns)
    filler = cfg.word_beats * cfg.beat_elements - cfg.columns
    words = np.pad(columns, ((0, 0), (0, filler))).astype(f"<i{fmt.activation_bits // 8}")
    load, weights = packed(cfg, layers)
    neurons = layers[-1].bands * cfg.block
    sent = STEPS * -(-neurons // cfg.beat_elements) + neurons
    run = Run(
        program.encode(cfg), x=words.reshape(-1).view(np.uint8), h_bytes=sent * cfg.stream_bits // 8
    )
    loads = Run(load.encode(cfg), weights)
    return Made(cfg, program, clock.waits, loads, run, h[0], after, neurons)
