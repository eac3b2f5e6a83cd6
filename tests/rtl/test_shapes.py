"""Engines of 1,024 multipliers with several shapes."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Case, draw
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.schedule import make_plan, shapes_of
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


def play(cfg: Config, cases: list[Case], stalled: bool = False) -> list[str]:
    """Run cases on the RTL; list what is wrong."""
    rtl = engines.build("rtl", cfg)
    options = [["--stall", str(case.seed)] if stalled else [] for case in cases]
    return [said for case, how in zip(cases, options) if (said := case.play(rtl, how)[0])]


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
