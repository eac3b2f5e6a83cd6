"""A model's packed weights and test vectors beside a rendered project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.schedule import Plan
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import QuantModel
from lstm_sharp.run import jobs, vectors
from lstm_sharp.run.session import make_runs
from lstm_sharp.run.vectors import Vectors


def write_vectors(model: Model, cfg: Config, out: Path) -> None:
    """Write ``out/vectors``: a job, its input and what it must give.

    ``job`` (see run/jobs.py) loads the weights and runs the two halves of the test vectors;
    ``x.npy`` is its input in float32, (8, T, X), and ``h.npy`` the golden h in integers, (8, T, H).

    Raises:
        UsageError: the config does not hold the model.
    """
    quantized, plan, made = vectors.prepare(model, cfg)
    folder = out / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    jobs.write_job(folder / "job", job(quantized, plan, made))
    np.save(folder / "x.npy", _real(quantized, made.x).astype(np.float32))
    np.save(folder / "h.npy", made.h)
    about = {
        "model": model.name,
        "config": cfg.name,
        "identity": cfg.digest,
        "format": cfg.format,
        "schedule": plan.schedule,
        "x_frac": quantized.x_frac,
        "h_frac": quantized.fmt.h_frac,
    }
    (folder / "vectors.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def job(model: QuantModel, plan: Plan, made: Vectors) -> list[jobs.Run]:
    """Make the job that loads the weights and runs the vectors: from zeros, then with a state."""
    fresh, resumed = np.split(_real(model, made.x), 2)
    state = State(made.h_start[:, made.half :], made.c_start[:, made.half :])
    return make_runs(model, plan, [fresh]) + make_runs(model, plan, [resumed], state)[1:]


def _real(model: QuantModel, x: np.ndarray) -> np.ndarray:
    """Turn integer x into the float64 that is quantised to it."""
    return x * 0.5**model.x_frac
