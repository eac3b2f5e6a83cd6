"""The virtual board's DMAs, register by register, and its faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq

from lstm_sharp.engine.registers import DMA_RESET, DMA_RUN, MM2S_OFFSET, S2MM_OFFSET, Dma, DmaStatus
from lstm_sharp.flow import jobs
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.faults import Fault
from pynq_user import channel, device, filled, overlay, run_of, stage_and_x, start, wait_done

pytestmark = pytest.mark.rtl
__all__ = ["device", "overlay"]  # fixtures


def test_dma_starts_only_if_running_and_errors_last_until_reset(overlay: Any) -> None:
    read, write = channel(overlay, "dma_weights", MM2S_OFFSET)
    buffer = filled(np.zeros(64, np.uint8))
    buffer.flush()
    write(Dma.CONTROL, DMA_RESET)
    assert read(Dma.STATUS) == DmaStatus.HALTED
    write(Dma.LENGTH, 8)
    assert read(Dma.STATUS) == DmaStatus.HALTED
    write(Dma.CONTROL, DMA_RUN)
    write(Dma.ADDRESS, buffer.physical_address)
    write(Dma.LENGTH, 0)  # starts nothing
    assert read(Dma.STATUS) == 0
    for address, length, error in (
        (overlay.device.memory.bytes.size - 4, 8, DmaStatus.DECODE_ERROR),
        (1 << 40, 8, DmaStatus.DECODE_ERROR),
    ):
        write(Dma.CONTROL, DMA_RUN)
        assert read(Dma.STATUS) == 0  # neither halted nor idle: nothing was ever sent
        write(Dma.ADDRESS, address & 0xFFFFFFFF)
        write(Dma.ADDRESS_HIGH, address >> 32)
        write(Dma.LENGTH, length)
        assert read(Dma.STATUS) == error | DmaStatus.ERROR | DmaStatus.HALTED
        write(Dma.CONTROL, DMA_RUN)
        write(Dma.STATUS, error | DmaStatus.ERROR)
        assert read(Dma.STATUS) == error | DmaStatus.HALTED
        write(Dma.CONTROL, DMA_RESET)
        assert read(Dma.STATUS) == DmaStatus.HALTED


def test_a_transfer_is_busy_until_all_is_sent(overlay: Any) -> None:
    stage, _ = stage_and_x()
    load = stage.load()
    read, write = channel(overlay, "dma_weights", MM2S_OFFSET)
    buffer = filled(load.weights)
    overlay.dma_weights.sendchannel.transfer(buffer)
    assert read(Dma.STATUS) == 0
    write(Dma.LENGTH, 8)  # is not taken: one is under way
    write(Dma.CONTROL, 0)
    assert read(Dma.STATUS) == 0  # stopped, but not before the end of the transfer
    write(Dma.CONTROL, DMA_RUN)
    start(overlay, replace(load, weights=jobs.nothing()))
    wait_done(overlay)
    assert read(Dma.STATUS) == DmaStatus.IDLE | DmaStatus.COMPLETE
    write(Dma.STATUS, DmaStatus.COMPLETE)
    assert read(Dma.STATUS) == DmaStatus.IDLE
    write(Dma.CONTROL, 0)
    assert read(Dma.STATUS) == DmaStatus.HALTED


def test_a_reset_cuts_off_both_channels(overlay: Any) -> None:
    run = run_of()
    h = pynq.allocate((run.h_bytes,), np.uint8)
    overlay.dma.recvchannel.transfer(h)
    overlay.dma.sendchannel.transfer(filled(np.zeros(1 << 16, np.uint8)))
    _, write = channel(overlay, "dma", MM2S_OFFSET)
    write(Dma.CONTROL, DMA_RESET)
    for base in (MM2S_OFFSET, S2MM_OFFSET):
        read, _ = channel(overlay, "dma", base)
        assert read(Dma.STATUS) == DmaStatus.HALTED and read(Dma.LENGTH) == 0


def test_a_packet_and_a_buffer_of_another_length(overlay: Any) -> None:
    run = run_of()
    start(overlay, run, pynq.allocate((run.h_bytes + 64,), np.uint8))
    overlay.dma.recvchannel.wait()
    assert overlay.dma.recvchannel.transferred == run.h_bytes
    wait_done(overlay)
    start(overlay, run, pynq.allocate((run.h_bytes - 8,), np.uint8))
    read, _ = channel(overlay, "dma", S2MM_OFFSET)
    for _ in range(50):
        read(Dma.STATUS)
    failed = DmaStatus.INTERNAL_ERROR | DmaStatus.ERROR | DmaStatus.HALTED
    assert read(Dma.STATUS) == failed | DmaStatus.COMPLETE  # of the first


def test_faults_name_a_stream_or_none(device: VirtualDevice) -> None:
    for fault, stream in ((Fault.SLAVE_ERROR, None), (Fault.NO_LAST, "h")):
        with pytest.raises(ValueError, match="the others with none"):
            device.inject(fault, stream)
