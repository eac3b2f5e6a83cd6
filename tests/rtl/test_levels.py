"""golden = csim = rtl in every bit, and RTL cycles = predicted cycles, on random cases.

Where a tile has several shapes, most cases have K's that change between layers or inside one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import cases
from cases import KERNELS, LEVELS, Case, draw, saturating
from lstm_sharp.compiler.limits import largest_square
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER, Op, null_program
from lstm_sharp.errors import EngineError
from lstm_sharp.flow import hls_rtl
from lstm_sharp.flow.jobs import Run
from lstm_sharp.model.model import GATES
from lstm_sharp.runtime import deploy, engines
from rtl.coverage import Coverage, Point, reachable, seen_in
from slots import decoded

pytestmark = [pytest.mark.rtl, pytest.mark.csim]

ENGINES = cases.ENGINES
if hls_rtl.chosen():  # and nothing is said of cycles
    UNDER_TEST = hls_rtl.given().cfg
    ENGINES = {UNDER_TEST.name: UNDER_TEST}
FIRST = next(iter(ENGINES.values()))
CASES = {
    "tiny": 40,
    "plain": 12,
    "wide": 40,
    "shapes": 40,
    "shapes-lanes": 40,
    "pynq-z2": 12,
    "zcu104": 8,
}
SHAPES = [name for name, cfg in ENGINES.items() if cfg.bands > 1]


@pytest.fixture(scope="module")
def coverage() -> Coverage:
    """What the tests of this file have run on RTL."""
    return Coverage()


def largest(cfg: Config) -> Case:
    """Two levels of the largest size that the engine holds one of."""
    size = largest_square(cfg)
    return draw(cfg, 1, kinds=("forward", "forward"), sizes=(size, size, size), lengths=(1, 2, 2))


def drawn(name: str, stalled: bool) -> list[Case]:
    """All cases of an engine: random ones, and on ``tiny`` one for each point of the coverage."""
    first, count = 1000 * stalled, CASES.get(name, 10) // (1 + stalled)
    found = [draw(ENGINES[name], seed) for seed in range(first, first + count)]
    if name == "tiny":
        points = [point for point in reachable() if point[3] == stalled]
        found += [reaching(point, 2000 + 20 * place) for place, point in enumerate(points)]
    return found if stalled else [largest(ENGINES[name]), *found]


def reaching(point: Point, first: int) -> Case:
    """Draw until a case reaches a point: whether it saturates is seen only then."""
    schedule, kind, chains, stalled, _ = point
    asked = {"kinds": (kind,), "lengths": (6,) * (chains // len(LEVELS[kind]))}
    asked |= {"schedule": schedule, "chains": chains, "start_cycles": 0}
    found = (draw(FIRST, seed, **asked) for seed in range(first, first + 20))
    return next(case for case in found if [point] == [p for p, _ in seen_in(case, stalled)])


@pytest.mark.parametrize("stalled", [False, True], ids=["fast", "stalled"])
@pytest.mark.parametrize("name", ENGINES)
def test_rtl_agrees(name: str, stalled: bool, coverage: Coverage) -> None:
    rtl, wrong = engines.build("rtl", ENGINES[name]), []
    for case in drawn(name, stalled):
        differs, taken = case.play(rtl, ["--stall", str(case.seed)] if stalled else [])
        wrong += [differs] if differs else []
        if not stalled and not hls_rtl.chosen():
            run, loads = deploy.predict_plans([s.plan for s in case.stages], case.call)
            assert run.cycles + loads == sum(taken), str(case)
        coverage.note(case, stalled)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", KERNELS)
def test_csim_agrees(name: str) -> None:
    """On models and sequences of its own, compiled for the D of the kernel."""
    cfg = KERNELS[name]
    csim, wrong = engines.build("csim", cfg), []
    for case in [largest(cfg), *(draw(cfg, seed) for seed in range(CASES.get(name, 24)))]:
        differs, taken = case.play(csim)
        wrong += [differs] if differs else []
        slots = [p.encode(cfg)[HEADER["slots"].word] for _, _, p in case.programs()]
        assert taken == slots, str(case)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "wide", "shapes", "shapes-lanes"])
def test_uneven_rows_agree(name: str) -> None:
    """Rows of all scales, on both engines, every second case with streams that stall."""
    cfg, saturated = cases.ENGINES[name], 0
    rtl, csim = engines.build("rtl", cfg), engines.build("csim", cfg.of("hls"))
    for seed in range(5000, 5060):
        case = draw(cfg, seed)
        stall = ["--stall", str(seed)] if seed // 2 % 2 else []
        wrong = case.play(rtl, stall)[0] or draw(cfg.of("hls"), seed).play(csim)[0]
        assert not wrong, wrong
        saturated += case.c_saturates
    assert 5 <= saturated <= 55


@pytest.mark.parametrize("cell", GATES if FIRST.gru else ["lstm"])
@pytest.mark.parametrize("backend", ["rtl", "csim"])
def test_a_run_tells_that_c_saturated_in_it(backend: str, cell: str) -> None:
    """And no other, though the lanes still hold such numbers while a state is loaded."""
    cfg = FIRST.of(engines.kind(backend))
    first, loud, quiet = saturating(cfg, cell)
    program = decoded(loud.program)
    states = tuple(i for i in program.instructions if i.op == Op.LOAD_STATE)
    load = Run(replace(program, instructions=states).encode(cfg), loud.weights)
    results = engines.play(
        engines.build(backend, cfg), [first, loud, load, Run(null_program()), loud, quiet]
    )
    assert [r.status & 0xFF for r in results] == [0] * 6
    assert [r.c_saturated for r in results] == [False, True, False, False, True, False]


@pytest.mark.sv
def test_every_point_is_covered(coverage: Coverage, capsys: pytest.CaptureFixture[str]) -> None:
    if set(coverage.cases) < {cfg.name for cfg in ENGINES.values()}:
        pytest.skip("not all cases have been run")
    with capsys.disabled():
        print(f"\n{coverage.table()}")
    assert not coverage.missing()


def test_starving_engine_is_told() -> None:
    case = draw(FIRST, 200, kinds=("forward",), lengths=(5,), state=False, give=False)
    load, good = case.runs()
    with pytest.raises(EngineError, match="run 2: no end in .* without a beat: weights .* x "):
        engines.play(engines.build("rtl", FIRST), [load, replace(good, x=good.x[:-8])])


def test_a_run_leaves_nothing_behind() -> None:
    """One engine plays case after case: other weights, sums and states lie in its memories."""
    rtl = engines.build("rtl", FIRST)
    jobs = [draw(FIRST, seed, kinds=("both",)).runs() for seed in range(2000, 2012)]
    alone = [result for runs in jobs for result in engines.play(rtl, runs)]
    together = engines.play(rtl, [run for runs in jobs for run in runs])
    for one, other in zip(alone, together, strict=True):
        assert (one.cycles, one.status, one.last_ok) == (other.cycles, other.status, other.last_ok)
        np.testing.assert_array_equal(one.h_bytes, other.h_bytes)


def test_every_start_value_gives_the_same() -> None:
    """Registers and memories that are not reset start at random: no bit may depend on them."""
    case = draw(FIRST, 3, kinds=("both", "forward"), state=False, give=True)
    for seed in (1, 2, 3, 4):
        options = [f"+verilator+seed+{seed}", "+verilator+rand+reset+2"]
        differs, _ = case.play(engines.build("rtl", FIRST), options)
        assert not differs, f"start seed {seed}: {differs}"
