"""A program of its own: the contents of the HDF5 file on standard input, as JSON.

The HDF5 library is known to hang and to crash on damaged files, so it is asked in a process that
may; and for no more than where arrays lie. Arguments: seconds that it may compute; where Python
finds h5py.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

MOST = 1 << 14
"""Groups and arrays, each counted as often as links lead to it."""
_TEXTS = ("model_config", "weight_names", "name", "dtype")
"""Attributes that are looked at."""


def contents(data: bytes) -> dict[str, Any]:
    """List what hard links lead to: other kinds of links leave the file, or repeat what is in it.

    Returns:
        ``arrays``: of each its type as NumPy writes it, shape and place in the file, or in a text
        why it has no one place; ``texts``: attributes of each group and array, lists of strings.
    """
    import h5py

    arrays: dict[str, Any] = {}
    texts: dict[str, dict[str, list[str]]] = {}
    count = 0

    def add(path: str, value: Any) -> None:
        nonlocal count
        count += 1
        if count > MOST or len(path) > 1000:
            raise ValueError(f"more than {MOST} entries, or a ring of them")
        found = {name: strings(value, name) for name in _TEXTS if name in value.attrs}
        if found:
            texts[path] = found
        if isinstance(value, h5py.Dataset):
            arrays[path] = place(value)
        elif isinstance(value, h5py.Group):
            for name in value:
                if isinstance(value.get(name, getlink=True), h5py.HardLink):
                    add(f"{path}/{name}".lstrip("/"), value[name])

    def strings(value: Any, name: str) -> list[str]:
        found = h5py.h5a.open(value.id, name.encode())
        if h5py.check_string_dtype(found.dtype) is None:
            return []
        held = value.attrs[name]
        return [
            text.decode() if isinstance(text, bytes) else str(text)
            for text in (held.ravel().tolist() if hasattr(held, "ravel") else [held])
        ]

    def place(value: Any) -> Any:
        made = value.id.get_create_plist()
        if made.get_layout() != h5py.h5d.CONTIGUOUS or made.get_external_count():
            return "is packed, or lies elsewhere"
        offset = value.id.get_offset()
        return "has no data" if offset is None else [value.dtype.str, list(value.shape), offset]

    with h5py.File(io.BytesIO(data), "r") as file:
        add("", file)
    return {"arrays": arrays, "texts": texts}


if __name__ == "__main__":
    seconds, *sys.path[:] = sys.argv[1:]
    given = sys.stdin.buffer.read()
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, ((1 << 30) + len(given),) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds),) * 2)
    try:
        print(json.dumps(contents(given)))
    except Exception as error:  # what damaged data make the library raise
        sys.exit(str(error) or type(error).__name__)
