"""One overlay has one owner: a second driver is refused, threads take turns."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq

from driver_user import STACK, TINY, bit, board, device, integers, model_of, quick, right, same
from lstm_sharp.board.owner import Seat
from lstm_sharp.driver import Accelerator, Busy, OverlayGone
from lstm_sharp.model.model import Model
from lstm_sharp.runtime.session import Session
from lstm_sharp.virtual import Fault
from lstm_sharp.virtual.device import VirtualDevice
from models import pytorch_like

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("quick")]
__all__ = ["bit", "board", "device", "quick"]  # fixtures

REFUSED = r"another Accelerator drives virtual-pynq-z2: close\(\) it first"


def test_a_second_driver_is_refused_until_the_first_is_closed(bit: Path) -> None:
    overlay = pynq.Overlay(str(bit))
    first, second = model_of(STACK), model_of((3, 8))
    one = Accelerator(overlay)
    one.load_model(first, TINY)
    x, y = integers(first, 3, 4), integers(second, 3, 4)
    for another in (bit, overlay, pynq.Overlay(str(bit), download=False)):
        with pytest.raises(Busy, match=REFUSED):
            Accelerator(another)
        assert same(one.run(x), right(first, x)[0])
    one.close()
    with Accelerator(overlay) as other:
        other.load_model(second, TINY)
        assert same(other.run(y), right(second, y)[0])
        for call in (lambda: one.load_model(first, TINY), one.reset, one.throughput_test):
            with pytest.raises(Busy, match=REFUSED):
                call()
        one.close()  # of what it does not own: nothing of the other's
        assert same(other.run(y), right(second, y)[0])
    one.load_model(first, TINY)
    assert same(one.run(x), right(first, x)[0])
    one.close()


def test_a_driver_that_is_gone_owns_nothing(device: VirtualDevice, bit: Path) -> None:
    left = Accelerator(bit)
    del left
    gc.collect()
    with Accelerator(bit) as accelerator, pytest.raises(Busy):
        Accelerator(bit)
    overlay = pynq.Overlay(str(bit), download=False)
    device.bitfile_name = "another"
    with pytest.raises(OverlayGone):
        Accelerator(overlay)
    Accelerator(bit).close()
    assert accelerator.runner.device.memory.allocated == (0, 0)


def test_taking_over(board: Accelerator) -> None:
    """Also from a driver whose run failed, with its DMAs still at work; programs differ."""
    overlay, model = board.runner.overlay, model_of((3, 8))
    x, y = integers(board.model, 3, 4), integers(model, 3, 4)
    wanted, _ = right(board.model, x)
    owner, held = board, board.model
    for fault in (None, Fault.NEVER_DONE, Fault.SLAVE_ERROR):
        if fault:
            board.runner.device.inject(fault, "x" if fault is Fault.SLAVE_ERROR else None)
            with pytest.raises(Exception, match="call reset"):
                owner.run(x)
        # Another Overlay object has its own notion of what is in the program window.
        other = Accelerator(pynq.Overlay(overlay.bitfile_name, download=False), take_over=True)
        other.load_model(model, TINY)
        assert same(other.run(y), right(model, y)[0])
        with pytest.raises(Busy, match=REFUSED):
            owner.run(x)
        owner = Accelerator(overlay, take_over=True)
        owner.load_model(held, TINY)
        assert same(owner.run(x), wanted)
    owner.close()


def at_once(call: Callable[[int], None]) -> None:
    """Make a call in four threads; it gets their numbers."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(call, range(4)))


def test_threads_take_turns(board: Accelerator) -> None:
    """Runs, loads and resets of four threads: each run gives the bits of its own model's."""
    models = [board.model, model_of((5, 9))]
    xs = [integers(models[0], 1 + seed, 2 + seed, seed=seed) for seed in range(4)]
    wanted = [[right(model, x)[0] for model in models] for x in xs]

    def work(thread: int) -> None:
        for turn in range(6):
            if turn % 3 == 2:
                board.reset() if thread % 2 else board.load_model(models[turn % 2], TINY)
            found = board.run(xs[thread])
            assert any(same(found, each) for each in wanted[thread])

    at_once(work)


def test_threads_of_a_stateful_session(device: VirtualDevice, bit: Path) -> None:
    model: Model = pytorch_like(0, [3, 6])
    x = np.random.default_rng(0).uniform(-1, 1, (1, 24, 3)).astype(np.float32)
    same_x = np.repeat(x[:, :1], 24, axis=1)
    with Session(model, "tiny", calibration=x, stateful=True) as golden:
        wanted = golden.run(same_x)[0]
    with Session(model, backend="board", overlay=bit, calibration=x, stateful=True) as session:
        found: list[np.ndarray] = []

        def work(_: int) -> None:
            for _ in range(6):
                found.append(np.asarray(session.run(same_x[:, :1]))[0, 0])

        at_once(work)
    order = sorted(map(bytes, found))
    assert order == sorted(map(bytes, wanted))  # 24 steps in a row, whoever made which


HOLDING = """
import sys, time
from types import SimpleNamespace
from lstm_sharp.board.owner import Seat
driver = type("Driver", (), {})()
with Seat(SimpleNamespace(tag=sys.argv[1])).turn(driver):
    print("mine", flush=True)
    sys.stdin.read()
"""


class Anyone:
    def close(self) -> None:
        raise AssertionError


def test_another_process_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    seat, me = Seat(SimpleNamespace(tag="board/0")), Anyone()
    command = [sys.executable, "-c", HOLDING, "board/0"]
    for end in ("killed", "closed"):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout and other.stdout.readline() == "mine\n"
            said = f"process {other.pid} drives board/0: end it"
            with pytest.raises(Busy, match=said), seat.turn(me, take_over=True):
                pass
            if end == "killed":
                other.kill()
            else:
                other.communicate("")
        with seat.turn(me):
            pass
        refused = subprocess.run(command, input="", capture_output=True, text=True)
        assert "Busy" in refused.stderr and "mine" not in refused.stdout
        assert seat.is_owner(me)
        seat.leave()
    locked = next(tmp_path.glob("*.lock"))
    locked.unlink()
    locked.mkdir()
    with pytest.raises(Busy, match="cannot be locked"), seat.turn(me):
        pass
