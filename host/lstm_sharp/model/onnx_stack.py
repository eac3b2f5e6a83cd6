"""What flows into and between the LSTM nodes of an ONNX graph.

Exporters write the same swap of two axes in many ways, with shapes computed along the way. So
instead of recognising patterns, the importer feeds random numbers through the ops between two
nodes, after their names have been found harmless, and looks whether they arrive where they must:
at several batches and lengths, since an op that is right at one may be wrong at the next.
Everything that an op may not depend on is fed as NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import some
from lstm_sharp.model.model import Layer, level_width
from lstm_sharp.model.onnx_graph import Graph, HiddenValueError
from lstm_sharp.model.onnx_run import label

if TYPE_CHECKING:
    from onnx import NodeProto

_PROBES = ((2, 5), (3, 7), (1, 4), (4, 1))
"""Sizes of two axes to try where the file fixes none: without common factors, and each of 1."""

_MOST_VALUES = 1 << 24
"""Values of x, or of an h, that the sizes in a file may ask for."""


class Stack:
    """LSTM nodes that feed each other, bottom first.

    Args:
        graph: where the nodes are.
        nodes: each takes Y of the one before, the first the graph's input.
        levels: the cells of each node.

    Attributes:
        sizes: batch and time of the graph's input, 0 where the file does not fix them.
        batch_first: whether the graph's input is (batch, time, X) rather than (time, batch, X).

    Raises:
        UsageError: the input is no float tensor of three dimensions, something between the nodes
            reorders batch, time or features at some size, sequences end early, or an initial
            state is not zero.
    """

    def __init__(
        self, graph: Graph, nodes: list[NodeProto], levels: tuple[tuple[Layer, ...], ...]
    ) -> None:
        self.graph, self.nodes, self._levels = graph, nodes, levels
        self._input_size = levels[0][0].input_size
        self._x, _ = graph.trace(nodes[0].input[0])
        self._random = np.random.default_rng(0)
        self._types = [graph.evaluate(n.input[1], {}, f"W of {label(n)}").dtype for n in nodes]
        self._checked: set[tuple[int, int]] = set()
        axes = self._input_axes()
        self.batch_first = self._find_order(axes)
        self.sizes = (axes[0], axes[1]) if self.batch_first else (axes[1], axes[0])
        for sizes in _probes(*self.sizes):
            self.check(*sizes)

    def check(self, batch: int, time: int) -> None:
        """Refuses what is not passed on step by step, or begins or ends otherwise, at these sizes.

        A Slice may be harmless at those that were tried, and cut off what is longer.

        Raises:
            UsageError: it is so.
        """
        if (batch, time) not in self._checked:
            self._check_order(batch, time)
            self._check_between(batch, time)
            self._check_lengths_and_states(batch, time)
            self._checked.add((batch, time))

    @property
    def hidden_size(self) -> int:
        """Width of the last node's h, both directions together."""
        return level_width(self._levels[-1])

    def typical_h(self) -> list[np.ndarray]:
        """Returns h of the last node, a short and a long one, at sizes that the file takes."""
        long = tuple(size or more for size, more in zip(self.sizes, (19, 67)))
        return [
            self.random(*sizes, self.hidden_size) for sizes in (next(_probes(*self.sizes)), long)
        ]

    def random(self, *shape: int) -> np.ndarray:
        """Returns float32 numbers in (-1, 1) that every float type holds, few of them twice."""
        places = self._random.permutation(math.prod(shape)).reshape(shape)
        return ((places % 255 - 127) / 128).astype(np.float32)

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
        feeds = {self._x: np.full((*shape, self._input_size), np.nan, self._x_type)}
        for node, level, kind in zip(self.nodes, self._levels, self._types):
            hidden = np.full((batch, time, level_width(level)), np.nan, kind)
            feeds.update(_outputs(node, level, hidden))
        node = self.nodes[index]
        given = _outputs(node, self._levels[index], h.astype(self._types[index]))
        feeds.update((name, given[name]) for name in node.output[:2] if name)
        return feeds

    @property
    def _x_type(self) -> np.dtype:
        """Type of the graph's input; where the file does not say, that of the weights."""
        from onnx import helper

        declared = self.graph.inputs[self._x].type.tensor_type.elem_type
        return helper.tensor_dtype_to_np_dtype(declared) if declared else self._types[0]

    def _input_axes(self) -> list[int]:
        """Checks the graph's input; returns the sizes of its axes, 0 where the file has none."""
        from onnx import TensorProto

        kind = self.graph.inputs[self._x].type.tensor_type
        where = f"{self.graph.source}: input {self._x}"
        floats = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "UNDEFINED")
        names = {value: name for name, value in TensorProto.DataType.items()}
        name = names.get(kind.elem_type, f"type {kind.elem_type}")
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
        widest = max(self._input_size, *map(level_width, self._levels))
        if min(axes) < 0 or max(axes[0], 1) * max(axes[1], 1) * widest > _MOST_VALUES:
            raise UsageError(
                f"{where} has shape {axes}, for at most {widest} values a step; sizes from 0 (any) "
                f"and {_MOST_VALUES} values are possible; export it with dynamic axes"
            )
        return axes

    def _find_order(self, axes: list[int]) -> bool:
        """Returns whether the graph's input is (batch, time, X) rather than (time, batch, X)."""
        orders = {True, False}
        for sizes in _probes(axes[0], axes[1]):
            x = self.random(*sizes, self._input_size).astype(self._x_type)
            value, reason = self._read_x(0, {self._x: x})
            ways = ((True, x.swapaxes(0, 1)), (False, x))
            orders &= {order for order, want in ways if same(value, want)}
            if not orders:
                raise UsageError(
                    f"{self.graph.source}: {self._passed(0)} before {label(self.nodes[0])} do more "
                    f"than swap batch and time of x {x.shape}{reason}; export the model with x as "
                    "(batch, time, features)"
                )
        return True in orders

    def _check_order(self, batch: int, time: int) -> None:
        """Refuses x that does not reach the first node in the order that was found."""
        x = self.random(batch, time, self._input_size)
        own = x if self.batch_first else x.swapaxes(0, 1)
        value, reason = self._read_x(0, {self._x: own.astype(self._x_type)})
        if not same(value, x.swapaxes(0, 1)):
            raise UsageError(
                f"{self.graph.source}: {self._passed(0)} before {label(self.nodes[0])} do not pass "
                f"on x step by step at batch {batch}, time {time}{reason}; export the model with x "
                "as (batch, time, features)"
            )

    def _check_between(self, batch: int, time: int) -> None:
        """Refuses a node that does not get the h of the one below, step by step."""
        for index in range(1, len(self.nodes)):
            h = self.random(batch, time, level_width(self._levels[index - 1]))
            value, reason = self._read_x(index, self.feeds(h, index - 1))
            if not same(value, h.swapaxes(0, 1)):
                raise UsageError(
                    f"{self.graph.source}: {self._passed(index)} between "
                    f"{label(self.nodes[index - 1])} and {label(self.nodes[index])} do not pass "
                    f"on h step by step at batch {batch}, time {time}{reason}; check "
                    "batch_first and sizes"
                )

    def _read_x(self, index: int, known: dict[str, np.ndarray]) -> tuple[np.ndarray | None, str]:
        """Returns x of a node as (time, batch, X), or None and why it cannot be computed."""
        node = self.nodes[index]
        what = f"x of {label(node)}"
        try:
            value = self.graph.evaluate(node.input[0], known, what)
        except UsageError as error:
            return None, f" ({str(error).removeprefix(f'{self.graph.source}: {what} ')})"
        return value.swapaxes(0, 1) if _is_batch_major(node) and value.ndim > 1 else value, ""

    def _passed(self, index: int) -> str:
        _, nodes = self.graph.trace(self.nodes[index].input[0])
        return f"the ops {some(map(label, reversed(nodes))) or '(none)'}"

    def _check_lengths_and_states(self, batch: int, time: int) -> None:
        """Refuses sequences that end before the last step, and states that are not zero.

        A state for one sequence counts for all: where it is zero, nothing else can be meant.
        """
        known = self.feeds(np.full((batch, time, self.hidden_size), np.nan))
        outside = "export the model without it and give the state with --state"
        for node, level in zip(self.nodes, self._levels):
            each = (len(level), level[0].hidden_size)
            orders = [(each[0], size, each[1]) for size in (batch, 1)]
            if _is_batch_major(node):
                orders = [(size, *each) for size in (batch, 1)]
            for index, name, meant, shapes, remedy in (
                (4, "sequence_lens", time, [(batch,)], "all steps: export without a mask"),
                (5, "initial_h", 0, orders, "zero: " + outside),
                (6, "initial_c", 0, orders, "zero: " + outside),
            ):
                tensor = node.input[index] if len(node.input) > index else ""
                if not tensor:
                    continue
                what = f"{name} of {label(node)}"
                try:
                    value = self.graph.evaluate(tensor, known, what)
                except HiddenValueError as error:
                    raise UsageError(f"{error}; it must be {remedy}") from None
                if value.shape not in shapes:
                    raise UsageError(
                        f"{self.graph.source}: {what} has shape {value.shape}, but {shapes[0]} "
                        f"belongs to {batch} sequences; export it with dynamic axes and without "
                        "proj_size"
                    )
                if np.any(value != meant):
                    odd = value[value != meant][0]
                    raise UsageError(
                        f"{self.graph.source}: {what} has {odd:g}; it must be {remedy}"
                    )


def _probes(first: int, second: int) -> Iterator[tuple[int, int]]:
    """Yields sizes of two axes to try, each as it is where it is not 0."""
    yield from dict.fromkeys((first or one, second or other) for one, other in _PROBES)


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


def same(a: np.ndarray | None, b: np.ndarray) -> bool:
    """Tells whether two arrays have the same shape and values, of whatever types."""
    return a is not None and np.array_equal(a.astype(float), b.astype(float))
