"""The kernel's C++ as libclang reads it, with the headers of ``STUBS`` in place of all others.

Those declare what the kernel takes of the vendor's and the standard library's headers: what is not
in them is not for synthesis.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lstm_sharp import paths
from lstm_sharp.errors import ToolError

STUBS = Path(__file__).with_name("vitis")
Cursor = Any  # clang.cindex has no types


def parse(source: Path, hls: Path, *flags: str, texts: tuple[tuple[str, str], ...] = ()) -> Any:
    """Parse a source that includes the kernel.

    Args:
        source: the file.
        hls: folder of the rendered kernel.
        flags: more for Clang.
        texts: name and text of files that are other than they lie there.

    Raises:
        ToolError: libclang is not installed.
    """
    try:
        from clang import cindex
    except ImportError:
        raise ToolError("libclang is missing; install it with: pip install libclang") from None
    folders = (STUBS / "std", STUBS, paths.hardware() / "tb" / "vitis", hls)
    alone = ("-std=c++14", "-nostdinc", "-nostdinc++", "-Wno-bit-int-extension")
    return cindex.Index.create().parse(
        str(source), [*alone, *flags, *(f"-I{folder}" for folder in folders)], list(texts)
    )


def kind(cursor: Cursor) -> str:
    """Name of a cursor's kind; a newer compiler's kinds have none."""
    try:
        return str(cursor.kind.name)
    except ValueError:
        return ""


class Field(NamedTuple):
    """A scalar of a record; its name has no indices."""

    name: str
    offset: int
    size: int  # bytes, as the offset
    is_bool: bool = False


class Layout(NamedTuple):
    """A record's bytes, and its scalars in the order of their places."""

    size: int
    fields: tuple[Field, ...]


def layout(record: Any) -> Layout:
    """Tell where the fields of a type lie."""
    return Layout(record.get_size(), tuple(_fields(record, 0, "")))


def _fields(what: Any, base: int, name: str) -> Iterator[Field]:
    what = what.get_canonical()
    if what.kind.name == "CONSTANTARRAY":
        for at in range(what.element_count):
            yield from _fields(what.element_type, base + at * what.element_type.get_size(), name)
    elif what.kind.name == "RECORD":
        for member in what.get_fields():
            # A number consists of its value alone, and the field has its name without that.
            full = name if member.spelling == "value" else f"{name}.{member.spelling}".strip(".")
            yield from _fields(member.type, base + member.get_field_offsetof() // 8, full)
    else:
        yield Field(name, base, what.get_size(), what.kind.name == "BOOL")
