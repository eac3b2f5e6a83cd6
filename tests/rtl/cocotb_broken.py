"""Programs that lack one no-op slot: each test here must end the simulation by an assertion.

test_cocotb.py runs them one by one and looks for the assertion's text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cocotb

from lstm_sharp.engine.program import Instruction, Op, Source
from rtl.cocotb_cases import make_case
from rtl.cocotb_engine import Engine

INTACT = "the intact program ran"


async def lacking(
    dut, schedule: str, concerned: Callable[[Instruction], bool], give: bool = False
) -> None:
    """Run a program as it should be, then with a no-op slot less before the instruction."""
    engine = await Engine.start(dut)
    # x-parts of two slots: fetch takes two cycles an instruction and must not add a slot itself
    case = make_case(schedule, 50, sizes=(5, 2), lengths=(4,), repeats=1, state=False, give=give)
    await engine.load(case)
    await engine.play(case)
    cocotb.log.info(INTACT)
    instructions = list(case.program.instructions)
    at = next(n for n, i in enumerate(instructions) if concerned(i) and i.nops)
    instructions[at] = replace(instructions[at], nops=instructions[at].nops - 1)
    short = replace(case.program, instructions=tuple(instructions))
    await engine.play(replace(case, program=short))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def h_is_read_too_early(dut):
    await lacking(dut, "elementwise", lambda i: i.source == Source.H)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def stored_sum_is_taken_too_early(dut):
    await lacking(dut, "unfolded", lambda i: i.source == Source.ZERO)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def state_is_given_too_early(dut):
    await lacking(dut, "intergate", lambda i: i.op == Op.GIVE_STATE, give=True)
