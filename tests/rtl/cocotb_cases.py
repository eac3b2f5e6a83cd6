"""What cocotb tests run: small random models, their programs and what must come out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lstm_sharp.compiler import cycles, pack, weights
from lstm_sharp.compiler.group import Group, group
from lstm_sharp.compiler.hls import hls_cycles
from lstm_sharp.compiler.schedule import Plan, make_plan, shapes_of
from lstm_sharp.engine import config
from lstm_sharp.engine.program import HEADER, INSTRUCTION, STRIDE, Program
from lstm_sharp.flow import hls_rtl
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import QuantModel, quantize

CFG = config.load("tiny").of(hls_rtl.engine())
HLS = hls_rtl.chosen()
SEED = int(os.environ.get("LSTM_SHARP_SEED", "1"))
NULL = Program(())
BEAT = CFG.stream_bits // 8


def rng(*place: int) -> np.random.Generator:
    """Random numbers that depend on the seed of the run and on the place that asks."""
    return np.random.default_rng([SEED, *place])


def pauses(density: float, *place: int) -> Iterator[bool]:
    """For set_pause_generator: pause so often."""
    random = rng(*place)
    while True:
        yield from (random.random(256) < density).tolist()


def model_cycles(program: Program) -> int:
    """Cycles by the cycle model; those of HLS RTL are predicted, not promised."""
    return hls_cycles(CFG, program) if HLS else cycles.predict(CFG, program).cycles


def least_cycles(program: Program) -> int:
    """Cycles before which a program is not done."""
    return int(program.encode(CFG)[HEADER["slots"].word]) if HLS else model_cycles(program)


def put(words: np.ndarray, name: str, value: int, instruction: int | None = None) -> np.ndarray:
    """Return the words of a program with a field of the header, or of an instruction, changed."""
    field = (HEADER if instruction is None else INSTRUCTION)[name]
    at = field.word + (0 if instruction is None else STRIDE * (instruction + 1))
    mask = ((1 << field.width) - 1) << field.lsb
    words = words.copy()
    words[at] = int(words[at]) & ~mask | value << field.lsb
    return words


@dataclass(frozen=True)
class Case:
    """A model, what it is run on in one program, and what must come out."""

    model: QuantModel
    plan: Plan
    group: Group
    program: Program
    xs: list[np.ndarray]  # (T, X) each, integers
    state: golden.State | None
    give: bool

    @property
    def weights(self) -> np.ndarray:
        """Beats of the load program."""
        return weights.weight_beats(self.model, self.plan)

    @property
    def states(self) -> np.ndarray:
        """Beats that the run takes from the weight stream."""
        if self.state is None:
            return np.zeros(0, np.uint8)
        return pack.state_beats(self.state, self.plan, (self.group,))

    @property
    def x_beats(self) -> np.ndarray:
        """Beats of x."""
        return pack.x_beats(self.xs, self.plan, (self.group,))

    @property
    def step_beats(self) -> int:
        """Beats of one step's h of one chain."""
        return pack.vector_beats(self.plan.layers[-1], CFG)

    def check(self, h: np.ndarray) -> None:
        """Compare the beats of the h stream with the golden model, bit for bit."""
        start, lengths = (self.group,), [len(x) for x in self.xs]
        assert len(h) == pack.h_beats(self.plan, start, self.give) * BEAT
        hs = pack.empty_h(self.plan, lengths)
        after = golden.State.zeros(self.model, len(lengths)) if self.give else None
        pack.unpack_h(h, self.plan, start, hs, after)
        for index, found in enumerate(hs):
            start = self.state and golden.State(*(v[:, [index]] for v in vars(self.state).values()))
            right, left = golden.run(self.model, self.xs[index][None], start)
            np.testing.assert_array_equal(found, right[0])
            if after is not None:
                np.testing.assert_array_equal(after.h[:, index], left.h[:, 0])
                np.testing.assert_array_equal(after.c[:, index], left.c[:, 0])
        if not self.give:  # nothing but h: the last beat of each is filled with zeros
            size = CFG.fmt.activation_bits // 8
            steps = h.reshape(-1, self.step_beats * BEAT)
            assert not steps[:, self.plan.layers[-1].neurons(CFG) * size :].any()


def make_case(
    schedule: str,
    *place: int,
    sizes: tuple[int, ...] = (),
    lengths: tuple[int, ...] = (),
    repeats: int = 0,
    state: bool | None = None,
    give: bool | None = None,
) -> Case:
    """Draw a small model and its input.

    Args:
        schedule: of the program.
        place: see ``rng``.
        sizes: X, then H of each level; without them, one of three models is bidirectional.
        lengths: steps of the sequences side by side, descending.
        repeats: such groups, one after the other.
        state: whether they begin with a state.
        give: whether the program gives their states.
    """
    random = rng(*place)
    both = not sizes and random.random() < 0.3
    sizes = sizes or tuple(random.integers(1, 14, 2 if both else random.integers(2, 4)).tolist())
    if not lengths:
        beside = random.integers(1, CFG.chains // (1 + both) + 1)
        drawn = random.choice(random.integers(1, 7, 2), beside)
        lengths = tuple(sorted(drawn.tolist(), reverse=True))
    repeats = repeats or int(random.integers(1, 4))
    cells = tuple(
        Layer(*(random.normal(0, 0.8, s) for s in ((4 * h, x), (4 * h, h), (4 * h,))), reverse)
        for x, h in zip(sizes, sizes[1:])
        for reverse in (False, True)[: 1 + both]
    )
    xs = [random.normal(0, 1, (steps, sizes[0])) for steps in lengths * repeats]
    directions = (1 + both,) * (len(sizes) - 1)
    whole = Model(cells, directions=directions)
    typical = np.concatenate([*xs, *(-x for x in xs)])  # one value alone would tell no scale
    model = quantize(whole, CFG.fmt, typical, CFG.max_shift)
    start = None
    if random.random() < 0.4 if state is None else state:
        shape = (len(cells), len(xs), max(sizes[1:]))
        h, c = random.uniform(-1, 1, shape), random.normal(0, 2, shape)
        start = golden.State(*model.quantize_state(h, c))
    give = bool(random.random() < 0.4) if give is None else give
    plan = make_plan(shapes_of(model), CFG, schedule, directions)
    program = plan.program(lengths, repeats, start is not None, give)
    integers = [model.quantize_input(x) for x in xs]
    return Case(model, plan, group(lengths, repeats), program, integers, start, give)


def unrolled(case: Case, most: int) -> Case:
    """Return a case of one sequence with its loops written out, and as many steps as then fit."""
    while True:
        flat = tuple(replace(i, repeats=0, loop_back=0) for i in case.program.walk())
        if len(flat) <= most:
            return replace(case, program=replace(case.program, instructions=flat))
        (x,) = case.xs
        fewer = group((len(x) - 1,))
        program = case.plan.program(fewer.lengths, 1, case.state is not None, case.give)
        case = replace(case, xs=[x[:-1]], group=fewer, program=program)
