"""Netlists that Yosys made for Xilinx parts: cells, and which paths begin, end and pass there.

What counts for how much is in docs/resources.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lstm_sharp import files

MAX_LUTS = 4
"""LUT levels between two registers."""
SLOW_LUTS = 2
"""LUT levels that a block RAM without output register, or a DSP without P register, stands for."""

_CLOCK = re.compile(r"[A-Z]*CLK[A-Z]*$")


@dataclass
class Cell:
    """A cell; of its pins' bits, constants are None."""

    name: str
    type: str
    parameters: dict[str, Any]
    source: str  # file and line it comes from
    pins: dict[str, list[int | None]]
    outputs: frozenset[str]

    def number(self, parameter: str) -> int:
        """Return a numeric parameter; what is not given is 0."""
        return int(str(self.parameters.get(parameter, "0")), 2)

    def bits(self, pattern: str, out: bool = False) -> Iterator[tuple[str, int]]:
        """Yield pin and bit of all inputs, or outputs, whose name matches, but constants."""
        for pin, bits in self.pins.items():
            if (pin in self.outputs) == out and re.fullmatch(pattern, pin):
                yield from ((pin, bit) for bit in bits if bit is not None)


class Start(NamedTuple):
    """Where paths begin, and the LUT levels that getting out of there stands for."""

    bit: int
    luts: int = 0


class End(NamedTuple):
    """Where paths end, and what lies between the pin and the register."""

    bit: int
    cell: Cell | None
    pin: str
    luts: int = 0
    chains: int = 0


class Arc(NamedTuple):
    """A way through a cell without a clock."""

    start: int
    end: int
    cell: Cell
    luts: int = 0
    carry: str = ""  # "first" CARRY4 of a chain or "next"


class Netlist:
    """A flat module of a netlist as Yosys's ``write_json`` gives it."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells = [_cell(name, cell) for name, cell in module["cells"].items()]
        self.ports = {
            direction: [
                bit
                for port in module["ports"].values()
                if port["direction"] == direction
                for bit in port["bits"]
                if isinstance(bit, int)
            ]
            for direction in ("input", "output")
        }
        self.names: dict[int, str] = {}
        for name, net in module["netnames"].items():
            for place, bit in enumerate(net["bits"]):
                full = f"{name}[{place}]" if len(net["bits"]) > 1 else name
                # Of several names a bit gets that of the innermost module.
                if (
                    not net.get("hide_name")
                    and isinstance(bit, int)
                    and full.count(".") >= self.names.get(bit, "").count(".")
                ):
                    self.names[bit] = full
        self.types = Counter(cell.type for cell in self.cells)

    @classmethod
    def read(cls, path: Path, top: str) -> Netlist:
        """Read a JSON netlist."""
        return cls(files.read_json(path, path.stat().st_size)["modules"][top])


def _cell(name: str, cell: dict[str, Any]) -> Cell:
    pins = {
        pin: [bit if isinstance(bit, int) else None for bit in bits]
        for pin, bits in cell["connections"].items()
    }
    outputs = frozenset(p for p, way in cell["port_directions"].items() if way == "output")
    lines = [
        part.split(".")[0] + "." + part.split(".")[1]
        for part in cell.get("attributes", {}).get("src", "").split("|")
        if part.startswith("rtl/")
    ]
    source = lines[0].removeprefix("rtl/") if lines else ""
    return Cell(name, cell["type"], cell.get("parameters", {}), source, pins, outputs)


def model(cell: Cell) -> Iterator[Start | End | Arc]:
    """Yield what a cell means for paths.

    Raises:
        ValueError: a cell of a type that nobody has thought of.
    """
    kind = cell.type
    if kind.startswith("FD"):
        yield from (Start(bit) for _, bit in cell.bits("Q", out=True))
        yield from _ends(cell, "(?!C$).*")
    elif re.fullmatch(r"LUT[1-6]|INV|MUXF[789]|[IO]BUF|BUFG", kind):
        levels = int(kind.startswith("LUT"))
        for _, end in cell.bits("O", out=True):
            yield from (Arc(start, end, cell, levels) for _, start in cell.bits(".*"))
    elif kind == "CARRY4":
        yield from _carry4(cell)
    elif re.fullmatch(r"RAM\d+(M\d*|X1[SD])|SRL(C?16E?|C32E)", kind):
        yield from _lut_memory(cell)
    elif re.fullmatch(r"RAMB(18|36)E[12]|URAM288", kind):
        registers = {side: cell.number(f"DO{side}_REG") for side in "AB"}
        for pin, bit in cell.bits(".*", out=True):
            registered = registers["B" if re.match(r"DO\w*B", pin) else "A"]
            yield Start(bit, 0 if registered else SLOW_LUTS)
        yield from _ends(cell, ".*")
    elif re.fullmatch(r"DSP48E[12]", kind):
        yield from _dsp(cell)
    elif kind not in ("VCC", "GND"):
        raise ValueError(f"netlist: cell {cell.name} has the unknown type {kind}")


def _ends(cell: Cell, pattern: str, luts: int = 0, chains: int = 0) -> Iterator[End]:
    for pin, bit in cell.bits(pattern):
        if not _CLOCK.match(pin):
            yield End(bit, cell, pin, luts, chains)


def _carry4(cell: Cell) -> Iterator[Arc]:
    """A sum or carry depends on the bits below, and on propagate of its own."""
    pins = cell.pins
    for out in ("O", "CO"):
        for place, end in enumerate(pins.get(out, ())):
            if end is None:
                continue
            below = place + (out == "CO")
            for start in [*pins["S"][: place + 1], *pins["DI"][:below], *pins["CYINIT"]]:
                if start is not None:
                    yield Arc(start, end, cell, 0, "first")
            if pins["CI"][0] is not None:
                yield Arc(pins["CI"][0], end, cell, 0, "next")


def _lut_memory(cell: Cell) -> Iterator[Start | End | Arc]:
    """Written at the clock like a register, read like a LUT."""
    letters = sorted(pin[-1] for pin in cell.pins if re.fullmatch("ADDR[A-H]", pin))
    for pin, end in cell.bits(".*", out=True):
        yield Start(end, 1)
        if re.fullmatch("DO[A-H]", pin):
            reads = f"ADDR{pin[-1]}"
        else:
            reads = {"DPO": r"DPRA\d*", "Q31": "-", "Q15": "-"}.get(pin, r"A\d*")
        yield from (Arc(start, end, cell, 1) for _, start in cell.bits(reads))
    writes = f"ADDR{letters[-1]}" if letters else "-" if cell.type.startswith("SRL") else r"A\d*"
    yield from _ends(cell, rf"D|DI[A-H]?|WE|CE|{writes}")


def _dsp(cell: Cell) -> Iterator[Start | End]:
    """The M register is taken to be there, see _faults."""
    luts = 0 if cell.number("PREG") else SLOW_LUTS
    yield from (Start(bit, luts) for _, bit in cell.bits(".*", out=True))
    # Without its register, an input of the multiplier must come straight from one, and an input
    # of the adder has the adder's carry chain before it.
    for pin in "ABD":
        to_adder = pin != "D" and not multiplies(cell)
        bare = not cell.number(f"{pin}REG")
        yield from _ends(
            cell, pin, MAX_LUTS if bare and not to_adder else 0, int(bare and to_adder)
        )
    yield from _ends(cell, "C", chains=int(not cell.number("CREG")))
    yield from _ends(cell, "CARRYIN|[A-Z]*MODE", chains=1)
    yield from _ends(cell, "(CE|RST).*")


def multiplies(cell: Cell) -> bool:
    """Whether a DSP uses its multiplier."""
    return cell.parameters.get("USE_MULT", "MULTIPLY") != "NONE"


def called(cell: Cell) -> str:
    """The name of a memory is the RTL's; other cells are known by their line."""
    return cell.name if not cell.name.startswith("$") else cell.source or cell.name
