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

_CAST_TOLERANCE = 0.01
"""Far above the rounding of a cast to bfloat16, far below what a wrong order gives."""


class Stack:
    """LSTM nodes that feed each other, bottom first.

    Args:
        graph: where the nodes are.
        nodes: each takes Y of the one before, the first the graph's input.
        levels: the cells of each node.

    Attributes:
        sizes: batch and time of the graph's input where the file fixes them.

    Raises:
        UsageError: the input is no float tensor of three dimensions, something between the nodes
            reorders batch, time or features, or an initial state is not zero.
    """

    def __init__(
        self, graph: Graph, nodes: list[NodeProto], levels: tuple[tuple[Layer, ...], ...]
    ) -> None:
        self.graph, self.nodes, self._levels = graph, nodes, levels
        self._input_size = levels[0][0].input_size
        self._x, _ = graph.trace(nodes[0].input[0])
        self._random = np.random.default_rng(0)
        axes = self._input_axes()
        self._batch_first = self._find_order(axes)
        self.sizes = (axes[0], axes[1]) if self._batch_first else (axes[1], axes[0])
        self._check_between()
        self._check_states()

    @property
    def hidden_size(self) -> int:
        """Width of the last node's h, both directions together."""
        return level_width(self._levels[-1])

    def probe_sizes(self, more: int = 0) -> tuple[int, int]:
        """Returns a batch and time to try, ``more`` than what the file fixes."""
        batch, time = self.sizes
        return (batch or 2) + more, (time or 5) + 2 * more

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
        shape = (batch, time) if self._batch_first else (time, batch)
        feeds = {self._x: np.full((*shape, self._input_size), np.nan, np.float32)}
        for node, level in zip(self.nodes, self._levels):
            hidden = np.full((batch, time, level_width(level)), np.nan, np.float32)
            feeds.update(_outputs(node, level, hidden))
        node = self.nodes[index]
        given = _outputs(node, self._levels[index], h.astype(np.float32))
        feeds.update((name, given[name]) for name in node.output[:2] if name)
        return feeds

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
        x = self._random.uniform(-1, 1, shape).astype(np.float32)
        value = self._read_x(0, {self._x: x})
        if close(value, x.swapaxes(0, 1)):
            return True
        if close(value, x):
            return False
        raise UsageError(
            f"{self.graph.source}: {self._passed(0)} before {label(self.nodes[0])} do more than "
            "swap batch and time; export the model with x as (batch, time, features)"
        )

    def _check_between(self) -> None:
        """Refuses a node that does not get the h of the one below, step by step."""
        for index in range(1, len(self.nodes)):
            h = self.random_h(*self.probe_sizes(), level_width(self._levels[index - 1]))
            value = self._read_x(index, self.feeds(h, index - 1))
            if not close(value, h.swapaxes(0, 1)):
                raise UsageError(
                    f"{self.graph.source}: {self._passed(index)} between "
                    f"{label(self.nodes[index - 1])} and {label(self.nodes[index])} do not pass "
                    "on h step by step; check batch_first of both layers"
                )

    def _read_x(self, index: int, known: dict[str, np.ndarray]) -> np.ndarray:
        """Returns x of a node as (time, batch, X)."""
        node = self.nodes[index]
        value = self.graph.evaluate(node.input[0], known, f"x of {label(node)}")
        return value.swapaxes(0, 1) if _is_batch_major(node) and value.ndim > 1 else value

    def _passed(self, index: int) -> str:
        _, ops = self.graph.trace(self.nodes[index].input[0])
        return f"the ops {some(reversed(ops)) or '(none)'}"

    def _check_states(self) -> None:
        """Refuses initial states that are not zero for every x."""
        sizes = self.probe_sizes()
        known = self.feeds(np.full((*sizes, self.hidden_size), np.nan))
        for node in self.nodes:
            for index, name in ((5, "initial_h"), (6, "initial_c")):
                tensor = node.input[index] if len(node.input) > index else ""
                if not tensor:
                    continue
                what = f"{name} of {label(node)}"
                remedy = "export the model without it and give the state with --state"
                try:
                    value = self.graph.evaluate(tensor, known, what)
                except HiddenValueError as error:
                    _, inputs = self.graph.ancestors(tensor)
                    raise UsageError(
                        f"{self.graph.source}: {what} is not zero but computed from the graph "
                        f"input {some(inputs)}; {remedy}"
                    ) from error
                if np.any(value != 0):
                    raise UsageError(
                        f"{self.graph.source}: {what} is not zero but up to "
                        f"{np.abs(value).max():g}; {remedy}"
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
    return a.shape == b.shape and bool(np.allclose(a.astype(float), b, rtol=0, atol=tolerance))
