"""Tiles of several shapes: programs written by hand, each rectangle with a shape of its own.

No compiler takes part. No-op slots are the fewest that tests/slots.py lets pass, so that what the
engines check of themselves sees every distance at its least.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import compilers
from cases import ENGINES, engine
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Op, Status
from lstm_sharp.errors import EngineError
from lstm_sharp.flow import csim
from lstm_sharp.runtime import engines
from shapes_by_hand import make
from slots import TooEarly, check, decoded

_TINY = engine("tiny", "max_input=40 max_hidden=40 bias_blocks=128 chains=2")


MORE = [
    # Gang 4 is missing; two lanes; a band finishes in one turn
    engine("raw-lanes", "rows=8 columns=16 k_list=8,16,64 lanes=2", _TINY),
    # A segment is one element; a turn is wider; the memories' border lies inside of one
    engine("raw-narrow", "rows=16 columns=4 k_list=16,64 lanes=2 max_shift=14", _TINY),
    # A segment takes two levels, of which a span of two takes no more
    engine("raw-deep", "rows=4 columns=32 k_list=4,8,16 max_shift=10", _TINY),
    engine("raw-two-memories", "rows=16 columns=8 k_list=16,64 uram_columns=3", _TINY),
]
RTL = [pytest.mark.rtl, pytest.mark.sv]
SOME = [
    pytest.param(ENGINES["shapes"]),
    *(pytest.param(cfg, marks=pytest.mark.slow) for cfg in MORE),
]
VARIANTS = [
    pytest.param(v, marks=[] if v is csim.RELEASE else pytest.mark.slow) for v in compilers.VARIANTS
]

TOLD = {"rtl": ("D", "D_acc", "P", Op.GIVE_STATE.name), "csim": ("D", "D_acc")}
"""What an engine sees of slots that come too early."""
OFTEN = 8
"""Times that a lack is tried, of each kind and shape."""


def played(executable: Path, cfg: Config, first: int, *options: str) -> None:
    for case in (make(cfg, seed) for seed in range(first, first + 30)):
        _, result = engines.play(executable, [case.load, case.run], options=options)
        case.check(result)
        if cfg.engine == "hls":
            assert result.cycles == sum(i.slots(cfg) for i in case.program.walk())


def named(value: object) -> str | None:
    return getattr(value, "name", None)


@pytest.mark.rtl
@pytest.mark.sv
@pytest.mark.parametrize("cfg", SOME, ids=named)
@pytest.mark.parametrize("stall", [(), ("--stall", "7")], ids=["fast", "stalled"])
def test_rtl(cfg: Config, stall: tuple[str, ...]) -> None:
    played(engines.build("rtl", cfg), cfg, 100 * len(stall), *stall)


@pytest.mark.csim
@pytest.mark.parametrize("cfg", SOME, ids=named)
@pytest.mark.parametrize("variant", VARIANTS, ids=named)
def test_csim(cfg: Config, variant: csim.Variant) -> None:
    cfg = cfg.of("hls")
    played(csim.build(cfg, Path("build"), variant), cfg, 0)


HASTY = [
    *(pytest.param("rtl", *p.values, marks=[*RTL, *p.marks]) for p in SOME),
    *(pytest.param("csim", *p.values, marks=[pytest.mark.csim, *p.marks]) for p in SOME),
]


@pytest.mark.parametrize(("backend", "cfg"), HASTY, ids=named)
def test_every_no_op_slot_is_needed(backend: str, cfg: Config) -> None:
    """A program that lacks one is told where, and csim which read is too early by how much."""
    cfg, seen = cfg.of(engines.kind(backend)), Counter[tuple[str, int]]()
    executable = engines.build(backend, cfg)
    less = (s.passes - cfg.most_passes for s in cfg.tile_shapes)
    distances = cfg.acc_distance, *(cfg.tail + passes for passes in less)
    complaints = [f"{d - 1} slots after it was written; {d} are promised" for d in distances]
    sums = {("D_acc", shape) for shape in range(len(cfg.tile_shapes))}
    for seed in range(400):  # lanes are seldom waited for
        if seed >= 8 and {why for why, _ in seen} == set(TOLD[backend]) and sums <= set(seen):
            break
        case = make(cfg, seed)
        order = case.program.instructions
        for number, why in enumerate(case.why):
            what = why, order[number].shape
            # Where fetch has to pause anyway, a no-op slot may make no difference.
            if why not in TOLD[backend] or seen[what] == OFTEN or order[number - 1].slots(cfg) == 1:
                continue
            hasty = case.hasty(number)
            with pytest.raises(TooEarly, match=f"{why}: 1 slots"):
                check(cfg, decoded(hasty[1].program))
            try:
                result = engines.play(executable, hasty)[1]
                told = result.status & 0xFFFF == Status.DISTANCE | number << 8
            except EngineError as error:
                told, result = str(error).partition(" only ")[2] in complaints, None
            if told:
                seen[what] += 1
            else:  # D is that of all that was written, and may be more than what is read needs
                assert why in ("D", Op.GIVE_STATE.name) and result
                case.check(result)
    assert sums <= set(seen)
    assert {why for why, _ in seen} == set(TOLD[backend])
