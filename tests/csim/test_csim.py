"""What csim does beside the bits of tests/rtl/test_levels.py; g++ is all it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cases import KERNELS, draw
from lstm_sharp.errors import EngineError
from lstm_sharp.runtime import engines

pytestmark = pytest.mark.csim

TINY = KERNELS["tiny"]
CASE = draw(TINY, 200, kinds=("forward",), lengths=(5,), state=False, give=False)
"""One layer, one sequence, no state."""


def test_starving_engine_is_told_not_awaited() -> None:
    load, good = CASE.runs()
    with pytest.raises(EngineError, match="run 2: the engine waits for x"):
        engines.play(engines.build("csim", TINY), [load, replace(good, x=good.x[:-8])])


def test_loading_and_using_in_one_program() -> None:
    """A tile may be used D slots after it was loaded."""
    load, good = CASE.runs()
    (_, _, loads), (_, _, program) = CASE.programs()
    first, *rest = program.instructions
    first = replace(first, nops=TINY.tail)
    both = replace(program, instructions=(*loads.instructions, first, *rest))
    run = replace(good, program=both.encode(TINY), weights=load.weights)
    (result,) = engines.play(engines.build("csim", TINY), [run])
    engines.check(TINY, run, result)
    assert not CASE.differs(lambda *_: [result, result])
