"""Arrays and models in files that a user gives: .npy, .npz, .safetensors and ONNX.

The files may be damaged or made to do harm. So a header is read by a parser of its own, every size
in it is held against the bytes that are there before memory is taken for it, and whatever a
library underneath raises becomes one sentence. Needs NumPy alone, but for ONNX.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from lstm_sharp import files
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.files import Name, refusing

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto, ValueInfoProto

_DTYPE = re.compile(r"[<>|=]?(f[248]|[iu][1248])")
_ITEM = (
    r"(?:'(descr)': ?'([^']{1,16})'|'(fortran_order)': ?(True|False)|"
    r"'(shape)': ?\(([0-9, ]*)\))"
)
_HEADER = re.compile(rf"\{{{_ITEM}, ?{_ITEM}, ?{_ITEM},? ?\}}")
"""What ``numpy.save`` writes for an array without fields, its three items in any order."""
_HEADER_BYTES = 10_000
_CHUNK = 1 << 20
_INFLATES = 1032
"""Bytes that deflate makes of one byte at most."""

_SAFETENSORS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

_ODD_BITS = {
    **dict.fromkeys(("INT4", "UINT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("INT2", "UINT2"), 2),
    **dict.fromkeys(("FLOAT6E2M3", "FLOAT6E3M2"), 6),
}
"""ONNX types whose elements share bytes."""
_MOST_FIXED = 1 << 26
"""Elements of a tensor whose shape an ONNX file fixes: the importer tries such a shape out."""
_MOST_NODES = 1 << 20
"""Of an ONNX graph once its functions are put in place."""


class Tensors(Mapping[str, np.ndarray]):
    """Arrays of a file by name, each read when asked for: odd ones beside the LSTM do no harm."""

    def __init__(self, names: list[str], read: Callable[[str], np.ndarray]) -> None:
        self._names, self._read = names, read

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)


def read_npy(path: Name) -> np.ndarray:
    """Read a .npy file of numbers.

    Raises:
        UsageError: missing, too large, damaged, or not an array of numbers.
    """
    remedy = "write it with numpy.save as float32"
    what = f"{os.fspath(path)} is no .npy array"
    with files.opened(path) as (file, size), refusing(what, remedy):
        return _npy(file, size)


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
        with _opened_npz(io.BytesIO(source), len(source), what) as tensors:
            yield tensors
    else:
        with (
            files.opened(source) as (file, size),
            _opened_npz(file, size, what or os.fspath(source)) as tensors,
        ):
            yield tensors


def read_npz(path: Name, *names: str) -> dict[str, np.ndarray]:
    """Read arrays of an .npz archive, by their names or all.

    Raises:
        UsageError: as ``open_npz``.
    """
    with open_npz(path) as tensors:
        return {name: tensors[name] for name in names or tensors}


def read_state(path: Name) -> tuple[np.ndarray, np.ndarray]:
    """Read h and c from an .npz file.

    Raises:
        UsageError: as ``open_npz``, or it has no h or no c.
    """
    with open_npz(path) as held:
        missing = {"h", "c"} - set(held)
        if missing:
            raise UsageError(
                f"{os.fspath(path)} lacks {' and '.join(sorted(missing))}; it has "
                f"{', '.join(held) or 'nothing'}; write it with numpy.savez(h=..., c=...)"
            )
        return held["h"], held["c"]


@contextmanager
def _opened_npz(file: BinaryIO, size: int, what: str) -> Iterator[Tensors]:
    remedy = "save the tensors by name with numpy.savez"
    with refusing(f"{what} cannot be read as .npz", remedy):
        archive = zipfile.ZipFile(file)
        infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        for name, count in Counter(info.filename for info in infos).items():
            if count > 1:
                raise ValueError(f"{count} members are called {name}")
        for info in infos:
            _check_member(info, size)
        files.check_size(sum(info.file_size for info in infos), f"{what}, unpacked,")
        members = {info.filename[:-4]: info for info in infos}

    def read(name: str) -> np.ndarray:
        cannot = refusing(f"{what}: tensor {name} cannot be read", remedy)
        with cannot, archive.open(members[name]) as member:
            return _npy(member, members[name].file_size)

    with archive:
        yield Tensors(list(members), read)


def _check_member(info: zipfile.ZipInfo, size: int) -> None:
    """Hold what a member says of itself against the file of so many bytes."""
    packed, whole = info.compress_size, info.file_size
    if info.flag_bits & 1:
        raise ValueError(f"member {info.filename} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"member {info.filename} is packed by method {info.compress_type}")
    most = packed * (_INFLATES if info.compress_type else 1)
    if packed > size or whole > most:
        raise ValueError(f"member {info.filename} is to make {whole} bytes of {packed}")


def _npy(file: IO[bytes], size: int) -> np.ndarray:
    """Read an array and the header before it, which are all of a stream of ``size`` bytes."""
    begin = file.read(8)
    if begin[:6] != b"\x93NUMPY" or len(begin) < 8 or begin[6] not in (1, 2, 3):
        raise ValueError("it does not begin as one does")
    digits = 2 if begin[6] == 1 else 4
    length = int.from_bytes(file.read(digits), "little")
    if length > _HEADER_BYTES:
        raise ValueError(f"a header of {length} bytes, at most {_HEADER_BYTES} are read")
    text = file.read(length).decode("utf-8" if begin[6] == 3 else "latin-1")
    found = _HEADER.fullmatch(text.strip())
    parts = [part for part in found.groups() if part is not None] if found else []
    facts = dict(zip(parts[::2], parts[1::2]))
    if len(facts) < 3:
        raise ValueError("its header is not that of an array of numbers")
    if not _DTYPE.fullmatch(facts["descr"]):
        raise ValueError(
            f"it has type {facts['descr']}; float16, float32, float64 or integers are read"
        )
    dtype, shape = np.dtype(facts["descr"]), _shape(facts["shape"])
    here = size - 8 - digits - length
    if prod(shape) * dtype.itemsize != here:
        raise ValueError(
            f"{here} bytes, but {dtype} of shape {shape} takes {prod(shape) * dtype.itemsize}"
        )
    value = np.empty(prod(shape), dtype)
    _fill(file, value)
    return value.reshape(shape, order="F" if facts["fortran_order"] == "True" else "C")


def _shape(text: str) -> tuple[int, ...]:
    """Read what stands between the brackets of a tuple of sizes."""
    sizes = [part.strip() for part in text.split(",")]
    if sizes[-1] == "" and sizes.pop() == "" and not sizes:
        return ()
    if "," not in text or len(sizes) > 32 or not all(s and len(s) < 20 for s in sizes):
        raise ValueError(f"its shape ({text[:80]}) is no tuple of sizes")
    return tuple(map(int, sizes))


def _fill(file: IO[bytes], value: np.ndarray) -> None:
    """Read as many bytes as an array takes, and no more than a piece of them twice."""
    left = memoryview(value.data).cast("B") if value.size else memoryview(b"")
    while left:
        part = file.read(min(len(left), _CHUNK))
        if not part:
            raise ValueError(f"cut short by {len(left)} bytes")
        left[: len(part)] = part
        left = left[len(part) :]
    if file.read(1):  # an archive's member tells only here whether its sum is right
        raise ValueError("bytes follow that belong to nothing")


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
    what = os.path.basename(path)
    with files.opened(path) as (file, size):
        with refusing(f"{what} cannot be read as .safetensors", "save it again"):
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, files.JSON_BYTES):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            header = files.parse_json(file.read(length), "its header")
            header.pop("__metadata__", None)
            start = 8 + length
            entries = {name: _entry(name, entry) for name, entry in header.items()}
            _check_ranges(entries, size - start)

        def read(name: str) -> np.ndarray:
            dtype, shape, begin, end = entries[name]
            if dtype not in _SAFETENSORS:
                raise UsageError(
                    f"{what}: {name} is {dtype}, not float; save the float weights as one of "
                    f"{', '.join(_SAFETENSORS)}"
                )
            with refusing(f"{what}: {name} cannot be read", "save it again"):
                kind = np.dtype(_SAFETENSORS[dtype])
                if prod(shape) * kind.itemsize != end - begin:
                    raise ValueError(
                        f"{end - begin} bytes, but {dtype} of shape {list(shape)} takes "
                        f"{prod(shape) * kind.itemsize}"
                    )
                file.seek(start + begin)
                value = np.frombuffer(file.read(end - begin), kind).reshape(shape)
                if dtype == "BF16":  # the upper half of a float32
                    value = (value.astype(np.uint32) << 16).view(np.float32)
                return value

        yield Tensors(list(entries), read)


_Entry = tuple[str, tuple[int, ...], int, int]
"""Type, shape, first byte and the one behind the last."""


def _entry(name: str, entry: Any) -> _Entry:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    if not (isinstance(dtype, str) and isinstance(shape, list) and whole):
        raise ValueError(f"{name} has no type, shape and range of bytes")
    return dtype, tuple(shape), begin, end


def _check_ranges(entries: Mapping[str, _Entry], size: int) -> None:
    """Refuse tensors that lie upon each other or beyond the data."""
    last = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if end > size:
            raise ValueError(f"{name} ends at byte {end} of {size}: it is cut short or damaged")
        if begin < last or end < begin:
            raise ValueError(f"{name} takes bytes {begin} to {end}, {last} are taken already")
        last = end


def read_onnx(path: Name) -> ModelProto:
    """Read an ONNX model; external data is read into it, functions are put in place.

    Raises:
        ToolError: onnx is not installed.
        UsageError: the file is missing, too large or damaged: names that
            are not UTF-8, tensors of unknown types or of other sizes than their data, external
            data outside the model's folder.
    """
    what = os.path.basename(path)
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise ToolError(
            f"{what} needs the onnx package; run pip install 'lstm-sharp[onnx]'"
        ) from None
    data = files.read_bytes(path)
    with refusing(f"{what} cannot be read as ONNX", "export it again"):
        model = onnx.ModelProto.FromString(data)
        external = _External(Path(path).parent)
        _check_proto(model, external)
        for value in model.graph.input:
            _check_fixed(value)
        if model.functions:
            _check_functions(model)
            model = onnx.inliner.inline_local_functions(model)
        _check_order(model)
        return model


def _check_order(model: ModelProto) -> None:
    """Refuse nodes that read what nothing has made before them, themselves among them."""
    graph = model.graph
    made = {"", *(value.name for value in (*graph.input, *graph.initializer))}
    made.update(sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        for name in node.input:
            if name not in made:
                raise ValueError(f"{node.op_type} reads {name}, which nothing has made before it")
        made.update(node.output)


def _check_proto(message: Any, external: _External) -> None:
    """Check all texts, tensors and shapes in a message; protobuf lets none be nested deep."""
    kind = message.DESCRIPTOR.name
    if kind == "TensorProto":
        _check_tensor(message, external)
    elif kind == "TensorShapeProto":
        _check_sizes([axis.dim_value for axis in message.dim], "a shape")
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        # A map's values are no messages; ONNX has none.
        for one in value if _is_repeated(field) else (value,):
            if field.type == field.TYPE_MESSAGE:
                _check_proto(one, external)
            elif not isinstance(one, str):  # what protobuf gives where it cannot decode
                raise ValueError(f"{field.name} {one!r:.40} is not UTF-8")


def _is_repeated(field: Any) -> bool:
    told = getattr(field, "is_repeated", None)  # since protobuf 6.31, which warns of label
    return bool(field.label == field.LABEL_REPEATED if told is None else told)


def _check_sizes(sizes: list[int], what: str) -> None:
    if any(size < 0 for size in sizes):
        raise ValueError(f"{what} has the size {min(sizes)}")


def _check_fixed(value: ValueInfoProto) -> None:
    """Refuse an input of so many elements that trying its shape out takes gigabytes."""
    sizes = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    if prod(size for size in sizes if size) > _MOST_FIXED:
        raise ValueError(
            f"{value.name} has {_MOST_FIXED} elements and more, sizes {sizes}; leave batch and "
            "time dynamic"
        )


def _check_tensor(tensor: TensorProto, external: _External) -> None:
    """Hold a tensor's type and sizes against its data, which is fetched if it lies elsewhere."""
    from onnx import TensorProto, helper

    what = f"tensor {tensor.name}"
    if tensor.data_type not in TensorProto.DataType.values() or not tensor.data_type:
        raise ValueError(f"{what} has the unknown type number {tensor.data_type}")
    _check_sizes(list(tensor.dims), what)
    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind == "STRING":
        return
    bits = _ODD_BITS.get(kind) or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    want = (prod(tensor.dims) * bits + 7) // 8
    if tensor.data_location == TensorProto.EXTERNAL:
        external.fetch(tensor, want)
    if tensor.HasField("raw_data") and len(tensor.raw_data) != want:
        raise ValueError(
            f"{what} has {len(tensor.raw_data)} bytes, but {kind} of shape {list(tensor.dims)} "
            f"takes {want}"
        )


class _External:
    """What tensors have outside of the model's file: below its folder, and nowhere else."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._taken = folder, 0

    def fetch(self, tensor: TensorProto, want: int) -> None:
        """Read a tensor's bytes into it."""
        from onnx import TensorProto

        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        root = os.path.realpath(self._folder)
        place = os.path.realpath(os.path.join(root, location))
        if not location or os.path.commonpath([root, place]) != root or place == root:
            raise ValueError(f"tensor {tensor.name} lies in {location!r}, outside of the folder")
        begin, length = int(told.get("offset", 0)), int(told.get("length", want))
        if length != want:
            raise ValueError(f"tensor {tensor.name} takes {want} bytes, not {length}")
        self._taken += want
        files.check_size(self._taken, "external data")
        with files.opened(place) as (file, size):
            if not 0 <= begin <= size - want:
                raise ValueError(f"{location} has {size} bytes, not {want} from {begin} on")
            file.seek(begin)
            tensor.raw_data = file.read(want)
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT


def _check_functions(model: ModelProto) -> None:
    """Refuse functions that call each other in a ring, or make a graph of millions of nodes."""
    bodies = {(f.domain, f.name): f.node for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def size(nodes: Any, callers: tuple[tuple[str, str], ...]) -> int:
        total = 0
        for node in nodes:
            key = node.domain, node.op_type
            if key in callers or len(callers) > 100:
                raise ValueError(f"function {node.op_type} calls itself")
            if key in bodies and key not in sizes:
                sizes[key] = size(bodies[key], (*callers, key))
            total += sizes.get(key, 1)
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    total += size(graph.node, callers)
        return total

    if size(model.graph.node, ()) > _MOST_NODES:
        raise ValueError(f"its functions make more than {_MOST_NODES} nodes")
