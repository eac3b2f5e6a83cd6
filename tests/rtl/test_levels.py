"""golden = csim = rtl in every bit, and RTL cycles = predicted cycles, on random cases."""

from __future__ import annotations

import pytest

from cases import draw
from lstm_sharp.engine import config, cycles
from lstm_sharp.run import engines

pytestmark = [pytest.mark.rtl, pytest.mark.csim]

_TINY = config.load("tiny")
ENGINES = {
    "tiny": _TINY,
    # Wider row blocks than words, several lanes, memories that tiny does not have
    "wide-w8a8": config.resized(
        _TINY, name="wide", format="W8A8", rows=16, columns=2, lanes=2, max_input=9, max_hidden=9
    ),
    "deep-w16a16": config.resized(
        _TINY,
        name="deep",
        format="W16A16",
        rows=16,
        columns=12,
        lanes=4,
        max_input=30,
        max_hidden=30,
        stream_bits=128,
    ),
    "pynq-z2": config.load("pynq-z2"),
}
CASES = {"tiny": 18, "wide-w8a8": 12, "deep-w16a16": 12, "pynq-z2": 12}


@pytest.mark.parametrize("name", ENGINES)
def test_all_levels_agree(name: str) -> None:
    cfg = ENGINES[name]
    rtl, csim = engines.build("rtl", cfg), engines.build("csim", cfg)
    wrong = []
    for seed in range(CASES[name]):
        case = draw(cfg, seed)
        runs = case.runs()
        predicted = [
            cycles.predict(cfg, program).cycles
            for program in (case.plan.load_program(), case.program)
        ]
        for level, executable in (("csim", csim), ("rtl", rtl)):
            results = engines.play(executable, runs)
            for run, result in zip(runs, results):
                engines.check(cfg, run, result)
            if (case.unpack(results[1].h_bytes) != case.h).any():
                wrong.append(f"{level} differs: {case}")
            if level == "rtl" and [r.cycles for r in results] != predicted:
                wrong.append(f"cycles {[r.cycles for r in results]}, model {predicted}: {case}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("seed", range(6))
def test_stalled_streams_change_no_bit(seed: int) -> None:
    for name in ("tiny", "deep-w16a16"):
        cfg = ENGINES[name]
        case = draw(cfg, 1000 + seed)
        results = engines.play(
            engines.build("rtl", cfg), case.runs(), options=["--stall", str(seed + 1)]
        )
        assert (case.unpack(results[1].h_bytes) == case.h).all(), str(case)
        assert results[1].cycles >= cycles.predict(cfg, case.program).cycles


def test_every_start_value_gives_the_same() -> None:
    """Registers and memories that are not reset start at random: no bit may depend on them."""
    cfg = ENGINES["tiny"]
    case = draw(cfg, 3)
    for seed in (1, 2, 3, 4):
        results = engines.play(
            engines.build("rtl", cfg),
            case.runs(),
            options=[f"+verilator+seed+{seed}", "+verilator+rand+reset+2"],
        )
        assert (case.unpack(results[1].h_bytes) == case.h).all(), f"start seed {seed}: {case}"
