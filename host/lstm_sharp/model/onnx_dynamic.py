"""The same stack on a CPU: an ONNX graph of a model, in float or as ONNX Runtime quantises it."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import ToolError, lacking
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.model.onnx_run import make_evaluator

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_OPSET, _IR = 17, 8
"""Versions that every ONNX Runtime of the last years takes."""
_ATTRIBUTES: dict[str, dict[str, Any]] = {"LSTM": {}, "GRU": {"linear_before_reset": 1}}
_WHAT = "ONNX Runtime's int8"


def graph_of(model: Model) -> ModelProto:
    """Make a graph of the stack, an LSTM or GRU node a level.

    Args:
        model: any stack; its head is left out.

    Returns:
        A graph from ``x`` (batch, time, X) to ``h`` (batch, time, hidden), both float32.

    Raises:
        ToolError: onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise lacking("onnx", _WHAT) from None

    op = model.kind.upper()
    # The axes of a node's x are time, batch, X, those of its h time, direction, batch, H.
    nodes: list[NodeProto] = [helper.make_node("Transpose", ["x"], ["x0"], perm=[1, 0, 2])]
    weights = {"width": np.array([0, 0, -1], dtype=np.int64)}
    for index, level in enumerate(model.levels):
        one_way = "reverse" if level[0].reverse else "forward"
        nodes += [
            helper.make_node(
                op,
                [f"x{index}", *(f"{kind}{index}" for kind in "WRB")],
                [f"h{index}"],
                f"{model.kind}{index}",
                hidden_size=level[0].hidden_size,
                direction="bidirectional" if len(level) == 2 else one_way,
                **_ATTRIBUTES[op],
            ),
            helper.make_node("Transpose", [f"h{index}"], [f"side{index}"], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", [f"side{index}", "width"], [f"x{index + 1}"]),
        ]
        for kind, arrays in zip("WRB", zip(*map(_in_onnx_order, level))):
            weights[f"{kind}{index}"] = np.stack(arrays).astype(np.float32)
    nodes.append(helper.make_node("Transpose", [nodes[-1].output[0]], ["h"], perm=[1, 0, 2]))
    x, h = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "time", width])
        for name, width in (("x", model.input_size), ("h", model.hidden_size))
    )
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "stack", [x], [h], initializers)
    opset = helper.make_opsetid("", _OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=_IR)


def _in_onnx_order(cell: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return W, R, and both biases as B: with the gates as i, o, f, c, or as z, r, n."""

    def ordered(rows: np.ndarray, last: int) -> np.ndarray:
        gates = np.split(rows, 4)
        chosen = (0, 3, 1, 2) if cell.kind == "lstm" else (3, 1, last)
        return np.concatenate([gates[gate] for gate in chosen])

    of_x = np.ones_like(cell.b)  # else of h, whose bias is apart where r is between
    of_x[: cell.hidden_size] = cell.kind == "lstm"
    biases = [ordered(cell.b * of_x, 2), ordered(cell.b * (1 - of_x), 0)]
    return ordered(cell.w_ih, 2), ordered(cell.w_hh, 0), np.concatenate(biases)


def dynamic_int8(graph: ModelProto, per_channel: bool) -> ModelProto:
    """Quantise the weights to int8 as ONNX Runtime does; activations follow while it runs.

    Args:
        graph: of ``graph_of``.
        per_channel: a scale for each row of gates, else one a direction for each of W and R.

    Raises:
        ToolError: ONNX Runtime is not installed, or the graph is of GRUs, which it leaves in float.
    """
    if any(node.op_type == "GRU" for node in graph.graph.node):
        raise ToolError("ONNX Runtime has no int8 of a GRU to compare with")
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise lacking("onnxruntime", _WHAT) from None

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        log = logging.getLogger()
        level = log.level
        log.setLevel(logging.ERROR)  # it asks for preprocessing, which changes no LSTM
        try:
            quantize_dynamic(
                graph,
                path,
                op_types_to_quantize=["LSTM"],
                per_channel=per_channel,
                weight_type=QuantType.QInt8,
            )
        finally:
            log.setLevel(level)
        return type(graph).FromString(path.read_bytes())


def run(graph: ModelProto, x: np.ndarray) -> np.ndarray:
    """Run x (batch, time, X) float through a graph; return h (batch, time, hidden) float32.

    Raises:
        UsageError: ONNX Runtime is not installed.
    """
    most = np.finfo(np.float32).max
    (h,) = make_evaluator(graph)({"x": np.clip(x, -most, most).astype(np.float32)})
    return np.asarray(h)
