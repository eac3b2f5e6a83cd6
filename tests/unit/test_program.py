"""Slot programs: layout, the hand-checked example of docs/slot-program.md, loops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lstm_sharp.compiler.distances import insert_nops
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import make_plan
from lstm_sharp.engine import config
from lstm_sharp.engine.program import (
    HEADER,
    INSTRUCTION,
    Instruction,
    Op,
    Program,
    Source,
    Start,
    Status,
    describe,
    idle_program,
)
from lstm_sharp.errors import UsageError

TINY = config.load("tiny")
EXAMPLE = config.resized(TINY, rows=4, columns=2, max_input=8, max_hidden=8, row_scales=0)


def test_example_of_the_docs() -> None:
    assert (EXAMPLE.tail, EXAMPLE.acc_distance) == (21, 4)
    program = make_plan([LayerShape(3, 2)], EXAMPLE, "unfolded").program([2])
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
    assert words[0] == 2 << 24
    assert words[1] == 0x1234 << 16
    assert words[3] == 0xABCD << 16
    assert words[5] == 0x7F << 24


def test_loops_are_walked() -> None:
    a, b, c, d = (Instruction(rows=n) for n in range(1, 5))
    loop = Instruction(rows=9, repeats=3, loop_back=1)
    order = [i.rows for i in Program((a, b, loop, c, d)).walk()]
    assert order == [1, 2, 9, 2, 9, 2, 9, 3, 4]


def test_a_narrow_row_finishes_no_sooner_than_the_lanes_are_free() -> None:
    cfg = config.resized(EXAMPLE, rows=32, columns=8)
    assert cfg.passes == 8
    row = Instruction(source=Source.ZERO, start=Start.BIAS, finish=True, rows=1)
    wide, narrow = replace(row, cols=9), replace(row, cols=3)
    kept = insert_nops(cfg, [wide, narrow, narrow, wide], "elementwise")
    assert [i.nops for i in kept] == [0, 5, 0, 0]


def test_an_idle_program_takes_as_many_slots_as_it_says() -> None:
    cfg, idle = config.load("tiny"), idle_program(3)
    assert sum(i.slots(cfg) for i in idle.walk()) == 1 << 15
    assert idle.encode(cfg)[HEADER["slots"].word] == 3 << 15


def test_a_status_is_told_in_words() -> None:
    assert describe(Status.WEIGHTS | 7 << 8 | 1 << 16) == (
        "instruction 7 runs past the end of the weight memory (status 4)"
    )
    assert describe(99) == "of a kind that is not known (status 99)"


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="rows = 65536"):
        Program((Instruction(rows=65536),)).encode(TINY)
    with pytest.raises(UsageError, match="holds 127"):
        Program((Instruction(),) * 128).encode(TINY)


def test_long_stack_is_refused_with_the_remedy() -> None:
    plan = make_plan([LayerShape(4, 32), LayerShape(32, 4)], TINY, "unfolded")
    plan.program([16])
    with pytest.raises(UsageError, match="17 steps .* 136 words .* at most 16 steps"):
        plan.program([17])
    plan.program([8, 8])
    with pytest.raises(UsageError, match="9 steps .* 144 words .* at most 8 steps"):
        plan.program([9, 1])
