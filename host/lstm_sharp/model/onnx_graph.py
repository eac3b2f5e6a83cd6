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

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_MEASURING_OPS = frozenset({"Shape", "Size"})
"""Ops that read no value at all."""
_MOVING_OPS = _MEASURING_OPS | {
    *("Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout"),
    *("Flatten", "Concat", "Gather", "Slice", "Split"),
}
"""Ops that read no value of their data input, so that NaN comes out only where it was put in."""
LAYOUT_OPS = (_MOVING_OPS - _MEASURING_OPS) | {"Cast"}
"""Ops that can leave values as they are, and put them elsewhere."""


_NEVER = 1 << 30
_RIGHT_FROM = {
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), 13),
    "BatchNormalization": 14,
    **dict.fromkeys(("Loop", "MaxUnpool", "Resize", "Scan"), _NEVER),
}
"""The opset from which on the reference evaluator of onnx computes an op rightly: what differs from
ONNX Runtime in the node tests of onnx 1.23. The first three are right over the last axis."""


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
        self._sessions: dict[str, tuple[Any, list[str]]] = {}

    def trace(self, name: str) -> tuple[list[str], list[str]]:
        """Follows the values of a tensor back through ops that at most change their layout.

        Returns:
            The tensors that are no output of such an op but of one that reads values, of the graph
            or of an initializer that is no mere index; and the ops passed on the way.
        """
        origins, passed, todo, seen = [], [], [name], set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            node = self._producer.get(name)
            if node is not None and node.op_type in LAYOUT_OPS:
                passed.append(node.op_type)
                data = node.input if node.op_type == "Concat" else node.input[:1]
                todo.extend(reversed(data))
            else:
                origins.append(name)
        return origins, passed

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
            evaluator, names = self._evaluator(target, known)
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

    def compute(self, target: str, known: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        """Computes one tensor with ONNX Runtime where that is installed, else as ``evaluate``.

        Args:
            target: the tensor, which ``evaluate`` has found to depend on no hidden value.
            known: value of each tensor that is given.
            what: how an error calls the target.

        Raises:
            UsageError: it cannot be computed, or not rightly without ONNX Runtime.
        """
        if target in known:
            return known[target]
        try:
            return self._run(target, known)
        except Exception as error:  # of sizes that do not fit, or anything else
            lacks = isinstance(error, ImportError) or type(error).__name__ == "NotImplemented"
            if not lacks:  # a package, or an op of a type such as bfloat16
                told = f"{self.source}: {what} cannot be computed ({why(error)})"
                raise UsageError(told) from error
        self._check_reference(target, known, what)
        return self.evaluate(target, known, what)

    def _run(self, target: str, known: Mapping[str, np.ndarray]) -> np.ndarray:
        """Computes one tensor with ONNX Runtime."""
        import onnxruntime

        if target not in self._sessions:
            part, _ = self._part(target, known)
            del part.graph.output[:]
            part.graph.output.add(name=target)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            session = onnxruntime.InferenceSession(
                part.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            self._sessions[target] = session, [value.name for value in session.get_inputs()]
        session, names = self._sessions[target]
        return np.asarray(session.run([target], {name: known[name] for name in names})[0])

    def _check_reference(self, target: str, known: Mapping[str, np.ndarray], what: str) -> None:
        """Refuses nodes that the reference evaluator of onnx is known to compute wrongly."""
        opset = max(
            (o.version for o in self._model.opset_import if o.domain in ("", "ai.onnx")), default=1
        )
        for node in self.ancestors(target, known)[0]:
            right = _RIGHT_FROM.get(node.op_type, 0)
            if opset >= right:
                continue
            if right == _RIGHT_FROM["Softmax"]:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 1)
                if axis in (-1, self.evaluate(node.output[0], known, what).ndim - 1):
                    continue
            raise UsageError(
                f"{self.source}: {what} needs {node.op_type} of opset {opset}, which only ONNX "
                "Runtime computes rightly; run pip install onnxruntime"
            )

    def _evaluator(self, target: str, known: Mapping[str, np.ndarray]) -> tuple[Any, list[str]]:
        """Returns an evaluator of these nodes, kept for the next call, and its outputs' names."""
        from onnx.reference import ReferenceEvaluator

        key = (target, *sorted(known))
        if key not in self._evaluators:
            part, names = self._part(target, known)
            self._evaluators[key] = (ReferenceEvaluator(part), names)
        return self._evaluators[key]

    def _part(self, target: str, known: Mapping[str, np.ndarray]) -> tuple[ModelProto, list[str]]:
        """Returns a model of what leads from the known tensors to one, and all that it makes."""
        from onnx import TensorProto, helper

        nodes, _ = self.ancestors(target, known)
        read = {name for node in nodes for name in _reads(node)} | {target}
        names = [name for node in nodes for name in node.output if name]
        names = list(dict.fromkeys([*names, target]))
        graph = helper.make_graph(
            nodes,
            "part",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(known[name].dtype), None
                )
                for name in sorted(read & known.keys())
            ],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names],
            [tensor for name, tensor in self._initializers.items() if name in read],
        )
        made = helper.make_model(graph, opset_imports=self._model.opset_import)
        made.ir_version = self._model.ir_version
        return made, names


def label(node: NodeProto) -> str:
    """Returns how errors call a node; its name is optional in ONNX, an output is not."""
    return f"{node.op_type} {node.name or next(name for name in node.output if name)}"


def inner_ops(node: NodeProto) -> Iterator[str]:
    """Yields the ops in the bodies of If, Loop and Scan, and in theirs."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield inner.op_type
            yield from inner_ops(inner)


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
    if not isinstance(value, np.ndarray) or not is_float(value.dtype):
        return False
    return bool(np.isnan(value.astype(np.float64)).any())
