"""What cocotb tests run: small random models, their programs and what must come out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from cases import Case, draw
from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.engine import config
from lstm_sharp.engine.program import C_SATURATED, HEADER, MAX_INSTRUCTIONS, Program
from lstm_sharp.flow import hls_rtl
from lstm_sharp.flow.jobs import Result, Run

CFG = config.load("tiny").of(hls_rtl.engine())
HLS = hls_rtl.chosen()
SEED = int(os.environ.get("LSTM_SHARP_SEED", "1"))
NULL = Program(())
BEAT = CFG.stream_bits // 8
SMALL = 1500
"""Slots of a job whose sizes are drawn, at most."""


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


@dataclass(frozen=True)
class Job:
    """A case that takes one program, as the ports see it."""

    case: Case
    loads: Program
    program: Program
    load: Run
    run: Run

    @property
    def step_beats(self) -> int:
        """Beats of one step's h of one chain."""
        return pack.vector_beats(self.case.stages[0].plan.layers[-1], CFG)

    def check(self, h: np.ndarray, c_saturated: bool | None = None) -> None:
        """Compare the beats of the h stream, and what else is told, with golden, bit for bit."""
        assert len(h) == self.run.h_bytes
        told = self.case.c_saturates if c_saturated is None else c_saturated
        result = Result(told << C_SATURATED, CFG.identity, 0, h, True)
        assert not (differs := self.case.differs(lambda *_: [result])), differs
        if not self.case.give:  # nothing but h: the last beat of each is filled with zeros
            neurons = self.case.stages[0].plan.layers[-1].neurons(CFG)
            steps = h.reshape(-1, self.step_beats * BEAT)
            assert not steps[:, neurons * CFG.fmt.activation_bits // 8 :].any()


def make_job(
    schedule: str,
    *place: int,
    sizes: tuple[int, ...] | None = None,
    lengths: tuple[int, ...] | None = None,
    repeats: int = 1,
    **asked: bool,
) -> Job:
    """Draw a small case of one program.

    Args:
        schedule: of the program.
        place: see ``rng``.
        sizes: X, then H of each level, forward ones; drawn if None.
        lengths: steps of the sequences side by side; drawn if None.
        repeats: such groups, one after the other.
        asked: ``state`` and ``give``, see ``cases.draw``.
    """
    fixed = {"schedule": schedule, "sizes": sizes, "start_cycles": 10**9}
    if sizes:
        fixed["kinds"] = ("forward",) * (len(sizes) - 1)
    if lengths:
        fixed |= {"lengths": lengths * repeats, "chains": len(lengths)}
    for seed in count(int(rng(*place).integers(1 << 30))):
        case = draw(CFG, seed, **fixed, **asked)
        (_, _, loads), *programs = case.programs()
        if len(programs) == 1:
            program = programs[0][2]
            slots = int(program.encode(CFG)[HEADER["slots"].word])
            if sizes or slots < SMALL:
                return Job(case, loads, program, *case.runs())
    raise AssertionError


def unrolled(schedule: str, *place: int, sizes: tuple[int, ...], **asked: bool) -> Job:
    """Make a job of one sequence that fills the window, its loops written out."""
    for steps in range(MAX_INSTRUCTIONS, 0, -1):
        job = make_job(schedule, *place, sizes=sizes, lengths=(steps,), **asked)
        flat = tuple(replace(i, repeats=0, loop_back=0) for i in job.program.walk())
        if len(flat) <= MAX_INSTRUCTIONS:
            program = replace(job.program, instructions=flat)
            run = replace(job.run, program=program.encode(CFG))
            return replace(job, program=program, run=run)
    raise AssertionError
