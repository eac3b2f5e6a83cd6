"""Any program ends: soon, with the status that it must have, and the next is right in every bit.

Nothing that an engine checks of itself may fail on the way. LSTM_SHARP_SEED draws other programs.
"""

from __future__ import annotations

import os

import pytest

import any_program
from broken import broken
from cases import ENGINES
from lstm_sharp.engine.program import Status
from lstm_sharp.runtime import engines

SEED = int(os.environ.get("LSTM_SHARP_SEED", "1"))
MARKS = {"rtl": [pytest.mark.rtl, pytest.mark.sv], "csim": [pytest.mark.csim]}
BACKENDS = [pytest.param(name, marks=marks) for name, marks in MARKS.items()]
COUNTS = [  # backend, engine, how many, stalls; whether slow
    *(("rtl", "tiny", 150, "3", False), ("rtl", "shapes", 150, "", False)),
    *(("rtl", "tiny", 8_000, "", True), ("rtl", "tiny", 2_000, "5", True)),
    *(("rtl", "shapes", 6_000, "", True), ("rtl", "shapes", 1_000, "5", True)),
    *(("rtl", "wide", 3_000, "", True), ("csim", "tiny", 200, "", False)),
    *((("csim", "tiny", 10_000, "", True)), ("csim", "shapes", 7_000, "", True)),
    ("csim", "wide", 3_000, "", True),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["tiny", "shapes"])
def test_each_kind(backend: str, name: str) -> None:
    cfg = ENGINES[name].of(engines.kind(backend))
    drawer, batch, table = any_program.Drawer(cfg, SEED), [], broken(cfg)
    for what, case in table.items():
        lines = drawer.encoded(case.instructions, case.header)
        batch.append(drawer.with_streams(what, lines, any_program.Verdict(cfg, lines.reshape(-1))))
    for drawn, status in any_program.played(cfg, engines.build(backend, cfg), batch):
        case = table[drawn.name]
        assert status == (case.status if backend == "rtl" or case.hls is None else case.hls), drawn
        assert drawn.verdict.allows(status), drawn
        table.pop(drawn.name)
    assert not table


@pytest.mark.parametrize(
    ("backend", "name", "count", "stall"),
    [
        pytest.param(*case, marks=[*MARKS[case[0]], *[pytest.mark.slow] * slow])
        for *case, slow in COUNTS
    ],
)
def test_any(backend: str, name: str, count: int, stall: str) -> None:
    """All kinds of ends must have been among them."""
    print(f"LSTM_SHARP_SEED={SEED}")
    cfg, options = ENGINES[name].of(engines.kind(backend)), ["--stall", stall] if stall else []
    ends = any_program.try_all(cfg, engines.build(backend, cfg), SEED, count, options)
    print(dict(ends))
    assert set(ends) == set(Status)
    assert ends[Status.FINE] > count / 4
