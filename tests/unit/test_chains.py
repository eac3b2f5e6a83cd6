"""Chains: random plans and groups on the slot machine in plain Python, and the golden model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import random_model
from lstm_sharp.compiler import cycles, pack, weights
from lstm_sharp.compiler.cover import Tiling
from lstm_sharp.compiler.distances import FETCH_EVERY
from lstm_sharp.compiler.group import Group, group
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.schedule import BY_GATE, SCHEDULES, Plan, make_plan, shapes_of
from lstm_sharp.compiler.starts import best_starts
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_INSTRUCTIONS, Op, Program
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.golden import State
from slots import Machine, TooEarly, check

TINY = config.resized(config.load("tiny"), weight_tiles=4096, bias_blocks=256)
SHAPES = [(4, 2, 1), (8, 4, 1), (16, 2, 1), (16, 8, 2), (32, 8, 4), (4, 4, 1)]
LISTS = [(4, 4, 1, (4, 8, 16)), (8, 16, 2, (8, 16, 64)), (4, 12, 1, (4, 8)), (8, 8, 1, (8, 32))]
"""K, N, lanes and all K's of engines with several shapes of tiles."""


def _engine(rng: np.random.Generator, chains: int = 4, gate_blocks: int = 0) -> Config:
    several = [(*shape, ()) for shape in SHAPES]
    if gate_blocks:  # a row block of one gate is K neurons, which a word of h holds or the reverse
        several = [each for each in several if each[1] % each[0] == 0 or each[0] % each[1] == 0]
    else:
        several += LISTS
    rows, columns, lanes, k_list = several[rng.integers(len(several))]
    fmt = str(rng.choice(["W8A16", "W8A8"]))
    return config.resized(
        TINY,
        rows=rows,
        columns=columns,
        lanes=lanes,
        k_list=k_list,
        gate_blocks=gate_blocks,
        chains=chains,
        format=fmt,
        sequence_words=4096,
    )


@dataclass(frozen=True)
class Drawn:
    """Cells on an engine and a group of sequences."""

    cfg: Config
    sizes: list[int]
    directions: tuple[int, ...]
    schedule: str
    group: Group
    with_state: bool
    give_state: bool
    tiling: Tiling
    wavefront: bool | None

    def plan(self, shapes: tuple[LayerShape, ...]) -> Plan:
        how = self.directions, len(self.group.lengths), self.tiling, self.wavefront
        return make_plan(shapes, self.cfg, self.schedule, *how)

    def program(self, plan: Plan) -> Program:
        g = self.group
        return plan.program(g.lengths, g.repeats, self.with_state, self.give_state)


def _draw(seed: int, most: int = 32, chains: int = 4, schedule: str = "") -> Drawn:
    rng = np.random.default_rng(seed)
    if not schedule:
        schedule = str(rng.choice(SCHEDULES if seed % 5 else BY_GATE))
    directions = [(1,), (1,), (2,), (1, 1), (1, 1, 1)][rng.integers(5)]
    if chains == 1:
        directions = (1,) * len(directions)
    sizes = [int(n) for n in rng.integers(1, most + 1, len(directions) + 1)]
    count = int(rng.integers(1, chains // max(directions) + 1))
    lengths = sorted((int(n) for n in rng.integers(1, 7, count)), reverse=True)
    cfg = _engine(rng, chains, int(schedule in BY_GATE))
    k = [None, None, *cfg.k_list][rng.integers(2 + len(cfg.k_list))]
    return Drawn(
        cfg,
        sizes,
        directions,
        schedule,
        group(lengths, int(rng.integers(1, 4))),
        *(bool(b) for b in rng.random(2) < 0.4),
        Tiling(k, bool(rng.random() < 0.7)),
        True
        if schedule in SCHEDULES and count * len(directions) <= chains and rng.random() < 0.5
        else None,
    )


def _shapes(drawn: Drawn) -> tuple[LayerShape, ...]:
    pairs = zip(drawn.sizes, drawn.sizes[1:], drawn.directions)
    return tuple(LayerShape(x, h) for x, h, count in pairs for _ in range(count))


@pytest.mark.parametrize("seed", range(120))
def test_distances_are_kept(seed: int) -> None:
    drawn = _draw(seed)
    check(drawn.cfg, drawn.program(drawn.plan(_shapes(drawn))), drawn.schedule)


@pytest.mark.parametrize("seed", range(60))
def test_one_chain_has_no_no_op_slot_too_many(seed: int) -> None:
    drawn = _draw(seed, chains=1)
    program = drawn.program(drawn.plan(_shapes(drawn)))
    for place, i in enumerate(program.instructions):
        paused = i.op == Op.TILES and i.nops + i.rows * i.row_slots(drawn.cfg) == FETCH_EVERY
        if i.nops and not paused:
            fewer = list(program.instructions)
            fewer[place] = replace(i, nops=i.nops - 1)
            with pytest.raises(TooEarly):
                check(drawn.cfg, replace(program, instructions=tuple(fewer)), drawn.schedule)


@pytest.mark.parametrize("seed", range(60))
def test_machine_gives_golden_bits(seed: int) -> None:
    drawn = _draw(seed, most=12)
    rng, cfg, g = np.random.default_rng(seed), drawn.cfg, drawn.group
    kinds = ["both" if count == 2 else "forward" for count in drawn.directions]
    model = random_model(rng, cfg.fmt, kinds, drawn.sizes, cfg.max_shift, seed % 4 == 0)
    plan = drawn.plan(shapes_of(model))
    half, c_half = 1 << (cfg.fmt.activation_bits - 1), 1 << 23
    x = [rng.integers(-half, half, (n, drawn.sizes[0])) for n in g.lengths * g.repeats]
    shape = (len(model.layers), len(x), max(drawn.sizes[1:]))
    state = State(rng.integers(-half, half, shape), rng.integers(-c_half, c_half, shape))
    machine = Machine(cfg)
    nothing = np.zeros(0, np.uint8)
    machine.run(plan.load_program(), weights.weight_beats(model, plan), nothing)
    states = pack.state_beats(state, plan, (g,)) if drawn.with_state else nothing
    beats = machine.run(drawn.program(plan), states, pack.x_beats(x, plan, (g,)))
    assert len(beats) * 8 == pack.h_beats(plan, (g,), drawn.give_state) * cfg.stream_bits
    hs = pack.empty_h(plan, [len(sequence) for sequence in x])
    after = State.zeros(model, len(x)) if drawn.give_state else None
    pack.unpack_h(beats, plan, (g,), hs, after)
    for n, (sequence, h) in enumerate(zip(x, hs)):
        start = State(state.h[:, [n]], state.c[:, [n]]) if drawn.with_state else None
        wanted, left = golden.run(model, sequence[None], start)
        assert np.array_equal(h, wanted[0])
        for cell, layer in enumerate(model.layers) if after else ():
            assert np.array_equal(
                after.h[cell, n, : layer.hidden_size], left.h[cell, 0][: layer.hidden_size]
            )
            assert np.array_equal(
                after.c[cell, n, : layer.hidden_size], left.c[cell, 0][: layer.hidden_size]
            )


@settings(max_examples=80, deadline=None)
@given(
    x=st.integers(1, 32),
    h=st.integers(1, 32),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    repeats=st.integers(1, 3),
    both=st.booleans(),
    shape=st.sampled_from(SHAPES),
)
def test_each_schedule_is_no_slower_than_the_one_before(
    x: int, h: int, lengths: list[int], repeats: int, both: bool, shape: tuple[int, int, int]
) -> None:
    rows, columns, lanes = shape
    cfg = config.resized(TINY, rows=rows, columns=columns, lanes=lanes, chains=4 * (1 + both))
    g = group(sorted(lengths, reverse=True), repeats)
    taken = {}
    for name in (*SCHEDULES, "best"):
        plan = make_plan([LayerShape(x, h)] * (1 + both), cfg, name, (1 + both,))
        taken[name] = cycles.predict(cfg, plan.program(g.lengths, repeats)).cycles
        assert taken[name] >= plan.lower_bound((g,))
    assert taken["intergate"] >= taken["unfolded"] >= taken["elementwise"] >= taken["best"], taken


@pytest.mark.parametrize("seed", range(40))
def test_rounds_that_are_counted_take_as_long_as_walked(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    drawn = _draw(seed)
    cfg = config.resized(drawn.cfg, stream_bits=64 << seed % 3)
    plan = replace(drawn.plan(_shapes(drawn)), cfg=cfg)
    lengths = [n * 9 for n in drawn.group.lengths] if len(plan.levels) == 1 else [5]
    program = plan.program(lengths, 7, drawn.with_state)
    counted = cycles.predict(cfg, program)
    monkeypatch.setattr(cycles._Walk, "_skip", None)
    if max(lengths) > 20:
        with pytest.raises(TypeError):
            cycles.predict(cfg, program)
    monkeypatch.setattr(cycles._Walk, "_relative", lambda walk: object())
    assert cycles.predict(cfg, program) == counted


@pytest.mark.parametrize("lengths", [[5] * 10, [9, 1, 4, 4, 7], [3], [2, 2, 2, 1], [*range(1, 40)]])
@pytest.mark.parametrize("sizes", [(4, 4), (32, 32)])
def test_groups_hold_each_sequence_once(lengths: list[int], sizes: tuple[int, int]) -> None:
    plan = make_plan([LayerShape(*sizes)], TINY, "best")
    groups = [g for (g,) in best_starts(plan, tuple(lengths))]
    assert sorted(n for g in groups for n in g.sequences) == list(range(len(lengths)))
    for g in groups:
        assert all(tuple(lengths[n] for n in row) == g.lengths for row in g.indices)
        assert len(plan.program(g.lengths, g.repeats, True, True).instructions) <= MAX_INSTRUCTIONS
    taken = sum(cycles.predict(TINY, plan.program(g.lengths, g.repeats)).cycles for g in groups)
    alone = sum(cycles.predict(TINY, plan.program([n])).cycles for n in lengths)
    assert taken <= alone


def test_groups_are_smaller_where_the_window_ends() -> None:
    cfg = config.resized(TINY, chains=32)
    plan = make_plan([LayerShape(4, 4)], cfg, "unfolded")
    lengths = list(range(32, 0, -1))
    with pytest.raises(UsageError, match="the window holds 127"):
        plan.program(lengths).encode(cfg)
    groups = [g for (g,) in best_starts(plan, tuple(lengths))]
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
        make_plan([*pair, LayerShape(8, 4)], TINY, "unfolded", (2, 1))
    with pytest.raises(UsageError, match="takes 2 chains, tiny has 1"):
        make_plan(pair, config.resized(TINY, chains=1), "unfolded", (2,))
    with pytest.raises(UsageError, match="3 sequences .* takes 1 to 2"):
        make_plan(pair, TINY, "unfolded", (2,)).program([1, 1, 1])
