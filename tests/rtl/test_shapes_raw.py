"""Tiles of several shapes: programs written by hand, each rectangle with a shape of its own.

No compiler takes part. Rectangles of drawn shapes cover the x-part and the h-part of two layers;
no-op slots are the fewest that tests/slots.py lets pass, so the engine's assertions see every
distance at its least. The slot machine of tests/slots.py says what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import slots
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import (
    INSTRUCTION,
    STRIDE,
    Instruction,
    Op,
    Program,
    Source,
    Start,
    Status,
)
from lstm_sharp.flow.jobs import Run
from lstm_sharp.runtime import engines

pytestmark = [pytest.mark.rtl, pytest.mark.sv]

_TINY = config.resized(
    config.load("tiny"), max_input=64, max_hidden=64, bias_blocks=512, sequence_words=512
)


def _engine(name: str, rows: int, columns: int, k_list: tuple[int, ...], **knobs: int) -> Config:
    return config.resized(_TINY, name=name, rows=rows, columns=columns, k_list=k_list, **knobs)


ENGINES = [
    _engine("shapes-3", 4, 8, (4, 8, 16)),
    # Gang 4 is missing; two lanes; a band finishes in one turn
    _engine("shapes-lanes", 8, 16, (8, 16, 64), lanes=2),
    # A segment is a single element; row blocks are wider than words and beats
    _engine("shapes-wide", 16, 4, (16, 64), lanes=2, max_shift=14),
    # A segment takes two levels, of which a span of two takes no more
    _engine("shapes-deep", 4, 32, (4, 8, 16), chains=2, max_shift=10),
]


@dataclass
class Builder:
    """Writes a program, and the tiles and biases that it works on."""

    cfg: Config
    rng: np.random.Generator
    instructions: list[Instruction] = field(default_factory=list)
    tiles: list[np.ndarray] = field(default_factory=list)
    biases: list[np.ndarray] = field(default_factory=list)

    def stripes(self, bands: int) -> Iterator[tuple[int, int]]:
        """Cut bands into ranges that some shape fits: first band and how many."""
        at = 0
        while at < bands:
            gangs = [s.gang for s in self.cfg.tile_shapes if at % s.gang == 0]
            gang = int(self.rng.choice([g for g in gangs if at + g <= bands]))
            most = (bands - at) // gang
            count = gang * int(self.rng.integers(1, most + 1))
            yield at, count
            at += count

    def cover(self, first: int, bands: int, segments: int) -> Iterator[dict[str, int]]:
        """Rectangles of drawn shapes over a stripe, column after column; the last may reach on."""
        at = 0
        while at < segments:
            fitting = [
                (number, s)
                for number, s in enumerate(self.cfg.tile_shapes)
                if first % s.gang == bands % s.gang == 0 and at % s.step == 0
            ]
            number, s = fitting[self.rng.integers(len(fitting))]
            cols = int(self.rng.integers(1, -(-(segments - at) // s.step) + 1))
            yield {"shape": number, "rows": bands // s.gang, "col_first": at, "cols": cols}
            at += cols * s.step

    def weights(self, place: dict[str, int], elements: int) -> int:
        """Draw a rectangle's tiles, zero for elements that are none; return where they lie."""
        s, base = self.cfg.tile_shapes[place["shape"]], len(self.tiles)
        segment = self.cfg.columns // self.cfg.bands
        for _ in range(place["rows"]):
            for column in range(place["cols"]):
                first = (place["col_first"] + column * s.step) * segment
                tile = self.rng.integers(-128, 128, (s.gang, s.columns, self.cfg.rows))
                tile[:, np.arange(first, first + s.columns) >= elements] = 0
                self.tiles.append(tile.reshape(-1))
        return base

    def layer(
        self, bands: int, below: int, steps: int, chain: int, bottom: bool, top: bool
    ) -> None:
        """Write all steps of a layer on one chain; each has rectangles of its own."""
        cfg, rng = self.cfg, self.rng
        per_word = cfg.columns // cfg.bands
        row, word = chain * cfg.blocks, chain * cfg.h_columns
        bias = cfg.bands * (-(-len(self.biases) // cfg.bands))
        self.biases += [np.zeros(cfg.rows, np.int64)] * (bias - len(self.biases))
        self.biases += list(rng.integers(-(1 << 20), 1 << 20, (bands, cfg.rows)))
        common = {
            "x_shift": int(rng.integers(cfg.max_shift + 1)),
            "act_shift": int(rng.integers(9)),
        }
        parts = []  # of a step: instruction without source, whether of the x-part
        words = -(-below // cfg.columns)
        for n, (at, count) in enumerate(self.stripes(bands)):
            places = list(self.cover(at, count, words * cfg.bands))
            for number, place in enumerate(places):
                parts.append(
                    Instruction(
                        source=Source.X if bottom else Source.SEQUENCE,
                        start=Start.STORED if number else Start.BIAS,
                        pull=bottom and n == 0,
                        weight_base=self.weights(place, below),
                        row_first=row + at,
                        bias_base=bias + at,
                        **place,
                    )
                )
        parts[-1] = replace(parts[-1], pop=True)
        x_part = len(parts)
        own = bands * cfg.block
        stripes = list(self.stripes(bands))
        for at, count in stripes:
            places = list(self.cover(at, count, -(-own // per_word)))
            for number, place in enumerate(places):
                shared = {"weight_base": self.weights(place, own), "row_first": row + at}
                place["col_first"] += word * cfg.bands
                parts.append(
                    Instruction(
                        source=Source.H,
                        start=Start.STORED if number else Start.STORED_SHIFTED,
                        finish=number == len(places) - 1,
                        emit=top,
                        keep=not top,
                        h_word=word + at * cfg.block // cfg.columns,
                        h_lane=at * cfg.block % cfg.columns,
                        bias_base=bias + at,
                        **shared,
                        **place,
                    )
                )
        parts[-1] = replace(parts[-1], ends=True, step=True)
        parts = [replace(i, **common) for i in parts]
        first = list(parts)
        if rng.random() < 0.5:
            for n in range(x_part, len(parts)):
                first[n] = replace(first[n], source=Source.ZERO, c_zero=True)
        else:
            self.instructions.append(self.state(Op.LOAD_STATE, bands, row, word))
        first[0] = replace(first[0], layer=True)
        self.instructions += first
        for _ in range(steps - 1):
            self.instructions += parts
        self.instructions.append(self.state(Op.GIVE_STATE, bands, row, word))

    def state(self, op: Op, bands: int, row: int, word: int) -> Instruction:
        """Load or give all of a layer."""
        return Instruction(op=op, rows=bands * self.cfg.passes, row_first=row, h_word=word)

    def program(self, stride: int) -> Program:
        """Put the loads in front and as few no-op slots as will do between."""
        tail = self.cfg.tail
        done = [
            Instruction(op=Op.LOAD_WEIGHTS, rows=len(self.tiles)),
            Instruction(op=Op.LOAD_BIAS, rows=len(self.biases)),
        ]
        settled = tail  # what is loaded needs D
        for i in self.instructions:
            nops = settled if i.op == Op.TILES else 0
            while True:
                try:
                    program = Program((*done, replace(i, nops=nops)), 1, stride)
                    slots.check(self.cfg, program, "elementwise")
                    break
                except slots.TooEarly:
                    nops += 1
            settled = 0 if i.op == Op.TILES else settled
            done.append(program.instructions[-1])
        return Program(tuple(done), 1, stride)

    def stream(self, program: Program) -> np.ndarray:
        """Weights, biases, then a state for each load of one."""
        cfg, rng = self.cfg, self.rng
        tiles = np.zeros((len(self.tiles), cfg.tile_beats * cfg.beat_weights), np.int64)
        tiles[:, : cfg.macs] = self.tiles
        biases = np.zeros((len(self.biases) * cfg.rows, cfg.stream_bits // 64), np.int64)
        biases[:, 0] = np.concatenate(self.biases)
        parts = [tiles.astype(f"<i{cfg.fmt.weight_bits // 8}").view(np.uint8).reshape(-1)]
        parts.append(biases.view(np.uint8).reshape(-1))
        for i in program.instructions:
            if i.op == Op.LOAD_STATE:
                pairs = np.zeros((i.rows * cfg.lanes, cfg.stream_bits // 32), np.int32)
                pairs[:, 0] = rng.integers(-(1 << 15), 1 << 15, len(pairs))
                pairs[:, 1] = rng.integers(-(1 << 18), 1 << 18, len(pairs))
                parts.append(pairs.view(np.uint8).reshape(-1))
        return np.concatenate(parts)


def drawn(cfg: Config, seed: int) -> tuple[Program, np.ndarray, np.ndarray]:
    """Draw a program of two layers with its streams."""
    rng = np.random.default_rng(seed)
    while True:
        b = Builder(cfg, rng)
        bands = [int(n) for n in rng.integers(1, cfg.blocks + 1, 2)]
        width = int(rng.integers(1, cfg.max_input + 1))
        steps, chain = int(rng.integers(1, 4)), int(rng.integers(cfg.chains))
        b.layer(bands[0], width, steps, chain, bottom=True, top=False)
        # h of a chain lies in its words of the step
        own = (chain * cfg.h_columns * cfg.columns, bands[0] * cfg.block)
        if sum(own) <= cfg.max_input:
            b.layer(bands[1], sum(own), steps, int(rng.integers(cfg.chains)), False, True)
            _blank(b, own[0])
        fits = len(b.instructions) <= 100 and len(b.tiles) <= cfg.weight_tiles
        if fits and len(b.biases) <= cfg.bias_blocks:
            break
    program = b.program(cfg.chains * cfg.h_columns)
    words = int(program.encode(cfg)[2])
    x = np.zeros((words, cfg.word_beats * cfg.beat_elements), np.int64)
    x[:, : cfg.columns] = rng.integers(-2000, 2001, (words, cfg.columns))
    x_stream = x.astype(f"<i{cfg.fmt.activation_bits // 8}").view(np.uint8).reshape(-1)
    return program, b.stream(program), x_stream


def _blank(b: Builder, first: int) -> None:
    """Zero the weights of the elements before the first: nobody wrote them."""
    segment = b.cfg.columns // b.cfg.bands
    for i in b.instructions:
        if i.source != Source.SEQUENCE or i.op != Op.TILES:
            continue
        s = b.cfg.tile_shapes[i.shape]
        for n in range(i.rows * i.cols):
            at = (i.col_first + n % i.cols * s.step) * segment
            tile = b.tiles[i.weight_base + n].reshape(s.gang, s.columns, -1)
            tile[:, np.arange(at, at + s.columns) < first] = 0


@pytest.mark.parametrize("stalled", [False, True], ids=["fast", "stalled"])
@pytest.mark.parametrize(
    "cfg",
    [pytest.param(cfg, marks=[pytest.mark.slow] if cfg in ENGINES[1:] else []) for cfg in ENGINES],
    ids=lambda cfg: cfg.name,
)
def test_rectangles_of_any_shape(cfg: Config, stalled: bool) -> None:
    rtl = engines.build("rtl", cfg)
    runs, expected = [], []
    machine = slots.Machine(cfg)
    for seed in range(100 * stalled, 100 * stalled + 25):
        program, weights, x = drawn(cfg, seed)
        machine.half = 0
        h = machine.run(program, weights, x)
        runs.append(Run(program.encode(cfg), weights, x, h.size))
        expected.append(h)
    options = ["--stall", "7"] if stalled else []
    for seed, (result, h) in enumerate(zip(engines.play(rtl, runs, options=options), expected)):
        assert result.status == 0, f"case {seed}"
        assert result.last_ok, f"case {seed}"
        np.testing.assert_array_equal(result.h_bytes, h, f"case {seed}")


def test_what_is_out_of_place_is_refused() -> None:
    cfg = ENGINES[0]
    rtl = engines.build("rtl", cfg)
    fine = Instruction(
        shape=2, source=Source.H, start=Start.BIAS, rows=cfg.blocks // 4, cols=4, row_first=4,
        finish=True, ends=True,
    )  # fmt: skip
    most = cfg.h_words * cfg.bands
    cases = [
        (replace(fine), False),
        (replace(fine, shape=3), True),
        (replace(fine, row_first=2), True),
        (replace(fine, bias_base=2), True),
        (replace(fine, shape=1, row_first=2, bias_base=2), False),
        (replace(fine, shape=1, row_first=3), True),
        (replace(fine, shape=1, col_first=1), True),
        (replace(fine, shape=1, col_first=2), False),
        (replace(fine, shape=0, col_first=2), True),
        (replace(fine, rows=cfg.chain_blocks // 4), True),
        (replace(fine, row_first=0, rows=cfg.chain_blocks // 4), False),
        (replace(fine, col_first=most - 4), False),
        (replace(fine, col_first=most - 3), True),
        (replace(fine, shape=1, col_first=most - 4), True),
        (replace(fine, bias_base=cfg.bias_blocks - 4), True),
        (replace(fine, bias_base=cfg.bias_blocks - 4, rows=1), False),
        (replace(fine, by_gate=True), True),
        (replace(fine, one_gate=True), True),
    ]
    intact = Program((fine,)).encode(cfg)
    runs = []
    for i, _ in cases:
        words = Program((replace(i, shape=0, by_gate=False),)).encode(cfg)
        layout = INSTRUCTION["shape"]
        words[STRIDE + layout.word] |= i.shape << layout.lsb
        words[STRIDE + INSTRUCTION["by_gate"].word] |= i.by_gate << INSTRUCTION["by_gate"].lsb
        runs.append(Run(words))
    assert (runs[0].program[STRIDE:] == intact[STRIDE:]).all()
    for (i, refused), result in zip(cases, engines.play(rtl, runs)):
        assert result.status & 0xFF == 2 * refused, i


def test_every_no_op_slot_is_needed() -> None:
    """A program that lacks one is told where."""
    cfg, seen = ENGINES[0], set()
    rtl = engines.build("rtl", cfg)
    for program, weights, x in (drawn(cfg, seed) for seed in (0, 3)):
        order = list(program.instructions)
        for n, i in enumerate(order[3:], start=3):
            if not i.nops or order[n - 1].op != Op.TILES:
                continue
            instructions = (*order[:n], replace(i, nops=i.nops - 1), *order[n + 1 :])
            short = replace(program, instructions=instructions)
            with pytest.raises(slots.TooEarly) as caught:
                slots.check(cfg, short, "elementwise")
            result = engines.play(rtl, [Run(short.encode(cfg), weights, x)])[0]
            assert result.status == Status.DISTANCE | n << 8, caught.value
            seen.add(str(caught.value).split(":")[0])
    assert seen == {"D_acc", "GIVE_STATE"}  # of those that lie behind a rectangle
