"""A scope of an ONNX model: where tensors come from; constant ones are computed, as weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.common import is_float, some
from lstm_sharp.model.onnx_file import attributes_of, bodies_of, opset_of, read_onnx
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

_LAYOUT_OPS = frozenset(
    {"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout", "Cast"}
    # By these tf2onnx takes two directions apart and puts them side by side.
    | {"Slice", "Split", "Gather", "Concat"}
)
"""Ops that can leave the values of their first input as they are, if nothing is left out."""

_ZERO_OPS = _LAYOUT_OPS | {"Expand", "Tile", "Constant", "ConstantOfShape"}
"""Ops that make zeros of zeros, or of nothing."""

_MOVING_OPS = (_LAYOUT_OPS - {"Cast"}) | {"Flatten", "Shape", "Size"}
"""Ops that read no value of their data input, so that NaN comes out only where it was put in."""


_SECONDS = 2.0
"""That a Loop in what is computed of constants may take: a file must not hold up its reader."""


class HiddenValueError(UsageError):
    """A tensor depends on values that are not there."""


class Scope:
    """The top level of an ONNX model or, by ``body``, one of the graphs in its nodes.

    Names are unique in a model, so a body sees all that lies around it as if it were its own.

    Attributes:
        source: file name, for errors.
        own: nodes of this graph alone, in the order of execution.
        nodes: these, after those of all graphs around it.
        inputs: type of each input that is no initializer.
        outputs: names.
        producer: the node that writes a tensor, by its name.
        initializers: by name, those around it too.

    Raises:
        ToolError: onnx is not installed.
        UsageError: it cannot read the file.
    """

    def __init__(self, file: Path) -> None:
        self.source = file.name
        self._model = read_onnx(file)
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, Any] = {}
        self._take(self._model.graph)

    def body(self, graph: GraphProto) -> Scope:
        """Enter the body of a node in this scope."""
        inner = copy(self)
        inner._take(graph)
        return inner

    def _take(self, graph: GraphProto) -> None:
        self.own, self._told = list(graph.node), graph.value_info
        self.nodes = [*self.nodes, *self.own]
        self.outputs = [value.name for value in graph.output]
        own = {tensor.name: tensor for tensor in graph.initializer}
        # Before IR version 4 initializers are listed as inputs, too.
        self.inputs = {v.name: v for v in graph.input if v.name not in own}
        self.initializers = {**self.initializers, **own}
        self.producer = {name: node for node in self.nodes for name in node.output if name}
        self._evaluators: dict[tuple[str, ...], tuple[Evaluator, list[str]]] = {}

    def model_of(
        self,
        nodes: Sequence[NodeProto],
        given: Mapping[str, Any],
        made: Iterable[str],
    ) -> ModelProto:
        """Make a model of some nodes.

        Args:
            nodes: in the order of execution.
            given: what they read and do not make: arrays, or lists of arrays.
            made: names of what is wanted of them.
        """
        from onnx import ValueInfoProto, helper

        inside = {name for node in nodes for name in node.output}
        reads = {name for node in nodes for name in reads_of(node)} - inside - given.keys()
        graph = helper.make_graph(
            nodes,
            "part",
            [_typed(name, value) for name, value in given.items()],
            [ValueInfoProto(name=name) for name in made],
            [self.initializers[name] for name in sorted(reads) if name in self.initializers],
        )
        # Before IR version 4 every initializer must be an input, too.
        version = max(4, self._model.ir_version)
        return helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=version)

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return opset_of(self._model)

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

    def is_zero(self, name: str, held: tuple[int, ...]) -> bool:
        """Tell whether a tensor is zeros, whatever its size: moved ones, or filled in.

        Zeros that the file holds as they are count as that if they have the shape ``held``.
        """
        from onnx import numpy_helper

        asked, first = [name], name
        while asked:
            name = asked.pop()
            node = self.producer.get(name)
            if name in self.initializers:
                value = numpy_helper.to_array(self.initializers[name])
                if value.any() or (name == first and value.shape != held):
                    return False
            elif node is None or node.op_type not in _ZERO_OPS:
                return False
            elif node.op_type in ("Constant", "ConstantOfShape"):
                for value in attributes_of(node).values():
                    if np.any(numpy_helper.to_array(value) if hasattr(value, "dims") else value):
                        return False
            else:
                asked += node.input if node.op_type == "Concat" else node.input[:1]
        return True

    def sizes(self, name: str) -> list[int]:
        """Return the sizes of a tensor that the file tells, 0 where it is open; none: no word."""
        kind = next((v.type.tensor_type for v in self._told if v.name == name), None)
        return [axis.dim_value for axis in kind.shape.dim] if kind is not None else []

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
                reads.update(reads_of(node))
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
        told = reads - known.keys() - self.initializers.keys()
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
                if not hidden.isdisjoint(reads_of(node)):
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
        from onnx import numpy_helper

        if not nodes:
            initial = self.initializers.get(target)
            return {target: known[target] if initial is None else numpy_helper.to_array(initial)}
        key = (target, *sorted(known))
        given = {name: known[name] for name in sorted(reads) if name in known}
        if key not in self._evaluators:
            names = [name for node in nodes for name in node.output if name]
            self._evaluators[key] = (
                make_evaluator(self.model_of(nodes, given, names), _SECONDS),
                names,
            )
        evaluator, names = self._evaluators[key]
        return {**known, **dict(zip(names, evaluator(given)))}


def reads_of(node: NodeProto) -> Iterator[str]:
    """Yield the tensors that a node reads, from the bodies of If, Loop and Scan, too."""
    yield from (name for name in node.input if name)
    for body in bodies_of(node):
        own = {value.name for value in (*body.input, *body.initializer)}
        own.update(name for inner in body.node for name in inner.output)
        reads = [name for inner in body.node for name in reads_of(inner)]
        reads += [value.name for value in body.output]
        yield from (name for name in reads if name not in own)


def _typed(name: str, value: Any) -> ValueInfoProto:
    """Declare a tensor, or a sequence of tensors, of the type of a value and of any shape."""
    from onnx import helper

    if isinstance(value, list):
        kind = _typed(name, value[0]).type if value else helper.make_tensor_type_proto(1, None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(kind))
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)


def _has_nan(value: object) -> bool:
    return isinstance(value, np.ndarray) and is_float(value.dtype) and bool(np.isnan(value).any())
