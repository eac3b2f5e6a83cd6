"""A compiled function as wires (``Step``): branches become choices, places of memory wires."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from graphlib import CycleError, TopologicalSorter

from workshop.libclang import Layout
from workshop.llvm_ir import NAME, Module, NotADatapath, split, targets

OBJECTS = ("state", "in", "memories", "out")
"""Parameters of an update, pointers: the state is read and written, ``in`` and tables in
``memories`` are read, ``out`` is written."""


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


def concatenated(parts: Sequence[Bits]) -> str:
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
            for target in dict.fromkeys(targets(block)):
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
        return self._wire(name, sum(p.width for p in parts), "concat", concatenated(parts), *parts)

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
            a, b = (self._operand(kind, part) for part in split(both))
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
        found = targets([("", "br", text)])
        condition = self._typed(split(text)[0]) if len(found) == 2 else TRUE
        for target, way in zip(found, (condition, self._inverse(condition))):
            self._way(label, target, way)

    def _do_switch(self, label: str, result: str, text: str) -> None:
        head, _, cases = text.partition("[")
        value, default = split(head)
        bits, none = self._typed(value), TRUE
        for kind, number, target in re.findall(rf"(i\d+) (\S+), label %({NAME})", cases):
            hit = self._compare("case", "eq", bits, self._operand(kind, number))
            none = self._logic("and", none, self._inverse(hit))
            self._way(label, target.strip('"'), hit)
        self._way(label, default.partition("%")[2].strip('"'), none)

    def _do_phi(self, label: str, result: str, text: str) -> Bits | Place:
        kind, _, rest = text.partition(" ")
        pairs = re.findall(rf"\[ (\S+|%{NAME}), %({NAME}) \]", rest)
        if kind == "ptr":
            conditions = self._conditions(self.dominator[label], label)
            found: dict[str, Place] = {b.strip('"'): self._pointer(v) for v, b in pairs}
            *places, chosen = [found[block] for block in self.into[label]]
            return _chosen(conditions, places, chosen)
        by_block = {block.strip('"'): self._operand(kind, value) for value, block in pairs}
        conditions = self._conditions(self.dominator[label], label)
        return self._choose(conditions, [by_block[block] for block in self.into[label]], result)

    def _do_alloca(self, label: str, result: str, text: str) -> Pointer:
        self.held[result] = [Bits(8, None)] * self.module.size(split(text)[0])
        return Pointer(result)

    def _do_load(self, label: str, result: str, text: str) -> Bits:
        kind, place = split(text)[:2]
        return self._load(self._pointer(place), self.module.size(kind), result).cut(0, _width(kind))

    def _do_store(self, label: str, result: str, text: str) -> None:
        value, place = split(text)[:2]
        self._store(self._pointer(place), self._typed(value))

    def _do_getelementptr(self, label: str, result: str, text: str) -> Place:
        kind, base, *indices = split(text)
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
        return self._compare(result, relation, *(self._operand(kind, part) for part in split(both)))

    def _do_select(self, label: str, result: str, text: str) -> Bits | Place:
        condition, *both = split(text)
        if both[0].startswith("ptr "):
            yes, no = map(self._pointer, both)
            return _chosen([self._typed(condition)], [yes], no)
        values = [self._typed(value) for value in both]
        return self._choose([self._typed(condition), TRUE], values, result)

    def _do_call(self, label: str, result: str, text: str) -> Bits | None:
        found = re.match(r"(?:.* )?\S+ @llvm\.([a-z.]+?)(?:\.[ip]\d+)*\((.*)\)", text)
        if found is None:
            raise self._not(f"calls {text.partition('@')[2]}")
        name, arguments = found[1].removesuffix(".p"), split(found[2])
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
