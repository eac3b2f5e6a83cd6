"""Tile shapes on csim: a shape for each range of rows, drawn anew, equals golden in every bit."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.program import Instruction, Program, Source
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import csim
from lstm_sharp.flow.jobs import Run
from lstm_sharp.runtime import engines
from shapes_by_hand import make

pytestmark = pytest.mark.csim

_TINY = config.load("tiny").of("hls")
_SIZES = {"max_input": 40, "max_hidden": 40, "chains": 2, "bias_blocks": 128}
ENGINES = {
    "doubled": config.resized(
        _TINY, name="doubled", rows=4, columns=8, k_list=(4, 8, 16), **_SIZES
    ),
    "skipping": config.resized(
        _TINY, name="skipping", rows=8, columns=16, lanes=2, k_list=(8, 16, 64), **_SIZES
    ),
    # A turn is wider than a segment, and the memories' border lies inside of one.
    "narrow": config.resized(
        _TINY, name="narrow", rows=16, columns=4, lanes=2, k_list=(16, 64), **_SIZES
    ),
    "two-memories": config.resized(
        _TINY, name="two-memories", rows=16, columns=8, uram_columns=3, k_list=(16, 64), **_SIZES
    ),
}


@lru_cache
def executable(engine: str, variant: csim.Variant = csim.RELEASE) -> Path:
    return csim.build(ENGINES[engine], Path("build"), variant)


def marks(engine: str) -> list[pytest.MarkDecorator]:
    """Leave all builds but those of the first engine to make test-all."""
    return [] if engine == next(iter(ENGINES)) else [pytest.mark.slow]


@pytest.mark.parametrize(
    ("engine", "variant"),
    [
        pytest.param(engine, variant, marks=marks(engine))
        for engine in ENGINES
        for variant in csim.VARIANTS
        if engine == "two-memories" or variant in (csim.RELEASE, csim.DEBUG)
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_any_shapes_equal_golden_in_every_bit(engine: str, variant: csim.Variant) -> None:
    for seed in range(40):
        case = make(ENGINES[engine], seed)
        _, result = engines.play(executable(engine, variant), [case.load, case.run])
        case.check(result)
        assert result.cycles == sum(i.slots(case.cfg) for i in case.program.walk())


@pytest.mark.parametrize(
    "engine", [pytest.param(engine, marks=marks(engine)) for engine in ENGINES]
)
def test_no_distance_is_longer_than_a_shape_needs(engine: str) -> None:
    """The debug build finds each read that is one slot too early, of every shape."""
    shapes = set()
    for seed in range(12):
        case = make(ENGINES[engine], seed)
        for number, waits in enumerate(case.waits):
            if waits:
                with pytest.raises(UsageError, match="slots after the slot that wrote it"):
                    engines.play(executable(engine, csim.DEBUG), case.hasty(number))
                shapes.add(case.program.instructions[number].shape)
    assert shapes == set(range(len(ENGINES[engine].tile_shapes)))


REFUSED = {
    "shape": {"shape": 3},
    "row between": {"shape": 1, "row_first": 1, "bias_base": 1},
    "biases of another bank": {"shape": 0, "bias_base": 1},
    "column between": {"shape": 1, "col_first": 1},
    "bands": {"shape": 2, "rows": 21},
    "biases": {"shape": 2, "row_first": 0, "bias_base": 124, "rows": 2},
    "segments": {"shape": 1, "cols": 21},
    "one gate": {"by_gate": True},
    "row blocks four apart": {"one_gate": True},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_shape_can_be_is_refused(what: str) -> None:
    fine = Instruction(source=Source.H, rows=1, cols=1)
    cfg, program = ENGINES["doubled"], executable("doubled")
    for changes, status in (({}, 0), (REFUSED[what], 2)):
        words = Program((replace(fine, **changes),)).encode(cfg)
        assert engines.play(program, [Run(words)])[0].status == status
