"""The rendered kernel as Vitis would see it: functions, loops, variables, pragmas, from libclang.

Clang parses it with ``__SYNTHESIS__``.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from workshop import libclang
from workshop.checker import pragmas
from workshop.checker.pragmas import Pragma
from workshop.libclang import Cursor, kind

_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT")
_FUNCTIONS = ("FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR", "DESTRUCTOR")


@dataclass(eq=False)
class Block:
    """A function's body, which has no label and nothing around it, or a loop."""

    cursor: Cursor
    label: str = ""
    outer: Block | None = None
    pragmas: list[Pragma] = field(default_factory=list)  # that stand directly in it

    def around(self) -> Iterator[Block]:
        """Yield it, and all that it lies in."""
        yield self
        if self.outer:
            yield from self.outer.around()

    @property
    def function(self) -> Block:
        """The function that it lies in."""
        return self.outer.function if self.outer else self

    @property
    def pipelined(self) -> bool:
        """Whether its own pragma makes it a pipeline."""
        return any(pragma.directive == "PIPELINE" for pragma in self.pragmas)


class Kernel:
    """A parsed kernel.

    Args:
        folder: that ``render`` has written; ``hls/top.cpp`` is parsed.
        banned: words that may not be in it; Clang then gives an error.

    Raises:
        UsageError: libclang is not installed.
    """

    def __init__(self, folder: Path, banned: Iterable[str]) -> None:
        hls = (folder / "hls").resolve()
        self._root = hls.parent
        self.pragmas: list[Pragma] = []  # that stand where #if leaves them
        self.functions: list[Block] = []
        self.loops: list[Block] = []
        self.calls: dict[Block, list[tuple[Cursor, Block]]] = defaultdict(list)  # by function
        self.widest = 0  # bits of an ap_int
        self._found: list[Pragma] = []
        self._by_kind: dict[str, list[Cursor]] = defaultdict(list)
        self._texts = {str(hls / "banned.h"): f"#pragma GCC poison {' '.join(banned)}\n"}
        for path in sorted(hls.rglob("*.?pp")):
            name = path.relative_to(self._root).as_posix()
            text = path.read_text(encoding="utf-8")
            self._texts[str(path)] = pragmas.take_out(text, name, self._found)
        flags = ("-pedantic-errors", "-D__SYNTHESIS__", "-include", str(hls / "banned.h"))
        texts = tuple(self._texts.items())
        self._unit = libclang.parse(hls / "top.cpp", hls, *flags, texts=texts)
        for cursor in self._unit.cursor.get_children():
            if str(cursor.location.file) in self._texts:
                self._visit(cursor)
            elif kind(cursor) == "ENUM_DECL":
                self.widest = next(cursor.get_children()).enum_value

    def of(self, *kinds: str) -> list[Cursor]:
        """Return all cursors of some kinds."""
        return [cursor for name in kinds for cursor in self._by_kind.get(name, ())]

    def errors(self) -> Iterator[tuple[tuple[str, int], str, str]]:
        """Yield place, text and the source from there on, of what Clang refuses."""
        for message in self._unit.diagnostics:
            if message.severity >= 3:  # the least that is an error
                at = message.location
                lines = self._texts.get(str(at.file), "").split("\n")[at.line - 1 :]
                yield self.place(message), message.spelling, "".join(lines[:1])[at.column - 1 :]

    def place(self, of: Cursor | Pragma) -> tuple[str, int]:
        """Return file, below the rendered folder where it is in there, and line."""
        if isinstance(of, Pragma):
            return of.path, of.line
        return os.path.relpath(str(of.location.file), self._root), of.location.line

    def pragma_at(self, place: tuple[str, int]) -> Pragma | None:
        """Return the pragma in a line of a file."""
        return next((p for p in self._found if (p.path, p.line) == place), None)

    @cached_property
    def top(self) -> Block:
        """The one function that top.cpp defines."""
        main = self._unit.spelling
        return next(f for f in self.functions if str(f.cursor.location.file) == main)

    @cached_property
    def _by_spot(self) -> dict[tuple[str, int], Block]:
        return {_spot(f.cursor): f for f in self.functions}

    def callees(self, call: Cursor) -> list[Block]:
        """Functions of the kernel that a call may mean; where a template decides, by name."""
        if call.referenced is not None:
            at = _spot(call.referenced.get_definition() or call.referenced)
            return [self._by_spot[at]] if at in self._by_spot else []
        names = {c.spelling for c in call.walk_preorder() if kind(c) == "OVERLOADED_DECL_REF"}
        return [f for f in self.functions if f.cursor.spelling in names]

    def called(self, calls: Iterable[Cursor]) -> set[Block]:
        """Functions that some calls lead to, also through others."""
        found: set[Block] = set()
        todo = list(calls)
        while todo:
            fresh = set(self.callees(todo.pop())) - found
            todo += [call for function in fresh for call, _ in self.calls[function]]
            found |= fresh
        return found

    @cached_property
    def in_pipelines(self) -> set[Block]:
        """Functions that become part of a pipelined loop."""
        every = [call for calls in self.calls.values() for call in calls]
        return self.called(call for call, at in every if any(o.pipelined for o in at.around()))

    def _visit(
        self, cursor: Cursor, at: Block | None = None, directly: bool = False, label: str = ""
    ) -> None:
        """Note a cursor and all in it; ``directly``: it is a statement of the block's body."""
        what, children = kind(cursor), list(cursor.get_children())
        self._by_kind[what].append(cursor)
        if what == "ENUM_DECL" and self._note_pragma(children, at, directly):
            return
        opened = None
        if what in _FUNCTIONS and cursor.is_definition():
            opened = at = Block(cursor)
            self.functions.append(at)
        elif what in _LOOPS and at:
            opened = at = Block(cursor, label, at)
            self.loops.append(at)
        elif what == "CALL_EXPR" and at:
            self.calls[at.function].append((cursor, at))
        if opened and children and kind(children[-1]) == "COMPOUND_STMT":
            for statement in children.pop().get_children():
                self._visit(statement, at, directly=True)
        label = cursor.spelling if what == "LABEL_STMT" else ""
        for child in children:
            self._visit(child, at, directly and what == "DECL_STMT", label)

    def _note_pragma(self, constants: list[Cursor], at: Block | None, directly: bool) -> bool:
        found = constants and re.fullmatch(pragmas.MARK + r"(\d+)", constants[0].spelling)
        if not found:
            return False
        pragma = self._found[int(found[1])]
        self.pragmas.append(pragma)
        for constant in constants[1:]:
            option = constant.spelling[len(found[0]) + 1 :]
            if pragma.known.options[option] is None:
                pragma.names[option] = _declared(constant)
            else:
                pragma.numbers[option] = constant.enum_value
        pragma.block = at
        if at and directly:
            pragma.where = "loop" if at.outer else "function"
            at.pragmas.append(pragma)
        return True


def is_constexpr(cursor: Cursor) -> bool:
    """Whether a function or a variable is declared constexpr, so that no hardware comes of it."""
    ends = ("constexpr", "(", "=", "{", ";")
    words = (token.spelling for token in cursor.get_tokens())
    return next((word for word in words if word in ends), "") == "constexpr"


def _declared(cursor: Cursor) -> Cursor | None:
    """Return the declaration that the last name in an expression means."""
    names = [c for c in cursor.walk_preorder() if kind(c) in ("DECL_REF_EXPR", "MEMBER_REF_EXPR")]
    return names[0].referenced if names else None  # `next.of` has the member outermost


def _spot(cursor: Cursor) -> tuple[str, int]:
    return str(cursor.location.file), cursor.location.offset
