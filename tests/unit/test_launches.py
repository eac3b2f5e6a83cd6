"""Starts: batches cut into programs, of one group or of several, and the golden model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import START_CYCLES, random_model
from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.launches import Call, Launcher, plan_launches
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import make_plan
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.engine.program import MAX_INSTRUCTIONS
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.numerics import golden
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.deploy import Stage

TINY = config.load("tiny").of("hls")
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=20).map(tuple)


def _plan(
    directions: int = 1, chains: int = 4, levels: int = 1, cfg: Config = TINY, words: int = 512
) -> Plan:
    cfg = resized(cfg, chains=chains, sequence_words=words)
    shapes = [LayerShape(6, 5)] + [LayerShape(5 * directions, 5)] * (directions * levels - 1)
    if directions == 2:
        shapes = [LayerShape(6, 5)] * 2
    return make_plan(shapes, cfg, "best", directions)


@settings(max_examples=30, deadline=None)
@given(
    LENGTHS,
    st.sampled_from([(1, 1, 512), (2, 1, 512), (1, 2, 512), (1, 2, 26)]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([2, 4]),
)
def test_starts_hold_each_sequence_once(
    lengths: tuple[int, ...],
    kind: tuple[int, int, int],
    with_state: bool,
    give: bool,
    chains: int,
) -> None:
    directions, levels, words = kind
    plan = _plan(directions, chains, levels, words=words)
    paid: list[int] = []
    for start_cycles in START_CYCLES:
        launches = plan_launches(plan, Call(lengths, with_state, give, Launcher(start_cycles)))
        found = [
            index for launch in launches for g in launch for index in g.sequences if index >= 0
        ]
        assert sorted(found) == list(range(len(lengths)))
        for g in (g for launch in launches for g in launch):
            own = [
                [lengths[i] if i >= 0 else n for i, n in zip(row, g.lengths)] for row in g.indices
            ]
            assert all(a <= n for row in own for a, n in zip(row, g.lengths))
            if give or directions == 2:
                assert all(row == list(g.lengths) for row in own)
        for launch in launches:
            plan.program_of(launch, with_state, give).encode(plan.cfg)
            assert start_cycles or len(launch) == 1
        paid.append(len(launches))
    assert paid == sorted(paid, reverse=True)


@settings(max_examples=20, deadline=None)
@given(LENGTHS, st.sampled_from([1, 2]), st.booleans(), st.sampled_from(START_CYCLES[1:]))
def test_starts_cost_less_than_groups(
    lengths: tuple[int, ...], directions: int, give: bool, start_cycles: int
) -> None:
    plan = _plan(directions)

    def cost(launches: Sequence) -> int:
        programs = [plan.program_of(launch, False, give) for launch in launches]
        return sum(cycles.predict(plan.cfg, p).cycles + start_cycles for p in programs)

    together = plan_launches(plan, Call(lengths, False, give, Launcher(start_cycles)))
    apart = plan_launches(plan, Call(lengths, False, give))
    alone = [plan_launches(plan, Call((n,), False, give))[0] for n in lengths]
    assert cost(together) <= 1.01 * cost(apart)  # the choice is by cycles a step, not to the cycle
    assert cost(together) <= 1.01 * cost(alone)


@pytest.mark.parametrize(
    ("directions", "lengths", "state", "give"),
    [
        (1, (5,) * 64, False, False),
        (1, (5,) * 9, True, True),
        (2, (5,) * 9, True, True),
        (2, (7,) * 33, False, True),
        (1, tuple(range(1, 60)), False, False),
        (1, tuple(range(1, 60)), True, False),
        (1, tuple(range(20, 2, -1)), True, True),
        (2, tuple(range(1, 9)), False, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("levels", [1, 2])
def test_one_start_where_there_can_be_one(
    directions: int, lengths: tuple[int, ...], state: bool, give: bool, levels: int
) -> None:
    levels = 1 if directions == 2 or give else levels
    plan = _plan(directions, levels=levels)
    (launch,) = plan_launches(plan, Call(lengths, state, give, Launcher(10**9)))
    assert len(plan.program_of(launch, state, give).encode(plan.cfg)) > 0
    assert (
        len(plan_launches(plan, Call(lengths, state, give))) == 1 or len(set(lengths)) > 1 or give
    )


def test_a_small_cost_joins_what_a_smaller_one_leaves_apart() -> None:
    plan, lengths = _plan(), (12, 11, 10, 9, 3, 2, 2, 1)
    counts = [
        len(plan_launches(plan, Call(lengths, False, True, Launcher(cost))))
        for cost in (0, 1, 10**9)
    ]
    assert counts[0] > counts[1] == counts[2] == 1
    far = (1000,) * 4 + (1,) * 4
    assert (
        len(plan_launches(plan, Call(far, False, False, Launcher(1)))) == 1
    )  # listed, and not run on for long
    (launch,) = plan_launches(plan, Call(far, False, False, Launcher(1)))
    assert [g.lengths[0] for g in launch] == [1000, 1]


def test_more_than_the_window_holds_is_cut() -> None:
    plan, lengths = _plan(), tuple(range(1, 41))
    launches = plan_launches(plan, Call(lengths, True, True, Launcher(10**9)))
    counts = [len(plan.program_of(s, True, True).instructions) for s in launches]
    assert len(launches) == 2 and max(counts) <= MAX_INSTRUCTIONS < sum(counts)


@settings(max_examples=20, deadline=None)
@given(LENGTHS, st.booleans(), st.integers(40, 200), st.sampled_from(START_CYCLES))
def test_no_start_gives_more_h_than_it_may(
    lengths: tuple[int, ...], give: bool, most: int, start_cycles: int
) -> None:
    plan = _plan()
    launches = plan_launches(plan, Call(lengths, give, give, Launcher(start_cycles, most)))
    assert all(pack.h_beats(plan, launch, give) <= most for launch in launches)
    found = [index for launch in launches for g in launch for index in g.sequences if index >= 0]
    assert sorted(found) == list(range(len(lengths)))


def test_a_sequence_that_gives_too_much_h_is_refused() -> None:
    plan = _plan()
    one = pack.vector_beats(plan.layers[0], plan.cfg)
    state = pack.h_beats(plan, plan_launches(plan, Call((1,), False, True))[0], True) - one
    said = f"10 steps takes {10 * one + state} beats, .* {9 * one + state} at most; .* 9 steps"
    with pytest.raises(UsageError, match=said):
        plan_launches(plan, Call((3, 10), True, True, Launcher(0, 9 * one + state)))
    plan_launches(plan, Call((3, 9), True, True, Launcher(0, 9 * one + state)))


def test_arrays_and_lists_of_any_integers_are_packed_alike() -> None:
    rng = np.random.default_rng(1)
    for kind, size in (("W8A16", np.int16), ("W8A8", np.int8)):
        plan = _plan(cfg=TINY.with_format(kind))
        x = rng.integers(-128, 128, (9, 5, 6))
        (launch,) = plan_launches(plan, Call((5,) * 9, False, False, Launcher(10**9)))
        wanted = pack.x_beats(list(x), plan, launch)
        for given_x in (x, x.astype(size), np.asfortranarray(x, np.int32), x[:, ::-1][:, ::-1]):
            assert np.array_equal(pack.x_beats(given_x, plan, launch), wanted)
        room = np.zeros(len(wanted), np.uint8)
        assert pack.x_beats(x.astype(size), plan, launch, lambda _, room=room: room) is room
        assert np.array_equal(room, wanted)


@pytest.mark.csim
def test_a_player_may_keep_weights_to_itself() -> None:
    rng = np.random.default_rng(2)
    model = random_model(rng, TINY.fmt, ["reverse", "both"], [3, 4, 5], TINY.max_shift, False)
    stages = deploy.deploy(model, TINY, "best", 4)
    x = rng.integers(-9, 9, (6, 4, 3)).astype(np.int16)
    csim = engines.build("csim", TINY)

    def play(stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        assert len(runs) == 1
        return engines.play(csim, [stage.load(), *runs])[1:]

    h, after, _ = deploy.run(stages, x, None, True, play, Launcher(10**9))
    wanted, left = golden.run(model, x)
    assert isinstance(h, np.ndarray) and h.dtype == np.int16 and np.array_equal(h, wanted)
    assert after is not None
    assert np.array_equal(after[0], left.h) and np.array_equal(after[1], left.c)
