"""Arrays in files that a user gives: .npy, .npz and .safetensors.

The files may be damaged or made to do harm. So every size in a header is held against the bytes
that are there before memory is taken for it, nothing is unpickled, and whatever a library
underneath raises becomes one sentence. Needs NumPy alone.
"""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from math import prod
from typing import IO, Any

import numpy as np

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from lstm_sharp.files import Name, refusing

Tensors = Mapping[str, Callable[[], np.ndarray]]
"""Arrays of a file by name, each read when it is called: odd ones beside the LSTM do no harm."""

_HEADERS = {
    1: np.lib.format.read_array_header_1_0,
    2: np.lib.format.read_array_header_2_0,
    3: np.lib.format.read_array_header_2_0,  # differs in names of fields alone, which are refused
}
_MAKES = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}
"""Bytes that are made of one at most, by how it is packed."""
_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_npy(path: Name, kinds: str = "fiu") -> np.ndarray:
    """Read a .npy file of numbers.

    Args:
        path: its name.
        kinds: of NumPy's types, those that are read.

    Raises:
        UsageError: missing, too large, damaged, or not an array of numbers.
    """
    what = f"{os.fspath(path)} is no .npy array"
    with files.opened(path) as (file, size), refusing(what, "write it with numpy.save as float32"):
        return _npy(file, size, kinds)


@contextmanager
def open_npz(source: Name | bytes, what: str = "") -> Iterator[Tensors]:
    """Open an .npz archive, or one that has been read already.

    Args:
        source: its name, or the whole of it.
        what: how an error calls it; by default by its name.

    Yields:
        Its arrays, to be read before it closes.

    Raises:
        UsageError: missing, too large once inflated, or damaged; of an array, when it is read.
    """
    if isinstance(source, bytes):
        whole: Any = nullcontext((io.BytesIO(source), len(source)))
    else:
        whole, what = files.opened(source), what or os.fspath(source)
    remedy = "save the tensors by name with numpy.savez"
    with whole as (file, size):
        with refusing(f"{what} cannot be read as .npz", remedy):
            archive = zipfile.ZipFile(file)
            infos = members(archive, size, what, ".npy")

        def read(info: zipfile.ZipInfo) -> np.ndarray:
            cannot = refusing(f"{what}: tensor {info.filename[:-4]} cannot be read", remedy)
            with cannot, archive.open(info) as member:
                return _npy(member, info.file_size)

        with archive:
            yield {info.filename[:-4]: partial(read, info) for info in infos}


def read_members(path: Name, *names: str) -> dict[str, bytes]:
    """Read members of a zip archive, those of these names that it has.

    Raises:
        UsageError: missing, too large once inflated, or damaged.
    """
    what = os.fspath(path)
    with (
        files.opened(path) as (file, size),
        refusing(f"{what} is no whole zip archive", "save it again"),
        zipfile.ZipFile(file) as archive,
    ):
        infos = members(archive, size, what, names)
        return {i.filename: archive.read(i) for i in infos if i.filename in names}


def members(
    archive: zipfile.ZipFile, size: int, what: str, ends: str | tuple[str, ...]
) -> list[zipfile.ZipInfo]:
    """Return the members whose names end so, of an archive of ``size`` bytes that may lie.

    Raises:
        UsageError: they are too large.
        ValueError: they cannot be what they say.
    """
    infos = [info for info in archive.infolist() if info.filename.endswith(ends)]
    for info in infos:
        name, packed, method = info.filename, info.compress_size, info.compress_type
        if method not in _MAKES:
            raise ValueError(f"{name} is packed by method {method}")
        if info.file_size > min(packed, size) * _MAKES[method]:
            raise ValueError(f"{name} is to make {info.file_size} bytes of {packed}")
    for name, count in Counter(info.filename for info in infos).items():
        if count > 1:
            raise ValueError(f"{count} members have the name {name}")
    files.check_size(sum(info.file_size for info in infos), f"{what}, unpacked,")
    return infos


def read_npz(path: Name, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of an .npz archive, by their names or all.

    Raises:
        UsageError: as ``open_npz``.
    """
    with open_npz(path) as tensors:
        return {name: tensors[name]() for name in names or tensors}


def read_state(path: Name) -> tuple[np.ndarray, np.ndarray]:
    """Read h and c from an .npz file.

    Raises:
        UsageError: as ``open_npz``, or it has no h or no c.
    """
    with open_npz(path) as held:
        missing = sorted({"h", "c"} - held.keys())
        if missing:
            raise UsageError(
                f"{os.fspath(path)} lacks {' and '.join(missing)}; it has "
                f"{', '.join(held) or 'nothing'}; write it with numpy.savez(h=..., c=...)"
            )
        return held["h"](), held["c"]()


def _npy(file: IO[bytes], size: int, kinds: str = "fiu") -> np.ndarray:
    """Read an array and the header before it, which are all of a stream of ``size`` bytes."""
    version = np.lib.format.read_magic(file)[0]
    if version not in _HEADERS:
        raise ValueError(f"it has version {version}, 1 to 3 are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of literals that only an older Python reads, or none
            shape, in_columns, dtype = _HEADERS[version](file)
    except Exception:  # it is Python that is parsed
        raise ValueError("its header is not that of an array of numbers") from None
    if dtype.kind not in kinds or dtype.itemsize > 8:
        raise ValueError(f"it has type {dtype}; float16, float32, float64 or integers are read")
    here, takes = size - file.tell(), prod(shape) * dtype.itemsize
    if takes != here:
        raise ValueError(f"{here} bytes, but {dtype} of shape {shape} takes {takes}")
    data = bytearray(takes)
    if file.readinto(data) != takes:  # type: ignore[attr-defined]
        raise ValueError(f"it does not have the {takes} bytes that it should")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if in_columns else "C")


def bfloat16(value: np.ndarray) -> np.ndarray:
    """Return what uint16 mean as bfloat16, the upper halves of float32."""
    return (value.astype(np.uint32) << 16).view(np.float32)


@contextmanager
def open_safetensors(path: Name) -> Iterator[Tensors]:
    """Open a .safetensors file.

    It is a little-endian uint64 length, that many bytes of JSON (name to dtype, shape and byte
    range), and the data that the ranges count from. The package's own NumPy reader refuses
    bfloat16.

    Yields:
        Its tensors, to be read before it closes: float64, float32 or float16 as stored, bfloat16
        as float32.

    Raises:
        UsageError: missing, too large, or damaged; of a tensor that is no float, when it is read.
    """
    what, remedy = os.path.basename(path), "save the float weights again"
    with files.opened(path) as (file, size):
        with refusing(f"{what} cannot be read as .safetensors", remedy):
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, files.JSON_BYTES):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = files.parse_json(file.read(length), f"{what}: its header")
            header.pop("__metadata__", None)
            start, last = 8 + length, 0
            for name, entry in header.items():
                try:
                    numbers = (*entry["data_offsets"], *entry["shape"], len(entry["data_offsets"]))
                except (TypeError, KeyError):
                    numbers = ()
                if not numbers or {*map(type, numbers)} != {int} or numbers[-1] != 2:
                    raise ValueError(f"{name} has no shape and range of bytes")
            for name in sorted(header, key=lambda name: header[name]["data_offsets"]):
                begin, end = header[name]["data_offsets"]
                if not last <= begin <= end <= size - start:
                    raise ValueError(
                        f"{name} lies in bytes {begin} to {end}, {last} to {size - start} are "
                        "free: it is cut short or damaged"
                    )
                last = end

        def read(name: str) -> np.ndarray:
            with refusing(f"{what}: {name} cannot be read", remedy):
                dtype, shape = header[name]["dtype"], header[name]["shape"]
                if dtype not in _SAFETENSORS:
                    raise ValueError(f"it is {dtype}, not one of {', '.join(_SAFETENSORS)}")
                begin, end = header[name]["data_offsets"]
                file.seek(start + begin)
                value = np.frombuffer(file.read(end - begin), _SAFETENSORS[dtype])
                if value.size != prod(shape):
                    raise ValueError(f"{end - begin} bytes are not {dtype} of shape {shape}")
                return (bfloat16(value) if dtype == "BF16" else value).reshape(shape)

        yield {name: partial(read, name) for name in header}
