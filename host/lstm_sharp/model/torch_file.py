"""Tensors of what ``torch.save`` and ``torch.jit.save`` write, without PyTorch.

Such a file has a pickle: a program that makes objects and calls what it names. Here it is read as
data: its instructions only say what would be made of what, and nothing is imported, made or called.
"""

from __future__ import annotations

import io
import os
import pickletools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import IO, Any

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.arrays import Tensors
from lstm_sharp.files import Name, refusing

MOST = 1 << 21
"""Instructions of a pickle, and entries, each counted as often as others lead to it."""
_TYPES = {
    "Half": "<f2",
    "BFloat16": "<u2",
    "Float": "<f4",
    "Double": "<f8",
    "Bool": "|b1",
    "Byte": "|u1",
    "Char": "|i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
}
"""How NumPy writes the types of storages."""
_LEADING = 3
"""Pickles before that of the tensors in files of PyTorch before 1.6: magic, version, system."""
_LINE = 1 << 16
"""Most bytes of a name or number in a pickle that are ended by a new line."""
_TRANSPARENT = ("_parameters", "_buffers", "_modules")
"""What a module keeps its parts in, which their names do not tell."""
_REFUSED = ("EXT1", "EXT2", "EXT4", "INST", "OBJ", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER")
"""Instructions that PyTorch does not write."""
_AXES = 8
"""Most of a tensor."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclass(eq=False, repr=False, slots=True)
class _Told:
    """What would be made: by a call of a name, or as an object of a class with a state."""

    name: str
    given: Any = ()
    items: list[tuple[Any, Any]] = field(default_factory=list)  # of a dictionary, or attributes


_Storages = Mapping[Any, Callable[[], bytes]]


@contextmanager
def open_torch(path: Name) -> Iterator[Tensors]:
    """Open a file of PyTorch: a state_dict, a checkpoint that has one in it, or a whole module.

    Yields:
        Its tensors, to be read before it closes, by the names of what they lie in, joined by dots:
        float64, float32, float16 or integers as stored, bfloat16 as float32.

    Raises:
        UsageError: missing, too large, or damaged; of a tensor, when it is read.
    """
    what, remedy = os.path.basename(path), "save the state_dict again"
    with files.opened(path) as (file, size):
        with refusing(f"{what} cannot be read as a file of PyTorch", remedy):
            packed = zipfile.is_zipfile(file)
            value, storages = _archive(file, size, what) if packed else _row(file, size)
            found = dict(_tensors(value, "", iter(range(MOST))))

        def read(name: str) -> np.ndarray:
            with refusing(f"{what}: {name} cannot be read", remedy):
                return _read(found[name], storages)

        yield {name: partial(read, name) for name in found}


def _archive(file: IO[bytes], size: int, what: str) -> tuple[Any, _Storages]:
    """Read the zip archive that it is since PyTorch 1.6."""
    archive = zipfile.ZipFile(file)
    members = {info.filename: info for info in arrays.members(archive, size, what, "")}
    names = [name for name in members if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise ValueError(f"{len(names)} of its members are a data.pkl")
    place = names[0].removesuffix("data.pkl")
    if f"{place}byteorder" in members and archive.read(f"{place}byteorder") != b"little":
        raise ValueError("its numbers begin with the highest byte")
    own = f"{place}data/"
    storages = {m.removeprefix(own): partial(archive.read, m) for m in members}
    return _unpickled(io.BytesIO(archive.read(names[0])))[0], storages


class _Within:
    """A file that is asked for no more than it has: room is made for whatever is asked for."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.tell, self.readline = file.tell, partial(file.readline, _LINE)
        self.read = lambda count: file.read(min(count, size - file.tell()))


def _row(file: IO[bytes], size: int) -> tuple[Any, _Storages]:
    """Read the row of pickles that it was before, with the storages behind them."""
    file.seek(0)
    within = _Within(file, size)
    for _ in range(_LEADING):
        _unpickled(within)
    value, told = _unpickled(within)
    types = {of.given[2]: _type(of) for of in told}
    storages: dict[Any, Callable[[], bytes]] = {}

    def read(start: int, count: int) -> bytes:
        file.seek(start)
        return file.read(count)

    for key in _unpickled(within)[0]:
        count = int.from_bytes(file.read(8), "little") * types[key].itemsize
        if file.tell() + count > size:
            raise ValueError(f"storage {key} ends behind the file, which is cut short")
        storages[key] = partial(read, file.tell(), count)
        file.seek(count, os.SEEK_CUR)
    return value, storages


def _unpickled(file: Any) -> tuple[Any, list[_Told]]:
    """Follow a pickle as data up to its end; return what it tells, and all storages in it."""
    storages: list[_Told] = []
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def marked() -> list[Any]:
        at = marks.pop()
        top = stack[at:]
        del stack[at:]
        return top

    arg: Any
    for step, (op, arg, _) in enumerate(pickletools.genops(file)):
        if step == MOST or op.name in _REFUSED:
            raise ValueError(f"its pickle has {op.name} at step {step:,}")
        match op.name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                marked()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[int(arg)] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[int(arg)])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(_CONSTANTS[op.name])
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(op.name[-1])
                stack[-count:] = [stack[-count:]]
            case "TUPLE" | "LIST" | "FROZENSET":
                stack.append(marked())
            case "APPEND":
                added = stack.pop()
                _into(stack[-1], [added])
            case "APPENDS" | "ADDITEMS":
                added = marked()
                _into(stack[-1], added)
            case "EMPTY_DICT":
                stack.append(_Told("dict"))
            case "DICT":
                added = marked()
                stack.append(_Told("dict", items=list(zip(added[::2], added[1::2]))))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1].items.append((key, value))
            case "SETITEMS":
                added = marked()
                stack[-1].items += zip(added[::2], added[1::2])
            case "GLOBAL":
                stack.append(_Told(arg))
            case "STACK_GLOBAL":
                stack[-2:] = [_Told(" ".join(stack[-2:]))]
            case "REDUCE" | "NEWOBJ":
                given, made = stack.pop(), stack.pop()
                stack.append(_Told(made.name, given))
            case "NEWOBJ_EX":
                _, given, made = stack.pop(), stack.pop(), stack.pop()
                stack.append(_Told(made.name, given))
            case "BUILD":
                state = stack.pop()
                stack[-1].items += getattr(state, "items", ())
            case "BINPERSID":
                storages.append(_Told("storage", stack.pop()))
                stack.append(storages[-1])
            case _:  # a number or a text
                stack.append(arg)
    return stack.pop(), storages


def _into(target: Any, added: list[Any]) -> None:
    if isinstance(target, list):  # else a list of a class of its own
        target += added


def _tensors(value: Any, prefix: str, left: Iterator[int]) -> Iterator[tuple[str, _Told]]:
    """Yield the tensors in dictionaries and modules, by name."""
    for key, item in getattr(value, "items", ()):
        if next(left, None) is None:
            raise ValueError(f"more than {MOST} entries, or a ring of them")
        name = prefix if key in _TRANSPARENT else f"{prefix}{key}."
        if not isinstance(item, _Told) or not isinstance(key, str | int):
            continue
        if item.name == "torch._utils _rebuild_parameter":
            item = item.given[0]
        if item.name.startswith("torch._utils _rebuild_tensor"):
            yield name[:-1], item
        else:
            yield from _tensors(item, name, left)


def _type(storage: _Told) -> np.dtype[Any]:
    name = storage.given[1].name.rpartition(" ")[2].removesuffix("Storage")
    if name not in _TYPES:
        raise ValueError(f"it is {name}, not one of {', '.join(_TYPES)}")
    return np.dtype(_TYPES[name])


def _read(tensor: _Told, storages: _Storages) -> np.ndarray:
    """Return a tensor, which is some places of a storage."""
    of, offset, shape, strides = tensor.given[:4]
    dtype = _type(of)
    storage = np.frombuffer(storages[of.given[2]](), dtype)
    numbers = (offset, *shape, *strides)
    if {*map(type, numbers)} != {int} or not 0 <= min(numbers) <= max(numbers) < 1 << 48:
        raise ValueError("its shape and strides are no whole numbers")
    if len(shape) != len(strides) or len(shape) > _AXES:
        raise ValueError(f"it has {len(shape)} axes and {len(strides)} strides")
    last = offset + sum((count - 1) * stride for count, stride in zip(shape, strides))
    if prod(shape) and max(last + 1, prod(shape)) > storage.size:
        raise ValueError(
            f"shape {shape} with strides {strides} from {offset} on is more than the "
            f"{storage.size} numbers that there are"
        )
    steps = [stride * dtype.itemsize for stride in strides]
    value = np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False)
    return arrays.bfloat16(value) if dtype == _TYPES["BFloat16"] else value
