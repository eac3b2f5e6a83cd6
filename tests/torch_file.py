"""Reads tensors of what torch.save wrote, without torch.

Nothing in such a file is called: names other than those of tensors are refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {"HalfStorage": "<f2", "FloatStorage": "<f4", "DoubleStorage": "<f8", "LongStorage": "<i8"}
_LEADING = 3
"""Pickles before the data in a file of the form before torch 1.6: magic number, version, system."""


def read(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors of nested dictionaries, by their keys joined with dots.

    Args:
        path: a zip archive, as torch.save writes since 1.6, or a row of pickles, as before.

    Raises:
        pickle.UnpicklingError: the file asks for more than tensors, as a whole module does.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
            unpickler = _Unpickler(io.BytesIO(archive.read(name)))
            tensors = dict(_tensors(unpickler.load()))
            for key, storage in unpickler.storages.items():
                data = archive.read(name.replace("data.pkl", f"data/{key}"))
                storage[:] = np.frombuffer(data, storage.dtype)
        return tensors
    with path.open("rb") as file:
        for _ in range(_LEADING):
            _Unpickler(file).load()
        unpickler = _Unpickler(file)
        tensors = dict(_tensors(unpickler.load()))
        for key in _Unpickler(file).load():
            storage = unpickler.storages[key]
            if int.from_bytes(file.read(8), "little") != storage.size:
                raise pickle.UnpicklingError(f"{path.name}: storage {key} has another size")
            storage[:] = np.frombuffer(file.read(storage.nbytes), storage.dtype)
    return tensors


class _Unpickler(pickle.Unpickler):
    """Makes tensors that are views of storages, which are filled afterwards."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a tensor")

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, dtype, key, _, size = pid[:5]
        return self.storages.setdefault(key, np.zeros(size, dtype))


def _view(storage: np.ndarray, offset: int, shape: Any, strides: Any, *_: Any) -> np.ndarray:
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


def _tensors(value: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _tensors(item, f"{prefix}{key}.")
        elif isinstance(item, np.ndarray):
            yield f"{prefix}{key}", item
