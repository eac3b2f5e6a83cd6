"""Chains: random plans and groups on the slot machine in plain Python, and the golden model."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import any_engine, draw
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.distances import FETCH_EVERY
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.launches import Call, plan_launches
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan
from lstm_sharp.engine import config
from lstm_sharp.engine.program import Op
from lstm_sharp.errors import UsageError
from slots import TooEarly, check

TINY = config.load("tiny")


@pytest.mark.parametrize("seed", range(60))
def test_distances_are_kept(seed: int) -> None:
    case = draw(any_engine(seed), seed)
    for stage, start, program in case.programs():
        check(case.cfg, program, case.schedule if start else "elementwise")
        taken = cycles.predict(case.cfg, program).cycles
        assert start is None or taken >= stage.plan.lower_bound(start)


@pytest.mark.parametrize("seed", range(40))
def test_one_chain_has_no_no_op_slot_too_many(seed: int) -> None:
    cfg = any_engine(seed, chains=1)
    case = draw(cfg, seed, kinds=("forward",) * (1 + seed % 3), chains=1)
    for program in (program for _, start, program in case.programs() if start):
        for place, i in enumerate(program.instructions):
            paused = i.op == Op.TILES and i.nops + i.rows * i.row_slots(cfg) == FETCH_EVERY
            if i.nops and not paused:
                fewer = list(program.instructions)
                fewer[place] = replace(i, nops=i.nops - 1)
                with pytest.raises(TooEarly):
                    check(cfg, replace(program, instructions=tuple(fewer)), case.schedule)


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(1, 32),
    h=st.integers(1, 32),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    repeats=st.integers(1, 3),
    both=st.booleans(),
    seed=st.integers(0, 99),
)
def test_each_schedule_is_no_slower_than_the_one_before(
    x: int, h: int, lengths: list[int], repeats: int, both: bool, seed: int
) -> None:
    cfg = any_engine(seed, chains=4 * (1 + both))
    if several := cfg.bands > 1:  # K's, which are chosen for sequences of 16 steps
        lengths, repeats = [16] * len(lengths), 1
    g = group(sorted(lengths, reverse=True), repeats)
    taken = {}
    for name in (*SCHEDULES, "best"):
        plan = make_plan([LayerShape(x, h)] * (1 + both), cfg, name, 1 + both, len(lengths))
        taken[name] = cycles.predict(cfg, plan.program(g.lengths, repeats)).cycles
        assert taken[name] >= plan.lower_bound((g,))
    spare = 0.02 * taken["best"] * several  # for each schedule of its own, before it is cut
    order = [taken[name] for name in (*SCHEDULES, "best")]
    assert all(slower + spare >= faster for slower, faster in pairwise(order)), taken


@pytest.mark.parametrize("seed", range(24))
def test_rounds_that_are_counted_take_as_long_as_walked(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    cfg = any_engine(seed, stream_bits=64 << seed % 3)
    stage, *_ = draw(cfg, seed).stages
    lengths = [45, 18] if len(stage.plan.levels) == 1 and stage.plan.most_sequences > 1 else [5]
    program = stage.plan.program(lengths, 7, seed % 2 == 0)
    counted = cycles.predict(cfg, program)
    monkeypatch.setattr(cycles._Walk, "_skip", None)
    if max(lengths) > 20:
        with pytest.raises(TypeError):
            cycles.predict(cfg, program)
    monkeypatch.setattr(cycles._Walk, "_relative", lambda walk: object())
    assert cycles.predict(cfg, program) == counted


def test_groups_are_smaller_where_the_window_ends() -> None:
    cfg = config.resized(TINY, chains=32)
    plan = make_plan([LayerShape(4, 4)], cfg, "unfolded")
    lengths = list(range(32, 0, -1))
    with pytest.raises(UsageError, match="the window holds 127"):
        plan.program(lengths).encode(cfg)
    groups = [g for (g,) in plan_launches(plan, Call(tuple(lengths)))]
    assert 1 < len(groups[0].lengths) < 10
    for g in groups:
        plan.program(g.lengths, g.repeats, True, True).encode(cfg)


def test_a_chain_leaves_when_its_sequence_ends() -> None:
    plan = make_plan([LayerShape(4, 4)], TINY, "unfolded")
    program = plan.program([5, 2, 2, 1])
    assert sum(i.finish for i in program.walk()) == 10
    assert sum(i.step for i in program.walk()) == 5
    give = [i for i in plan.program([3, 1], give_state=True).walk() if i.op == Op.GIVE_STATE]
    assert [i.row_first for i in give] == [2, 0]


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([1] * 5, "5 sequences do not run side by side, tiny takes 1 to 4"),
        ([], "0 sequences"),
        ([3, 0], "a sequence of 0 steps"),
        ([1, 2], r"lengths \(1, 2\) must descend"),
    ],
)
def test_groups_that_do_not_run(lengths: list[int], said: str) -> None:
    plan = make_plan([LayerShape(4, 4)], TINY, "unfolded")
    with pytest.raises(UsageError, match=said):
        plan.program(lengths)


def test_bidirectional_layers_that_do_not_fit() -> None:
    pair = [LayerShape(4, 4)] * 2
    with pytest.raises(UsageError, match="run them level by level"):
        make_plan([*pair, LayerShape(8, 4)], TINY, "unfolded", 2)
    with pytest.raises(UsageError, match="takes 2 chains, tiny has 1"):
        make_plan(pair, config.resized(TINY, chains=1), "unfolded", 2)
    with pytest.raises(UsageError, match="3 sequences .* takes 1 to 2"):
        make_plan(pair, TINY, "unfolded", 2).program([1, 1, 1])
