"""golden = csim = rtl in every bit, and RTL cycles = predicted cycles, on random cases."""

from __future__ import annotations

import pytest

from cases import draw
from lstm_sharp.engine import config, cycles
from lstm_sharp.engine.schedule import largest_square
from lstm_sharp.run import engines

pytestmark = [pytest.mark.rtl, pytest.mark.csim]

_TINY = config.load("tiny")
ENGINES = {
    "tiny": _TINY.with_format("W16A16"),
    # Row blocks wider than words, several lanes, weights in two banks of BRAM and of UltraRAM
    "wide": config.resized(
        _TINY,
        name="wide",
        format="W8A8",
        rows=16,
        columns=2,
        lanes=2,
        uram_columns=1,
        max_input=130,
        max_hidden=130,
        weight_tiles=4301,
        sequence_words=512,
    ),
    "pynq-z2": config.load("pynq-z2"),
    "zcu104": config.load("zcu104"),
}
CASES = {"tiny": 20, "wide": 14, "pynq-z2": 12, "zcu104": 10}


@pytest.mark.parametrize("name", ENGINES)
def test_all_levels_agree(name: str) -> None:
    cfg = ENGINES[name]
    rtl, csim = engines.build("rtl", cfg), engines.build("csim", cfg)
    wrong = []
    largest = draw(cfg, 100, sizes=[largest_square(cfg)] * 2)
    for case in [largest, *(draw(cfg, seed) for seed in range(CASES[name]))]:
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
    for name in ("tiny", "wide"):
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
