"""Tiles of several shapes, row blocks of single gates, and wavefronts: bits of golden and csim, and
cycles of the model, on random cases.

Most cases have K's that change between layers or inside one; the test counts them. Engines are
small, so that many cases run; the large one is among the slow tests.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from cases import Case, draw
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.schedule import BY_GATE, SCHEDULES, make_plan, shapes_of
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import hls_rtl
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import Stage
from workshop.figures import random_layer

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.sv,
    pytest.mark.skipif(hls_rtl.chosen(), reason="these engines are not what HLS made"),
]

_TINY = config.resized(config.load("tiny"), weight_tiles=2048, bias_blocks=128)
SHAPES = [
    # A row block of any shape but the largest ends inside a beat
    config.resized(_TINY, name="shapes", rows=4, columns=8, stream_bits=128, k_list=(4, 8, 16)),
    # A K is missing, lanes take a band in one turn, segments take more than one level
    config.resized(
        _TINY,
        name="shapes-lanes",
        format="W8A8",
        rows=8,
        columns=48,
        lanes=2,
        k_list=(8, 16, 64),
        max_input=130,
        max_hidden=70,
        sequence_words=512,
    ),
]
GATES = config.resized(_TINY, name="gates", rows=8, columns=8, lanes=1, gate_blocks=1)
FOUR = config.resized(
    config.load("zcu104"),
    name="zcu104-shapes",
    rows=16,
    columns=64,
    k_list=(16, 32, 64, 128),
    uram_columns=48,
    sequence_words=1024,
)
"""The zcu104's multipliers with four shapes of their tile."""
CASES = 110


def kinds(case: Case) -> Counter[str]:
    """Say what K's do in a case."""
    layers = [layer for stage in case.stages for layer in stage.plan.layers]
    shapes = [{rect.shape for rect in layer.x + layer.h} for layer in layers]
    return Counter(
        {
            "inside a layer": any(len(found) > 1 for found in shapes),
            "between layers": len(set(map(frozenset, shapes))) > 1,
            "several rectangles finish": any(len(x.finishing(case.cfg)) > 1 for x in layers),
            "wavefront": any(stage.plan.wavefront for stage in case.stages),
        }
    )


def play(cfg: Config, cases: list[Case], stalled: bool = False) -> list[str]:
    """Run cases on the RTL; list what is wrong."""
    rtl, wrong = engines.build("rtl", cfg), []
    for case in cases:
        differs, taken = case.play(rtl, ["--stall", str(case.seed)] if stalled else [])
        model = [cycles.predict(cfg, program).cycles for _, _, program in case.programs()]
        wrong += [differs] if differs else []
        if (taken != model and not stalled) or any(a < b for a, b in zip(taken, model)):
            wrong.append(f"cycles {taken}, model {model}: {case}")
    return wrong


@pytest.mark.parametrize("cfg", SHAPES, ids=lambda cfg: cfg.name)
def test_shapes_change_no_bit_and_cost_what_the_model_says(
    cfg: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [draw(cfg, seed) for seed in range(CASES)]
    seen = sum((kinds(case) for case in cases), Counter())
    with capsys.disabled():
        print(f"\n{cfg.name}: {CASES} cases, K changes", dict(seen))
    assert min(seen.values()) >= 8
    assert sum(kinds(c)["inside a layer"] for c in cases) >= 75
    assert not play(cfg, cases)
    hls = cfg.of("hls")
    csim = engines.build("csim", hls)
    wrong = [differs for s in range(CASES) if (differs := draw(hls, s).play(csim)[0])]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("cfg", SHAPES, ids=lambda cfg: cfg.name)
def test_stalled_streams_change_no_bit_of_any_shape(cfg: Config) -> None:
    assert not play(cfg, [draw(cfg, seed) for seed in range(1000, 1000 + CASES // 2)], True)


@pytest.mark.parametrize("stalled", [False, True])
def test_row_blocks_of_single_gates(stalled: bool) -> None:
    """The paper's sequential and batch, and our schedules on the same engine."""
    schedules = (*BY_GATE, *BY_GATE, *SCHEDULES)
    cases = [draw(GATES, s, schedule=schedules[s % len(schedules)]) for s in range(56)]
    assert not play(GATES, cases, stalled)


@pytest.mark.slow
def test_four_shapes_of_1024_multipliers() -> None:
    assert not play(FOUR, [draw(FOUR, seed) for seed in range(12)])


@pytest.mark.slow
def test_padding_reconfiguration_fills_1024_multipliers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """X = H = 340, which whole tiles of no single shape fill."""
    steps, size = 64, 340
    x = np.random.default_rng(1).uniform(-1, 1, (1, steps, size))
    model = quantize(random_layer(size), FOUR.fmt, x, FOUR.max_shift)
    plan, start = make_plan(shapes_of(model), FOUR, sequences=1), (group((steps,)),)
    stage = Stage(model, plan, 0)
    job = [stage.load(), stage.run_of(start, model.quantize_input(x), None, False)]
    rtl = engines.build("rtl", FOUR)
    _, ran = engines.play(rtl, job)
    utilization = model.macs_per_step * steps / FOUR.macs / ran.cycles
    with capsys.disabled():
        print(f"\nX = H = 340: utilisation {utilization:.4f}")
    assert ran.cycles == cycles.predict(FOUR, plan.program_of(start)).cycles
    assert utilization >= 0.98
