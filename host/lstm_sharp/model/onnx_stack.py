"""What flows into and between the LSTM nodes of an ONNX graph.

Exporters write the same swap of two axes in many ways, with shapes computed along the way. So
instead of recognising patterns, the importer feeds random numbers through the ops between two
nodes, after their names have been found harmless, and looks whether they arrive where they must.
Everything that an op may not depend on is fed as NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import some
from lstm_sharp.model.model import Layer, level_width
from lstm_sharp.model.onnx_graph import Graph, HiddenValueError, label

if TYPE_CHECKING:
    from onnx import NodeProto

_STATE = "export the model without it and give the state with --state"
_INPUTS = {
    "sequence_lens": "export without a mask or packed sequences",
    "initial_h": _STATE,
    "initial_c": _STATE,
    "P": "peepholes are not supported: train a plain LSTM",
}
"""Inputs of an LSTM node from the fifth on, and what to do about one that changes its results."""
_CAST_TOLERANCE = 0.01
"""Far above the rounding of a cast to bfloat16, far below what a wrong order gives."""


class Stack:
    """LSTM nodes that feed each other, bottom first.

    Args:
        graph: where the nodes are.
        nodes: each takes Y of the one before, the first the graph's input.
        levels: the cells of each node.

    Attributes:
        batch_first: whether the graph's input is (batch, time, X) rather than (time, batch, X).
        sizes: batch and time of the graph's input where the file fixes them, else 0.

    Raises:
        UsageError: the input is no float tensor of three dimensions, something between the nodes
            reorders batch, time or features, or another input of a node changes its results.
    """

    def __init__(
        self, graph: Graph, nodes: list[NodeProto], levels: tuple[tuple[Layer, ...], ...]
    ) -> None:
        self.graph, self.nodes, self._levels = graph, nodes, levels
        self._input_size = levels[0][0].input_size
        (self._x,), _ = graph.trace(nodes[0].input[0])
        self._random = np.random.default_rng(0)
        self._kinds = [graph.evaluate(node.input[1], {}, "W").dtype for node in nodes]
        axes = self._input_axes()
        self.batch_first = self._find_order(axes)
        self.sizes = (axes[0], axes[1]) if self.batch_first else (axes[1], axes[0])
        for index in range(len(nodes)):
            self._check_passed(index)
        self._check_inputs()

    @property
    def hidden_size(self) -> int:
        """Width of the last node's h, both directions together."""
        return level_width(self._levels[-1])

    def probe_sizes(self, more: int = 0) -> tuple[int, int]:
        """Returns a batch and time to try, ``more`` than what the file fixes."""
        batch, time = self.sizes
        return (batch or 2) + more, (time or 5) + 2 * more

    def probes(self) -> dict[tuple[int, int], bool]:
        """Returns all batches and times to try, and whether the file has to work there.

        Where it leaves them open a 1 is tried too; axes of 1 may be dropped or broadcast there.
        """
        batch, time = self.sizes
        return {
            (batch or b, time or t): (batch > 0 or b > 1) and (time > 0 or t > 1)
            for b, t in ((2, 5), (3, 7), (7, 3), (1, 4), (4, 1))
        }

    def random_h(self, batch: int, time: int, hidden: int) -> np.ndarray:
        """Returns float32 numbers as an LSTM could give them, shape (batch, time, hidden)."""
        return self._random.uniform(-1, 1, (batch, time, hidden)).astype(np.float32)

    def feeds(self, h: np.ndarray, index: int = -1) -> dict[str, np.ndarray]:
        """Returns what to evaluate other nodes with when node ``index`` has put out ``h``.

        Args:
            h: (batch, time, hidden) of that node, its directions side by side.
            index: which node of the stack.

        Returns:
            Y and Y_h of that node; its Y_c, the outputs of the others and x are NaN.
        """
        batch, time, _ = h.shape
        shape = (batch, time) if self.batch_first else (time, batch)
        feeds = {self._x: np.full((*shape, self._input_size), np.nan, self._x_kind())}
        for node, level, kind in zip(self.nodes, self._levels, self._kinds):
            hidden = np.full((batch, time, level_width(level)), np.nan, kind)
            feeds.update(_outputs(node, level, hidden))
        node = self.nodes[index]
        given = _outputs(node, self._levels[index], h.astype(self._kinds[index]))
        feeds.update((name, given[name]) for name in node.output[:2] if name)
        return feeds

    def beside_h(self, output: str) -> str:
        """Says what an output is computed from beside the last node's h."""
        nodes, inputs = self.graph.ancestors(output, dict.fromkeys(self.nodes[-1].output[:2]))
        states = [f"c of {label(node)}" for node in self.nodes[-1:] if node in nodes]
        below = [f"h of {label(node)}" for node in self.nodes[:-1] if node in nodes]
        return some([*states, *below, *(f"the input {name}" for name in inputs)][:1])

    def _x_kind(self) -> np.dtype:
        """Returns the type of the graph's input."""
        from onnx import helper

        kind = self.graph.inputs[self._x].type.tensor_type.elem_type
        return helper.tensor_dtype_to_np_dtype(kind) if kind else np.dtype(np.float32)

    def _input_axes(self) -> list[int]:
        """Checks the graph's input; returns the sizes of its axes, 0 where the file has none."""
        from onnx import TensorProto

        kind = self.graph.inputs[self._x].type.tensor_type
        where = f"{self.graph.source}: input {self._x}"
        floats = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "UNDEFINED")
        name = TensorProto.DataType.Name(kind.elem_type)
        if name not in floats:
            raise UsageError(f"{where} is {name}, not float; x are features, not symbols")
        if not kind.HasField("shape"):
            return [0, 0, self._input_size]
        axes = [axis.dim_value for axis in kind.shape.dim]
        if len(axes) != 3 or axes[2] not in (0, self._input_size):
            raise UsageError(
                f"{where} has shape {axes} (0 is any), but the first LSTM takes "
                f"(batch, time, {self._input_size}); export the model with such an input"
            )
        return axes

    def _find_order(self, axes: list[int]) -> bool:
        """Returns whether the graph's input is (batch, time, X) rather than (time, batch, X)."""
        shape = (axes[0] or 2, axes[1] or 5, self._input_size)
        x = self._random.uniform(-1, 1, shape).astype(self._x_kind())
        value = self._read_x(0, {self._x: x})
        if close(value, x.swapaxes(0, 1)):
            return True
        if close(value, x):
            return False
        raise UsageError(
            f"{self.graph.source}: {self._passed(0)} before {label(self.nodes[0])} do more than "
            "swap batch and time; export the model with x as (batch, time, features)"
        )

    def _check_passed(self, index: int) -> None:
        """Refuses a node that does not get x, or the h of the one below, step by step."""
        node = self.nodes[index]
        below = self._levels[index - 1] if index else None
        for (batch, time), has_to in self.probes().items():
            h = self.random_h(batch, time, level_width(below) if below else self._input_size)
            x = h if self.batch_first else h.swapaxes(0, 1)
            known = self.feeds(h, index - 1) if below else {self._x: x.astype(self._x_kind())}
            try:
                value = self._read_x(index, known)
            except HiddenValueError:
                raise
            except UsageError:
                value = np.zeros(0)
            wanted = h.swapaxes(0, 1)
            if close(value, wanted) or not (has_to or value.shape == wanted.shape):
                continue
            place = f"before {label(node)}"
            if below:
                place = f"between {label(self.nodes[index - 1])} and {label(node)}"
            raise UsageError(
                f"{self.graph.source}: {self._passed(index)} {place} do not pass on "
                f"{'h' if below else 'x'} step by step at batch {batch}, time {time}; check "
                "batch_first of the layers, and that no Reshape fixes a size"
            )

    def _read_x(self, index: int, known: dict[str, np.ndarray]) -> np.ndarray:
        """Returns x of a node as (time, batch, X)."""
        node = self.nodes[index]
        value = self.graph.evaluate(node.input[0], known, f"x of {label(node)}")
        return value.swapaxes(0, 1) if _is_batch_major(node) and value.ndim > 1 else value

    def _passed(self, index: int) -> str:
        _, ops = self.graph.trace(self.nodes[index].input[0])
        return f"the ops {some(reversed(ops)) or '(none)'}"

    def _check_inputs(self) -> None:
        """Refuses what else a node may take: lengths that differ, states that are not zero, P."""
        shapes: tuple[set[tuple[int, ...]], ...]
        for node, level in zip(self.nodes, self._levels):
            inputs = [*node.input, *[""] * 8][4:8]
            hidden = level[0].hidden_size
            for (batch, time), has_to in self.probes().items():
                known = self.feeds(np.full((batch, time, self.hidden_size), np.nan))
                # Zeros for one sequence are zeros for any batch.
                states: set[tuple[int, ...]] = {
                    (*(n, len(level))[:: 1 if _is_batch_major(node) else -1], hidden)
                    for n in (1, batch)
                }
                shapes = ({(batch,)}, states, states, {(len(level), 3 * hidden)})
                for name, tensor, fitting in zip(_INPUTS, inputs, shapes):
                    if tensor and has_to:
                        self._check_input(node, name, tensor, known, fitting, time)

    def _check_input(
        self,
        node: NodeProto,
        name: str,
        tensor: str,
        known: dict[str, np.ndarray],
        shapes: set[tuple[int, ...]],
        time: int,
    ) -> None:
        """Refuses an input of another shape, or that is not ``time``, or zero, throughout."""
        where = f"{name} of {label(node)}"
        right, told = (time, f"the {time} steps of x") if name == "sequence_lens" else (0, "zero")
        try:
            value = self.graph.evaluate(tensor, known, where)
        except HiddenValueError as error:
            _, inputs = self.graph.ancestors(tensor)
            raise UsageError(
                f"{self.graph.source}: {where} is not {told} but computed from the graph "
                f"input {some(inputs)}; {_INPUTS[name]}"
            ) from error
        if value.shape not in shapes:
            raise UsageError(
                f"{self.graph.source}: {where} has shape {value.shape}, not {max(shapes)}; a "
                "projection (proj_size) would have another, and is not supported: train without"
            )
        if np.any(value != right):
            raise UsageError(
                f"{self.graph.source}: {where} is not {told} but up to "
                f"{np.abs(value).max():g}; {_INPUTS[name]}"
            )


def _is_batch_major(node: NodeProto) -> bool:
    return any(item.name == "layout" and item.i == 1 for item in node.attribute)


def _outputs(node: NodeProto, level: tuple[Layer, ...], h: np.ndarray) -> dict[str, np.ndarray]:
    """Returns Y, Y_h and, of the same shape, Y_c, laid out as the node does.

    Args:
        node: the LSTM.
        level: its cells.
        h: (batch, time, hidden), the cells side by side. The last h that a reverse cell computes
            is that of step 0.
    """
    parts = np.split(h, len(level), axis=2)
    y = np.stack(parts, axis=2)  # (batch, time, directions, H)
    ends = [part[:, 0 if cell.reverse else -1] for cell, part in zip(level, parts)]
    last = np.stack(ends, axis=1)  # (batch, directions, H)
    if not _is_batch_major(node):
        y, last = y.transpose(1, 2, 0, 3), last.swapaxes(0, 1)
    return {name: value for name, value in zip(node.output, [y, last, last]) if name}


def close(a: np.ndarray, b: np.ndarray, tolerance: float = _CAST_TOLERANCE) -> bool:
    """Tells whether two arrays have the same shape and, within the tolerance, the same values."""
    a, b = a.astype(float), b.astype(float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=0, atol=tolerance))
