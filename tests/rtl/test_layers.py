"""Layers on 1,024 multipliers: golden's bits, and cycles as promised and documented."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Case, Crowded, draw, engine, random_model
from lstm_sharp.compiler.cycles import predict
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.perf import Asked, fastest
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan, shapes_of
from lstm_sharp.engine import config
from lstm_sharp.flow import hls_rtl
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import Stage
from workshop.figures import random_layer

pytestmark = [
    pytest.mark.rtl,
    pytest.mark.sv,
    pytest.mark.skipif(hls_rtl.chosen(), reason="these engines are not what HLS made"),
]

ZCU104 = config.load("zcu104")
FOUR = engine(
    "zcu104-shapes",
    "rows=16 columns=64 lanes=4 k_list=16,32,64,128 uram_columns=48 sequence_words=1024",
    ZCU104,
)
"""The zcu104's multipliers with four shapes of their tile."""
STEPS = 64


def played(model: QuantModel, plan: Plan, x: np.ndarray, give: bool = False) -> list[int]:
    """Run sequences; return the cycles of the load and of each start, which the model has too."""
    case = Case(0, plan.cfg, model, (Stage(model, plan, 0),), list(x), None, give, 10**9)
    differs, taken = case.play(engines.build("rtl", plan.cfg))
    assert not differs
    return taken


WAVEFRONT = {  # size, wavefront or not: cycles of intergate, unfolded, elementwise
    (32, False): [4123, 3619, 3619],
    (32, True): [2119, 1863, 1863],
    (64, False): [7198, 5182, 4680],
    (64, True): [4202, 4170, 4168],
}


def test_levels_side_by_side_are_faster() -> None:
    """As docs/schedules.md tells, of runs that give no state; those here do."""
    for (size, side), wanted in WAVEFRONT.items():
        x = np.random.default_rng(1).uniform(-1, 1, (1, STEPS, size))
        model = quantize(Model(random_layer(size).layers * 2), ZCU104.fmt, x, ZCU104.max_shift)
        for schedule, cycles in zip(SCHEDULES, wanted):
            plan = make_plan(shapes_of(model), ZCU104, schedule, sequences=1, wavefront=side)
            assert plan.wavefront == side
            played(model, plan, model.quantize_input(x), give=True)
            assert predict(ZCU104, plan.program([STEPS])).cycles == cycles
    plan = make_plan([LayerShape(64, 64)] * 2, ZCU104, "best", sequences=1)
    assert plan.wavefront
    assert plan.lower_bound((group((STEPS,)),)) == 4142


@pytest.mark.slow
def test_four_shapes() -> None:
    rtl = engines.build("rtl", FOUR)
    assert not [said for seed in range(12) if (said := draw(FOUR, seed).play(rtl)[0])]


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kind"), [("rtl", "sv"), ("csim", "hls")])
@pytest.mark.parametrize("name", ["ultra96-v2", "kv260"])
def test_engines_of_boards(name: str, backend: str, kind: str) -> None:
    """Those that no quicker test simulates."""
    cfg = config.load(name).of(kind)
    built = engines.build(backend, cfg)
    assert not [said for seed in range(8) if (said := draw(cfg, seed).play(built)[0])]


@pytest.mark.slow
def test_padding_reconfiguration_fills_the_multipliers() -> None:
    """X = H = 340, which whole tiles of no single shape fill."""
    x = np.random.default_rng(1).uniform(-1, 1, (1, STEPS, 340))
    model = quantize(random_layer(340), FOUR.fmt, x, FOUR.max_shift, FOUR.row_scales)
    plan = make_plan(shapes_of(model), FOUR, sequences=1)
    _, cycles = played(model, plan, model.quantize_input(x))
    assert model.macs_per_step * STEPS / FOUR.macs / cycles >= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("chains", [1, 4])
@pytest.mark.parametrize("size", [128, 256, 340, 512, 1024])
def test_engines_take_the_cycles_that_perf_tells(size: int, chains: int) -> None:
    found = fastest(Asked(LayerShape(size, size), 1024, "best", "best", chains, 100))
    cfg, rng = found.cfg, np.random.default_rng(size)
    model = random_model(rng, cfg.fmt, ["forward"], [size, size], cfg.max_shift, extreme=False)
    plan = make_plan(shapes_of(model), cfg, found.plan.schedule, sequences=chains)
    plan = Crowded(**vars(plan))  # all side by side
    _, cycles = played(model, plan, rng.integers(-99, 99, (chains, 100, size)))
    assert cycles == found.prediction.cycles
