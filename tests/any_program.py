"""Programs that nobody would write, and what must come of them.

``Drawer`` makes three kinds: fields that hold anything, instructions of compiled programs in any
order, and compiled programs with a field or two changed, cut or grown. ``Verdict`` works out from
the words alone how a run must end, and within how many cycles. ``try_all`` runs them, a known case
after each.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

import cases
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import (
    HEADER,
    INSTRUCTION,
    MAGIC,
    MAX_INSTRUCTIONS,
    STRIDE,
    Field,
    Instruction,
    Op,
    Program,
    Source,
    Start,
    Status,
)
from lstm_sharp.errors import LstmSharpError
from lstm_sharp.flow.jobs import Run
from lstm_sharp.runtime import engines
from shapes_by_hand import Made, make
from slots import changed, check, get, header, instruction, put, run_order

MOST_SLOTS = 4_000
"""Of a drawn program, so that it is simulated soon."""
BATCH = 100


class TooLong(Exception):
    """A program of more than ``MOST_SLOTS``."""


class Verdict:
    """How a run of a program must end: docs/slot-program.md and docs/engine.md in plain Python.

    A slot that comes too early is not seen here.
    """

    def __init__(self, cfg: Config, words: np.ndarray) -> None:
        self.cfg = cfg
        lines = np.resize(words, (max(1, len(words) // STRIDE), STRIDE))
        self.header = header(lines[0])
        count = self.header["instructions"]
        self.status = self.slots = self.works = self.pulled = self.beats = 0
        self.runs = False
        fine = self.header["sequences"] != 0 or count == 0
        if self.header["magic"] != MAGIC or count > MAX_INSTRUCTIONS or not fine:
            self.status = int(Status.HEADER)
            return
        lines = np.pad(lines[1 : count + 1], ((0, max(0, count + 1 - len(lines))), (0, 0)))
        self.list = [instruction(line) for line in lines]
        looped = 0  # behind the last loop
        for index, i in enumerate(self.list):
            loops = i.repeats > 1
            if not self._legal(i, index) or (loops and index - i.loop_back < looped):
                self.status = Status.INSTRUCTION | index << 8
                return
            looped = index + 1 if loops else looped
        self.runs = count != 0
        if self.runs:
            self._walk()

    @property
    def program(self) -> Program:
        """The program of a run."""
        return Program(tuple(self.list), self.header["sequences"], self.header["stride"])

    @property
    def cycles(self) -> int:
        """More than its run takes, if no stream stalls."""
        return 1_000 + 2 * self.slots + 20 * self.works + 8 * self.pulled * self.cfg.word_beats

    def _legal(self, i: Instruction, index: int) -> bool:
        cfg = self.cfg
        loops = i.loop_back <= index
        if not (loops and i.rows and i.row_first < cfg.chain_blocks and i.h_word < cfg.h_words):
            return False
        if i.op == Op.LOAD_WEIGHTS:
            return i.weight_base + i.rows <= cfg.weight_tiles
        if i.op == Op.LOAD_BIAS:
            return i.bias_base + i.rows <= cfg.bias_blocks
        if i.op in (Op.LOAD_STATE, Op.GIVE_STATE):
            return i.row_first * cfg.passes + i.rows <= cfg.groups
        if i.op != Op.TILES or i.shape >= len(cfg.tile_shapes):
            return False
        s = cfg.tile_shapes[i.shape]
        bands, words = i.rows * s.gang, cfg.x_columns if i.source == Source.X else cfg.h_words
        if (i.start == Start.BIAS or cfg.row_scales) and (
            i.bias_base + bands > cfg.bias_blocks or (i.bias_base - i.row_first) % cfg.bands
        ):
            return False
        place = i.h_lane % cfg.lanes or i.h_lane % min(s.block, cfg.columns)
        return (
            i.row_first % s.gang == i.col_first % s.step == place == 0
            and i.row_first + bands <= cfg.chain_blocks
            and i.cols != 0
            and i.col_end(cfg) <= words * cfg.bands
            and i.h_lane < cfg.columns
            and i.start <= Start.STORED_SHIFTED
            and i.x_shift <= cfg.max_shift
        )

    def _walk(self) -> None:
        """Count, and find the first slot that breaks off the run."""
        cfg, held = self.cfg, 0
        # The kernel takes the slots that the header tells, and turns of the last row block.
        told = self.header["slots"] + cfg.most_passes - 1 if cfg.engine == "hls" else MOST_SLOTS
        for i in run_order(self.program):
            self.works += 1
            self.slots += i.slots(cfg)
            if self.slots > MOST_SLOTS:
                raise TooLong
            if i.op != Op.TILES:
                self.beats += i.rows * i.item_beats(cfg) * (i.op != Op.GIVE_STATE)
                continue
            s = cfg.tile_shapes[i.shape]
            step, begun = s.step, self.slots - i.rows * i.row_slots(cfg)
            for n in range(i.rows * i.cols):
                row, column = divmod(n, i.cols)
                word, inside = divmod(i.col_first + column * step, cfg.bands)
                if begun + row * i.row_slots(cfg) + column >= told:
                    break
                if i.source == Source.X:
                    pulls = i.pull and row == 0 and inside == 0
                    short = pulls and self.pulled == self.header["x_words"]
                    if short or (word != held if pulls else word >= held):
                        self._end(Status.WORDS)
                    self.pulled += pulls
                    held += pulls
                if i.weight_base + n >= cfg.weight_tiles:
                    self._end(Status.WEIGHTS | self.list.index(i) << 8)
            if i.pop and i.source == Source.X:
                held = 0
        few = cfg.engine == "hls" and self.slots > self.header["slots"]
        if few or self.pulled != self.header["x_words"]:
            self._end(Status.WORDS)

    def _end(self, status: int) -> None:
        self.status = self.status or int(status)

    def allows(self, status: int) -> bool:
        """Whether a run may end so."""
        if status & 0xFF != Status.DISTANCE or not self.runs:
            return status == self.status
        if self.cfg.engine == "hls":  # which also promises c, and what was loaded
            return True
        try:
            check(self.cfg, self.program)
        except AssertionError:
            return True
        return False


@dataclass(frozen=True)
class Drawn:
    """A program, its streams, and how its run must end."""

    name: str
    run: Run
    verdict: Verdict


class Drawer:
    """Draws programs for an engine."""

    def __init__(self, cfg: Config, seed: int) -> None:
        self.cfg, self.rng = cfg, np.random.default_rng(seed)
        self.compiled = list(_compiled(cfg))

    def draw(self, name: str) -> Drawn:
        """Draw one that does not take too long, by chance of one kind or another."""
        kinds = [self._garbage, self._mixed, self._near]
        while True:
            lines = kinds[self.rng.choice(3, p=(0.1, 0.4, 0.5))]()
            try:
                verdict = Verdict(self.cfg, lines.reshape(-1))
            except TooLong:
                continue
            if max(verdict.header["x_words"], verdict.header["slots"]) <= 2 * MOST_SLOTS:
                return self.with_streams(name, lines, verdict)

    def with_streams(self, name: str, lines: np.ndarray, verdict: Verdict) -> Drawn:
        """Draw all that the program may take, and sometimes more."""
        more = int(self.rng.integers(3)) * (self.cfg.engine == "sv")  # that the run leaves
        x_words = verdict.header["x_words"] * verdict.runs
        x = self._bytes(x_words * self.cfg.word_beats + more)
        missing = min(verdict.header["instructions"], MAX_INSTRUCTIONS) + 1 - len(lines)
        lines = np.pad(lines, ((0, max(0, missing)), (0, 0)))
        loads = self._bytes(verdict.beats + more)
        return Drawn(name, Run(lines.reshape(-1), loads, x, cycles=verdict.cycles), verdict)

    def _bytes(self, beats: int) -> np.ndarray:
        return self.rng.integers(0, 256, beats * self.cfg.stream_bits // 8, np.uint8)

    def encoded(self, instructions: Sequence[Instruction], header: dict[str, int]) -> np.ndarray:
        """Encode a program, whatever loops it has, and overwrite some of its header."""
        lines = self._lines(len(instructions))
        for line, i in zip(lines[1:], instructions):
            for name, field in INSTRUCTION.items():
                put(line, field, int(getattr(i, name)))
        return changed(self._told(lines).reshape(-1), None, **header).reshape(lines.shape)

    def _lines(self, count: int) -> np.ndarray:
        lines = np.zeros((count + 1, STRIDE), np.uint32)
        for name, value in {"magic": MAGIC, "instructions": count, "sequences": 1}.items():
            put(lines[0], HEADER[name], value)
        return lines

    def _told(self, lines: np.ndarray) -> np.ndarray:
        """Let the header tell what the run takes."""
        put(lines[0], HEADER["x_words"], 0)
        verdict = Verdict(self.cfg, lines.reshape(-1))
        words = verdict.pulled
        if verdict.runs:
            words = verdict.header["sequences"] * sum(
                i.pulled(self.cfg)
                for i in verdict.program.walk()
                if i.op == Op.TILES and i.source == Source.X
            )
        put(lines[0], HEADER["x_words"], words)
        put(lines[0], HEADER["slots"], verdict.slots)
        return lines

    def _garbage(self) -> np.ndarray:
        rng = self.rng
        lines = self._lines(int(rng.integers(1, 8)))
        lines[1:] = rng.integers(0, 1 << 32, lines[1:].shape, np.uint32)
        lines[0, 1:] = rng.integers(0, 1 << int(rng.integers(1, 13)), STRIDE - 1, np.uint32)
        for line in lines[1:]:  # some of them small, so that not all is refused at once
            for field in INSTRUCTION.values():
                if rng.random() < 0.8:
                    most = min(field.width, int(rng.integers(1, 8)))
                    put(line, field, int(rng.integers(0, 1 << most)))
        return lines

    def _mixed(self) -> np.ndarray:
        """Instructions of different programs one after the other, too soon or late enough."""
        cfg, rng = self.cfg, self.rng
        pool = np.concatenate([lines[1:] for lines in self.compiled])
        lines = self._lines(int(rng.integers(1, 10)))
        put(lines[0], HEADER["sequences"], int(rng.choice([1, 1, 2, 3])))
        put(lines[0], HEADER["stride"], int(rng.integers(0, 2 * cfg.h_words)))
        lines[1:] = pool[rng.integers(len(pool), size=len(lines) - 1)]
        for index, line in enumerate(lines[1:]):
            nops = rng.choice([0, 0, 0, 1, 3, cfg.tail // 2, cfg.tail, cfg.tail])
            loops = rng.random() < 0.25
            back, repeats = loops * rng.integers(index + 1), loops * rng.integers(1, 5)
            values = {"nops": nops, "loop_back": back, "repeats": repeats}
            if rng.random() < 0.5:
                values |= {"source": rng.integers(4), "start": rng.integers(3)}
            if rng.random() < 0.1:
                values["weight_base"] = cfg.weight_tiles - rng.integers(4)
            for name, value in values.items():
                put(line, INSTRUCTION[name], int(value))
        try:
            return self._told(lines) if rng.random() < 0.9 else lines
        except TooLong:
            return lines

    def _near(self) -> np.ndarray:
        rng = self.rng
        lines = self.compiled[rng.integers(len(self.compiled))].copy()
        for _ in range(rng.integers(1, 3)):
            at = int(rng.integers(1, len(lines)))
            choice = rng.integers(10)
            if choice < 6:
                self._change(lines[at], INSTRUCTION)
            elif choice < 7:
                self._change(lines[0], HEADER)
            else:  # cut, grown, or in another order
                other = int(rng.integers(1, len(lines)))
                order = list(range(len(lines)))
                order[at : at + 1] = [[], [at, other], [other]][choice - 7]
                lines = lines[order][: MAX_INSTRUCTIONS + 1]
                put(lines[0], HEADER["instructions"], len(lines) - 1)
            if len(lines) == 1:
                return lines
        if rng.random() < 0.5:
            try:
                return self._told(lines)
            except TooLong:
                pass
        return lines

    def _change(self, line: np.ndarray, layout: dict[str, Field]) -> None:
        rng = self.rng
        field = layout[str(rng.choice(list(layout)))]
        old = get(line, field)
        bit = 1 << int(rng.integers(field.width))
        few = int(rng.integers(8))
        put(line, field, [old + 1, old - 1, old ^ bit, few, 0, 2 * old][rng.integers(6)])


@lru_cache
def _compiled(cfg: Config) -> list[np.ndarray]:
    """Programs of short runs, of the compiler and by hand."""
    found = []
    for seed in range(200):
        case = cases.draw(cfg, seed, kinds=("forward",) * (1 + seed % 2), lengths=(3, 2, 3))
        made = [program for _, _, program in case.programs()] + [make(cfg, seed).program]
        for program in made:
            if len(program.instructions) < MAX_INSTRUCTIONS:
                words = program.encode(cfg)
                if get(words, HEADER["slots"]) < MOST_SLOTS // 3:
                    found.append(words.reshape(-1, STRIDE))
        if len(found) > 60:
            break
    return found


@lru_cache
def _known(cfg: Config) -> list[Made]:
    """The shortest of some cases whose results are known."""
    made = [make(cfg, seed) for seed in range(30)]
    return sorted(made, key=lambda m: len(m.load.weights) + m.program.encode(cfg)[3])[:3]


def try_all(
    cfg: Config, executable: Path, seed: int, count: int, options: Sequence[str] = ()
) -> Counter[int]:
    """Run drawn programs, a known case after each; refuse what must not be.

    Returns:
        How many ended with each status.
    """
    drawer, ends = Drawer(cfg, seed), Counter[int]()
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        batch = [drawer.draw(f"{cfg.name}, seed {seed}, program {n}") for n in numbers]
        for drawn, status in played(cfg, executable, batch, options):
            ends[status & 0xFF] += 1
            assert drawn.verdict.allows(status), (
                f"{drawn.name}: status {status:#x}, not {drawn.verdict.status:#x}"
            )
    return ends


def played(
    cfg: Config, executable: Path, batch: list[Drawn], options: Sequence[str] = ()
) -> Iterator[tuple[Drawn, int]]:
    """Play programs in one process, a known case after each, which must come out right.

    csim ends where a slot comes too early, since the kernel has no status for that.
    """
    known = _known(cfg)
    while batch:
        cases = [known[n % len(known)] for n in range(len(batch))]
        runs = [
            run for drawn, case in zip(batch, cases) for run in (drawn.run, case.load, case.run)
        ]
        ended = len(batch)
        try:
            results = engines.play(executable, runs, options=options)
        except LstmSharpError as error:
            found = re.search(r"run (\d+): (.*)", str(error)) or pytest.fail(str(error))
            ended, behind = divmod(int(found[1]) - 1, 3)
            early = cfg.engine == "hls" and not behind and found[2].endswith("are promised")
            assert early, f"{batch[ended].name}{', after it' * (behind > 0)}: {found[2]}"
            results = engines.play(executable, runs[: 3 * ended], options=options)
            yield batch[ended], int(Status.DISTANCE)
        for drawn, case, result, after in zip(batch, cases, results[::3], results[2::3]):
            assert result.identity == cfg.identity, drawn.name
            assert not (result.status & 0xFF in (1, 2) and result.h_bytes.size), drawn.name
            yield drawn, result.status & 0xFFFF
            try:
                case.check(after)
            except (AssertionError, LstmSharpError) as error:
                raise AssertionError(f"{drawn.name}, after it: {error}") from None
        batch = batch[ended + 1 :]
