"""``make figures``: the simulated figures of the documentation, on each config for a board.

Nothing in docs/results/figures.json and demo.json depends on the machine or the day, so a test can
hold both against a new run.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from rich.progress import track

from lstm_sharp import demo
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.schedule import SCHEDULES
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.report import results, tables
from lstm_sharp.run.session import Session

SIZES = {"pynq-z2": (32, 64, 128, 192), "zcu104": (64, 128, 256)}
"""X = H of the layers that are run on each config."""
STEPS = 64


def main() -> int:
    """Simulate all figures and the demo, and rewrite the tables; return the exit status."""
    if demo.main() != 0:
        return 1
    try:
        seen = [run(*case) for case in track(cases(), "simulating")]
        results.write("figures", {"steps": STEPS, "runs": seen})
        results.write("demo", of_demo(json.loads((demo.OUT / "demo.json").read_text())))
        tables.rewrite()
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def cases() -> list[tuple[Config, int, str]]:
    """List config, X = H and schedule of each figure."""
    return [
        (config.load(name), size, schedule)
        for name, sizes in SIZES.items()
        for size in sizes
        for schedule in SCHEDULES
    ]


def run(cfg: Config, size: int, schedule: str) -> dict[str, Any]:
    """Run one sequence of a random layer on the RTL.

    Raises:
        UsageError: bits or cycles are not what they should be.
    """
    model = random_layer(size)
    x = np.random.default_rng(1).uniform(-1, 1, (1, STEPS, size))
    session = Session(model, cfg, "rtl", schedule=schedule)
    h = session.run(x)
    report = session.report
    assert report is not None and report.cycles is not None
    if report.cycles != report.predicted_cycles:
        raise UsageError(f"{cfg.name}: {report.cycles} cycles, {report.predicted_cycles} predicted")
    if not np.array_equal(h, Session(model, cfg, schedule=schedule).run(x)):
        raise UsageError(f"{cfg.name}: h of X = H = {size} differs from the golden model")
    return {
        "config": cfg.name,
        "identity": cfg.digest,
        "size": size,
        "schedule": schedule,
        "cycles": report.cycles,
        "cycles_per_step": report.cycles / STEPS,
        "utilization": report.utilization,
        "limited_by": report.limited_by,
    }


def random_layer(size: int) -> Model:
    """Draw a layer as PyTorch initialises it, X = H; its numbers do not change its cycles."""
    rng, most = np.random.default_rng(0), size**-0.5
    shapes = (4 * size, size), (4 * size, size), (4 * size,)
    return Model((Layer(*(rng.uniform(-most, most, shape) for shape in shapes)),))


def of_demo(levels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Take from the demo's figures what does not change from run to run."""
    keys = ("config", "format", "batch", "steps", "schedule", "cycles", "utilization", "accuracy")
    return {
        name: {**{key: level[key] for key in keys}, "error": float(f"{level['max_abs_error']:.3g}")}
        for name, level in levels.items()
    }


if __name__ == "__main__":
    sys.exit(main())
