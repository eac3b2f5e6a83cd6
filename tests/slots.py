"""The slot machine in plain Python: what docs/slot-program.md says, independently of the compiler.

``check`` walks every slot and knows when each place was written; ``Machine`` walks the same slots
and computes, on packed streams.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Program, Source, Start
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.activation import Z_FRAC, all_steps

_NEVER = -(10**9)


class TooEarly(AssertionError):
    """A slot that comes before its distance is over."""


def run_order(program: Program) -> Iterator[Instruction]:
    """All instructions of a run."""
    for _ in range(program.sequences):
        yield from program.walk()


def check(cfg: Config, program: Program, schedule: str) -> None:
    """Check D, D_acc, P and what the schedule waits for, slot by slot."""
    slot, half, last_finish, read_step, write_step = 0, 0, _NEVER, 0, 0
    last_passes, drained = 0, _NEVER  # as if all row blocks took the longest tail
    stored: dict[int, int] = defaultdict(lambda: _NEVER)  # band: slot that stored it
    finished: dict[int, int] = defaultdict(lambda: _NEVER)  # band: slot, or end of a load
    h: dict[tuple[int, int], int] = {}  # half, neuron's place: slot
    kept: dict[int, int] = {}  # neuron's place in the sequence buffer: slot

    def far(since: int, distance: int, what: str) -> None:
        if slot - since < distance:
            raise TooEarly(f"{what}: slot {slot} is {slot - since} after {since}, not {distance}")

    def of_column(places: dict, segment: int, width: int, *key: int) -> int:
        first = segment * cfg.columns // cfg.bands
        found = [
            places[(*key, n) if key else n]
            for n in range(first, first + width)
            if ((*key, n) if key else n) in places
        ]
        assert found or cfg.bands > 1, f"word {segment} was never written"
        return max(found, default=_NEVER)

    for i in run_order(program):
        slot += i.nops
        if i.op != Op.TILES:
            far(drained, cfg.tail, i.op.name)
            slot += i.rows * i.item_beats(cfg)
            for n in range(i.rows * cfg.lanes):
                if i.op == Op.LOAD_STATE:
                    h[half, i.h_word * cfg.columns + n] = slot - 1
                    finished[i.row_first + n // cfg.block] = slot - 1
            continue
        if i.layer:
            read_step = write_step = 0
            if i.source == Source.SEQUENCE:
                far(drained, cfg.tail, "layer")
        if schedule == "intergate" and i.start == Start.BIAS:
            for band in range(i.row_first, i.row_first + i.bands(cfg)):
                far(finished[band], cfg.tail, "intergate")
        shape = cfg.tile_shapes[i.shape]
        columns, width = range(i.col_first, i.col_end(cfg), shape.step), shape.columns
        if schedule != "elementwise" and i.source == Source.H:
            for column in columns:
                far(of_column(h, column, width, half), cfg.tail, "barrier")
        for row in range(i.rows):
            first_band = i.row_first + row * shape.gang
            bands = range(first_band, first_band + shape.gang)
            if i.start != Start.BIAS:
                for band in bands:
                    far(stored[band], cfg.acc_distance, "D_acc")
            for column in columns:
                if i.source == Source.H:
                    far(of_column(h, column, width, half), cfg.tail, "D")
                if i.source == Source.SEQUENCE:
                    place = read_step * cfg.bands + column
                    far(of_column(kept, place, width), cfg.tail, "D of the sequence")
                slot += 1
            last = slot - 1
            if i.finish:
                slot = last
                far(last_finish, last_passes, "P")
                last_finish, last_passes = last, i.passes(cfg)
                ready = last + i.tail(cfg) - cfg.tail
                drained = max(drained, ready)
                finished.update(dict.fromkeys(bands, ready))
                first = i.h_word * cfg.columns + i.h_lane + row * shape.block
                for n in range(first, first + shape.block):
                    h[1 - half, n] = ready
                    if i.keep:
                        kept[write_step * cfg.columns + n] = ready
                slot = last + 1 + max(0, i.passes(cfg) - i.cols)
            else:
                stored.update(dict.fromkeys(bands, last))
        half ^= i.step
        read_step += program.stride * (i.pop and i.source == Source.SEQUENCE)
        write_step += program.stride * (i.step and i.keep)


class Machine:
    """Runs programs on streams of bytes; exact integers, no time."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        k, n, block, most = cfg.rows, cfg.columns, cfg.block, cfg.bands * cfg.block
        self.tiles = np.zeros((cfg.weight_tiles, n, k), np.int64)
        self.biases = np.zeros((cfg.bias_blocks, k), np.int64)
        self.sums = np.zeros((cfg.chain_blocks, k), np.int64)
        self.c = np.zeros((cfg.chain_blocks, block), np.int64)
        self.h = np.zeros((2, cfg.h_words * n + most), np.int64)
        self.kept = np.zeros(cfg.sequence_words * n + most, np.int64)
        self.half = 0
        self.vector: list[np.ndarray] = []  # h so far

    def run(self, program: Program, weights: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Run a program to its end; both streams must be used up. Returns the h stream."""
        cfg = self.cfg
        self.loads = weights.reshape(-1, cfg.stream_bits // 8)
        padded = self._integers(x, cfg.fmt.activation_bits)
        words = padded.reshape(-1, cfg.word_beats * cfg.beat_elements)[:, : cfg.columns]
        self.ring, self.out, self.read_step, self.write_step = words, [], 0, 0
        assert program.encode(cfg)[2] == len(words)
        for i in run_order(program):
            {Op.TILES: self._tiles}.get(i.op, self._load)(i, program.stride)
        assert len(self.loads) == len(self.ring) == 0
        return np.concatenate([np.zeros(0, np.uint8), *self.out])

    def _integers(self, data: np.ndarray, bits: int) -> np.ndarray:
        return np.ascontiguousarray(data).reshape(-1).view(f"<i{bits // 8}").astype(np.int64)

    def _load(self, i: Instruction, stride: int) -> None:
        cfg, count = self.cfg, i.rows * i.item_beats(self.cfg)
        c = self.c.reshape(-1)[i.row_first * cfg.block :][:count]
        h = self.h[self.half, i.h_word * cfg.columns :][:count]
        if i.op == Op.GIVE_STATE:
            beats = np.zeros((count, cfg.stream_bits // 32), np.int32)
            beats[:, 0], beats[:, 1] = h, c
            self.out.append(beats.reshape(-1).view(np.uint8))
            return
        beats, self.loads = self.loads[:count], self.loads[count:]
        if i.op == Op.LOAD_STATE:
            pairs = self._integers(beats, 32).reshape(count, -1)
            h[:], c[:] = pairs[:, 0], pairs[:, 1]
        elif i.op == Op.LOAD_BIAS:
            values = self._integers(beats, 64).reshape(i.rows, cfg.rows, -1)
            self.biases[i.bias_base : i.bias_base + i.rows] = values[..., 0]
        else:
            values = self._integers(beats, cfg.fmt.weight_bits).reshape(i.rows, -1)
            tiles = values[:, : cfg.macs].reshape(i.rows, cfg.columns, cfg.rows)
            self.tiles[i.weight_base : i.weight_base + i.rows] = tiles

    def _tiles(self, i: Instruction, stride: int) -> None:
        cfg, tile = self.cfg, i.weight_base
        shape = cfg.tile_shapes[i.shape]
        assert i.row_first + i.bands(cfg) <= cfg.chain_blocks
        assert not (i.row_first | i.bias_base) % shape.gang and not i.col_first % shape.step
        if i.layer:
            self.read_step = self.write_step = 0
        for row in range(i.rows):
            bands = slice(i.row_first + row * shape.gang, i.row_first + (row + 1) * shape.gang)
            base = i.bias_base + row * shape.gang
            total = {
                Start.BIAS: self.biases[base : base + shape.gang],
                Start.STORED: self.sums[bands],
                Start.STORED_SHIFTED: self.sums[bands] << i.x_shift,
            }[i.start].copy()
            for column in range(i.col_first, i.col_end(cfg), shape.step):
                weights = self.tiles[tile].reshape(shape.gang, shape.columns, cfg.rows)
                total += self._column(i.source, column, shape.columns) @ weights
                tile += 1
            if not i.finish:
                self.sums[bands] = total
                continue
            before = self.c[bands].reshape(-1) * (not i.c_zero)
            c, h = self._cell(total, before, i.act_shift)
            self.c[bands] = c.reshape(shape.gang, -1)
            first = i.h_word * cfg.columns + i.h_lane + row * shape.block
            self.h[1 - self.half, first : first + shape.block] = h
            if i.keep:
                place = self.write_step * cfg.columns + first
                self.kept[place : place + shape.block] = h
            if i.emit:
                self.vector.append(h)
        if i.finish and i.emit and i.ends:
            h = np.concatenate(self.vector)
            self.vector = []
            beats = np.zeros(-(-len(h) // cfg.beat_elements) * cfg.beat_elements, np.int64)
            beats[: len(h)] = h
            self.out.append(beats.astype(f"<i{cfg.fmt.activation_bits // 8}").view(np.uint8))
        if i.pop and i.source == Source.X:
            self.ring = self.ring[-(-i.col_end(cfg) // cfg.bands) :]
        self.half ^= i.step
        self.read_step += stride * (i.pop and i.source == Source.SEQUENCE)
        self.write_step += stride * (i.step and i.keep)

    def _column(self, source: Source, segment: int, width: int) -> np.ndarray:
        first = segment * self.cfg.columns // self.cfg.bands
        place = slice(first, first + width)
        if source == Source.X:
            assert place.stop <= self.ring.size
            return self.ring.reshape(-1)[place]
        if source == Source.SEQUENCE:
            return self.kept[self.read_step * self.cfg.columns :][place]
        assert place.stop <= self.cfg.h_words * self.cfg.columns
        return self.h[self.half, place] * (source == Source.H)

    def _cell(self, sums: np.ndarray, c: np.ndarray, act: int) -> tuple[np.ndarray, np.ndarray]:
        """The cell's arithmetic, of the golden model's own parts."""
        fmt, one = self.cfg.fmt, 1 << Z_FRAC
        scale = 0.5 ** (fmt.h_frac + act + fmt.weight_frac_min - Z_FRAC + 1)
        z = sums.reshape(-1, 4).T * (scale * np.array([[1], [1], [2], [1]]))
        i, f, g, o = golden._lookup(all_steps(), z)
        c = np.floor((2 * (f + one) * c + (i + one) * (2 * g + 1) + (1 << 17)) * 0.5**18)
        c = np.clip(c, -golden._C_HALF, golden._C_HALF - 1)
        h = golden._round_h((o + one) * (2 * golden._lookup(all_steps(), c) + 1), fmt)
        return c.astype(np.int64), h.astype(np.int64)
