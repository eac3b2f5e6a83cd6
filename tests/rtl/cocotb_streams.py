"""Runs through the streams: bits and cycles without stalls, bits alone with all kinds of them."""

from __future__ import annotations

import cocotb

from lstm_sharp.compiler.schedule import SCHEDULES
from rtl.cocotb_cases import CFG, Job, make_job, pauses, rng, unrolled
from rtl.cocotb_engine import Engine

DENSITIES = (0.1, 0.5, 0.9)


async def settle(engine: Engine, cycles: int) -> None:
    """Wait until the engine has moved nothing on its streams for so many cycles."""
    taken = None
    while taken != engine.watch.taken:
        taken = dict(engine.watch.taken)
        await engine.cycles(cycles)


async def exact(engine: Engine, case: Job) -> None:
    """Load and run a case; cycles are the cycle model's, since no stream ever stalls."""
    for action, program in ((engine.load, case.loads), (engine.play, case.program)):
        result = await action(case)
        assert engine.watch.starved == {"weights": 0, "x": 0} and engine.watch.blocked == 0
        engine.check_cycles(result, program)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def runs_equal_golden_and_cycle_model(dut):
    engine = await Engine.start(dut)
    for place in range(8):
        await exact(engine, make_job(SCHEDULES[place % 3], 10, place))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def largest_sizes(dut):
    engine = await Engine.start(dut)
    for place, sizes in enumerate(((CFG.max_input, CFG.max_hidden), (1, 1), (4, 2, 32), (32, 5))):
        schedule = SCHEDULES[place % 3]
        await exact(engine, make_job(schedule, 11, place, sizes=sizes, lengths=(3, 3, 3, 2)))
    case = unrolled("elementwise", 12, sizes=(6, 5))
    assert len(case.program.instructions) > 120
    await exact(engine, case)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def streams_stall_at_random(dut):
    engine = await Engine.start(dut)
    streams = (engine.weights, engine.x, engine.h)
    for place in range(12):
        case = make_job(SCHEDULES[place % 3], 13, place)
        # one stream, another, the third, and all of them
        for number, stream in enumerate(streams):
            one = place // 3 % 4
            density = DENSITIES[int(rng(14, place, number).integers(3))]
            stalls = one in (number, 3)
            stream.set_pause_generator(pauses(density, 15, place, number) if stalls else None)
            stream.pause = False
        await engine.load(case)
        result = await engine.play(case)
        engine.check_cycles(result, case.program, 0)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def h_blocked_for_long(dut):
    """The run stands still before anything is lost, and goes on as if nothing had been."""
    engine = await Engine.start(dut)
    for place, (schedule, hidden) in enumerate(zip(SCHEDULES, (6, 3, 32))):
        case = make_job(schedule, 16, place, sizes=(3, hidden), lengths=(120,), give=False)
        await engine.load(case)
        after = int(rng(17, place).integers(0, 9)) * case.step_beats
        engine.send(case.run.weights, case.run.x)
        await engine.launch(case.program)
        while engine.watch.taken["h"] < after:
            await engine.cycles(1)
        engine.h.pause = True
        await settle(engine, 600)
        assert dut.h_TVALID.value and engine.watch.blocked >= 600
        before = engine.watch.taken["h"]
        # what can be in flight has filled the FIFO, so x stands still too
        left = 120 * case.step_beats - before
        assert left > CFG.fifo_beats and not engine.x.idle(), "the case is too short to block"
        engine.h.pause = False
        await engine.cycles(CFG.fifo_beats + 3)
        assert engine.watch.taken["h"] >= before + CFG.fifo_beats
        engine.check(case, await engine.finish())


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def states_wait_for_room(dut):
    """However h stalls, states leave whole and in order, with TLAST on the very last beat."""
    engine = await Engine.start(dut)
    for place in range(3):
        schedule, beside = SCHEDULES[place], 1 + place
        lengths = (2,) * (CFG.chains - beside) + (1,) * beside
        case = make_job(schedule, 21, place, sizes=(3, 31), lengths=lengths, repeats=2, give=True)
        await engine.load(case)
        engine.h.set_pause_generator(pauses(DENSITIES[place], 22, place))
        await engine.play(case)
        engine.h.set_pause_generator(None)
        engine.h.pause = False
        # blocked for long amid the states of the sequences that end first
        vectors, states = CFG.chains * case.step_beats, beside * CFG.max_hidden
        before = vectors + int(rng(23, place).integers(1, states))
        engine.send(case.run.weights, case.run.x)
        await engine.launch(case.program)
        while engine.watch.taken["h"] < before:
            await engine.cycles(1)
        engine.h.pause = True
        await settle(engine, 300)
        assert dut.h_TVALID.value and not dut.interrupt.value
        engine.h.pause = False
        engine.check(case, await engine.finish())


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def x_starved(dut):
    """The h of all steps whose x has come leaves, though x has stopped."""
    engine = await Engine.start(dut)
    for place in range(3):
        fixed = {"sizes": (6, 7), "lengths": (6,), "repeats": 2, "state": False, "give": False}
        case = make_job(SCHEDULES[place], 18, place, **fixed)
        await engine.load(case)
        beats, steps = case.run.x, int(rng(19, place).integers(2, 10))
        step = len(beats) // 12
        spare = int(rng(20, place).integers(0, step // 8)) * 8  # of the next step
        cut = steps * step + spare
        engine.send(x=beats[:cut])
        await engine.launch(case.program)
        await settle(engine, 300)
        assert engine.x.idle()
        assert engine.watch.taken["h"] == steps * case.step_beats
        engine.send(x=beats[cut:])
        result = await engine.finish()
        engine.check(case, result)
        engine.check_cycles(result, case.program, 301)
