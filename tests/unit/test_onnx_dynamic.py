"""The graph of a model that ONNX Runtime runs, in float and quantised."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import ToolError
from lstm_sharp.model import Model, load, onnx_dynamic
from lstm_sharp.numerics import reference
from lstm_sharp.numerics.accuracy import decibels
from models import INT8_SATURATES, pytorch_like, trained_like


def _reverse() -> Model:
    return Model((pytorch_like(3, [5, 6], (2,)).layers[1],))


@pytest.mark.parametrize(
    "model",
    [pytorch_like(1, [5, 6, 7]), pytorch_like(2, [5, 6, 4, 3], (2, 2, 1)), _reverse()],
    ids=["stack", "bidirectional", "reverse"],
)
def test_graph_is_the_model(model: Model) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 5))
    graph = onnx_dynamic.graph_of(model)
    h = reference.run(model, x).h
    np.testing.assert_allclose(onnx_dynamic.run(graph, x), h, rtol=0, atol=1e-6)
    dynamic = onnx_dynamic.dynamic_int8(graph, per_channel=True)
    assert {node.op_type for node in dynamic.graph.node} >= {"DynamicQuantizeLSTM"}
    least = 10 if INT8_SATURATES else 25
    assert least < decibels(h, onnx_dynamic.run(dynamic, x)) < 80  # float has 130


@pytest.mark.parametrize("directions", [(1, 1), (2, 1), (2, 2)])
def test_graph_is_the_gru(directions: tuple[int, ...]) -> None:
    """Of nodes that ONNX Runtime knows: what reset takes, and what z keeps, are as it has them."""
    model = pytorch_like(2, [5, 6, 4], directions, "gru")
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 5))
    graph = onnx_dynamic.graph_of(model)
    h = reference.run(model, x).h
    np.testing.assert_allclose(onnx_dynamic.run(graph, x), h, rtol=0, atol=1e-6)
    with pytest.raises(ToolError, match="no int8 of a GRU"):
        onnx_dynamic.dynamic_int8(graph, per_channel=True)


def test_a_scale_a_channel_helps_uneven_rows(tmp_path: Path) -> None:
    model = trained_like(0, [16, 32], spread=36)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 20, 16))
    h, graph = reference.run(model, x).h, onnx_dynamic.graph_of(model)
    found = []
    for each in (False, True):
        path = tmp_path / "m.onnx"
        path.write_bytes(onnx_dynamic.dynamic_int8(graph, each).SerializeToString())
        found.append(decibels(h, reference.run(load(path), x).h))  # of the weights alone
    tensor, channel = found
    print(f"{tensor:.1f} dB a tensor, {channel:.1f} a channel")
    assert tensor + 5 < channel


def test_graph_is_read_back(tmp_path) -> None:
    model = pytorch_like(4, [5, 6, 4], (2, 1))
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_dynamic.graph_of(model).SerializeToString())
    for cell, again in zip(model.layers, load(path).layers, strict=True):
        for name in ("w_ih", "w_hh", "b"):
            right = getattr(cell, name).astype(np.float32)
            np.testing.assert_array_equal(getattr(again, name), right)
        assert again.reverse == cell.reverse


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime.quantization"])
def test_a_package_is_absent(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(ToolError, match="pip install 'lstm-sharp\\[graph\\]'"):
        onnx_dynamic.dynamic_int8(onnx_dynamic.graph_of(pytorch_like(0, [2, 3])), False)
