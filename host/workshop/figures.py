"""``make figures``: the simulated figures of the documentation, on each config for a board.

Nothing in docs/results/figures.json and demo.json depends on the machine or the day, so a test can
hold both against a new run.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from rich.progress import track

from lstm_sharp import files
from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan, shapes_of
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import Stage
from lstm_sharp.terminal import Parser, ended
from workshop import demo, pictures, results, tables

SIZES = {"pynq-z2": (32, 64, 128, 192), "zcu104": (64, 128, 256)}
"""X = H of the layers that are run on each config."""
CHAINS = (1, 2, 4)
STEPS = 64


def main() -> int:
    """Simulate all figures and the demo, and rewrite the tables; return the exit status."""
    return demo.main() or ended(_main)


def _main() -> None:
    seen = [run(*case) for case in track(cases(), "simulating")]
    results.write("figures", {"steps": STEPS, "runs": seen})
    results.write("demo", of_demo(files.read_json(demo.OUT / "demo.json")))
    found = files.read_json(demo.OUT / "pipeline.json")
    results.write("pipeline", found)
    pictures.draw_pipeline(found, results.DOCS / "pictures" / "pipeline.png")
    tables.rewrite()


def cases() -> list[tuple[Config, int, str, int]]:
    """List config, X = H, schedule and chains of each figure."""
    return [
        (config.load(name), size, schedule, chains)
        for name, sizes in SIZES.items()
        for size in sizes
        for schedule in SCHEDULES
        for chains in CHAINS
    ]


def run(cfg: Config, size: int, schedule: str, chains: int) -> dict[str, Any]:
    """Run sequences of a random layer side by side on the RTL.

    Raises:
        UsageError: bits or cycles are not what they should be.
    """
    x = np.random.default_rng(1).uniform(-1, 1, (chains, STEPS, size))
    model = quantize(random_layer(size), cfg.fmt, x, **cfg.limits)
    plan = make_plan(shapes_of(model), cfg, schedule, sequences=chains)
    launch = (group((STEPS,) * chains),)
    stage, xs = Stage(model, plan, 0), model.quantize_input(x)
    job = [stage.load(), stage.run_of(launch, xs, None, False)]
    result = engines.play(engines.build("rtl", cfg), job)[1]
    engines.check(cfg, job[1], result)
    program = plan.program_of(launch)
    if result.cycles != cycles.predict(cfg, program).cycles:
        raise UsageError(f"{cfg.name}, X = H = {size}: {result.cycles} cycles were not predicted")
    h = pack.empty_h(plan, [STEPS] * chains)
    pack.unpack_h(result.h_bytes, plan, launch, h)
    if not np.array_equal(h, golden.run(model, xs)[0]):
        raise UsageError(f"{cfg.name}, X = H = {size}: h differs from the golden model")
    ideal = model.macs_per_step * STEPS * chains / cfg.macs
    return {
        "config": cfg.name,
        "identity": cfg.digest,
        "size": size,
        "schedule": schedule,
        "chains": chains,
        "cycles": result.cycles,
        "lower_bound": plan.lower_bound(launch),
        "cycles_per_step": result.cycles / (STEPS * chains),
        "utilization": ideal / result.cycles,
        "limited_by": cycles.predict(cfg, program).limited_by,
    }


def random_layer(hidden: int, inputs: int | None = None, reverse: bool = False) -> Model:
    """Draw a layer as PyTorch initialises it, X = H unless said; its numbers change no cycles."""
    rng, most = np.random.default_rng(0), hidden**-0.5
    sizes = (inputs or hidden, hidden)
    w_ih, w_hh = (rng.uniform(-most, most, (4 * hidden, size)) for size in sizes)
    return Model((Layer(w_ih, w_hh, rng.uniform(-most, most, 4 * hidden), reverse),))


def of_demo(levels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Take from the demo's figures what does not change from run to run."""
    keys = ("config", "format", "batch", "steps", "schedule", "cycles", "utilization", "accuracy")
    return {
        name: {**{key: level[key] for key in keys}, "error": float(f"{level['max_abs_error']:.3g}")}
        for name, level in levels.items()
    }


if __name__ == "__main__":
    Parser(description=__doc__.splitlines()[0]).parse_args()
    sys.exit(main())
