"""The driver when something is wrong: the exception that docs/board.md names, and after reset()
the right bits; bad input is refused in a sentence and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynq")
import pynq

from driver_user import (
    STACK,
    TINY,
    bit,
    board,
    device,
    integers,
    model_of,
    quick,
    refused,
    right,
    same,
)
from lstm_sharp.board.ip import EngineIP
from lstm_sharp.driver import (
    Accelerator,
    BoardError,
    DmaError,
    EngineTimeout,
    InterruptLost,
    MissingLast,
    OverlayGone,
    ShortRead,
    TransferLimit,
    WrongClock,
)
from lstm_sharp.engine import config
from lstm_sharp.engine.program import HEADER, null_program
from lstm_sharp.flow import jobs
from lstm_sharp.virtual import Fault
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay

pytestmark = pytest.mark.rtl
__all__ = ["bit", "board", "device", "quick"]  # fixtures

POLLING = 0.3
"""Simulated seconds that may pass beyond a time limit: accesses to a stuck engine take long."""
AT_SIGHT = (Fault.NEVER_DONE, Fault.LOST_INTERRUPT)
PARTS = ("engine ", "IP_ISR", "dma.MM2S ", "dma.S2MM ", "dma_weights.MM2S ")
"""What a message decodes the registers of."""


def failing(
    board: Accelerator, call: Callable[[], Any], error: type[BoardError], words: str
) -> None:
    """See a call fail in time, the next one refused, and the right bits after a reset."""
    device = board.runner.device
    began = device.now()
    with pytest.raises(error, match=words) as raised:
        call()
    assert type(raised.value) is error and "call reset()" in str(raised.value)
    if error is not OverlayGone:
        assert all(part in raised.value.args[0] for part in PARTS)  # printed, the middle is cut
    assert device.now() - began < 1.1 + POLLING
    model = board.model
    x = integers(model, 5, 3)
    with pytest.raises(BoardError, match=r"call reset\(\) first"):
        board.run(x)
    board.reset()
    assert device.memory.allocated == (0, 0)
    h, after = right(model, x)
    found, left = board.run(x, return_state=True)
    assert same(found, h) and same(left, after)


DMA = [("dma.S2MM", "h"), ("dma.MM2S", "x"), ("dma_weights.MM2S", "weights")]
FAULTS = [
    (Fault.NEVER_DONE, None, EngineTimeout, "not done in time.*engine start.*dma.MM2S"),
    (Fault.LOST_INTERRUPT, None, InterruptLost, "idle again.*engine.*IP_ISR 0"),
    (Fault.NO_LAST, None, MissingLast, "dma.S2MM.*TLAST.*engine"),
    (Fault.SHORT_READ, None, ShortRead, r"dma.S2MM got \d+ of \d+ bytes"),
    *((Fault.SLAVE_ERROR, stream, DmaError, f"{cell}.*slave error") for cell, stream in DMA),
    *((Fault.DECODE_ERROR, stream, DmaError, f"{cell}.*decode error") for cell, stream in DMA),
]
LOADS = [case for case in FAULTS if case[1] == "weights" or case[0] in AT_SIGHT]


@pytest.mark.parametrize(("fault", "stream", "error", "words"), FAULTS)
def test_fault_during_a_run(
    bit: Path, fault: Fault, stream: str | None, error: type[BoardError], words: str
) -> None:
    """Also with levels that take turns; and closed instead of reset, it leaves the board sound."""
    board = Accelerator(bit)
    device = board.runner.device
    turns = fault is Fault.SHORT_READ or (fault, stream) == (Fault.SLAVE_ERROR, "weights")
    for sizes in (STACK, (32,) * 6)[: 1 + turns]:
        model = model_of(sizes)
        board.load_model(model, TINY)
        x = integers(model, 6, 4)
        _, state = board.run(x, return_state=True)
        device.inject(fault, stream)
        failing(board, partial(board.run, x, state), error, words)
        wanted, _ = right(model, x, state)
        assert same(board.run(x, state), wanted)
    device.inject(fault, stream)
    with board, pytest.raises(error):
        board.run(x, state)
    assert device.memory.allocated == (0, 0)
    with Accelerator(board.runner.overlay) as again:
        again.load_model(model, TINY)
        assert same(again.run(x, state), wanted)


@pytest.mark.parametrize(("fault", "stream", "error", "words"), LOADS)
def test_fault_during_a_load(
    board: Accelerator, fault: Fault, stream: str | None, error: type[BoardError], words: str
) -> None:
    model = model_of((3, 8))
    board.runner.device.inject(fault, stream)
    failing(board, lambda: board.load_model(model, TINY), error, words)
    assert board.model is model


@pytest.mark.parametrize("fault", AT_SIGHT)
def test_fault_at_first_sight(device: VirtualDevice, bit: Path, fault: Fault) -> None:
    device.inject(fault)
    began = device.now()
    with pytest.raises((EngineTimeout, InterruptLost)):
        Accelerator(bit)
    assert device.now() - began < 1.1 + POLLING and device.memory.allocated == (0, 0)
    with Accelerator(bit) as accelerator:
        assert accelerator.identity == TINY.identity


@pytest.mark.parametrize(
    ("cell", "sizes", "steps"),
    [
        ("dma.MM2S", (32, 4), 300),
        ("dma.S2MM", (4, 32), 300),
        ("dma_weights.MM2S", (32, 32, 32, 32), 2),
    ],
)
def test_transfer_beyond_the_length_register(
    board: Accelerator, cell: str, sizes: tuple[int, ...], steps: int
) -> None:
    model = model_of(sizes)
    x = integers(model, steps)
    board.runner.device.inject(Fault.LENGTH_WIDTH)

    def load_and_run() -> None:
        board.load_model(model, TINY)
        board.run(x)

    with pytest.raises(TransferLimit, match=f"{cell} was given .* took .*hwh"):
        load_and_run()
    with pytest.raises(BoardError, match=r"reset\(\) first"):
        board.run(x)
    board.runner.overlay.download()
    board.reset()
    assert same([board.run(x)], right(model, x[None])[0])


def test_short_lengths_that_the_handoff_tells(bit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handoff = bit.with_suffix(".hwh")
    width = '"c_sg_length_width" VALUE="{}"'.format
    assert width(26) in handoff.read_text()
    handoff.write_text(handoff.read_text().replace(width(26), width(14)))
    starts: list[EngineIP] = []
    start = EngineIP.start
    monkeypatch.setattr(EngineIP, "start", lambda ip: (starts.append(ip), start(ip)))
    with Accelerator(bit) as accelerator:
        assert accelerator.runner.h.limit == (1 << 14) - 8
        for sizes, shape in (((32, 4), (1, 300)), ((4, 32), (10, 60)), ((32,) * 4, (4, 4))):
            model = model_of(sizes)
            accelerator.load_model(model, TINY)
            x = integers(model, *shape)
            for give in (False, True):
                starts.clear()
                h, after = right(model, x)
                found = accelerator.run(x, return_state=give)
                assert same(found[0] if give else found, h)
                assert not give or same(found[1], after)
                assert len(starts) == (3 + give if sizes == (4, 32) else 1)
        model = model_of((4, 32))
        accelerator.load_model(model, TINY)
        x = integers(model, 1, 300)
        refused(accelerator, "300 steps .* at most 255 steps", lambda _: accelerator.run(x))
        assert same(accelerator.run(x[:, :255]), right(model, x[:, :255])[0])


@pytest.mark.parametrize("name", ["tiny", "pynq-z2", None])
def test_another_overlay_behind_the_back(
    board: Accelerator, tmp_path: Path, name: str | None
) -> None:
    """None is the same one, loaded again."""
    x, mine = integers(board.model, 5, 3), board.runner.overlay
    other = pynq.Overlay(str(virtual_overlay(config.load(name), tmp_path))) if name else None
    if other is None:
        mine.download()
    failing(board, lambda: board.run(x), OverlayGone, r"reset\(\)")
    assert other is None or not other.is_loaded()


def test_closing_leaves_the_other_overlay_alone(
    device: VirtualDevice, bit: Path, tmp_path: Path
) -> None:
    model = model_of(STACK)
    other = virtual_overlay(TINY, tmp_path, "other")
    x = integers(model, 5, 3)
    with Accelerator(bit) as first:
        first.load_model(model, TINY)
        pynq.Overlay(str(other))
        with pytest.raises(OverlayGone):
            first.run(x)
    second = Accelerator(other)
    second.load_model(model, TINY)
    first.close()
    assert same(second.run(x), right(model, x)[0])
    second.close()
    assert device.memory.allocated == (0, 0)


def test_wrong_clock(board: Accelerator) -> None:
    pynq.Clocks.fclk0_mhz = 50
    with pytest.raises(WrongClock, match="runs at 4.* MHz.* 100 MHz.*Clocks"):
        board.throughput_test(2, 2, 1)
    pynq.Clocks.fclk0_mhz = 100
    told = board.throughput_test(8, 100, 1)
    assert told.clock_mhz == pytest.approx(100, rel=0.1)
    late = told.compute - told.cycles / 100e6
    assert 0 < late < 5e-4  # until it is looked at next


def test_engine_that_refuses_its_program(board: Accelerator) -> None:
    program = null_program()
    program[HEADER["magic"].word] ^= 1 << HEADER["magic"].lsb
    call = partial(board.runner.execute, jobs.Run(program))
    failing(board, call, BoardError, r"its header is wrong \(status 1\)")
