"""What flows into, between and out of the LSTM nodes of an ONNX graph.

Exporters write the same swap of two axes in many ways, with shapes computed along the way. So
instead of recognising patterns, the importer feeds random numbers through the ops between two
nodes, after their names have been found harmless, and looks whether they arrive where they must:
at several batches and lengths, since an op that is right at one may be wrong at the next.
Everything that an op may not depend on is fed as NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model import host_graph
from lstm_sharp.model.common import is_float, same
from lstm_sharp.model.model import Layer, level_width
from lstm_sharp.model.onnx_file import label
from lstm_sharp.model.onnx_graph import HiddenValueError, Scope

if TYPE_CHECKING:
    from onnx import NodeProto

PROBES = ((2, 5), (3, 7), (1, 4), (4, 1))
"""Batches and times to try where the file fixes none: without common factors, and each of 1."""

_MOST_VALUES = 1 << 24
"""Values of x, or of an h, that the sizes in a file may ask for."""


def marks(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return float32 numbers in (-1, 1) that every float type holds, few of them twice."""
    places = rng.permutation(prod(shape)).reshape(shape)
    return ((places % 255 - 127) / 128).astype(np.float32)


@dataclass(frozen=True)
class Level:
    """An LSTM node and the cells that it is."""

    node: NodeProto
    cells: tuple[Layer, ...]
    kind: np.dtype  # of its weights, and so of its h
    batch_major: bool  # layout=1: x is (batch, time, X), not (time, batch, X)
    states: tuple[str, str] = ("", "")  # tensors of the initial h and c; empty: zeros

    def outputs(self, h: np.ndarray) -> dict[str, np.ndarray]:
        """Return Y, Y_h and, all NaN, Y_c of the node, by name.

        Args:
            h: (batch, time, hidden), the cells side by side. The last h that a reverse cell
                computes is that of step 0.
        """
        parts = np.split(h.astype(self.kind), len(self.cells), axis=2)
        y = np.stack(parts, axis=2)  # (batch, time, directions, H)
        ends = [part[:, 0 if cell.reverse else -1] for cell, part in zip(self.cells, parts)]
        last = np.stack(ends, axis=1)  # (batch, directions, H)
        if not self.batch_major:
            y, last = y.transpose(1, 2, 0, 3), last.swapaxes(0, 1)
        values = y, last, np.full_like(last, np.nan)
        return {name: value for name, value in zip(self.node.output, values) if name}


class Stack:
    """LSTM nodes that feed each other, bottom first.

    Args:
        graph: where the nodes are.
        levels: each takes Y of the one before, the first the graph's input.

    Attributes:
        sizes: batch and time of the graph's input, 0 where the file does not fix them.
        batch_first: whether the graph's input is (batch, time, X) rather than (time, batch, X).

    Raises:
        UsageError: the input is no float tensor of three dimensions, or at some size something
            before or between the nodes does more than pass on x or h step by step, or sequences
            end early, or an initial state is not zero.
    """

    def __init__(self, graph: Scope, levels: list[Level]) -> None:
        self.graph, self.levels = graph, levels
        self._widths = [levels[0].cells[0].input_size, *(level_width(q.cells) for q in levels)]
        self._random = np.random.default_rng(0)
        self._checked: set[tuple[int, int]] = set()
        self._x, *below = (graph.trace(level.node.input[0])[0] for level in levels)
        axes = self._input_axes()
        if axes is None or below != [level.node.output[0] for level in levels[:-1]]:
            raise UsageError(f"{graph.source} is no stack from an input of it")
        for self.batch_first in (True, False):
            self.sizes = axes if self.batch_first else axes[::-1]
            if self._reaches(0, *next(self._probes())):
                break
        for batch, time in self._probes():
            self.check(batch, time)

    def check(self, batch: int, time: int) -> None:
        """Refuse what is not passed on step by step, or begins or ends otherwise, at these sizes.

        A Slice may be harmless at those that were tried, and cut off what is longer.

        Raises:
            UsageError: it is so.
        """
        if (batch, time) in self._checked:
            return
        for index, level in enumerate(self.levels):
            if not (self._reaches(index, batch, time) and self._is_plain(level, batch, time)):
                raise UsageError(
                    f"{self.graph.source}: x or h is not passed on to {label(level.node)} step by "
                    f"step at batch {batch}, time {time}, from zero states on; run the whole graph:"
                    f" --input {self._x}=X.npy, in Python load(path, whole=True)"
                )
        self._checked.add((batch, time))

    def typical_h(self) -> list[np.ndarray]:
        """Return h of the last node, a short and a long one, at sizes that the file takes."""
        long = tuple(size or more for size, more in zip(self.sizes, (19, 67)))
        both = next(self._probes()), long
        return [marks(self._random, *sizes, self._widths[-1]) for sizes in both]

    def feeds(self, value: np.ndarray, source: int = -1) -> dict[str, np.ndarray]:
        """Return what to evaluate other nodes with.

        Args:
            value: (batch, time, width), what is known.
            source: of what: 0 is x, and n the h of node n - 1.

        Returns:
            x, Y, Y_h and Y_c of all nodes, all NaN but those of the source.
        """
        known = [np.full((*value.shape[:2], width), np.nan) for width in self._widths]
        known[source] = value
        x = known[0] if self.batch_first else known[0].swapaxes(0, 1)
        feeds = {self._x: x.astype(self._x_type)}
        for level, h in zip(self.levels, known[1:]):
            feeds.update(level.outputs(h))
        return feeds

    def write(self, name: str, made: host_graph.Maker) -> str:
        """Write what makes Y or Y_h of the last node of h, or zeros of the shape of another tensor.

        Of other tensors no more than the shape matters: see ``HiddenValueError``.
        """
        top, width = self.levels[-1], self._widths[-1]
        y, y_h = [*top.node.output, ""][:2]
        if name == y:
            parts = np.array([0, 0, len(top.cells), -1])
            y = made.add("Reshape", "h", parts)
            return y if top.batch_major else made.add("Transpose", y, perm=[1, 2, 0, 3])
        if name == y_h:
            sides = made.cells(len(top.cells), width)
            ends = [made.step(h, 0 if c.reverse else -1) for h, c in zip(sides, top.cells)]
            ends = [made.add("Unsqueeze", h, np.array([int(top.batch_major)])) for h in ends]
            return made.add("Concat", *ends, axis=int(top.batch_major))
        axes, sizes = "btx" if self.batch_first else "tbx", {"x": self._widths[0]}
        for level in self.levels:
            if name in level.node.output:
                axes = "btdx" if level.batch_major else "tdbx"
                axes = axes if name == level.node.output[0] else axes.replace("t", "")
                sizes = {"d": len(level.cells), "x": level.cells[0].hidden_size}
        shape: list[Any] = [np.array([sizes[axis]]) if axis in sizes else axis for axis in axes]
        whole = made.add("Shape", "h")
        for at, axis in enumerate("bt"):
            if axis in axes:
                one = made.add("Slice", whole, np.array([at]), np.array([at + 1]))
                shape[axes.index(axis)] = one
        zeros = np.zeros((1,) * len(axes), np.float32)
        return made.add("Expand", zeros, made.add("Concat", *shape, axis=0))

    @property
    def _x_type(self) -> np.dtype:
        """Type of the graph's input; where the file does not say, that of the weights."""
        from onnx import helper

        declared = self.graph.inputs[self._x].type.tensor_type.elem_type
        return helper.tensor_dtype_to_np_dtype(declared) if declared else self.levels[0].kind

    def _input_axes(self) -> tuple[int, int] | None:
        """Return the sizes of the input's two first axes, 0 where the file fixes none.

        None if it is no input of the graph, or not of floats (batch, time, X).
        """
        if self._x not in self.graph.inputs:
            return None
        kind, width = self.graph.inputs[self._x].type.tensor_type, self._widths[0]
        shape = [axis.dim_value for axis in kind.shape.dim] if kind.HasField("shape") else [0, 0, 0]
        values = prod(max(size, 1) for size in shape[:2]) * max(self._widths)
        fits = len(shape) == 3 and min(shape) >= 0 and shape[2] in (0, width)
        fits = fits and values <= _MOST_VALUES and is_float(self._x_type)
        return (shape[0], shape[1]) if fits else None

    def _probes(self) -> Iterator[tuple[int, int]]:
        """Yield batches and times to try, each as it is where the file fixes it."""
        batch, time = self.sizes
        yield from dict.fromkeys((batch or one, time or other) for one, other in PROBES)

    def _reaches(self, index: int, batch: int, time: int) -> bool:
        """Tell whether what is below a node reaches it step by step."""
        level = self.levels[index]
        given = marks(self._random, batch, time, self._widths[index])
        value = self._evaluated(level.node.input[0], self.feeds(given, index))
        return same(value, given if level.batch_major else given.swapaxes(0, 1))

    def _is_plain(self, level: Level, batch: int, time: int) -> bool:
        """Tell whether all sequences run from zero states to the last step.

        A state for one sequence counts for all: where it is zero, nothing else can be meant.
        """
        known = self.feeds(np.full((batch, time, self._widths[-1]), np.nan))
        count, size = len(level.cells), level.cells[0].hidden_size
        states = [(n, count, size) if level.batch_major else (count, n, size) for n in (batch, 1)]
        for index, meant, shapes in ((4, time, [(batch,)]), (5, 0, states), (6, 0, states)):
            tensor = input_of(level.node, index)
            value = self._evaluated(tensor, known) if tensor else np.full(shapes[0], meant)
            if value is None or value.shape not in shapes or (value != meant).any():
                return False
        return True

    def _evaluated(self, tensor: str, known: dict[str, np.ndarray]) -> np.ndarray | None:
        try:
            return self.graph.evaluate(tensor, known, tensor)
        except UsageError:  # it takes something else, or cannot be of these sizes
            return None


@dataclass(frozen=True)
class Head:
    """The nodes after the last LSTM."""

    stack: Stack = field(repr=False)
    output: str

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Compute one output of the graph.

        Args:
            h: (batch, time, hidden) float, the last layer's.

        Returns:
            The output in the shape and type that the graph gives it; float32 for bfloat16.

        Raises:
            UsageError: nothing here computes an op of it as it should, or the file fixes other
                sizes.
        """
        source, sizes = self.stack.graph.source, self.stack.sizes
        host_graph.check_sizes(source, sizes, h)
        value = self.value(h)
        if not isinstance(value, np.ndarray):
            raise UsageError(f"{source}: output {self.output} is a {type(value).__name__}")
        # What NumPy has no type for, few programs read.
        exotic = is_float(value.dtype) and value.dtype.kind != "f"
        return value.astype(np.float32) if exotic else value

    def saved(self) -> host_graph.Head:
        """Give the same as ops that need neither this file nor onnx.

        Raises:
            UsageError: it would not give what this gives.
        """
        stack, graph = self.stack, self.stack.graph
        h = stack.typical_h()[0]
        feeds, made = stack.feeds(h), host_graph.Maker()
        nodes, reads = graph.part(self.output, feeds)
        given = {name: feeds[name] for name in sorted(reads & feeds.keys())}
        for name, value in given.items():
            made.add("Cast", stack.write(name, made), name=name, to=value.dtype.name)
        after = graph.model_of(nodes, given, [self.output])
        rest = host_graph.HostGraph.of_model(after, [*given])
        head = host_graph.Head(graph.source, (made.graph(*given), rest), stack.sizes)
        right, found = self(h), head(h)
        close = (
            right.dtype == found.dtype
            and right.dtype.kind in "fiub"
            and right.shape == found.shape
            and np.allclose(right.astype(float), found.astype(float), rtol=1e-4, atol=1e-5)
        )
        if not close:
            raise UsageError(f"{graph.source}: what follows its LSTM or GRU is not computed alike")
        return head

    def value(self, h: np.ndarray) -> np.ndarray:
        """Compute the output as it is, of whatever type."""
        feeds = self.stack.feeds(h)
        return self.stack.graph.evaluate(self.output, feeds, f"output {self.output}")


def make_head(stack: Stack) -> Head | None:
    """Return what follows the last node: the output that is more than h itself.

    An output beside the first counts only if something is computed for it, for the states after
    the last step are none.

    Returns:
        None when all that comes out is h itself in whatever order of axes.

    Raises:
        UsageError: an output takes more than h, as the c of the last step, or there are several.
    """
    states = {name for level in stack.levels for name in level.node.output}
    heads = []
    for index, output in enumerate(stack.graph.outputs):
        if index and stack.graph.trace(output)[0] in states:
            continue
        head = Head(stack, output)
        try:
            values = [(head.value(h), h) for h in stack.typical_h()]
            if all(same(value, h) or same(value, h.swapaxes(0, 1)) for value, h in values):
                continue
        except HiddenValueError:
            raise
        except UsageError:
            pass  # it tells what is wrong to whom wants the head; h needs none
        heads.append(head)
    if len(heads) > 1:
        raise UsageError(f"{stack.graph.source} computes {len(heads)} outputs of h")
    return heads[0] if heads else None


def input_of(node: NodeProto, index: int) -> str:
    """Return the name of a node's input, empty where it has none there."""
    return node.input[index] if len(node.input) > index else ""
