"""Rules of memories: ports, order of accesses in a slot, depths; and of what must be no memory.

What a pipelined loop does with a memory is followed into the functions that it calls, in the order
of the code. Loops inside are unrolled over parts of the memory, so that an access counts once,
wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from workshop.checker.code import Complaints, called_in_pipelines
from workshop.checker.directives import all_of, is_const, sizes
from workshop.checker.kernel import Cursor, Function, Kernel, Loop, Placed, kind

_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT")


class Access(NamedTuple):
    """A read or a write of a memory in a pipelined loop."""

    memory: str
    loop: str
    writes: bool
    cursor: Cursor


def accesses(kernel: Kernel) -> list[Access]:
    """List what pipelined loops do with the memories of BIND_STORAGE, in the order of the code."""
    walk = _Walk(kernel)
    for function in kernel.functions:
        bound = {}
        for placed in _memories(kernel):
            variable = placed.named["variable"]
            if placed.function is function and kind(variable) == "VAR_DECL":
                bound[variable.hash] = placed.pragma.options["variable"]
        if bound:
            walk.visit(function.cursor, False, bound)
    return walk.found


def ports(kernel: Kernel) -> Complaints:
    """One place that reads a memory and one that writes it: more would want more ports."""
    seen: dict[tuple[str, str, bool], int] = {}
    for memory, loop, writes, cursor in accesses(kernel):
        seen[memory, loop, writes] = seen.get((memory, loop, writes), 0) + 1
        if seen[memory, loop, writes] == 2:
            does = "writes" if writes else "reads"
            remedy = "choose the address before it, so that there is one"
            yield cursor, f"a second place of {loop} {does} {memory}, which has a port; {remedy}"


def order(kernel: Kernel) -> Complaints:
    """Reads come first: one behind a write would wait for it in the same slot."""
    written = set()
    for memory, loop, writes, cursor in accesses(kernel):
        if writes:
            written.add((memory, loop))
        elif (memory, loop) in written:
            yield cursor, f"{loop} reads {memory} after it has written it; read it before"


def depths(kernel: Kernel) -> Complaints:
    """Depths are powers of two: Vivado makes BRAM that deep anyway, and places wrap."""
    cut: dict[str, set[int]] = {}
    for placed in all_of(kernel, "ARRAY_PARTITION"):
        name = placed.pragma.options["variable"]
        cut.setdefault(name, set()).add(placed.numbers.get("dim", 1))
    for placed in _memories(kernel):
        name = placed.pragma.options["variable"]
        deep = [
            size
            for dim, size in enumerate(sizes(placed.named["variable"]), 1)
            if not {0, dim} & cut.get(name, set())
        ]
        depth = prod(deep)
        if depth & (depth - 1):
            yield placed, f"{name} is {depth} deep; round it up to {1 << depth.bit_length()}"


def registers(kernel: Kernel) -> Complaints:
    """What a pipeline carries on is local; arrays that it works with are cut into registers."""
    bound = {p.named["variable"].hash for p in all_of(kernel, "BIND_STORAGE")}
    cut = {p.named["variable"].hash for p in all_of(kernel, "ARRAY_PARTITION")}
    inside = called_in_pipelines(kernel)
    for function in kernel.functions:
        has_loop = any(loop.pipelined() for loop in function.loops)
        if (not has_loop and function not in inside) or function.is_constexpr:
            continue
        for cursor in _variables(function):
            if cursor.hash in bound or is_const(cursor.type):
                continue
            static = cursor.storage_class.name == "STATIC"
            if static and sizes(cursor)[:1] == [1]:
                continue  # this config has nothing in it
            if static:
                yield (
                    cursor,
                    (
                        f"{cursor.spelling} is static, so loaded and stored in every slot; make it "
                        "local, or bind it to a memory"
                    ),
                )
            elif sizes(cursor) and cursor.hash not in cut:
                yield cursor, f"{cursor.spelling} may become a memory; partition it completely"
    for cursor in kernel.of("FIELD_DECL"):  # of an object, whose constructor says so
        if sizes(cursor) and cursor.spelling.endswith("_") and cursor.hash not in cut:
            yield cursor, f"{cursor.spelling} may become a memory; partition it completely"
    for cursor in kernel.of("VAR_DECL"):
        outside = kind(cursor.semantic_parent) in ("NAMESPACE", "TRANSLATION_UNIT")
        if outside and not is_const(cursor.type):
            yield cursor, f"{cursor.spelling} is global, so kept in a memory; make it local"


@dataclass
class _Walk:
    """Goes through a function as it runs; remembers what it does with memories."""

    kernel: Kernel

    def __post_init__(self) -> None:
        self.found: list[Access] = []
        self._loops = {
            loop.cursor.hash: loop
            for function in self.kernel.functions
            for loop in function.loops
            if loop.pipelined()
        }
        self._labels = {
            next(cursor.get_children()).hash: cursor.spelling
            for cursor in self.kernel.of("LABEL_STMT")
        }
        self._in: Loop | None = None
        self._calls: list[Function] = []

    def visit(self, cursor: Cursor, writes: bool, bound: dict[int, str]) -> None:
        """Visit an expression or a statement; names stand for the memories in ``bound``."""
        what, children = kind(cursor), list(cursor.get_children())
        if what == "ENUM_DECL":
            return  # a pragma, which names a memory and does not touch it
        if what == "DECL_REF_EXPR":
            self._note(cursor, writes, bound)
        elif what == "ARRAY_SUBSCRIPT_EXPR" and len(children) == 2:
            self.visit(children[1], False, bound)
            self.visit(children[0], writes, bound)
        elif what == "CALL_EXPR":
            self._call(cursor, bound)
        elif what == "COMPOUND_ASSIGNMENT_OPERATOR":
            self._assign(children[0], children[1], True, bound)
        elif what == "BINARY_OPERATOR" and _operator(cursor, children[0]) == "=":
            self._assign(children[0], children[1], False, bound)
        elif what in _LOOPS and cursor.hash in self._loops and self._in is None:
            self._in = self._loops[cursor.hash]
            for child in children:
                self.visit(child, False, bound)
            self._in = None
        elif what in ("UNEXPOSED_EXPR", "PAREN_EXPR", "CONDITIONAL_OPERATOR"):
            for child in children:
                self.visit(child, writes, bound)
        else:
            for child in children:
                self.visit(child, False, bound)

    def _note(self, cursor: Cursor, writes: bool, bound: dict[int, str]) -> None:
        memory = cursor.referenced is not None and bound.get(cursor.referenced.hash)
        if memory and self._in:
            label = self._labels.get(self._in.cursor.hash, "the loop")
            self.found.append(Access(memory, label, writes, cursor))

    def _assign(self, to: Cursor, value: Cursor, reads: bool, bound: dict[int, str]) -> None:
        self.visit(value, False, bound)
        if reads:
            self.visit(to, False, bound)
        self.visit(to, True, bound)

    def _call(self, cursor: Cursor, bound: dict[int, str]) -> None:
        given = list(cursor.get_arguments())
        if re.fullmatch(r"operator[^=!<>]*=", cursor.spelling):
            self._assign(given[0], given[1], cursor.spelling != "operator=", bound)
            return
        callees = [f for f in self.kernel.callees(cursor) if f not in self._calls]
        if not callees:
            for child in cursor.get_children():
                self.visit(child, False, bound)
            return
        named: dict[int, str] = {}
        parameters = [c for c in callees[0].cursor.get_children() if kind(c) == "PARM_DECL"]
        for argument, parameter in zip(given, parameters):
            memory = bound.get(_base(argument))
            if memory and not _by_value(parameter):
                named[parameter.hash] = memory
            else:
                self.visit(argument, False, bound)
        if named:
            self._calls.append(callees[0])
            self.visit(list(callees[0].cursor.get_children())[-1], False, named)
            self._calls.pop()


def _memories(kernel: Kernel) -> Iterator[Placed]:
    return (
        placed
        for placed in all_of(kernel, "BIND_STORAGE")
        if placed.pragma.options["type"].startswith("ram") and sizes(placed.named["variable"])
    )


def _variables(function: Function) -> Iterator[Cursor]:
    return (c for c in function.cursor.walk_preorder() if kind(c) == "VAR_DECL")


def _operator(cursor: Cursor, left: Cursor) -> str:
    """Return what stands between the operands."""
    end = left.extent.end.offset
    tokens = (t.spelling for t in cursor.get_tokens() if t.extent.start.offset >= end)
    return next(tokens, "")


def _base(cursor: Cursor) -> int:
    """Declaration of the array that an expression indexes, or 0."""
    while kind(cursor) in ("UNEXPOSED_EXPR", "PAREN_EXPR", "ARRAY_SUBSCRIPT_EXPR"):
        inner = list(cursor.get_children())
        if not inner:
            return 0
        cursor = inner[0]
    if kind(cursor) == "DECL_REF_EXPR" and cursor.referenced is not None:
        return int(cursor.referenced.hash)
    return 0


def _by_value(parameter: Cursor) -> bool:
    what = parameter.type.kind.name
    return not ("REFERENCE" in what or "ARRAY" in what or what == "POINTER")


RULES: dict[str, Callable[[Kernel], Complaints]] = {
    "port": ports,
    "order": order,
    "depth": depths,
    "register": registers,
}
