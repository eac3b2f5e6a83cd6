"""The rendered kernel as Vitis would see it: functions, loops, variables, pragmas, from libclang.

Clang parses it with ``__SYNTHESIS__``, and with the declarations in hls/lint/ in place of the
vendor's and the standard library's headers: what is not in those is not for synthesis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lstm_sharp import paths
from lstm_sharp.errors import UsageError
from workshop.checker import pragmas
from workshop.checker.pragmas import ANYWHERE, FUNCTION, LOOP, Pragma

HEADERS = {
    "ap_axi_sdata.h": "vitis_types.hpp",
    "ap_int.h": "vitis_types.hpp",
    "hls_stream.h": "vitis_types.hpp",
    "cstdint": "cstdint.hpp",
}
"""All that the kernel may include beside its own files, and what stands in for it in hls/lint/."""
_FLAGS = ("-std=c++14", "-pedantic-errors", "-nostdinc", "-nostdinc++", "-D__SYNTHESIS__")
_LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT")
_FUNCTIONS = ("FUNCTION_DECL", "FUNCTION_TEMPLATE", "CXX_METHOD", "CONSTRUCTOR", "DESTRUCTOR")

Cursor = Any  # clang.cindex has no types


@dataclass(eq=False)
class Loop:
    """A loop, or a function's body, which has no label and nothing around it."""

    cursor: Cursor
    labelled: bool = True
    outer: Loop | None = None
    pragmas: list[Placed] = field(default_factory=list)  # that stand directly in it

    def around(self) -> Iterator[Loop]:
        """Yield it, and all that it lies in."""
        yield self
        if self.outer:
            yield from self.outer.around()

    def pipelined(self) -> bool:
        """Whether its own pragma makes it a pipeline."""
        return any(p.is_a("PIPELINE") and "off" not in p.pragma.flags for p in self.pragmas)


@dataclass(eq=False)
class Function:
    """A function with what is in it."""

    cursor: Cursor
    body: Loop
    loops: list[Loop] = field(default_factory=list)
    calls: list[tuple[Cursor, Loop]] = field(default_factory=list)
    pragmas: list[Placed] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name without its class."""
        return str(self.cursor.spelling)

    @cached_property
    def is_constexpr(self) -> bool:
        """Whether the compiler may run it, so that no hardware comes of it."""
        return is_constexpr(self.cursor)

    def with_pragma(self, directive: str) -> Iterator[Placed]:
        """Yield its pragmas of a directive."""
        return (p for p in self.pragmas if p.is_a(directive))


@dataclass(eq=False)
class Placed:
    """A pragma and the place where it stands."""

    pragma: Pragma
    where: str  # LOOP or FUNCTION: directly in the body; ANYWHERE in a function; else namespace
    function: Function | None
    loop: Loop | None  # that it lies in, however deep
    numbers: dict[str, int]  # worked out by Clang
    named: dict[str, Cursor]  # declarations of the variable, the port

    def is_a(self, directive: str) -> bool:
        """Whether it is of a directive; of any INTERFACE mode if that is named."""
        return self.pragma.directive.split()[:1] == [directive]


class _At(NamedTuple):
    """Where a cursor lies."""

    function: Function | None = None
    loop: Loop | None = None
    directly: bool = False  # it is a statement of the body of the loop or function
    labelled: bool = False


class Kernel:
    """A parsed kernel.

    Args:
        folder: that ``render`` has written; ``hls/top.cpp`` is parsed.

    Raises:
        UsageError: libclang is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from clang import cindex
        except ImportError:
            raise UsageError("libclang is missing; install it with: pip install libclang") from None
        hls = (folder / "hls").resolve()
        self._root = hls.parent
        self._pragmas: list[Pragma] = []
        lint = (paths.hardware() / "lint").resolve()
        texts = [(str(hls / name), f'#include "{lint / own}"\n') for name, own in HEADERS.items()]
        for path in sorted(hls.rglob("*.?pp")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(self._root).as_posix()
            texts.append((str(path), pragmas.take_out(text, name, self._pragmas)))
        self._unit = cindex.Index.create().parse(
            str(hls / "top.cpp"), [*_FLAGS, f"-I{hls}"], unsaved_files=texts
        )
        self.functions: list[Function] = []
        self._by_kind: dict[str, list[Cursor]] = {}
        self.pragmas: list[Placed] = []
        self.widest = 0  # bits of an ap_int
        for cursor in self._unit.cursor.get_children():
            if Path(str(cursor.location.file)).parent != lint:
                self._visit(cursor, _At())
            elif kind(cursor) == "ENUM_DECL":
                self.widest = next(cursor.get_children()).enum_value

    def of(self, *kinds: str) -> list[Cursor]:
        """Return all cursors of some kinds."""
        return [cursor for name in kinds for cursor in self._by_kind.get(name, ())]

    def errors(self) -> Iterator[tuple[str, int, str]]:
        """Yield (path, line, text) of what Clang refuses."""
        for message in self._unit.diagnostics:
            if message.severity >= 3:  # the least that is an error
                yield (*self.place(message), message.spelling)

    def place(self, cursor: Cursor) -> tuple[str, int]:
        """Return file, below the rendered folder where it is in there, and line."""
        path = Path(str(cursor.location.file))
        inside = path.is_relative_to(self._root)
        return (path.relative_to(self._root) if inside else path).as_posix(), cursor.location.line

    def pragma_at(self, path: str, line: int) -> Pragma | None:
        """Return the pragma in a line of a file."""
        return next((p for p in self._pragmas if (p.path, p.line) == (path, line)), None)

    @cached_property
    def top(self) -> Function:
        """The one function that top.cpp defines."""
        main = self._unit.spelling
        for function in self.functions:
            if str(function.cursor.location.file) == main:
                return function
        raise UsageError(f"{main} defines no function; the top function must be there")

    @cached_property
    def _by_spot(self) -> dict[tuple[str, int], Function]:
        return {_spot(f.cursor): f for f in self.functions}

    def callees(self, cursor: Cursor) -> list[Function]:
        """Functions of the kernel that a call may mean; where a template decides, by name."""
        if cursor.referenced is not None:
            at = _spot(cursor.referenced.get_definition() or cursor.referenced)
            return [self._by_spot[at]] if at in self._by_spot else []
        names = {c.spelling for c in cursor.walk_preorder() if kind(c) == "OVERLOADED_DECL_REF"}
        return [f for f in self.functions if f.name in names]

    def _visit(self, cursor: Cursor, at: _At) -> None:
        what = kind(cursor)
        self._by_kind.setdefault(what, []).append(cursor)
        if what == "ENUM_DECL" and self._note_pragma(cursor, at):
            return
        children, body = list(cursor.get_children()), None
        if what in _FUNCTIONS and cursor.is_definition():
            body = Loop(cursor)
            function = Function(cursor, body)
            self.functions.append(function)
            at = _At(function, body)
        elif what in _LOOPS and at.function:
            body = Loop(cursor, at.labelled, at.loop)
            at.function.loops.append(body)
            at = _At(at.function, body)
        elif what == "CALL_EXPR" and at.function and at.loop:
            at.function.calls.append((cursor, at.loop))
        if body and children and kind(children[-1]) == "COMPOUND_STMT":
            for statement in children.pop().get_children():
                self._visit(statement, at._replace(directly=True))
        at = at._replace(
            labelled=what == "LABEL_STMT", directly=at.directly and what == "DECL_STMT"
        )
        for child in children:
            self._visit(child, at)

    def _note_pragma(self, cursor: Cursor, at: _At) -> bool:
        constants = list(cursor.get_children())
        found = constants and re.fullmatch(pragmas.MARK + r"(\d+)", constants[0].spelling)
        if not found:
            return False
        pragma = self._pragmas[int(found[1])]
        values = {c.spelling[len(found[0]) + 1 :]: c for c in constants[1:]}
        where = "namespace"
        if at.function:
            body = FUNCTION if at.loop is at.function.body else LOOP
            where = body if at.directly else ANYWHERE
        placed = Placed(
            pragma,
            where,
            at.function,
            at.loop,
            {option: values[option].enum_value for option, _, _ in pragma.numbers()},
            {option: declared(values[option]) for option, _ in pragma.names()},
        )
        self.pragmas.append(placed)
        if at.function and at.loop:
            at.function.pragmas.append(placed)
            if at.directly:
                at.loop.pragmas.append(placed)
        return True


def kind(cursor: Cursor) -> str:
    """Name of a cursor's kind; a newer compiler's kinds have none."""
    try:
        return str(cursor.kind.name)
    except ValueError:
        return ""


def is_constexpr(cursor: Cursor) -> bool:
    """Whether a function or a variable is declared constexpr."""
    for token in cursor.get_tokens():
        if token.spelling in ("constexpr", "(", "=", "{", ";"):
            return bool(token.spelling == "constexpr")
    return False


def declared(cursor: Cursor) -> Cursor | None:
    """Return the declaration that the last name in an expression means."""
    names = [c for c in cursor.walk_preorder() if kind(c) in ("DECL_REF_EXPR", "MEMBER_REF_EXPR")]
    return names[0].referenced if names else None  # `next.of` has the member outermost


def _spot(cursor: Cursor) -> tuple[str, int]:
    return str(cursor.location.file), cursor.location.offset
