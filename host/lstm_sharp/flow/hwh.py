"""The hardware handoff of a block design (.hwh), as PYNQ reads it.

Vivado writes such a file beside a bitstream; this one is rendered from the same ``Design``, for
overlays that have no bitstream. It goes as deep as PYNQ does: interfaces, not their signals.
"""

from __future__ import annotations

from collections.abc import Iterator

from lstm_sharp.engine import registers as maps
from lstm_sharp.engine.registers import Dma, DmaStatus
from lstm_sharp.flow.design import LENGTH_BITS, Cell, Design
from lstm_sharp.flow.render import filled

_ARCHS = {"zynq7": "zynq", "zynqmp": "zynquplus"}
_WORD_BITS = 32
_Fields = list[tuple[str, int, int]]  # name, lowest bit, bits


def _bits(**flags: int) -> _Fields:
    return [(name, int(flag).bit_length() - 1, 1) for name, flag in flags.items()]


# As Vivado names them; the last two of CONTROL let through those of STATUS.
_STATUS = ("Halted", "Idle", "DMAIntErr", "DMASlvErr", "DMADecErr", "IOC_Irq", "Err_Irq")
_FIELDS = {
    Dma.CONTROL: _bits(
        RS=maps.DMA_RUN,
        Reset=maps.DMA_RESET,
        IOC_IrqEn=DmaStatus.COMPLETE,
        Err_IrqEn=DmaStatus.ERROR,
    ),
    Dma.STATUS: _bits(**dict(zip(_STATUS, DmaStatus))),
    Dma.LENGTH: [("Length", 0, LENGTH_BITS)],
}


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


def _registers(cell: Cell) -> Iterator[tuple[str, int, str, str, _Fields]]:
    """Yield name, offset, access, description and fields of each register of a cell."""
    if cell.vlnv != maps.DMA_VLNV:
        for r in maps.ENGINE_MAP:
            # As Vitis HLS has it: a value is a field of its own name, a window has none.
            whole = [(r.name, 0, _WORD_BITS)] if r.size * 8 == _WORD_BITS else []
            fields = [(name, bit, 1) for name, bit in r.fields.items()] or whole
            yield r.name, r.offset, r.access, r.description, fields
        return
    sides = [("MM2S", maps.MM2S_OFFSET, "SA", "Source_Address")]
    if cell.parameters["c_include_s2mm"] == "1":
        sides.append(("S2MM", maps.S2MM_OFFSET, "DA", "Destination_Address"))
    for side, base, address, field in sides:
        for name, register, what in (
            ("DMACR", Dma.CONTROL, "control"),
            ("DMASR", Dma.STATUS, "status"),
            (address, Dma.ADDRESS, "address"),
            (f"{address}_MSB", Dma.ADDRESS_HIGH, "address, upper half"),
            ("LENGTH", Dma.LENGTH, "length in bytes"),
        ):
            fields = _FIELDS.get(register, [(field, 0, _WORD_BITS)])
            yield f"{side}_{name}", base + register, "read-write", f"{side} {what}", fields
