"""Programs of any tile shapes, written by hand, and what must come of them.

Nothing of the compiler is in these: rectangles are drawn, weights packed after docs/shapes.md, and
no-op slots counted by tests/slots.py, none too many.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import cases
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program, Source, Start
from lstm_sharp.flow.jobs import Result, Run
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from lstm_sharp.runtime import engines
from slots import Clock

STEPS = 3
_MOST_INSTRUCTIONS = 110


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

    def state(self, cfg: Config, op: Op) -> Instruction:
        """Load or give the layer's state."""
        rows = self.bands * cfg.passes
        return Instruction(op=op, rows=rows, row_first=self.row_first, h_word=self.word)


def cut(rng: np.random.Generator, cfg: Config, first: int, bands: int, size: int) -> Iterator[Rect]:
    """Cut a part into ranges of rows, and each of them along columns, into rectangles of any shape.

    Row blocks begin at multiples of their bands, counted from the memories' first and the layer's.
    """
    segments, at = -(-size * cfg.bands // cfg.columns), 0
    while at < bands:
        gangs = [s.gang for s in cfg.tile_shapes if not (first | at) % s.gang]
        gang = int(rng.choice([g for g in gangs if g <= bands - at]))
        count, column = gang * int(rng.integers(1, (bands - at) // gang + 1)), 0
        while column < segments:
            fit = [
                (number, s)
                for number, s in enumerate(cfg.tile_shapes)
                if (first | at) % s.gang == count % s.gang == column % s.step == 0
            ]
            number, s = fit[rng.integers(len(fit))]
            cols = int(rng.integers(1, -(-(segments - column) // s.step) + 1))
            end = column + cols * s.step
            rows = count // s.gang
            yield Rect(number, at, rows, column, cols, column == 0, end >= segments)
            column = end
        at += count


def draw(cfg: Config, rng: np.random.Generator, extreme: bool) -> tuple[QuantModel, list[Layer]]:
    """Draw two layers, one on the other; bands begin anywhere, alike for sums and biases."""
    sizes = [int(n) for n in rng.integers(1, 33, 3)]
    scaled, symmetric, kinds = cfg.row_scales == 1, cfg.packed > 1, ("forward", "forward")
    model = cases.random_model(
        rng, cfg.fmt, kinds, sizes, cfg.max_shift, extreme, scaled, symmetric=symmetric
    )
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
        words[:, 0] = _by_band(cfg, layer, _rows(cfg, layer.q)[:, None], 0).reshape(-1)
        beats.append(words)
    beat = cfg.tile_beats * cfg.beat_weights
    weights = np.zeros((len(tiles), beat), f"<i{cfg.fmt.weight_room // 8}")
    weights[:, : cfg.macs] = tiles
    biases = [Instruction(op=Op.LOAD_BIAS, bias_base=n.bias_base, rows=n.bands) for n in layers]
    load = Program((Instruction(op=Op.LOAD_WEIGHTS, rows=len(tiles)), *biases))
    return load, np.concatenate([part.reshape(-1).view(np.uint8) for part in (weights, *beats)])


def _rows(cfg: Config, q: QuantLayer) -> np.ndarray:
    """Give biases, each with its row's scale in the upper bits if the engine has some."""
    act_shift = q.frac - cfg.fmt.weight_frac_min
    scale = q.x_shift | act_shift << 4 | q.factor << 8
    return q.b & (1 << 48) - 1 | scale << 48 if cfg.row_scales else q.b


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


def written(cfg: Config, layers: list[Layer], with_state: bool) -> Iterator[Instruction]:
    """Write the steps of one layer after the other, without no-op slots; states at the ends."""
    tile = 0
    for below, layer in zip([None, *layers], layers):
        tiles = tile
        top, bottom = layer is layers[-1], below is None
        # A layer's h begins at the same word in a step of the sequence buffer as in the h buffer.
        word = 0 if below is None else below.word
        if with_state:
            yield layer.state(cfg, Op.LOAD_STATE)
        for step in range(STEPS):
            tile, zero = tiles, step == 0 and not with_state
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
                    source=Source.ZERO if zero else Source.H,
                    start=Start.STORED_SHIFTED if rect.begins else Start.STORED,
                    finish=rect.ends,
                    ends=last,
                    step=last,
                    c_zero=zero,
                    emit=top,
                    keep=not top,
                    col_first=layer.word * cfg.bands + rect.segment,
                    **common,
                )
        yield layer.state(cfg, Op.GIVE_STATE)


def _common(cfg: Config, layer: Layer, rect: Rect, tile: int) -> tuple[dict[str, Any], int]:
    place = layer.word * cfg.columns + rect.band * cfg.block
    return {
        "shape": rect.shape,
        "rows": rect.rows,
        "cols": rect.cols,
        "row_first": layer.row_first + rect.band,
        "bias_base": layer.bias_base + rect.band,
        "weight_base": tile,
        "x_shift": int(layer.q.x_shift[0]),  # not looked at where each row has its own
        "act_shift": int(layer.q.frac[0]) - cfg.fmt.weight_frac_min,
        "c_shift": layer.q.c_shift,
        "h_word": place // cfg.columns,
        "h_lane": place % cfg.columns,
    }, tile + rect.rows * rect.cols


@dataclass(frozen=True)
class Made:
    """A job: a load and a run, and what must come of it."""

    cfg: Config
    program: Program
    why: tuple[str, ...]  # of each instruction: what its last no-op slot is for
    load: Run
    run: Run
    h: np.ndarray  # (STEPS, H)
    after: golden.State
    sizes: list[int]  # of each layer
    neurons: list[int]  # of its vector, those that fill up row blocks among them

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
        below, top = (n * cfg.stream_bits // 8 for n in self.neurons)
        vectors = result.h_bytes[below:-top].view(f"<i{cfg.fmt.activation_room // 8}")
        hidden = self.h.shape[1]
        assert np.array_equal(vectors.reshape(STEPS, -1)[:, :hidden], self.h)
        for layer, beats in enumerate((result.h_bytes[:below], result.h_bytes[-top:])):
            pairs = beats.view("<i4").reshape(self.neurons[layer], -1).T
            size = self.sizes[layer]
            for found, right in zip(pairs, (self.after.h, self.after.c)):
                assert np.array_equal(found[:size], right[layer, 0, :size])


@lru_cache
def make(cfg: Config, seed: int) -> Made:
    """Draw a case and write it down."""
    rng, fmt = np.random.default_rng(seed), cfg.fmt
    with_state = bool(rng.random() < 0.5)
    while True:
        model, layers = draw(cfg, rng, extreme=seed % 2 == 0)
        order = list(written(cfg, layers, with_state))
        if len(order) <= _MOST_INSTRUCTIONS:
            break
    stride = 3 + -(-layers[0].bands * cfg.block // cfg.columns)
    clock = Clock(cfg, stride)
    placed, why = zip(*map(clock.place, order))
    program = Program(placed, stride=stride)
    x = cases.integers(rng, fmt.activation_bits, (1, STEPS, model.input_size), False)
    neurons = [layer.bands * cfg.block for layer in layers]
    sizes = [layer.q.hidden_size for layer in layers]
    drawn = [
        cases.integers(rng, bits, (2, 1, max(neurons)), False)
        for bits in (fmt.activation_bits, C_BITS)
    ]
    state = golden.State(*(v[..., : max(sizes)] for v in drawn)) if with_state else None
    h, after = golden.run(model, x, state)
    pairs = np.zeros((sum(neurons), cfg.stream_bits // 32), "<i4")
    for at, values in enumerate(drawn):
        pairs[:, at] = np.concatenate([v[0, :n] for v, n in zip(values, neurons)])
    size = model.input_size
    columns = np.pad(x[0], ((0, 0), (0, -size % cfg.columns))).reshape(-1, cfg.columns)
    filler = cfg.word_beats * cfg.beat_elements - cfg.columns
    words = np.pad(columns, ((0, 0), (0, filler))).astype(f"<i{fmt.activation_room // 8}")
    load, weights = packed(cfg, layers)
    sent = STEPS * -(-neurons[1] // cfg.beat_elements) + sum(neurons)
    run = Run(
        program.encode(cfg),
        pairs.reshape(-1).view(np.uint8)[: pairs.nbytes * with_state],
        words.reshape(-1).view(np.uint8),
        sent * cfg.stream_bits // 8,
    )
    loads = Run(load.encode(cfg), weights)
    return Made(cfg, program, why, loads, run, h[0], after, sizes, neurons)
