"""The timing witness: counts logic between registers in a netlist that Yosys made for Xilinx parts.

There is no open place and route for these parts, so this counts: on every path from register to
register the LUTs in series, the carry chains in series, and the length of each chain. What counts
for how much is in docs/resources.md.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

MAX_LUTS = 4
"""LUT levels between two registers."""
MAX_CHAINS = 1
"""Carry chains between two registers."""
MAX_CARRY4 = 12
"""CARRY4 in one chain: 48 bits."""
BLOCK_RAM_LUTS = 2
"""LUT levels that the output of a block RAM without output register stands for."""
OUTPUT_REGISTER = re.compile(r"weight")
"""Block RAMs that must have their output register, by name."""

_INDEX = re.compile(r"\[\d+\]|\b\d+(?=\.|$)")
_CLOCK = re.compile(r"(C|[A-Z]*CLK[A-Z]*)$")


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


@dataclass
class Count:
    """The worst of all paths to a bit, each figure for itself, with the arc that brought it."""

    luts: int = 0
    chains: int = 0
    run: int = 0  # CARRY4 so far in the chain that the bit is in
    carry4: int = 0  # CARRY4 of the longest chain
    came: dict[str, Arc] = field(default_factory=dict)


@dataclass(frozen=True)
class Path_:
    """The worst path to a signal in one figure; indices are left out of names."""

    start: str
    end: str
    luts: int
    chains: int
    carry4: int
    way: tuple[str, ...]  # lines of the RTL and signals between

    @property
    def fails(self) -> bool:
        """Whether it is too long."""
        return self.luts > MAX_LUTS or self.chains > MAX_CHAINS or self.carry4 > MAX_CARRY4

    def __str__(self) -> str:
        chains = f" + {self.chains} carry ({4 * self.carry4} bits)" if self.chains else ""
        way = f" by {', '.join(self.way)}" if self.way else ""
        return f"{self.luts} LUT{chains}: {self.start} -> {self.end}{way}"


@dataclass(frozen=True)
class Verdict:
    """What the witness found."""

    worst: tuple[Path_, ...]  # of each signal that ends paths, longest first
    failing: tuple[Path_, ...]
    cycles: tuple[str, ...]  # signals on combinational cycles
    faults: tuple[str, ...]  # registers that are missing
    ends: int

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.failing or self.cycles or self.faults)


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
        return cls(json.loads(path.read_text(encoding="utf-8"))["modules"][top])


def judge(netlist: Netlist) -> Verdict:
    """Walk all paths of a netlist."""
    walk = _Walk(netlist)
    groups: dict[str, list[End]] = defaultdict(list)
    for end in walk.ends:
        if end.bit in walk.counts:
            groups[walk.end_name(end)].append(end)
    worst: list[Path_] = []
    failing: set[Path_] = set()
    for ends in groups.values():
        paths = [walk.path(ends, figure) for figure in ("luts", "chains", "carry4")]
        worst.append(max(paths, key=_length))
        failing.update(path for path in paths if path.fails)
    return Verdict(
        tuple(sorted(worst, key=_length, reverse=True)),
        tuple(sorted(failing, key=_length, reverse=True)),
        walk.cycles(),
        tuple(sorted(set(_faults(netlist)))),
        len(walk.ends),
    )


def _length(path: Path_) -> tuple[int, int, int, str, str]:
    return path.luts + 2 * path.chains, path.chains, path.carry4, path.end, path.start


class _Walk:
    """Counts on all bits of a netlist, in topological order."""

    def __init__(self, netlist: Netlist) -> None:
        self.names = netlist.names
        self.driver: dict[int, Cell] = {}
        self.into: dict[int, list[Arc]] = defaultdict(list)
        self.counts = {bit: Count() for bit in netlist.ports["input"]}
        self.ends = [End(bit, None, "") for bit in netlist.ports["output"]]
        out: dict[int, list[int]] = defaultdict(list)
        for cell in netlist.cells:
            self.driver.update((bit, cell) for _, bit in cell.bits(".*", out=True))
            for item in _model(cell):
                if isinstance(item, Start):
                    self.counts[item.bit] = Count(item.luts)
                elif isinstance(item, End):
                    self.ends.append(item)
                else:
                    self.into[item.end].append(item)
                    out[item.start].append(item.end)
        self.waiting = {bit: len(arcs) for bit, arcs in self.into.items()}
        ready = [bit for bit in out if bit not in self.waiting]
        while ready:
            for bit in out.get(ready.pop(), ()):
                self.waiting[bit] -= 1
                if self.waiting[bit] == 0:
                    self._count(bit)
                    ready.append(bit)

    def _count(self, bit: int) -> None:
        # A LUT RAM's output starts paths, and paths from its address go through it.
        count = self.counts.pop(bit, None) or Count()
        reached = False
        for arc in self.into[bit]:
            before = self.counts.get(arc.start)
            if before is None:  # driven by constants alone
                continue
            reached = True
            run = {"": 0, "first": 1, "next": before.run + 1}[arc.carry]
            now = {
                "luts": before.luts + arc.luts,
                "chains": before.chains + (arc.carry == "first"),
                "run": run,
                "carry4": max(before.carry4, run),
            }
            for figure, value in now.items():
                if value > getattr(count, figure) or figure not in count.came:
                    setattr(count, figure, max(value, getattr(count, figure)))
                    count.came[figure] = arc
        if reached or count.luts:
            self.counts[bit] = count

    def path(self, ends: list[End], figure: str) -> Path_:
        """Follow the worst path to one of some ends back to its start."""

        def figures(end: End) -> dict[str, int]:
            count = self.counts[end.bit]
            return {
                "luts": count.luts + end.luts,
                "chains": count.chains + end.chains,
                "carry4": count.carry4,
            }

        end = max(ends, key=lambda end: (figures(end)[figure], sum(figures(end).values())))
        arcs: list[Arc] = []
        bit, following = end.bit, figure
        while arc := self.counts[bit].came.get(following):
            arcs.append(arc)
            bit = arc.start
            if figure == "carry4" and self.counts[arc.end].run == self.counts[arc.end].carry4:
                following = "run" if arc.carry == "next" else "carry4"
        luts, chains = self.counts[bit].luts + end.luts, end.chains
        run = longest = 0
        way: list[str] = []
        for arc in reversed(arcs):
            luts += arc.luts
            chains += arc.carry == "first"
            run = {"": 0, "first": 1, "next": run + 1}[arc.carry]
            longest = max(longest, run)
            label = arc.cell.source if arc.carry else _plain(self.names.get(arc.end, ""))
            if label and label not in way:
                way.append(label)
        return Path_(self.name(bit), self.end_name(end), luts, chains, longest, tuple(way))

    def name(self, bit: int) -> str:
        """Name a bit's signal, or the cell that drives it."""
        cell = self.driver.get(bit)
        return _plain(self.names.get(bit) or (f"{cell.source or cell.name}" if cell else str(bit)))

    def end_name(self, end: End) -> str:
        """Name the signal of the register at a path's end, and the pin unless it is D."""
        if end.cell is None:
            return f"port {self.name(end.bit)}"
        if end.cell.type.startswith("FD"):
            (bit,) = end.cell.pins["Q"]
            name = _plain(self.names.get(bit or -1) or end.cell.source or end.cell.name)
        else:
            name = f"{end.cell.type} {_plain(_called(end.cell))}"
        return name if end.pin == "D" else f"{name} ({end.pin})"

    def cycles(self) -> tuple[str, ...]:
        """Name the signals on combinational cycles."""
        left = {bit for bit, count in self.waiting.items() if count}
        while True:  # drop what is only behind a cycle: nothing left starts from it
            inner = {arc.start for bit in left for arc in self.into[bit]} & left
            if inner == left:
                return tuple(sorted({self.name(bit) for bit in left}))
            left = inner


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


def _model(cell: Cell) -> Iterator[Start | End | Arc]:
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
            yield Start(bit, 0 if registered else BLOCK_RAM_LUTS)
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
    """All registers are taken to be there (see _faults), but those of the inputs."""
    yield from (Start(bit) for _, bit in cell.bits(".*", out=True))
    # Without its register, an input of the multiplier must come straight from one, and an input
    # of the adder has the adder's carry chain before it.
    for pin in "ABD":
        to_adder = pin != "D" and not _multiplies(cell)
        bare = not cell.number(f"{pin}REG")
        yield from _ends(
            cell, pin, MAX_LUTS if bare and not to_adder else 0, int(bare and to_adder)
        )
    yield from _ends(cell, "C", chains=int(not cell.number("CREG")))
    yield from _ends(cell, "CARRYIN|[A-Z]*MODE", chains=1)
    yield from _ends(cell, "(CE|RST).*")


def _multiplies(cell: Cell) -> bool:
    return cell.parameters.get("USE_MULT", "MULTIPLY") != "NONE"


def _called(cell: Cell) -> str:
    """The name of a memory is the RTL's; other cells are known by their line."""
    return cell.name if not cell.name.startswith("$") else cell.source or cell.name


def _plain(name: str) -> str:
    """Leave out indices, so that the bits of a signal have one name."""
    return _INDEX.sub(lambda found: "[]" if found[0][0] == "[" else "*", name)


def _faults(netlist: Netlist) -> Iterator[str]:
    """Find DSPs and block RAMs without the registers that their speed depends on."""
    users: dict[int, list[tuple[Cell, str]]] = defaultdict(list)
    for cell in netlist.cells:
        for pin, bit in cell.bits(".*"):
            users[bit].append((cell, pin))
    for cell in netlist.cells:
        if cell.type.startswith("DSP48"):
            if _multiplies(cell) and not cell.number("MREG"):
                yield f"DSP of {_called(cell)}: no M register"
            if not cell.number("PREG"):
                yield f"DSP of {_called(cell)}: no P register"
        elif re.match("RAMB|URAM", cell.type) and OUTPUT_REGISTER.search(cell.name):
            # Yosys leaves the register outside; the vendor's tool takes it in if nothing is between.
            for pin, bit in cell.bits("DO.*", out=True):
                side = "B" if re.match(r"DO\w*B", pin) else "A"
                if not cell.number(f"DO{side}_REG") and not all(
                    _registers(user, at) for user, at in users[bit]
                ):
                    yield f"block RAM {_plain(cell.name)}: no output register"
                    break


def _registers(cell: Cell, pin: str) -> bool:
    """Whether a pin leads straight into a register."""
    if cell.type.startswith("DSP48"):
        return pin in "ABCD" and cell.number(f"{pin}REG") > 0
    return pin == "D" and cell.type.startswith(("FD", "SRL"))
