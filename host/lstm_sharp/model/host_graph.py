"""What the host computes beside an engine, in ONNX's words: by NumPy, so that a board can.

Ops that NumPy has no short word for are left to ONNX Runtime, which not every board has.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import erf, pi, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import parse_json, why
from lstm_sharp.model.common import some
from lstm_sharp.model.onnx_file import attributes_of, opset_of
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator

if TYPE_CHECKING:
    from onnx import ModelProto

MARK = "graphs"
"""Of an archive's JSON, beside the arrays that it names."""


def _axes(axes: Any) -> tuple[int, ...] | None:
    return None if axes is None or not np.size(axes) else tuple(np.atleast_1d(axes).tolist())


def _gemm(
    a: Any, b: Any, c: Any = 0, alpha: float = 1, beta: float = 1, transA: int = 0, transB: int = 0
) -> Any:
    return alpha * ((a.T if transA else a) @ (b.T if transB else b)) + beta * c


def _slice(x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    places = [slice(None)] * x.ndim
    which = range(len(starts)) if axes is None else axes
    for axis, *place in zip(which, starts, ends, [1] * len(starts) if steps is None else steps):
        places[axis] = slice(*map(int, place))
    return x[tuple(places)]


def _reshape(x: Any, shape: Any, allowzero: int = 0) -> Any:
    sizes = [int(size) if size or allowzero else x.shape[axis] for axis, size in enumerate(shape)]
    return x.reshape(sizes)


def _reduced(by: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, axes=None, keepdims=1: by(x, axis=_axes(axes), keepdims=bool(keepdims))


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def _log_softmax(x: Any, axis: int = -1) -> Any:
    x = x - x.max(axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def _normalised(x: Any, scale: Any, bias: Any = 0, axis: int = -1, epsilon: float = 1e-5) -> Any:
    over = tuple(range(axis % x.ndim, x.ndim))
    mean, variance = x.mean(over, keepdims=True), x.var(over, keepdims=True)
    return (x - mean) / np.sqrt(variance + x.dtype.type(epsilon)) * scale + bias


def _batch_normalised(x: Any, *own: Any, epsilon: float = 1e-5) -> Any:
    scale, b, mean, var = (v.reshape(-1, *[1] * (x.ndim - 2)) for v in own)
    return (x - mean) / np.sqrt(var + var.dtype.type(epsilon)) * scale + b


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        inner = np.tanh(x.dtype.type(sqrt(2 / pi)) * (x + x.dtype.type(0.044715) * x**3))
    else:
        inner = OPS["Erf"](x * x.dtype.type(sqrt(0.5)))
    return x * (1 + inner) / 2


OPS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "MatMul": np.matmul,
    "Max": np.maximum,
    "Min": np.minimum,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Tanh": np.tanh,
    "Div": lambda a, b: (a / b if a.dtype.kind == "f" else np.trunc(a / b)).astype(a.dtype),
    "Pow": lambda a, b: np.power(a, b).astype(a.dtype),
    "Greater": np.greater,
    "Less": np.less,
    "Equal": np.equal,
    "Not": np.logical_not,
    "Where": lambda which, a, b: np.where(which, a, b),
    "Identity": lambda x: x,
    "Dropout": lambda x, *_: x,
    "Gemm": _gemm,
    "Relu": lambda x: np.maximum(x, 0),
    "LeakyRelu": lambda x, alpha=0.01: np.where(x < 0, alpha * x, x).astype(x.dtype),
    "Elu": lambda x, alpha=1.0: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
    "Sigmoid": lambda x: (np.tanh(x / 2) + 1) / 2,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: np.clip(alpha * x + beta, 0, 1),
    "Softplus": lambda x: np.logaddexp(x, np.zeros_like(x)),
    "Erf": lambda x: np.vectorize(erf, otypes=[x.dtype])(x),
    "Gelu": _gelu,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
    "LayerNormalization": _normalised,
    "BatchNormalization": _batch_normalised,
    "ReduceMean": _reduced(np.mean),
    "ReduceMax": _reduced(np.max),
    "ReduceSum": _reduced(np.sum),
    "ArgMax": lambda x, axis=0, keepdims=1: np.argmax(x, axis=axis, keepdims=bool(keepdims)),
    "Cast": lambda x, to: x.astype(to),
    "Clip": _clip,
    "Shape": lambda x: np.array(x.shape),
    "Reshape": _reshape,
    "Flatten": lambda x, axis=1: x.reshape(int(np.prod(x.shape[:axis])), -1),
    "Transpose": lambda x, perm=None: x.transpose(perm),
    "Squeeze": lambda x, axes=None: np.squeeze(x, _axes(axes)),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, _axes(axes) or ()),
    "Concat": lambda *xs, axis: np.concatenate(xs, axis),
    "Gather": lambda x, indices, axis=0: np.take(x, indices, axis),
    "Slice": _slice,
    "Expand": lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape))),
}
"""Ops and what computes them: inputs in their order, attributes by their names."""
_TYPES = {"float": "float32", "double": "float64"}
_TYPES |= {name: name for name in ("float16", "int8", "uint8", "int32", "int64", "bool")}
"""Types to cast to, by ONNX's names."""
_NUMBERS: dict[str, Any] = dict.fromkeys(("value_int", "value_ints"), np.int64)
_NUMBERS |= dict.fromkeys(("value_float", "value_floats"), np.float32)
"""Numbers that a Constant may have instead of a tensor."""
_CONSTANT = {"value", *_NUMBERS}
_USUAL = {"noop_with_empty_axes": 0, "training_mode": 0, "stash_type": 1, "start": 0}
"""Attributes, beside the momentum of training, whose usual value says nothing."""
_ALL_AXES = {"Softmax", "LogSoftmax"}
"""Ops that below opset 13 take all axes from ``axis`` on for one."""


@dataclass(frozen=True)
class Op:
    """One op of a graph."""

    op: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    told: Mapping[str, Any] = field(default_factory=dict)
    """Attributes: numbers, text or lists of these."""


@dataclass(frozen=True, eq=False)
class HostGraph:
    """Ops that the host computes.

    Attributes:
        ops: in their order.
        reads, makes: names of what goes in and comes out.
        constants: arrays by name.
        onnx: the same as a file, where NumPy does not know an op.
    """

    ops: tuple[Op, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    onnx: bytes = b""

    def __call__(self, given: Mapping[str, Any]) -> list[Any]:
        """Compute what comes out, in its order.

        Raises:
            UsageError: an op is left to ONNX Runtime, and that is not there.
            Exception: whatever an op runs into.
        """
        if self.onnx:
            return self._evaluator({name: given[name] for name in self.reads})
        values: dict[str, Any] = {**self.constants, **given, "": None}
        with np.errstate(all="ignore"):  # ONNX's ops warn of nothing
            for op in self.ops:
                values[op.makes[0]] = OPS[op.op](*(values[name] for name in op.reads), **op.told)
        return [values[name] for name in self.makes]

    @cached_property
    def _evaluator(self) -> Evaluator:
        try:
            return make_evaluator(self.onnx)
        except ImportError:
            names = some(op.op for op in self.ops if op.op not in OPS)
            raise UsageError(
                f"{names or 'it'} is computed by ONNX Runtime, which is not installed here; run "
                "pip install onnxruntime, or take h and compute the rest elsewhere"
            ) from None

    @classmethod
    def of_model(cls, model: ModelProto, reads: Sequence[str]) -> HostGraph:
        """Take a graph over from ONNX, for NumPy if that computes all of it as ONNX means it."""
        from onnx import TensorProto, numpy_helper

        constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        opset = opset_of(model)
        ops, plain = [], True
        for node in model.graph.node:
            told = attributes_of(node)
            if node.op_type == "Constant" and len(told) == 1 and told.keys() <= _CONSTANT:
                ((kind, value),) = told.items()
                tensor = kind == "value"
                held = numpy_helper.to_array(value) if tensor else np.array(value, _NUMBERS[kind])
                constants[node.output[0]] = held
                continue
            if node.op_type == "Cast" and told.get("to") in TensorProto.DataType.values():
                to = TensorProto.DataType.Name(told["to"]).lower()
                told["to"] = _TYPES.get(to, told["to"])
            for name, value in told.items():
                told[name] = value.decode() if isinstance(value, bytes) else value
            told = {n: v for n, v in told.items() if n != "momentum" and _USUAL.get(n) != v}
            ops.append(Op(node.op_type, tuple(node.input), tuple(node.output), told))
            plain &= _is_plain(ops[-1], opset)
        kinds = {value.dtype.name for value in constants.values()}
        plain &= not model.functions and kinds.isdisjoint({"bfloat16", "object"})
        made = tuple(value.name for value in model.graph.output)
        if plain:
            return cls(tuple(ops), tuple(reads), made, constants)
        ops = [Op(op.op, op.reads, op.makes) for op in ops]
        return cls(tuple(ops), tuple(reads), made, {}, model.SerializeToString())


def _is_plain(op: Op, opset: int) -> bool:
    """Tell whether ``OPS`` computes an op, with all that it is told."""
    if op.op not in OPS or len([*filter(None, op.makes)]) > 1:
        return False
    computes = OPS[op.op]
    if isinstance(computes, np.ufunc):
        return not op.told and len(op.reads) == computes.nin
    if op.op in _ALL_AXES and opset < 13 and op.told.get("axis") != -1:
        return False
    parameters = inspect.signature(computes).parameters.values()
    named = {p.name for p in parameters if p.kind is not p.VAR_POSITIONAL}
    if op.op == "Cast" and not isinstance(op.told.get("to"), str):
        return False
    # A list is JSON's, too; a tensor, or text in bytes, is not.
    simple = all(isinstance(value, int | float | str | list) for value in op.told.values())
    return simple and named.issuperset(op.told)


@dataclass(frozen=True, eq=False)
class Head:
    """What the host computes of the last level's h, in a form that files hold.

    Graphs, one after the other: the first reads ``h``, the last makes one output.
    """

    source: str
    """What errors call the model."""
    graphs: tuple[HostGraph, ...]
    sizes: tuple[int, int] = (0, 0)
    """Batch and time that alone it is right for, 0 for any."""
    note: str = ""
    """What was taken for granted in making it, for whoever has the file."""

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Compute the output.

        Args:
            h: (batch, time, hidden) float.

        Raises:
            UsageError: it cannot be computed, for example not at this batch and time.
        """
        check_sizes(self.source, self.sizes, h)
        values: dict[str, Any] = {"h": h}
        try:
            for graph in self.graphs:
                values.update(zip(graph.makes, graph(values)))
        except Exception as error:
            ops = some(op.op for graph in self.graphs for op in graph.ops)
            raise UsageError(
                f"{self.source}: what follows the recurrent layers ({ops}) cannot be computed of "
                f"h {h.shape}: {why(error)}"
            ) from error
        found = np.asarray(values[self.graphs[-1].makes[0]])
        return found.astype(np.float32) if found.dtype.kind == "V" else found


def check_sizes(source: str, sizes: tuple[int, int], h: np.ndarray) -> None:
    """Refuse h (batch, time, hidden) at sizes that a head is not for; of those 0 is any.

    Raises:
        UsageError: it is so.
    """
    if any(size not in (0, given) for size, given in zip(sizes, h.shape)):
        raise UsageError(
            f"{source}: what follows the LSTM works for batch, time {sizes} (0 is any) only, not "
            f"{h.shape[:2]}; export with dynamic axes"
        )


def to_arrays(graphs: Sequence[HostGraph]) -> dict[str, np.ndarray]:
    """Give graphs as arrays for an .npz file: their constants, files and, as bytes, JSON."""
    held: dict[str, np.ndarray] = {}

    def kept(value: np.ndarray) -> str:
        held[key := f"graphs.{len(held)}"] = value
        return key

    told = [
        {
            "ops": [[op.op, op.reads, op.makes, dict(op.told)] for op in graph.ops],
            "reads": graph.reads,
            "makes": graph.makes,
            "constants": {name: kept(value) for name, value in graph.constants.items()},
            "onnx": kept(np.frombuffer(graph.onnx, np.uint8)) if graph.onnx else "",
        }
        for graph in graphs
    ]
    return {MARK: np.frombuffer(json.dumps(told).encode(), np.uint8), **held}


def from_arrays(tensors: Mapping[str, Callable[[], np.ndarray]]) -> tuple[HostGraph, ...]:
    """Read what ``to_arrays`` gave.

    Raises:
        Exception: anything, where it is damaged.
    """
    graphs = []
    for told in parse_json(tensors[MARK]().tobytes(), MARK):
        ops = tuple(Op(o, tuple(r), tuple(m), dict(t)) for o, r, m, t in told["ops"])
        data = tensors[told["onnx"]]().tobytes() if told["onnx"] else b""
        unknown = [op.op for op in ops if op.op not in OPS]
        if unknown and not data:
            raise ValueError(f"{some(unknown)} is no op")
        constants = {str(name): tensors[key]() for name, key in told["constants"].items()}
        graphs.append(HostGraph(ops, tuple(told["reads"]), tuple(told["makes"]), constants, data))
    return tuple(graphs)


class Maker:
    """Writes a graph of ``h``, op by op; names of its own begin with a space."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, op: str, *reads: str | np.ndarray, name: str = "", **told: Any) -> str:
        """Add an op of tensors, by name, and of constants; return the name of what it makes."""
        names = []
        for read in reads:
            if isinstance(read, np.ndarray):
                self.constants[key := f" c{len(self.constants)}"] = read
                names.append(key)
            else:
                names.append(read)
        self.ops.append(Op(op, tuple(names), (name or f" t{len(self.ops)}",), told))
        return self.ops[-1].makes[0]

    def graph(self, *makes: str) -> HostGraph:
        """Give the graph."""
        return HostGraph(tuple(self.ops), ("h",), makes, self.constants)

    def cells(self, count: int, width: int) -> list[str]:
        """Add what takes h (batch, time, width) of cells side by side apart; of each its name."""
        size = width // count
        ends = [np.array([at * size]) for at in range(count + 1)]
        axis = np.array([2])
        return [self.add("Slice", "h", *part, axis) for part in zip(ends, ends[1:])]

    def step(self, name: str, at: int) -> str:
        """Add what takes one step of (batch, time, ...), 0 or -1."""
        return self.add("Gather", name, np.array(at), axis=1)
