"""The driver in use: sessions, the command line, real speech, a thousand runs, and its own cost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pynq")

from driver_user import TINY, bit, board, device, hls_bit, integers, model_of, quick, right, same
from lstm_sharp import cli, package, selftest
from lstm_sharp.board import overlay as boards
from lstm_sharp.driver import Accelerator, WrongOverlay, proof
from lstm_sharp.engine import config
from lstm_sharp.runtime.session import Session
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import package_cli, pytorch_like, torch_names

pytestmark = pytest.mark.rtl
__all__ = ["bit", "board", "device", "hls_bit", "quick"]  # fixtures


@pytest.mark.usefixtures("quick")
def test_a_board_with_the_kernel(
    device: VirtualDevice,
    hls_bit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Session, package, its script and self-test take the engine from the overlay."""
    hls = TINY.of("hls")
    x = np.random.default_rng(7).uniform(-1, 1, (5, 6, 3)).astype(np.float32)
    with Session(pytorch_like(0, [3, 6, 4]), backend="board", overlay=hls_bit) as session:
        assert session.cfg == hls
        session.run(x)
        report = session.report
    assert report is not None and report.engine == "hls" and report.cycles
    monkeypatch.setattr(boards, "overlay_of", lambda *_: hls_bit)  # as found in overlays/
    with Session(pytorch_like(0, [3, 6, 4]), "tiny", "board") as session:
        session.run(x)
        assert session.cfg == hls
    device._build = device._build.resolve()  # where other tests have built the engine
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6, 4])))
    assert package_cli("p", "--overlay", str(hls_bit)) == 0
    assert package.read("p").cfg == hls
    assert proof.main("p", []) == 0
    assert selftest.main(["p"]) == 0
    assert "predicted (hls)" in capsys.readouterr().out
    assert package_cli("q", "--engine", "sv") == 0
    said = "tiny.bit has the hls engine, .* on the sv engine; .*--engine hls"
    assert proof.main("q", ["--overlay", str(hls_bit)]) == 5
    assert re.search(said, capsys.readouterr().err)
    with Accelerator(hls_bit) as accelerator, pytest.raises(WrongOverlay, match=said):
        accelerator.load("q")
    assert device.memory.allocated == (0, 0)


def test_command_line(
    device: VirtualDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One start and levels that take turns: golden's bits in the cycles that were predicted."""
    monkeypatch.setenv(boards.VIRTUAL, "pynq-z2")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((6, 5, 3), np.float32))
    np.save(tmp_path / "l.npy", np.array([5, 1, 2, 5, 3, 4]))
    for stages, directions in ((1, (1, 1)), (2, (2, 2))):
        np.savez(tmp_path / "m.npz", **torch_names(pytorch_like(0, [3, 6, 4], directions)))
        for backend in ("golden", "board"):
            words = f"run m.npz --config tiny --input x.npy --lengths l.npy --backend {backend}"
            words += f" --output {backend}.npy --json {backend}.json --state-out {backend}.npz"
            assert cli.main([str(tmp_path / w) if "." in w else w for w in words.split()]) == 0
        found, wanted = (np.load(tmp_path / f"{name}.npy") for name in ("board", "golden"))
        assert np.array_equal(found, wanted) and found.any()
        with np.load(tmp_path / "board.npz") as mine, np.load(tmp_path / "golden.npz") as theirs:
            assert all(np.array_equal(mine[name], theirs[name]) for name in "hc")
        report = json.loads((tmp_path / "board.json").read_text())
        assert report["cycles"] == report["predicted_cycles"] > 0
        assert report["load_cycles"] == report["predicted_load_cycles"] > 0
        seen = [report[key] for key in ("backend", "engine", "stages")]
        assert seen == ["board", "sv", stages]
    assert device.memory.allocated == (0, 0)


@pytest.mark.usefixtures("quick")
def test_a_thousand_runs_leave_nothing_behind(board: Accelerator) -> None:
    now, memory = board.runner.device.now, Path("/proc/self/statm")
    x = integers(board.model, 3, 2)
    wanted, _ = right(board.model, x)
    board.run(x)
    taken, took, pages = board.runner.device.memory.allocated, set(), 0
    for count in range(1000):
        began = now()
        assert same(board.run(x), wanted)
        took.add(round(now() - began, 9))
        if count == 100:
            pages = int(memory.read_text().split()[1])
    assert board.runner.device.memory.allocated == taken
    assert max(took) == pytest.approx(min(took), rel=0.02)
    assert int(memory.read_text().split()[1]) - pages < 512  # 2 MiB


@pytest.mark.slow
def test_throughput(device: VirtualDevice, tmp_path: Path) -> None:
    cfg = config.load("pynq-z2")
    with Accelerator(virtual_overlay(cfg, tmp_path)) as accelerator:
        accelerator.load_model(model_of((128, 128), cfg=cfg), cfg)
        told = accelerator.throughput_test(repeats=1)
    print(told)
    assert f"{1e3 * told.latency:.3f} ms" in str(told) and told.latency > 0
    assert told.cycles / (told.clock_mhz * 1e6) == pytest.approx(told.compute, rel=0.05)
