"""What makes a package run on a board: its script and an overlay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.run import package
from models import contents, package_cli, pytorch_like, torch_names


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, its package, and an overlay as a tool leaves it."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6])))
    Path("made.bit").write_bytes(b"\0bit\xff")
    Path("made.hwh").write_bytes(b"<hwh/>")
    assert package_cli("p") == 0
    return tmp_path


WITHOUT = {"package.json", "model.npz", "vectors.npz", "run.py"}


def test_overlay_comes_along_under_the_name_of_its_config(folder: Path) -> None:
    assert set(contents("p")) == WITHOUT
    assert package_cli("p", "--overlay", "made.bit") == 0
    held = contents("p")
    assert held["tiny.bit"] == b"\0bit\xff" and held["tiny.hwh"] == b"<hwh/>"
    assert set(package.read("p").about["files"]) == set(held) - {"package.json"}
    Path("p/tiny.hwh").write_bytes(b"<hwh>")
    with pytest.raises(UsageError, match="tiny.hwh is not as it was written"):
        package.read("p")
    assert package_cli("p") == 0
    assert set(contents("p")) == WITHOUT


def test_overlay_that_is_built_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.paths, "overlays", lambda: folder)
    (folder / "none").mkdir()
    Path("made.bit").rename("none/tiny.bit")
    assert package_cli("p") == 0 and set(contents("p")) == WITHOUT
    Path("made.hwh").rename("none/tiny.hwh")
    assert package_cli("p") == 0 and set(contents("p")) == WITHOUT | {"tiny.bit", "tiny.hwh"}
    assert package_cli("p", "--format", "W8A8") == 0  # another engine
    assert set(contents("p")) == WITHOUT


def test_virtual_overlay_comes_along(folder: Path) -> None:
    from lstm_sharp.virtual.overlay import read_virtual

    assert package_cli("p", "--virtual", "--format", "W8A8") == 0
    assert read_virtual("p/tiny-w8a8.bit") == package.read("p").cfg


@pytest.mark.parametrize("missing", ["made.bit", "made.hwh"])
def test_half_an_overlay_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    Path(missing).unlink()
    before = contents("p")
    capsys.readouterr()
    assert package_cli("p", "--overlay", "made.bit") == 2
    assert f"{missing} cannot be read (No such" in capsys.readouterr().err
    assert contents("p") == before


def test_script_says_that_lstm_sharp_is_missing(folder: Path) -> None:
    command = [sys.executable, "-S", "-E", "p/run.py"]  # without installed packages
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("No module named 'lstm_sharp': install lstm-sharp here")
    assert done.stderr.count("\n") == 1
