"""The timing witness: counts logic between registers in a netlist.

There is no open place and route for these parts, so this counts: on every path from register to
register the LUTs in series, the carry chains in series, and the length of each chain. What counts
for how much is in docs/resources.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from workshop.netlist import (
    MAX_LUTS,
    SLOW_LUTS,
    Arc,
    Cell,
    End,
    Netlist,
    Start,
    called,
    model,
    multiplies,
)

MAX_CHAINS = 1
"""Carry chains between two registers."""
MAX_CARRY4 = 12
"""CARRY4 in one chain: 48 bits."""
OUTPUT_REGISTER = re.compile(r"weight")
"""Block RAMs that must have their output register, by name."""

FABRIC_SUM = re.compile(r"tanh_table")
"""DSPs whose sum Yosys leaves in LUTs, because part of it is not used; Vivado takes it in."""

_INDEX = re.compile(r"\[\d+\]|\b\d+(?=\.|$)")


Figures = dict[str, int]
"""Of a path: LUTs, carry chains, CARRY4 so far in the chain that it is in, and of the longest."""
_NONE = {"luts": 0, "chains": 0, "run": 0, "carry4": 0}


def _after(before: Figures, arc: Arc) -> Figures:
    """Go on by an arc."""
    run = {"": 0, "first": 1, "next": before["run"] + 1}[arc.carry]
    return {
        "luts": before["luts"] + arc.luts,
        "chains": before["chains"] + (arc.carry == "first"),
        "run": run,
        "carry4": max(before["carry4"], run),
    }


@dataclass(frozen=True)
class Route:
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

    worst: tuple[Route, ...]  # of each signal that ends paths, longest first
    failing: tuple[Route, ...]
    cycles: tuple[str, ...]  # signals on combinational cycles
    faults: tuple[str, ...]  # registers that are missing
    notes: tuple[str, ...]  # what is allowed, but counts
    ends: int

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.failing or self.cycles or self.faults)


def judge(netlist: Netlist) -> Verdict:
    """Walk all paths of a netlist."""
    walk = _Walk(netlist)
    groups: dict[str, list[End]] = defaultdict(list)
    for end in walk.ends:
        if end.bit in walk.counts:
            groups[walk.end_name(end)].append(end)
    worst: list[Route] = []
    failing: set[Route] = set()
    for ends in groups.values():
        paths = [walk.path(ends, figure) for figure in ("luts", "chains", "carry4")]
        worst.append(max(paths, key=_length))
        failing.update(path for path in paths if path.fails)
    slow = {
        f"DSP of {called(cell)}: no P register, counts as {SLOW_LUTS} LUT"
        for cell in netlist.cells
        if cell.type.startswith("DSP48") and not cell.number("PREG")
    }
    return Verdict(
        tuple(sorted(worst, key=_length, reverse=True)),
        tuple(sorted(failing, key=_length, reverse=True)),
        walk.cycles(),
        tuple(sorted(set(_faults(netlist)))),
        tuple(sorted(slow)),
        len(walk.ends),
    )


def _length(path: Route) -> tuple[int, int, int, str, str]:
    return path.luts + 2 * path.chains, path.chains, path.carry4, path.end, path.start


class _Walk:
    """Counts on all bits of a netlist, in topological order, the worst of all paths to each.

    Each figure counts for itself.
    """

    def __init__(self, netlist: Netlist) -> None:
        self.names = netlist.names
        self.driver: dict[int, Cell] = {}
        self.into: dict[int, list[Arc]] = defaultdict(list)
        self.counts = dict.fromkeys(netlist.ports["input"], _NONE)
        self.ends = [End(bit, None, "") for bit in netlist.ports["output"]]
        out: dict[int, list[int]] = defaultdict(list)
        for cell in netlist.cells:
            self.driver.update((bit, cell) for _, bit in cell.bits(".*", out=True))
            for item in model(cell):
                if isinstance(item, Start):
                    self.counts[item.bit] = {**_NONE, "luts": item.luts}
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
        seen = [self.counts[bit]] if bit in self.counts else []
        seen += [_after(self.counts[a.start], a) for a in self.into[bit] if a.start in self.counts]
        if seen:  # else driven by constants alone
            self.counts[bit] = {figure: max(each[figure] for each in seen) for figure in _NONE}

    def _came(self, bit: int, figure: str) -> Arc | None:
        """The arc that brought a bit its count, if it is not where the path starts."""
        arcs = (arc for arc in self.into.get(bit, ()) if arc.start in self.counts)
        most = self.counts[bit][figure]
        return next((a for a in arcs if _after(self.counts[a.start], a)[figure] == most), None)

    def path(self, ends: list[End], figure: str) -> Route:
        """Follow the worst path to one of some ends back to its start."""

        def worst(end: End) -> tuple[int, int]:
            count = self.counts[end.bit]
            own = {"luts": end.luts, "chains": end.chains, "carry4": 0}
            return count[figure] + own[figure], sum(count[f] + own[f] for f in own)

        end = max(ends, key=worst)
        arcs: list[Arc] = []
        bit, following = end.bit, figure
        while arc := self._came(bit, following):
            arcs.append(arc)
            bit = arc.start
            if figure == "carry4" and self.counts[arc.end]["run"] == self.counts[arc.end]["carry4"]:
                following = "run" if arc.carry == "next" else "carry4"
        seen = {**_NONE, "luts": self.counts[bit]["luts"] + end.luts, "chains": end.chains}
        way: dict[str, None] = {}
        for arc in reversed(arcs):
            seen = _after(seen, arc)
            way[arc.cell.source if arc.carry else plain(self.names.get(arc.end, ""))] = None
        luts, chains, _, carry4 = seen.values()
        signals = tuple(filter(None, way))
        return Route(self.name(bit), self.end_name(end), luts, chains, carry4, signals)

    def name(self, bit: int) -> str:
        """Name a bit's signal, or the cell that drives it."""
        cell = self.driver.get(bit)
        return plain(self.names.get(bit) or (f"{cell.source or cell.name}" if cell else str(bit)))

    def end_name(self, end: End) -> str:
        """Name the signal of the register at a path's end, and the pin unless it is D."""
        if end.cell is None:
            return f"port {self.name(end.bit)}"
        if end.cell.type.startswith("FD"):
            (bit,) = end.cell.pins["Q"]
            name = plain(self.names.get(bit or -1) or end.cell.source or end.cell.name)
        else:
            name = f"{end.cell.type} {plain(called(end.cell))}"
        return name if end.pin == "D" else f"{name} ({end.pin})"

    def cycles(self) -> tuple[str, ...]:
        """Name the signals on combinational cycles."""
        left = {bit for bit, count in self.waiting.items() if count}
        while True:  # drop what is only behind a cycle: nothing left starts from it
            inner = {arc.start for bit in left for arc in self.into[bit]} & left
            if inner == left:
                return tuple(sorted({self.name(bit) for bit in left}))
            left = inner


def plain(name: str) -> str:
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
            if multiplies(cell) and not cell.number("MREG"):
                yield f"DSP of {called(cell)}: no M register"
            if not cell.number("PREG") and not FABRIC_SUM.search(called(cell)):
                yield f"DSP of {called(cell)}: no P register"
        elif re.match("RAMB|URAM", cell.type) and OUTPUT_REGISTER.search(cell.name):
            # Yosys leaves the register outside; Vivado takes it in if nothing is between.
            for pin, bit in cell.bits("DO.*", out=True):
                side = "B" if re.match(r"DO\w*B", pin) else "A"
                if not cell.number(f"DO{side}_REG") and not all(
                    _registers(user, at) for user, at in users[bit]
                ):
                    yield f"block RAM {plain(cell.name)}: no output register"
                    break


def _registers(cell: Cell, pin: str) -> bool:
    """Whether a pin leads straight into a register."""
    if cell.type.startswith("DSP48"):
        return pin in "ABCD" and cell.number(f"{pin}REG") > 0
    return pin == "D" and cell.type.startswith(("FD", "SRL"))
