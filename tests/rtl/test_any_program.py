"""Any program ends: soon, with the status that it must have, and the next is right in every bit.

Nothing that an engine checks of itself may fail on the way. LSTM_SHARP_SEED draws other programs.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

import any_program
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start, Status
from lstm_sharp.runtime import engines
from rtl import test_levels, test_shapes_raw

TINY, SHAPES, WIDE = (
    config.load("tiny"),
    test_shapes_raw.ENGINES[0],
    test_levels.ENGINES["wide"],
)
SEED = int(os.environ.get("LSTM_SHARP_SEED", "1"))


def tried(backend: str, cfg: Config, count: int, *options: str) -> None:
    """Try so many; all kinds of ends must have been among them."""
    print(f"LSTM_SHARP_SEED={SEED}")
    ends = any_program.try_all(cfg, engines.build(backend, cfg), SEED, count, options)
    print(dict(ends))
    assert set(ends) == set(Status)
    assert ends[Status.FINE] > count / 4


ROW = Instruction(source=Source.ZERO, rows=1, cols=1)
LOST = replace(ROW, weight_base=TINY.weight_tiles)
ENDS = replace(ROW, cols=4, finish=True, emit=True)
BROKEN = {  # instructions, and how a run of them must end
    "loops that nest": (
        (ROW, replace(ROW, repeats=2), replace(ROW, repeats=3, loop_back=2)),
        0x202,
    ),
    "loops that overlap": ((replace(ROW, repeats=2), replace(ROW, repeats=2, loop_back=1)), 0x102),
    "loops apart": ((replace(ROW, repeats=2), replace(ROW, repeats=2)), 0),
    "x that is not used up": ((Instruction(rows=1, cols=8, pull=True),) * 9, 3),
    "x that is not pulled": ((Instruction(rows=1, cols=1),), 3),
    "x and weights that are not there": ((replace(LOST, source=Source.X),), 3),
    "weights far away": ((replace(ROW, weight_base=0x8000),), 4),
    "a load behind them": ((ROW, LOST, Instruction(op=Op.LOAD_WEIGHTS, rows=64)), 0x104),
    "a state behind them": ((ROW, LOST, Instruction(op=Op.GIVE_STATE, rows=64)), 0x104),
    "neurons across two words": ((replace(ROW, h_lane=1),), 2),
    "lanes that are busy": ((ENDS, replace(ENDS, row_first=1, cols=1)), 0x105),
    "a sum too early": ((ROW, replace(ROW, start=Start.STORED)), 0x105),
    "a state too early": ((ENDS, Instruction(op=Op.GIVE_STATE, rows=1)), 0x105),
    "h too early": ((replace(ENDS, step=True), replace(ROW, source=Source.H, row_first=4)), 0x105),
    "the sequence too early": (
        (replace(ENDS, keep=True), replace(ROW, source=Source.SEQUENCE)),
        0x105,
    ),
}


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("rtl", marks=[pytest.mark.rtl, pytest.mark.sv]),
        pytest.param("csim", marks=pytest.mark.csim),
    ],
)
def test_each_kind(backend: str) -> None:
    cfg = TINY.of(engines.kind(backend))
    drawer, batch = any_program.Drawer(cfg, SEED), []
    for name, (instructions, _) in BROKEN.items():
        lines = drawer.encoded(instructions)
        batch.append(drawer.with_streams(name, lines, any_program.Verdict(cfg, lines.reshape(-1))))
    for drawn, status in any_program.played(cfg, engines.build(backend, cfg), batch):
        wanted = BROKEN[drawn.name][1]
        if backend == "rtl" or wanted & 0xFF != Status.DISTANCE:
            assert status == wanted, drawn.name


@pytest.mark.rtl
@pytest.mark.sv
@pytest.mark.parametrize(
    ("cfg", "count", "options"),
    [
        (TINY, 150, ("--stall", "3")),
        (SHAPES, 150, ()),
        *(
            pytest.param(cfg, count, options, marks=pytest.mark.slow)
            for cfg, count, options in (
                (TINY, 8_000, ()),
                (TINY, 2_000, ("--stall", "5")),
                (SHAPES, 6_000, ()),
                (SHAPES, 1_000, ("--stall", "5")),
                (WIDE, 3_000, ()),
            )
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_rtl(cfg: Config, count: int, options: tuple[str, ...]) -> None:
    tried("rtl", cfg, count, *options)


@pytest.mark.csim
@pytest.mark.parametrize(
    ("cfg", "count"),
    [
        (TINY, 200),
        *(
            pytest.param(cfg, count, marks=pytest.mark.slow)
            for cfg, count in ((TINY, 10_000), (SHAPES, 7_000), (WIDE, 3_000))
        ),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_csim(cfg: Config, count: int) -> None:
    tried("csim", cfg.of("hls"), count)
