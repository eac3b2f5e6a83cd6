"""ONNX graphs with recurrent nodes, drawn at random, and what ONNX Runtime makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from lstm_sharp.model import load
from lstm_sharp.model.graph import Graph

onnx: Any = pytest.importorskip("onnx")
onnxruntime: Any = pytest.importorskip("onnxruntime")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

NEWEST = 26
"""The newest opset that this ONNX Runtime computes."""
CLOSE = {"float": 1e-5, "double": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}
"""Largest error, as a share of the output's largest value, by the type of all floats of a graph."""


class Case(NamedTuple):
    """A drawn graph."""

    model: onnx.ModelProto
    twin: onnx.ModelProto
    """The same in float32 and layout 0, which is what ONNX Runtime computes of LSTM and GRU."""
    feeds: dict[str, np.ndarray]
    twin_feeds: dict[str, np.ndarray]
    kind: str
    """Type of all floats."""

    def expected(self) -> list[np.ndarray]:
        return runtime(self.twin).run(None, self.twin_feeds)

    def load(self, path: Path) -> Graph:
        onnx.save(self.model, path)
        graph = load(path, whole=True)
        assert isinstance(graph, Graph)
        return graph

    def check(self, found: Mapping[str, np.ndarray], close: float = 0) -> None:
        """Compare all outputs with those of ONNX Runtime, to ``close`` or what floats allow."""
        assert list(found) == [value.name for value in self.model.graph.output]
        for (name, value), want in zip(found.items(), self.expected()):
            assert value.shape == want.shape, (name, value.shape, want.shape)
            error = np.abs(value.astype(float) - want).max(initial=0)
            most = (close or CLOSE[self.kind]) * max(np.abs(want).max(initial=0), 0.1)
            assert error <= most, (name, error, most)
            assert want.dtype == np.float32 or value.dtype == want.dtype, (name, value.dtype)


def runtime(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


class Layer(NamedTuple):
    """A recurrent node in the form of layout 0, whatever its own."""

    y: str
    y_h: str
    y_c: str
    """Empty for a GRU."""
    width: int
    """Of all directions together."""
    h: str
    """(time, batch, width)."""


class Draw:
    """A graph under construction; the same seed makes the same one, and its twin."""

    def __init__(
        self, seed: Sequence[int], twin: bool, kind: str, opsets: tuple[int, int], steps: int
    ) -> None:
        self.rng, self.twin = np.random.default_rng(seed), twin
        self.opset = int(self.rng.integers(opsets[0], opsets[1] + 1))
        self.kind = kind
        self.float = TensorProto.FLOAT if twin else getattr(TensorProto, kind.upper())
        self.type = helper.tensor_dtype_to_np_dtype(self.float)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[str] = []
        self.functions: list[onnx.FunctionProto] = []
        self.feeds: dict[str, np.ndarray] = {}
        self._names = 0
        self.time, self.batch = steps or self.size(), self.size(4)

    # What is drawn

    def size(self, most: int = 6) -> int:
        return int(self.rng.integers(1, most + 1))

    def chance(self, share: float = 0.5) -> bool:
        return bool(self.rng.random() < share)

    def one_of(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def numbers(self, *shape: int) -> np.ndarray:
        """Draw numbers in [-1, 1] that every float type holds."""
        return self.rng.integers(-64, 65, shape) / 64

    # What a graph is made of

    def name(self, of: str = "t") -> str:
        self._names += 1
        return f"{of}{self._names}"

    def op(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **told: Any) -> Any:
        """Add a node, mostly without a name; return its outputs' names, or the one."""
        made = [self.name() for _ in range(outputs)]
        name = self.one_of("", "", self.name(op))
        self.nodes.append(helper.make_node(op, inputs, made, name, domain=domain, **told))
        return made[0] if outputs == 1 else made

    def constant(self, value: Any, constant: bool | None = None) -> str:
        """Add an initializer, or a Constant."""
        value = np.asarray(value)
        value = value.astype(self.type if value.dtype.kind == "f" else value.dtype)
        tensor = numpy_helper.from_array(value, self.name())
        if self.chance(0.3) if constant is None else constant:
            return self.op("Constant", value=tensor)
        self.initializers.append(tensor)
        return tensor.name

    def input(self, name: str, value: np.ndarray, *axes: int | str | None) -> str:
        value = value.astype(self.type if value.dtype.kind == "f" else value.dtype)
        axes = axes or tuple(self.one_of(None, size) for size in value.shape)
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        self.inputs.append(helper.make_tensor_value_info(name, kind, axes))
        self.feeds[name] = value
        return name

    def x(self, *shape: int) -> str:
        """Add the input x, (time, batch, X) or of another shape."""
        shape = shape or (self.time, self.batch, self.size())
        return self.input("x", self.numbers(*shape))

    def with_axes(self, op: str, x: str, *axes: int) -> str:
        """Squeeze or Unsqueeze."""
        if self.opset < 13:
            return self.op(op, x, axes=axes)
        return self.op(op, x, self.constant(np.array(axes)))

    def slice(self, x: str, begin: int, end: int, axis: int) -> str:
        if self.opset < 10:
            return self.op("Slice", x, starts=[begin], ends=[end], axes=[axis])
        return self.op("Slice", x, *(self.constant([at]) for at in (begin, end, axis)))

    def body(self, make: Callable[..., Sequence[str]], *inputs: int) -> onnx.GraphProto:
        """Make the body of a node.

        Args:
            make: makes it of the names of its inputs, and gives the names of its outputs.
            inputs: their types.
        """
        outer = self.nodes, self.initializers
        self.nodes, self.initializers = [], []
        names = [self.name("in") for _ in inputs]
        outputs = make(*names)
        typed = [
            helper.make_tensor_value_info(n, k, None if k == self.float else [])
            for n, k in zip(names, inputs)
        ]
        ends = [onnx.ValueInfoProto(name=name) for name in outputs]
        made = helper.make_graph(self.nodes, self.name("body"), typed, ends, self.initializers)
        self.nodes, self.initializers = outer
        return made

    def weight(self, value: np.ndarray) -> str:
        """Add a weight, which a file may hold in many ways."""
        ways = ["plain", "plain", "Identity", "Concat", "Slice", "Cast"]
        ways += ["Transpose"] * (value.ndim == 3)
        ways += ["DequantizeLinear"] * 2 * (self.opset >= 13 and self.kind == "float")
        way = self.one_of(*ways)
        if way == "Identity":
            return self.op("Identity", self.constant(value))
        if way == "Concat":
            half = value.shape[-1] // 2
            return self.op("Concat", *(map(self.constant, np.split(value, [half], -1))), axis=-1)
        if way == "Slice":
            more = np.concatenate([self.numbers(*value.shape), value], 1)
            return self.slice(self.constant(more), value.shape[1], 1 << 30, 1)
        if way == "Cast":
            half = numpy_helper.from_array(value.astype(np.float16), self.name())
            self.initializers.append(half)
            return self.op("Cast", half.name, to=self.float)
        if way == "Transpose":
            return self.op("Transpose", self.constant(value.swapaxes(1, 2)), perm=[0, 2, 1])
        if way == "DequantizeLinear":
            by = self.chance()
            scale = np.array([1 / 64] * value.shape[1] if by else 1 / 64, np.float32)
            zero = np.full(scale.shape, 0 if by else 3, np.int8)
            whole = np.array(64 * value + int(zero.flat[0]), np.int8)
            held = map(self.constant, (whole, scale, zero))
            return self.op("DequantizeLinear", *held, **({"axis": 1} if by else {}))
        return self.constant(value)

    def recurrent(
        self,
        x: str,
        width: int,
        op: str = "",
        hidden: int = 0,
        directions: int = 0,
        lengths: str | None = None,
        states: tuple[str, ...] | None = None,
        scaled: float = 1.0,
    ) -> Layer:
        """Add a recurrent node.

        Args:
            x: (time, batch, width).
            width: of it.
            op: LSTM or GRU; this and what follows is drawn by default.
            hidden: units.
            directions: 1 or 2.
            lengths: sequence_lens, or the empty name.
            states: initial h and c.
            scaled: what weights are multiplied by, a power of two.
        """
        op = op or self.one_of("LSTM", "LSTM", "GRU")
        hidden, directions = hidden or self.size(), directions or self.size(2)
        gates, turned = (4 if op == "LSTM" else 3), self.opset >= 14 and self.chance(0.3)
        told: dict[str, Any] = {"hidden_size": hidden}
        told["direction"] = "bidirectional"
        if directions == 1:
            told["direction"] = self.one_of("forward", "reverse")
        if op == "GRU":
            told["linear_before_reset"] = 1
        elif self.chance(0.2):
            told["input_forget"] = 1
        if self.chance(0.2):
            usual = ["Sigmoid", "Tanh", "Tanh"] if op == "LSTM" else ["Sigmoid", "Tanh"]
            told["activations"] = usual * directions
        if self.chance(0.2):
            told["clip"] = 40.0
        if lengths is None:
            lengths = self.lengths() if self.chance(0.3) else ""
        if states is None:
            given = [self.chance(0.4) for _ in range(gates - 2)]
            states = tuple(self.state(directions, hidden) if one else "" for one in given)
        if turned:
            told["layout"] = 1
            x = self.turned(x, [1, 0, 2])
            states = tuple(name and self.turned(name, [1, 0, 2]) for name in states)
        weights = [self.numbers(directions, gates * hidden, n) * scaled for n in (width, hidden)]
        bias = self.numbers(directions, 2 * gates * hidden)
        inputs = [x, *map(self.weight, weights), self.weight(bias) if self.chance(0.8) else ""]
        inputs += [lengths, *states, *[""] * (gates - 2 - len(states))]
        if op == "LSTM" and self.chance(0.2):
            inputs.append(self.constant(np.zeros((directions, 3 * hidden))))
        if self.twin:
            told.pop("layout", None)
        y, y_h, *more = self.op(op, *inputs, outputs=gates - 1, **told)
        if turned:
            y, y_h, *more = (
                self.turned(name, perm)
                for name, perm in zip((y, y_h, *more), ([1, 2, 0, 3], [1, 0, 2], [1, 0, 2]))
            )
        if directions == 1:
            h = self.with_axes("Squeeze", y, 1)
        else:
            swapped = self.op("Transpose", y, perm=[0, 2, 1, 3])
            h = self.op("Reshape", swapped, self.constant(np.array([0, 0, -1])))
        return Layer(y, y_h, more[0] if more else "", directions * hidden, h)

    def turned(self, name: str, perm: list[int]) -> str:
        """Transpose around a node of layout 1; its twin has layout 0, and needs none."""
        made = self.op("Transpose", name, perm=perm)
        if self.twin:
            self.nodes[-1].CopyFrom(helper.make_node("Identity", [name], [made]))
        return made

    def lengths(self) -> str:
        """Draw sequence_lens, an input or an initializer."""
        steps = self.rng.integers(0, self.time + 1, self.batch).astype(np.int32)
        return self.constant(steps) if self.chance() else self.input(self.name("lens"), steps)

    def state(self, directions: int, hidden: int) -> str:
        """Draw an initial state: an input, an initializer, or zeros that are computed."""
        shape = directions, self.batch, hidden
        if self.chance(0.3) and self.opset >= 9:
            return self.op("ConstantOfShape", self.constant(np.array(shape)), **self.zero())
        value = self.numbers(*shape)
        return self.constant(value) if self.chance(0.3) else self.input(self.name("s"), value)

    def zero(self) -> dict[str, onnx.TensorProto]:
        return {"value": numpy_helper.from_array(np.zeros(1, self.type))}

    def model(self) -> onnx.ModelProto:
        ends = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(self.outputs)]
        graph = helper.make_graph(self.nodes, "drawn", self.inputs, ends, self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid("own", 1)] * bool(self.functions)
        version = 10 if self.opset > 21 else 8
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=version, functions=self.functions
        )


# Kinds of graphs


def single(g: Draw) -> None:
    x = g.x()
    layer = g.recurrent(x, g.feeds["x"].shape[-1])
    used = [name for name in layer[:3] if name]
    g.outputs += [name for name in used if g.chance(0.7)] or used[:1]


def stack(g: Draw) -> None:
    x, op, lengths = g.x(), g.one_of("LSTM", "GRU"), g.one_of("", "", None)
    lengths = g.lengths() if lengths is None else ""
    width = g.feeds["x"].shape[-1]
    for _ in range(g.size(2) + 1):
        layer = g.recurrent(x, width, op, lengths=lengths)
        g.outputs += [name for name in layer[1:3] if name and g.chance(0.3)]
        x, width = layer.h, layer.width
    g.outputs.append(x)


def between(g: Draw) -> None:
    x = g.x()
    lower = g.recurrent(x, g.feeds["x"].shape[-1])
    h, width = lower.h, lower.width
    what = g.one_of("Relu", "residual", "Conv", "MatMul", "last")
    if what == "Relu":
        h = g.op("Relu", h)
    elif what == "residual":
        h = g.op("Add", h, g.op("MatMul", x, g.constant(g.numbers(g.feeds["x"].shape[-1], width))))
    elif what == "Conv":
        wide = g.op("Transpose", h, perm=[1, 2, 0])
        wide = g.op("Conv", wide, g.weight(g.numbers(width, width, 3)), pads=[1, 1])
        h = g.op("Transpose", wide, perm=[2, 0, 1])
    elif what == "MatMul":
        h = g.op("MatMul", h, g.constant(g.numbers(width, 5)))
        width = 5
    else:  # the last step of all goes to each
        h = g.op("Mul", h, g.slice(h, -1, 1 << 30, 0))
    upper = g.recurrent(h, width)
    g.outputs += [upper.h, *[lower.y_h] * g.chance()]


def side(g: Draw) -> None:
    x = g.x()
    sides = [g.recurrent(x, g.feeds["x"].shape[-1]) for _ in range(2)]
    g.outputs.append(g.op("Concat", *(one.h for one in sides), axis=2))
    g.outputs += [name for one in sides for name in one[1:3] if name and g.chance(0.3)]


def encoder(g: Draw) -> None:
    x, op = g.x(), g.one_of("LSTM", "GRU")
    first = g.recurrent(x, g.feeds["x"].shape[-1], op)
    count, size = (2, first.width // 2) if g.nodes[-1].op_type == "Reshape" else (1, first.width)
    states = (first.y_h, first.y_c)[: 2 if op == "LSTM" else 1]
    z = g.input("z", g.numbers(g.time, g.batch, 3))
    second = g.recurrent(z, 3, op, size, count, states=states)
    third = g.recurrent(second.h, second.width, op, size, count, states=states)
    g.outputs += [third.h, *([second.h] * g.chance())]


def attention(g: Draw) -> None:
    x = g.x()
    layer = g.recurrent(x, g.feeds["x"].shape[-1])
    rows = g.op("Transpose", layer.h, perm=[1, 0, 2])
    columns = g.op("Transpose", layer.h, perm=[1, 2, 0])
    shares = g.op("Softmax", g.op("MatMul", rows, columns), axis=2)
    context = g.op("Transpose", g.op("MatMul", shares, rows), perm=[1, 0, 2])
    g.outputs += [g.recurrent(context, layer.width).h, shares]


def branch(g: Draw) -> None:
    x, width = g.x(), g.feeds["x"].shape[-1]
    outer = g.recurrent(x, width) if g.chance() else None
    h, width = (outer.h, outer.width) if outer else (x, width)
    deep = g.chance(0.3)

    def condition() -> str:
        way = g.one_of("input", "constant", "shape")
        if way == "input":
            return g.input(g.name("c"), np.array(g.chance()))
        if way == "constant":
            return g.constant(np.array(g.chance()))
        time = g.op("Gather", g.op("Shape", x), g.constant(np.array(0)))
        return g.op("Less", g.op("Cast", time, to=1), g.op("Cast", g.constant(3), to=1))

    def one(left: int = 1) -> list[str]:
        if left and deep:
            return [choice(left - 1)]
        return [g.recurrent(h, width, hidden=3, directions=1, lengths="", states=()).h]

    def choice(left: int) -> str:
        return g.op(
            "If",
            condition(),
            then_branch=g.body(lambda: one(left)),
            else_branch=g.body(lambda: one(0) if g.chance() else [g.op("Relu", one(0)[0])]),
        )

    g.outputs.append(g.op("Relu", choice(1)) if g.chance() else choice(1))


def loop(g: Draw) -> None:
    x, width = g.x(), g.feeds["x"].shape[-1]
    size, count, op = g.size(), g.size(2), g.one_of("LSTM", "GRU")
    states = [g.state(count, size) for _ in range(2 if op == "LSTM" else 1)]
    bound = g.constant(np.array(g.size(3)))
    turns = g.input("turns", np.array(g.size(4))) if g.chance() else g.constant(np.array(g.size()))

    def body(turn: str, goes_on: str, *carried: str) -> list[str]:
        layer = g.recurrent(x, width, op, size, count, lengths="", states=carried)
        on = g.op("Identity", goes_on)
        if g.opset >= 9 and g.chance():
            on = g.op("Less", turn, bound)
        return [on, layer.y_h, *filter(None, [layer.y_c]), layer.h]

    made = g.body(body, TensorProto.INT64, TensorProto.BOOL, *[g.float] * len(states))
    yes = g.constant(np.array(True)) if g.chance() else ""
    g.outputs += g.op("Loop", turns, yes, *states, outputs=len(states) + 1, body=made)


def scan(g: Draw) -> None:
    width, size, count, op = g.size(), g.size(), g.size(2), g.one_of("LSTM", "GRU")
    axis = g.size(4) - 1
    shape = [g.time, g.batch, width]
    x = g.x(*shape[:axis], g.size(4), *shape[axis:])
    states = [g.state(count, size) for _ in range(2 if op == "LSTM" else 1)]

    def body(*names: str) -> list[str]:
        layer = g.recurrent(names[-1], width, op, size, count, lengths="", states=names[:-1])
        return [layer.y_h, *filter(None, [layer.y_c]), layer.h, g.op("Relu", layer.y)]

    made = g.body(body, *[g.float] * (len(states) + 1))
    told: dict[str, Any] = {"num_scan_inputs": 1, "scan_input_axes": [axis]}
    if g.chance():
        told["scan_input_directions"] = [g.size(2) - 1]
    if g.chance():
        told["scan_output_axes"] = [g.one_of(0, 3, -1), g.one_of(0, 1)]
    if g.chance():
        told["scan_output_directions"] = [1, 0]
    g.outputs += g.op("Scan", *states, x, outputs=len(states) + 2, body=made, **told)


def noise(g: Draw) -> None:
    """What exporters write around a layer: batch first, shapes computed, the last step, a head."""
    x = g.x(g.batch, g.time, g.size())
    size, count = g.size(), g.size(2)
    batch = g.op("Gather", g.op("Shape", x), g.constant(np.array(0)), axis=0)
    parts = [g.constant([count]), g.with_axes("Unsqueeze", batch, 0), g.constant([size])]
    shape = g.op("Concat", *parts, axis=0)
    zeros = g.op("Expand", g.constant(np.zeros((1, 1, 1))), shape)
    first = g.op("Transpose", x, perm=[1, 0, 2])
    layer = g.recurrent(first, g.feeds["x"].shape[-1], "LSTM", size, count, "", (zeros, zeros))
    steps = g.op("Transpose", layer.h, perm=[1, 0, 2])
    what = g.one_of("last", "first", "mean", "all", "c", "flat")
    if what in ("last", "first"):
        steps = g.op("Gather", steps, g.constant(np.array(-(what == "last"))), axis=1)
    elif what == "mean":
        steps = g.op("GlobalAveragePool", g.op("Transpose", layer.h, perm=[1, 2, 0]))
        steps = g.with_axes("Squeeze", steps, 2)
    elif what == "c":
        steps = g.op("Flatten", g.op("Transpose", layer.y_c, perm=[1, 0, 2]))
    elif what == "flat":
        steps = g.op("Reshape", steps, g.constant(np.array([-1, layer.width])))
    g.outputs.append(g.op("MatMul", steps, g.constant(g.numbers(layer.width, 3))))


def function(g: Draw) -> None:
    op, size, width = g.one_of("LSTM", "GRU"), g.size(), g.size()
    gates = 4 if op == "LSTM" else 3
    told = {"hidden_size": size, **({} if op == "LSTM" else {"linear_before_reset": 1})}
    inner = [
        helper.make_node(op, ["a", "W", "R", "B"], ["Y", "last"], **told),
        helper.make_node("Relu", ["Y"], ["out"]),
    ]
    opsets = [helper.make_opsetid("", g.opset)]
    make = helper.make_function
    g.functions.append(make("own", "Layer", ["a", "W", "R", "B"], ["out", "last"], inner, opsets))
    x = g.x(g.time, g.batch, width)
    for _ in range(2):
        shapes = (1, gates * size, width), (1, gates * size, size), (1, 2 * gates * size)
        weights = [g.constant(g.numbers(*shape), constant=False) for shape in shapes]
        y, last = g.op("Layer", x, *weights, outputs=2, domain="own")
        g.outputs += [y, last]


def inputs(g: Draw) -> None:
    """Numbers of words, a mask, and a second input."""
    width = g.size()
    ids = g.input("ids", g.rng.integers(0, 9, (g.time, g.batch)), "steps", "batch")
    x = g.op("Gather", g.constant(g.numbers(9, width)), ids)
    mask = g.input("mask", g.rng.random((g.time, g.batch, 1)) < 0.7, "steps", "batch", 1)
    x = g.op("Mul", x, g.op("Cast", mask, to=g.float))
    layer = g.recurrent(x, width)
    gain = g.input("gain", g.numbers(1))
    g.outputs += [g.op("Mul", layer.h, gain), layer.y_h, g.op("Not", mask)]


def sequence(g: Draw) -> None:
    """A list of tensors goes around the layer, from one piece of the host to the next."""
    x, width = g.x(), g.feeds["x"].shape[-1]
    pieces = g.op("SplitToSequence", g.op("Relu", x), axis=0)
    layer = g.recurrent(g.op("ConcatFromSequence", pieces, axis=0), width)
    back = g.op("MatMul", layer.h, g.constant(g.numbers(layer.width, width)))
    g.outputs.append(g.op("ConcatFromSequence", g.op("SequenceInsert", pieces, back), axis=0))


def ends(g: Draw) -> None:
    """Outputs that are inputs or initializers, and layers that no output needs."""
    x, width = g.x(), g.feeds["x"].shape[-1]
    layer, _ = g.recurrent(x, width), g.recurrent(x, width)
    g.outputs += [layer.h, x, g.constant(g.numbers(2), constant=False), layer.h]


KINDS: dict[str, tuple[Callable[[Draw], None], int]] = {
    "single": (single, 7),
    "stack": (stack, 7),
    "between": (between, 7),
    "side": (side, 7),
    "encoder": (encoder, 7),
    "attention": (attention, 7),
    "branch": (branch, 7),
    "loop": (loop, 7),
    "scan": (scan, 9),
    "noise": (noise, 9),
    "function": (function, 8),
    "inputs": (inputs, 7),
    "sequence": (sequence, 11),
    "ends": (ends, 7),
}
"""What makes a graph of each kind, and the oldest opset that has what it takes."""


def draw(name: str, seed: int, kind: str = "float", steps: int = 0) -> Case:
    """Draw a graph.

    Args:
        name: one of ``KINDS``.
        seed: any.
        kind: type of all floats.
        steps: of x; 0: 1 to 6 of them.
    """
    make, oldest = KINDS[name]
    opsets = (22 if kind == "bfloat16" else oldest), NEWEST
    made = []
    for twin in (False, True):
        g = Draw([seed, list(KINDS).index(name)], twin, kind, opsets, steps)
        make(g)
        made.append(g)
    own, other = made
    return Case(own.model(), other.model(), own.feeds, other.feeds, kind)
