"""What cocotb tests run: small random models, their programs and what must come out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from lstm_sharp.engine import config, cycles, pack
from lstm_sharp.engine.program import HEADER, INSTRUCTION, STRIDE, Program
from lstm_sharp.engine.schedule import Plan, make_plan, shapes_of
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import QuantModel, quantize

CFG = config.load("tiny")
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
    """Cycles by the cycle model."""
    return cycles.predict(CFG, program).cycles


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
    """A model, what it is run on, and what must come out."""

    model: QuantModel
    plan: Plan
    program: Program
    x: np.ndarray  # (sequences, steps, X), integers
    state: golden.State | None

    @property
    def weights(self) -> np.ndarray:
        """Beats of the load program."""
        return pack.weight_beats(self.model, self.plan)

    @property
    def states(self) -> np.ndarray:
        """Beats that the run takes from the weight stream."""
        if self.state is None:
            return np.zeros(0, np.uint8)
        return pack.state_beats(self.model, self.plan, self.state)

    @property
    def x_beats(self) -> np.ndarray:
        """Beats of x."""
        return pack.x_beats(self.x, CFG)

    @property
    def step_beats(self) -> int:
        """Beats of one step's h."""
        return pack.vector_beats(self.plan.layers[-1], CFG)

    def check(self, h: np.ndarray) -> None:
        """Compare beats of h with the golden model, bit for bit; a step's last beat is filled."""
        got = pack.unpack_h(h, self.plan, self.x.shape[0], self.x.shape[1])
        np.testing.assert_array_equal(got, golden.run(self.model, self.x, self.state)[0])
        size = CFG.fmt.activation_bits // 8
        steps = h.reshape(-1, self.step_beats * BEAT)
        assert not steps[:, self.plan.layers[-1].rows * CFG.block * size :].any()


def make_case(
    schedule: str,
    *place: int,
    sizes: tuple[int, ...] = (),
    steps: int = 0,
    batch: int = 0,
    state: bool | None = None,
) -> Case:
    """Draw a small model and its input; ``sizes`` are X, then H of each layer."""
    random = rng(*place)
    sizes = sizes or tuple(random.integers(1, 14, random.integers(2, 4)).tolist())
    steps, batch = steps or int(random.integers(1, 7)), batch or int(random.integers(1, 4))
    layers = tuple(
        Layer(*(random.normal(0, 0.8, s) for s in ((4 * h, x), (4 * h, h), (4 * h,))))
        for x, h in zip(sizes, sizes[1:])
    )
    x = random.normal(0, 1, (batch, steps, sizes[0]))
    model = quantize(Model(layers), CFG.fmt, x, CFG.max_shift)
    start = None
    if random.random() < 0.4 if state is None else state:
        shape = (len(layers), batch, max(sizes[1:]))
        h, c = random.uniform(-1, 1, shape), random.normal(0, 2, shape)
        start = golden.State(*model.quantize_state(h, c))
    plan = make_plan(shapes_of(model), CFG, schedule)
    program = plan.program(steps, batch, start is not None)
    return Case(model, plan, program, model.quantize_input(x), start)


def unrolled(case: Case, most: int) -> Case:
    """Return the case with its loops written out, and as many steps as then fit."""
    while True:
        flat = tuple(replace(i, repeats=0, loop_back=0) for i in case.program.walk())
        if len(flat) <= most:
            return replace(case, program=replace(case.program, instructions=flat))
        x = case.x[:, :-1]
        program = case.plan.program(x.shape[1], x.shape[0], case.state is not None)
        case = replace(case, x=x, program=program)
