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
    slot, half, read_step, write_step = 0, 0, 0, 0
    lanes_free = drained = _NEVER
    stored: dict[int, int] = defaultdict(lambda: _NEVER)  # band: slot that stored it
    finished: dict[int, int] = defaultdict(lambda: _NEVER)  # band: slot when its h is there
    h: dict[tuple[int, int], int] = {}  # half, neuron's place: slot when it is there
    kept: dict[int, int] = {}  # neuron's place in the sequence buffer: slot
    # Places of memories of a power of two: behind the last lies the first.
    most_h, most_kept = (
        cfg.columns << (words - 1).bit_length() for words in (cfg.h_words, cfg.sequence_words)
    )

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
            far(drained, 0, i.op.name)
            slot += i.rows * i.item_beats(cfg)
            for n in range(i.rows * cfg.lanes):
                if i.op == Op.LOAD_STATE:
                    h[half, i.h_word * cfg.columns + n] = slot - 1 + cfg.tail
                    finished[i.row_first + n // cfg.block] = slot - 1 + cfg.tail
            continue
        if i.layer:
            read_step = write_step = 0
            if i.source == Source.SEQUENCE:
                far(drained, 0, "layer")
        gang = cfg.tile_shapes[i.shape].gang
        block, passes = gang * cfg.block, gang * cfg.passes
        turns = 4 * passes if i.by_gate else passes
        tail = cfg.tail - (cfg.most_passes - turns)  # the longest, less turns
        if schedule not in ("unfolded", "elementwise") and i.start == Start.BIAS:
            step = 4 if i.one_gate else 1
            for band in range(i.row_first, i.row_first + i.rows * gang * step, step):
                far(finished[band], 0, schedule)
        width = cfg.columns // gang
        columns = [i.col_first + n * cfg.bands // gang for n in range(i.cols)]
        if schedule != "elementwise" and i.source == Source.H:
            for column in columns:
                far(of_column(h, column, width, half), 0, "barrier")
        for row in range(i.rows):
            own = range(i.row_first + row * gang, i.row_first + (row + 1) * gang)
            if i.one_gate:
                own = range(i.row_first + 4 * row, i.row_first + 4 * row + 1)
            last_gate = own[0] % 4 == 3
            if i.start != Start.BIAS:
                for band in own:
                    far(stored[band], cfg.acc_distance, "D_acc")
            for column in columns:
                if i.source == Source.H:
                    far(of_column(h, column, width, half), 0, "D")
                if i.source == Source.SEQUENCE:
                    place = (read_step * cfg.bands + column) % (
                        most_kept * cfg.bands // cfg.columns
                    )
                    far(of_column(kept, place, width), 0, "D of the sequence")
                slot += 1
            last = slot - 1
            if i.finish:
                slot = last
                least = passes
                if not i.by_gate or last_gate:
                    far(lanes_free, 0, "P")
                    count, at = block, row
                    if i.by_gate:
                        count, at = 4 * block, row if i.one_gate else row // 4
                    lanes_free, drained = last + count // cfg.lanes, last + tail
                    finished.update((band, drained) for band in own)
                    if i.by_gate:
                        finished.update((own[0] - n, drained) for n in range(4))
                    if i.one_gate:
                        least *= 4
                    first = i.h_word * cfg.columns + i.h_lane + at * count
                    for n in range(first, first + count):
                        h[1 - half, n % most_h] = drained
                        if i.keep:
                            kept[(write_step * cfg.columns + n % most_h) % most_kept] = drained
                slot = last + 1 + max(0, least - i.cols)
            else:
                stored.update((band, last) for band in own)
        half ^= i.step
        read_step += program.stride * (i.pop and i.source == Source.SEQUENCE)
        write_step += program.stride * (i.step and i.keep)


class Machine:
    """Runs programs on streams of bytes; exact integers, no time."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        k, n, block = cfg.rows, cfg.columns, cfg.block
        self.tiles = np.zeros((cfg.weight_tiles, n, k), np.int64)
        self.biases = np.zeros((cfg.bias_blocks, k), np.int64)
        self.sums = np.zeros((cfg.chain_blocks, k), np.int64)
        self.c = np.zeros((cfg.chain_blocks, block), np.int64)
        self.gates = np.zeros((-(-cfg.chain_blocks // 4), 4, k), np.int64)  # sums of single gates
        self.h = np.zeros((2, cfg.h_words * n + block), np.int64)
        self.kept = np.zeros(cfg.sequence_words * n + block, np.int64)
        self.half = 0
        self.vector: list[np.ndarray] = []  # row blocks of h that wait for those that follow

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
            tiles = values[:, : cfg.macs].reshape(i.rows, cfg.columns, cfg.rows)  # VS units
            self.tiles[i.weight_base : i.weight_base + i.rows] = tiles

    def _tiles(self, i: Instruction, stride: int) -> None:
        cfg, tile = self.cfg, i.weight_base
        gang = cfg.tile_shapes[i.shape].gang
        assert i.row_first + i.rows * gang <= cfg.chain_blocks
        if i.layer:
            self.read_step = self.write_step = 0
        for row in range(i.rows):
            step = 4 if i.one_gate else gang
            own = slice(i.row_first + row * step, i.row_first + row * step + gang)
            biases = self.biases[i.bias_base + row * step :][:gang]
            total = {
                Start.BIAS: biases,
                Start.STORED: self.sums[own],
                Start.STORED_SHIFTED: self.sums[own] << i.x_shift,
            }[i.start].copy()
            for n in range(i.cols):
                scalars = self._scalars(i.source, i.col_first + n * (cfg.bands // gang), gang)
                units = self.tiles[tile].reshape(gang, cfg.columns // gang, cfg.rows)
                total += np.einsum("n,gnk->gk", scalars, units)
                tile += 1
            if not i.finish:
                self.sums[own] = total
                continue
            block, at = gang * cfg.block, row
            if i.by_gate:
                place, gate = divmod(own.start, 4)
                self.gates[place, gate] = total[0]
                if gate < 3:
                    continue
                own, block = slice(4 * place, 4 * place + 4), cfg.rows
                total, at = self.gates[place].T, row if i.one_gate else row // 4
            before = self.c[own].reshape(-1) * (not i.c_zero)
            c, h = self._cell(total.reshape(-1), before, i.act_shift)
            self.c[own] = c.reshape(-1, cfg.block)
            first = i.h_word * cfg.columns + i.h_lane + at * block
            self.h[1 - self.half, first : first + block] = h
            if i.keep:
                place = self.write_step * cfg.columns + first
                self.kept[place : place + block] = h
            self.vector.append(h)
        if i.ends:
            vector, self.vector = self.vector, []
        if i.ends and i.emit:
            h = np.concatenate(vector)
            beats = np.zeros(-(-len(h) // cfg.beat_elements) * cfg.beat_elements, np.int64)
            beats[: len(h)] = h
            self.out.append(beats.astype(f"<i{cfg.fmt.activation_bits // 8}").view(np.uint8))
        if i.pop and i.source == Source.X:
            self.ring = self.ring[-(-(i.col_first + i.cols * cfg.bands // gang) // cfg.bands) :]
        self.half ^= i.step
        self.read_step += stride * (i.pop and i.source == Source.SEQUENCE)
        self.write_step += stride * (i.step and i.keep)

    def _scalars(self, source: Source, segment: int, gang: int) -> np.ndarray:
        """Those of a column."""
        word, inside = divmod(segment, self.cfg.bands)
        assert inside % (self.cfg.bands // gang) == 0
        first = inside * self.cfg.columns // self.cfg.bands
        return self._word(source, word)[first : first + self.cfg.columns // gang]

    def _word(self, source: Source, column: int) -> np.ndarray:
        n = self.cfg.columns
        if source == Source.X:
            return self.ring[column]
        place = slice(column * n, (column + 1) * n)
        if source == Source.SEQUENCE:
            return self.kept[self.read_step * n :][place]
        assert place.stop <= self.cfg.h_words * n
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
