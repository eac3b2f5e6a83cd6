"""The logic depth of the C++ kernel's loop-carried updates, by way of LLVM's intermediate form.

``python -m workshop.recurrence [CONFIG...]`` prints it, by default for all shipped configs, whose
figures go to docs/results/recurrences.json; exit status 1: an update is too deep. The updates are
functions of updates.cpp that call the kernel; clang compiles them with integers of any width.
What it makes of one becomes wires (``Step``): branches become choices, places of memory wires. From
these comes Verilog, which Yosys maps and the timing witness walks, and which a simulation holds
against the compiled function. See docs/recurrences.md.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial, reduce
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from lstm_sharp import files, paths
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import tools, verilate
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser
from workshop import libclang, results, synth, witness
from workshop.libclang import Layout

STEPS = {  # function in updates.cpp: what it updates
    "fetch": "the next instruction, in two cycles",
    "dispatcher": "where the work stands, in no-op slots, rows and columns",
    "loader": "the tile, biases or state that are being gathered",
    "sums": "running sums",
    "turns": "the row block that the lanes take up",
    "packer": "the beat of h that is being filled",
}
MOST_LUTS = {"xc7": 6, "xcup": 4}
"""LUT levels of an update, by family: what 100 MHz leave on 7-series, 188 MHz on UltraScale+."""
MOST_CHAINS = 1
"""Carry chains in series."""
OBJECTS = ("state", "in", "memories", "out")
"""Parameters of an update, pointers: the state is read and written, ``in`` and tables in
``memories`` are read, ``out`` is written."""
UNCERTAINTY = 0.27
"""Part of the clock period that an HLS tool is told to leave for routing (run_hls.tcl)."""

_SOURCE = Path(__file__).with_name("updates.cpp")
_CLANG = (
    *("-target", "x86_64-linux-musl", "-std=c++14", "-DLSTM_SHARP_VITIS", "-O2", "-g0"),
    # Everything inside one function, all loops unrolled, and no vectors
    *("-mllvm", "-inline-threshold=100000", "-mllvm", "-unroll-threshold=100000"),
    *("-fno-vectorize", "-fno-slp-vectorize", "-fno-jump-tables", "-fno-discard-value-names"),
    *("-fno-sanitize=all", "-Wno-bit-int-extension", "-Wno-unknown-pragmas"),
)


class NotADatapath(UsageError):
    """The form holds what is no plain datapath: a loop, a call, an instruction not known here."""


# LLVM's intermediate form

_NAME = r'(?:[-\w.$]+|"[^"]*")'
_HINTS = re.compile(
    r"\b(?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|inrange\(.*?\)|volatile|tail|noundef) "
)
_COMMA = re.compile(r",\s*(?![^\[{(<]*[\]})>])")
"""A comma outside of brackets; none of what is split here has brackets within brackets."""
Instruction = tuple[str, str, str]
"""``%result = op text``, less what is only a hint; the result is "" for none."""


class Module:
    """The functions of a text, each as its blocks of instructions, and the types."""

    def __init__(self, text: str) -> None:
        self.functions: dict[str, dict[str, list[Instruction]]] = {}
        self.types = dict(re.findall(rf"^(%{_NAME}) = type (.*)", text, re.MULTILINE))
        for name, body in re.findall(
            rf"^define .*?@({_NAME})\(.*{{\n((?:.*\n)*?)}}$", text, re.MULTILINE
        ):
            blocks = self.functions[name.strip('"')] = {}
            body = re.sub(r"\[\n.*?\]", lambda cases: cases[0].replace("\n", " "), body, flags=re.S)
            for line in body.splitlines():
                if label := re.match(rf"({_NAME}):", line):
                    block = blocks[label[1].strip('"')] = []
                elif line := re.split(r",? ![\w.]+ !|;| #\d+$", line)[0].strip():
                    found = re.match(rf"(?:%({_NAME}) = )?(\S+) ?(.*)", _HINTS.sub("", line))
                    block.append(((found[1] or "").strip('"'), found[2], found[3]))  # type: ignore

    def size(self, kind: str) -> int:
        """Return the bytes that an element of a type takes in an array."""
        return self._extent(kind)[0]

    def _extent(self, kind: str) -> tuple[int, int]:
        """Size and alignment in bytes."""
        kind = self.types.get(kind, kind)
        if found := re.fullmatch(r"i(\d+)", kind):
            size = 1 << max(0, (int(found[1]) - 1) // 8).bit_length()
            return size, size
        if found := re.fullmatch(r"\[(\d+) x (.*)\]", kind):
            size, align = self._extent(found[2])
            return int(found[1]) * size, align
        if not re.match(r"<?{", kind):
            raise NotADatapath(f"the type {kind} is not known here")
        end, most, packed = 0, 1, kind[0] == "<"
        for size, align in map(self._extent, _split(kind.strip("<{ }>"))):
            align = 1 if packed else align
            end, most = -(-end // align) * align + size, max(most, align)
        return -(-end // most) * most, most


def _split(text: str) -> list[str]:
    return [part.strip() for part in _COMMA.split(text)] if text.strip() else []


def _targets(block: list[Instruction]) -> list[str]:
    """Blocks that its last instruction goes to."""
    return [found.strip('"') for found in re.findall(rf"label %({_NAME})", block[-1][2])]


# Wires


@dataclass(eq=False)
class Wire:
    """A named result of ``width`` bits: ``text`` of its operands, in Verilog.

    It is early if it depends on nothing that the step before has left: a tool can work it out in
    a pipeline stage before.
    """

    name: str
    width: int
    op: str
    operands: tuple[Bits, ...] = ()
    text: str = ""
    early: bool = True

    def __str__(self) -> str:
        return f"\\{self.name} "


@dataclass(frozen=True)
class Bits:
    """Some bits of a wire, from ``low`` on, or a constant."""

    width: int
    wire: Wire | None
    low: int = 0
    value: int = 0

    def cut(self, low: int, width: int) -> Bits:
        """Return some of the bits."""
        if self.wire is None:
            return _constant(width, self.value >> low)
        return replace(self, width=width, low=self.low + low)

    def __str__(self) -> str:
        if self.wire is None:
            return f"{self.width}'d{self.value}"
        whole = self.width == self.wire.width
        return f"{self.wire}" + ("" if whole else f"[{self.low + self.width - 1}:{self.low}]")

    def bytes(self) -> list[Bits]:
        """Return them byte by byte, the lowest first."""
        return [self.cut(low, 8) for low in range(0, self.width, 8)]


@dataclass(frozen=True)
class Pointer:
    """A place in an object: an offset, or in a table one of a row of them by an index."""

    object: str
    offset: int = 0
    index: Bits | None = None
    stride: int = 1


@dataclass(frozen=True)
class Choice:
    """One of two pointers."""

    condition: Bits
    yes: Place
    no: Place


Place = Pointer | Choice
Memory = dict[str, list[Bits]]  # of each object its bytes


@dataclass
class Step:
    """A function as wires, in an order in which each comes after what it is made of."""

    name: str
    layouts: Mapping[str, Layout]
    wires: list[Wire]
    before: list[Bits]  # bytes of the state
    after: list[Bits]
    out: list[Bits]

    def fields(self) -> dict[Wire, int]:
        """The wires of the state before, and where they begin, in bits."""
        found: dict[Wire, int] = {}
        for at, bits in enumerate(self.before):
            if bits.wire is not None:
                found.setdefault(bits.wire, 8 * at)
        return found


def _chosen(conditions: Sequence[Bits], places: Sequence[Place], last: Place) -> Place:
    """The place whose condition holds, else the last one."""
    for condition, place in reversed(list(zip(conditions, places))):
        last = last if place == last else Choice(condition, place, last)
    return last


def _constant(width: int, value: int) -> Bits:
    return Bits(width, None, 0, value & ((1 << width) - 1))


def _signed(bits: Bits) -> int:
    return bits.value - (bits.value >> (bits.width - 1) << bits.width)


def _width(kind: str) -> int:
    if not re.fullmatch(r"i\d+", kind):
        raise NotADatapath(f"a value of the type {kind} is no number")
    return int(kind[1:])


def _joined(parts: Sequence[Bits]) -> list[Bits]:
    """Bits side by side, the lowest first, as few as they can be."""
    few: list[Bits] = []
    for part in parts:
        last = few[-1] if few else None
        if last and last.wire is part.wire and part.wire and last.low + last.width == part.low:
            few[-1] = replace(last, width=last.width + part.width)
        elif last and last.wire is None and part.wire is None:
            value = last.value | part.value << last.width
            few[-1] = Bits(last.width + part.width, None, 0, value)
        else:
            few.append(part)
    return few


def _concatenated(parts: Sequence[Bits]) -> str:
    """Bits side by side in Verilog, which begins with the highest."""
    return f"{{{', '.join(map(str, reversed(_joined(parts))))}}}"


TRUE, FALSE = _constant(1, 1), _constant(1, 0)
_BINARY = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "shl": "{0} << {1}",
    "lshr": "{0} >> {1}",
    "ashr": "$signed({0}) >>> {1}",
}
_COMPARE = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_LESS = {"umin": "ult", "umax": "ugt", "smin": "slt", "smax": "sgt"}


def step(module: Module, name: str, layouts: Mapping[str, Layout]) -> Step:
    """Turn a function into wires.

    Args:
        module: holds it.
        name: of the function.
        layouts: of each of its objects.

    Raises:
        NotADatapath: it has a loop, or what is not known here.
    """
    kept: set[int] = set()
    while True:  # until what no step changes is known: that is as early as inputs are
        made = _Walk(module, name, layouts, kept).step()
        same = {at for at, pair in enumerate(zip(made.before, made.after)) if pair[0] == pair[1]}
        if same == kept:
            return made
        kept = same


class _Walk:
    """Goes through a function's blocks, and makes wires.

    Args:
        module, name, layouts: as of ``step``.
        kept: bytes of the state that stay as they are.
    """

    def __init__(
        self, module: Module, name: str, layouts: Mapping[str, Layout], kept: set[int]
    ) -> None:
        self.module, self.name, self.layouts = module, name, layouts
        self.blocks = module.functions[name]
        self.wires: list[Wire] = []
        self.values: dict[str, Bits | Place | None] = {o: Pointer(o) for o in OBJECTS}
        self.held = {o: self._bytes(o, kept) for o in OBJECTS if o != "memories"}
        self.ways: dict[tuple[str, str], Bits] = {}  # from block to block
        self.reached: dict[tuple[str, str], Bits] = {}
        self.dominator: dict[str, str] = {}
        self.into: dict[str, list[str]] = {label: [] for label in self.blocks}

    def step(self) -> Step:
        before = list(self.held["state"])
        for label, block in self.blocks.items():
            for target in dict.fromkeys(_targets(block)):
                self.into[target].append(label)
        try:
            order = list(TopologicalSorter(self.into).static_order())
        except CycleError as error:
            raise self._not(f"a loop is left, through the block {error.args[1][0]}") from None
        ends: dict[str, Memory] = {}
        for label in order:
            came = self.into[label]
            self.dominator[label] = self._common(came)
            if came:
                self.held = self._join(label, [ends[block] for block in came])
            for result, op, text in self.blocks[label]:
                self.values[result] = self._execute(label, result, op, text)
            ends[label] = self.held
        return Step(
            self.name, self.layouts, self.wires, before, self.held["state"], self.held["out"]
        )

    def _not(self, why: str) -> NotADatapath:
        return NotADatapath(f"{self.name}: {why}")

    # Objects

    def _bytes(self, name: str, kept: set[int]) -> list[Bits]:
        """Bytes of an object before the step, a wire for each field; of ``out`` zeros."""
        layout = self.layouts[name]
        made = [Bits(8, None)] * layout.size
        labels = [field.name for field in layout.fields]
        for label, offset, size, _ in layout.fields if name != "out" else ():
            early = name == "in" or kept.issuperset(range(offset, offset + size))
            full = self._field(f"{name}.{label}", labels.count(label) == 1)
            self.wires.append(
                Wire(
                    full,
                    8 * size,
                    "source",
                    text=f"{name}[{8 * offset} +: {8 * size}]",
                    early=early,
                )
            )
            made[offset : offset + size] = Bits(8 * size, self.wires[-1]).bytes()
        return made

    def _load(self, place: Place, size: int, name: str) -> Bits:
        if isinstance(place, Choice):
            both = [self._load(one, size, name) for one in (place.yes, place.no)]
            return self._choose([place.condition, TRUE], both, name)
        if place.object != "memories":
            return self._concat(self._held(place)[place.offset : place.offset + size], name)
        index = place.index or Bits(1, None)
        text = f"memories[8 * ({place.offset} + {index} * {place.stride}) +: {8 * size}]"
        name, early = self._field(f"memories.{name}", False), not index.wire or index.wire.early
        self.wires.append(Wire(name, 8 * size, "read", (index,), text, early))
        return Bits(8 * size, self.wires[-1])

    def _store(self, place: Place, value: Bits) -> None:
        if isinstance(place, Choice) or place.object in ("in", "memories"):
            raise self._not(f"stores into {getattr(place, 'object', 'one of two places')}")
        self._held(place)[place.offset : place.offset + value.width // 8] = value.bytes()

    def _held(self, place: Pointer) -> list[Bits]:
        if place.index is not None:
            raise self._not(
                f"an index that goes by {place.stride} bytes from byte {place.offset} of "
                f"{place.object} is into no table"
            )
        return self.held[place.object]

    # Wires

    def _field(self, name: str, single: bool) -> str:
        """Name a wire of a field, or of what is read; only these names have dots."""
        name = f"{self.name}.{name.removeprefix('state.').removeprefix(f'{self.name}.')}"
        return name if single else f"{name}[{len(self.wires)}]"

    def _wire(self, name: str, width: int, op: str, text: str, *operands: Bits) -> Bits:
        name = f"{self.name}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}[{len(self.wires)}]"
        early = all(bits.wire is None or bits.wire.early for bits in operands)
        self.wires.append(Wire(name, width, op, operands, text, early))
        return Bits(width, self.wires[-1])

    def _concat(self, parts: Sequence[Bits], name: str) -> Bits:
        parts = _joined(parts)
        if len(parts) == 1:
            return parts[0]
        return self._wire(name, sum(p.width for p in parts), "concat", _concatenated(parts), *parts)

    def _extended(self, value: Bits, width: int, signed: bool, name: str) -> Bits:
        if value.wire is None:
            return _constant(width, _signed(value) if signed else value.value)
        fill = value.cut(value.width - 1, 1) if signed else FALSE
        text = f"{{ {{ {width - value.width}{{ {fill} }} }}, {value} }}"
        return self._wire(name, width, "extend", text, value, fill)

    def _compare(self, name: str, relation: str, a: Bits, b: Bits) -> Bits:
        sign = "$signed({})" if relation[0] == "s" else "{}"
        symbol = _COMPARE[relation if relation in _COMPARE else relation[1:]]
        return self._wire(name, 1, "icmp", f"{sign.format(a)} {symbol} {sign.format(b)}", a, b)

    def _inverse(self, a: Bits) -> Bits:
        if a.wire is None:
            return FALSE if a.value else TRUE
        return self._wire("not", 1, "not", f"~{a}", a)

    def _logic(self, op: str, a: Bits, b: Bits) -> Bits:
        """``and`` or ``or`` of two bits."""
        neutral, ends = (TRUE, FALSE) if op == "and" else (FALSE, TRUE)
        if ends in (a, b):
            return ends
        if neutral in (a, b):
            return b if a == neutral else a
        return self._wire(op, 1, op, _BINARY[op].format(a, b), a, b)

    def _choose(self, conditions: list[Bits], values: list[Bits], name: str) -> Bits:
        """The value whose condition holds: one does, and no two do but the last."""
        if all(value == values[0] for value in values) or conditions[0] == TRUE:
            return values[0]
        pairs = [(c, v) for c, v in zip(conditions, values) if c != FALSE]
        if len(pairs) == 1:
            return pairs[0][1]
        width, flat = values[0].width, [bits for pair in pairs for bits in pair]
        text = " | ".join(f"({{ {width}{{ {c} }} }} & {value})" for c, value in pairs)
        if len(pairs) == 2:
            (condition, yes), (_, no) = pairs
            text, flat = f"{condition} ? {yes} : {no}", [condition, yes, no]
        return self._wire(name, width, "select", text, *flat)

    # Blocks

    def _common(self, blocks: list[str]) -> str:
        """The block through which all ways to some blocks go, nearest to them."""
        chains = []
        for block in blocks:
            chains.append([block])
            while block := self.dominator[block]:
                chains[-1].append(block)
        every = (b for b in chains[0] if all(b in chain for chain in chains)) if chains else ()
        return next(iter(every), "")

    def _reach(self, root: str, block: str) -> Bits:
        """Whether a block is reached where ``root`` is."""
        if block == root:
            return TRUE
        if (root, block) not in self.reached:
            ways = self._conditions(root, block)
            self.reached[root, block] = reduce(partial(self._logic, "or"), ways, FALSE)
        return self.reached[root, block]

    def _conditions(self, root: str, block: str) -> list[Bits]:
        """Of all ways into a block, which one is gone."""
        return [
            self._logic("and", self._reach(root, before), self.ways[before, block])
            for before in self.into[block]
        ]

    def _join(self, label: str, ends: list[Memory]) -> Memory:
        """The memory at the start of a block."""
        if len(ends) == 1:
            return {name: list(held) for name, held in ends[0].items()}
        conditions = self._conditions(self.dominator[label], label)
        at_start: Memory = {name: [] for name in ends[0]}
        for name, held in at_start.items():
            columns = list(zip(*(end[name] for end in ends)))
            while (at := len(held)) < len(columns):
                end = at + 1
                if any(bits != columns[at][0] for bits in columns[at]):
                    # As many bytes at once as lie side by side on every way
                    while end < len(columns) and all(
                        len(_joined(bits)) == 1 for bits in zip(*columns[at : end + 1])
                    ):
                        end += 1
                values = [_joined(bits)[0] for bits in zip(*columns[at:end])]
                held += self._choose(conditions, values, f"{name}_{label}").bytes()
        return at_start

    def _way(self, source: str, target: str, condition: Bits) -> None:
        before = self.ways.get((source, target), FALSE)
        self.ways[source, target] = self._logic("or", before, condition)

    # Instructions

    def _execute(self, label: str, result: str, op: str, text: str) -> Bits | Place | None:
        if op in _BINARY:
            kind, both = text.split(" ", 1)
            a, b = (self._operand(kind, part) for part in _split(both))
            return self._wire(result, _width(kind), op, _BINARY[op].format(a, b), a, b)
        if op in ("zext", "sext", "trunc", "freeze"):
            value, _, kind = text.partition(" to ")
            bits, width = self._typed(value), _width(kind or text.split(" ")[0])
            longer = width > bits.width
            return (
                self._extended(bits, width, op == "sext", result) if longer else bits.cut(0, width)
            )
        if op in ("ret", "unreachable"):
            return None
        method = getattr(self, f"_do_{op}", None)
        if method is None:
            raise self._not(f"the instruction {op} is not known here")
        done: Bits | Place | None = method(label, result, text)
        return done

    def _operand(self, kind: str, text: str) -> Bits:
        if text.startswith("%"):
            value = self.values[text[1:].strip('"')]
            if not isinstance(value, Bits):
                raise self._not(f"{text} is a pointer and no number")
            return value
        words = {"true": 1, "false": 0, "undef": 0, "poison": 0, "zeroinitializer": 0}
        if text not in words and not re.fullmatch(r"-?\d+", text):
            raise self._not(f"the operand {text} is not known here")
        return _constant(_width(kind), words[text] if text in words else int(text))

    def _typed(self, text: str) -> Bits:
        kind, _, name = text.rpartition(" ")
        return self._operand(kind.split(" ")[0], name)

    def _pointer(self, text: str) -> Place:
        name = text.rpartition(" ")[2]
        value = self.values.get(name[1:].strip('"'))
        if not isinstance(value, (Pointer, Choice)):
            raise self._not(f"{name} is no place that can be followed")
        return value

    def _do_br(self, label: str, result: str, text: str) -> None:
        targets = _targets([("", "br", text)])
        condition = self._typed(_split(text)[0]) if len(targets) == 2 else TRUE
        for target, way in zip(targets, (condition, self._inverse(condition))):
            self._way(label, target, way)

    def _do_switch(self, label: str, result: str, text: str) -> None:
        head, _, cases = text.partition("[")
        value, default = _split(head)
        bits, none = self._typed(value), TRUE
        for kind, number, target in re.findall(rf"(i\d+) (\S+), label %({_NAME})", cases):
            hit = self._compare("case", "eq", bits, self._operand(kind, number))
            none = self._logic("and", none, self._inverse(hit))
            self._way(label, target.strip('"'), hit)
        self._way(label, default.partition("%")[2].strip('"'), none)

    def _do_phi(self, label: str, result: str, text: str) -> Bits | Place:
        kind, _, rest = text.partition(" ")
        pairs = re.findall(rf"\[ (\S+|%{_NAME}), %({_NAME}) \]", rest)
        if kind == "ptr":
            conditions = self._conditions(self.dominator[label], label)
            found: dict[str, Place] = {b.strip('"'): self._pointer(v) for v, b in pairs}
            *places, chosen = [found[block] for block in self.into[label]]
            return _chosen(conditions, places, chosen)
        by_block = {block.strip('"'): self._operand(kind, value) for value, block in pairs}
        conditions = self._conditions(self.dominator[label], label)
        return self._choose(conditions, [by_block[block] for block in self.into[label]], result)

    def _do_alloca(self, label: str, result: str, text: str) -> Pointer:
        self.held[result] = [Bits(8, None)] * self.module.size(_split(text)[0])
        return Pointer(result)

    def _do_load(self, label: str, result: str, text: str) -> Bits:
        kind, place = _split(text)[:2]
        return self._load(self._pointer(place), self.module.size(kind), result).cut(0, _width(kind))

    def _do_store(self, label: str, result: str, text: str) -> None:
        value, place = _split(text)[:2]
        self._store(self._pointer(place), self._typed(value))

    def _do_getelementptr(self, label: str, result: str, text: str) -> Place:
        kind, base, *indices = _split(text)
        if len(indices) > 1:
            raise self._not(f"a place within a {kind} is not known here")
        return self._indexed(self._pointer(base), self._typed(indices[0]), self.module.size(kind))

    def _indexed(self, place: Place, index: Bits, stride: int) -> Place:
        """Go on by so many strides; one of some places for one of some indices."""
        if isinstance(place, Pointer) and index.wire is None:
            return replace(place, offset=place.offset + _signed(index) * stride)
        made = index.wire
        if made and made.op == "select" and index.width == made.width:
            *places, last = [self._indexed(place, i, stride) for i in made.operands[1::2]] + [
                self._indexed(place, made.operands[-1], stride)
            ]
            return _chosen(list(made.operands[0:-1:2]), places, last)
        if isinstance(place, Choice) or place.index is not None:
            raise self._not("a place has two indices")
        return replace(place, index=index, stride=stride)

    def _do_icmp(self, label: str, result: str, text: str) -> Bits:
        relation, kind, both = text.split(" ", 2)
        return self._compare(
            result, relation, *(self._operand(kind, part) for part in _split(both))
        )

    def _do_select(self, label: str, result: str, text: str) -> Bits | Place:
        condition, *both = _split(text)
        if both[0].startswith("ptr "):
            yes, no = map(self._pointer, both)
            return _chosen([self._typed(condition)], [yes], no)
        values = [self._typed(value) for value in both]
        return self._choose([self._typed(condition), TRUE], values, result)

    def _do_call(self, label: str, result: str, text: str) -> Bits | None:
        found = re.match(r"(?:.* )?\S+ @llvm\.([a-z.]+?)(?:\.[ip]\d+)*\((.*)\)", text)
        if found is None:
            raise self._not(f"calls {text.partition('@')[2]}")
        name, arguments = found[1].removesuffix(".p"), _split(found[2])
        if name in ("memcpy", "memmove"):
            size = self._typed(arguments[2]).value
            moved = self._load(self._pointer(arguments[1]), size, "moved")
            self._store(self._pointer(arguments[0]), moved)
            return None
        if name.startswith("lifetime"):
            return None
        if name not in _LESS:
            raise self._not(f"llvm.{name} is not known here")
        a, b = map(self._typed, arguments)
        less = self._compare(f"{result}_{name}", _LESS[name], a, b)
        return self._choose([less, TRUE], [a, b], result)


# Verilog


def registered(step: Step) -> str:
    """Return a module that holds the state in registers, to be measured.

    Inputs, what is read from memories, and all that is worked out from inputs alone come from
    registers; outputs are left out, and addresses end in registers.
    """
    becomes = {  # fields that a step may change
        wire: step.after[low // 8 : (low + wire.width) // 8]
        for wire, low in step.fields().items()
        if not wire.early
    }
    needed, left = set(), [bits.wire for after in becomes.values() for bits in after]
    while left:
        wire = left.pop()
        if wire is not None and wire not in needed:
            needed.add(wire)
            left += [bits.wire for bits in wire.operands]
    wires = [wire for wire in step.wires if wire in needed]
    late = {bits.wire for wire in wires if not wire.early for bits in wire.operands}
    late |= {bits.wire for bits in step.after}
    ends: dict[str, tuple[int, str]] = {}  # outputs: registers stay though nothing else uses them
    lines, given = [], 0
    for wire in wires:
        outside = wire.op in ("source", "read")
        if wire.op == "read" and not wire.early:
            (index,) = wire.operands
            ends[str(wire).replace("memories", "address")] = index.width, str(index)
        if wire in becomes:
            continue
        text = f"given[{given} +: {wire.width}]" if outside else wire.text
        given += wire.width if outside else 0
        if outside or (wire.early and wire in late):
            lines += [f"  reg [{wire.width - 1}:0] {wire};", _clocked(str(wire), text)]
        else:
            lines.append(f"  wire [{wire.width - 1}:0] {wire} = {text};")
    ends |= {str(wire): (wire.width, _concatenated(after)) for wire, after in becomes.items()}
    lines += [_clocked(name, text) for name, (_, text) in ends.items()]
    ports = [f"  output reg [{width - 1}:0] {name}" for name, (width, _) in ends.items()]
    ports = ["  input clk", f"  input [{max(given, 1) - 1}:0] given", *ports]
    return "\n".join([f"module {step.name} (", ",\n".join(ports), ");", *lines, "endmodule", ""])


def _clocked(name: str, value: str) -> str:
    return f"  always @(posedge clk) {name} <= {value};"


_BENCH = """\
  import "DPI-C" function void {name}(inout bit [{state}:0] state, input bit [{in}:0] in,
    input bit [{memories}:0] memories, inout bit [{out}:0] out);
  function automatic void {name}_wires(input bit [{state}:0] state, input bit [{in}:0] in,
    input bit [{memories}:0] memories, output bit [{state}:0] next, output bit [{out}:0] gives);
{wires}
    next = {after};
    gives = {given};
  endfunction
  task automatic {name}_slots(int slots);
    bit [{state}:0] state, next;
    bit [{out}:0] out, gives;
    bit [{in}:0] in;
    bit [{memories}:0] memories;
    for (int slot = 0; slot < slots; slot++) begin
      state = {state_drawn};
      in = {in_drawn};
      memories = {memories_drawn};
      out = 0;
      {name}_wires(state, in, memories, next, gives);
      {name}(state, in, memories, out);
      if (((state ^ next) & {state_mask}) != 0 || ((out ^ gives) & {out_mask}) != 0) begin
        $display("error: {name}: slot %0d: its state or output differs", slot);
        $fatal;
      end
    end
    $display("{name}: %0d slots are the same", slots);
  endtask
"""
_COMMON = """\
  function automatic bit [{most}:0] drawn(int bits);
    bit sparse = 1'($urandom);  // mostly zeros: numbers are small, and equal
    for (int at = 0; at < bits; at += 32) begin
      drawn[at +: 32] = $urandom & (sparse ? $urandom & $urandom & $urandom : '1);
    end
  endfunction
  initial begin
    int slots;
    void'($value$plusargs("slots=%d", slots));
{calls}
  end
"""


def bench(steps: Sequence[Step]) -> str:
    """Return a module that compares each step's wires with its compiled function.

    Both are given the same random states, inputs and tables; of bytes that are no field nothing
    is said, and a bool is 0 or 1.
    """
    parts, most = [], 0
    for step in steps:
        of: dict[str, object] = {"name": step.name}
        for name, layout in step.layouts.items():
            width = 8 * layout.size
            most = max(most, width)
            fields = sum((1 << 8 * f.size) - 1 << 8 * f.offset for f in layout.fields)
            values = sum(
                (1 if f.is_bool else (1 << 8 * f.size) - 1) << 8 * f.offset for f in layout.fields
            )
            of[name] = width - 1
            of[f"{name}_mask"] = f"{width}'h{fields:x}"
            of[f"{name}_drawn"] = f"{width}'(drawn({width})) & {width}'h{values:x}"
        wires = (f"    bit [{wire.width - 1}:0] {wire} = {wire.text};" for wire in step.wires)
        of |= {"wires": "\n".join(wires)}
        of |= {"after": _concatenated(step.after), "given": _concatenated(step.out)}
        parts.append(_BENCH.format_map(of))
    calls = "\n".join(f"    {step.name}_slots(slots);" for step in steps)
    return "\n".join(
        ["module steps;", *parts, _COMMON.format(most=most + 31, calls=calls), "endmodule\n"]
    )


# Delays

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
    """Return the longest path into the state or an address, in ns, for UltraScale+.

    A tool schedules operations, not LUTs: each has a delay for the part, and those that follow
    one another in a clock cycle are added.
    """
    arrival: dict[Wire | None, float] = {None: 0.0}
    ends = [0.0]
    for wire in step.wires:
        late = [arrival[bits.wire] for bits in wire.operands]
        ends += late if wire.op == "read" else []
        starts = wire.early or wire.op == "read"  # what is early waits in a register
        arrival[wire] = 0.0 if starts or not late else max(late) + _delay(wire)
    return max(ends + [arrival[bits.wire] + _DELAYS["register"] for bits in step.after])


def _delay(wire: Wire) -> float:
    constant = any(bits.wire is None for bits in wire.operands)
    if constant and wire.op in ("shl", "lshr", "ashr", "and", "or", "xor"):
        return 0.0
    if wire.op == "icmp" and min(map(_significant, wire.operands)) <= _NARROW:
        return _DELAYS["narrow icmp"]
    logic = wire.width == 1 and wire.op in ("and", "or", "xor", "select")
    return _DELAYS[wire.op] / (2 if logic else 1)  # every second one shares a LUT


def _significant(bits: Bits) -> int:
    """Bits of an operand without those that are only filled up, or of a constant."""
    if bits.wire is None:
        return bits.value.bit_length()
    return bits.wire.operands[0].width if bits.wire.op == "extend" else bits.width


# Configs


class Steps:
    """All updates of a config's kernel, as wires.

    Raises:
        ToolError: no clang, or it failed.
        NotADatapath: an update is more than logic between registers.
    """

    def __init__(self, cfg: Config, build_dir: Path | None = None) -> None:
        self.rendered = tools.build_folder(cfg, build_dir)
        render(cfg, self.rendered)
        self.folder = self.rendered / "recurrence"
        module = Module(self.clang("updates.ll", "-S", "-emit-llvm").read_text(encoding="utf-8"))
        unit = libclang.parse(_SOURCE, self.rendered / "hls", "-DLSTM_SHARP_VITIS")
        functions = (f for c in unit.cursor.get_children() for f in c.get_children())
        layouts = {
            f.spelling: {
                a.spelling: libclang.layout(a.type.get_pointee()) for a in f.get_arguments()
            }
            for f in functions
            if f.spelling in STEPS and libclang.kind(f) == "FUNCTION_DECL"
        }
        self.steps = [step(module, name, layouts[name]) for name in STEPS]

    def clang(self, target: str, *flags: str) -> Path:
        """Compile the updates."""
        if importlib.util.find_spec("ziglang") is None:
            raise ToolError("clang not found; install it with: pip install ziglang")
        # Whole paths, for zig takes what it has compiled before in another folder for the same.
        folders = (self.rendered / "hls", libclang.STUBS, paths.hardware() / "tb" / "vitis")
        self.folder.mkdir(parents=True, exist_ok=True)
        return tools.build(
            self.folder / target,
            [*sorted((self.rendered / "hls").rglob("*.hpp")), _SOURCE, *libclang.STUBS.glob("*.h")],
            [
                *(sys.executable, "-m", "ziglang", "c++", *_CLANG, *flags),
                *(f"-I{folder}" for folder in folders),
                *("-o", f"recurrence/{tools.fresh(target)}", _SOURCE),
            ],
            self.rendered,
        )

    def compare(self, slots: int, seed: int) -> list[str]:
        """Compare so many slots of each update's wires with its function; a line for each.

        Raises:
            ToolError: with the first slot that differs; a tool is missing.
        """
        updates = self.clang("updates.o", "-c")
        source, env = self.folder / "steps.sv", verilate.environment()
        files.write_text(str(source), bench(self.steps))
        command: list[str | Path] = [
            *(verilate.verilator_of(env), "--binary", "--no-timing", "-Wno-lint", "-j", "2"),
            *("--top-module", "steps", "-Mdir", "made", "--max-num-width", "1000000"),
            *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O1 OPT_GLOBAL=-O1"),
            *(source.name, updates, "-o", tools.fresh("steps")),
        ]
        target = self.folder / "made" / "steps"
        program = tools.build(target, [source, updates], command, self.folder, env)
        run: list[str | Path] = [program, f"+slots={slots}", f"+verilator+seed+{seed}"]
        log = tools.run(run, program.parent, program.with_name(f"steps-{seed}.log"))
        return [line for line in log.splitlines() if "slots are the same" in line]


class Depth(NamedTuple):
    """How deep an update is."""

    luts: int  # most LUT levels of all paths
    chains: int  # most carry chains in series
    most: int  # LUT levels allowed
    fails: bool
    ns: float | None  # as an HLS tool adds up operations; only for UltraScale+
    longest: str  # path
    made_from: str  # hash of the Verilog


def depth(folder: Path, family: str, step: Step) -> Depth:
    """Map a step with Yosys, and walk its paths.

    Each has a netlist of its own: mapping saves levels only on what is longest in it.

    Raises:
        ToolError: no Yosys, or it failed.
        NotADatapath: the step changes nothing.
    """
    rtl = source(folder, step)
    verdict = witness.judge(synth.map_rtl(folder, family, step.name, [rtl]))
    routes = [route for route in verdict.worst if "." in route.end]  # fields, no stages before
    if not routes:
        raise NotADatapath(f"{step.name}: nothing of its state changes; is State the right type?")
    luts, chains = (max(getattr(r, figure) for r in routes) for figure in ("luts", "chains"))
    most, ns = MOST_LUTS[family], round(longest(step), 2) if family == "xcup" else None
    fails = luts > most or chains > MOST_CHAINS
    return Depth(luts, chains, most, fails, ns, str(routes[0]), tools.digest([rtl]))


def source(folder: Path, step: Step) -> Path:
    """Write the Verilog that is measured."""
    path = folder / "rtl" / f"{step.name}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(str(path), registered(step))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = Parser(prog="workshop.recurrence", description=(__doc__ or "").split("\n\n")[0])
    return results.of_each_config(parser, _fails, arguments)


def _fails(cfg: Config, _: Namespace) -> bool:
    print(f"{cfg.name}: measuring updates of the C++ kernel ...", file=sys.stderr)
    made, steps = board(cfg.board), Steps(cfg)
    one = partial(depth, steps.folder, made.family if made else "xc7")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        depths = dict(zip(STEPS, pool.map(one, steps.steps)))
    print("\n".join(_lines(cfg, depths)))
    own = {"identity": cfg.digest, "clock_mhz": cfg.clock_mhz, "yosys": synth.version()}
    updates = {step: of._asdict() for step, of in depths.items()}
    results.add("recurrences", cfg, {**own, "updates": updates})
    return any(of.fails for of in depths.values())


def _lines(cfg: Config, depths: dict[str, Depth]) -> Iterator[str]:
    """Lay out the updates beside what is allowed."""
    budget = (1 - UNCERTAINTY) * 1000 / cfg.clock_mhz
    yield (
        f"{cfg.name}: loop-carried updates of the C++ kernel, Yosys mapping, not placed; at most "
        f"{max(of.most for of in depths.values())} LUT, {MOST_CHAINS} carry chain"
    )
    for name, of in depths.items():
        verdict = "FAILS" if of.fails else "passes"
        yield f"  {name:12}{verdict:8}{of.luts} LUT, {of.chains} carry; longest {of.longest}"
        if of.ns is not None:
            used = f"{of.ns:.2f} of {budget:.2f} ns (estimated)"
            yield f"{'':22}operations of an HLS tool: {used}"


if __name__ == "__main__":
    sys.exit(main())
