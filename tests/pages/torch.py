"""Stands in for PyTorch where it is not installed: what the pages' snippets take of it, no more.

Its ONNX file has the nodes and attributes of torch.onnx's; weights are drawn.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, save

_RANDOM = np.random.default_rng(0)


class _Module:
    def __call__(self, x: Any) -> Any:
        raise AssertionError("the stand-in only exports")

    def eval(self) -> _Module:
        return self


class _LSTM(_Module):
    def __init__(self, inputs: int, hidden: int, batch_first: bool = False) -> None:
        self.inputs, self.hidden = inputs, hidden
        assert batch_first


class _Linear(_Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        self.inputs, self.outputs = inputs, outputs


class _Tensor(np.ndarray):
    def numpy(self) -> np.ndarray:
        return np.asarray(self)


def randn(*shape: int) -> Any:
    return _RANDOM.normal(size=shape).astype(np.float32).view(_Tensor)


def _export(model: Any, args: tuple[Any, ...], path: str, *, dynamic_shapes: Any) -> None:
    """Write an LSTM, the last step of it and a Linear."""
    (x,), ((names),) = args, dynamic_shapes
    assert x.shape[2] == model.lstm.inputs
    rows, reach = 4 * model.lstm.hidden, model.lstm.hidden**-0.5
    held = {
        "W": (1, rows, model.lstm.inputs),
        "R": (1, rows, model.lstm.hidden),
        "B": (1, 2 * rows),
        "linear.weight": (model.linear.outputs, model.lstm.hidden),
        "linear.bias": (model.linear.outputs,),
    }
    drawn = {
        name: _RANDOM.uniform(-reach, reach, shape).astype(np.float32)
        for name, shape in held.items()
    }
    drawn |= {"one": np.array([1]), "last": np.array(-1)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R", "B"], ["Y"], hidden_size=model.lstm.hidden),
        helper.make_node("Squeeze", ["Y", "one"], ["s"]),
        helper.make_node("Transpose", ["s"], ["h"], perm=[1, 0, 2]),
        helper.make_node("Gather", ["h", "last"], ["h_last"], axis=1),
        helper.make_node("Gemm", ["h_last", "linear.weight", "linear.bias"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", 1, [names[0], names[1], x.shape[2]])],
        [helper.make_tensor_value_info("y", 1, [names[0], model.linear.outputs])],
        [numpy_helper.from_array(value, name) for name, value in drawn.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


nn = SimpleNamespace(Module=_Module, LSTM=_LSTM, Linear=_Linear)
onnx = SimpleNamespace(export=_export)
