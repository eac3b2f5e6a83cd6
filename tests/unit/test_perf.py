"""What the cycle model says of engines that need not be built."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from lstm_sharp.compiler import by_gate, cycles
from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.perf import Asked, fastest, perf
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan
from lstm_sharp.compiler.tiling import TileChoice
from lstm_sharp.engine import config
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError
from lstm_sharp.runtime.deploy import plans, predict_plans
from models import pytorch_like

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
        ({"macs": 0}, "MACs 0 must be 1 to 1048576"),
        ({"k": "12"}, "rows = 12|K = 12"),
        ({"k": "x"}, "K = x must be"),
        ({"chains": 0}, "chains 0 must be 1 to 64"),
        ({"chains": 65}, "chains 65 must be 1 to 64"),
        ({"chains": 60}, "240 instructions, the window holds 127"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 10**9}, "steps 1000000000 must be 1 to 65536"),
        ({"chains": 10**12}, "chains 1000000000000 must be 1 to 64"),
        ({"tail": 10**23}, "tail of more than 20 digits must be 1 to 4096"),
        ({"tail": 10**5000}, "tail of more than 20 digits must be 1 to 4096"),
        ({"input_size": 4097}, "input size 4097 must be 1 to 4096"),
        ({"steps": float("nan")}, "steps nan is no whole number"),
        ({"k": "9" * 5000}, "must be 4, 8, 16"),
        ({"schedule": "fast"}, "schedule 'fast' is unknown"),
        ({"macs": 7}, "7 MACs have no tile shape"),
        ({"k_list": "8,x"}, "list of K's '8,x' must be numbers with commas"),
        ({"k_list": ""}, "list of K's '' must be numbers"),
        ({"k_list": "8,8"}, "has 8 after 8; each is 8 times 2, 4, 8"),
        ({"k_list": "8,24", "macs": 384}, "has 24 after 8; each is 8 times 2, 4, 8"),
        ({"k_list": "16,8", "macs": 1024}, "has 8 after 16; each is 16 times 2, 4, 8"),
        ({"k_list": "12,24", "macs": 192}, "rows = 12 must be 4, 8, 16"),
        ({"k_list": "2048", "macs": 2048}, "rows = 2048 must be a whole number 4 to 1024"),
        ({"k_list": "0,8"}, "K = 0 of the list must be 4, 8"),
        ({"k_list": "8,16,32"}, "K = 32 of the list must be 4, 8, 16, ... and divide 208 MACs"),
        ({"k_list": "8,16"}, "K / 4 = 4 must divide columns = 26 or the reverse"),
        ({"k_list": "4,8,16,32,64,128,256,512,1024", "macs": 1024}, "an instruction tells 8 apart"),
        ({"k_list": "16,64", "macs": 1024, "k": "32"}, "K = 32 must be one of 16, 64, or best"),
        ({"k_list": "16,64", "macs": 1024, "schedule": "batch"}, "leave out the list of K's"),
        ({"k_list": "16,64", "macs": 1024, "chains": 60}, "240 instructions, the window holds 127"),
        (
            {"k_list": "16,1024", "macs": 1024, "tail": 9},
            "9 is shorter than the .* cycles in which",
        ),
        ({"schedule": "sequential", "chains": 12}, "192 instructions, the window holds 127"),
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
        pytest.param(1024, 4, 0.99, marks=pytest.mark.slow),
        pytest.param(4096, 4, 0.985, marks=pytest.mark.slow),
        pytest.param(16384, 4, 0.965, marks=pytest.mark.slow),
        pytest.param(65536, 4, 0.813, marks=pytest.mark.slow),
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


@pytest.mark.parametrize(
    ("name", "sizes", "knobs", "most"),
    [
        ("kv260", (15, 59), {}, 830),
        ("tiny", (12, 12), {"rows": 16, "columns": 2}, 624),
        ("pynq-z2", (4, 143), {"rows": 64, "columns": 8, "lanes": 1}, 2797),
    ],
)
def test_cuts_are_as_good_as_ever(
    name: str, sizes: tuple[int, int], knobs: dict[str, int], most: int
) -> None:
    """Two rectangles that are all of an h-part, and many whose widths are no powers of two."""
    cfg = config.resized(config.load(name), **knobs)
    plan = make_plan([LayerShape(*sizes)], cfg, "elementwise", sequences=1)
    assert cycles.predict(cfg, plan.program([16])).cycles <= most


@pytest.mark.parametrize(("tiles", "told"), [(95, "macs"), (94, "recurrence")])
def test_what_little_beside_the_tiles_is(tiles: int, told: str) -> None:
    assert cycles.Prediction(100, tiles, 100 - tiles, 0, 0).limited_by == told


@pytest.mark.parametrize(
    ("macs", "k_list", "chains", "least"),
    [
        (1024, "16,64,256", 1, 0.995),
        (1024, "16,32,64,256", 1, 0.995),
        (1024, "16,32,64,128", 1, 0.984),
        (4096, "16,64,256,1024", 1, 0.965),
        (4096, "16,128,256,1024", 1, 0.974),
        (4096, "16,32,64,128", 1, 0.951),
        (4096, "16,128,256,1024", 4, 0.979),
    ],
)
def test_padding_reconfiguration_fills_340(
    macs: int, k_list: str, chains: int, least: float
) -> None:
    report = perf(340, 340, macs, chains=chains, k_list=k_list)
    assert report["k_list"] == [int(k) for k in k_list.split(",")]
    assert report["utilization"] >= least
    assert report["lower_bound"] <= report["cycles"]
    unpadded = perf(340, 340, macs, chains=chains, k_list=k_list, padding=False)
    single = perf(340, 340, macs, chains=chains)
    assert report["utilization"] > max(unpadded["utilization"], single["utilization"]) + 0.01
    assert len(report["tiles"]) > len(unpadded["tiles"])


def test_k_of_a_list() -> None:
    sizes, ks = (96, 96, 1024), ("16", "64", "256")
    alone = {k: perf(*sizes, k=k, k_list=",".join(ks)) for k in ks}
    best = perf(*sizes, k_list=",".join(ks), padding=False)
    for k, report in alone.items():
        assert (report["k"], report["n"]) == (int(k), 1024 // int(k))
        assert list(report["tiles"]) == [k]
        assert report["k_list"] == [16, 64, 256]
        assert report["utilization"] <= best["utilization"] + 1e-4
    assert alone["16"]["tiles"] == {"16": 24 * 2 * 2}
    one = perf(*sizes, k_list="64")
    assert one == perf(*sizes, k="64")
    assert one["k_list"] == [64]
    assert one["tiles"] == {"64": 6 * 6 * 2}


@pytest.mark.parametrize("macs", [1024, 4096, 16384, 65536])
def test_schedules_of_the_paper(macs: int) -> None:
    for size in (128, 340, 1024):
        taken = [
            perf(size, size, macs, schedule=name)
            for name in (*by_gate.SCHEDULES, *SCHEDULES, "best")
        ]
        assert [r["schedule"] for r in taken[:-1]] == [*by_gate.SCHEDULES, *SCHEDULES]
        assert taken[-1]["schedule"] in SCHEDULES
        cycles_taken = [r["cycles"] for r in taken]
        assert cycles_taken == sorted(cycles_taken, reverse=True)
        assert all(r["lower_bound"] <= r["cycles"] for r in taken)


def test_slots_of_single_gates() -> None:
    """T + D - 1 a step, row blocks being those of single gates."""
    for name in by_gate.SCHEDULES:
        taken = [perf(340, 340, 4096, k="128", schedule=name, steps=steps) for steps in (100, 200)]
        step = (taken[1]["cycles"] - taken[0]["cycles"]) / 100
        slots = 4 * 3 * 2 * 11  # 340 units are 3 x 128 rows a gate, and 11 columns of 32
        assert taken[0]["tiles"] == {"128": slots}
        assert step == slots + taken[0]["tail"] - 1


def test_single_gates_take_what_engines_of_them_took() -> None:
    """The table comes from programs of such row blocks, which Verilated engines have run."""
    with (Path(__file__).parent / "by_gate.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) >= 300
    for row in table:
        number = {name: int(value) for name, value in row.items() if value.isdecimal()}
        x, h, macs, best = (number[n] for n in ("input_size", "hidden_size", "macs", "best_k"))
        steps, chains, cycles = (number[n] for n in ("steps", "chains", "cycles"))
        shared = "mfu_lanes", "stream_bits", "lower_bound"
        ideal = 4 * h * (x + h) / macs
        tail = number.get("tail")
        assert perf(x, h, macs, row["k"], row["schedule"], chains, steps, tail) == {
            "input_size": x,
            "hidden_size": h,
            "macs": macs,
            "steps": steps,
            "chains": chains,
            "schedule": row["schedule"],
            "k": best,
            "n": macs // best,
            "k_list": [best],
            "tiles": {str(best): number["tiles"]},
            "tail": number["own_tail"],
            "cycles": cycles,
            "cycles_per_step": cycles / (steps * chains),
            "ideal_cycles_per_step": ideal,
            "utilization": ideal * steps * chains / cycles,
            "limited_by": row["limited_by"],
            **{name: number[name] for name in shared},
        }, row


def test_short_rectangles_do_not_wait_for_sums() -> None:
    """340 units in fewest slots end in 2 x 1 tiles of K = 1024, whose sums others wait for."""
    report = perf(340, 340, 4096, k_list="16,64,256,1024")
    assert sum(report["tiles"].values()) == 232
    # Two more than fewest; and no slot of a step without a tile.
    longer = perf(340, 340, 4096, k_list="16,64,256,1024", steps=200)
    assert longer["cycles"] - report["cycles"] == 100 * 232


@pytest.mark.parametrize("chains", [7, 10, 11, 16, 31])
def test_many_chains_of_an_engine_of_several_shapes(chains: int) -> None:
    """Fewer rectangles where the window has no room for more, states included."""
    shape, ks = LayerShape(340, 340), (16, 128, 1024)
    plan = fastest(Asked(shape, 4096, "best", "best", chains, 4, k_list=ks)).plan
    assert plan
    rectangles = len(plan.layers[0].x + plan.layers[0].h)
    assert rectangles == {7: 6, 10: 4, 11: 4, 16: 2, 31: 2}[chains]
    if chains <= 16:
        plan.program((4,) * chains, with_state=True, give_state=True).encode(plan.cfg)
    whole = make_plan([shape], plan.cfg, "unfolded", choice=TileChoice(128))
    assert plan.tiles <= whole.tiles


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_most_steps_are_what_any_program_holds(schedule: str) -> None:
    cfg, model = config.load("tiny"), pytorch_like(0, [3, 8])
    (plan,) = plans(model, cfg, schedule, MAX_STEPS, 1)
    assert predict_plans([plan], Call((MAX_STEPS,)))[0].cycles
    with pytest.raises(UsageError, match="repeats = 6553[67] needs more than 16 bits"):
        predict_plans([plan], Call((MAX_STEPS + 2,)))
