"""Stands in for PyTorch where it is not installed: what the pages' snippets and `lstm_sharp.train`
take of it, no more. It computes forward alone: nothing is trained.

Its ONNX file has the nodes and attributes of torch.onnx's; weights are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, save

_RANDOM = np.random.default_rng(0)


class Tensor(np.ndarray):
    """An array, without gradients."""

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def double(self) -> Tensor:
        return self.astype(np.float64)

    def to(self, like: Tensor) -> Tensor:
        return self.astype(like.dtype)

    def new_zeros(self, shape: tuple[int, ...]) -> Tensor:
        return from_numpy(np.zeros(shape, self.dtype))

    def is_floating_point(self) -> bool:
        return self.dtype.kind == "f"

    def numpy(self) -> np.ndarray:
        return np.asarray(self)


def from_numpy(value: np.ndarray) -> Tensor:
    return value.view(Tensor)


def randn(*shape: int) -> Tensor:
    return from_numpy(_RANDOM.normal(size=shape).astype(np.float32))


class _Module:
    __module__, __qualname__, training = "torch.nn.modules.module", "Module", False
    _forward_hooks = _forward_pre_hooks = MappingProxyType({})

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.forward(*given, **named)

    def forward(self, x: Any) -> Any:
        raise AssertionError("the stand-in only exports")

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        yield "", self

    def register_parameter(self, name: str, value: Tensor) -> None:
        setattr(self, name, value)

    def parameters(self) -> list[Tensor]:
        return []

    def eval(self) -> _Module:
        return self


class _LSTM(_Module):
    __module__, __qualname__ = "torch.nn.modules.rnn", "LSTM"
    mode, num_layers, bias, bidirectional, proj_size, dropout = "LSTM", 1, True, False, 0, 0.0
    __constants__ = ("mode", "num_layers", "bias", "bidirectional", "proj_size", "dropout")

    def __init__(self, inputs: int, hidden: int, batch_first: bool = False) -> None:
        self.input_size, self.hidden_size, self.batch_first = inputs, hidden, batch_first
        assert batch_first
        self.weight_ih_l0, self.weight_hh_l0 = randn(4 * hidden, inputs), randn(4 * hidden, hidden)
        self.bias_ih_l0, self.bias_hh_l0 = randn(4 * hidden), randn(4 * hidden)


class _Linear(_Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.weight, self.bias = randn(outputs, inputs), randn(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


class _Function:
    """A function that is not gone back through."""

    @classmethod
    def apply(cls, *given: Any) -> Any:
        return cls.forward(SimpleNamespace(save_for_backward=lambda *_: None), *given)


def _nothing(*_: Any) -> Any:
    return SimpleNamespace(zero_grad=_nothing, backward=_nothing, step=_nothing)


def _export(model: Any, args: tuple[Any, ...], path: str, *, dynamic_shapes: Any) -> None:
    """Write an LSTM, the last step of it and a Linear."""
    (x,), ((names),) = args, dynamic_shapes
    inputs, hidden, outputs = x.shape[2], model.lstm.hidden_size, len(model.linear.bias)
    assert inputs == model.lstm.input_size
    rows, reach = 4 * hidden, hidden**-0.5
    held = {
        "W": (1, rows, inputs),
        "R": (1, rows, hidden),
        "B": (1, 2 * rows),
        "linear.weight": (outputs, hidden),
        "linear.bias": (outputs,),
    }
    drawn = {
        name: _RANDOM.uniform(-reach, reach, shape).astype(np.float32)
        for name, shape in held.items()
    }
    drawn |= {"one": np.array([1]), "last": np.array(-1)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R", "B"], ["Y"], hidden_size=hidden),
        helper.make_node("Squeeze", ["Y", "one"], ["s"]),
        helper.make_node("Transpose", ["s"], ["h"], perm=[1, 0, 2]),
        helper.make_node("Gather", ["h", "last"], ["h_last"], axis=1),
        helper.make_node("Gemm", ["h_last", "linear.weight", "linear.bias"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", 1, [names[0], names[1], inputs])],
        [helper.make_tensor_value_info("y", 1, [names[0], outputs])],
        [numpy_helper.from_array(value, name) for name, value in drawn.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


nn = SimpleNamespace(
    Module=_Module,
    LSTM=_LSTM,
    Linear=_Linear,
    Parameter=lambda value: value,
    functional=SimpleNamespace(cross_entropy=_nothing),
    utils=SimpleNamespace(rnn=SimpleNamespace(PackedSequence=type("PackedSequence", (), {}))),
)
onnx = SimpleNamespace(export=_export)
compiler = SimpleNamespace(disable=lambda function: function)
autograd = SimpleNamespace(Function=_Function)
optim = SimpleNamespace(Adam=_nothing)
arange, float32, float64 = np.arange, np.float32, np.float64
