"""Where the fields of C++ records lie, as clang tells (``-fdump-record-layouts-canonical``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from lstm_sharp.errors import UsageError

FLAGS = ("-Xclang", "-fdump-record-layouts-complete", "-Xclang", "-fdump-record-layouts-canonical")

_LINE = re.compile(r" *(\d+) \|( +)(.*)")
_SIZE = re.compile(r" *\| \[sizeof=(\d+),")
_ARRAY = re.compile(r"(.*?)((?:\[\d+\])+)$")
_BYTES = {"_Bool": 1, "bool": 1, "char": 1, "short": 2, "int": 4, "long": 8, "long long": 8}
_WRAPPERS = (".value", ".byte")
"""Members that a number or a beat consists of alone: the field has its name without them."""


class Field(NamedTuple):
    """A scalar; its name has no indices."""

    name: str
    offset: int
    size: int


class Array(NamedTuple):
    """One dimension of an array; an array of arrays is also one for each of its rows."""

    start: int
    stride: int
    length: int


@dataclass(frozen=True)
class Layout:
    """A record's bytes, its scalars in the order of their places, and its arrays."""

    size: int
    fields: tuple[Field, ...]
    arrays: tuple[Array, ...]


class Layouts:
    """All records of a translation unit, from what clang printed."""

    def __init__(self, dump: str) -> None:
        self._lines: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        for block in dump.split("*** Dumping AST Record Layout\n")[1:]:
            lines = [line for line in block.splitlines() if "|" in line]
            kind = re.sub(r" \(empty\)$", "", lines[0].partition("|")[2].strip())
            self._lines[kind] = lines
            (size,) = (found[1] for line in lines if (found := _SIZE.match(line)))
            self._sizes[kind] = int(size)

    def of(self, name: str) -> Layout:
        """Return the layout of a structure.

        Raises:
            UsageError: there is none of that name.
        """
        kind = f"struct {name}"
        if kind not in self._lines:
            raise UsageError(f"clang has laid out no {kind}")
        fields: list[Field] = []
        arrays: list[Array] = []
        self._walk(kind, 0, "", fields, arrays)
        return Layout(
            self._sizes[kind], tuple(sorted(fields, key=lambda f: f.offset)), tuple(arrays)
        )

    def _walk(
        self, kind: str, base: int, name: str, fields: list[Field], arrays: list[Array]
    ) -> None:
        if kind not in self._lines:
            for wrapper in _WRAPPERS:
                name = name.removesuffix(wrapper)
            fields.append(Field(name, base, _bytes(kind)))
            return
        for line in self._lines[kind][1:]:
            found = _LINE.match(line)
            if not found or len(found[2]) != 3:  # deeper ones are walked with their own record
                continue
            kind_and_name = re.sub(r" \((base|primary base|empty)\)", "", found[3])
            member, _, label = kind_and_name.rpartition(" ")
            if "(base)" in found[3]:
                member, label = kind_and_name, ""
            self._member(member, base + int(found[1]), f"{name}.{label}".strip("."), fields, arrays)

    def _member(
        self, kind: str, start: int, name: str, fields: list[Field], arrays: list[Array]
    ) -> None:
        found = _ARRAY.match(kind)
        if not found:
            self._walk(kind, start, name, fields, arrays)
            return
        kind = found[1].strip()
        counts = [int(count) for count in re.findall(r"\d+", found[2])]
        size = self._sizes[kind] if kind in self._sizes else _bytes(kind)
        whole = size * prod(counts)
        stride = size
        for count in reversed(counts):
            row = stride * count
            arrays.extend(Array(at, stride, count) for at in range(start, start + whole, row))
            stride = row
        for at in range(start, start + whole, size):
            self._walk(kind, at, name, fields, arrays)


def _bytes(kind: str) -> int:
    if found := re.search(r"_BitInt\((\d+)\)", kind):
        size = 1
        while 8 * size < int(found[1]):
            size *= 2
        return size
    plain = re.sub(r"^(const |unsigned |signed )+", "", kind.strip())
    if plain not in _BYTES:
        raise UsageError(f"the type {kind} of a field is not known here")
    return _BYTES[plain]
