"""Programs that are wrong, and resets at any moment: afterwards all is as new."""

from __future__ import annotations

import cocotb
import numpy as np

from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine.program import MAX_INSTRUCTIONS, Op, Source, Start, Status
from rtl.cocotb_cases import CFG, Case, least_cycles, make_case, model_cycles, put, rng, unrolled
from rtl.cocotb_engine import DONE, IDLE, OUTPUTS, READY, START, VALID, Engine, Register

HEADER, RANGE, WORDS, TILES = 1, 2, 3, 4  # status 7:0 of docs/engine.md
ALL_STATES = CFG.groups

OUT_OF_RANGE = (  # what is wrong with an instruction: field by field
    {"rows": 0},
    {"rows": CFG.chain_blocks + 1},
    {"row_first": CFG.chain_blocks},
    {"row_first": 0xFFFF, "rows": 0xFFFF},
    {"cols": 0},
    {"source": Source.X, "cols": CFG.x_columns + 1},
    {"source": Source.SEQUENCE, "col_first": CFG.h_words},
    {"source": Source.H, "cols": CFG.h_words + 1},
    {"source": Source.ZERO, "col_first": 0xFFFF},
    {"start": 3},
    {"x_shift": CFG.max_shift + 1},
    {"h_word": CFG.h_words},
    {"h_lane": CFG.columns},
    {"start": Start.BIAS, "bias_base": CFG.bias_blocks},
    {"op": Op.LOAD_WEIGHTS, "rows": CFG.weight_tiles + 1, "weight_base": 0},
    {"op": Op.LOAD_WEIGHTS, "rows": 1, "weight_base": CFG.weight_tiles},
    {"op": Op.LOAD_BIAS, "rows": CFG.bias_blocks, "bias_base": 1},
    {"op": Op.LOAD_BIAS, "rows": 0},
    {"op": Op.LOAD_STATE, "rows": ALL_STATES + 1},
    {"op": Op.GIVE_STATE, "rows": 1, "row_first": CFG.chain_blocks},
    {"op": Op.GIVE_STATE, "rows": CFG.passes + 1, "row_first": CFG.chain_blocks - 1},
    {"op": Op.LOAD_STATE, "rows": 1, "h_word": CFG.h_words},
    *({"op": op, "rows": 1} for op in range(max(Op) + 1, 8)),
    {"loop_back": 255},
)


def a_case(*place: int, steps: int = 5, give: bool = False) -> Case:
    schedule = SCHEDULES[place[-1] % len(SCHEDULES)]
    lengths = (steps, steps - 2)
    return make_case(
        schedule, *place, sizes=(9, 10), lengths=lengths, repeats=2, state=False, give=give
    )


async def good_run(engine: Engine, case: Case) -> None:
    """The case runs right, and exactly as long as it should."""
    result = await engine.play(case)
    engine.check_cycles(result, case.program)


async def given_up(engine: Engine) -> None:
    """The engine has come to rest, whatever is still offered."""
    ready = dict(engine.watch.ready)
    await engine.cycles(100)
    assert engine.watch.ready == ready and await engine.read(Register.CONTROL) == IDLE
    engine.drop_leftovers()


async def refused(engine: Engine, words: np.ndarray, status: int, index: int) -> None:
    """The program is refused before anything happens."""
    result = await engine.run(words)
    assert (result.status, result.identity) == (status | index << 8, CFG.identity)
    await engine.cycles(100)
    assert engine.watch.ready == {"weights": 0, "x": 0} and len(result.h) == 0
    assert engine.watch.taken["h"] == 0 and await engine.read(Register.CONTROL) == IDLE


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def refused_programs(dut):
    """Status 1 and 2: no stream is touched, so that the next program finds its data there."""
    engine, random, case = await Engine.start(dut), rng(30), a_case(31, 1)
    words = case.program.encode(CFG)
    count = len(case.program.instructions)
    await engine.load(case)
    engine.send(case.weights, case.x_beats)
    for name, value in (("magic", 0x4C52), ("magic", 0), ("instructions", MAX_INSTRUCTIONS + 1),
                        ("instructions", 0xFFFF), ("sequences", 0)):  # fmt: skip
        await refused(engine, put(words, name, value), HEADER, 0)
    for wrong in OUT_OF_RANGE:
        at = int(random.integers(count))
        bad = words
        for name, value in wrong.items():
            bad = put(bad, name, value, at)
        await refused(engine, bad, RANGE, at)
        for later in range(at + 1, count):  # the first one is told
            bad = put(bad, "rows", 0, later)
        await refused(engine, bad, RANGE, at)
    for at in range(count - 1):
        await refused(engine, put(words, "loop_back", at + 1, at), RANGE, at)
    long = np.concatenate([words[:8], np.tile(words[8:16], MAX_INSTRUCTIONS)])
    long = put(long, "instructions", MAX_INSTRUCTIONS)
    await refused(engine, put(long, "rows", 0, MAX_INSTRUCTIONS - 1), RANGE, MAX_INSTRUCTIONS - 1)
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
        words = case.program.encode(CFG)
        right = int(words[2])
        told = max(0, right + wrong)
        engine.send(x=np.tile(case.x_beats, 1 + place % 3))  # more than it uses, or just that
        result = await engine.run(put(words, "x_words", told))
        assert result.status == WORDS
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
    for place in range(12):
        case, random = a_case(33, place), rng(34, place)
        await engine.load(case)
        at = int(random.integers(len(case.program.instructions)))
        tiles = case.program.instructions[at].rows * case.program.instructions[at].cols
        words = case.program.encode(CFG)
        engine.send(x=case.x_beats)
        result = await engine.run(put(words, "weight_base", CFG.weight_tiles - tiles, at))
        assert result.status == 0 and engine.x.idle()  # up to the last tile all is fine
        inside = (tiles - 1, int(random.integers(tiles)), CFG.weight_tiles - 0xFFFF)[place // 3 % 3]
        engine.send(x=case.x_beats)
        result = await engine.run(put(words, "weight_base", CFG.weight_tiles - inside, at))
        assert result.status == TILES | at << 8
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
        case = make_case(
            schedule, 50, sizes=(5, 2), lengths=(4,), repeats=1, state=False, give=True
        )
        await engine.load(case)
        await engine.play(case)
        order = case.program.instructions
        at = next(n for n, i in enumerate(order) if concerned(i) and i.nops)
        words = put(case.program.encode(CFG), "nops", order[at].nops - 1, at)
        engine.send(x=case.x_beats)
        result = await engine.run(words)
        assert result.status == Status.DISTANCE | at << 8
        assert engine.watch.lasts == 0
        await given_up(engine)
        await good_run(engine, case)


async def as_new(engine: Engine, case: Case) -> None:
    """After a reset, registers are as at power-on, and a model can be loaded and run."""
    for output in OUTPUTS:
        assert [await engine.read(output), await engine.read(output + VALID)] == [0, 0]
    assert await engine.read(Register.CONTROL) == IDLE
    for register in (Register.GLOBAL_INTERRUPT_ENABLE, Register.INTERRUPT_ENABLE,
                     Register.INTERRUPT_STATUS):  # fmt: skip
        assert await engine.read(register) == 0
    result = await engine.load(case)
    engine.check_cycles(result, case.plan.load_program())
    await good_run(engine, case)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_during_load_and_run(dut):
    engine = await Engine.start(dut)
    for place in range(24):
        case, random = a_case(35, place, give=place % 4 == 1), rng(36, place)
        loading = cocotb.start_soon(engine.load(case))
        if place % 2:
            await loading
            engine.send(x=case.x_beats)
            await engine.launch(case.program)
            length = least_cycles(case.program)
        else:
            while not engine.watch.taken["weights"]:
                await engine.cycles(1)
            length = least_cycles(case.plan.load_program())
        await engine.cycles(int(random.integers(1, length - 30)))
        assert not await engine.read(Register.CONTROL) & DONE
        loading.cancel()
        await engine.reset()
        await as_new(engine, a_case(37, place))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def reset_while_h_is_blocked(dut):
    engine = await Engine.start(dut)
    for place, wait in enumerate((1, 150, 700, 3000)):
        case = a_case(38, place, steps=40, give=place > 1)
        await engine.load(case)
        engine.send(x=case.x_beats)
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
        for register in (Register.CONTROL, Register.INTERRUPT_STATUS, Register.PROGRAM):
            held.pause = True
            task = cocotb.start_soon(
                engine.read(register) if held is read_if.r_channel else engine.write(register, 1)
            )
            await engine.cycles(6 + place)
            assert not task.done()
            task.cancel()
            await engine.reset()
            held.pause = False
    long = make_case("unfolded", 42, sizes=(2, 2), lengths=(70,), repeats=1, state=False)
    long = unrolled(long, MAX_INSTRUCTIONS)
    await engine.write_program(long.program)
    for delay in (*range(12), 40, 125, 126, 127, 128, 129, 130, 131, 132, 133, 150):
        task = cocotb.start_soon(engine.write(Register.CONTROL, START))
        await engine.cycles(3 + delay)
        task.cancel()
        await engine.reset()
        engine.watch.clear()
        engine.send(x=long.x_beats)
        await engine.cycles(150)
        assert engine.watch.ready["x"] == 0, "a start from before the reset goes on"
        engine.drop_leftovers()
    await engine.write_program(case.program)
    assert await engine.read(Register.CONTROL) == IDLE
    await as_new(engine, case)
    await engine.write(Register.CONTROL, START)
    engine.send(x=case.x_beats)
    await engine.cycles(2 * model_cycles(case.program))
    assert await engine.read(Register.CONTROL) & (DONE | IDLE | READY) == DONE | IDLE | READY
    case.check(engine.frames()[0])
