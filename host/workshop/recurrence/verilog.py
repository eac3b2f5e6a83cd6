"""Verilog of steps: as plain logic, to be simulated, and between registers, to be measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workshop.recurrence.dataflow import Bits, Step, Wire, concatenated, joined


def ports(step: Step) -> dict[str, tuple[str, int]]:
    """Return way and bits of the ports of ``logic``.

    They are the bytes of each object; those of ``memories`` are ``address``, 32 bits for each
    read, and ``loaded``, what is read there.
    """
    return {
        "state_i": ("input", 8 * len(step.before["state"])),
        "in_i": ("input", 8 * len(step.before["in"])),
        "loaded": ("input", sum(read.width for read in step.reads)),
        "state_o": ("output", 8 * len(step.after["state"])),
        "out_o": ("output", 8 * len(step.after["out"])),
        "address": ("output", 32 * len(step.reads)),
    }


def logic(step: Step) -> str:
    """Return a module without a clock: the next state and outputs from state and inputs."""
    has = [f"  {way} [{n - 1}:0] {port}" for port, (way, n) in ports(step).items() if n]
    lines = [f"module {step.name}_logic (", ",\n".join(has), ");"]
    for name in ("state", "in"):
        for wire, low in _sources(step.before[name]):
            lines.append(f"  {_declare(wire)} = {name}_i[{low + wire.width - 1}:{low}];")
    lines += [f"  {_declare(wire)} = {given};" for wire, given in _shares("loaded", step.reads)]
    lines += [_assign(wire) for wire in step.wires if _made(wire)]
    for at, read in enumerate(step.reads):
        lines.append(f"  assign address[{32 * at + 31}:{32 * at}] = {read.text};")
    lines += [f"  assign {name}_o = {_bytes(step.after[name])};" for name in ("state", "out")]
    return "\n".join([*lines, "endmodule", ""])


def registered(step: Step) -> str:
    """Return a module that holds the state in registers, to be measured.

    Inputs, what is read from memories, and all that is worked out from inputs alone come from
    registers; outputs are left out, and addresses end in registers.
    """
    outputs: list[str] = []
    lines: list[str] = []
    state = _state(step)
    wires = _needed(step)
    late = {bits.wire for wire in wires if not wire.early for bits in wire.operands}
    late |= {bits.wire for bits in step.after["state"]}
    given = [wire for wire in wires if not _made(wire) and wire not in state]
    lines += [_register(wire, share) for wire, share in _shares("given", given)]
    for wire in filter(_made, wires):
        register = wire.early and wire in late
        lines.append(_register(wire, wire.text) if register else _assign(wire))
    for wire, after in state.items():
        # As outputs, registers stay though nothing else may use them.
        outputs.append(f"  output reg [{wire.width - 1}:0] {_name(wire)}")
        lines.append(_clocked(_name(wire), _bytes(after)))
    for read in step.reads:
        if read in wires and not read.early:
            (index,) = read.operands
            name = f"\\{read.name.replace('memories', 'address')} "
            outputs.append(f"  output reg [{index.width - 1}:0] {name}")
            lines.append(_clocked(name, str(index)))
    width = sum(wire.width for wire in given) or 1
    has = ["  input clk", f"  input [{width - 1}:0] given", *outputs]
    return "\n".join([f"module {step.name} (", ",\n".join(has), ");", *lines, "endmodule", ""])


def _state(step: Step) -> dict[Wire, list[Bits]]:
    """Fields of the state that a step may change, and what they become."""
    after = step.after["state"]
    return {
        wire: after[low // 8 : (low + wire.width) // 8]
        for wire, low in _sources(step.before["state"])
        if not wire.early
    }


def _needed(step: Step) -> dict[Wire, None]:
    """All wires on which the next state depends, in their order."""
    needed: set[Wire] = set()
    left = [bits.wire for after in _state(step).values() for bits in after]
    while left:
        wire = left.pop()
        if wire is not None and wire not in needed:
            needed.add(wire)
            left += [bits.wire for bits in wire.operands]
    return {wire: None for wire in step.wires if wire in needed}


def _sources(held: Sequence[Bits]) -> list[tuple[Wire, int]]:
    """The wires of an object's fields, and where they begin."""
    found: dict[Wire, int] = {}
    for at, bits in enumerate(held):
        if bits.wire is not None:
            found.setdefault(bits.wire, 8 * at)
    return list(found.items())


def _shares(port: str, wires: Iterable[Wire]) -> Iterator[tuple[Wire, str]]:
    """Give each wire its part of a port."""
    low = 0
    for wire in wires:
        yield wire, f"{port}[{low + wire.width - 1}:{low}]"
        low += wire.width


def _made(wire: Wire) -> bool:
    """Whether a wire comes from others, and not from outside."""
    return wire.op not in ("source", "read")


def _name(wire: Wire) -> str:
    return f"\\{wire.name} "


def _declare(wire: Wire) -> str:
    return f"wire [{wire.width - 1}:0] {_name(wire)}"


def _assign(wire: Wire) -> str:
    return f"  {_declare(wire)} = {wire.text};"


def _clocked(name: str, value: str) -> str:
    return f"  always @(posedge clk) {name} <= {value};"


def _register(wire: Wire, value: str) -> str:
    return f"  reg [{wire.width - 1}:0] {_name(wire)};\n{_clocked(_name(wire), value)}"


def _bytes(held: Sequence[Bits]) -> str:
    return concatenated(joined(held))
