"""golden = csim = rtl in every bit and cycle, at any widths, packed or not, by DSPs and by LUTs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import any_engine, draw
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.knobs import problems
from lstm_sharp.runtime import engines

pytestmark = [pytest.mark.rtl, pytest.mark.csim, pytest.mark.sv]

CASES = 26
"""On each engine."""
SOON = (
    *("W8A8 2 0", "W4A8 2 2", "W4A4 4 0", "W2A2 8 1"),
    *("W8A16,W4A8 1 0", "W2A7,W5A9 2 1", "W13A16 1 2"),
)
"""Format, packed and lut_columns of engines that are not left to chance."""


def drawn(seed: int) -> Config:
    """Draw an engine; the first ones as ``SOON`` has them."""
    rng = np.random.default_rng([seed, 20])
    for at in range(seed, seed + 10_000, 100):
        base = replace(any_engine(at), name=f"formats-{seed}", row_scales=int(rng.random() < 0.7))
        if seed < len(SOON):
            fmt, packed, luts = SOON[seed].split()
        else:
            widths = rng.integers(2, 17), rng.integers(2, 17)
            fmt = f"W{widths[0]}A{widths[1]}"
            packed, luts = rng.choice([1, 2, 2, 4, 8]), rng.choice([0, 1, base.columns])
        cfg = replace(base, format=fmt, packed=int(packed), lut_columns=int(luts))
        if not any(problems(cfg)):
            return cfg
    raise AssertionError(f"no engine for seed {seed}")


@pytest.mark.parametrize(
    "seed", [pytest.param(n, marks=[pytest.mark.slow] if n >= 8 else []) for n in range(40)]
)
def test_engines_of_all_widths_agree(seed: int) -> None:
    cfg = drawn(seed)
    rtl, csim = engines.build("rtl", cfg), engines.build("csim", cfg.of("hls"))
    for n in range(CASES):
        stall = ["--stall", str(n)] if n % 4 == 3 else []
        wrong = draw(cfg, n).play(rtl, stall)[0] or draw(cfg.of("hls"), n).play(csim)[0]
        assert not wrong, f"{cfg.knobs()}: {wrong}"
