"""An ONNX graph: where tensors come from; constant ones, such as weights, are computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.common import is_float, some
from lstm_sharp.model.onnx_file import read_onnx
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator

if TYPE_CHECKING:
    from onnx import NodeProto

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
    """The top level of an ONNX model, whose nodes are listed in the order of execution.

    Attributes:
        source: file name, for errors.
        nodes: in their order.
        inputs: type of each input that is no initializer.
        outputs: names.
        producer: the node that writes a tensor, by its name.

    Raises:
        ToolError: onnx is not installed.
        UsageError: it cannot read the file.
    """

    def __init__(self, file: Path) -> None:
        self.source = file.name
        self._model = read_onnx(file)
        graph = self._model.graph
        self.nodes = list(graph.node)
        self.outputs = [value.name for value in graph.output]
        self._initializers = {tensor.name: tensor for tensor in graph.initializer}
        # Before IR version 4 initializers are listed as inputs, too.
        self.inputs = {v.name: v for v in graph.input if v.name not in self._initializers}
        self.producer = {name: node for node in self.nodes for name in node.output if name}
        self._evaluators: dict[tuple[str, ...], tuple[Evaluator, list[str]]] = {}

    def trace(self, name: str) -> tuple[str, list[NodeProto]]:
        """Follow a tensor back through ops that at most change its layout.

        Returns:
            The first tensor that is no output of such an op, and the nodes passed on the way.
        """
        passed: list[NodeProto] = []
        for node in reversed(self.nodes):
            if name in node.output and node.op_type in _LAYOUT_OPS and node.input:
                passed.append(node)
                name = node.input[0]
        return name, passed

    def part(self, target: str, known: Mapping[str, Any]) -> tuple[list[NodeProto], set[str]]:
        """Collect what a tensor is computed from, going no further than ``known``.

        Returns:
            Nodes in the order of execution, and all that they read but do not make.
        """
        nodes: list[NodeProto] = []
        reads = {target}
        for node in reversed(self.nodes):
            if any(name in reads and name not in known for name in node.output):
                nodes.append(node)
                reads.update(_reads(node))
        return nodes[::-1], {n for n in reads if n in known or n not in self.producer}

    def evaluate(self, target: str, known: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        """Compute one tensor.

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
        nodes, reads = self.part(target, known)
        told = reads - known.keys() - self._initializers.keys()
        if not told:
            try:
                values = self._values(target, nodes, reads, known)
            except Exception as error:  # whatever the op's implementation runs into
                told_why = (
                    f"{self.source}: {what} cannot be evaluated ({why(error)}); export it again"
                )
                raise UsageError(told_why) from error
            told = {name for name in reads if name in known and _has_nan(known[name])}
            hidden = set(told)
            for node in nodes:
                if not hidden.isdisjoint(_reads(node)):
                    hidden.update(name for name in node.output if _has_nan(values.get(name)))
                    if node.op_type not in _MOVING_OPS:
                        hidden.add(target)
            if target not in hidden:
                return values[target]
        raise HiddenValueError(f"{self.source}: {what} depends on {some(sorted(told))}")

    def _values(
        self, target: str, nodes: list[NodeProto], reads: set[str], known: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Compute all that nodes make; kept for the next call is what computes it."""
        from onnx import ValueInfoProto, helper, numpy_helper

        if not nodes:
            initial = self._initializers.get(target)
            return {target: known[target] if initial is None else numpy_helper.to_array(initial)}
        key = (target, *sorted(known))
        given = {name: known[name] for name in sorted(reads) if name in known}
        if key not in self._evaluators:
            names = [name for node in nodes for name in node.output if name]
            kinds = {n: helper.np_dtype_to_tensor_dtype(v.dtype) for n, v in given.items()}
            graph = helper.make_graph(
                nodes,
                "part",
                [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()],
                [ValueInfoProto(name=name) for name in names],
                [self._initializers[name] for name in reads if name not in known],
            )
            opsets = self._model.opset_import
            # Before IR version 4 every initializer must be an input, too.
            version = max(4, self._model.ir_version)
            part = helper.make_model(graph, opset_imports=opsets, ir_version=version)
            self._evaluators[key] = make_evaluator(part), names
        evaluator, names = self._evaluators[key]
        return {**known, **dict(zip(names, evaluator(given)))}


def _reads(node: NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, from the bodies of If, Loop and Scan, too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        body = attribute.g
        own = {value.name for value in (*body.input, *body.initializer)}
        own.update(name for inner in body.node for name in inner.output)
        for inner in body.node:
            yield from (name for name in _reads(inner) if name not in own)


def _has_nan(value: object) -> bool:
    return isinstance(value, np.ndarray) and is_float(value.dtype) and bool(np.isnan(value).any())
