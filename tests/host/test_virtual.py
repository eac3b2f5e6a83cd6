"""The virtual board under unmodified pynq: what a script that knows nothing of it sees."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq
import pynq.lib.dma

from cases import saturating
from lstm_sharp.board.runner import Runner
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.launches import Call
from lstm_sharp.engine.boards import OWN, boards
from lstm_sharp.engine.registers import ENGINE, S2MM_OFFSET, Dma, DmaStatus
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.numerics import golden
from lstm_sharp.runtime import deploy
from lstm_sharp.virtual.device import STUCK_SECONDS, VirtualDevice
from lstm_sharp.virtual.engine import EngineAssertion
from lstm_sharp.virtual.overlay import virtual_overlay
from own_board import NAME, own_board
from pynq_user import (
    BOARDS,
    STEPS,
    TINY,
    channel,
    device,
    filled,
    overlay,
    play_one,
    run_of,
    stage_and_x,
    start,
)

pytestmark = pytest.mark.rtl
__all__ = ["device", "overlay"]  # fixtures


@pytest.mark.parametrize("device", BOARDS, indirect=True)
def test_a_plain_script_gets_golden_bits_in_the_predicted_cycles(
    device: VirtualDevice, overlay: Any
) -> None:
    stage, x = stage_and_x()
    played: list[jobs.Result] = []

    def play(stage: deploy.Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        played.extend(play_one(overlay, run) for run in (stage.load(), *runs))
        return played

    h, _, _ = deploy.run((stage,), x, None, False, play)
    expected, _ = golden.run(stage.model, x)
    assert np.array_equal(h, expected)
    programs = [stage.plan.load_program(), *deploy.programs(stage.plan, Call((STEPS,)))]
    assert [r.cycles for r in played] == [cycles.predict(TINY, p).cycles for p in programs]
    assert [(r.status, r.identity) for r in played] == [(0, TINY.identity)] * len(programs)
    assert device.memory.allocated == (0, 0)
    assert pynq.Clocks.fclk0_mhz == pytest.approx(TINY.clock_mhz, rel=1e-3)


def test_a_c_that_saturates_is_told_and_no_error(overlay: Any) -> None:
    runner = Runner(overlay)
    assert [runner.execute(run).c_saturated for run in saturating(TINY)] == [False, True, False]


def test_a_board_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_board(tmp_path, ddr_bytes="0x10000000")
    monkeypatch.setenv(OWN, str(tmp_path))
    before, made = pynq.Device.active_device, VirtualDevice(NAME)
    made.activate()
    try:
        overlay = pynq.Overlay(str(virtual_overlay(TINY, tmp_path, board=NAME)))
        result = play_one(overlay, run_of())
        assert (result.status, result.identity) == (0, TINY.identity)
        with pytest.raises(RuntimeError):
            pynq.allocate((1 << 28,), np.uint8)
    finally:
        before.activate()


@pytest.mark.parametrize("device", boards(), indirect=True)
def test_what_pynq_makes_of_an_overlay(device: VirtualDevice, overlay: Any) -> None:
    assert isinstance(overlay.dma, pynq.lib.dma.DMA)
    assert overlay.dma.buffer_max_size == (1 << 26) - 1
    assert overlay.dma.recvchannel._align == device.system.hp_bits // 8
    assert not (overlay.dma.sendchannel._dre or overlay.dma.recvchannel._dre)
    assert overlay.dma_weights.sendchannel and overlay.dma_weights.recvchannel is None
    overlay.dma.write(Dma.ADDRESS, 4096)
    overlay.dma.recvchannel.stop()
    assert overlay.dma.register_map.MM2S_SA.Source_Address == 4096
    assert overlay.dma.register_map.S2MM_DMASR.Halted == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert overlay.engine.register_map.CTRL.AP_IDLE == 1
        shown = repr(overlay.engine.register_map)
    assert all(f"  {name} = " in shown for name in ENGINE)


def test_the_dma_sees_what_was_flushed_and_the_cpu_what_was_invalidated(
    device: VirtualDevice,
) -> None:
    buffer = pynq.allocate((4, 16), np.uint16)
    held = device.memory.bytes[buffer.physical_address :][: buffer.nbytes].view(np.uint16)
    poison = held[0]
    buffer[:] = 7
    assert (held == poison).all()
    buffer[1:3].flush()
    assert held.reshape(4, 16)[:, 0].tolist() == [poison, 7, 7, poison]
    held[:] = 9
    assert (buffer == 7).all()
    buffer[2].invalidate()
    assert buffer[:, 0].tolist() == [7, 7, 9, 7]
    both = pynq.allocate((4,), np.uint8, cacheable=0)
    both[:] = 3
    assert device.memory.bytes[both.physical_address] == 3


def test_buffers_are_counted_and_their_memory_used_again(device: VirtualDevice) -> None:
    first, second = pynq.allocate((5000,), np.uint8), pynq.allocate(3, "u4")
    assert device.memory.allocated == (2, 8192 + 4096)
    assert second.physical_address == first.physical_address + 8192
    address = first.physical_address
    view = first[10:]
    first.freebuffer()
    first.freebuffer()
    with pytest.raises(RuntimeError, match="is not allocated"):
        view.flush()
    del first, view
    assert device.memory.allocated.buffers == 1
    with pynq.allocate((8192,), np.uint8) as again:
        assert again.physical_address == address
    with pytest.raises(RuntimeError, match="1 buffers"):
        pynq.allocate((device.memory.bytes.size,), np.uint8)


def test_another_overlay_is_a_fresh_engine(
    device: VirtualDevice, overlay: Any, tmp_path: Path
) -> None:
    play_one(overlay, run_of())
    kept = filled(np.arange(8, dtype=np.uint8))
    assert int(overlay.engine.register_map.identity) == TINY.identity
    other = pynq.Overlay(str(virtual_overlay(TINY, tmp_path, "other")))
    assert not overlay.is_loaded() and other.is_loaded()
    with pytest.raises(RuntimeError, match="not currently loaded"):
        _ = overlay.engine
    assert int(other.engine.register_map.identity) == 0
    read, _ = channel(other, "dma", S2MM_OFFSET)
    assert read(Dma.STATUS) == DmaStatus.HALTED  # its driver was not asked for yet
    assert kept.tolist() == list(range(8)) and device.memory.allocated.buffers == 1
    play_one(other, run_of())


def test_two_boards_in_one_process(overlay: Any, tmp_path: Path) -> None:
    second = VirtualDevice("zcu104")
    bit = virtual_overlay(TINY, tmp_path, "second", board="zcu104")
    other = pynq.Overlay(str(bit), device=second)
    assert pynq.Clocks.fclk0_mhz == pytest.approx(TINY.clock_mhz, rel=1e-3)
    play_one(overlay, run_of())
    assert int(other.engine.register_map.identity) == 0
    assert int(overlay.engine.register_map.identity) == TINY.identity


def test_time_is_simulated_and_a_stuck_engine_makes_it_fast(
    device: VirtualDevice, overlay: Any
) -> None:
    began = device.now()
    overlay.engine.read(ENGINE["status"].offset)
    access = device.now() - began
    assert access == pytest.approx(1e-5)  # 1,000 cycles at 100 MHz
    pynq.Clocks.fclk0_mhz = 50
    device.read_registers(overlay.ip_dict["engine"]["phys_addr"], 4)
    began = device.now()
    overlay.engine.read(ENGINE["status"].offset)
    assert device.now() - began == pytest.approx(2 * access)
    start(overlay, run_of())  # nobody takes h
    for _ in range(60):
        overlay.engine.read(ENGINE["status"].offset)
    began = device.now()
    overlay.engine.read(ENGINE["status"].offset)
    assert device.now() - began == pytest.approx(STUCK_SECONDS)


def test_an_assertion_of_the_engine_is_an_exception(
    device: VirtualDevice, overlay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No program brings one about, so that the library is made to tell of one."""
    assert device.engine is not None
    with monkeypatch.context() as broken:
        broken.setattr(device.engine._library, "virtual_run", lambda board, cycles: 1)
        broken.setattr(device.engine._library, "virtual_error", lambda board: b"checks.sv:1: no")
        with pytest.raises(EngineAssertion, match="checks.sv:1: no"):
            play_one(overlay, run_of())
    overlay.download()
    for used in (overlay.dma.sendchannel, overlay.dma.recvchannel):
        used.start()
    assert play_one(overlay, run_of()).status == 0


def test_what_is_not_there_is_named(overlay: Any) -> None:
    with pytest.raises(UsageError, match="0x10: tiny.bit is loaded"):
        pynq.MMIO(16).read()


def test_scripts_run_on_it_unmodified(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pynq\n"
        "with pynq.allocate((3,), 'u1') as b: print(pynq.Device.active_device.name, sys.argv[1:])\n"
    )
    path = os.pathsep.join(filter(None, [*sys.path]))
    for board, name in (("zcu104", "ZCU104"), ("pynq-z2", "PYNQ-Z2")):
        ran = subprocess.run(
            [sys.executable, "-m", "lstm_sharp.virtual", "--board", board, script, "--a", "b"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        )
        assert ran.stdout == f"{name} ['--a', 'b']\n"
