"""Reads the LSTM nodes of an ONNX graph; whatever is not honoured is refused by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, match_prefix, some
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.model.onnx_file import all_nodes, label
from lstm_sharp.model.onnx_graph import Graph, HiddenValueError
from lstm_sharp.model.onnx_stack import Level, Stack, input_of, make_head

if TYPE_CHECKING:
    from onnx import NodeProto

_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]

_NO_CLIP = 32
"""A clip of what goes into Sigmoid and Tanh from which on it changes them by less than 1e-13."""

_ONE_NODE = "export the layer as one LSTM node, as torch.nn.LSTM and tf2onnx do"
_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each cell of a node is reverse, by its direction."""


def load_onnx(file: Path, prefix: str = "") -> Model:
    """Import the stack of LSTM nodes of an ONNX file.

    Args:
        file: the graph; external data lies beside it.
        prefix: beginning of the names of the wanted LSTM nodes, or of their weights; may be
            empty when all LSTM nodes are one stack.

    Returns:
        A level for each node, bottom first, in the gate order i, f, g, o, and as head what leads
        from the last level's h to the graph's first output, where h alone determines that.

    Raises:
        UsageError: no LSTM, several stacks, or anything that the accelerator would not compute
            as the file means it.
    """
    graph = Graph(file)
    nodes = _pick(graph, prefix)
    attributes = [_attributes(graph, node) for node in nodes]
    _check_chain(graph, nodes)
    levels = [_read_level(graph, node, told) for node, told in zip(nodes, attributes)]
    cells = tuple(cell for level in levels for cell in level.cells)
    # Cells that do not fit are refused here, before anything runs through them.
    model = Model(cells, file.stem, directions=tuple(len(level.cells) for level in levels))
    stack = Stack(graph, levels)
    return replace(
        model,
        head=make_head(stack),
        sizes=stack.sizes,
        time_first=not stack.batch_first,
        check=stack.check,
    )


def _pick(graph: Graph, prefix: str) -> list[NodeProto]:
    """Return the LSTM nodes under the prefix, in the order of execution.

    Without a prefix those that no output of the graph needs are left out.
    """
    nodes = [node for node in graph.nodes if _is_cell(node)]
    if not nodes:
        raise UsageError(f"no LSTM in {graph.source}: {_why_none(graph)}")
    if not prefix:
        needed = {id(node) for output in graph.outputs for node in graph.part(output, {})[0]}
        return [node for node in nodes if id(node) in needed] or nodes
    for names in ([node.name for node in nodes], [input_of(node, 1) for node in nodes]):
        chosen = match_prefix(names, prefix)
        if chosen:
            return [node for node, name in zip(nodes, names) if name in chosen]
    listed = some(label(node) for node in nodes)
    raise UsageError(f"{graph.source} has no LSTM under the prefix {prefix}; it has {listed}")


def _why_none(graph: Graph) -> str:
    """Say what a graph has instead of an LSTM node, and what to do."""
    every = list(all_nodes(graph.nodes))
    ops = Counter(node.op_type for node in every)
    step = ops["Sigmoid"] and ops["Tanh"] > 1 and ops["Gemm"] + ops["MatMul"]

    def named(*kinds: str) -> list[NodeProto]:
        return [node for node in every if node.op_type in kinds]

    for found, what in (
        (
            [node for node in graph.nodes if any(map(_is_cell, all_nodes([node])))],
            "has one in its body, which is not supported; export the model without the condition "
            "or loop around the layer",
        ),
        (
            named("DynamicQuantizeLSTM"),
            "is quantised already; give the float model, quantisation comes after",
        ),
        (named("GRU", "RNN"), "is another layer; export a model with an LSTM layer"),
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


def _is_cell(node: NodeProto) -> bool:
    return node.op_type == "LSTM" and node.domain in ("", "ai.onnx")


def _attributes(graph: Graph, node: NodeProto) -> dict[str, Any]:
    """Return the attributes of an LSTM node; refuse what would change its arithmetic."""
    from onnx import helper

    told: dict[str, Any] = {"direction": b"forward", "clip": _NO_CLIP, "layout": 0}
    told |= {item.name: helper.get_attribute_value(item) for item in node.attribute}
    told["direction"] = direction = told["direction"].decode()
    # Sigmoid and Tanh have no use for activation_alpha and activation_beta.
    given = [item.decode() for item in told.get("activations", [])]
    usual = _ACTIVATIONS * len(_REVERSE.get(direction, ()))
    for wrong, what, remedy in (
        (direction not in _REVERSE, f"direction={direction}", f"one of {', '.join(_REVERSE)}"),
        (
            given and [item.lower() for item in given] != usual,
            f"activations={','.join(given)}",
            "Sigmoid,Tanh,Tanh for each direction",
        ),
        (told.get("input_forget"), "input_forget=1", "input_forget=0"),
        (not told["clip"] >= _NO_CLIP, f"clip={told['clip']:g}", f"none, or {_NO_CLIP} and more"),
        (told["layout"] not in (0, 1), f"layout={told['layout']}", "layout=0"),
    ):
        if wrong:
            raise UsageError(
                f"{graph.source}: {label(node)}: {what} is not supported; train and export the "
                f"model with {remedy}"
            )
    return told


def _check_chain(graph: Graph, nodes: list[NodeProto]) -> None:
    """Refuse nodes that are no one stack, bottom first, or have other ops between them."""
    below = [_below(graph, node) for node in nodes]
    origin = graph.producer.get(below[0])
    if origin is not None:
        raise UsageError(
            f"{graph.source}: the chosen LSTM nodes take the output of {label(origin)}, which is "
            "not among them; choose a prefix that covers the stack from its input"
        )
    # ONNX lists nodes in the order of execution.
    if below[1:] != [node.output[0] for node in nodes[:-1]]:
        raise UsageError(
            f"{graph.source}: its {len(nodes)} LSTM nodes are no single stack but lie side by "
            f"side; choose one by prefix: {some(map(label, nodes))}"
        )


def _below(graph: Graph, node: NodeProto) -> str:
    """Return what feeds the x of a node: a graph input or the Y of another LSTM."""
    name, _ = graph.trace(node.input[0])
    origin = graph.producer.get(name)
    if name in graph.inputs or (origin and _is_cell(origin) and name == origin.output[0]):
        return name
    told = label(origin) if origin else f"the constant {name}"
    if origin and _is_cell(origin):
        told = f"{name} of {told}"
    raise UsageError(
        f"{graph.source}: {label(node)} takes {told}, which is not supported; only an input, or "
        "the Y of another LSTM (the h of every step), may feed it: export the LSTM layers alone"
    )


def _read_level(graph: Graph, node: NodeProto, told: dict[str, Any]) -> Level:
    """Read W (D, 4H, X), R (D, 4H, H), B (D, 8H) and P (D, 3H) of D directions."""
    where, reverse = label(node), _REVERSE[told["direction"]]
    found: dict[str, np.ndarray] = {}
    for name, index in {"W": 1, "R": 2, "B": 3, "P": 7}.items():
        tensor, what = input_of(node, index), f"{name} of {where}"
        if tensor:
            try:
                found[name] = graph.evaluate(tensor, {}, what)
            except HiddenValueError as error:
                raise UsageError(f"{error}; export the model with its weights inside") from None
    if not {"W", "R"} <= found.keys():
        raise UsageError(f"{graph.source}: {where} lacks its weights, W or R; export it again")
    kind = found["W"].dtype
    hidden = told.get("hidden_size") or found["R"].shape[-1:][0]
    rows = {"W": (4 * hidden, *found["W"].shape[2:3]), "R": (4 * hidden, hidden)}
    rows |= {"B": (8 * hidden,), "P": (3 * hidden,)}
    for name, value in found.items():
        found[name] = as_float(value, f"{graph.source}: {name} of {where}")
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
    bias = found.get("B", np.zeros((len(reverse), 8 * hidden)))
    try:
        cells = tuple(_cell(*parts) for parts in zip(found["W"], found["R"], bias, reverse))
    except UsageError as error:
        raise UsageError(f"{graph.source}, {where}: {error}") from error
    return Level(node, cells, kind, told["layout"] == 1)


def _cell(w_ih: np.ndarray, w_hh: np.ndarray, bias: np.ndarray, reverse: bool) -> Layer:
    """Make a cell of one direction's tensors, whose gates ONNX orders i, o, f, g."""

    def reorder(value: np.ndarray) -> np.ndarray:
        i, o, f, g = np.split(value, 4)
        return np.concatenate([i, f, g, o])

    input_bias, recurrent_bias = np.split(bias, 2)
    biases = reorder(input_bias) + reorder(recurrent_bias)
    return Layer(reorder(w_ih), reorder(w_hh), biases, reverse)
