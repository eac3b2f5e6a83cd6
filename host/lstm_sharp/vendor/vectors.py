"""A model's packed weights and test vectors beside a rendered project."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lstm_sharp import files
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.package import vectors
from lstm_sharp.package.vectors import Vectors
from lstm_sharp.runtime.deploy import Stage

ABOUT = "vectors.json"
"""Written first: it tells the folder from one of someone else's."""


def write_vectors(model: Model, cfg: Config, out: Path) -> None:
    """Write ``out/vectors``: jobs, what goes in and what must come out.

    A job (see flow/jobs.py) loads the weights and runs both halves of the test vectors, giving
    the states at their end. There is one, ``job``; where the weights do not fit together there is
    one for each level, ``job0``, ``job1``, ..., which takes the golden h of the level below.
    ``x.npy`` is the input in float32, (8, T, X). ``h.npy``, or ``h0.npy``, ``h1.npy``, ..., is the
    golden h of each job, (8, T, width), and ``h_end.npy`` and ``c_end.npy`` are the golden states
    of all cells, (cells, 8, H), in integers.

    The programs are compiled for the config's engine, which ``vectors.json`` names.

    Raises:
        UsageError: the config does not hold the model, or the folder holds something else.
    """
    quantized, stages, made, _ = vectors.prepare(model, cfg, assume=(-1, 1))
    folder = out / "vectors"
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT).is_file():
        raise UsageError(
            f"{folder} has no {ABOUT}, so it holds something else; name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    names = [str(index) for index in range(len(stages))] if len(stages) > 1 else [""]
    about = {
        "model": model.name,
        "config": cfg.name,
        "engine": cfg.engine,
        "identity": cfg.digest,
        "format": cfg.format,
        "jobs": [f"job{name}" for name in names],
        "schedules": [stage.plan.schedule for stage in stages],
        "x_scale": quantized.x_scale.tolist(),
        "h_frac": quantized.fmt.h_frac,
    }
    files.write_text(folder / ABOUT, json.dumps(about, indent=2) + "\n")
    for name, (stage, own) in zip(names, of_stages(stages, made.x)):
        jobs.write_job(folder / f"job{name}", job_of(stage, own))
        files.write_array(folder / f"h{name}.npy", own.h)
    files.write_array(folder / "x.npy", quantized.dequantize_input(made.x).astype(np.float32))
    files.write_array(folder / "h_end.npy", made.h_end)
    files.write_array(folder / "c_end.npy", made.c_end)


def of_stages(stages: Sequence[Stage], x: np.ndarray) -> Iterator[tuple[Stage, Vectors]]:
    """Yield each stage and its own vectors for integer x (B, T, X).

    The stage below is taken to have given the golden h.
    """
    for stage in stages:
        own = vectors.make(stage.model, x)
        yield stage, own
        x = own.h


def job_of(stage: Stage, own: Vectors) -> list[jobs.Run]:
    """Make the job that loads a stage's weights, plays its vectors and gives the states after."""
    halves = own.halves()
    runs = (run for half in halves for run in stage.runs(half.x, half.state, True)[1])
    return [stage.load(), *runs]
