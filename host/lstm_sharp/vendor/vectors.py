"""A model's packed weights and test vectors beside a rendered project."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_sharp import files
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.golden import State
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
    for name, (runs, h) in zip(names, stage_jobs(stages, made)):
        jobs.write_job(folder / f"job{name}", runs)
        files.write_array(folder / f"h{name}.npy", h)
    files.write_array(folder / "x.npy", quantized.dequantize_input(made.x).astype(np.float32))
    files.write_array(folder / "h_end.npy", made.h_end)
    files.write_array(folder / "c_end.npy", made.c_end)


class Call(NamedTuple):
    """Half of the test vectors on a stage: what goes in and what must come out, integers."""

    x: np.ndarray  # (B / 2, T, width)
    state: State | None
    h: np.ndarray
    end: State


def stage_calls(
    stages: Sequence[Stage], made: Vectors
) -> Iterator[tuple[Stage, tuple[Call, Call], np.ndarray]]:
    """Yield each stage, its two calls, and the h that both must give, (B, T, width) integers.

    The first half of the vectors begins at zeros, the second with a state. The stage below is taken
    to have given the golden h.
    """
    x, fresh, resumed = made.x, slice(made.half), slice(made.half, None)
    for stage in stages:
        own = stage.cells, slice(None), slice(max(q.hidden_size for q in stage.model.layers))
        start = State(made.h_start[own], made.c_start[own])
        end = State(made.h_end[own], made.c_end[own])
        h, _ = golden.run(stage.model, x, start)
        calls = (
            Call(x[fresh], None, h[fresh], _rows(end, fresh)),
            Call(x[resumed], _rows(start, resumed), h[resumed], _rows(end, resumed)),
        )
        yield stage, calls, h
        x = h


def _rows(state: State, rows: slice) -> State:
    return State(state.h[:, rows], state.c[:, rows])


def stage_jobs(
    stages: Sequence[Stage], made: Vectors
) -> Iterator[tuple[list[jobs.Run], np.ndarray]]:
    """Yield each stage's job and the h that it must give, (B, T, width) integers.

    A job loads the weights, plays both calls, and gives the states after them.
    """
    for stage, calls, h in stage_calls(stages, made):
        runs = (run for call in calls for run in stage.runs(call.x, call.state, True)[1])
        yield [stage.load(), *runs], h
