"""golden = csim in every bit, and every program error has its status; g++ is all it takes."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from cases import Case, draw
from lstm_sharp.engine import config
from lstm_sharp.engine.program import HEADER, INSTRUCTION, STRIDE, Field, Op, Program
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.jobs import Result, Run
from lstm_sharp.runtime import engines

pytestmark = pytest.mark.csim

_TINY = config.load("tiny").of("hls")
ENGINES = {
    "tiny": _TINY,
    "smallest": config.resized(_TINY, name="smallest", rows=4, columns=2, format="W16A16"),
    "one-column": config.resized(_TINY, name="one-column", rows=4, columns=1, max_shift=0),
    "wide-1": config.resized(_TINY, name="wide-1", rows=16, columns=2, max_shift=15),
    "wide-2": config.resized(_TINY, name="wide-2", rows=16, columns=2, lanes=2, format="W8A8"),
    "square": config.resized(
        _TINY,
        name="square",
        rows=16,
        columns=4,
        lanes=4,
        max_input=9,
        max_hidden=9,
        format="W16A16",
        stream_bits=128,
    ),
    "pynq-z2": config.load("pynq-z2").of("hls"),
}


@lru_cache
def executable(engine: str) -> Path:
    return engines.build("csim", ENGINES[engine])


@pytest.mark.parametrize("engine", ENGINES)
def test_equals_golden_in_every_bit(engine: str) -> None:
    cfg = ENGINES[engine]
    for case in (draw(cfg, seed) for seed in range(100, 124)):
        differs, taken = case.play(executable(engine))
        assert not differs, differs
        slots = [p.encode(cfg)[HEADER["slots"].word] for _, _, p in case.programs()]
        assert taken == slots, str(case)


def test_null_program_tells_who_is_there() -> None:
    result = play("tiny", Run(Program(()).encode(_TINY)))
    assert (result.status, result.identity, result.cycles) == (0, _TINY.identity, 0)
    assert result.h_bytes.size == 0


@pytest.mark.parametrize(
    "changes", [{"magic": 0x4C54}, {"instructions": 128}], ids=lambda c: next(iter(c))
)
def test_wrong_header_is_status_1(changes: dict[str, int]) -> None:
    assert play_bad("tiny", changes) == 1


TOO_FAR = {
    "no row": {"rows": 0},
    "no column": {"cols": 0},
    "row": {"row_first": _TINY.chain_blocks},
    "rows": {"rows": 0xFFFF},
    "column": {"col_first": _TINY.x_columns},
    "start": {"start": 3},
    "bias": {"bias_base": _TINY.bias_blocks},
    "x_shift": {"x_shift": _TINY.max_shift + 1},
    "h_word": {"h_word": _TINY.h_words},
    "h_lane": {"h_lane": _TINY.columns},
    "loop_back": {"loop_back": 1},
    "tiles": {"op": Op.LOAD_WEIGHTS, "rows": _TINY.weight_tiles + 1},
    "biases": {"op": Op.LOAD_BIAS, "rows": 1, "bias_base": _TINY.bias_blocks},
    "states": {"op": Op.LOAD_STATE, "rows": _TINY.groups + 1},
    "states from": {"op": Op.GIVE_STATE, "rows": 1, "row_first": _TINY.chain_blocks},
    "states given": {
        "op": Op.GIVE_STATE,
        "rows": _TINY.passes + 1,
        "row_first": _TINY.chain_blocks - 1,
    },
    "word of states": {"op": Op.LOAD_STATE, "rows": 1, "h_word": _TINY.h_words},
    **{f"op {op}": {"op": op, "rows": 1} for op in range(max(Op) + 1, 8)},
}


@pytest.mark.parametrize("what", TOO_FAR)
def test_instruction_out_of_range_is_status_2(what: str) -> None:
    assert play_bad("tiny", {}, TOO_FAR[what]) == 2


def test_status_names_the_first_instruction_out_of_range() -> None:
    case = plain_case("tiny")
    words = case.runs()[1].program
    last = int(words[HEADER["instructions"].word] & 0xFFFF) - 1
    bad = changed(words, {}, {"rows": 0}, last)
    assert play("tiny", Run(bad)).status == 2 | last << 8


def test_lane_that_no_group_begins_at_is_status_2() -> None:
    assert play_bad("wide-2", {}, {"h_lane": 1}) == 2


@pytest.mark.parametrize("more", [-1, 1])
def test_wrong_count_of_x_words_is_status_3(more: int) -> None:
    case = plain_case("tiny")
    good = case.runs()[1]
    words = int(good.program[HEADER["x_words"].word]) + more
    x = np.resize(good.x, words * _TINY.word_beats * _TINY.stream_bits // 8)
    assert play_bad("tiny", {"x_words": words}, x=x) == 3


@pytest.mark.parametrize("engine", ["tiny", "wide-1"])
def test_too_few_slots_are_status_3(engine: str) -> None:
    """One is too few, though turns of the lanes follow the last slot."""
    slots = int(plain_case(engine).runs()[1].program[HEADER["slots"].word])
    for fewer in (0, 1, slots // 2, slots - 2, slots - 1):
        assert play_bad(engine, {"slots": fewer}) == 3


def test_running_past_the_weights_is_status_4() -> None:
    assert play_bad("tiny", {}, {"weight_base": _TINY.weight_tiles - 1}) == 4


def test_starving_engine_is_told_not_awaited() -> None:
    case = plain_case("tiny")
    load, good = case.runs()
    with pytest.raises(UsageError, match="run 2: the engine waits for x"):
        engines.play(executable("tiny"), [load, replace(good, x=good.x[:-8])])


def test_broken_distance_is_found() -> None:
    case = plain_case("tiny")
    hasty = tuple(replace(i, nops=0) for i in program_of(case).instructions)
    load, good = case.runs()
    bad = replace(good, program=replace(program_of(case), instructions=hasty).encode(_TINY))
    with pytest.raises(UsageError, match="slots after it was written"):
        engines.play(executable("tiny"), [load, bad])


def test_loading_and_using_in_one_program() -> None:
    """A tile may be used D slots after it was loaded."""
    case = plain_case("tiny")
    load, good = case.runs()
    first, *rest = program_of(case).instructions
    loads = case.stages[0].plan.load_program().instructions
    both = replace(program_of(case), instructions=(*loads, replace(first, nops=_TINY.tail), *rest))
    run = replace(good, program=both.encode(_TINY), weights=load.weights)
    result = play("tiny", run)
    engines.check(_TINY, run, result)
    assert not case.differs(lambda *_: [result, result])


@lru_cache
def plain_case(engine: str) -> Case:
    """One layer, one sequence, no state."""
    return draw(ENGINES[engine], 200, kinds=("forward",), lengths=(5,), state=False, give=False)


def program_of(case: Case) -> Program:
    """The one program of a plain case beside the load."""
    _, (_, _, program) = case.programs()
    return program


def play(engine: str, run: Run) -> Result:
    return engines.play(executable(engine), [run])[0]


def play_bad(
    engine: str,
    header: dict[str, int],
    instruction: dict[str, int] | None = None,
    x: np.ndarray | None = None,
) -> int:
    """Play a program with changes in its header and first instruction; return the status.

    Before it the weights are loaded, and after it the engine must still give the right result.
    """
    case = plain_case(engine)
    load, good = case.runs()
    program = changed(good.program, header, instruction or {}, 0)
    bad = replace(good, program=program, x=good.x if x is None else x)
    loaded, wrong, right = engines.play(executable(engine), [load, bad, good])
    assert not case.differs(lambda *_: [loaded, right])
    assert right.status == 0
    assert wrong.status >> 8 == 0  # instruction 0, or none
    if wrong.status in (1, 2):
        assert wrong.cycles == 0
        assert wrong.h_bytes.size == 0
    return wrong.status


def changed(
    words: np.ndarray, header: dict[str, int], instruction: dict[str, int], number: int
) -> np.ndarray:
    """Copy an encoded program with some fields overwritten."""
    words = words.copy()
    for at, layout, values in ((0, HEADER, header), (1 + number, INSTRUCTION, instruction)):
        for name, value in values.items():
            put(words[at * STRIDE : (at + 1) * STRIDE], layout[name], value)
    return words


def put(line: np.ndarray, field: Field, value: int) -> None:
    mask = ((1 << field.width) - 1) << field.lsb
    line[field.word] = (int(line[field.word]) & ~mask) | value << field.lsb
