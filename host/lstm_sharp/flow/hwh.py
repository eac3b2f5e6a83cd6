"""The hardware handoff of a block design (.hwh), as PYNQ reads it.

Vivado writes such a file beside a bitstream; this one is rendered from the same ``Design``, for
overlays that have no bitstream. It goes as deep as PYNQ does: interfaces, not their signals.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lstm_sharp.engine import registers as maps
from lstm_sharp.engine.registers import Dma, DmaStatus
from lstm_sharp.flow.design import LENGTH_BITS, Cell, Design
from lstm_sharp.flow.render import filled

_ARCHS = {"zynq7": "zynq", "zynqmp": "zynquplus"}
_WORD_BITS = 32
_STATUS_BITS = ("Halted", "Idle", "DMAIntErr", "DMASlvErr", "DMADecErr", "IOC_Irq", "Err_Irq")
"""Those of ``DmaStatus``, as Vivado names them."""
_ENABLES = (("IOC_IrqEn", DmaStatus.COMPLETE), ("Err_IrqEn", DmaStatus.ERROR))
"""Bits of CONTROL: those of the status that they let through."""
_Fields = tuple[tuple[str, int, int], ...]  # name, lowest bit, bits


class _Register(NamedTuple):
    name: str
    offset: int
    access: str
    description: str
    fields: _Fields


def hwh(design: Design) -> str:
    """Render the hardware handoff, XML.

    Raises:
        ToolError: Jinja2 is not installed.
    """
    blocks = {s.slave.split("/")[0]: s for s in design.segments if s.kind == "register"}
    return filled(
        "overlay/overlay.hwh.j2",
        design=design,
        arch=_ARCHS[design.system.ps],
        blocks=blocks,
        registers={c.name: tuple(_registers(c)) for c in design.cells if c.name in blocks},
        ports=list(_ports(design)),
        hz=round(design.clock_mhz * 1e6),
        word_bits=_WORD_BITS,
    )


def _ports(design: Design) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    """Yield pin, direction, kind, signal and the pins at its other ends, of each pin."""
    for kind, source, sinks in design.wires:
        signal = source.replace("/", "_")
        yield source, "O", kind, signal, sinks
        yield from ((sink, "I", kind, signal, (source,)) for sink in sinks)


def _registers(cell: Cell) -> Iterator[_Register]:
    if cell.vlnv in maps.ENGINE_VLNVS.values():
        for r in maps.ENGINE_MAP:
            # As Vitis HLS has it: a value is a field of its own name, a window has none.
            whole = ((r.name, 0, _WORD_BITS),) if r.size * 8 == _WORD_BITS else ()
            fields = tuple((name, bit, 1) for name, bit in r.fields)
            yield _Register(r.name, r.offset, r.access, r.description, fields or whole)
        return
    yield from _channel("MM2S", maps.MM2S_OFFSET, "SA", "Source_Address")
    if cell.parameters["c_include_s2mm"] == "1":
        yield from _channel("S2MM", maps.S2MM_OFFSET, "DA", "Destination_Address")


def _channel(name: str, base: int, address: str, field: str) -> Iterator[_Register]:
    """Registers of a DMA's channel in simple mode, as Vivado names them."""
    control = _bits(("RS", maps.DMA_RUN), ("Reset", maps.DMA_RESET), *_ENABLES)
    whole: _Fields = ((field, 0, _WORD_BITS),)
    for register, offset, fields, what in (
        ("DMACR", Dma.CONTROL, control, "control"),
        ("DMASR", Dma.STATUS, _bits(*zip(_STATUS_BITS, DmaStatus)), "status"),
        (address, Dma.ADDRESS, whole, "address"),
        (f"{address}_MSB", Dma.ADDRESS_HIGH, whole, "address, upper half"),
        ("LENGTH", Dma.LENGTH, (("Length", 0, LENGTH_BITS),), "length in bytes"),
    ):
        yield _Register(f"{name}_{register}", base + offset, "read-write", f"{name} {what}", fields)


def _bits(*names: tuple[str, int]) -> _Fields:
    return tuple((name, int(flag).bit_length() - 1, 1) for name, flag in names)
