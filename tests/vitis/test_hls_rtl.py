"""The project's own harness and tests on RTL of HLS style: a stub, since no tool is here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cases import draw
from lstm_sharp.engine import config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import hls_rtl, verilate
from lstm_sharp.runtime import engines
from vitis import stub

pytestmark = pytest.mark.rtl
TINY = config.load("tiny").of("hls")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = stub.make(TINY, tmp_path / "rendered")
    monkeypatch.setenv(hls_rtl.CHOICE, "hls")
    monkeypatch.setenv(hls_rtl.PROJECT, str(out))
    return out


def rom(project: Path) -> Path:
    (found,) = project.rglob("*.dat")
    return found


def test_jobs_run_bit_for_bit(project: Path, tmp_path: Path) -> None:
    executable = engines.build("rtl", TINY, tmp_path)
    for seed in range(300, 306):
        differs, _ = draw(TINY, seed).play(executable, ["--stall", "1"] if seed % 2 else [])
        assert not differs, differs
    # what the ROM holds comes from the file, and another ROM is taken over without a new build
    rom(project).write_text(rom(project).read_text().replace("0", "1"))
    executable = engines.build("rtl", TINY, tmp_path)
    differs, _ = draw(TINY, 300).play(executable)
    assert differs


def test_the_library_is_that_of_the_engine(project: Path, tmp_path: Path) -> None:
    assert verilate.chosen(TINY, tmp_path).top == "lstm_sharp"
    assert verilate.engine(tmp_path).top == "lstm_engine"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("lstm_sharp.v", None, "no files syn/verilog/lstm_sharp.v"),
        (f"{stub.ROM}.dat", None, f"{stub.ROM}.dat of a ROM is not in"),
        ("lstm_sharp_dexp_ip.tcl", "", "needs Vivado's own IP"),
        ("x_control_s_axi.v", "ADDR_STATUS_DATA_0 = 13'h18,", "status lies at 0x18"),
        ("x_control_s_axi.v", "ADDR_PROGRAM_BASE = 13'h0800,", "Memory_program lies at 0x0800"),
    ],
)
def test_rtl_that_will_not_do_is_refused(
    file: str, text: str | None, said: str, project: Path, tmp_path: Path
) -> None:
    path = rom(project).parent / file
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises((UsageError, ToolError), match=said):
        verilate.build(TINY, tmp_path)


def test_another_config_a_wrong_name_and_none_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(hls_rtl.OtherEngine, match="is of tiny .*, not of other"):
        verilate.build(config.resized(TINY, name="other"), tmp_path)
    monkeypatch.setenv(hls_rtl.PROJECT, "")
    with pytest.raises(UsageError, match="names no folder"):
        verilate.build(TINY, tmp_path)
    monkeypatch.setenv(hls_rtl.CHOICE, "vhdl")
    with pytest.raises(UsageError, match="RTL=vhdl is unknown"):
        verilate.build(TINY, tmp_path)


@pytest.mark.slow
def test_the_tests_of_the_engine_run_on_it(project: Path) -> None:
    """All of tests/rtl, in a process of its own; what is the engine's alone is skipped."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/rtl"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=os.environ, text=True, capture_output=True)
    print(done.stdout)
    assert done.returncode == 0
    assert " passed" in done.stdout.splitlines()[-1] and "failed" not in done.stdout
