"""An ONNX file, read within bounds: external data joined, functions in their places."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_sharp import files
from lstm_sharp.errors import lacking
from lstm_sharp.files import refusing

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_MOST_NODES = 1 << 20
"""Of a graph once its functions are put in place."""


def read_onnx(path: Path) -> ModelProto:
    """Read an ONNX model; external data is read into it, functions are put in place.

    What its nodes and tensors mean is looked at by whoever evaluates them.

    Raises:
        ToolError: onnx is not installed.
        UsageError: the file is missing, too large or damaged, has names that are not UTF-8, or
            external data outside of its folder.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise lacking("onnx", path.name) from None
    data = files.read_bytes(path)
    with refusing(f"{path.name} cannot be read as ONNX", "export it again"):
        if not data:
            raise ValueError("it is empty")  # to protobuf, a model of nothing
        model = onnx.ModelProto.FromString(data)
        _read_tensors(model, os.path.realpath(path.parent))
        if model.functions:
            _check_functions(model)
            model = onnx.inliner.inline_local_functions(model)
        _check_names(model.graph)
        return model


def _check_names(graph: GraphProto, around: Iterable[str] = ("",)) -> None:
    """Refuse names that stand for two tensors, or for one that nothing has made before."""
    made = set(around)

    def make(names: Iterable[str], what: str) -> None:
        for name in filter(None, names):
            if name in made:
                raise ValueError(f"{what} makes {name}, which is there already")
            made.add(name)

    def check(name: str, what: str) -> None:
        if name not in made:
            raise ValueError(f"{what} reads {name}, which nothing has made before it")

    inputs = dict.fromkeys(value.name for value in graph.input)
    make(inputs, "an input")
    # Before IR version 4 initializers are listed as inputs, too.
    make((t.name for t in graph.initializer if t.name not in inputs), "an initializer")
    if graph.sparse_initializer:
        raise ValueError(f"{graph.sparse_initializer[0].values.name} is sparse, which is not read")
    for node in graph.node:
        for name in node.input:
            check(name, label(node))
        for body in bodies_of(node):
            _check_names(body, made)
        make(node.output, label(node))
    for value in graph.output:
        check(value.name, "an output")


def _read_tensors(model: ModelProto, root: str) -> None:
    """Read into each tensor what it has in other files: below the model's folder, nowhere else.

    What has not nearly the bytes of its shape is refused: an evaluator would take memory first.
    """
    taken = 0
    for part in _parts(model):
        if part.DESCRIPTOR.name != "TensorProto":
            continue
        if part.data_location == part.EXTERNAL:
            told = {entry.key: entry.value for entry in part.external_data}
            location, begin = told["location"], int(told.get("offset", 0))
            place = os.path.realpath(os.path.join(root, location))
            if os.path.commonpath([root, place]) != root:
                raise ValueError(f"tensor {part.name} lies in {location!r}, outside of the folder")
            with files.opened(place) as (file, size):
                length = int(told.get("length", size - begin))
                if begin < 0 or length < 0 or begin + length > size:
                    raise ValueError(f"{location} has {size} bytes, not {length} from {begin} on")
                taken += length
                files.check_size(taken, "external data")
                file.seek(begin)
                part.raw_data = file.read(length)
            part.ClearField("external_data")
            part.ClearField("data_location")
        size = part.ByteSize()
        if min(part.dims, default=0) < 0 or prod(part.dims) > 8 * size:  # elements have 2 bits
            raise ValueError(f"tensor {part.name} has {size} bytes for shape {list(part.dims)}")


def _parts(message: Any) -> Iterator[Any]:
    """Yield a message and all that are in it; protobuf lets none be nested deep."""
    yield message
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            single = isinstance(value, str | bytes) or hasattr(value, "ListFields")
            for one in (value,) if single else value:
                if field.type == field.TYPE_MESSAGE:
                    yield from _parts(one)
                elif not isinstance(one, str):  # what protobuf gives where it cannot decode
                    raise ValueError(f"{field.name} {one!r:.40} is not UTF-8")


def _check_functions(model: ModelProto) -> None:
    """Refuse functions that make a graph of millions of nodes; rings go too deep for Python."""
    bodies = {(f.domain, f.name): f.node for f in model.functions}

    @cache
    def size(domain: str, name: str) -> int:
        return count(bodies[domain, name]) if (domain, name) in bodies else 1

    def count(nodes: Iterable[NodeProto]) -> int:
        return sum(size(node.domain, node.op_type) for node in all_nodes(nodes))

    if count(model.graph.node) > _MOST_NODES:
        raise ValueError(f"its functions make more than {_MOST_NODES} nodes")


def all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """Yield nodes and those in the bodies of If, Loop and Scan, each before what is in it."""
    for node in nodes:
        yield node
        for body in bodies_of(node):
            yield from all_nodes(body.node)


def bodies_of(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs in a node's attributes."""
    for attribute in node.attribute:
        yield from (attribute.g, *attribute.graphs) if attribute.HasField("g") else attribute.graphs


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name, as Python has them."""
    from onnx import helper

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def opset_of(model: ModelProto) -> int:
    """Return the version of ONNX's own operators."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def label(node: NodeProto) -> str:
    """Return how errors call a node; its name is optional in ONNX, an output is not."""
    return f"{node.op_type} {node.name or next((n for n in node.output if n), '(no output)')}"
