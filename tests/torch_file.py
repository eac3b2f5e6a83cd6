"""Writes tensors as ``torch.save`` does, without torch, and pickles that no torch would write."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

STORAGES = {"e": "Half", "f": "Float", "d": "Double", "b": "Char", "l": "Long", "H": "BFloat16"}
DICTIONARY = b"ccollections\nOrderedDict\n)R"


def text(value: str) -> bytes:
    """Return the instruction for a text."""
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def whole(*values: int) -> bytes:
    """Return the instructions for a tuple of whole numbers."""
    return b"(" + b"".join(b"J" + value.to_bytes(4, "little") for value in values) + b"t"


def storage(key: str, kind: str, size: int) -> bytes:
    """Return the instructions for a storage."""
    place = text(key) + text("cpu") + b"J" + size.to_bytes(4, "little")
    return b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + place + b"tQ"


def tensor(of: bytes, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Return the instructions for a tensor of a storage."""
    place = b"J" + offset.to_bytes(4, "little") + whole(*shape) + whole(*strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + of + place + b"\x89" + DICTIONARY + b"tR"


def pickled(entries: Mapping[str, bytes]) -> bytes:
    """Return a pickle of a dictionary of what instructions make."""
    items = b"".join(text(name) + made for name, made in entries.items())
    return b"\x80\x02" + DICTIONARY + b"(" + items + b"u."


def archive(path: Path, data: bytes, order: str = "little", **storages: bytes) -> Path:
    """Write the archive that a file is since PyTorch 1.6."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("m/data.pkl", data)
        file.writestr("m/byteorder", order)
        for key, held in storages.items():
            file.writestr(f"m/data/{key.removeprefix('_')}", held)
    return path


def save(path: Path, tensors: Mapping[str, np.ndarray], row: bool = False) -> Path:
    """Write tensors, which may be views, one storage each.

    Args:
        path: of the file.
        tensors: uint16 are taken for bfloat16.
        row: write the row of pickles that a file was before PyTorch 1.6.
    """
    entries, storages = {}, {}
    for key, (name, value) in enumerate(tensors.items()):
        base = value if value.base is None else value.base
        assert isinstance(base, np.ndarray)
        offset = (value.ctypes.data - base.ctypes.data) // base.itemsize
        strides = tuple(step // base.itemsize for step in value.strides)
        of = storage(str(key), STORAGES[base.dtype.char], base.size)
        entries[name] = tensor(of, offset, value.shape, strides)
        storages[str(key)] = base.tobytes("K")
    if not row:
        return archive(path, pickled(entries), **{f"_{key}": v for key, v in storages.items()})
    keys = b"\x80\x02(" + b"".join(map(text, storages)) + b"l."
    leading = b"\x80\x02J\x01\0\0\0." * 3
    sizes = (t.size if t.base is None else t.base.size for t in tensors.values())
    held = b"".join(n.to_bytes(8, "little") + v for n, v in zip(sizes, storages.values()))
    path.write_bytes(leading + pickled(entries) + keys + held)
    return path
