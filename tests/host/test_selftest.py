"""A package's own test and the self-test, on a virtual board."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq")
from lstm_sharp import package, selftest
from lstm_sharp.engine import config
from lstm_sharp.virtual import Fault, activate
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import pytorch_like

pytestmark = pytest.mark.rtl
TINY = config.load("tiny")
CHECKS = ("identity", "registers", "clock", "loopback", "test vectors")


@pytest.fixture
def device() -> VirtualDevice:
    return activate("pynq-z2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with its virtual overlay."""
    root = tmp_path_factory.mktemp("board")
    overlay = virtual_overlay(TINY, root)
    package.write(pytorch_like(0, [3, 6, 4]), TINY, root / "p", assume=(-1, 1), overlay=overlay)
    return root / "p"


@pytest.fixture
def spoilt(folder: Path, tmp_path: Path) -> Path:
    """The package with one bit of the last state that is expected changed, and its sum mended."""
    shutil.copytree(folder, tmp_path / "spoilt")
    vectors, about = tmp_path / "spoilt/vectors.npz", tmp_path / "spoilt/package.json"
    arrays = dict(np.load(vectors))
    arrays["c_end"][1, 6, 2] ^= 1
    np.savez(vectors, **arrays)
    facts = json.loads(about.read_text())
    facts["files"]["vectors.npz"] = hashlib.sha256(vectors.read_bytes()).hexdigest()
    about.write_text(json.dumps(facts))
    return about.parent


WRONG = "FAIL: c_end with states[1, 2, 2] is"


def _script(folder: Path) -> tuple[int, str]:
    """Run a package's run.py; return its status and what it says."""
    done = subprocess.run(
        [sys.executable, str(folder / "run.py")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LSTM_SHARP_VIRTUAL": "pynq-z2"},
    )
    return done.returncode, done.stdout or done.stderr


def test_script_of_a_package_compares_every_bit(folder: Path, spoilt: Path) -> None:
    status, said = _script(folder)
    assert (status, said[:6]) == (0, "PASS; "), said
    status, said = _script(spoilt)
    assert status == 1 and said.startswith(WRONG), said


def test_wrong_bits_fail(
    spoilt: Path, device: VirtualDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selftest.main([str(spoilt), "--bundle", str(tmp_path / "b.zip")]) == 1
    assert f"FAIL  test vectors: {WRONG}" in capsys.readouterr().out


def test_sound_board_passes(
    folder: Path, device: VirtualDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert selftest.main([str(folder), "--bundle", str(tmp_path / "b.zip")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CHECKS)
    assert all(line.startswith(f"PASS  {name}") for name, line in zip(CHECKS, lines))
    assert device.memory.allocated.buffers == 0
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize(
    ("fault", "stream", "check", "said"),
    [
        (Fault.DECODE_ERROR, "weights", "identity", "decode error"),
        (Fault.SHORT_READ, None, "loopback", "dma.S2MM"),
        (Fault.SLAVE_ERROR, "x", "test vectors", "dma.MM2S"),
    ],
)
def test_failure_leaves_what_a_report_needs(
    folder: Path,
    device: VirtualDevice,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    stream: str | None,
    check: str,
    said: str,
) -> None:
    device.inject(fault, stream)
    assert selftest.main([str(folder), "--bundle", str(tmp_path / "b.zip")]) == 1
    *passed, failed, last = capsys.readouterr().out.splitlines()
    assert len(passed) == CHECKS.index(check) and "b.zip" in last
    assert failed.startswith(f"FAIL  {check}") and said in failed
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        text = {name: archive.read(name).decode() for name in archive.namelist()}
    assert text["log.txt"].splitlines() == [*passed, failed]
    assert text["tiny.hwh"] == (folder / "tiny.hwh").read_text()
    assert json.loads(text["package.json"])["identity"] == TINY.digest
    assert json.loads(text["versions.json"])["pynq"]
    assert "dma.S2MM" in text["registers.txt"] and "IP_ISR 0x" in text["registers.txt"]


def test_nothing_to_test(
    folder: Path, device: VirtualDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "b.zip"
    for options, said in (
        ([str(tmp_path)], "package.json cannot be read"),
        ([str(folder), "--overlay", "none.bit"], "none.bit and its .hwh are not there"),
    ):
        assert selftest.main([*options, "--bundle", str(bundle)]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not bundle.exists()
