"""The driver on a virtual board: golden's bits, predicted cycles, nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pynq")
import pynq

from cases import Case, draw
from driver_user import STACK, TINY, bit, board, device, integers, model_of, quick, right, same
from lstm_sharp.board.ip import EngineIP
from lstm_sharp.compiler import pack
from lstm_sharp.driver import Accelerator
from lstm_sharp.engine import config
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.backends import START_CYCLES
from lstm_sharp.virtual.device import VirtualDevice
from lstm_sharp.virtual.overlay import virtual_overlay

pytestmark = [pytest.mark.rtl, pytest.mark.usefixtures("quick")]
__all__ = ["bit", "board", "device", "quick"]  # fixtures

MIXED = (5, 1, 9, 5, 2, 7, 3, 9, 4)
"""Steps of sequences, more than the engine has chains for."""


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an element for each start of the engine."""
    seen: list[int] = []
    start = EngineIP.start

    def count(self: EngineIP) -> None:
        seen.append(1)
        start(self)

    monkeypatch.setattr(EngineIP, "start", count)
    return seen


def test_random_models_and_lengths(bit: Path) -> None:
    with Accelerator(bit) as accelerator:
        for seed in range(24):
            check(accelerator, draw(TINY, seed))


def check(accelerator: Accelerator, case: Case) -> None:
    """Hold bits against golden's and cycles against the cycle model's."""
    accelerator.load_model(case.model, case.cfg, case.schedule)
    asked = [x.astype(f"i{case.cfg.fmt.activation_bits // 8}") for x in case.xs]
    found = accelerator.run(asked, case.state, case.give)
    h, after = found if case.give else (found, case.after)
    assert same(h, case.h) and same(after, case.after), str(case)
    assert h[0].dtype == asked[0].dtype
    stages = accelerator.stages(max(case.lengths), len(case.lengths))
    call = case.call._replace(host=accelerator.host)
    told, _ = deploy.predict_plans([s.plan for s in stages], call)
    assert accelerator.cycles == told.cycles, str(case)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "name", "fmt"),
    [
        *(("pynq-z2", "tiny", fmt) for fmt in ("W8A8", "W16A16", "W8A16,W5A9")),
        *(("pynq-z2", name, None) for name in ("pynq-z2", "pynq-z2-small")),
        ("zcu104", "zcu104", None),
    ],
    indirect=["device"],
)
def test_other_configs(device: VirtualDevice, tmp_path: Path, name: str, fmt: str | None) -> None:
    cfg = config.load(name).with_format(fmt)
    with Accelerator(virtual_overlay(cfg, tmp_path)) as accelerator:
        for seed in range(6):
            check(accelerator, draw(cfg, seed))


def test_x_in_all_its_forms(board: Accelerator) -> None:
    model = board.model
    x = integers(model, 6, 4)
    h, _ = right(model, x)
    for kind in (np.int16, np.int32, np.int64, ">i2"):
        found = board.run(x.astype(kind))
        assert found.dtype == np.int16 and same(found, h), kind
    for form in (list(x), tuple(x)):
        found = board.run(form)
        assert isinstance(found, list) and same(found, h)
    wide = integers(model, 8, 10)
    wide.flags.writeable = False
    for x_view in (wide[::2, ::3], wide[::-1], np.asfortranarray(wide), wide.transpose(1, 0, 2)):
        assert same(board.run(x_view), right(model, x_view)[0])
        assert same(board.run(list(x_view)), right(model, x_view)[0])


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64, np.float16])
def test_floats_are_what_the_model_quantises(board: Accelerator, kind: Any) -> None:
    model = board.model
    x = np.random.default_rng(3).uniform(-1.5, 1.5, (6, 4, 5)).astype(kind)
    if kind is np.int16:
        x = integers(model, 6, 4)
        h, after = right(model, x)
    else:
        h, after = right(model, model.quantize_input(x.astype(np.float64)))
        h = [model.dequantize_h(one) for one in h]
        after = model.dequantize_h(after[0]), model.dequantize_c(after[1])
    found, left = board.run(x, return_state=True)
    assert found.dtype == (np.int16 if kind is np.int16 else np.float32)
    assert same(found, h) and same(left, after)
    assert same([board.run(x[0])], h[:1])
    assert same(board.run([x[1, :3], x[0], x[2, :1]]), [h[1][:3], h[0], h[2][:1]])
    _, state = board.run(x[:, :3], return_state=True)
    assert same(board.run(x[:, 3:], state), [one[3:] for one in h])


@pytest.mark.parametrize(
    ("sizes", "directions", "reverse"),
    [
        ((5, 7), None, (0,)),
        ((5, 7, 3), None, (1,)),
        ((5, 6), (2,), ()),
        ((3, 6, 4, 5), (2, 1, 2), ()),
        ((32,) * 6, None, ()),
    ],
)
def test_to_go_on_later_is_to_go_on(
    board: Accelerator, sizes: Any, directions: Any, reverse: Any
) -> None:
    model = model_of(sizes, directions, reverse)
    board.load_model(model, TINY)
    x = integers(model, 5, 6)
    first, state = board.run(x[:, :4], return_state=True)
    assert same(first, right(model, x[:, :4])[0])
    wanted, after = right(model, x[:, 4:], right(model, x[:, :4])[1])
    rest, end = board.run(x[:, 4:], state, return_state=True)
    assert same(rest, wanted) and same(end, after)
    assert same(board.run(x[:, 4:], state), wanted)
    alone = board.run(x[0, 4:], (state[0][:, :1], state[1][:, :1]))
    assert same([alone], wanted[:1])


@pytest.mark.parametrize("reverse", [(), (0,)])
def test_integers_are_packed_from_the_caller_to_the_dma(
    board: Accelerator, reverse: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []
    packing = pack.x_beats

    def watch(x: Any, *more: Any) -> Any:
        seen.append((x, packing(x, *more)))
        return seen[-1][1]

    monkeypatch.setattr(pack, "x_beats", watch)
    model = model_of((5, 6), reverse=reverse)
    board.load_model(model, TINY)
    x = integers(model, 6, 4)
    for given in (x, x[0], x[:, ::2], list(x), [x[0], x[1, 1:]]):
        seen.clear()
        board.run(given)
        for from_whom, beats in seen:
            parts = from_whom if isinstance(from_whom, list) else [from_whom]
            assert all(np.shares_memory(part, x) for part in parts)
            assert isinstance(beats, pynq.buffer.PynqBuffer)
    taken = board.runner.device.memory.allocated
    assert taken.buffers == 3  # weights, x, h: x was copied to no other


@pytest.mark.parametrize(
    ("sizes", "directions", "stages"),
    [(STACK, None, 1), ((5, 6), (2,), 1), ((32,) * 6, None, 5), ((3, 4, 2), (2, 2), 2)],
)
def test_one_start_for_equal_lengths(
    board: Accelerator, starts: list[int], sizes: Any, directions: Any, stages: int
) -> None:
    model = model_of(sizes, directions)
    board.load_model(model, TINY)
    loads = stages if stages > 1 else 0
    for batch in (1, 2, 9, 33):
        x = integers(model, batch, 3)
        h, after = right(model, x)
        for give in (False, True):
            starts.clear()
            found, left = board.run(x, return_state=True) if give else (board.run(x), after)
            assert len(starts) == stages + loads
            assert same(found, h) and same(left, after)


def test_starts_for_mixed_lengths(board: Accelerator, starts: list[int]) -> None:
    """As many as they are said to cost; of both directions one lists them: none can be filled."""
    for model in (board.model, model_of((5, 6), (2,))):
        board.load_model(model, TINY)
        xs = [integers(model, n, seed=n) for n in MIXED]
        h, after = right(model, xs)
        seen = []
        for cost in (0, START_CYCLES, 10**9):
            board.start_cycles = cost
            starts.clear()
            assert same(board.run(xs), h)
            seen.append(len(starts))
        assert seen[0] > seen[1] == seen[2] == 1
        found, left = board.run(xs, return_state=True)
        assert same(found, h) and same(left, after)


@pytest.mark.parametrize("device", ["zcu104"], indirect=True)
def test_another_board(board: Accelerator) -> None:
    x = integers(board.model, 5, 4)
    assert same(board.run(x), right(board.model, x)[0])
    assert board.runner.check_clock(TINY) == pytest.approx(100, rel=0.1)
