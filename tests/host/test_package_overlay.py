"""What makes a package run on a board: its script and an overlay."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import package, paths
from lstm_sharp.engine import config, registers
from lstm_sharp.errors import UsageError
from models import contents, package_cli, pytorch_like, torch_names

TINY = config.load("tiny")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, its package, and an overlay as a tool leaves it."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6])))
    Path("made.bit").write_bytes(b"\0bit\xff")
    Path("made.hwh").write_bytes(handoff("hls"))
    assert package_cli("p") == 0
    return tmp_path


def handoff(*engines: str) -> bytes:
    """Write what matters of a .hwh, with one engine or any number of them."""
    names = [registers.DMA_VLNV, *(registers.ENGINE_VLNVS[engine] for engine in engines)]
    modules = "".join(f'<MODULE VLNV="{name}"/>' for name in names)
    return f"<EDKSYSTEM><MODULES>{modules}</MODULES></EDKSYSTEM>".encode()


WITHOUT = {"package.json", "model.npz", "vectors.npz", "run.py"}


def test_overlay_comes_along_under_the_name_of_its_config(folder: Path) -> None:
    assert set(contents("p")) == WITHOUT
    assert package_cli("p", "--overlay", "made.bit") == 0
    held = contents("p")
    assert held["tiny.bit"] == b"\0bit\xff" and held["tiny.hwh"] == handoff("hls")
    assert set(package.read("p").about["files"]) == set(held) - {"package.json"}
    Path("p/tiny.hwh").write_bytes(b"<hwh>")
    with pytest.raises(UsageError, match="tiny.hwh is not as it was written"):
        package.read("p")
    assert package_cli("p") == 0
    assert set(contents("p")) == WITHOUT


def test_overlay_that_is_built_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "overlays", lambda: folder)
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
    assert package.read("p").cfg.engine == "sv"


@pytest.mark.parametrize("engine", ["hls", "sv"])
def test_package_is_for_the_engine_of_its_overlay(
    folder: Path,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = {"hls": "sv", "sv": "hls"}[engine]
    Path("made.hwh").write_bytes(handoff(engine))
    (folder / "none").mkdir()
    for suffix in (".bit", ".hwh"):
        shutil.copy(f"made{suffix}", f"none/tiny{suffix}")
    for options in (("--overlay", "made.bit"), ()):  # named, or found
        if not options:
            monkeypatch.setattr(paths, "overlays", lambda: folder)
        assert package_cli("p", *options) == 0
        assert package.read("p").cfg == TINY.of(engine)
        assert package_cli("p", *options, "--engine", engine) == 0
        before = contents("p")
        capsys.readouterr()
        assert package_cli("p", *options, "--engine", other) == 2
        error = capsys.readouterr().err
        assert f"has the {engine} engine, and the package is to be for {other}" in error
        assert f"make the package with --engine {engine}" in error and error.count("\n") == 1
        assert contents("p") == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"rubbish", "made.hwh is no hardware handoff"),
        (b"", "made.hwh is no hardware handoff"),
        (b"<hwh/>", "names 0 LSTM-Sharp engines, 1 is needed"),
        (handoff(), "names 0 LSTM-Sharp engines"),
        (handoff("hls", "sv"), "names 2 LSTM-Sharp engines"),
    ],
)
def test_handoff_that_names_no_engine_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], text: bytes, said: str
) -> None:
    Path("made.hwh").write_bytes(text)
    capsys.readouterr()
    assert package_cli("q", "--overlay", "made.bit") == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


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
