"""Processes that want one build: one makes it, the others wait, and it appears in one step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import tools, verilate

PLAYER = """
import sys
from pathlib import Path
from lstm_sharp.engine import config
from lstm_sharp.engine.program import null_program
from lstm_sharp.runtime import engines
from lstm_sharp.flow.jobs import Run
small = {"rows": 4, "columns": 1, "max_input": 8, "max_hidden": 8, "gru": 0}
cfg = config.resized(config.load("tiny"), **small).of(engines.kind(sys.argv[1]))
program = engines.build(sys.argv[1], cfg, Path(sys.argv[2]))
assert engines.play(program, [Run(null_program())])[0].identity == cfg.identity
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to which a slow g++ says when it begins and when it ends."""
    path, calls = tmp_path / "bin", tmp_path / "calls"
    path.mkdir()
    gcc = shutil.which("g++")
    (path / "g++").write_text(
        f'#!/bin/sh\necho begin >> {calls}\nsleep 0.5\n{gcc} "$@" -O0\necho end >> {calls}\n'
    )
    (path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    return calls


def started(command: list[str], calls: Path) -> subprocess.Popen:
    process = subprocess.Popen(command, start_new_session=True)
    while not calls.is_file():
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.csim
@pytest.mark.parametrize("orphan", [True, False])
def test_csim(tmp_path: Path, calls: Path, orphan: bool) -> None:
    """A builder that is killed keeps nobody waiting, but for the compiler that it leaves behind."""
    command = [sys.executable, "-c", PLAYER, "csim", str(tmp_path / "build")]
    killed = started(command, calls)
    if orphan:
        killed.kill()
    else:
        os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    builders = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=300)[1] for process in builders]
    assert [process.returncode for process in builders] == [0] * 4, said
    # Of the one that was killed, then of one of four.
    assert calls.read_text().split() == [*["begin", "end"][: 1 + orphan], "begin", "end"]


@pytest.mark.rtl
def test_rtl(tmp_path: Path) -> None:
    """In a folder whose name has what a shell would take for its own; make takes no space."""
    with pytest.raises(
        UsageError, match="/a build/.* has a space, .* work in a folder, .* whose path has none"
    ):
        verilate.build(config.load("tiny"), tmp_path / "a build")
    command = [sys.executable, "-c", PLAYER, "rtl", str(tmp_path / "the folder's")]
    command[-1] = command[-1].replace(" ", "&$(")
    builders = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=300)[1] for process in builders]
    assert [process.returncode for process in builders] == [0] * 3, said


def test_what_is_built_takes_its_place_in_one_step(tmp_path: Path) -> None:
    """Also where the old one is being run, which could not be written to."""
    target, source = tmp_path / "sleep", tmp_path / "source"
    copy = ["cp", shutil.which("sleep") or "", tools.fresh(target.name)]
    source.write_text("1")
    tools.build(target, [source], copy, tmp_path)
    with subprocess.Popen([target, "60"]) as running:
        source.write_text("2")
        tools.build(target, [source], copy, tmp_path)
        running.kill()
    broken = ["sh", "-c", f"echo half > {tools.fresh(target.name)}; exit 1"]
    with pytest.raises(ToolError):
        tools.build(target, [source], broken, tmp_path)
    assert target.stat().st_size > 100  # and not the half of the one that failed
    assert tools.build(target, [source], copy, tmp_path) == target
