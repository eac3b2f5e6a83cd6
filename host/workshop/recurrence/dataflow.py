"""What a function computes, as wires: its branches become choices, its memory wires.

A function takes pointers: what ``state`` points to is read and written, ``in`` is read, ``out`` is
written, and ``memories`` holds tables that are read at addresses worked out on the way. A wire is
``early`` if it depends on nothing that the step before has left: a tool can work it out in a
pipeline stage before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workshop.recurrence.layout import Layout
from workshop.recurrence.llvm_ir import Function, Instruction, Module, NotADatapath, split

OBJECTS = ("state", "in", "memories", "out")


@dataclass(eq=False)
class Wire:
    """A named result of ``width`` bits: ``text`` with ``{0}``, ``{1}`` ... for its operands."""

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
            return Bits(width, None, 0, self.value >> low & ((1 << width) - 1))
        return replace(self, width=width, low=self.low + low)


@dataclass(frozen=True)
class Pointer:
    """A place in an object: an offset, or one of a row of them by an index."""

    object: str
    offset: int
    index: Bits | None = None
    stride: int = 0


@dataclass(frozen=True)
class Choice:
    """One of two pointers."""

    condition: Bits
    yes: Pointer | Choice
    no: Pointer | Choice


Memory = dict[str, list[Bits]]  # of each object its bytes
TRUE, FALSE = Bits(1, None, 0, 1), Bits(1, None, 0, 0)
_ZERO = Bits(8, None)

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
_LESS = {"umin": ("<", False), "umax": (">", False), "smin": ("<", True), "smax": (">", True)}
_HINTS = ("lifetime.start", "lifetime.end", "assume", "experimental.noalias.scope.decl")
_FLAGS = re.compile(r"\b(nuw|nsw|exact|disjoint|nneg|samesign|inbounds|inrange\(.*?\)|volatile) ")


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
    kept: frozenset[int] = frozenset()
    while True:  # until what no step changes is known: that is as early as inputs are
        made = _Walk(module, module.functions[name], layouts, kept).step()
        before, after = made.before["state"], made.after["state"]
        same = frozenset(at for at, pair in enumerate(zip(before, after)) if pair[0] == pair[1])
        if same == kept:
            return made
        kept = same


@dataclass
class _Walk:
    module: Module
    function: Function
    layouts: Mapping[str, Layout]
    kept: frozenset[int]  # bytes of the state that stay as they are
    wires: list[Wire] = field(default_factory=list)
    reads: list[Wire] = field(default_factory=list)
    values: dict[str, Bits | Pointer | Choice] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    ways: dict[tuple[str, str], Bits] = field(default_factory=dict)  # from block to block
    reached: dict[tuple[str, str], Bits] = field(default_factory=dict)

    def step(self) -> Step:
        for name in self.function.parameters:
            if name not in OBJECTS:
                raise NotADatapath(f"{self.function.name}: {name} is none of {', '.join(OBJECTS)}")
            self.values[name] = Pointer(name, 0)
        before = {name: self._bytes(name) for name in ("state", "in", "out")}
        order, self.into = _order(self.function)
        self.dominator: dict[str, str] = {}
        ends: dict[str, Memory] = {}
        last = ""
        for label in order:
            came = self.into[label]
            root = self._common(came)
            self.dominator[label] = root
            self.memory = self._join(label, root, [ends[block] for block in came])
            if not came:
                self.memory = {name: list(them) for name, them in before.items()}
            for instruction in self.function.blocks[label]:
                self._execute(label, root, instruction)
                if instruction.op == "ret":
                    last = label
            ends[label] = self.memory
        return Step(self.function.name, self.wires, before, ends[last], self.reads)

    # Objects

    def _bytes(self, name: str) -> list[Bits]:
        """Bytes of an object before the step, a wire for each field."""
        layout = self.layouts[name]
        made = [_ZERO] * layout.size
        if name == "out":
            return made
        labels = [label for label, _, _ in layout.fields]
        for label, offset, size in layout.fields:
            early = name == "in" or self.kept.issuperset(range(offset, offset + size))
            full = self._field(f"{name}.{label}", labels.count(label) == 1)
            wire = Wire(full, 8 * size, "source", early=early)
            self.wires.append(wire)
            made[offset : offset + size] = [Bits(8, wire, 8 * byte) for byte in range(size)]
        return made

    def _places(self, place: Pointer) -> list[int]:
        """Offsets that an indexed place can mean, that of index 0 first."""
        layout = self.layouts.get(place.object)
        for array in layout.arrays if layout else ():
            within = place.offset - array.start
            if array.stride == place.stride and 0 <= within < array.stride:
                return [place.offset + array.stride * at for at in range(array.length)]
        raise NotADatapath(
            f"{self.function.name}: an index that goes by {place.stride} bytes from byte "
            f"{place.offset} of {place.object} follows none of its arrays"
        )

    def _load(self, place: Pointer | Choice, size: int, name: str) -> Bits:
        if isinstance(place, Choice):
            either = [self._load(p, size, name) for p in (place.yes, place.no)]
            return self._choose([place.condition, TRUE], either, name)
        if place.object == "memories":
            return self._read(place, size, name)
        held = self.memory[place.object]
        if place.index is None:
            return self._concat(held[place.offset : place.offset + size], name)
        values = [self._concat(held[at : at + size], name) for at in self._places(place)]
        return self._select(place.index, values, name)

    def _select(self, index: Bits, values: list[Bits], name: str) -> Bits:
        """The value of an index, by its bits from the highest."""
        if len(values) == 1:
            return values[0]
        bit = (len(values) - 1).bit_length() - 1
        low, high = values[: 1 << bit], values[1 << bit :]
        sides = [self._select(index, side, name) for side in (high, low)]
        return self._choose([index.cut(bit, 1), TRUE], sides, name)

    def _read(self, place: Pointer, size: int, name: str) -> Bits:
        index, stride = place.index or Bits(1, None), place.stride or 1
        wire = Wire(
            self._field(f"memories.{name}", False),
            8 * size,
            "read",
            (index,),
            f"{place.offset} + {{0}} * {stride}",
            index.early,
        )
        self.wires.append(wire)
        self.reads.append(wire)
        return Bits(wire.width, wire)

    def _store(self, place: Pointer | Choice, value: list[Bits], when: Bits = TRUE) -> None:
        if isinstance(place, Choice):
            self._store(place.yes, value, self._and(when, place.condition))
            self._store(place.no, value, self._and(when, self._not(place.condition)))
            return
        if place.object in ("in", "memories"):
            raise NotADatapath(f"{self.function.name}: stores into {place.object}")
        held, size, new = self.memory[place.object], len(value), self._concat(value, "stored")
        places = [place.offset] if place.index is None else self._places(place)
        for at, offset in enumerate(places):
            here = when
            if place.index is not None:
                number = Bits(place.index.width, None, 0, at)
                here = self._and(when, self._equal("here", place.index, number))
            old = self._concat(held[offset : offset + size], "kept")
            both = self._choose([here, TRUE], [new, old], "kept")
            held[offset : offset + size] = [both.cut(8 * byte, 8) for byte in range(size)]

    # Wires

    def _name(self, name: str) -> str:
        """Name a wire; of fields alone, and of what is read, the name has dots."""
        return f"{self.function.name}_{re.sub(r'[^A-Za-z0-9]+', '_', name)}[{len(self.wires)}]"

    def _field(self, name: str, single: bool) -> str:
        step = self.function.name
        name = f"{step}.{name.removeprefix('state.').removeprefix(f'{step}.')}"
        return name if single else f"{name}[{len(self.wires)}]"

    def _wire(self, name: str, width: int, op: str, text: str, *operands: Bits) -> Bits:
        early = all(bits.early for bits in operands)
        wire = Wire(self._name(name), width, op, operands, text, early)
        self.wires.append(wire)
        return Bits(width, wire)

    def _concat(self, parts: Sequence[Bits], name: str) -> Bits:
        parts = joined(parts)
        if len(parts) == 1:
            return parts[0]
        text = "{{" + ", ".join(f"{{{at}}}" for at in reversed(range(len(parts)))) + "}}"
        width = sum(part.width for part in parts)
        return self._wire(name, width, "concat", text, *parts)

    def _extended(self, value: Bits, width: int, signed: bool, name: str) -> Bits:
        more = width - value.width
        if value.wire is None:
            sign = signed and value.value >> (value.width - 1)
            return Bits(
                width, None, 0, value.value | (((1 << more) - 1) << value.width) * bool(sign)
            )
        fill = value.cut(value.width - 1, 1) if signed else FALSE
        text = f"{{{{ {{{{ {more}{{{{ {{1}} }}}} }}}}, {{0}} }}}}"
        return self._wire(name, width, "extend", text, value, fill)

    def _equal(self, name: str, a: Bits, b: Bits) -> Bits:
        return self._wire(name, 1, "icmp", "{0} == {1}", a, b)

    def _not(self, a: Bits) -> Bits:
        if a.wire is None:
            return FALSE if a.value else TRUE
        return self._wire("not", 1, "not", "~{0}", a)

    def _and(self, a: Bits, b: Bits) -> Bits:
        if FALSE in (a, b):
            return FALSE
        if TRUE in (a, b):
            return b if a == TRUE else a
        return self._wire("and", 1, "and", "{0} & {1}", a, b)

    def _or(self, a: Bits, b: Bits) -> Bits:
        if TRUE in (a, b):
            return TRUE
        if FALSE in (a, b):
            return b if a == FALSE else a
        return self._wire("or", 1, "or", "{0} | {1}", a, b)

    def _choose(self, conditions: list[Bits], values: list[Bits], name: str) -> Bits:
        """The value whose condition holds: one does, and no two do but the last."""
        if all(value == values[0] for value in values) or conditions[0] == TRUE:
            return values[0]
        pairs = [(c, v) for c, v in zip(conditions, values) if c != FALSE]
        if len(pairs) == 1:
            return pairs[0][1]
        width = values[0].width
        if len(pairs) == 2:
            (condition, yes), (_, no) = pairs
            return self._wire(name, width, "select", "{0} ? {1} : {2}", condition, yes, no)
        terms = [
            f"({{{{ {width}{{{{ {{{2 * at}}} }}}} }}}} & {{{2 * at + 1}}})"
            for at in range(len(pairs))
        ]
        flat = [bits for pair in pairs for bits in pair]
        return self._wire(name, width, "select", " | ".join(terms), *flat)

    # Blocks

    def _common(self, blocks: list[str]) -> str:
        """The block through which all ways to some blocks go, nearest to them."""
        if not blocks:
            return ""
        chains = [self._chain(block) for block in blocks]
        return next(block for block in chains[0] if all(block in chain for chain in chains))

    def _chain(self, block: str) -> list[str]:
        chain = [block]
        while self.dominator[chain[-1]]:
            chain.append(self.dominator[chain[-1]])
        return chain

    def _reach(self, root: str, block: str) -> Bits:
        """Whether a block is reached where ``root`` is."""
        if block == root:
            return TRUE
        if (root, block) not in self.reached:
            reached = FALSE
            for way in self._conditions(root, block):
                reached = self._or(reached, way)
            self.reached[root, block] = reached
        return self.reached[root, block]

    def _conditions(self, root: str, block: str) -> list[Bits]:
        """Of all ways into a block, which one is gone."""
        return [
            self._and(self._reach(root, before), self.ways[before, block])
            for before in self.into[block]
        ]

    def _join(self, block: str, root: str, ends: list[Memory]) -> Memory:
        """The memory at the start of a block."""
        if len(ends) < 2:
            return {name: list(held) for end in ends for name, held in end.items()}
        conditions = self._conditions(root, block)
        at_start: Memory = {}
        for name in [name for name in ends[0] if all(name in end for end in ends)]:
            columns = list(zip(*(end[name] for end in ends)))
            held: list[Bits] = []
            while len(held) < len(columns):
                at = end = len(held)
                if all(bits == columns[at][0] for bits in columns[at]):
                    held.append(columns[at][0])
                    continue
                # As many bytes at once as lie side by side on every way
                end = at + 1
                while end < len(columns) and all(
                    len(joined([bits[way] for bits in columns[at : end + 1]])) == 1
                    for way in range(len(ends))
                ):
                    end += 1
                values = [
                    joined([bits[way] for bits in columns[at:end]])[0] for way in range(len(ends))
                ]
                chosen = self._choose(conditions, values, f"{name}_{block}")
                held += [chosen.cut(8 * byte, 8) for byte in range(end - at)]
            at_start[name] = held
        return at_start

    # Instructions

    def _execute(self, label: str, root: str, instruction: Instruction) -> None:
        result, op, text = instruction.result, instruction.op, _FLAGS.sub("", instruction.text)
        method = getattr(self, f"_do_{op}", None)
        if op in _BINARY:
            kind, _, both = text.partition(" ")
            a, b = (self._operand(kind, part) for part in split(both))
            self.values[result] = self._wire(result, _width(kind), op, _BINARY[op], a, b)
        elif op in ("phi", "br", "switch"):
            self._flow(label, root, op, result, text)
        elif method is not None:
            value = method(result, text)
            if value is not None:
                self.values[result] = value
        elif op not in ("ret", "unreachable"):
            raise NotADatapath(f"{self.function.name}: the instruction {op} is not known here")

    def _operand(self, kind: str, text: str) -> Bits:
        if text.startswith("%"):
            value = self.values[text[1:].strip('"')]
            if not isinstance(value, Bits):
                raise NotADatapath(f"{self.function.name}: {text} is a pointer and no number")
            return value
        width = _width(kind)
        words = {"true": 1, "false": 0, "undef": 0, "poison": 0, "zeroinitializer": 0}
        if text not in words and not re.fullmatch(r"-?\d+", text):
            raise NotADatapath(f"{self.function.name}: the operand {text} is not known here")
        number = words[text] if text in words else int(text)
        return Bits(width, None, 0, number & ((1 << width) - 1))

    def _typed(self, text: str) -> Bits:
        kind, _, name = text.rpartition(" ")
        return self._operand(kind.split(" ")[0], name)

    def _pointer(self, text: str) -> Pointer | Choice:
        name = text.rpartition(" ")[2]
        value = self.values.get(name[1:].strip('"'))
        if not isinstance(value, (Pointer, Choice)):
            raise NotADatapath(f"{self.function.name}: {name} is no place that can be followed")
        return value

    def _flow(self, label: str, root: str, op: str, result: str, text: str) -> None:
        if op == "phi":
            kind, _, rest = text.partition(" ")
            pairs = re.findall(r'\[ (\S+|"[^"]*"), %("[^"]*"|\S+) \]', rest)
            by_block = {block.strip('"'): value for value, block in pairs}
            came = self.into[label]
            conditions = self._conditions(root, label)
            if kind == "ptr":
                chosen = self._pointer(by_block[came[-1]])
                for condition, block in list(zip(conditions, came))[-2::-1]:
                    chosen = _one_of(condition, self._pointer(by_block[block]), chosen)
                self.values[result] = chosen
                return
            values = [self._operand(kind, by_block[block]) for block in came]
            self.values[result] = self._choose(conditions, values, result)
        elif op == "br":
            targets = [part.strip('"') for part in re.findall(r'label %("[^"]*"|[^\s,]+)', text)]
            if len(targets) == 1:
                self._way(label, targets[0], TRUE)
                return
            condition = self._typed(split(text)[0])
            self._way(label, targets[0], condition)
            self._way(label, targets[1], self._not(condition))
        else:
            head, _, cases = text.partition("[")
            value, default = split(head)
            value_bits = self._typed(value)
            none = TRUE
            for kind, number, target in re.findall(r'(i\d+) (\S+), label %("[^"]*"|\S+)', cases):
                case = self._operand(kind, number)
                hit = self._equal("case", value_bits, case)
                none = self._and(none, self._not(hit))
                self._way(label, target.strip('"'), hit)
            self._way(label, default.partition("%")[2].strip('"'), none)

    def _way(self, source: str, target: str, condition: Bits) -> None:
        before = self.ways.get((source, target), FALSE)
        self.ways[source, target] = self._or(before, condition)

    def _do_load(self, result: str, text: str) -> Bits:
        kind, place = split(text)[:2]
        size = self.module.size(kind)
        return self._load(self._pointer(place), size, result).cut(0, _width(kind))

    def _do_store(self, result: str, text: str) -> None:
        value, place = split(text)[:2]
        bits = self._typed(value)
        size = self.module.size(value.split(" ")[0])
        if bits.width < 8 * size:
            bits = self._extended(bits, 8 * size, False, "stored")
        self._store(self._pointer(place), [bits.cut(8 * byte, 8) for byte in range(size)])

    def _do_getelementptr(self, result: str, text: str) -> Pointer | Choice:
        kind, base, *indices = split(text)
        place = self._pointer(base)
        for at, index in enumerate(indices):
            bits = self._typed(index)
            if bits.wire is None and at:
                offset, kind = self.module.member(kind, _signed(bits))
                place = self._moved(place, offset)
                continue
            if at:
                kind = self.module.member(kind, 0)[1]
            place = self._indexed(place, bits, self.module.size(kind))
        return place

    def _moved(self, place: Pointer | Choice, offset: int) -> Pointer | Choice:
        if isinstance(place, Choice):
            yes, no = (self._moved(p, offset) for p in (place.yes, place.no))
            return Choice(place.condition, yes, no)
        return replace(place, offset=place.offset + offset)

    def _indexed(self, place: Pointer | Choice, index: Bits, stride: int) -> Pointer | Choice:
        """Go on by so many strides; one of some places for one of some indices."""
        if index.wire is None:
            return self._moved(place, _signed(index) * stride)
        made = index.wire
        if made.op == "select" and index.width == made.width:
            found = self._indexed(place, made.operands[-1], stride)
            pairs = list(zip(made.operands[0:-2:2], made.operands[1:-1:2]))
            for condition, value in reversed(pairs):
                found = _one_of(condition, self._indexed(place, value, stride), found)
            return found
        if isinstance(place, Choice) or place.index is not None:
            raise NotADatapath(f"{self.function.name}: a place has two indices")
        return replace(place, index=index, stride=stride)

    def _do_alloca(self, result: str, text: str) -> Pointer:
        self.memory[result] = [_ZERO] * self.module.size(split(text)[0])
        return Pointer(result, 0)

    def _do_icmp(self, result: str, text: str) -> Bits:
        relation, kind, both = text.split(" ", 2)
        a, b = (self._operand(kind, part) for part in split(both))
        sign = "$signed({})" if relation[0] == "s" else "{}"
        symbol = _COMPARE[relation if relation in ("eq", "ne") else relation[1:]]
        compare = f"{sign.format('{0}')} {symbol} {sign.format('{1}')}"
        return self._wire(result, 1, "icmp", compare, a, b)

    def _do_select(self, result: str, text: str) -> Bits | Pointer | Choice:
        condition, yes, no = split(text)
        if yes.startswith("ptr "):
            return _one_of(self._typed(condition), self._pointer(yes), self._pointer(no))
        values = [self._typed(yes), self._typed(no)]
        return self._choose([self._typed(condition), TRUE], values, result)

    def _do_zext(self, result: str, text: str) -> Bits:
        value, _, kind = text.rpartition(" to ")
        return self._extended(self._typed(value), _width(kind), False, result)

    def _do_sext(self, result: str, text: str) -> Bits:
        value, _, kind = text.rpartition(" to ")
        return self._extended(self._typed(value), _width(kind), True, result)

    def _do_trunc(self, result: str, text: str) -> Bits:
        value, _, kind = text.rpartition(" to ")
        return self._typed(value).cut(0, _width(kind))

    def _do_freeze(self, result: str, text: str) -> Bits:
        return self._typed(text)

    def _do_call(self, result: str, text: str) -> Bits | None:
        found = re.match(r"(?:.* )?(\S+) @llvm\.([a-z.]+?)(?:\.[ip]\d+)*\((.*)\)", text)
        name = found[2].removesuffix(".p") if found else ""
        if found is None:
            raise NotADatapath(f"{self.function.name}: calls {text.partition('@')[2]}")
        if name in _HINTS:
            return None
        arguments = split(found[3])
        if name in ("memcpy", "memmove", "memset"):
            to, size = self._pointer(arguments[0]), self._typed(arguments[2])
            if name == "memset":
                self._store(to, [self._typed(arguments[1])] * size.value)
            else:
                moved = self._load(self._pointer(arguments[1]), size.value, "moved")
                self._store(to, [moved.cut(8 * byte, 8) for byte in range(size.value)])
            return None
        operands = [self._typed(argument) for argument in arguments]
        width = operands[0].width
        if name in _LESS:
            symbol, signed = _LESS[name]
            compare = (
                f"$signed({{0}}) {symbol} $signed({{1}})" if signed else f"{{0}} {symbol} {{1}}"
            )
            a, b = operands
            first = self._wire(f"{result}_{name}", 1, "icmp", compare, a, b)
            return self._choose([first, TRUE], [a, b], result)
        if name == "abs":
            negative = operands[0].cut(width - 1, 1)
            minus = self._wire(result, width, "sub", "-{0}", operands[0])
            return self._choose([negative, TRUE], [minus, operands[0]], result)
        if name in ("fshl", "fshr"):
            texts = {
                "fshl": "{0} << {1} | {2} >> ({3} - {1})",
                "fshr": "{0} << ({3} - {1}) | {2} >> {1}",
            }
            amount = replace(operands[2], value=operands[2].value % width)
            if amount.wire is not None:
                raise NotADatapath(f"{self.function.name}: rotates by what is not constant")
            whole = Bits(width, None, 0, width)
            return self._wire(
                result, width, "shl", texts[name], operands[0], amount, operands[1], whole
            )
        if name == "usub.sat":
            a, b = operands
            more = self._wire(f"{result}_more", 1, "icmp", "{0} > {1}", a, b)
            rest = self._wire(result, width, "sub", "{0} - {1}", a, b)
            return self._choose([more, TRUE], [rest, Bits(width, None)], result)
        raise NotADatapath(f"{self.function.name}: llvm.{name} is not known here")


def _one_of(condition: Bits, yes: Pointer | Choice, no: Pointer | Choice) -> Pointer | Choice:
    return yes if yes == no else Choice(condition, yes, no)


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


def _order(function: Function) -> tuple[list[str], dict[str, list[str]]]:
    """All blocks that can be reached, each after those before it, and from where they are."""
    targets = {
        label: [
            part.strip('"') for part in re.findall(r'label %("[^"]*"|[^\s,\]]+)', block[-1].text)
        ]
        for label, block in function.blocks.items()
    }
    order: list[str] = []
    open_blocks: set[str] = set()

    def visit(label: str) -> None:
        if label in order:
            return
        if label in open_blocks:
            raise NotADatapath(f"{function.name}: a loop is left, through the block {label}")
        open_blocks.add(label)
        for target in targets[label]:
            visit(target)
        order.append(label)

    visit("entry")
    order.reverse()
    into: dict[str, list[str]] = {label: [] for label in order}
    for label in order:
        for target in targets[label]:
            if label not in into[target]:
                into[target].append(label)
    return order, into
