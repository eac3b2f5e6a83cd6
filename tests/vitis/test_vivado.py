"""Around Vivado: finding the tool and what it takes, its top level, the documentation's boards."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.boards import OWN, boards
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import hls_rtl, tools, verilate, xilinx
from lstm_sharp.flow.design import design
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import vivado
from own_board import PART, own_board
from vivado_user import Stub

pytest.importorskip("jinja2")


def test_without_the_tool(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(ToolError, match="vivado is not on PATH: .* XILINX_SETTINGS; without it"):
        stub.build(config.load("pynq-z2"), "pynq-z2")


@pytest.mark.parametrize(("release", "message"), [("2021.1", "is of release 2021.1"), ("x", "say")])
def test_unsupported_release(stub: Stub, release: str, message: str) -> None:
    stub.use(release)
    with pytest.raises(ToolError, match=f"{message}.*2022.2 to 2025.2 are supported"):
        stub.build(config.load("pynq-z2"), "pynq-z2")


def test_hls_ip_is_looked_for(stub: Stub) -> None:
    cfg = config.load("pynq-z2").of("hls")

    def build(project: Path | None = None) -> Path:
        return vivado.build(cfg, "pynq-z2", project, stub.folder)

    with pytest.raises(
        UsageError, match="no run of Vitis HLS came to its end there; run `make hls`"
    ):
        build()
    ip = stub.hls_ip(cfg)
    other = Path(str(ip).replace("solution1", "solution2"))
    other.parent.mkdir(parents=True)
    shutil.copy(ip, other)
    with pytest.raises(ToolError, match="2 HLS IPs .*--hls-project"):
        build()
    assert build(other.parents[2]).is_file()
    shutil.rmtree(other.parents[2])
    with pytest.raises(ToolError, match="no HLS IPs .*; run `make hls`"):
        build(stub.folder / "bin")
    ip.write_text(ip.read_text().replace("lstm_sharp", "other"))
    with pytest.raises(ToolError, match="IP xilinx.com:hls:lstm_sharp:1.0 is not there"):
        build()
    stamp = tools.build_folder(cfg, stub.folder) / hls_rtl.FOLDER / hls_rtl.STAMP
    stamp.write_text(stamp.read_text().replace('"sources": "', '"sources": "0'))
    with pytest.raises(UsageError, match="was made from another kernel"):
        build()


def test_command_line(stub: Stub, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["pynq-z2", "--config", "tiny", "--engine", "sv", "--build", str(stub.folder)]
    assert vivado.main(arguments) == 0
    out = capsys.readouterr().out
    assert "Vivado 2024.1" in out and "tiny.bit (slack: setup 0.321 ns, hold 0.012 ns; used:" in out
    stub.use("2026.1")
    assert vivado.main(arguments) == 0
    assert "2026.1 is newer, going on" in capsys.readouterr().out
    stub.use(fail="setup")
    assert vivado.main(arguments) == 3
    assert "timing is not met" in capsys.readouterr().err


def test_settings_are_sourced_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "settings64.sh"
    settings.write_text(f'echo noise; export PATH="{tmp_path}:$PATH" TOOL="a b"; cd /\n')
    monkeypatch.setenv("VIRTUAL_ENV", "/venv")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PATH", "/venv/bin:/usr/bin:/bin")
    env = xilinx.environment(str(settings))
    assert env["PATH"] == f"{tmp_path}:/usr/bin:/bin" and env["TOOL"] == "a b"
    assert not {"VIRTUAL_ENV", "PYTHONPATH"} & set(env) and "TOOL" not in os.environ
    settings.write_text("echo broken >&2; return 3\n")
    with pytest.raises(UsageError, match=r"cannot be sourced \(broken\)"):
        xilinx.environment(str(settings))
    with pytest.raises(UsageError, match="is no file; XILINX_SETTINGS names"):
        xilinx.environment(str(tmp_path / "none.sh"))


@pytest.mark.rtl
@pytest.mark.parametrize("board", [name for name in config.shipped() if name in boards()])
def test_packaged_top_fits_the_engine(board: str, tmp_path: Path) -> None:
    cfg = config.load(board)
    folder = tmp_path / "project"
    render(cfg, folder)
    vivado.write_script(design(cfg, board), folder / "overlay")
    env = verilate.environment()
    rtl = [*verilate.sources(folder), folder / "overlay" / "engine_ip.v"]
    flags = ["--lint-only", "-Wall", *verilate.FLAGS, "-Wno-DECLFILENAME", "--top", "engine_ip"]
    tools.run([verilate.verilator_of(env), *flags, *rtl], folder, folder / "lint.log", env)


def test_a_board_of_ones_own(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overlay's board is the one named, else the config's; its config the one of its name."""
    own_board(stub.folder / "own")
    monkeypatch.setenv(OWN, str(stub.folder / "own"))
    of_file = ["--config", str(stub.folder / "own" / "z7-10.json")]
    for named in (["z7-10"], ["z7-10", "--config", "tiny"], of_file):
        assert vivado.main([*named, "--engine", "sv", "--build", str(stub.folder)]) == 0
        assert "overlay-z7-10-sv/built/" in capsys.readouterr().out
    assert PART in next(stub.folder.glob(f"z7-10-*/*/{vivado.SCRIPT}")).read_text()
    assert vivado.main(["--config", "tiny", "--engine", "sv", "--build", str(stub.folder)]) == 0
    assert "overlay-pynq-z2-sv/built/" in capsys.readouterr().out
