"""A user of a PYNQ board: plain pynq, and nothing of this project but programs and streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pynq
import pynq.lib.dma
import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE
from lstm_sharp.flow import jobs
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime import deploy
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import pytorch_like

TINY = config.load("tiny")
BOARDS = ("pynq-z2", "zcu104")
STEPS = 3


@pytest.fixture(params=BOARDS[:1])
def device(request: pytest.FixtureRequest) -> Iterator[VirtualDevice]:
    before = pynq.Device.active_device
    made = VirtualDevice(request.param)
    made.activate()
    yield made
    before.activate()


@pytest.fixture
def overlay(device: VirtualDevice, tmp_path: Path) -> Any:
    return pynq.Overlay(str(virtual_overlay(TINY, tmp_path, board=device.tag[len("virtual-") :])))


def stage_and_x() -> tuple[deploy.Stage, np.ndarray]:
    model = pytorch_like(5, [5, 6])
    x = np.random.default_rng(5).uniform(-1, 1, (1, STEPS, 5))
    quantised = quantize(model, Format.parse("W8A16"), x)
    (stage,) = deploy.deploy(quantised, TINY, "best", STEPS)
    return stage, quantised.quantize_input(x)


def run_of() -> jobs.Run:
    """Make a run of a model whose weights do not matter."""
    stage, x = stage_and_x()
    return stage.runs(x, None, False)[1][0]


def filled(data: np.ndarray) -> Any:
    buffer = pynq.allocate(data.shape, data.dtype)
    buffer[:] = data
    return buffer


def start(overlay: Any, run: jobs.Run, h: Any = None) -> list[Any]:
    """Start a run as a user would; returns the channels that send."""
    engine = overlay.engine
    engine.mmio.write(ENGINE["Memory_program"].offset, run.program.astype("<u4").tobytes())
    engine.register_map.IP_IER.CHAN0_INT_EN = 1
    sent = []
    for dma, data in ((overlay.dma_weights, run.weights), (overlay.dma, run.x)):
        if data.size:
            sent.append(dma.sendchannel)
            dma.sendchannel.transfer(filled(data))
    if h is not None:
        overlay.dma.recvchannel.transfer(h)
    engine.register_map.CTRL.AP_START = 1
    return sent


def wait_done(overlay: Any) -> None:
    for _ in range(1000):
        if overlay.engine.register_map.IP_ISR.CHAN0_INT_ST:
            break
    else:
        raise AssertionError("the engine is not done")
    overlay.engine.register_map.IP_ISR.CHAN0_INT_ST = 1


def play_one(overlay: Any, run: jobs.Run) -> jobs.Result:
    h = pynq.allocate((run.h_bytes,), np.uint8) if run.h_bytes else None
    sent = start(overlay, run, h)
    wait_done(overlay)
    if h is not None:
        overlay.dma.recvchannel.wait()
        assert overlay.dma.recvchannel.transferred == run.h_bytes
    for used in sent:
        used.wait()
        assert used.idle
    registers = overlay.engine.register_map
    data = np.array(h) if h is not None else jobs.nothing()
    return jobs.Result(
        int(registers.status), int(registers.identity), int(registers.cycles), data, True
    )


def channel(overlay: Any, cell: str, base: int) -> Any:
    """Return reader and writer of a channel's registers, by MMIO as a user's own driver would."""
    mmio = pynq.MMIO(overlay.ip_dict[cell]["phys_addr"], overlay.ip_dict[cell]["addr_range"])
    return (
        lambda register: mmio.read(base + register),
        lambda register, value: mmio.write(base + register, int(value)),
    )
