"""What the cycle model says of engines with 1,024 multipliers, seen on those engines."""

from __future__ import annotations

import numpy as np
import pytest

from cases import random_model
from lstm_sharp.compiler import pack
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.perf import fastest
from lstm_sharp.compiler.schedule import make_plan, shapes_of
from lstm_sharp.numerics import golden
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import Stage

pytestmark = [pytest.mark.rtl, pytest.mark.sv, pytest.mark.slow]

STEPS = 100


@pytest.mark.parametrize("chains", [1, 4])
@pytest.mark.parametrize("size", [128, 256, 340, 512, 1024])
def test_engines_take_the_cycles_of_the_model(size: int, chains: int) -> None:
    found = fastest(LayerShape(size, size), 1024, "best", "best", chains, STEPS, None)
    cfg, rng = found.cfg, np.random.default_rng(size)
    model = random_model(rng, cfg.fmt, ["forward"], [size, size], cfg.max_shift, extreme=False)
    plan = make_plan(shapes_of(model), cfg, found.plan.schedule, sequences=chains)
    start = (group((STEPS,) * chains),)
    x = rng.integers(-99, 99, (chains, STEPS, size))
    stage = Stage(model, plan, 0)
    job = [stage.load(), stage.run_of(start, x, None, False)]
    result = engines.play(engines.build("rtl", cfg), job)[1]
    engines.check(cfg, job[1], result)
    assert result.cycles == found.prediction.cycles
    h = pack.empty_h(plan, [STEPS] * chains)
    pack.unpack_h(result.h_bytes, plan, start, h)
    assert (h == golden.run(model, x)[0]).all()
