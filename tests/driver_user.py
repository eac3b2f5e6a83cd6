"""What tests of the driver share: opened boards, models, and what golden gives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import golden_of
from lstm_sharp.board.ip import EngineIP
from lstm_sharp.driver import Accelerator, BoardError
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.design import design
from lstm_sharp.flow.hwh import hwh
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.batch import Pair
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay
from models import pytorch_like
from pynq_user import TINY, device

__all__ = ["TINY", "device"]

QUICK_CYCLES = 100
STACK = (5, 6, 4)
"""Sizes of a model that fits; its weights and a few steps take some thousand cycles."""


@pytest.fixture
def bit(device: VirtualDevice, tmp_path: Path) -> Path:
    return virtual_overlay(TINY, tmp_path, board=device.tag[len("virtual-") :])


@pytest.fixture
def hls_bit(bit: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An overlay that says it has the hls engine of ``tiny``: the same programs run on either."""
    cfg, get = TINY.of("hls"), EngineIP.get

    def seen(self: EngineIP, name: str) -> int:
        value = get(self, name)
        return cfg.identity if name == "identity" and value == TINY.identity else value

    monkeypatch.setattr(EngineIP, "get", seen)
    bit.with_suffix(".hwh").write_text(hwh(design(cfg, "pynq-z2")))
    return bit


@pytest.fixture
def board(bit: Path) -> Iterator[Accelerator]:
    """A tiny engine with a small model loaded."""
    with Accelerator(bit) as accelerator:
        accelerator.load_model(model_of(STACK), TINY)
        yield accelerator
    assert accelerator.runner.device.memory.allocated == (0, 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have accesses take less simulated time, and so less real time."""
    monkeypatch.setattr(sys.modules[VirtualDevice.__module__], "ACCESS_CYCLES", QUICK_CYCLES)


def model_of(
    sizes: Sequence[int],
    directions: tuple[int, ...] | None = None,
    reverse: Sequence[int] = (),
    cfg: Config = TINY,
) -> QuantModel:
    """Make an integer model; ``reverse`` are the cells that take their steps from the last on."""
    model = pytorch_like(1, list(sizes), directions)
    cells = [
        replace(cell, reverse=True) if index in reverse else cell
        for index, cell in enumerate(model.layers)
    ]
    model = replace(model, layers=tuple(cells))
    drawn = np.random.default_rng(2).uniform(-1, 1, (4, 9, sizes[0]))
    return quantize(model, cfg.fmt, drawn, cfg.max_shift, cfg.row_scales)


def integers(model: QuantModel, *shape: int, seed: int = 0) -> np.ndarray:
    """Draw quantised x, (..., X) of the format's type, over the whole range."""
    bits = model.fmt.activation_bits
    drawn = np.random.default_rng(seed).integers(
        -(1 << (bits - 1)), 1 << (bits - 1), (*shape, model.input_size)
    )
    return drawn.astype(f"i{bits // 8}")


def right(
    model: QuantModel, xs: Sequence[np.ndarray], state: Pair | None = None
) -> tuple[list[np.ndarray], Pair]:
    """Return what golden gives for integer sequences (T, X): h of each, and the state after."""
    return golden_of(model, [np.asarray(x, np.int64) for x in xs], state)


def same(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> bool:
    """Whether arrays are equal one by one, shapes too."""
    return len(found) == len(wanted) and all(map(np.array_equal, found, wanted))


def refused(board: Accelerator, words: str, call: Callable[[np.ndarray], Any]) -> None:
    """See a call refused in a sentence, and no trace of it."""
    device = board.runner.device
    x = integers(board.model, 5, 3)
    wanted, _ = right(board.model, x)
    board.run(x)
    taken = device.memory.allocated
    with pytest.raises(UsageError, match=words) as raised:
        call(x)
    assert not isinstance(raised.value, BoardError)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 300
    assert device.memory.allocated == taken
    assert board.runner.engine.idle
    assert same(board.run(x), wanted)
