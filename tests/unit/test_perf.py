"""What the cycle model says of engines that need not be built."""

from __future__ import annotations

import pytest

from lstm_sharp.engine import config, cycles
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.perf import perf
from lstm_sharp.engine.schedule import make_plan
from lstm_sharp.errors import UsageError

SIZES = (128, 256, 340, 512, 1024)


def test_perf_reports_the_model() -> None:
    report = perf(128, 128, 208, k="8", schedule="unfolded", steps=64)
    assert (report["k"], report["n"], report["tail"]) == (8, 26, 24)
    assert report["ideal_cycles_per_step"] == pytest.approx(630.15, abs=0.01)
    assert report["utilization"] == pytest.approx(0.983, abs=0.001)
    longer = perf(16, 16, 208, k="8", tail=60)
    shorter = perf(16, 16, 208, k="8", tail=30)
    assert longer["limited_by"] == shorter["limited_by"] == "recurrence"
    assert float(str(longer["cycles"])) - float(str(shorter["cycles"])) >= 29 * 100


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"macs": 0}, "MACs 0 must be at least 1"),
        ({"k": "12"}, "rows = 12|K = 12"),
        ({"k": "x"}, "K = x must be"),
        ({"chains": 0}, "chains 0 must be at least 1"),
        ({"chains": 65}, "chains = 65 must be a whole number 1 to 64"),
        ({"chains": 60}, "240 instructions, the window holds 127"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 10**9}, "1000000000 steps are over the 65537"),
        ({"schedule": "fast"}, "schedule 'fast' is unknown"),
        ({"macs": 7}, "7 MACs have no tile shape"),
    ],
)
def test_perf_refuses(arguments: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        perf(**{"input_size": 8, "hidden_size": 8, "macs": 208, **arguments})


@pytest.mark.parametrize(
    ("macs", "chains", "least"),
    [
        (1024, 1, 0.989),
        (4096, 1, 0.98),
        (16384, 1, 0.82),
        (65536, 1, 0.55),
        (1024, 4, 0.99),
        (4096, 4, 0.985),
        (16384, 4, 0.965),
        (65536, 4, 0.813),
    ],
)
def test_utilization_of_square_layers(macs: int, chains: int, least: float) -> None:
    reports = [perf(size, size, macs, chains=chains) for size in SIZES]
    assert all(r["cycles"] >= r["lower_bound"] for r in reports)
    assert sum(r["utilization"] for r in reports) / len(SIZES) >= least


@pytest.mark.parametrize("chains", [1, 2, 3, 5, 8])
def test_any_number_of_chains(chains: int) -> None:
    report = perf(16, 16, 1024, chains=chains, steps=10)
    assert report["chains"] == chains
    assert report["cycles_per_step"] == report["cycles"] / (10 * chains)


def test_cuts_come_near_the_bound() -> None:
    """An h-part of 8 x 8 tiles waits 24 slots uncut; cut, it waits for a few columns alone."""
    shape = LayerShape(1, 64)
    cfg = config.resized(
        config.load("tiny"), rows=32, columns=8, lanes=4, max_hidden=64, chains=1, stream_bits=128
    )
    step = {}
    for schedule in ("unfolded", "elementwise"):
        plan = make_plan([shape], cfg, schedule)
        taken = [cycles.predict(cfg, plan.program([n])).cycles for n in (20, 40)]
        step[schedule] = (taken[1] - taken[0]) / 20
    assert len(plan.layers[0].h) > 1
    assert step["unfolded"] == 64 + cfg.tail - 1
    assert step["elementwise"] <= 64 + 8
