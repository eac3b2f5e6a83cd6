"""Integer models in files: what a package's model.npz holds, and model files that hold both kinds.

The latter are .npz files of float weights with torch's names, as others are, and beside them the
arrays of the integer model and, as the bytes of ``MARK``, JSON with all that is no array.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load as load_float
from lstm_sharp.model.common import some
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.host_graph import MARK as MARK_OF_HEAD
from lstm_sharp.model.host_graph import Head, from_arrays, to_arrays
from lstm_sharp.model.model import (
    GATES,
    OF_NO_NOTE,
    QUANTISED_ALONE,
    Layer,
    Levels,
    Model,
)
from lstm_sharp.numerics.formats import MAX_C_SHIFT, Format
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel

MARK = "lstm_sharp_quantized"
VERSION = 1
"""Of the model files; a reader refuses any other."""
_KINDS = ("weight_ih", "weight_hh", "bias_ih")
"""Of float weights; the one bias is the sum of torch's two."""
_SIZES = "graphs.sizes"
"""Batch and time that a head is for, in its archive."""
_OF_ROWS = ("b", "frac", "x_shift", "factor")
_SHOWN = ("input_size", "hidden_size", "reverse", "c_shift", "kind", "h_drop")

Layout = dict[str, tuple[tuple[int, ...], int]]
"""Shape and bits of each array of an .npz file; 0 bits: positive float64."""


def load(source: str | os.PathLike[str] | Any, prefix: str = "", **how: bool) -> Model | Graph:
    """Read a trained network, and its integer model if the file holds one, as ``quantized``.

    Args:
        source: as ``model.load`` takes it, or the name of what ``write`` has written.
        prefix: which layers, if there are several.
        how: as ``model.load`` takes it.

    Raises:
        UsageError: as ``model.load``; also an integer model that is damaged, or of other weights.
    """
    file = Path(source) if isinstance(source, str | os.PathLike) else Path()
    if file.suffix.lower() != ".npz" or not file.is_file():
        return load_float(source, prefix, **how)
    remedy = "quantise the model again with lstm-sharp quantize"
    damaged = files.refusing(f"{file}: its integer model is damaged", remedy)
    with arrays.open_npz(file) as tensors:
        if MARK not in tensors:
            return load_float(file, prefix, **how)
        with damaged:
            about = files.parse_json(tensors[MARK]().tobytes(), f"{file}: {MARK}")
            found = about["version"]
            require(found == VERSION, f"its version is {VERSION}, not {found!r:.20}")
            others = {name: read() for name, read in tensors.items() if name != MARK}
            require(about["sha256"] == _digest(others), "its arrays have the SHA-256 they had")
            require(type(about["format"]) is str, "its format is a text")
            quantized = read_model(about, Format.parse(about["format"]), tensors)
            cells = []
            for place, cell in zip(_places(quantized), quantized.layers):
                w_ih, w_hh, b = (others[f"{kind}_{place}"] for kind in _KINDS)
                same = w_ih.shape == cell.w_ih.shape and w_hh.shape == cell.w_hh.shape
                require(same, "float weights have the shapes of the integers")
                cells.append(Layer(w_ih, w_hh, b, cell.reverse, cell.kind))
            head = read_head(file.stem, tensors)
            quantized = replace(quantized, head=head)
            return Model(
                tuple(cells),
                file.stem,
                head,
                no_head=QUANTISED_ALONE,
                directions=quantized.directions,
                quantized=quantized,
            )


def load_model(path: str | os.PathLike[str], prefix: str = "") -> Model:
    """Read one stack, as ``load``.

    Raises:
        UsageError: as ``load``; also a whole graph.
    """
    found = load(path, prefix)
    if isinstance(found, Graph):
        names = [part.name for part in found.parts]
        raise UsageError(
            f"{found.source} is a whole graph, and this takes one stack; choose a recurrent part "
            f"of it with --node: {some(names)}"
        )
    return found


def write(path: files.Name, model: Model, about: Mapping[str, object]) -> None:
    """Write a model file with the float and the integer model; ``load`` reads it.

    Args:
        path: ends in ``.npz``.
        model: both, and the head if ``with_head`` gives one.
        about: more that JSON takes.

    Raises:
        UsageError: it cannot be written.
    """
    held = {
        **_torch_names(model),
        **typed(*arrays_of(model.quantized)),
        **head_arrays(with_head(model)[0]),
    }
    facts = {"version": VERSION, "format": str(model.quantized.fmt), **facts_of(model.quantized)}
    text = json.dumps({**facts, **about, "sha256": _digest(held)})
    held[MARK] = np.frombuffer(text.encode(), np.uint8)
    files.write_bytes(path, npz(held))


def with_head(model: Model) -> tuple[Head | None, tuple[str, ...]]:
    """Return what follows a model's LSTMs as files hold it, and what there is to say of it."""
    if model.head is None:
        dropped = model.no_head not in OF_NO_NOTE
        return None, (f"{model.name} {model.no_head}",) * dropped
    saved: Callable[[], Head] | None = getattr(model.head, "saved", None)
    try:
        head = saved() if saved else model.head
    except UsageError as error:
        return None, (f"h alone is kept: {error}",)
    assert isinstance(head, Head)
    return head, (head.note,) * bool(head.note)


def head_arrays(head: Head | None) -> dict[str, np.ndarray]:
    """Return the arrays of a head in files; none of none."""
    return {**to_arrays(head.graphs), _SIZES: np.array(head.sizes)} if head else {}


def read_head(name: str, tensors: arrays.Tensors) -> Head | None:
    """Read a head, if it is among the arrays of a file.

    Raises:
        Exception: anything, where it is damaged.
    """
    if MARK_OF_HEAD not in tensors:
        return None
    batch, time = tensors[_SIZES]().tolist()
    return Head(name, from_arrays(tensors), (batch, time))


def own_format(model: Model, asked: str | None, calibration: object = None) -> str | None:
    """Return the format that a model is run in: that of its integer model, or what is asked for.

    Raises:
        UsageError: an integer model, and calibration data or another format beside it.
    """
    if model.quantized is None:
        return asked
    own = str(model.quantized.fmt)
    if calibration is not None or asked not in (None, own):
        raise UsageError(
            f"{model.name} is quantised already, at {own}; leave out calibration data and format, "
            "or quantise it anew with lstm-sharp quantize"
        )
    return own


def arrays_of(model: QuantModel) -> tuple[dict[str, np.ndarray], Layout]:
    """Return the arrays of an integer model by name, and their layout."""
    named = {
        f"{name}_l{index}": getattr(layer, name)
        for index, layer in enumerate(model.layers)
        for name in ("w_ih", "w_hh", *_OF_ROWS)
    }
    sizes = [(q.input_size, q.hidden_size) for q in model.layers]
    return {**named, "x_scale": model.x_scale}, _layout(model.fmt, sizes)


def facts_of(model: QuantModel) -> dict[str, object]:
    """Return what is no array of an integer model, for JSON; its format is left out."""
    return {
        "model": model.name,
        "directions": [len(level) for level in model.levels],
        "layers": [{name: getattr(q, name) for name in _SHOWN} for q in model.layers],
        "notes": list(model.notes),
    }


def read_model(about: Mapping[str, Any], fmt: Format, tensors: arrays.Tensors) -> QuantModel:
    """Check and put together an integer model.

    Args:
        about: at least what ``facts_of`` gives.
        fmt: its format.
        tensors: arrays of its file.

    Raises:
        Exception: anything, where they are damaged.
    """
    facts = about["layers"]
    x, h = "input_size", "hidden_size"
    sizes = [(whole(q[x], x, 1), whole(q[h], h, 1)) for q in facts]
    held = checked(tensors, _layout(fmt, sizes))
    layers: list[QuantLayer] = []
    for index, q in enumerate(facts):
        parts: dict[str, Any] = {
            name: held[f"{name}_l{index}"] for name in ("w_ih", "w_hh", *_OF_ROWS)
        }
        parts |= {"reverse": q["reverse"], "kind": q.get("kind", "lstm")}  # which was once all
        parts |= {"h_drop": whole(q.get("h_drop", 0), "h_drop", 0)}  # likewise
        layer = QuantLayer(**parts, c_shift=whole(q["c_shift"], "c_shift", 0))
        low, high = fmt.weight_frac_min, fmt.weight_frac_max
        require(type(layer.reverse) is bool, "reverse is true or false")
        require(layer.kind in GATES, f"kind is {' or '.join(GATES)}")
        for name, least, most in (
            ("frac", low, high),
            ("x_shift", 0, 15),
            ("factor", 0, 3),
            ("c_shift", 0, MAX_C_SHIFT if layer.kind == "lstm" else 0),
        ):
            value = np.asarray(getattr(layer, name))
            require(least <= value.min() and value.max() <= most, f"{name} is {least} to {most}")
        layers.append(layer)
    directions = tuple(whole(n, "directions", 1) for n in about["directions"])
    levels = [level for level, count in enumerate(directions) for _ in range(count)]
    if fmt.levels:
        one_each = len(fmt.levels) == len(directions) and len(levels) == len(layers)
        require(one_each, "there is a format for each level")
    for level, layer in zip(levels, layers):
        own, widest = fmt.of_level(level), max(abs(layer.w_ih).max(), abs(layer.w_hh).max())
        require(layer.h_drop == fmt.h_drop(level), "h has the bits of its level's format")
        require(widest <= own.most_weight + 1, f"weights of level {level} are within {own}")
    notes = tuple(map(str, about["notes"]))
    name, scale = str(about["model"]), held["x_scale"]
    return QuantModel(fmt, tuple(layers), name, None, notes, directions, scale)


def typed(held: Mapping[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Give arrays the types that they have in files."""
    return {
        name: np.ascontiguousarray(held[name], _type(bits)) for name, (_, bits) in layout.items()
    }


def checked(tensors: arrays.Tensors, layout: Layout) -> dict[str, np.ndarray]:
    """Read arrays of exactly these shapes and types, all integers within their bits, as int64.

    Raises:
        KeyError: one is missing.
        ValueError: one is otherwise.
    """
    found = {}
    for name, (shape, bits) in layout.items():
        value, kind = tensors[name](), _type(bits)
        require(value.shape == shape and value.dtype == kind, f"{name} is {kind} {shape}")
        if not bits:
            require(np.isfinite(value).all() and (value > 0).all(), f"{name} is positive")
            found[name] = value
            continue
        wide, half = value.astype(np.int64), 1 << (bits - 1)
        require(((-half <= wide) & (wide < half)).all(), f"{name} is within {bits} bits")
        found[name] = wide
    return found


def npz(held: Mapping[str, np.ndarray]) -> bytes:
    """Make an .npz archive; NumPy dates its entries 1980, so equal arrays give equal bytes."""
    file = io.BytesIO()
    named: dict[str, Any] = dict(held)
    np.savez(file, **named)
    return file.getvalue()


def require(holds: object, what: str) -> None:
    """Refuse damaged data.

    Raises:
        ValueError: it does not hold.
    """
    if not holds:
        raise ValueError(f"it must be that {what}")


def whole(value: Any, name: str, least: int) -> int:
    """Take a whole number, at least so much and below 65,536.

    Raises:
        ValueError: it is none.
    """
    require(type(value) is int and least <= value < 1 << 16, f"{name} is a whole number")
    return int(value)


def _layout(fmt: Format, sizes: Sequence[tuple[int, int]]) -> Layout:
    layout: Layout = {}
    for index, (x, h) in enumerate(sizes):
        layout[f"w_ih_l{index}"] = (4 * h, x), fmt.weight_bits
        layout[f"w_hh_l{index}"] = (4 * h, h), fmt.weight_bits
        for name in _OF_ROWS:
            layout[f"{name}_l{index}"] = (4 * h,), fmt.bias_bits if name == "b" else 8
    return {**layout, "x_scale": ((sizes[0][0] if sizes else 0,), 0)}


def _type(bits: int) -> np.dtype:
    """Return the smallest signed type that holds so many bits, little endian; float64 for 0."""
    if not bits:
        return np.dtype("<f8")
    return np.dtype(f"<i{next(size for size in (1, 2, 4, 8) if 8 * size >= bits)}")


def _places(model: Levels[Any]) -> list[str]:
    """Say how torch.nn.LSTM's names of each cell's tensors end."""
    return [
        f"l{index}{'_reverse' if cell.reverse else ''}"
        for index, level in enumerate(model.levels)
        for cell in level
    ]


def _torch_names(model: Model) -> dict[str, np.ndarray]:
    """Name float weights as torch.nn.LSTM does."""
    return {
        f"{kind}_{place}": value.astype("<f8")  # exact, whatever they were
        for place, cell in zip(_places(model), model.layers)
        for kind, value in zip(_KINDS, (cell.w_ih, cell.w_hh, cell.b))
    }


def _digest(held: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 of arrays and their names."""
    found = hashlib.sha256()
    for name in sorted(held):
        found.update(name.encode() + held[name].tobytes())
    return found.hexdigest()
