"""An ONNX graph that tells what a tensor is made of, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.arrays import read_onnx
from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.common import some

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LAYOUT_OPS = frozenset(
    {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout", "Cast"}
)
"""Ops that can leave the values of their first input as they are."""

_MOVING_OPS = (_LAYOUT_OPS - {"Cast"}) | {
    *("Flatten", "Concat", "Gather", "Slice", "Split", "Shape", "Size")
}
"""Ops that read no value of their data input, so that NaN comes out only where it was put in."""


class HiddenValueError(UsageError):
    """A tensor depends on values that are not there."""


class Graph:
    """The top level of an ONNX model.

    Attributes:
        source: file name, for errors.
        nodes: in the order of execution.
        inputs: type of each input that is no initializer.
        outputs: names.

    Raises:
        UsageError: onnx is not installed, or cannot read the file.
    """

    def __init__(self, file: Path) -> None:
        self.source = file.name
        self._model: ModelProto = read_onnx(file)
        graph = self._model.graph
        self.nodes = list(graph.node)
        self.outputs = [value.name for value in graph.output]
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        # Before IR version 4 initializers are listed as inputs, too.
        self.inputs = {v.name: v for v in graph.input if v.name not in self._initializers}
        self._producer = {name: node for node in self.nodes for name in node.output if name}
        self._evaluators: dict[tuple[str, ...], tuple[Any, list[str]]] = {}

    def trace(self, name: str) -> tuple[str, list[str]]:
        """Follows a tensor back through ops that at most change its layout.

        Returns:
            The first tensor that is no output of such an op, and the ops passed on the way.
        """
        passed = []
        while name in self._producer and self._producer[name].op_type in _LAYOUT_OPS:
            passed.append(self._producer[name].op_type)
            name = self._producer[name].input[0]
        return name, passed

    def producer(self, name: str) -> NodeProto | None:
        """Returns the node that writes a tensor; None for an input or initializer."""
        return self._producer.get(name)

    def ancestors(
        self, target: str, known: Mapping[str, Any] | None = None
    ) -> tuple[list[NodeProto], list[str]]:
        """Collects what ``target`` is computed from, going no further than ``known``.

        Returns:
            Nodes in the order of execution, and the graph inputs that are not in ``known``.
        """
        todo, seen, missing = [target], set(known or ()), []
        wanted = set()
        while todo:
            name = todo.pop()
            if name in seen or name in self._initializers:
                continue
            seen.add(name)
            node = self._producer.get(name)
            if node is None:
                missing.append(name)
            else:
                wanted.add(id(node))
                todo.extend(_reads(node))
        return [node for node in self.nodes if id(node) in wanted], missing

    def evaluate(self, target: str, known: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        """Computes one tensor with the reference evaluator of onnx.

        Args:
            target: the tensor.
            known: value of each tensor that is given; NaN stands for values that are hidden, of
                which only the shape may matter.
            what: how an error calls the target.

        Raises:
            HiddenValueError: a graph input is missing in ``known``, or the target depends on
                a hidden value.
            UsageError: onnx cannot evaluate the nodes, for example not with these sizes.
        """
        if target in known:
            if _has_nan(known[target]):
                raise HiddenValueError(f"{self.source}: {what} is a hidden value")
            return known[target]
        nodes, missing = self.ancestors(target, known)
        if missing:
            raise HiddenValueError(f"{self.source}: {what} depends on {some(missing)}")
        values = dict(known)
        try:
            evaluator, names = self._evaluator(target, nodes, known)
            feeds = {name: values[name] for name in evaluator.input_names}
            values.update(zip(names, evaluator.run(names, feeds)))
        except Exception as error:  # whatever the op's implementation runs into
            raise UsageError(f"{self.source}: {what} cannot be evaluated ({why(error)})") from error
        hidden = {name for name in known if _has_nan(known[name])}
        for node in nodes:
            if hidden.isdisjoint(_reads(node)):
                continue
            if node.op_type not in _MOVING_OPS:
                raise HiddenValueError(
                    f"{self.source}: {what} depends through {node.op_type} on hidden values"
                )
            hidden.update(name for name in node.output if _has_nan(values.get(name)))
        if target in hidden:
            raise HiddenValueError(f"{self.source}: {what} depends on hidden values")
        return values[target]

    def _evaluator(
        self, target: str, nodes: list[NodeProto], known: Mapping[str, np.ndarray]
    ) -> tuple[Any, list[str]]:
        """Returns an evaluator of these nodes, kept for the next call, and its outputs' names."""
        from onnx import TensorProto, helper
        from onnx.reference import ReferenceEvaluator

        key = (target, *sorted(known))
        if key not in self._evaluators:
            read = {name for node in nodes for name in _reads(node)} | {target}
            names = [name for node in nodes for name in node.output if name]
            names = list(dict.fromkeys([*names, target]))

            def infos(chosen: list[str]) -> list[Any]:
                return [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in chosen]

            graph = helper.make_graph(
                nodes,
                "part",
                infos(sorted(read & known.keys())),
                infos(names),
                [tensor for name, tensor in self._initializers.items() if name in read],
            )
            part = helper.make_model(graph, opset_imports=self._model.opset_import)
            self._evaluators[key] = (ReferenceEvaluator(part), names)
        return self._evaluators[key]


def label(node: NodeProto) -> str:
    """Returns how errors call a node; its name is optional in ONNX, an output is not."""
    return f"{node.op_type} {node.name or next(name for name in node.output if name)}"


def _reads(node: NodeProto) -> Iterator[str]:
    """Yields the tensors that a node reads, from the bodies of If, Loop and Scan, too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        body = attribute.g
        own = {value.name for value in (*body.input, *body.initializer)}
        own.update(name for inner in body.node for name in inner.output)
        for inner in body.node:
            yield from (name for name in _reads(inner) if name not in own)


def _has_nan(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and bool(np.isnan(value).any())
