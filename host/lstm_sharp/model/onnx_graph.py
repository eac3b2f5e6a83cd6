"""An ONNX graph that tells what a tensor is made of, and what it is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.arrays import read_onnx
from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.common import is_float, some
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_LAYOUT_OPS = frozenset(
    {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout", "Cast"}
    # By these tf2onnx takes two directions apart and puts them side by side.
    | {"Slice", "Split", "Gather", "Concat"}
)
"""Ops that can leave the values of their first input as they are, if nothing is left out."""

_MOVING_OPS = (_LAYOUT_OPS - {"Cast"}) | {"Flatten", "Shape", "Size"}
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
        ToolError: onnx is not installed.
        UsageError: it cannot read the file.
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
        self._evaluators: dict[tuple[str, ...], tuple[Evaluator, list[str], list[str]]] = {}

    def trace(self, name: str) -> tuple[str, list[NodeProto]]:
        """Follows a tensor back through ops that at most change its layout.

        Returns:
            The first tensor that is no output of such an op, and the nodes passed on the way.
        """
        passed: list[NodeProto] = []
        while len(passed) < len(self.nodes):  # a damaged graph may turn in circles
            node = self._producer.get(name)
            if node is None or node.op_type not in _LAYOUT_OPS or not node.input:
                break
            passed.append(node)
            name = node.input[0]
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
        """Computes one tensor.

        Args:
            target: the tensor.
            known: value of each tensor that is given; NaN stands for values that are hidden, of
                which only the shape may matter.
            what: how an error calls the target.

        Raises:
            HiddenValueError: a graph input is missing in ``known``, or the target depends on
                a hidden value.
            UsageError: the nodes cannot be evaluated, for example not with these sizes.
        """
        if target in known:
            if _has_nan(known[target]):
                raise HiddenValueError(f"{self.source}: {what} depends on {target}")
            return known[target]
        if target in self._initializers:
            return self._array(target, what)
        nodes, missing = self.ancestors(target, known)
        if missing:
            raise HiddenValueError(f"{self.source}: {what} depends on {some(missing)}")
        values = dict(known)
        try:
            evaluator, read, names = self._evaluator(target, nodes, known)
            found = evaluator({name: known[name] for name in read})
            values.update(zip(names, found))
        except UsageError as error:
            raise UsageError(f"{self.source}: {what} cannot be evaluated: {error}") from None
        except Exception as error:  # whatever the op's implementation runs into
            raise UsageError(f"{self.source}: {what} cannot be evaluated ({why(error)})") from error
        given = {name for name in known if _has_nan(known[name])}
        hidden = set(given)
        for node in nodes:
            if hidden.isdisjoint(_reads(node)):
                continue
            hidden.update(name for name in node.output if _has_nan(values.get(name)))
            if node.op_type not in _MOVING_OPS or target in hidden:
                told = some(name for node in nodes for name in _reads(node) if name in given)
                raise HiddenValueError(f"{self.source}: {what} depends on {told}")
        return values[target]

    def _array(self, name: str, what: str) -> np.ndarray:
        from onnx import numpy_helper

        try:
            return numpy_helper.to_array(self._initializers[name])
        except Exception as error:  # a type or a number of values that onnx does not know
            raise UsageError(f"{self.source}: {what} cannot be read ({why(error)})") from error

    def _evaluator(
        self, target: str, nodes: list[NodeProto], known: Mapping[str, np.ndarray]
    ) -> tuple[Evaluator, list[str], list[str]]:
        """Returns an evaluator of these nodes, kept for the next call, its inputs and outputs."""
        from onnx import ValueInfoProto, helper

        key = (target, *sorted(known))
        if key not in self._evaluators:
            read = {name for node in nodes for name in _reads(node)}
            inputs = sorted(read & known.keys())
            outputs = [name for node in nodes for name in node.output if name]
            kinds = [helper.np_dtype_to_tensor_dtype(known[name].dtype) for name in inputs]
            graph = helper.make_graph(
                nodes,
                "part",
                [helper.make_tensor_value_info(n, k, None) for n, k in zip(inputs, kinds)],
                [ValueInfoProto(name=name) for name in outputs],
                [tensor for name, tensor in self._initializers.items() if name in read],
            )
            # Before IR version 4 every initializer must be an input, too.
            version = max(4, self._model.ir_version)
            part = helper.make_model(
                graph, opset_imports=self._model.opset_import, ir_version=version
            )
            self._evaluators[key] = (make_evaluator(part), inputs, outputs)
        return self._evaluators[key]


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
    return isinstance(value, np.ndarray) and is_float(value.dtype) and bool(np.isnan(value).any())
