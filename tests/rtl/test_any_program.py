"""Any program ends: soon, with the status that it must have, and the next is right in every bit.

Nothing that an engine checks of itself may fail on the way. LSTM_SHARP_SEED draws other programs.
"""

from __future__ import annotations

import os

import pytest

import any_program
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Status
from lstm_sharp.run import engines
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
