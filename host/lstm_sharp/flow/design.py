"""The block design of an overlay: cells, nets, addresses, parameters; no tool's language.

One clock and one reset for all, no interrupt. Names of pins, interfaces and parameters are
Vivado's; what is rendered from a ``Design`` adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lstm_sharp.engine.boards import System, system
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import (
    DMA_CELL,
    DMA_VLNV,
    ENGINE_CELL,
    ENGINE_VLNVS,
    WEIGHTS_DMA_CELL,
)
from lstm_sharp.flow import processors
from lstm_sharp.flow.processors import Ps

LENGTH_BITS = 26
"""Of the DMAs' length registers; the most that there is."""
SPAN = 1 << 16
"""Bytes of address space of each cell with registers."""
_CONTROL_BITS = 32
_PS, _RESET, _CONTROL, _MEMORY = "ps", "reset", "smartconnect_control", "smartconnect_memory"


class Pin(NamedTuple):
    """A pin, or an interface, of a cell."""

    cell: str
    name: str


_CONTROLLED = (
    Pin(ENGINE_CELL, "s_axi_control"),
    Pin(DMA_CELL, "S_AXI_LITE"),
    Pin(WEIGHTS_DMA_CELL, "S_AXI_LITE"),
)
"""Interfaces with registers."""
_READERS = (
    Pin(DMA_CELL, "M_AXI_MM2S"),
    Pin(DMA_CELL, "M_AXI_S2MM"),
    Pin(WEIGHTS_DMA_CELL, "M_AXI_MM2S"),
)
"""Interfaces that reach for DDR."""


@dataclass(frozen=True)
class Cell:
    """An IP core of the design."""

    name: str
    vlnv: str
    parameters: Mapping[str, str | int]  # what the tool is told
    derived: Mapping[str, str | int] = field(default_factory=dict)  # what it works out from that


class Net(NamedTuple):
    """A connection of two interfaces."""

    master: Pin
    slave: Pin
    kind: str  # aximm, axis
    bits: int  # of data


class Wire(NamedTuple):
    """A clock or a reset."""

    kind: str  # clk, rst
    source: Pin
    sinks: tuple[Pin, ...]


class Segment(NamedTuple):
    """What a master reaches at an address."""

    master: Pin
    slave: Pin
    block: str  # as the slave calls it
    kind: str  # register, memory
    base: int
    span: int  # bytes
    map: str  # what the slave calls its side, and
    space: str  # the master what it reaches

    @property
    def high(self) -> int:
        """Its last address."""
        return self.base + self.span - 1


@dataclass(frozen=True)
class Design:
    """The block design of a config on a board."""

    cfg: Config
    system: System
    cells: tuple[Cell, ...]
    nets: tuple[Net, ...]
    wires: tuple[Wire, ...]
    segments: tuple[Segment, ...]
    external: tuple[Pin, ...]  # interfaces that leave the device
    clock_mhz: float  # that the PLL can be divided to; not above the config's

    def cell(self, name: str) -> Cell:
        """Return a cell by its name."""
        return next(cell for cell in self.cells if cell.name == name)


def design(cfg: Config, board: str) -> Design:
    """Lay a config's engine out on a board.

    Args:
        cfg: the engine; its own board does not matter.
        board: a folder of overlays/.

    Raises:
        UsageError: unknown board.
    """
    on = system(board)
    ps, clock = processors.KINDS[on.ps], processors.Clock.of(on.pll_mhz, cfg.clock_mhz)
    memory_bits = max(on.hp_bits, cfg.stream_bits)  # a DMA's memory side is never the narrower one
    cells = (
        Cell(_PS, ps.vlnv, ps.parameters(on, clock), ps.derived(on, clock)),
        Cell(ENGINE_CELL, ENGINE_VLNVS[cfg.engine], {}),
        _dma_cell(DMA_CELL, cfg.stream_bits, memory_bits, s2mm=True),
        _dma_cell(WEIGHTS_DMA_CELL, cfg.stream_bits, memory_bits, s2mm=False),
        _smartconnect(_CONTROL, masters=1, slaves=3),
        _smartconnect(_MEMORY, masters=3, slaves=1),
        Cell(_RESET, "xilinx.com:ip:proc_sys_reset:5.0", {"C_EXT_RESET_HIGH": 0}),
    )
    return Design(
        cfg,
        on,
        cells,
        _nets(ps, on.hp_bits, memory_bits, cfg.stream_bits),
        _wires(ps),
        _segments(ps, on),
        tuple(Pin(_PS, name) for name in ps.external),
        clock.mhz,
    )


def _nets(ps: Ps, hp_bits: int, memory_bits: int, stream_bits: int) -> tuple[Net, ...]:
    streams = (
        (Pin(DMA_CELL, "M_AXIS_MM2S"), Pin(ENGINE_CELL, "x")),
        (Pin(WEIGHTS_DMA_CELL, "M_AXIS_MM2S"), Pin(ENGINE_CELL, "weights")),
        (Pin(ENGINE_CELL, "h"), Pin(DMA_CELL, "S_AXIS_S2MM")),
    )
    return (
        Net(Pin(_PS, ps.control), Pin(_CONTROL, "S00_AXI"), "aximm", _CONTROL_BITS),
        *(
            Net(Pin(_CONTROL, f"M{index:02}_AXI"), slave, "aximm", _CONTROL_BITS)
            for index, slave in enumerate(_CONTROLLED)
        ),
        *(
            Net(master, Pin(_MEMORY, f"S{index:02}_AXI"), "aximm", memory_bits)
            for index, master in enumerate(_READERS)
        ),
        Net(Pin(_MEMORY, "M00_AXI"), Pin(_PS, ps.memory), "aximm", hp_bits),
        *(Net(master, slave, "axis", stream_bits) for master, slave in streams),
    )


def _wires(ps: Ps) -> tuple[Wire, ...]:
    clocked = (
        Pin(_PS, ps.control_clock),
        Pin(_PS, ps.memory_clock),
        Pin(ENGINE_CELL, "ap_clk"),
        *(Pin(dma, "s_axi_lite_aclk") for dma in (DMA_CELL, WEIGHTS_DMA_CELL)),
        *(Pin(cell, f"{name.lower()}_aclk") for cell, name in _READERS),
        Pin(_CONTROL, "aclk"),
        Pin(_MEMORY, "aclk"),
        Pin(_RESET, "slowest_sync_clk"),
    )
    resettable = (
        Pin(ENGINE_CELL, "ap_rst_n"),
        Pin(DMA_CELL, "axi_resetn"),
        Pin(WEIGHTS_DMA_CELL, "axi_resetn"),
    )
    connects = (Pin(_CONTROL, "aresetn"), Pin(_MEMORY, "aresetn"))
    return (
        Wire("clk", Pin(_PS, ps.clock), clocked),
        Wire("rst", Pin(_PS, ps.reset), (Pin(_RESET, "ext_reset_in"),)),
        Wire("rst", Pin(_RESET, "peripheral_aresetn"), resettable),
        Wire("rst", Pin(_RESET, "interconnect_aresetn"), connects),
    )


def _segments(ps: Ps, on: System) -> tuple[Segment, ...]:
    control, memory = Pin(_PS, ps.control), Pin(_PS, ps.memory)
    return (
        *(
            Segment(
                control,
                slave,
                "Reg",
                "register",
                on.addresses[slave.cell],
                SPAN,
                slave.name,
                "Data",
            )
            for slave in _CONTROLLED
        ),
        *(
            Segment(
                master,
                memory,
                ps.memory_block,
                "memory",
                0,
                on.ddr_bytes,
                ps.memory_map,
                master.name.replace("M_AXI", "Data"),
            )
            for master in _READERS
        ),
    )


def _dma_cell(name: str, stream_bits: int, memory_bits: int, s2mm: bool) -> Cell:
    """Simple mode: no scatter-gather, no micro mode, no realignment."""
    parameters: dict[str, str | int] = {
        "c_include_sg": 0,
        "c_micro_dma": 0,
        "c_sg_include_stscntrl_strm": 0,
        "c_sg_length_width": LENGTH_BITS,
        "c_addr_width": 32,
        "c_include_mm2s": 1,
        "c_include_s2mm": int(s2mm),
    }
    for channel in ("mm2s", "s2mm")[: 1 + s2mm]:
        parameters[f"c_m_axi_{channel}_data_width"] = memory_bits
        parameters[f"c_include_{channel}_dre"] = 0
        parameters[f"c_{channel}_burst_size"] = 64
    parameters["c_m_axis_mm2s_tdata_width"] = stream_bits
    derived = {"c_s_axis_s2mm_tdata_width": stream_bits} if s2mm else {}
    return Cell(name, DMA_VLNV, parameters, derived)


def _smartconnect(name: str, masters: int, slaves: int) -> Cell:
    sizes = {"NUM_SI": masters, "NUM_MI": slaves, "NUM_CLKS": 1}
    return Cell(name, "xilinx.com:ip:smartconnect:1.0", sizes)
