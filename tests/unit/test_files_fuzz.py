"""Files made to do harm, thousands of them; see file_fuzz.py, which also runs alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import file_fuzz
from lstm_sharp import paths

pytest.importorskip("onnx")
pytest.importorskip("jinja2")


def _fuzz(tmp_path: Path, seed: int, count: int) -> None:
    """Run cases in processes of their own, whose memory is bounded; a slow one ends its process."""
    halves = [(0, count // 2), (count // 2, count - count // 2)]
    source = [str(Path(paths.__file__).parents[1]), str(Path(file_fuzz.__file__).parent)]
    running = [
        subprocess.Popen(
            [sys.executable, file_fuzz.__file__]
            + [f"--seed={seed}", f"--first={first}", f"--count={number}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(source), "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for first, number in halves
    ]
    said = [one.communicate()[0].splitlines() for one in running]
    wrong = [line for lines in said for line in lines if '"wrong": "' in line]
    ends = [one.returncode for one in running]
    assert not wrong and ends == [0, 0], (seed, ends, wrong[:5], [lines[-1:] for lines in said])
    assert [json.loads(lines[-1])["tried"] for lines in said] == [number for _, number in halves]


def test_300_files(tmp_path: Path) -> None:
    _fuzz(tmp_path, 1, 300)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_3000_files(tmp_path: Path, seed: int) -> None:
    _fuzz(tmp_path, seed, 300)
