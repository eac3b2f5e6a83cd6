"""Slot programs: layout, the hand-checked example of docs/slot-program.md, distances, loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_sharp.engine import config, cycles, pack
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.program import HEADER, INSTRUCTION, Instruction, Op, Program, Source, Start
from lstm_sharp.engine.schedule import SCHEDULES, Plan, make_plan
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel

TINY = config.load("tiny")
EXAMPLE = config.resized(TINY, rows=4, columns=2, max_input=8, max_hidden=8)


def _program(
    cfg: Config, x: int, h: int, steps: int, schedule: str, state: bool = False
) -> tuple[Plan, Program]:
    plan = make_plan([LayerShape(x, h)], cfg, schedule)
    return plan, plan.program(steps, 1, state)


def test_example_of_the_docs() -> None:
    assert (EXAMPLE.tail, EXAMPLE.acc_distance) == (21, 4)
    _, program = _program(EXAMPLE, 3, 2, 2, "unfolded")
    seen, slot = [], 0
    for i in program.walk():
        seen.append((i.source, i.start, i.rows * i.cols, slot + i.nops, i.nops))
        slot += i.slots(EXAMPLE)
    assert seen == [
        (Source.X, Start.BIAS, 4, 0, 0),
        (Source.ZERO, Start.STORED_SHIFTED, 2, 6, 2),
        (Source.X, Start.BIAS, 4, 8, 0),
        (Source.H, Start.STORED_SHIFTED, 2, 28, 16),
    ]
    assert slot == 30
    assert program.encode(EXAMPLE)[HEADER["slots"].word] == 30
    assert program.encode(EXAMPLE)[HEADER["x_words"].word] == 4


@pytest.mark.parametrize("layout", [HEADER, INSTRUCTION])
def test_fields_do_not_overlap(layout: dict) -> None:
    used = [
        (field.word, bit)
        for field in layout.values()
        for bit in range(field.lsb, field.lsb + field.width)
    ]
    assert len(used) == len(set(used))
    assert all(word < 8 and bit < 32 for word, bit in used)


def test_fields_land_where_the_table_says() -> None:
    instruction = Instruction(op=Op.LOAD_BIAS, rows=0x1234, bias_base=0xABCD, loop_back=0x7F)
    words = Program((instruction,)).encode(TINY)[8:]
    assert words[0] == 2
    assert words[1] == 0x1234 << 16
    assert words[3] == 0xABCD << 16
    assert words[5] == 0x7F << 24


def test_loops_are_walked() -> None:
    a, b, c, d = (Instruction(rows=n) for n in range(1, 5))
    loop = Instruction(rows=9, repeats=3, loop_back=1)
    order = [i.rows for i in Program((a, b, loop, c, d)).walk()]
    assert order == [1, 2, 9, 2, 9, 2, 9, 3, 4]


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="rows = 65536"):
        Program((Instruction(rows=65536),)).encode(TINY)
    with pytest.raises(UsageError, match="holds 127"):
        Program((Instruction(),) * 128).encode(TINY)


SIZES = st.integers(1, 32)


def _check_distances(cfg: Config, plan: Plan, program: Program) -> None:
    """Walk the slots one by one and check D, D_acc and P, independently of the compiler."""
    block, columns = cfg.block, cfg.columns
    slot, last_finish = 0, -(10**9)
    stored: dict[int, int] = {}
    h_ready: dict[int, int] = {}
    writing: dict[int, int] = {}
    for i in list(program.walk()) * 2:
        slot += i.nops
        assert i.op == Op.TILES
        for row in range(i.row_first, i.row_first + i.rows):
            if i.start != Start.BIAS:
                assert slot - stored[row] >= cfg.acc_distance
            for column in range(i.col_first, i.col_first + i.cols):
                if i.source == Source.H:
                    needed = range(column * columns, (column + 1) * columns)
                    assert all(slot - h_ready.get(n, -(10**9)) >= cfg.tail for n in needed)
                last = slot
                slot += 1
            if i.finish:
                assert last - last_finish >= cfg.passes
                last_finish = last
                for n in range(row * block, (row + 1) * block):
                    writing[n] = last
                slot += max(0, cfg.passes - i.cols)
            else:
                stored[row] = last
        if i.step:
            h_ready, writing = writing, {}


@settings(max_examples=60, deadline=None)
@given(
    x=SIZES,
    h=SIZES,
    steps=st.integers(1, 6),
    schedule=st.sampled_from(SCHEDULES),
    shape=st.sampled_from([(4, 2, 1), (8, 4, 1), (16, 2, 1), (16, 8, 2), (32, 8, 8)]),
)
def test_distances_are_kept(
    x: int, h: int, steps: int, schedule: str, shape: tuple[int, int, int]
) -> None:
    rows, columns, lanes = shape
    cfg = config.resized(TINY, rows=rows, columns=columns, lanes=min(lanes, 4), weight_tiles=4096)
    plan, program = _program(cfg, x, h, steps, schedule)
    _check_distances(cfg, plan, program)


@settings(max_examples=60, deadline=None)
@given(
    x=SIZES,
    h=SIZES,
    steps=st.integers(1, 40),
    shape=st.sampled_from([(4, 2), (8, 4), (16, 8), (32, 8)]),
)
def test_each_schedule_is_no_slower_than_the_one_before(
    x: int, h: int, steps: int, shape: tuple[int, int]
) -> None:
    cfg = config.resized(TINY, rows=shape[0], columns=shape[1], weight_tiles=4096)
    taken = [cycles.predict(cfg, _program(cfg, x, h, steps, name)[1]).cycles for name in SCHEDULES]
    assert taken[0] >= taken[1] >= taken[2], dict(zip(SCHEDULES, taken))
    best = cycles.predict(cfg, _program(cfg, x, h, steps, "best")[1]).cycles
    assert best == taken[2]


def test_packing_puts_each_weight_where_its_slot_looks() -> None:
    """Unpack the stream by the words of docs/slot-program.md and find the matrix again."""
    cfg = config.resized(TINY, rows=8, columns=6, max_input=8, max_hidden=8)
    rng = np.random.default_rng(0)
    layer = QuantLayer(
        rng.integers(-128, 128, (20, 7)),
        rng.integers(-128, 128, (20, 5)),
        np.arange(20),
        15,
        7,
        7,
        0,
    )
    model = QuantModel(Format.parse("W8A16"), (layer,))
    plan = make_plan([LayerShape(7, 5)], cfg, "unfolded")
    stream = pack.weight_beats(model, plan)
    tile_bytes = cfg.tile_beats * 8
    address = 0
    for matrix in (layer.w_ih, layer.w_hh):
        columns = -(-matrix.shape[1] // cfg.columns)
        for row_block in range(3):
            for column in range(columns):
                tile = stream[address * tile_bytes :][: cfg.macs].view(np.int8)
                address += 1
                for n in range(cfg.columns):
                    for k in range(cfg.rows):
                        neuron, gate = row_block * 2 + k // 4, k % 4
                        inside = neuron < 5 and column * 6 + n < matrix.shape[1]
                        want = matrix[gate * 5 + neuron, column * 6 + n] if inside else 0
                        assert tile[n * cfg.rows + k] == want
    biases = stream[address * tile_bytes :].view("<i8").reshape(3, 8)
    assert biases[1].tolist() == [2, 7, 12, 17, 3, 8, 13, 18]


def test_long_stack_is_refused_with_the_remedy() -> None:
    plan = make_plan([LayerShape(4, 32), LayerShape(32, 4)], TINY, "unfolded")
    plan.program(16, 1)
    with pytest.raises(UsageError, match="17 steps .* 136 words .* at most 16 steps"):
        plan.program(17, 1)
