"""golden = csim = rtl in every bit, and RTL cycles = predicted cycles, on random cases."""

from __future__ import annotations

import numpy as np
import pytest

from cases import LEVELS, Case, draw
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.schedule import largest_square
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import hls_rtl
from lstm_sharp.runtime import deploy, engines
from rtl.coverage import Coverage, Point, reachable, seen_in

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
if hls_rtl.chosen():  # and nothing is said of cycles
    UNDER_TEST = hls_rtl.given().cfg
    ENGINES = {UNDER_TEST.name: UNDER_TEST}
FIRST = next(iter(ENGINES.values()))
CASES = {"tiny": 60, "wide": 90, "pynq-z2": 12, "zcu104": 10}


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    """What the tests of this file have run on RTL."""
    return Coverage()


def predicted(case: Case) -> list[int]:
    """Cycles of all programs of a case, by the cycle model."""
    return [cycles.predict(case.cfg, program).cycles for _, _, program in case.programs()]


def largest(cfg: Config) -> Case:
    """Two levels of the largest size that the engine holds one of."""
    size = largest_square(cfg)
    return draw(cfg, 1, kinds=("forward", "forward"), sizes=(size, size, size), lengths=(1, 2, 2))


def cases(name: str, stalled: bool) -> list[Case]:
    """All cases of an engine: random ones, and on ``tiny`` one for each point of the coverage."""
    first = 1000 * stalled
    found = [draw(ENGINES[name], seed) for seed in range(first, first + CASES.get(name, 10))]
    if name == "tiny":
        points = [point for point in reachable() if point[3] == stalled]
        found += [reaching(point, 2000 + 20 * place) for place, point in enumerate(points)]
    return found


def reaching(point: Point, first: int) -> Case:
    """Draw until a case reaches a point: whether it saturates is seen only then."""
    schedule, kind, chains, stalled, _ = point
    lengths = (6,) * (chains // len(LEVELS[kind]))
    asked = {"kinds": (kind,), "lengths": lengths, "schedule": schedule, "chains": chains}
    drawn = (draw(FIRST, seed, **asked) for seed in range(first, first + 20))
    return next(case for case in drawn if [point] == [p for p, _ in seen_in(case, stalled)])


@pytest.mark.parametrize("name", ENGINES)
def test_all_levels_agree(name: str, coverage: Coverage) -> None:
    cfg = ENGINES[name]
    rtl, wrong = engines.build("rtl", cfg), []
    for case in [largest(cfg), *cases(name, stalled=False)]:
        differs, taken = case.play(rtl)
        wrong += [f"rtl: {differs}"] if differs else []
        if not hls_rtl.chosen() and taken != predicted(case):
            wrong.append(f"cycles {taken}, model {predicted(case)}: {case}")
        run, loads = deploy.predict(case.stages, case.lengths, case.state is not None, case.give)
        assert run.cycles + loads == sum(predicted(case)), str(case)
        coverage.note(case, stalled=False)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ENGINES)
def test_csim_agrees(name: str) -> None:
    """The same models and sequences, compiled for the D of the kernel."""
    cfg = ENGINES[name].of("hls")
    csim = engines.build("csim", cfg)
    drawn = [largest(cfg), *(draw(cfg, seed) for seed in range(CASES.get(name, 10)))]
    wrong = [differs for case in drawn if (differs := case.play(csim)[0])]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ENGINES)
def test_stalled_streams_change_no_bit(name: str, coverage: Coverage) -> None:
    rtl = engines.build("rtl", ENGINES[name])
    wrong = []
    for case in cases(name, stalled=True):
        differs, taken = case.play(rtl, ["--stall", str(case.seed)])
        wrong += [differs] if differs else []
        if not hls_rtl.chosen() and any(a > b for a, b in zip(predicted(case), taken)):
            wrong.append(f"cycles {taken}, unstalled {predicted(case)}: {case}")
        coverage.note(case, stalled=True)
    assert not wrong, "\n".join(wrong)


@pytest.mark.sv
def test_every_point_is_covered(coverage: Coverage, capsys: pytest.CaptureFixture[str]) -> None:
    if coverage.cases.total() < 2 * sum(CASES.values()):
        pytest.skip("not all cases have been run")
    with capsys.disabled():
        print(f"\n{coverage.table()}")
    assert not coverage.missing()


def test_a_run_leaves_nothing_behind() -> None:
    """One engine plays case after case: other weights, sums and states lie in its memories."""
    cfg = FIRST
    rtl = engines.build("rtl", cfg)
    drawn = [draw(cfg, seed, kinds=("both",)) for seed in range(2000, 2012)]
    alone = [result for case in drawn for result in engines.play(rtl, case.runs())]
    together = engines.play(rtl, [run for case in drawn for run in case.runs()])
    for one, other in zip(alone, together, strict=True):
        assert (one.cycles, one.status, one.last_ok) == (other.cycles, other.status, other.last_ok)
        np.testing.assert_array_equal(one.h_bytes, other.h_bytes)


def test_every_start_value_gives_the_same() -> None:
    """Registers and memories that are not reset start at random: no bit may depend on them."""
    cfg = FIRST
    case = draw(cfg, 3, kinds=("both", "forward"), state=False, give=True)
    for seed in (1, 2, 3, 4):
        options = [f"+verilator+seed+{seed}", "+verilator+rand+reset+2"]
        differs, _ = case.play(engines.build("rtl", cfg), options)
        assert not differs, f"start seed {seed}: {differs}"
