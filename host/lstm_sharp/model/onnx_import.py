"""Reads the LSTM and GRU nodes of an ONNX graph; what is not honoured is refused by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, check_float, gru_layer, some
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.model.onnx_file import all_nodes, attributes_of, label
from lstm_sharp.model.onnx_graph import HiddenValueError, Scope
from lstm_sharp.model.onnx_stack import Level, Stack, input_of, make_head

if TYPE_CHECKING:
    from onnx import NodeProto

_ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}
_HONOURED = {
    "LSTM": {"hidden_size", "direction", "activations", "input_forget", "clip", "layout"},
    "GRU": {"hidden_size", "direction", "activations", "linear_before_reset", "clip", "layout"},
}
_DYNAMIC = "DynamicQuantizeLSTM"
"""ONNX Runtime's, with weights of 8 bits; what it rounds of x and h is not rounded here."""
_HARMLESS = {"activation_alpha", "activation_beta"}
"""Attributes for which Sigmoid and Tanh have no use."""
_OLDEST = 7
"""Opset from which on the nodes have the attributes above, and mean by them what they do today."""

_NO_CLIP = 32
"""A clip of what goes into Sigmoid and Tanh from which on it changes them by less than 1e-13."""

_ONE_NODE = "export the layer as one LSTM node, as torch.nn.LSTM and tf2onnx do"
_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each cell of a node is reverse, by its direction."""


def read_stack(graph: Scope, levels: list[Level]) -> Model:
    """Make a stack of levels that take an input of the graph.

    Args:
        graph: the top level of a file.
        levels: bottom first.

    Returns:
        The levels, and as head what leads from the last one's h to the graph's first output, where
        h alone determines that.

    Raises:
        UsageError: they are no such stack.
    """
    cells = tuple(cell for level in levels for cell in level.cells)
    # Cells that do not fit are refused here, before anything runs through them.
    name = Path(graph.source).stem
    model = Model(cells, name, directions=tuple(len(level.cells) for level in levels))
    stack = Stack(graph, levels)
    return replace(
        model,
        head=make_head(stack),
        sizes=stack.sizes,
        time_first=not stack.batch_first,
        check=stack.check,
    )


def why_none(graph: Scope) -> str:
    """Say what a graph has instead of an LSTM node, and what to do."""
    every = list(all_nodes(graph.nodes))
    ops = Counter(node.op_type for node in every)
    step = ops["Sigmoid"] and ops["Tanh"] > 1 and ops["Gemm"] + ops["MatMul"]

    def named(*kinds: str) -> list[NodeProto]:
        return [node for node in every if node.op_type in kinds]

    for found, what in (
        (named("RNN"), "is another layer; export a model with an LSTM or GRU layer"),
        (named("Loop", "Scan"), f"has a recurrent layer written out in its body; {_ONE_NODE}"),
        (
            named("Sigmoid") if step else [],
            f"is one of {ops['Sigmoid']} beside {ops['Tanh']} Tanh, which look like cells that are "
            f"called step by step; {_ONE_NODE}",
        ),
    ):
        if found:
            return f"{label(found[0])} {what}"
    return f"its {len(every)} nodes are {some(ops) or 'none'}; export a model with an LSTM layer"


def is_recurrent(node: NodeProto) -> bool:
    """Tell whether a node is one of ONNX's recurrent layers, held by an engine or not."""
    of_onnx = node.op_type in ("LSTM", "GRU", "RNN") and node.domain in ("", "ai.onnx")
    return of_onnx or (node.domain, node.op_type) == ("com.microsoft", _DYNAMIC)


def _op(node: NodeProto) -> str:
    return "LSTM" if node.op_type == _DYNAMIC else node.op_type


def _attributes(graph: Scope, node: NodeProto) -> dict[str, Any]:
    """Return the attributes of a node; refuse what an engine does not compute."""
    op = _op(node)
    if op not in _HONOURED:
        raise UsageError(
            f"{graph.source}: {label(node)} is another layer; train and export the model with an "
            "LSTM or GRU layer"
        )
    told: dict[str, Any] = {"direction": b"forward", "clip": _NO_CLIP, "layout": 0}
    told |= attributes_of(node)
    told["direction"] = direction = told["direction"].decode()
    given = [item.decode() for item in told.get("activations", [])]
    usual = _ACTIVATIONS[op]
    all_usual = usual * len(_REVERSE.get(direction, ()))
    gru = op == "GRU"
    unknown = sorted(told.keys() - _HONOURED[op] - _HARMLESS)
    for wrong, what, remedy in (
        (graph.opset < _OLDEST, f"opset {graph.opset}", f"opset {_OLDEST} or newer"),
        (unknown, f"the attribute {some(unknown)}", "ONNX's own attributes"),
        (direction not in _REVERSE, f"direction={direction}", f"one of {', '.join(_REVERSE)}"),
        (
            given and [item.lower() for item in given] != all_usual,
            f"activations={','.join(given)}",
            f"{','.join(usual).title()} for each direction",
        ),
        (
            gru and not told.get("linear_before_reset"),
            "linear_before_reset=0 (r times h before the product, which must wait for r)",
            "linear_before_reset=1, as torch.nn.GRU and Keras's reset_after do",
        ),
        (not told["clip"] >= _NO_CLIP, f"clip={told['clip']:g}", f"none, or {_NO_CLIP} and more"),
        (told["layout"] not in (0, 1), f"layout={told['layout']}", "layout=0"),
    ):
        if wrong:
            raise UsageError(
                f"{graph.source}: {label(node)}: {what} is not supported; train and export the "
                f"model with {remedy}"
            )
    return told


def read_level(graph: Scope, node: NodeProto) -> Level:
    """Read a node's weights: W (D, G, X), R (D, G, H), B (D, 2G) and P of D directions.

    G is 4H for an LSTM, 3H for a GRU. Weights that are computed from constants are computed.

    Raises:
        UsageError: the node is not one that an engine computes as the file means it.
    """
    told = _attributes(graph, node)
    where, reverse = label(node), _REVERSE[told["direction"]]
    found: dict[str, np.ndarray] = {}
    scaled = ("W_scale", "W_zero_point", "R_scale", "R_zero_point")
    scales = scaled if node.op_type == _DYNAMIC else ()
    places = {"W": 1, "R": 2, "B": 3, "P": 7, **{name: 8 + n for n, name in enumerate(scales)}}
    for name, index in places.items():
        tensor, what = input_of(node, index), f"{name} of {where}"
        if tensor:
            try:
                found[name] = graph.evaluate(tensor, {}, what)
            except HiddenValueError as error:
                raise UsageError(f"{error}; export the model with its weights inside") from None
    lacking = [name for name in ("W", "R", *scales) if name not in found]
    if lacking:
        raise UsageError(f"{graph.source}: {where} lacks {some(lacking)}; export it again")
    for name in "WR" if scales else "":  # (D, X, G), and a scale for each direction or row
        scale, zero = (found.pop(f"{name}_{of}") for of in ("scale", "zero_point"))
        scale, zero = (np.reshape(one, (len(one), -1, 1)) for one in (scale, zero.astype(int)))
        found[name] = ((found[name].swapaxes(1, 2) - zero) * scale).astype(np.float32)
    kind, gates = found["W"].dtype, 4 if _op(node) == "LSTM" else 3
    hidden = told.get("hidden_size") or found["R"].shape[-1:][0]
    rows = {"W": (gates * hidden, *found["W"].shape[2:3]), "R": (gates * hidden, hidden)}
    rows |= {"B": (2 * gates * hidden,), "P": (3 * hidden,)}
    for name, value in found.items():
        check_float(value, f"{graph.source}: {name} of {where}")
        want = (len(reverse), *rows[name])
        if value.shape != want:
            raise UsageError(
                f"{graph.source}: {name} of {where} has shape {value.shape}, but direction="
                f"{told['direction']} and {hidden} units take {want}; export it again, without "
                "proj_size"
            )
    if np.any(found.get("P", 0)):
        raise UsageError(
            f"{graph.source}: P of {where}, the peepholes, is not zero; train a plain LSTM"
        )
    bias = as_float(found.pop("B", np.zeros((len(reverse), 2 * gates * hidden))), "B")

    def ordered(rows: np.ndarray) -> np.ndarray:
        """Put the rows of ONNX's gates i, o, f, g or z, r, n into the order that cells take."""
        parts = np.split(rows, gates)
        if told.get("input_forget"):
            parts[2] = -parts[0]  # f = 1 - i is sigma of the negative sum
        with np.errstate(invalid="ignore"):  # of a signalling NaN, which is refused later
            order = (1, 0, 2) if gates == 3 else (0, 2, 3, 1)
            return np.concatenate([parts[n] for n in order], dtype=np.float64, casting="unsafe")

    try:
        # One after the other, each widened once it is in our order: that takes less memory.
        w_ih, w_hh = ([ordered(side) for side in found.pop(name)] for name in "WR")
        both = [[ordered(half) for half in np.split(side, 2)] for side in bias]
        cells = tuple(
            gru_layer(w, r, x, h, back) if gates == 3 else Layer(w, r, x + h, back)
            for w, r, (x, h), back in zip(w_ih, w_hh, both, reverse)
        )
    except UsageError as error:
        raise UsageError(f"{graph.source}, {where}: {error}") from error
    one = (1, len(reverse), hidden) if told["layout"] else (len(reverse), 1, hidden)
    given = (input_of(node, index) for index in (5, 6))
    h, c = ("" if name and graph.is_zero(name, one) else name for name in given)
    return Level(node, cells, kind, told["layout"] == 1, (h, c))
