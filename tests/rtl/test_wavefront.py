"""Levels side by side on the zcu104's engine: bits, and the cycles that docs/schedules.md tells."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan, shapes_of
from lstm_sharp.engine import config
from lstm_sharp.flow import hls_rtl
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.deploy import Stage
from workshop.figures import random_layer

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.sv,
    pytest.mark.skipif(hls_rtl.chosen(), reason="cycles are the SystemVerilog engine's"),
]

CFG = config.load("zcu104")
STEPS = 64


def run(size: int, schedule: str, wavefront: bool) -> int:
    """Run one sequence through two levels; check its bits; return its cycles."""
    x = np.random.default_rng(1).uniform(-1, 1, (1, STEPS, size))
    layers = random_layer(size).layers
    model = quantize(Model((*layers, *layers)), CFG.fmt, x, CFG.max_shift)
    plan = make_plan(shapes_of(model), CFG, schedule, None, 1, wavefront=wavefront)
    assert plan.wavefront == wavefront
    stages, xs = (Stage(model, plan, 0),), model.quantize_input(x)
    play = engines.player(engines.build("rtl", CFG), CFG)
    h, after, results = deploy.run(stages, xs, None, True, play)
    wanted, left = golden.run(model, xs)
    assert np.array_equal(h, wanted)
    assert after is not None
    assert np.array_equal(after[0], left.h)
    assert np.array_equal(after[1], left.c)
    start = (group((STEPS,)),)
    program = plan.program_of(start, False, True)
    assert results[0][-1].cycles == cycles.predict(CFG, program).cycles
    return cycles.predict(CFG, plan.program_of(start)).cycles


CYCLES = {  # size, wavefront or not: of intergate, unfolded, elementwise
    (32, False): [4380, 3876, 3876],
    (32, True): [2254, 1998, 1998],
    (64, False): [7070, 5054, 4928],
    (64, True): [4199, 4167, 4165],
}


def test_levels_side_by_side_are_faster() -> None:
    for (size, side), wanted in CYCLES.items():
        assert [run(size, schedule, side) for schedule in SCHEDULES] == wanted
    plan = make_plan([LayerShape(64, 64)] * 2, CFG, "best", None, 1)
    assert plan.wavefront
    assert plan.lower_bound((group((STEPS,)),)) == 4141
