"""The engine's ports as tests use them: registers by name, streams as queues, a watch on both."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import IntEnum

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import Immediate
from cocotb.triggers import ClockCycles, RisingEdge, Timer, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from lstm_sharp.engine.program import C_SATURATED, Program
from lstm_sharp.engine.registers import ENGINE
from rtl.cocotb_cases import BEAT, CFG, HLS, Job, model_cycles

PERIOD = 10  # ns
PATIENCE = 50_000  # cycles that a run may take


Register = IntEnum("Register", {n: r.offset for n, r in ENGINE.items() if not n.endswith("_ctrl")})
"""The register map of docs/engine.md, which test_registers.py holds against it."""
OUTPUTS = (Register.identity, Register.status, Register.cycles)
VALID = 4  # from an output to its valid bit
START, DONE, IDLE, READY, AUTO_RESTART, INTERRUPT = (
    1 << bit for bit in ENGINE["CTRL"].fields.values()
)


@dataclass(frozen=True)
class Result:
    """What a run gave."""

    identity: int
    status: int
    cycles: int
    h: np.ndarray  # bytes of all beats
    c_saturated: bool


class Watch:
    """Looks at the streams in every cycle, holds h to the rules of AXI4-Stream, and counts."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.clear()

    def clear(self) -> None:
        """Count from zero."""
        self.taken = {"weights": 0, "x": 0, "h": 0}  # beats
        self.ready = {"weights": 0, "x": 0}  # cycles with TREADY
        self.starved = {"weights": 0, "x": 0}  # of these, without TVALID
        self.blocked = 0  # cycles in which h waits
        self.lasts = 0  # beats of h with TLAST

    async def run(self) -> None:
        """Run until the test ends."""
        dut, edge = self.dut, RisingEdge(self.dut.ap_clk)
        inputs = [(n, getattr(dut, f"{n}_TVALID"), getattr(dut, f"{n}_TREADY")) for n in self.ready]
        waiting = None
        while True:
            await edge
            for name, tvalid, tready in inputs:
                if tready.value:
                    self.taken[name] += bool(tvalid.value)
                    if not HLS:  # there a register slice is ready for a run that is not there yet
                        self.ready[name] += 1
                        self.starved[name] += not tvalid.value
            if not dut.ap_rst_n.value:
                waiting = None
            elif not dut.h_TVALID.value:
                assert waiting is None, "h was withdrawn while it waited"
            else:
                beat = int(dut.h_TDATA.value), int(dut.h_TLAST.value)
                assert waiting in (None, beat), "h changed while it waited"
                assert int(dut.h_TKEEP.value) == int(dut.h_TSTRB.value) == (1 << BEAT) - 1
                taken = bool(dut.h_TREADY.value)
                self.taken["h"] += taken
                self.blocked += not taken
                self.lasts += taken and beat[1]
                waiting = None if taken else beat


class Engine:
    """Driver of the engine's ports."""

    def __init__(self, dut) -> None:
        logging.getLogger("py.warnings").setLevel(logging.ERROR)  # cocotbext-axi uses old names
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.dut = dut
        wires = (dut.ap_clk, dut.ap_rst_n)
        low = {"reset_active_level": False}
        self.axil = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), *wires, **low)
        self.weights = AxiStreamSource(AxiStreamBus.from_prefix(dut, "weights"), *wires, **low)
        self.x = AxiStreamSource(AxiStreamBus.from_prefix(dut, "x"), *wires, **low)
        self.h = AxiStreamSink(AxiStreamBus.from_prefix(dut, "h"), *wires, **low)
        self.watch = Watch(dut)

    @classmethod
    async def start(cls, dut) -> Engine:
        """Make the driver of a test: clock, reset, watch."""
        for port in (dut.ap_clk, dut.ap_rst_n):  # all starts at random: no edge without a reset
            port.value = Immediate(0)
        await Timer(1, "ns")
        Clock(dut.ap_clk, PERIOD, unit="ns").start()
        await ClockCycles(dut.ap_clk, 2)
        engine = cls(dut)
        await engine.reset()
        cocotb.start_soon(engine.watch.run())
        return engine

    async def reset(self) -> None:
        """Reset the engine; its ports fall quiet, and stay so when the pipeline runs on."""
        self.dut.ap_rst_n.value = 0
        await self.cycles(2)
        for released in (0, 0, *[1] * CFG.tail):
            self.dut.ap_rst_n.value = released
            self.check_quiet()
            await self.cycles(1)
        self.drop_leftovers()

    def check_quiet(self) -> None:
        """Nothing is offered and no stream is taken; addresses are welcome."""
        axi = "s_axi_control_"
        streams = () if HLS else ("weights_TREADY", "x_TREADY")  # see Watch
        low = ("h_TVALID", *streams, "interrupt",
               axi + "BVALID", axi + "RVALID", axi + "WREADY")  # fmt: skip
        for name in low:
            assert not getattr(self.dut, name).value, f"{name} is high after a reset"
        for name in (axi + "AWREADY", axi + "ARREADY"):
            assert getattr(self.dut, name).value, f"{name} is low after a reset"

    def drop_leftovers(self) -> None:
        """Empty the streams' queues, as the reset of a DMA does."""
        for stream in (self.weights, self.x, self.h):
            stream.clear()
            stream.assert_reset()

    async def cycles(self, number: int) -> None:
        """Let time pass."""
        await ClockCycles(self.dut.ap_clk, number)

    async def read(self, address: int) -> int:
        """Read a register or a word of the window."""
        response = await self.axil.read(address, 4)
        assert response.resp == 0
        return int.from_bytes(response.data, "little")

    async def write(self, address: int, value: int | bytes | np.ndarray) -> None:
        """Write a register, or bytes from there on."""
        data = value.to_bytes(4, "little") if isinstance(value, int) else bytes(value)
        response = await self.axil.write(address, data)
        assert response.resp == 0

    async def write_program(self, program: Program | np.ndarray) -> None:
        """Fill the window."""
        words = program.encode(CFG) if isinstance(program, Program) else program
        await self.write(Register.Memory_program, words.astype("<u4"))

    async def set_interrupts(self, globally: int, enable: int) -> None:
        """Set both enables."""
        await self.write(Register.GIER, globally)
        await self.write(Register.IP_IER, enable)

    def send(self, weights: np.ndarray | None = None, x: np.ndarray | None = None) -> None:
        """Queue beats."""
        for stream, beats in ((self.weights, weights), (self.x, x)):
            if beats is not None and len(beats):
                stream.send_nowait(beats.tobytes())

    async def launch(self, program: Program | np.ndarray) -> None:
        """Write the program and start it, with the interrupt of done."""
        await self.write_program(program)
        await self.set_interrupts(1, 1)
        self.watch.clear()
        await self.write(Register.CTRL, START)
        self.began = get_sim_time("ns")

    async def finish(self) -> Result:
        """Wait for the interrupt, acknowledge it, and fetch what there is."""
        if not self.dut.interrupt.value:
            await with_timeout(RisingEdge(self.dut.interrupt), PATIENCE * PERIOD, "ns")
        self.took = int(get_sim_time("ns") - self.began) // PERIOD
        await self.write(Register.IP_ISR, 1)
        assert not self.dut.interrupt.value
        assert await self.read(Register.CTRL) == DONE | IDLE | READY
        values = [await self.read(register) for register in OUTPUTS]
        frames = self.frames()
        assert len(frames) <= 1, f"{len(frames)} frames of h in one run"
        identity, status, cycles = values
        h = np.concatenate([np.zeros(0, np.uint8), *frames])
        return Result(identity, status & 0xFFFF, cycles, h, bool(status >> C_SATURATED))

    def frames(self) -> list[np.ndarray]:
        """Take the frames of h that have come."""
        frames = [self.h.recv_nowait(compact=False) for _ in range(self.h.count())]
        return [np.frombuffer(bytes(frame.tdata), np.uint8) for frame in frames]

    async def run(self, program: Program | np.ndarray) -> Result:
        """Launch and finish."""
        await self.launch(program)
        return await self.finish()

    async def load(self, job: Job) -> Result:
        """Load a job's weights."""
        self.send(weights=job.load.weights)
        result = await self.run(job.loads)
        assert (result.status, result.identity, len(result.h)) == (0, CFG.identity, 0)
        assert self.weights.idle() and self.watch.ready["x"] == 0
        return result

    async def play(self, job: Job) -> Result:
        """Run a loaded job and check what it gives."""
        self.send(job.run.weights, job.run.x)
        result = await self.run(job.program)
        self.check(job, result)
        return result

    def check_cycles(self, result: Result, program: Program, more: int | None = None) -> None:
        """Hold a run's cycles against the model: these, or at least so many more.

        HLS RTL is not held to them: what it took is told beside the prediction.
        """
        predicted = model_cycles(program)
        if HLS:
            cocotb.log.info("HLS RTL: %d cycles, %d predicted", self.took, predicted)
        elif more is None:
            assert result.cycles == predicted
        else:
            assert result.cycles >= predicted + more

    def check(self, job: Job, result: Result) -> None:
        """All of the input has been used, TLAST stood at the end alone, and the bits are right."""
        assert (result.status, result.identity) == (0, CFG.identity)
        job.check(result.h, result.c_saturated)
        assert self.watch.lasts == 1 and self.watch.taken["h"] * BEAT == len(result.h)
        assert self.weights.idle() and self.x.idle()
