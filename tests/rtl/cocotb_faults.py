"""Programs that are wrong, and resets at any moment: afterwards all is as new."""

from __future__ import annotations

import cocotb
import numpy as np

from broken import HEADERS, out_of_range
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine.program import MAX_INSTRUCTIONS, Op, Source, Status
from rtl.cocotb_cases import CFG, Job, least_cycles, make_job, model_cycles, rng, unrolled
from rtl.cocotb_engine import DONE, IDLE, OUTPUTS, READY, START, VALID, Engine, Register
from slots import changed


def a_case(*place: int, steps: int = 5, give: bool = False) -> Job:
    schedule = SCHEDULES[place[-1] % len(SCHEDULES)]
    lengths = (steps, steps - 2)
    return make_job(
        schedule, *place, sizes=(9, 10), lengths=lengths, repeats=2, state=False, give=give
    )


async def good_run(engine: Engine, case: Job) -> None:
    """The case runs right, and exactly as long as it should."""
    result = await engine.play(case)
    engine.check_cycles(result, case.program)


async def given_up(engine: Engine) -> None:
    """The engine has come to rest, whatever is still offered."""
    ready = dict(engine.watch.ready)
    await engine.cycles(100)
    assert engine.watch.ready == ready and await engine.read(Register.CTRL) == IDLE
    engine.drop_leftovers()


async def refused(engine: Engine, words: np.ndarray, status: int, index: int) -> None:
    """The program is refused before anything happens."""
    result = await engine.run(words)
    assert (result.status, result.identity) == (status | index << 8, CFG.identity)
    await engine.cycles(100)
    assert engine.watch.ready == {"weights": 0, "x": 0} and len(result.h) == 0
    assert engine.watch.taken["h"] == 0 and await engine.read(Register.CTRL) == IDLE


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def refused_programs(dut):
    """Status 1 and 2: no stream is touched, so that the next program finds its data there."""
    engine, random, case = await Engine.start(dut), rng(30), a_case(31, 1)
    words = case.run.program
    count = len(case.program.instructions)
    await engine.load(case)
    engine.send(case.load.weights, case.run.x)
    for told in HEADERS:
        await refused(engine, changed(words, None, **told), Status.HEADER, 0)
    for wrong in out_of_range(CFG):
        at = int(random.integers(count))
        bad = changed(words, at, **wrong)
        for later in range(at + 1, count):  # the first one is told
            bad = changed(bad, later, rows=0)
        await refused(engine, bad, Status.INSTRUCTION, at)
    for at in range(count - 1):
        await refused(engine, changed(words, at, loop_back=at + 1), Status.INSTRUCTION, at)
    last = MAX_INSTRUCTIONS - 1
    long = np.concatenate([words[:8], np.tile(words[8:16], MAX_INSTRUCTIONS)])
    long = changed(changed(long, None, instructions=MAX_INSTRUCTIONS), last, rows=0)
    await refused(engine, long, Status.INSTRUCTION, last)
    result = await engine.run(words)
    case.check(result.h)
    assert result.status == 0
    engine.check_cycles(result, case.program)
    assert engine.x.idle() and engine.watch.ready["weights"] == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def wrong_count_of_x_words(dut):
    """Status 3: never more than the header says is taken from x."""
    engine = await Engine.start(dut)
    for place, wrong in enumerate((-1, 1, -3, 2, -1000, 9, -7, 40, 1)):
        case = a_case(32, place)
        await engine.load(case)
        words = case.run.program
        right = int(words[2])
        told = max(0, right + wrong)
        engine.send(x=np.tile(case.run.x, 1 + place % 3))  # more than it uses, or just that
        result = await engine.run(changed(words, None, x_words=told))
        assert result.status == Status.WORDS
        assert engine.watch.taken["x"] <= told * CFG.word_beats
        if wrong > 0:  # all rectangles have been run, so h is whole
            case.check(result.h)
            assert engine.watch.taken["x"] >= right * CFG.word_beats
        else:
            assert engine.watch.lasts == 0 and engine.watch.taken["x"] == told * CFG.word_beats
        await given_up(engine)
        await good_run(engine, case)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def past_the_weight_memory(dut):
    """Status 4: the rectangle is told, and the run is given up."""
    engine = await Engine.start(dut)
    for place in range(6):
        case, random = a_case(33, place), rng(34, place)
        await engine.load(case)
        at = int(random.integers(len(case.program.instructions)))
        tiles = case.program.instructions[at].rows * case.program.instructions[at].cols
        words = case.run.program
        engine.send(x=case.run.x)
        result = await engine.run(changed(words, at, weight_base=CFG.weight_tiles - tiles))
        assert result.status == 0 and engine.x.idle()  # up to the last tile all is fine
        inside = (tiles - 1, int(random.integers(tiles)), CFG.weight_tiles - 0xFFFF)[place % 3]
        engine.send(x=case.run.x)
        result = await engine.run(changed(words, at, weight_base=CFG.weight_tiles - inside))
        assert result.status == Status.WEIGHTS | at << 8
        assert engine.watch.lasts == 0
        await given_up(engine)
        await good_run(engine, case)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_no_op_slot_too_few(dut):
    """Status 5: where something is read a slot too early; the run is given up."""
    engine = await Engine.start(dut)
    cases = (  # schedule, and which instruction
        ("elementwise", lambda i: i.source == Source.H),
        ("unfolded", lambda i: i.source == Source.ZERO),
        ("intergate", lambda i: i.op == Op.GIVE_STATE),
    )
    for schedule, concerned in cases:
        # x-parts of two slots: fetch takes two cycles an instruction and must not add a slot itself
        case = make_job(schedule, 50, sizes=(5, 2), lengths=(4,), state=False, give=True)
        await engine.load(case)
        await engine.play(case)
        order = case.program.instructions
        at = next(n for n, i in enumerate(order) if concerned(i) and i.nops)
        words = changed(case.run.program, at, nops=order[at].nops - 1)
        engine.send(x=case.run.x)
        result = await engine.run(words)
        assert result.status == Status.DISTANCE | at << 8
        assert engine.watch.lasts == 0
        await given_up(engine)
        await good_run(engine, case)


async def as_new(engine: Engine, case: Job) -> None:
    """After a reset, registers are as at power-on, and a model can be loaded and run."""
    for output in OUTPUTS:
        assert [await engine.read(output), await engine.read(output + VALID)] == [0, 0]
    assert await engine.read(Register.CTRL) == IDLE
    for register in (Register.GIER, Register.IP_IER,
                     Register.IP_ISR):  # fmt: skip
        assert await engine.read(register) == 0
    result = await engine.load(case)
    engine.check_cycles(result, case.loads)
    await good_run(engine, case)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_during_load_and_run(dut):
    engine = await Engine.start(dut)
    for place in range(8):
        case, random = a_case(35, place, give=place % 4 == 1), rng(36, place)
        loading = cocotb.start_soon(engine.load(case))
        if place % 2:
            await loading
            engine.send(x=case.run.x)
            await engine.launch(case.program)
            length = least_cycles(case.program)
        else:
            while not engine.watch.taken["weights"]:
                await engine.cycles(1)
            length = least_cycles(case.loads)
        await engine.cycles(int(random.integers(1, length - 30)))
        assert not await engine.read(Register.CTRL) & DONE
        loading.cancel()
        await engine.reset()
        await as_new(engine, a_case(37, place))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_while_h_is_blocked(dut):
    engine = await Engine.start(dut)
    for place, wait in enumerate((1, 700, 3000)):
        case = a_case(38, place, steps=40, give=place > 1)
        await engine.load(case)
        engine.send(x=case.run.x)
        engine.h.pause = True
        await engine.launch(case.program)
        while not dut.h_TVALID.value:
            await engine.cycles(1)
        await engine.cycles(wait + int(rng(39, place).integers(30)))
        assert engine.watch.blocked >= wait
        await engine.reset()
        engine.h.pause = False
        await as_new(engine, a_case(40, place))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_between_the_halves_of_a_transfer(dut):
    """Addresses without data, answers not taken, and copies under way are forgotten."""
    engine = await Engine.start(dut)
    write_if, read_if = engine.axil.write_if, engine.axil.read_if
    case = a_case(41, 0)
    for place, held in enumerate((write_if.w_channel, write_if.b_channel, read_if.r_channel)):
        for register in (Register.CTRL, Register.IP_ISR, Register.Memory_program):
            held.pause = True
            task = cocotb.start_soon(
                engine.read(register) if held is read_if.r_channel else engine.write(register, 1)
            )
            await engine.cycles(6 + place)
            assert not task.done()
            task.cancel()
            await engine.reset()
            held.pause = False
    long = unrolled("unfolded", 42, sizes=(2, 2), state=False)
    await engine.write_program(long.program)
    for delay in (*range(12), 40, 125, 126, 127, 128, 129, 130, 131, 132, 133, 150):
        task = cocotb.start_soon(engine.write(Register.CTRL, START))
        await engine.cycles(3 + delay)
        task.cancel()
        await engine.reset()
        engine.watch.clear()
        engine.send(x=long.run.x)
        await engine.cycles(150)
        assert engine.watch.ready["x"] == 0, "a start from before the reset goes on"
        engine.drop_leftovers()
    await engine.write_program(case.program)
    assert await engine.read(Register.CTRL) == IDLE
    await as_new(engine, case)
    await engine.write(Register.CTRL, START)
    engine.send(x=case.run.x)
    await engine.cycles(2 * model_cycles(case.program))
    assert await engine.read(Register.CTRL) & (DONE | IDLE | READY) == DONE | IDLE | READY
    case.check(engine.frames()[0])
