"""A model's packed weights and test vectors beside a rendered project."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.schedule import sequence_stride
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden
from lstm_sharp.run import jobs
from lstm_sharp.run.choose import float_shapes
from lstm_sharp.run.session import Session, make_runs

_SEQUENCES, _STEPS, _SEED = 8, 16, 1


def write_vectors(model: Model, cfg: Config, out: Path) -> None:
    """Write ``out/vectors``: a job, its input and what it must give.

    ``job`` (see run/jobs.py) loads the weights and runs eight seeded sequences from U(-1, 1);
    ``x.npy`` is its input in float32, (8, T, X), and ``h.npy`` the golden h in integers, (8, T, H).

    Raises:
        UsageError: the config does not hold the model.
    """
    session = Session(model, cfg, "golden")
    stride = sequence_stride(float_shapes(model), cfg)
    steps = min(_STEPS, cfg.sequence_words // stride) if stride else _STEPS
    x = np.random.default_rng(_SEED).uniform(-1, 1, (_SEQUENCES, steps, model.input_size))
    session.run(x)
    quantized = session.quantized
    h, _ = golden.run(quantized, quantized.quantize_input(x))
    folder = out / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    jobs.write_job(folder / "job", make_runs(quantized, session.plan, [x]))
    np.save(folder / "x.npy", x.astype(np.float32))
    np.save(folder / "h.npy", h)
    about = {
        "model": model.name,
        "config": cfg.name,
        "identity": cfg.digest,
        "format": cfg.format,
        "schedule": session.plan.schedule,
        "x_frac": quantized.x_frac,
        "h_frac": quantized.fmt.h_frac,
    }
    (folder / "vectors.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
