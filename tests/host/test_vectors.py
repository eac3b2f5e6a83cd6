"""Rendered vectors: a job for each time that weights are loaded, and what it must give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import package
from lstm_sharp.compiler import pack
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.compiler.launches import Call, plan_launches
from lstm_sharp.engine import config
from lstm_sharp.engine.config import resized
from lstm_sharp.flow import jobs
from lstm_sharp.model import Model
from lstm_sharp.numerics import golden
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import deploy, programs
from lstm_sharp.vendor import vectors
from models import pytorch_like

TINY = config.load("tiny").of("hls")
REVERSE = Model(tuple(replace(q, reverse=True) for q in pytorch_like(2, [5, 7]).layers))


@pytest.mark.csim
@pytest.mark.parametrize(
    ("model", "tiles", "count"),
    [
        (pytorch_like(2, [5, 7]), 1024, 1),
        (pytorch_like(2, [3, 6, 4]), 1024, 1),
        (pytorch_like(2, [3, 5], (2,)), 1024, 1),
        (pytorch_like(2, [3, 6, 4], (2, 1)), 1024, 2),
        (pytorch_like(2, [3, 6, 4]), 9, 2),
        (REVERSE, 1024, 1),
    ],
    ids=["one", "stack", "both", "both, then one", "reloaded", "reverse"],
)
def test_rendered_jobs_give_the_golden_bits(
    tmp_path: Path, model: Model, tiles: int, count: int
) -> None:
    cfg = resized(TINY, weight_tiles=tiles)
    vectors.write_vectors(model, cfg, tmp_path)
    folder = tmp_path / "vectors"
    about = json.loads((folder / "vectors.json").read_text())
    assert (about["engine"], about["identity"]) == ("hls", cfg.digest)
    assert about["jobs"] == (["job0", "job1"] if count == 2 else ["job"])
    read = package.write(model, cfg, tmp_path / "p", assume=(-1, 1))
    made, stages = read.vectors, deploy(read.model, cfg, read.schedule)
    assert np.array_equal(
        np.load(folder / "x.npy"), read.model.dequantize_input(made.x).astype(np.float32)
    )
    assert np.array_equal(np.load(folder / "h_end.npy"), made.h_end)
    assert np.array_equal(np.load(folder / "c_end.npy"), made.c_end)
    for job, (stage, own) in zip(about["jobs"], vectors.of_stages(stages, made.x)):
        jobs.write_job(tmp_path / "job", runs := vectors.job_of(stage, own))
        assert (tmp_path / "job").read_bytes() == (folder / job).read_bytes()
        results = engines.play(engines.build("csim", cfg), runs)
        for run, result in zip(runs, results):
            engines.check(cfg, run, result)
        assert np.array_equal(np.load(folder / f"{job.replace('job', 'h')}.npy"), own.h)
        steps, half = made.x.shape[1], made.half
        launches = [
            plan_launches(stage.plan, Call((steps,) * half, s, True)) for s in (False, True)
        ]
        assert len(launches[0] + launches[1]) == len(results) - 1
        done = 1
        for played, wanted in zip(launches, own.halves()):
            found = pack.empty_h(stage.plan, [steps] * half)
            left = golden.State.zeros(stage.model, half)
            for launch, result in zip(played, results[done:]):
                pack.unpack_h(result.h_bytes, stage.plan, launch, found, left)
            assert np.array_equal(stage.turn(found), wanted.h)
            assert all(map(np.array_equal, left, wanted.end))
            done += len(played)
        width = own.h_end.shape[2]
        assert np.array_equal(own.h_end, made.h_end[stage.cells, :, :width])
        assert np.array_equal(own.c_end, made.c_end[stage.cells, :, :width])
    assert np.array_equal(own.h, made.h)


def test_cycles_of_all_levels_are_summed(tmp_path: Path) -> None:
    read = package.write(pytorch_like(0, [3, 6, 4], (2, 1)), TINY, tmp_path, assume=(-1, 1))
    stages = deploy(read.model, TINY, read.schedule)
    assert (len(stages), read.about["directions"]) == (2, [2, 1])
    assert [q["reverse"] for q in read.about["layers"]] == [False, True, False]
    loads = [hls_cycles(TINY, stage.plan.load_program()) for stage in stages]
    runs = [p for stage in stages for p in programs(stage.plan, Call((16,) * 4, True, True))]
    assert read.about["predicted_cycles"]["load"] == sum(loads)
    taken = sum(hls_cycles(TINY, program) for program in runs)
    assert read.about["predicted_cycles"]["with_state"] == taken
    # in both directions two sequences side by side, twice; in one direction four
    assert [program.sequences for program in runs] == [2, 1]
