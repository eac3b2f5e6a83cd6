"""Ctrl-C at any access to the board leaves a driver that reset() mends, and no wrong bit before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq

from driver_user import STACK, TINY, bit, board, device, integers, model_of, quick, right, same
from lstm_sharp.driver import Accelerator, BoardError
from lstm_sharp.virtual import Fault
from lstm_sharp.virtual.device import VirtualDevice

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("quick")]
__all__ = ["bit", "board", "device", "quick"]  # fixtures

SEED = int(os.environ.get("LSTM_SHARP_SEED", "1"))
"""Of the accesses at which Ctrl-C comes; five in a row make all of them."""
ACCESSES = ("read_registers", "write_registers", "allocate", "flush", "invalidate")


class Interrupting:
    """Has Ctrl-C come at the n-th access to a device, before or after it takes place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, device: VirtualDevice) -> None:
        self.left: int | None = None
        self.after = False
        for name in ACCESSES:
            monkeypatch.setattr(device, name, self._wrap(getattr(device, name)))

    def _wrap(self, access: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            if self.left is not None:
                self.left -= 1
            now = self.left == 0
            if now and not self.after:
                raise KeyboardInterrupt
            found = access(*args, **named)
            if now:
                raise KeyboardInterrupt
            return found

        return wrapped

    def sweep(self, call: Callable[[], Any], then: Callable[[], None]) -> int:
        """Interrupt a call at each fifth of its accesses; return how many there are."""
        count = SEED % 5 - 4
        while True:
            count += 5
            self.left, self.after = count, count % 2 == 0
            try:
                call()
            except KeyboardInterrupt:
                self.left = None
                then()
            else:
                self.left = None
                return count


def mended(board: Accelerator, x: np.ndarray, h: list[np.ndarray]) -> None:
    """See right bits, or be asked for a reset; right bits after it."""
    found, said = h, "run failed (); call reset() first"
    try:
        found = board.run(x)
    except BoardError as error:
        said = str(error)
    assert same(found, h) and re.search(r"run failed \(.*\); call reset\(\) first", said)
    board.reset()
    assert same(board.run(x), h)


def test_ctrl_c_at_any_moment(board: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(STACK)
    x = integers(model, 5, 2)
    h, after = right(model, x)
    state = np.zeros_like(after[0]), np.zeros_like(after[1])

    def call() -> None:
        board.load_model(model, TINY)
        board.run(x, state)

    assert (
        Interrupting(monkeypatch, board.runner.device).sweep(call, partial(mended, board, x, h))
        > 50
    )


def test_ctrl_c_while_drivers_take_over(bit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overlay, mine = pynq.Overlay(str(bit)), model_of(STACK)
    x = integers(mine, 5, 2)
    h, _ = right(mine, x)

    def open_mine() -> Accelerator:
        accelerator = Accelerator(overlay, take_over=True)
        accelerator.load_model(mine, TINY)
        return accelerator

    def call() -> None:
        open_mine().run(x)
        with Accelerator(overlay, take_over=True) as other:
            other.load_model(model_of((5, 9)), TINY)
            other.run(x)

    def then() -> None:
        with Accelerator(overlay, take_over=True) as accelerator:
            accelerator.reset()
            accelerator.load_model(mine, TINY)
            assert same(accelerator.run(x), h)

    assert Interrupting(monkeypatch, overlay.device).sweep(call, then) > 50
    assert overlay.device.memory.allocated == (0, 0)


def test_ctrl_c_during_a_reset(board: Accelerator, monkeypatch: pytest.MonkeyPatch) -> None:
    x = integers(board.model, 5, 2)
    h, _ = right(board.model, x)
    device = board.runner.device
    sweeping = Interrupting(monkeypatch, device)

    def call() -> None:
        left, sweeping.left = sweeping.left, None
        device.inject(Fault.SLAVE_ERROR, "x")
        with pytest.raises(BoardError):
            board.run(x)
        sweeping.left = left
        board.reset()

    assert sweeping.sweep(call, partial(mended, board, x, h)) > 10
