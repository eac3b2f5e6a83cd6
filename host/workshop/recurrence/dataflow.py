"""What a function computes, as wires: its branches become choices, its memory wires.

A function takes pointers: what ``state`` points to is read and written, ``in`` is read, ``out`` is
written, and ``memories`` holds tables that are read at addresses worked out on the way. A wire is
``early`` if it depends on nothing that the step before has left: a tool can work it out in a
pipeline stage before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from workshop.libclang import Layout
from workshop.recurrence.llvm_ir import Function, Instruction, Module, NotADatapath, split

OBJECTS = ("state", "in", "memories", "out")


@dataclass(eq=False)
class Wire:
    """A named result of ``width`` bits: ``text`` of its operands, in Verilog."""

    name: str
    width: int
    op: str
    operands: tuple[Bits, ...] = ()
    text: str = ""
    early: bool = True


@dataclass(frozen=True)
class Bits:
    """Some bits of a wire, from ``low`` on, or a constant."""

    width: int
    wire: Wire | None
    low: int = 0
    value: int = 0

    @property
    def early(self) -> bool:
        """Whether they are a constant or bits of an early wire."""
        return self.wire is None or self.wire.early

    def cut(self, low: int, width: int) -> Bits:
        """Return some of the bits."""
        if self.wire is None:
            return _constant(width, self.value >> low)
        return replace(self, width=width, low=self.low + low)

    def __str__(self) -> str:
        if self.wire is None:
            return f"{self.width}'d{self.value}"
        if self.width == self.wire.width:
            return f"\\{self.wire.name} "
        return f"\\{self.wire.name} [{self.low + self.width - 1}:{self.low}]"

    def bytes(self) -> list[Bits]:
        """Return them byte by byte, the lowest first."""
        return [self.cut(low, 8) for low in range(0, self.width, 8)]


@dataclass(frozen=True)
class Pointer:
    """A place in an object: an offset, or in a table one of a row of them by an index."""

    object: str
    offset: int
    index: Bits | None = None
    stride: int = 0


@dataclass(frozen=True)
class Choice:
    """One of two pointers."""

    condition: Bits
    yes: Place
    no: Place


Place = Pointer | Choice
Memory = dict[str, list[Bits]]  # of each object its bytes
TRUE, FALSE = Bits(1, None, 0, 1), Bits(1, None, 0, 0)

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


@dataclass
class Step:
    """A function as wires, in an order in which each comes after what it is made of."""

    name: str
    wires: list[Wire]
    before: Memory
    after: Memory
    reads: list[Wire]
    """Of tables in ``memories``: the operand is the first byte's offset."""


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
        made = _Walk(module, module.functions[name], layouts, kept).step()
        before, after = made.before["state"], made.after["state"]
        same = {at for at, pair in enumerate(zip(before, after)) if pair[0] == pair[1]}
        if same == kept:
            return made
        kept = same


class _Walk:
    def __init__(
        self, module: Module, function: Function, layouts: Mapping[str, Layout], kept: set[int]
    ) -> None:
        self.module = module
        self.function = function
        self.layouts = layouts
        self.kept = kept  # bytes of the state that stay as they are
        self.wires: list[Wire] = []
        self.reads: list[Wire] = []
        self.values: dict[str, Bits | Place] = {}
        self.memory: Memory = {}
        self.ways: dict[tuple[str, str], Bits] = {}  # from block to block
        self.reached: dict[tuple[str, str], Bits] = {}
        self.dominator: dict[str, str] = {}

    def step(self) -> Step:
        if odd := set(self.function.parameters) - set(OBJECTS):
            raise self._not(f"{', '.join(odd)} is none of {', '.join(OBJECTS)}")
        self.values = {name: Pointer(name, 0) for name in OBJECTS}
        before = {name: self._bytes(name) for name in ("state", "in", "out")}
        order, self.into = _order(self.function)
        ends: dict[str, Memory] = {}
        for label in order:
            came = self.into[label]
            root = self.dominator[label] = self._common(came)
            at_start = self._join(label, root, [ends[block] for block in came]) if came else before
            self.memory = {name: list(held) for name, held in at_start.items()}
            for instruction in self.function.blocks[label]:
                self._execute(label, root, instruction)
            ends[label] = self.memory
        (last,) = (label for label in order if self.function.blocks[label][-1].op == "ret")
        return Step(self.function.name, self.wires, before, ends[last], self.reads)

    def _not(self, why: str) -> NotADatapath:
        return NotADatapath(f"{self.function.name}: {why}")

    # Objects

    def _bytes(self, name: str) -> list[Bits]:
        """Bytes of an object before the step, a wire for each field."""
        layout = self.layouts[name]
        made = [Bits(8, None)] * layout.size
        labels = [label for label, _, _ in layout.fields]
        for label, offset, size in layout.fields if name != "out" else ():
            early = name == "in" or self.kept.issuperset(range(offset, offset + size))
            full = self._field(f"{name}.{label}", labels.count(label) == 1)
            self.wires.append(Wire(full, 8 * size, "source", early=early))
            made[offset : offset + size] = Bits(8 * size, self.wires[-1]).bytes()
        return made

    def _load(self, place: Place, size: int, name: str) -> Bits:
        if isinstance(place, Choice):
            either = [self._load(its, size, name) for its in (place.yes, place.no)]
            return self._choose([place.condition, TRUE], either, name)
        if place.object != "memories":
            return self._concat(self._held(place)[place.offset : place.offset + size], name)
        index = place.index or Bits(1, None)
        text = f"{place.offset} + {index} * {place.stride or 1}"
        name = self._field(f"memories.{name}", False)
        self.wires.append(Wire(name, 8 * size, "read", (index,), text, index.early))
        self.reads.append(self.wires[-1])
        return Bits(8 * size, self.wires[-1])

    def _store(self, place: Place, value: Bits) -> None:
        if isinstance(place, Choice) or place.object in ("in", "memories"):
            raise self._not(f"stores into {getattr(place, 'object', 'one of two places')}")
        stored = value.bytes()
        self._held(place)[place.offset : place.offset + len(stored)] = stored

    def _held(self, place: Pointer) -> list[Bits]:
        if place.index is not None:
            raise self._not(
                f"an index that goes by {place.stride} bytes from byte {place.offset} of "
                f"{place.object} is into no table"
            )
        return self.memory[place.object]

    # Wires

    def _field(self, name: str, single: bool) -> str:
        """Name a wire of a field, or of what is read; only these names have dots."""
        step = self.function.name
        name = f"{step}.{name.removeprefix('state.').removeprefix(f'{step}.')}"
        return name if single else f"{name}[{len(self.wires)}]"

    def _wire(self, name: str, width: int, op: str, text: str, *operands: Bits) -> Bits:
        name = f"{self.function.name}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}[{len(self.wires)}]"
        early = all(bits.early for bits in operands)
        self.wires.append(Wire(name, width, op, operands, text, early))
        return Bits(width, self.wires[-1])

    def _concat(self, parts: Sequence[Bits], name: str) -> Bits:
        parts = joined(parts)
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
            self.reached[root, block] = reduce(lambda a, b: self._logic("or", a, b), ways, FALSE)
        return self.reached[root, block]

    def _conditions(self, root: str, block: str) -> list[Bits]:
        """Of all ways into a block, which one is gone."""
        return [
            self._logic("and", self._reach(root, before), self.ways[before, block])
            for before in self.into[block]
        ]

    def _join(self, block: str, root: str, ends: list[Memory]) -> Memory:
        """The memory at the start of a block."""
        if len(ends) == 1:
            return ends[0]
        conditions = self._conditions(root, block)
        at_start: Memory = {}
        for name in ends[0]:
            columns = list(zip(*(end[name] for end in ends)))
            held: list[Bits] = []
            while (at := len(held)) < len(columns):
                end = at + 1
                if any(bits != columns[at][0] for bits in columns[at]):
                    # As many bytes at once as lie side by side on every way
                    while end < len(columns) and all(
                        len(joined(bits)) == 1 for bits in zip(*columns[at : end + 1])
                    ):
                        end += 1
                values = [joined(bits)[0] for bits in zip(*columns[at:end])]
                held += self._choose(conditions, values, f"{name}_{block}").bytes()
            at_start[name] = held
        return at_start

    # Instructions

    def _execute(self, label: str, root: str, instruction: Instruction) -> None:
        result, op, text = instruction
        if op in _BINARY:
            kind, _, both = text.partition(" ")
            a, b = (self._operand(kind, part) for part in split(both))
            self.values[result] = self._wire(
                result, _width(kind), op, _BINARY[op].format(a, b), a, b
            )
        elif op == "br":
            self._branch(label, instruction.targets, text)
        elif op == "switch":
            self._switch(label, text)
        elif op == "phi":
            self.values[result] = self._phi(label, root, result, text)
        elif op in ("zext", "sext", "trunc", "freeze"):
            value, _, kind = text.partition(" to ")
            bits, width = self._typed(value), _width(kind or text.split(" ")[0])
            longer = width > bits.width
            self.values[result] = (
                self._extended(bits, width, op == "sext", result) if longer else bits.cut(0, width)
            )
        elif op not in ("ret", "unreachable"):
            method = getattr(self, f"_do_{op}", None)
            if method is None:
                raise self._not(f"the instruction {op} is not known here")
            self.values[result] = method(result, text)

    def _operand(self, kind: str, text: str) -> Bits:
        if text.startswith("%"):
            value = self.values[text[1:].strip('"')]
            if not isinstance(value, Bits):
                raise self._not(f"{text} is a pointer and no number")
            return value
        words = {"true": 1, "false": 0, "undef": 0, "poison": 0, "zeroinitializer": 0}
        if text not in words and not re.fullmatch(r"-?\d+", text):
            raise self._not(f"the operand {text} is not known here")
        number = words[text] if text in words else int(text)
        return _constant(_width(kind), number)

    def _typed(self, text: str) -> Bits:
        kind, _, name = text.rpartition(" ")
        return self._operand(kind.split(" ")[0], name)

    def _pointer(self, text: str) -> Place:
        name = text.rpartition(" ")[2]
        value = self.values.get(name[1:].strip('"'))
        if not isinstance(value, (Pointer, Choice)):
            raise self._not(f"{name} is no place that can be followed")
        return value

    def _way(self, source: str, target: str, condition: Bits) -> None:
        before = self.ways.get((source, target), FALSE)
        self.ways[source, target] = self._logic("or", before, condition)

    def _branch(self, label: str, targets: list[str], text: str) -> None:
        condition = self._typed(split(text)[0]) if len(targets) == 2 else TRUE
        self._way(label, targets[0], condition)
        if len(targets) == 2:
            self._way(label, targets[1], self._inverse(condition))

    def _switch(self, label: str, text: str) -> None:
        head, _, cases = text.partition("[")
        value, default = split(head)
        bits, none = self._typed(value), TRUE
        for kind, number, target in re.findall(r'(i\d+) (\S+), label %("[^"]*"|\S+)', cases):
            hit = self._compare("case", "eq", bits, self._operand(kind, number))
            none = self._logic("and", none, self._inverse(hit))
            self._way(label, target.strip('"'), hit)
        self._way(label, default.partition("%")[2].strip('"'), none)

    def _phi(self, label: str, root: str, result: str, text: str) -> Bits | Place:
        kind, _, rest = text.partition(" ")
        pairs = re.findall(r'\[ (\S+|"[^"]*"), %("[^"]*"|\S+) \]', rest)
        by_block = {block.strip('"'): value for value, block in pairs}
        values = [by_block[block] for block in self.into[label]]
        conditions = self._conditions(root, label)
        if kind != "ptr":
            return self._choose(conditions, [self._operand(kind, v) for v in values], result)
        *places, chosen = map(self._pointer, values)
        for condition, place in list(zip(conditions, places))[::-1]:
            chosen = _one_of(condition, place, chosen)
        return chosen

    def _do_load(self, result: str, text: str) -> Bits:
        kind, place = split(text)[:2]
        return self._load(self._pointer(place), self.module.size(kind), result).cut(0, _width(kind))

    def _do_store(self, result: str, text: str) -> None:
        value, place = split(text)[:2]
        self._store(self._pointer(place), self._typed(value))

    def _do_getelementptr(self, result: str, text: str) -> Place:
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
            found = self._indexed(place, made.operands[-1], stride)
            pairs = list(zip(made.operands[0:-2:2], made.operands[1:-1:2]))
            for condition, value in reversed(pairs):
                found = _one_of(condition, self._indexed(place, value, stride), found)
            return found
        if isinstance(place, Choice) or place.index is not None:
            raise self._not("a place has two indices")
        return replace(place, index=index, stride=stride)

    def _do_icmp(self, result: str, text: str) -> Bits:
        relation, kind, both = text.split(" ", 2)
        return self._compare(result, relation, *(self._operand(kind, part) for part in split(both)))

    def _do_select(self, result: str, text: str) -> Bits | Place:
        condition, yes, no = split(text)
        if yes.startswith("ptr "):
            return _one_of(self._typed(condition), self._pointer(yes), self._pointer(no))
        return self._choose([self._typed(condition), TRUE], [*map(self._typed, (yes, no))], result)

    def _do_call(self, result: str, text: str) -> Bits | None:
        found = re.match(r"(?:.* )?\S+ @llvm\.([a-z.]+?)(?:\.[ip]\d+)*\((.*)\)", text)
        if found is None:
            raise self._not(f"calls {text.partition('@')[2]}")
        name, arguments = found[1].removesuffix(".p"), split(found[2])
        if name in ("memcpy", "memmove"):
            moved = self._load(
                self._pointer(arguments[1]), self._typed(arguments[2]).value, "moved"
            )
            self._store(self._pointer(arguments[0]), moved)
            return None
        if name not in _LESS:
            raise self._not(f"llvm.{name} is not known here")
        a, b = map(self._typed, arguments)
        return self._choose(
            [self._compare(f"{result}_{name}", _LESS[name], a, b), TRUE], [a, b], result
        )


def _one_of(condition: Bits, yes: Place, no: Place) -> Place:
    return yes if yes == no else Choice(condition, yes, no)


def _constant(width: int, value: int) -> Bits:
    return Bits(width, None, 0, value & ((1 << width) - 1))


def _signed(bits: Bits) -> int:
    return bits.value - (bits.value >> (bits.width - 1) << bits.width)


def _width(kind: str) -> int:
    if not re.fullmatch(r"i\d+", kind):
        raise NotADatapath(f"a value of the type {kind} is no number")
    return int(kind[1:])


def joined(parts: Sequence[Bits]) -> list[Bits]:
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
    return f"{{{', '.join(map(str, reversed(parts)))}}}"


def _order(function: Function) -> tuple[list[str], dict[str, list[str]]]:
    """All blocks that can be reached, each after those before it, and from where they are."""
    order: list[str] = []
    open_blocks: set[str] = set()

    def visit(label: str) -> None:
        if label not in order:
            if label in open_blocks:
                raise NotADatapath(f"{function.name}: a loop is left, through the block {label}")
            open_blocks.add(label)
            for target in function.blocks[label][-1].targets:
                visit(target)
            order.insert(0, label)

    visit("entry")
    into: dict[str, list[str]] = {label: [] for label in order}
    for label in order:
        for target in dict.fromkeys(function.blocks[label][-1].targets):
            into[target].append(label)
    return order, into
