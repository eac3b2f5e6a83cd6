"""A ``pynq.Device`` whose programmable logic is the Verilated engine (docs/board.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pynq
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.registers import (
    DMA_CELL,
    DMA_VLNV,
    ENGINE_VLNVS,
    MM2S_OFFSET,
    S2MM_OFFSET,
    WEIGHTS_DMA_CELL,
)
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import verilate
from lstm_sharp.virtual.clocks import ClockRegisters
from lstm_sharp.virtual.dma import Channel
from lstm_sharp.virtual.engine import Engine
from lstm_sharp.virtual.faults import Fault, Faults
from lstm_sharp.virtual.memory import Memory
from lstm_sharp.virtual.overlay import read_virtual

ACCESS_CYCLES = 1_000
"""That an access takes: to a register, or a flush, invalidate or allocate."""
PATIENCE = 50_000
"""Cycles without a beat, a slot or a write after which nothing is taken to come any more."""
STUCK_SECONDS = 0.01
"""That an access stands for from then on."""
_STREAMS = {
    DMA_CELL: (("mm2s", MM2S_OFFSET, "x"), ("s2mm", S2MM_OFFSET, "h")),
    WEIGHTS_DMA_CELL: (("mm2s", MM2S_OFFSET, "weights"),),
}
_ARCH = {"zynq7": "armv7l", "zynqmp": "aarch64"}


class VirtualDevice(pynq.Device):
    """A board of nothing but software, and of this process alone.

    Args:
        board: a folder of overlays/.

    Raises:
        UsageError: there is no such board.
    """

    simulated = True

    def __init__(self, board: str) -> None:
        self.system = facts(board)
        super().__init__(f"virtual-{board}")
        self.name, self.arch = self.system.name, _ARCH[self.system.ps]
        self.capabilities = {"REGISTER_RW": True}
        self.bitfile_name = self.timestamp = ""
        self.memory = Memory(self.system.ddr_bytes)
        self.engine: Engine | None = None
        self._build = Path("build")  # gets a folder for each engine
        self._clocks = ClockRegisters(self.system)
        self._cells: list[tuple[int, int, Engine | Channel]] = []  # address, bytes, who answers
        self._channels: list[Channel] = []
        self._faults = Faults()
        self.inject = self._faults.inject
        self._seconds = 0.0
        self._counted = self._quiet = 0

    def activate(self) -> None:
        """Become the device that pynq takes where none is named."""
        pynq.Device.active_device = self
        self._take_clocks()

    def now(self) -> float:
        """Return simulated seconds."""
        return self._seconds

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """Parse the hardware handoff beside a ``.bit``."""
        hwh = Path(bitfile_name).with_suffix(".hwh")
        if not hwh.is_file():
            raise UsageError(f"{hwh} is missing; write the virtual overlay again")
        self._take_clocks()
        return RuntimeMetadataParser(Metadata(input=hwh))

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Load a virtual overlay: a fresh engine, fresh DMAs. DDR keeps what it holds.

        Raises:
            UsageError: it is none.
            ToolError: Verilator is missing, or fails.
        """
        cfg = read_virtual(bitstream.bitfile_name)
        parser = parser or self.get_bitfile_metadata(bitstream.bitfile_name)
        self.engine = engine = Engine(verilate.library(cfg, self._build), self._faults)
        self._faults.discard(Fault.LENGTH_WIDTH)
        self._cells, self._channels = [], []
        for name, ip in parser.ip_dict.items():
            if ip["type"] in ENGINE_VLNVS.values():
                self._cells.append((ip["phys_addr"], ip["addr_range"], engine))
            elif ip["type"] == DMA_VLNV:
                found, bits = [], int(ip["parameters"]["c_sg_length_width"])
                for way, offset, stream in _STREAMS[name]:
                    if int(ip["parameters"][f"c_include_{way}"]):
                        found.append(Channel(stream, engine, self.memory, bits, self._faults))
                        self._cells.append((ip["phys_addr"] + offset, S2MM_OFFSET, found[-1]))
                for channel in found:
                    channel.together = found
                self._channels += found
        self._counted = self._quiet = 0
        self.post_download(bitstream, parser, self.name)

    def read_registers(self, address: int, length: int) -> bytes:
        """Read words.

        Raises:
            UsageError: nothing answers there; also for ``write_registers``.
        """
        self._pass()
        found = (self._find(at) for at in range(address, address + length, 4))
        return b"".join(part.read(offset).to_bytes(4, "little") for part, offset in found)

    def write_registers(self, address: int, data: bytes) -> None:
        """Write words."""
        self._pass(acts=True)
        for at in range(0, len(data), 4):
            part, offset = self._find(address + at)
            part.write(offset, int.from_bytes(data[at : at + 4], "little"))

    def allocate(self, shape: Any, dtype: Any, cacheable: int = 1, **_: Any) -> Any:
        """Make a ``PynqBuffer``; see ``Memory.allocate``."""
        self._pass(acts=True)
        return self.memory.allocate(shape, dtype, self, bool(cacheable))

    def get_memory(self, _: Any) -> VirtualDevice:
        """Return what allocates: there is one memory."""
        return self

    def flush(self, bo: int, offset: int, _: int, nbytes: int) -> None:
        """Copy a buffer's bytes to where the DMA sees them."""
        self._pass(acts=True)
        self.memory.sync(bo, offset, nbytes, to_device=True)

    def invalidate(self, bo: int, offset: int, _: int, nbytes: int) -> None:
        """Copy a buffer's bytes from where the DMA sees them."""
        self._pass(acts=True)
        self.memory.sync(bo, offset, nbytes, to_device=False)

    def _pass(self, acts: bool = False) -> None:
        """Let the time of one access pass; what it ticked itself counts as part of the next.

        Args:
            acts: whether it may set something going: it does more than read.
        """
        engine, hz = self.engine, self._clocks.mhz * 1e6
        self._quiet = 0 if acts else self._quiet
        if engine is None:
            self._seconds += ACCESS_CYCLES / hz
        elif self._quiet >= PATIENCE:
            self._seconds += STUCK_SECONDS
            self._counted = engine.cycles
        else:
            moved = engine.moved
            engine.run(max(0, ACCESS_CYCLES - (engine.cycles - self._counted)))
            cycles = engine.cycles - self._counted
            self._counted = engine.cycles
            self._seconds += cycles / hz
            self._quiet = 0 if engine.moved > moved else self._quiet + cycles
            for channel in self._channels:
                channel.settle()

    def _find(self, address: int) -> tuple[Engine | Channel | ClockRegisters, int]:
        """Return what answers at an address, and by which offset it knows it."""
        if address in self._clocks.words:
            return self._clocks, address
        for base, span, part in self._cells:
            if 0 <= address - base < span:
                return part, address - base
        loaded = Path(self.bitfile_name).name if self._cells else "no overlay"
        raise UsageError(
            f"nothing answers at address {address:#x}: {loaded} is loaded, whose addresses are in "
            "its ip_dict"
        )

    def _take_clocks(self) -> None:
        """Have ``pynq.Clocks`` drive this device: it keeps to the first that it met."""
        if not hasattr(pynq.Clocks, "set_device"):  # pynq 3.0: its Clocks look at the CPU
            pynq.overlay.Clocks = self._clocks
            return
        pynq.Clocks.set_device(self)
        if hasattr(pynq.Clocks, "_real_instance"):
            del pynq.Clocks._real_instance
