"""The hardware handoff of a block design (.hwh), as PYNQ reads it.

Vivado writes such a file beside a bitstream; this one is rendered from the same ``Design``, for
overlays that have no bitstream. It goes as deep as PYNQ does: interfaces, not their signals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lstm_sharp.engine import registers as maps
from lstm_sharp.engine.registers import Dma, DmaStatus, Register
from lstm_sharp.flow import processors
from lstm_sharp.flow.design import LENGTH_BITS, Cell, Design, Segment
from lstm_sharp.flow.render import environment

_TEMPLATE = "overlay/overlay.hwh.j2"
_WORD_BITS = 32
_STATUS = {
    DmaStatus.HALTED: "Halted",
    DmaStatus.IDLE: "Idle",
    DmaStatus.INTERNAL_ERROR: "DMAIntErr",
    DmaStatus.SLAVE_ERROR: "DMASlvErr",
    DmaStatus.DECODE_ERROR: "DMADecErr",
    DmaStatus.COMPLETE: "IOC_Irq",
    DmaStatus.ERROR: "Err_Irq",
}
_ENABLES = {DmaStatus.COMPLETE: "IOC_IrqEn", DmaStatus.ERROR: "Err_IrqEn"}
"""Bits of CONTROL: those of the status that they let through."""


class _Field(NamedTuple):
    name: str
    bit: int
    bits: int


class _RegisterView(NamedTuple):
    name: str
    offset: int
    access: str
    description: str
    fields: tuple[_Field, ...]


class _Interface(NamedTuple):
    name: str
    bus: str
    kind: str
    type: str
    bits: int

    @property
    def bytes(self) -> int:
        """Bytes of a beat."""
        return self.bits // 8


class _Port(NamedTuple):
    name: str
    kind: str
    direction: str
    signal: str
    others: tuple[tuple[str, str], ...]  # cell and pin


class _Module(NamedTuple):
    cell: Cell
    ip: str
    version: str
    in_pl: bool
    control: Segment | None  # its registers
    registers: tuple[_RegisterView, ...]
    ports: tuple[_Port, ...]
    interfaces: tuple[_Interface, ...]
    reaches: tuple[Segment, ...]


def hwh(design: Design) -> str:
    """Render the hardware handoff, XML.

    Raises:
        UsageError: Jinja2 is not installed.
    """
    text = (
        environment()
        .get_template(_TEMPLATE)
        .render(
            design=design,
            arch=processors.KINDS[design.system.ps].arch,
            modules=[_module(design, cell) for cell in design.cells],
            hz=round(design.clock_mhz * 1e6),
            word_bits=_WORD_BITS,
        )
    )
    return text.lstrip("\n")


def _module(design: Design, cell: Cell) -> _Module:
    control = next(
        (s for s in design.segments if s.slave.cell == cell.name and s.kind == "register"), None
    )
    *_, ip, version = cell.vlnv.split(":")
    return _Module(
        cell,
        ip,
        version,
        cell.vlnv != processors.KINDS[design.system.ps].vlnv,
        control,
        tuple(_registers(cell)) if control else (),
        tuple(_ports(design, cell.name)),
        tuple(_interfaces(design, cell.name)),
        tuple(s for s in design.segments if s.master.cell == cell.name),
    )


def _registers(cell: Cell) -> Iterator[_RegisterView]:
    if cell.vlnv in maps.ENGINE_VLNVS.values():
        yield from map(_engine_register, maps.ENGINE_MAP)
        return
    yield from _channel("MM2S", maps.MM2S_OFFSET, "SA", "Source_Address")
    if cell.parameters["c_include_s2mm"]:
        yield from _channel("S2MM", maps.S2MM_OFFSET, "DA", "Destination_Address")


def _engine_register(register: Register) -> _RegisterView:
    """As Vitis HLS has it: a value is a field of its own name, a window has none."""
    fields = tuple(_Field(name, bit, 1) for name, bit in register.fields)
    if not fields and register.size * 8 == _WORD_BITS:
        fields = (_Field(register.name, 0, _WORD_BITS),)
    name, offset, access = register.name, register.offset, register.access
    return _RegisterView(name, offset, access, register.description, fields)


def _channel(name: str, base: int, address: str, field: str) -> Iterator[_RegisterView]:
    """Registers of a DMA's channel in simple mode, as Vivado names them."""
    run, reset = (flag.bit_length() - 1 for flag in (maps.DMA_RUN, maps.DMA_RESET))
    control = (_Field("RS", run, 1), _Field("Reset", reset, 1), *_bits(_ENABLES))
    whole = (_Field(field, 0, _WORD_BITS),)
    length = (_Field("Length", 0, LENGTH_BITS),)
    for register, offset, fields, what in (
        ("DMACR", Dma.CONTROL, control, "control"),
        ("DMASR", Dma.STATUS, _bits(_STATUS), "status"),
        (address, Dma.ADDRESS, whole, "address"),
        (f"{address}_MSB", Dma.ADDRESS_HIGH, whole, "address, upper half"),
        ("LENGTH", Dma.LENGTH, length, "length in bytes"),
    ):
        full = f"{name}_{register}"
        yield _RegisterView(full, base + offset, "read-write", f"{name} {what}", fields)


def _bits(names: dict[DmaStatus, str]) -> tuple[_Field, ...]:
    return tuple(_Field(name, int(flag).bit_length() - 1, 1) for flag, name in names.items())


def _ports(design: Design, cell: str) -> Iterator[_Port]:
    for wire in design.wires:
        signal = "_".join(wire.source)
        if wire.source.cell == cell:
            yield _Port(wire.source.name, wire.kind, "O", signal, wire.sinks)
        for sink in wire.sinks:
            if sink.cell == cell:
                yield _Port(sink.name, wire.kind, "I", signal, (wire.source,))


def _interfaces(design: Design, cell: str) -> Iterator[_Interface]:
    for net in design.nets:
        bus = "_".join(net.master)
        ends = ("INITIATOR", "TARGET") if net.kind == "axis" else ("MASTER", "SLAVE")
        for end, pin in zip(ends, (net.master, net.slave)):
            if pin.cell == cell:
                yield _Interface(pin.name, bus, net.kind, end, net.bits)
