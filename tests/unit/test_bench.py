"""The bench without hls4ml: its arithmetic, its table and its results."""

from __future__ import annotations

import copy
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import bench, compare, theirs
from bench.case import Case
from lstm_sharp.errors import UsageError
from workshop import bench_table as report
from workshop.results import read

MACHINE = {"date": "2000-01-01", "commit": None, "dirty": False, "seeds": [0]}
MACHINE |= {"versions": {"hls4ml": "1.3.0"}, "cpu": {"model": "abacus", "count": 2}}
CASE = Case(3, 4, 2, "tiny", reuse=1, sequences=6, few=2)


class Fake:
    """A subject whose runs take what it is told, on a clock that it moves itself."""

    def __init__(
        self, clock: list[float], tool: str, setting: str, seconds: list[float], error: float
    ) -> None:
        self.clock, self.tool, self.setting, self.seconds = clock, tool, setting, list(seconds)
        self.case = CASE
        self.sequences = CASE.few if tool == report.HLS4ML else CASE.sequences
        self.error = error

    def build(self) -> None:
        self.clock[0] += 10 * self.seconds[0]

    def run(self) -> np.ndarray:
        self.clock[0] += self.seconds.pop(0)
        if self.tool == report.HLS4ML:
            return CASE.h[:, -1:] + self.error
        h = np.zeros((CASE.sequences, *CASE.h.shape[1:]))
        h[: CASE.few] = CASE.h
        h[0, 0] += self.error
        h[0, -1] -= self.error / 2
        return h


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    took = {"default": [2, 1, 4], "default, -march=native": [1, 2, 4]}
    took |= {"rounded": [8, 8, 8], "finest": [8, 8, 8]}
    fakes = [Fake(clock, report.HLS4ML, name, seconds, 0.2) for name, seconds in took.items()]
    for number, name in enumerate(("W16A16", "W8A16", "W8A8")):
        error = 0.125 * 2**number
        fakes += [Fake(clock, tool, name, [0.3, 0.1, 0.2], error) for tool in ("csim", "golden")]
    return fakes


@pytest.fixture
def results(fakes: list[Fake]) -> dict[str, Any]:
    figures = compare.figures([fakes], 3)
    case = {"name": CASE.name, "config": CASE.config, "figures": figures}
    told = {"schema": report.SCHEMA, "kind": "measured on a PC", **MACHINE}
    return {**told, "cases": [case, copy.deepcopy(case)]}


def test_runs_are_timed_and_compared(results: dict[str, Any]) -> None:
    case = results["cases"][0]
    speed = report.pick(case, report.SPEED, "csim", "W8A8")
    assert speed["runs"] == pytest.approx([20, 60, 30])
    assert (speed["median"], speed["min"], speed["max"]) == pytest.approx((30, 20, 60))
    ratio = report.pick(case, report.SPEED_RATIO, "csim", "W8A8")  # to 2, 2 and 0.5 a second
    assert ratio["runs"] == pytest.approx([10, 30, 60])
    build = report.pick(case, report.BUILD_RATIO, "csim", "W8A8")  # quickest of hls4ml: 10 s
    assert build["runs"] == pytest.approx([10 / 3])
    last = report.pick(case, report.ERROR_LAST, "csim", "W8A8")["median"]
    every = report.pick(case, report.ERROR_ALL, "csim", "W8A8")["median"]
    assert (last, every) == pytest.approx((0.25, 0.5))


def test_csim_that_is_not_golden_ends_the_bench(fakes: list[Fake]) -> None:
    fakes[-1].error += 1
    with pytest.raises(UsageError, match="differ at W8A8"):
        compare.figures([fakes], 1)


def test_table_says_plainly_what_is_missed(results: dict[str, Any]) -> None:
    lines = report.table(results).splitlines()
    (below,) = (line for line in lines if line.startswith("| error of W8A8 "))
    assert below.endswith("| 2.50e-01 and 2.00e-01, below in 0 of 1 | **no** |")
    (golden,) = (line for line in lines if line.startswith("| golden at least"))
    assert golden.endswith("| 30 | **no** |")
    (ratio,) = (line for line in lines if line.startswith("| csim (W16A16) at least"))
    assert ratio.endswith("| 30, 30 | yes |")
    assert "| sequences/s | csim, W8A8 | 30 (20 to 60) | 30 (20 to 60) |" in lines


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(schema=0), "schema 0"),
        (lambda r: r.pop("cpu"), "lacks 'cpu'"),
        (lambda r: r["cases"][1]["figures"].pop(), "lacks error, all steps of csim W8A8"),
    ],
)
def test_table_refuses_what_it_cannot_read(results: dict[str, Any], change: Any, said: str) -> None:
    change(results)
    with pytest.raises(UsageError, match=said):
        report.table(results)


def test_docs_show_what_was_run() -> None:
    results = read("bench")
    assert results["kind"] == "measured on a PC"
    assert set(results["versions"]) == {"Python", "numpy", "hls4ml", "keras", "g++"}
    assert set(MACHINE) <= set(results)
    assert [case["name"] for case in results["cases"]] == [case.name for case in bench.CASES]
    for case in results["cases"]:
        for f in case["figures"]:
            assert f == report.figure(f["what"], f["tool"], f["setting"], f["unit"], f["runs"])
            least = {report.SPEED: 5, report.BUILD: 3}.get(f["what"], 1)
            assert len(f["runs"]) >= least and min(f["runs"]) > 0, f


@pytest.mark.parametrize(
    ("threads", "said"), [("1", "hls4ml and keras and jax not found"), ("2", "one thread")]
)
def test_what_is_missing_is_named(
    threads: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
    monkeypatch.setattr(theirs.importlib.util, "find_spec", lambda name: None)
    assert bench.main([]) == 2
    assert said in " ".join(capsys.readouterr().out.split())


def test_hls4ml_gets_our_flag_where_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text('#!/bin/sh\necho "$@"\n')
    compiler.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    (tmp_path / "project").mkdir()
    with theirs.native_flags(tmp_path / "project"):
        assert subprocess.check_output(["g++", "-O3"], text=True) == "-O3 -march=native\n"
    assert os.environ["PATH"] == path
