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
from typing import NamedTuple

from workshop import libclang
from workshop.checker import pragmas
from workshop.checker.pragmas import Pragma
from workshop.libclang import Cursor, kind

_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT")
_FUNCTIONS = ("FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR", "DESTRUCTOR")


@dataclass(eq=False)
class Loop:
    """A loop, or a function's body, which has no label and nothing around it."""

    cursor: Cursor
    label: str = ""
    outer: Loop | None = None
    pragmas: list[Pragma] = field(default_factory=list)  # that stand directly in it

    def around(self) -> Iterator[Loop]:
        """Yield it, and all that it lies in."""
        yield self
        if self.outer:
            yield from self.outer.around()

    @property
    def pipelined(self) -> bool:
        """Whether its own pragma makes it a pipeline."""
        return any(pragma.directive == "PIPELINE" for pragma in self.pragmas)


@dataclass(eq=False)
class Function:
    """A function with what is in it."""

    cursor: Cursor
    body: Loop
    loops: list[Loop] = field(default_factory=list)
    calls: list[tuple[Cursor, Loop]] = field(default_factory=list)
    pragmas: list[Pragma] = field(default_factory=list)


class _At(NamedTuple):
    """Where a cursor lies."""

    function: Function | None = None
    loop: Loop | None = None
    directly: bool = False  # it is a statement of the body of the loop or function
    label: str = ""


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
        self.functions: list[Function] = []
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
                self._visit(cursor, _At())
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
    def top(self) -> Function:
        """The one function that top.cpp defines."""
        main = self._unit.spelling
        return next(f for f in self.functions if str(f.cursor.location.file) == main)

    @cached_property
    def _by_spot(self) -> dict[tuple[str, int], Function]:
        return {_spot(f.cursor): f for f in self.functions}

    def callees(self, call: Cursor) -> list[Function]:
        """Functions of the kernel that a call may mean; where a template decides, by name."""
        if call.referenced is not None:
            at = _spot(call.referenced.get_definition() or call.referenced)
            return [self._by_spot[at]] if at in self._by_spot else []
        names = {c.spelling for c in call.walk_preorder() if kind(c) == "OVERLOADED_DECL_REF"}
        return [f for f in self.functions if f.cursor.spelling in names]

    def called(self, calls: Iterable[Cursor]) -> set[Function]:
        """Functions that some calls lead to, also through others."""
        found: set[Function] = set()
        todo = list(calls)
        while todo:
            fresh = set(self.callees(todo.pop())) - found
            todo += [call for function in fresh for call, _ in function.calls]
            found |= fresh
        return found

    @cached_property
    def in_pipelines(self) -> set[Function]:
        """Functions that become part of a pipelined loop."""
        every = (call for function in self.functions for call in function.calls)
        return self.called(call for call, at in every if any(o.pipelined for o in at.around()))

    def _visit(self, cursor: Cursor, at: _At) -> None:
        what = kind(cursor)
        self._by_kind[what].append(cursor)
        if what == "ENUM_DECL" and self._note_pragma(cursor, at):
            return
        children, body = list(cursor.get_children()), None
        if what in _FUNCTIONS and cursor.is_definition():
            body = Loop(cursor)
            at = _At(Function(cursor, body), body)
            self.functions.append(at.function)  # type: ignore[arg-type]
        elif what in _LOOPS and at.function:
            body = Loop(cursor, at.label, at.loop)
            at.function.loops.append(body)
            at = _At(at.function, body)
        elif what == "CALL_EXPR" and at.function and at.loop:
            at.function.calls.append((cursor, at.loop))
        if body and children and kind(children[-1]) == "COMPOUND_STMT":
            for statement in children.pop().get_children():
                self._visit(statement, at._replace(directly=True))
        label = cursor.spelling if what == "LABEL_STMT" else ""
        at = at._replace(label=label, directly=at.directly and what == "DECL_STMT")
        for child in children:
            self._visit(child, at)

    def _note_pragma(self, cursor: Cursor, at: _At) -> bool:
        constants = list(cursor.get_children())
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
        if at.function and at.loop:
            pragma.function, pragma.where = at.function, "anywhere"
            at.function.pragmas.append(pragma)
            if at.directly:
                pragma.where = "function" if at.loop is at.function.body else "loop"
                at.loop.pragmas.append(pragma)
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
