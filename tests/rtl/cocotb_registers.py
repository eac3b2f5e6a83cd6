"""The AXI4-Lite port: register map, start and done, interrupts, and the channels' rules."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.triggers import Combine, RisingEdge

from lstm_sharp.compiler.cycles import COPY_CYCLES
from rtl.cocotb_cases import CFG, NULL, make_job, model_cycles, pauses, rng
from rtl.cocotb_engine import (
    AUTO_RESTART,
    DONE,
    IDLE,
    INTERRUPT,
    OUTPUTS,
    READY,
    START,
    VALID,
    Engine,
    Register,
)

WINDOW = range(Register.Memory_program, Register.Memory_program + 4096, 4)
REGISTERS = [register for register in Register if register != Register.Memory_program]


async def null_run(engine: Engine) -> None:
    """Start a null program, and wait until it must be done."""
    await engine.write(Register.CTRL, START)
    await engine.cycles(model_cycles(NULL))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_values_and_null_program(dut):
    engine = await Engine.start(dut)
    known = {*REGISTERS, *(output + VALID for output in OUTPUTS)}
    for _ in range(2):  # the second time after a run and a reset
        for address in range(0, 0x60, 4):
            assert await engine.read(address) == (IDLE if address == Register.CTRL else 0)
        result = await engine.run(NULL)
        assert (result.identity, result.status) == (CFG.identity, 0)
        engine.check_cycles(result, NULL)
        assert engine.watch.ready == {"weights": 0, "x": 0} and engine.watch.taken["h"] == 0
        for address in {*range(0, 0x80, 4), *range(0x80, 0x1000, 0x74)} - known:
            await engine.write(address, 0xFFFFFFFF)
            assert await engine.read(address) == 0, f"unknown offset {address:#x}"
        assert await engine.read(Register.CTRL) == IDLE
        await engine.reset()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def done_and_valid_clear_on_their_own_read(dut):
    engine = await Engine.start(dut)
    await engine.write_program(NULL)
    for _ in range(3):
        await null_run(engine)
        for register in set(REGISTERS) - {Register.CTRL}:  # none of these clears done
            await engine.read(register)
        await engine.write(Register.CTRL, 0)
        assert await engine.read(Register.CTRL) == DONE | IDLE | READY
        assert await engine.read(Register.CTRL) == IDLE
        for output in OUTPUTS:
            value = await engine.read(output)
            assert [await engine.read(output + VALID) for _ in range(2)] == [1, 0]
            assert await engine.read(output) == value  # the value itself stays


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def done_is_seen_once_whenever_it_is_read(dut):
    engine = await Engine.start(dut)
    await engine.write_program(NULL)
    for delay in range(8):
        starting = cocotb.start_soon(engine.write(Register.CTRL, START))
        await engine.cycles(delay)
        seen = [await engine.read(Register.CTRL) for _ in range(8)]
        await starting
        assert [bits & DONE for bits in seen].count(DONE) == 1, (delay, seen)
        assert [bits & READY for bits in seen].count(READY) == 1, (delay, seen)
        assert seen[-1] == IDLE


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def window_keeps_words_and_bytes(dut):
    engine, random = await Engine.start(dut), rng(1)
    image = random.integers(0, 256, 4096, np.uint8)
    await engine.write(Register.Memory_program, image)
    for _ in range(60):  # pieces of 1 to 9 bytes: all strobes that a master makes
        at, size = int(random.integers(0, 4080)), int(random.integers(1, 10))
        image[at : at + size] = random.integers(0, 256, size)
        await engine.write(Register.Memory_program + at, image[at : at + size])
    for at in [0, 4092, *(random.choice(1024, 200, False) * 4).tolist()]:
        want = int.from_bytes(image[at : at + 4].tobytes(), "little")
        assert await engine.read(Register.Memory_program + at) == want, hex(at)
    # registers take the lowest byte lane alone; bits that they lack read 0
    for register, written, bits in (
        (Register.CTRL, AUTO_RESTART, AUTO_RESTART | IDLE),
        (Register.GIER, 0xFFFFFFFF, 1),
        (Register.IP_IER, 0xFFFFFFFF, 3),
    ):
        await engine.write(register, written)
        await engine.write(register + 1, bytes(3))
        assert await engine.read(register) == bits
        await engine.write(register, 0)
    assert await engine.read(Register.CTRL) == IDLE


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def auto_restart(dut):
    engine = await Engine.start(dut)
    case = make_job("best", 2, sizes=(4, 6), lengths=(3, 2), repeats=1, state=False, give=False)
    await engine.load(case)
    await engine.write_program(case.program)
    await engine.set_interrupts(0, 0)
    for _ in range(3):
        engine.send(x=case.run.x)
    await engine.write(Register.CTRL, START | AUTO_RESTART)
    while engine.h.count() < 2:
        await RisingEdge(dut.ap_clk)
    assert await engine.read(Register.CTRL) == START | DONE | READY | AUTO_RESTART
    await engine.write(Register.CTRL, 0)  # the third run is under way and is the last
    await engine.cycles(2 * model_cycles(case.program))
    assert await engine.read(Register.CTRL) == DONE | IDLE | READY
    assert engine.x.idle() and engine.watch.starved["x"] == 0
    frames = engine.frames()
    assert len(frames) == 3
    for frame in frames:
        case.check(frame)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def start_written_while_running(dut):
    """As in HLS: start stands until done, so a second one is the same; afterwards it is new."""
    engine = await Engine.start(dut)
    case = make_job("best", 3, sizes=(1, 1), lengths=(1,), repeats=1, state=False)
    program = case.loads
    beats, length = len(case.load.weights) // 8, model_cycles(program)
    await engine.write_program(program)
    runs = []
    for delay in range(length + 6):
        engine.send(weights=np.tile(case.load.weights, 2))
        engine.watch.clear()
        await engine.write(Register.CTRL, START)
        await engine.cycles(1 + delay)
        await engine.write(Register.CTRL, START)
        await engine.cycles(3 * length)
        taken = engine.watch.taken["weights"]
        assert taken % beats == 0
        runs.append(taken // beats)
        assert await engine.read(Register.CTRL) == DONE | IDLE | READY
        assert await engine.read(Register.status) == 0
        engine.drop_leftovers()
    assert runs == sorted(runs) and runs[0] == 1 and runs[-1] == 2, runs


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def interrupts(dut):
    engine = await Engine.start(dut)
    await engine.write_program(NULL)

    async def status() -> tuple[int, int, int]:
        line, control = int(dut.interrupt.value), await engine.read(Register.CTRL)
        return await engine.read(Register.IP_ISR), line, int(control & INTERRUPT != 0)

    for enable in (0, 1, 2, 3):
        await engine.set_interrupts(0, enable)
        await null_run(engine)
        assert await status() == (enable, 0, 0)  # not without the global enable
        line = int(enable != 0)
        await engine.write(Register.GIER, 1)
        await engine.cycles(100)
        assert await status() == (enable, line, line)  # a level: reading does not clear it
        await engine.set_interrupts(1, 0)
        assert await status() == (enable, line, line)  # the enable is for new ones
        await engine.write(Register.IP_ISR, enable)
        assert await status() == (0, 0, 0)
    await engine.write(Register.IP_ISR, 3)  # toggles, so it sets what is clear
    assert await status() == (3, 1, 1)
    for write, left in ((1, 2), (0, 2), (3, 1)):
        await engine.write(Register.IP_ISR, write)
        assert await status() == (left, 1, 1)
    await engine.write(Register.GIER, 0)
    assert await status() == (1, 0, 0)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def channels_stall_at_random(dut):
    engine = await Engine.start(dut)
    write_if, read_if = engine.axil.write_if, engine.axil.read_if
    channels = (write_if.aw_channel, write_if.w_channel, write_if.b_channel,
                read_if.ar_channel, read_if.r_channel)  # fmt: skip
    image = rng(4).integers(0, 2**32, 1024, np.uint32)
    await engine.write(Register.Memory_program, image.astype("<u4"))
    for turn, density in enumerate((0.1, 0.5, 0.9)):
        for number, channel in enumerate(channels):
            channel.set_pause_generator(pauses(density, 5, turn, number))
        random = rng(6, turn)
        order = random.permutation(1024)
        written, steady = order[:60].tolist(), order[60:120].tolist()
        fresh = dict(zip(written, random.integers(0, 2**32, 60).tolist()))

        async def write(fresh=fresh) -> None:
            for word, value in fresh.items():
                await engine.write(WINDOW[word], value)
                image[word] = value

        async def read(steady=steady) -> None:
            for word in steady:
                assert await engine.read(WINDOW[word]) == image[word]
                assert await engine.read(Register.CTRL) == IDLE

        await Combine(cocotb.start_soon(write()), cocotb.start_soon(read()))
        for word in written:
            assert await engine.read(WINDOW[word]) == image[word]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def address_and_data_in_either_order(dut):
    engine = await Engine.start(dut)
    write_if = engine.axil.write_if
    channels = {"AW": write_if.aw_channel, "W": write_if.w_channel, "B": write_if.b_channel}
    for held in ("AW", "W", "B"):
        for length in (1, 2, 3, 20):
            value = int(rng(7, length).integers(2**32))
            channels[held].pause = True
            task = cocotb.start_soon(engine.write(WINDOW[9], value))
            await engine.cycles(8 + length)
            assert not task.done()
            valid, ready = (
                {n: int(getattr(dut, f"s_axi_control_{n}{end}").value) for n in channels}
                for end in ("VALID", "READY")
            )
            # the slave takes the address first, then the data, and offers its answer until taken
            assert valid == {"AW": 0, "W": int(held == "AW"), "B": int(held == "B")}
            assert ready["AW"] == (held == "AW") and ready["W"] == (held == "W")
            channels[held].pause = False
            await task
            assert await engine.read(WINDOW[9]) == value


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def window_during_a_run(dut):
    """It can be read and written for the next run; only the copy at the start makes reads wait."""
    engine = await Engine.start(dut)
    case = make_job("unfolded", 8, sizes=(5, 7), lengths=(4,), repeats=1, state=False)
    words = case.program.encode(CFG)
    await engine.load(case)

    async def timed_read(word: int) -> int:
        began = cocotb.utils.get_sim_time("ns")
        assert await engine.read(WINDOW[word]) == words[word]
        return (cocotb.utils.get_sim_time("ns") - began) // 10

    await engine.write_program(words)
    quiet = await timed_read(3)
    copy = len(case.program.instructions) + COPY_CYCLES + 1
    for delay in range(copy + 6):
        engine.send(x=case.run.x)
        await engine.write_program(words)
        await engine.set_interrupts(1, 1)
        engine.watch.clear()
        starting = cocotb.start_soon(engine.write(Register.CTRL, START))
        await engine.cycles(delay)
        times = [await timed_read(word) for word in (8 + delay % 8, 1, 0, 9)]
        assert max(times) <= quiet + copy and times[2:] == [quiet, quiet], (delay, times)
        await starting
        await engine.write(Register.Memory_program, np.zeros(len(words), "<u4"))
        result = await engine.finish()
        engine.check(case, result)
        engine.check_cycles(result, case.program)
