"""The longest path of a step as an HLS tool would add it up, from delays that it has printed.

A tool schedules operations, not LUTs: each has a delay for the part, and those that follow one
another in a clock cycle are added. See docs/recurrences.md for where the delays are from.
"""

from __future__ import annotations

from workshop.recurrence.dataflow import Step, Wire

UNCERTAINTY = 0.27
"""Part of the clock period that the tool is told to leave for routing (run_hls.tcl)."""
_NARROW = 8
"""Bits up to which a comparison is narrow."""
_DELAYS = {  # ns, Vitis HLS 2021.2 and 2022.1 for UltraScale+ of speed grade 2
    **dict.fromkeys(("add", "sub"), 0.79),
    **dict.fromkeys(("shl", "lshr", "ashr"), 0.56),
    **dict.fromkeys(("select", "and", "or", "xor"), 0.29),
    **dict.fromkeys(("not", "concat", "extend"), 0.0),
    "mul": 3.42,
    "icmp": 0.86,
    "narrow icmp": 0.45,
    "register": 0.39,  # the choice between a loop's first value and its next
}


def longest(step: Step) -> float:
    """Return the longest path into the state or an address, in ns, for UltraScale+."""
    arrival: dict[Wire | None, float] = {None: 0.0}
    for wire in step.wires:
        late = [arrival[bits.wire] for bits in wire.operands]
        ends = wire.early or wire.op == "read"  # what is early waits in a register
        arrival[wire] = 0.0 if ends or not late else max(late) + _delay(wire)
    state = [arrival[bits.wire] + _DELAYS["register"] for bits in step.after["state"]]
    return max(state + [arrival[bits.wire] for read in step.reads for bits in read.operands])


def _delay(wire: Wire) -> float:
    constant = any(bits.wire is None for bits in wire.operands)
    if constant and wire.op in ("shl", "lshr", "ashr", "and", "or", "xor"):
        return 0.0
    if wire.op == "icmp" and min(_width(wire, at) for at in (0, 1)) <= _NARROW:
        return _DELAYS["narrow icmp"]
    logic = wire.width == 1 and wire.op in ("and", "or", "xor", "select")
    return _DELAYS[wire.op] / (2 if logic else 1)  # every second one shares a LUT


def _width(wire: Wire, operand: int) -> int:
    """Bits of an operand without those that are only filled up, or of a constant."""
    bits = wire.operands[operand]
    if bits.wire is None:
        return bits.value.bit_length()
    return bits.wire.operands[0].width if bits.wire.op == "extend" else bits.width
