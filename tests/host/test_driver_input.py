"""What the driver refuses: bad input, packages and overlays, in a sentence and without a trace."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq

from driver_user import STACK, TINY, bit, board, device, integers, model_of, refused, right, same
from lstm_sharp import package, selftest
from lstm_sharp.board import overlay as boards
from lstm_sharp.driver import Accelerator, BoardError, OverlayGone, WrongOverlay, proof
from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.numerics.formats import SUPPORTED
from lstm_sharp.runtime.session import Session
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import pytorch_like

pytestmark = pytest.mark.rtl
__all__ = ["bit", "board", "device"]  # fixtures


SPOILT = np.full((3, 5), 0.5)
SPOILT[1, 2] = np.inf
BAD_X: tuple[tuple[Callable[[np.ndarray], Any], str], ...] = (
    # x is (5, 3, 5) int16
    (lambda x: x.astype(str), r"input is <U.*numbers"),
    (lambda x: x.astype(complex), "input is complex128"),
    (lambda x: x > 0, "input is bool"),
    (lambda x: x.astype(object), "input is object"),
    (lambda x: None, "x cannot be read .*None"),
    (lambda x: 3.5, "x cannot be read .*float"),
    (lambda x: np.array(3), r"input is int64 \(\).*5"),
    (lambda x: "x", r"input is <U.*numbers"),
    (lambda x: x[0, 0], r"input is int16 \(5,\).*\(batch, time, 5\)"),
    (lambda x: x[0, 0] / 9e4, r"input is float64 \(5,\)"),
    (lambda x: x[None], r"input is int16 \(1, 5, 3, 5\)"),
    (lambda x: x[None] / 9e4, r"input is float64 \(1, 5, 3, 5\)"),
    (lambda x: x[..., :4], r"input is int16 \(5, 3, 4\).*5\)"),
    (lambda x: x[..., :4] / 9e4, r"input is float64 \(5, 3, 4\); numbers \(batch, time, 5\)"),
    (lambda x: [x[0], x[1, :, :4]], r"input is int16 \(1, 3, 4\).*5\)"),
    (lambda x: [[[1.0, 2.0], [1.0]]], "(x cannot be read|input is object)"),
    (lambda x: SPOILT, "input has 1 NaN or infinite of 15"),
    (lambda x: SPOILT * 0, "input has 1 NaN or infinite of 15"),
    (lambda x: [x[0] / 9e4, SPOILT], "input has 1 NaN or infinite of 15"),
    (lambda x: x[:0], r"input is int16 \(0, 3, 5\).*at least one"),
    (lambda x: x[:0] / 9e4, r"input is float64 \(0, 3, 5\)"),
    (lambda x: x[:, :0], r"input is int16 \(5, 0, 5\).*at least one"),
    (lambda x: x[:, :0] / 9e4, r"input is float64 \(5, 0, 5\)"),
    (lambda x: x[0, :0], r"input is int16 \(1, 0, 5\).*at least one"),
    (lambda x: [x[0], x[1, :0]], r"input is int16 \(1, 0, 5\).*at least one"),
    (lambda x: [x[0] / 9e4, x[1, :0] / 9e4], r"input is float64 \(1, 0, 5\)"),
    (lambda x: [], "there are 0 sequences; give at least one"),
    (lambda x: [x[0], x[1] / 9e4], "some sequences are floats and some integers"),
    (lambda x: x.astype(np.int32) + 65536, "has integers from .* 16 bits, -32768 to 32767"),
    (lambda x: x.astype(np.uint16) | 0x8000, "has integers from .* 16 bits, -32768 to 32767"),
    (lambda x: np.zeros((1, 70000, 5), np.int16), "69999 needs .* run fewer steps"),
    (lambda x: [x[0], np.full((2, 5), 1 << 40)], "to 1099511627776; the format has 16 bits"),
)
BAD_STATES: tuple[tuple[Callable[[np.ndarray, np.ndarray], Any], str], ...] = (
    # h and c are (2, 5, 6) zeros
    (lambda h, c: (h[:, :4], c), r"state h is int64 \(2, 4, 6\).*\(2, 5, 6\)"),
    (lambda h, c: (h, c[..., :5]), r"state c is int64 \(2, 5, 5\).*\(2, 5, 6\)"),
    (lambda h, c: (h,), "a state is h and c, 1 arrays"),
    (lambda h, c: (h, c, c), "a state is h and c, 3 arrays"),
    (lambda h, c: (h, None), "state c is object"),
    (lambda h, c: (h, c / 2), "state c is float64"),
    (lambda h, c: (h + 40000, c), "state h has integers from .* 16 bits"),
    (lambda h, c: (h, c - (1 << 31)), "state c has integers from .* bits"),
)
BAD_FLOAT_STATES: tuple[tuple[Callable[[np.ndarray, np.ndarray], Any], str], ...] = (
    (lambda h, c: (h[:, :4], c), r"state h is float64 \(2, 4, 6\).*\(2, 5, 6\)"),
    (lambda h, c: (h, c * np.nan), "state c has 60 NaN"),
    (lambda h, c: (h + np.inf, c), "state h has 60 NaN or inf"),
    (lambda h, c: (h + 2, c), "state h reaches 2, an engine holds 1"),
    (lambda h, c: (h, c - 1000), "state c reaches 1000, an engine holds 128"),
)


@pytest.mark.filterwarnings("ignore:.*ragged nested sequences", "ignore:invalid value")
def test_bad_x(board: Accelerator) -> None:
    for make, words in BAD_X:
        refused(board, words, lambda x: board.run(make(x)))  # noqa: B023


def test_bad_states(board: Accelerator) -> None:
    zeros = np.zeros((2, 5, 6), np.int64)
    for make, words in BAD_STATES:
        refused(board, words, lambda x: board.run(x, make(zeros, zeros)))  # noqa: B023
    for make, words in BAD_FLOAT_STATES:
        refused(board, words, lambda x: board.run(x / 9e4, make(zeros / 1, zeros / 1)))  # noqa: B023


def test_model_too_large(board: Accelerator, device: VirtualDevice, bit: Path) -> None:
    large = pytorch_like(0, [40, 100])
    refused(
        board,
        "layer 0 has 40 inputs, tiny holds 32; .*config",
        lambda _: board.load_model(model_of((40, 100)), TINY),
    )
    board.close()
    with pytest.raises(UsageError, match="40 inputs, tiny holds 32; .* pynq-z2 would hold it"):
        Session(large, backend="board", overlay=bit)
    assert device.allocated.buffers == 0


def test_run_before_load(device: VirtualDevice, bit: Path) -> None:
    with Accelerator(bit) as accelerator:
        for call in (
            lambda: accelerator.run(np.zeros((2, 3))),
            lambda: accelerator.throughput_test(),
            lambda: accelerator.model,
            lambda: accelerator.stages(1, 1),
        ):
            with pytest.raises(UsageError, match="no package is loaded; call load"):
                call()
        model = model_of(STACK)
        accelerator.load_model(model, TINY)
        accelerator.close()
        accelerator.close()
        with pytest.raises(UsageError, match="no package is loaded"):
            accelerator.run(integers(model, 2, 3))
        assert device.allocated == (0, 0)
        accelerator.load_model(model, TINY)
        x = integers(model, 2, 3)
        assert same(accelerator.run(x), right(model, x)[0])


def test_bad_packages(board: Accelerator, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    package.write(pytorch_like(0, [3, 6]), TINY, folder)
    about = folder / "package.json"
    text = about.read_text()
    for spoil, words in (
        (lambda: about.write_text(text.replace('package": 2', 'package": 7')), "version 7"),
        (lambda: (folder / "model.npz").write_bytes(b"x"), "SHA-256"),
        (lambda: about.unlink(), "package.json cannot be read"),
    ):
        spoil()
        refused(board, words, lambda _: board.load(folder))
        if about.exists():
            about.write_text(text)
    refused(board, "none", lambda _: board.load(tmp_path / "none"))


def test_no_memory_for_the_dma(board: Accelerator, device: VirtualDevice) -> None:
    x = integers(board.model, 5, 3)
    wanted, _ = right(board.model, x)
    half = device.memory.bytes.size // 2
    rest = pynq.allocate((half - device.allocated.bytes - 2 * 4096,), np.uint8)
    with pytest.raises(BoardError, match="contiguous bytes"):
        board.run(integers(board.model, 200, 9))
    if board.runner.failed:
        board.reset()
    assert same(board.run(x), wanted)
    rest.freebuffer()
    many = integers(board.model, 200, 9)
    assert same(board.run(many), right(board.model, many)[0])


def test_bad_overlays(device: VirtualDevice, bit: Path, tmp_path: Path) -> None:
    handoff = bit.with_suffix(".hwh")
    good, text = handoff.read_text(), bit.read_bytes()
    engine, dma = "lstm-sharp:sv:lstm_engine:1.0", "xilinx.com:ip:axi_dma:7.1"
    (weights,) = re.findall('<MODULE FULLNAME="/dma_weights".*', good)

    def edit(*pairs: tuple[str, str]) -> None:
        changed = good
        for old, new in pairs:
            assert old in changed
            changed = changed.replace(old, new)
        handoff.write_text(changed)

    for spoil, words in (
        (lambda: bit.unlink(), "tiny.bit"),
        (lambda: bit.write_bytes(bytes(range(256)) * 9), "tiny.bit is no virtual overlay"),
        (lambda: handoff.unlink(), "tiny.hwh is missing"),
        (lambda: handoff.write_text(good[: len(good) // 2]), "tiny.*hwh"),
        (lambda: handoff.write_text("rubbish"), "tiny.*hwh"),
        (lambda: handoff.write_text("<a/>"), "tiny"),
        (lambda: edit((engine, "someone:else:core:1.0")), "0 LSTM-Sharp engines, 1 is needed"),
        (
            lambda: edit((dma, "xilinx.com:ip:axi_cdma:4.1")),
            "no xilinx.com:ip:axi_dma:7.1 called dma",
        ),
        (lambda: edit((weights, weights.replace("axi_dma", "axi_cdma"))), "called dma_weights"),
        (
            lambda: edit(('"c_include_s2mm" VALUE="1"', '"c_include_s2mm" VALUE="0"')),
            "dma.S2MM is not in this overlay",
        ),
    ):
        spoil()
        with pytest.raises((UsageError, BoardError), match=words) as raised:
            Accelerator(bit)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
        bit.write_bytes(text)
        handoff.write_text(good)
    assert device.allocated == (0, 0)
    Accelerator(bit).close()


def test_overlay_that_is_not_loaded(device: VirtualDevice, bit: Path, tmp_path: Path) -> None:
    overlay = pynq.Overlay(str(bit), download=False)
    with pytest.raises(UsageError, match="no overlay is loaded"):
        Accelerator(overlay)
    overlay.download()
    pynq.Overlay(str(virtual_overlay(TINY, tmp_path, "other")))
    with pytest.raises(OverlayGone, match="tiny.bit is not loaded.*download"):
        Accelerator(overlay)
    overlay.download()
    Accelerator(overlay).close()


def test_without_pynq(bit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(ToolError, match="pynq cannot be imported.*PYNQ.*LSTM_SHARP_VIRTUAL"):
        Accelerator(bit)


def test_package_for_another_overlay(board: Accelerator, tmp_path: Path) -> None:
    made = package.write(pytorch_like(0, [5, 6]), TINY.with_format("W8A8"), tmp_path / "p")
    x = integers(board.model, 5, 3)
    for source in (tmp_path / "p", made):
        said = "tiny.bit is engine .*tiny, W8A16, sv.*tiny-w8a8"
        with pytest.raises(WrongOverlay, match=said):
            board.load(source)
    assert same(board.run(x), right(board.model, x)[0])


def test_package_for_the_other_engine(
    board: Accelerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A virtual board runs the sv engine; driver, run.py and self-test refuse what hls takes."""
    x = integers(board.model, 5, 3)
    wanted, _ = right(board.model, x)
    said = (
        "tiny.bit has the sv engine, .* on the hls engine; .* `lstm-sharp package ... --engine sv`"
    )
    made = package.write(pytorch_like(0, [5, 6]), TINY.of("hls"), tmp_path / "p")
    for source in (tmp_path / "p", made):
        with pytest.raises(WrongOverlay, match=said) as raised:
            board.load(source)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    with pytest.raises(WrongOverlay, match=said):
        board.load_model(board.model, TINY.of("hls"))
    assert same(board.run(x), wanted)
    capsys.readouterr()
    overlay = ["--overlay", board.runner.overlay.bitfile_name]
    board.close()
    assert proof.main(tmp_path / "p", overlay) == 5
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1
    assert selftest.main([str(tmp_path / "p"), *overlay, "--bundle", str(tmp_path / "b.zip")]) == 1
    assert re.search(f"FAIL  identity, .*: {said}", capsys.readouterr().out)


def test_shipped_configs_are_found_by_identity() -> None:
    for name in config.shipped():
        for fmt in SUPPORTED:
            for engine in ENGINE_VLNVS:
                cfg = config.load(name).with_format(fmt).of(engine)
                assert boards.config_of(cfg.identity) == cfg
                assert boards.name_of(cfg.identity).endswith(f"({cfg.name}, {fmt}, {engine})")
    with pytest.raises(WrongOverlay, match="engine 00000000 is no shipped config"):
        boards.config_of(0)
