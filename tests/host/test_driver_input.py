"""What the driver refuses: bad input, packages and overlays, in a sentence and without a trace."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
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
from lstm_sharp.engine.registers import DMA_VLNV, ENGINE_VLNVS
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.runtime.session import Session
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import pytorch_like

pytestmark = pytest.mark.rtl
__all__ = ["bit", "board", "device"]  # fixtures


Make = Callable[..., Any]
SPOILT = np.full((3, 5), 0.5)
SPOILT[1, 2] = np.inf
BAD_X: dict[str, tuple[Make, ...]] = {
    # What is said, and the x's that it is said of; x is (5, 3, 5) int16
    r"input is (<U|bool|object).*; numbers \(batch, time, 5\) of at least one step": (
        lambda x: x.astype(str),
        lambda x: x > 0,
        lambda x: x.astype(object),
        lambda x: "x",
    ),
    r"input is float64 \(.*\); numbers \(batch, time, 5\) of at least one step are": (
        lambda x: x[0, 0] / 9e4,
        lambda x: x[..., :4] / 9e4,
        lambda x: x[:0] / 9e4,
        lambda x: [x[0] / 9e4, x[1, :0] / 9e4],
    ),
    r"input is int(16|64) \(.*\); integers \(batch, time, 5\) of at least one step are": (
        lambda x: np.array(3),
        lambda x: x[0, 0],
        lambda x: [x[0], x[1, :, :4]],
        lambda x: x[:, :0],
        lambda x: x[0, :0],
    ),
    "(x cannot be read .*(None|float|shape)|input is object)": (
        lambda x: None,
        lambda x: 3.5,
        lambda x: [[[1.0, 2.0], [1.0]]],
    ),
    "input has 1 NaN or infinite of 15": (lambda x: SPOILT, lambda x: [x[0] / 9e4, SPOILT]),
    "there are 0 sequences; give at least one": (lambda x: [],),
    "some sequences are floats and some integers": (lambda x: [x[0], x[1] / 9e4],),
    "has integers from .* 16 bits, -32768 to 32767": (
        lambda x: x.astype(np.int32) + 65536,
        lambda x: x.astype(np.uint16) | 0x8000,
        lambda x: [x[0], np.full((2, 5), 1 << 40)],
    ),
}
BAD_STATES: dict[str, Make] = {
    # h and c are (2, 5, 6) zeros, of integers
    r"state h is int64 \(2, 4, 6\); integers .*\(2, 5, 6\)": lambda h, c: (h[:, :4], c),
    r"state c is int64 \(2, 5, 5\).*\(2, 5, 6\)": lambda h, c: (h, c[..., :5]),
    "a state is h and c, 1 arrays": lambda h, c: (h,),
    "state c is object": lambda h, c: (h, None),
    "state c is float64": lambda h, c: (h, c / 2),
    "state h has integers from .* 16 bits": lambda h, c: (h + 40000, c),
    "state c has integers from .* bits": lambda h, c: (h, c - (1 << 31)),
}
BAD_FLOAT_STATES: dict[str, Make] = {
    r"state h is float64 \(2, 4, 6\); numbers .*\(2, 5, 6\)": lambda h, c: (h[:, :4], c),
    "state c has 60 NaN": lambda h, c: (h, c * np.nan),
    "state h reaches 2, an engine holds 1": lambda h, c: (h + 2, c),
    "state c reaches 1000, an engine holds 128": lambda h, c: (h, c - 1000),
}


@pytest.mark.filterwarnings("ignore:.*ragged nested sequences", "ignore:invalid value")
def test_bad_input(board: Accelerator) -> None:
    zeros = np.zeros((2, 5, 6), np.int64)
    for words, makers in BAD_X.items():
        for make in makers:
            refused(board, words, lambda x: board.run(make(x)))  # noqa: B023
    for words, make in BAD_STATES.items():
        refused(board, words, lambda x: board.run(x, make(zeros, zeros)))  # noqa: B023
    for words, make in BAD_FLOAT_STATES.items():
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
    assert device.memory.allocated.buffers == 0


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
        assert device.memory.allocated == (0, 0)
        accelerator.load_model(model, TINY)
        x = integers(model, 2, 3)
        assert same(accelerator.run(x), right(model, x)[0])


def test_no_memory_for_the_dma(board: Accelerator, device: VirtualDevice) -> None:
    x = integers(board.model, 5, 3)
    wanted, _ = right(board.model, x)
    half = device.memory.bytes.size // 2
    rest = pynq.allocate((half - device.memory.allocated.bytes - 2 * 4096,), np.uint8)
    with pytest.raises(BoardError, match="contiguous bytes"):
        board.run(integers(board.model, 200, 9))
    if board.runner.failed:
        board.reset()
    assert same(board.run(x), wanted)
    rest.freebuffer()
    many = integers(board.model, 200, 9)
    assert same(board.run(many), right(board.model, many)[0])


def test_bad_overlays(device: VirtualDevice, bit: Path) -> None:
    handoff = bit.with_suffix(".hwh")
    good, text = handoff.read_text(), bit.read_bytes()
    engine, dma, s2mm = ENGINE_VLNVS["sv"], DMA_VLNV, '"c_include_s2mm" VALUE="{}"'.format
    (weights,) = re.findall('<MODULE FULLNAME="/dma_weights".*', good)
    edits = {
        "0 LSTM-Sharp engines, 1 is needed": (engine, "someone:else:core:1.0"),
        f"no {dma} called dma": (dma, "xilinx.com:ip:axi_cdma:4.1"),
        "called dma_weights": (weights, weights.replace("axi_dma", "axi_cdma")),
        "dma.S2MM is not in this overlay": (s2mm(1), s2mm(0)),
        "tiny.*hwh": (good[len(good) // 2 :], ""),
        "tiny.*hwh cannot": (good, "rubbish"),
    }
    spoilt = {
        words: partial(handoff.write_text, good.replace(*edit)) for words, edit in edits.items()
    }
    spoilt |= {"tiny.bit": bit.unlink, "tiny.hwh is missing": handoff.unlink}
    spoilt["tiny.bit is no virtual overlay"] = partial(bit.write_bytes, bytes(range(256)) * 9)
    for words, spoil in spoilt.items():
        spoil()
        with pytest.raises((UsageError, BoardError), match=words) as raised:
            Accelerator(bit)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
        bit.write_bytes(text)
        handoff.write_text(good)
    assert device.memory.allocated == (0, 0)
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


def test_packages_for_another_overlay(
    board: Accelerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A virtual board runs the sv engine; driver, run.py and self-test refuse what hls takes."""
    x = integers(board.model, 5, 3)
    said = (
        "tiny.bit has the sv engine, .* on the hls engine; .* `lstm-sharp package ... --engine sv`"
    )
    for cfg, words in (
        (TINY.with_format("W8A8"), "tiny.bit is engine .*tiny, W8A16, sv.*tiny-w8a8"),
        (TINY.of("hls"), said),
    ):
        made = package.write(pytorch_like(0, [5, 6]), cfg, tmp_path / "p", assume=(-1, 1))
        for call in (
            lambda: board.load(tmp_path / "p"),
            lambda: board.load(made),  # noqa: B023
            lambda: board.load_model(board.model, cfg),  # noqa: B023
        ):
            with pytest.raises(WrongOverlay, match=words) as raised:
                call()
            assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    assert same(board.run(x), right(board.model, x)[0])
    capsys.readouterr()
    overlay = ["--overlay", board.runner.overlay.bitfile_name]
    board.close()
    assert proof.main(tmp_path / "p", overlay) == 5
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1
    assert selftest.main([str(tmp_path / "p"), *overlay, "--bundle", str(tmp_path / "b.zip")]) == 1
    assert re.search(f"FAIL  identity, .*: {said}", capsys.readouterr().out)


def test_shipped_configs_are_found_by_identity() -> None:
    every = [config.load(name) for name in config.shipped()]
    offered = {(cfg, fmt) for cfg in every for fmt in (cfg.format, *USUAL) if cfg.takes(fmt)}
    assert {fmt for _, fmt in offered} > set(USUAL)
    for (own, fmt), engine in product(offered, ENGINE_VLNVS):
        cfg = own.with_format(fmt).of(engine)
        assert boards.config_of(cfg.identity) == cfg
        assert boards.name_of(cfg.identity).endswith(f"({cfg.name}, {fmt}, {engine})")
    with pytest.raises(WrongOverlay, match="engine 00000000 is no shipped config"):
        boards.config_of(0)
