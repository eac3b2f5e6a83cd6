"""Reads the LSTM nodes of an ONNX graph; whatever is not honoured is refused by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, match_prefix, some
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.model.onnx_graph import Graph
from lstm_sharp.model.onnx_head import make_head
from lstm_sharp.model.onnx_run import all_nodes, label
from lstm_sharp.model.onnx_stack import Stack

if TYPE_CHECKING:
    from onnx import NodeProto

_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]

_WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
"""Inputs of a node that are the same for every x, and their places."""

_NO_CLIP = 32
"""A clip of what goes into Sigmoid and Tanh from which on it changes them by less than 1e-13."""

_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
"""Whether each cell of a node is reverse, by its direction."""


def load_onnx(file: Path, prefix: str = "") -> Model:
    """Imports the stack of LSTM nodes of an ONNX file.

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
    nodes = _chain(graph, _pick(graph, prefix))
    levels = [_read_level(graph, node) for node in nodes]
    cells = tuple(cell for level in levels for cell in level)
    # Cells that do not fit are refused here, before anything runs through them.
    model = Model(cells, file.stem, directions=tuple(map(len, levels)))
    stack = Stack(graph, nodes, model.levels)
    return replace(
        model,
        head=make_head(stack),
        sizes=stack.sizes,
        time_first=not stack.batch_first,
        check=stack.check,
    )


def _pick(graph: Graph, prefix: str) -> list[NodeProto]:
    """Returns the LSTM nodes under the prefix, in the order of execution.

    Without a prefix those that no output of the graph needs are left out.
    """
    nodes = [node for node in graph.nodes if _is_cell(node)]
    if not nodes:
        raise UsageError(f"no LSTM in {graph.source}: {_why_none(graph)}")
    if not prefix:
        needed = {id(node) for output in graph.outputs for node in graph.ancestors(output)[0]}
        return [node for node in nodes if id(node) in needed] or nodes
    for names in ([node.name for node in nodes], [node.input[1] for node in nodes]):
        chosen = match_prefix(names, prefix)
        if chosen:
            return [node for node, name in zip(nodes, names) if name in chosen]
    listed = some(label(node) for node in nodes)
    raise UsageError(f"{graph.source} has no LSTM under the prefix {prefix}; it has {listed}")


def _why_none(graph: Graph) -> str:
    """Says what a graph has instead of an LSTM node, and what to do."""
    every = list(all_nodes(graph.nodes))
    ops = Counter(node.op_type for node in every)
    outer = next((n for n in graph.nodes if any(_is_cell(i) for i in all_nodes([n]))), None)
    if outer is not None:
        return (
            f"{label(outer)} has one in its body, which is not supported; export the model without "
            "the condition or loop around the layer"
        )
    quantized = next((node for node in every if node.op_type == "DynamicQuantizeLSTM"), None)
    if quantized is not None:
        return (
            f"{label(quantized)} is quantised already; give the float model, quantisation comes "
            "after"
        )
    others = [f"{ops[op]} {op} node{'s' * (ops[op] > 1)}" for op in ("GRU", "RNN") if op in ops]
    if others:
        return f"it has {' and '.join(others)}; export a model with an LSTM layer"
    whole = "export the layer as one LSTM node, as torch.nn.LSTM and tf2onnx do"
    loop = next((n for n in graph.nodes if n.op_type in ("Loop", "Scan")), None)
    if loop is not None:
        return f"its recurrent layer is written out as the body of {label(loop)}; {whole}"
    if ops["Sigmoid"] and ops["Tanh"] > 1 and (ops["Gemm"] or ops["MatMul"]):
        return (
            f"its {ops['Sigmoid']} Sigmoid and {ops['Tanh']} Tanh look like cells that are called "
            f"step by step; {whole}"
        )
    told = some(node.op_type for node in every) or "none"
    return f"its {len(every)} nodes are {told}; export a model with an LSTM layer"


def _is_cell(node: NodeProto) -> bool:
    return node.op_type == "LSTM" and node.domain in ("", "ai.onnx")


def _chain(graph: Graph, nodes: list[NodeProto]) -> list[NodeProto]:
    """Returns the nodes as one stack, bottom first, or refuses what is none."""
    for node in nodes:
        _check_node(graph, node)
    below = [_below(graph, node) for node in nodes]
    names = [node.output[0] for node in nodes]
    bottoms = [name for name in below if name not in names]
    stray = [origin for name in bottoms if (origin := graph.producer(name)) is not None]
    if stray:
        raise UsageError(
            f"{graph.source}: the chosen LSTM nodes take the output of "
            f"{label(stray[0])}, which is not among them; choose a prefix "
            "that covers the stack from its input"
        )
    if len(bottoms) != 1 or len(set(below)) != len(nodes):
        raise UsageError(
            f"{graph.source}: its {len(nodes)} LSTM nodes are no single stack but lie side by "
            f"side; choose one by prefix: {some(map(label, nodes))}"
        )
    # ONNX lists nodes in the order of execution, so one without branches is bottom first.
    return nodes


def _below(graph: Graph, node: NodeProto) -> str:
    """Returns what feeds the x of a node: a graph input or the Y of another LSTM."""
    name, _ = graph.trace(node.input[0])
    origin = graph.producer(name)
    if origin is None:
        if name not in graph.inputs:
            raise UsageError(f"{graph.source}: x of {label(node)} is a constant, not an input")
        return name
    if origin.op_type == "LSTM" and name == origin.output[0]:
        return name
    if origin.op_type == "LSTM":
        output = "Y_h" if name == origin.output[1] else "Y_c"
        raise UsageError(
            f"{graph.source}: {label(node)} takes {output} of {label(origin)}, which is not "
            "supported; only Y, the h of every step, can feed the next layer"
        )
    ancestors, _ = graph.ancestors(name)
    inside = any(ancestor.op_type == "LSTM" for ancestor in ancestors)
    where = "between LSTM nodes" if inside else "before the first LSTM"
    raise UsageError(
        f"{graph.source}: op {origin.op_type} {where} is not supported ({label(origin)} feeds "
        f"{label(node)}); export the LSTM layers without it"
    )


def _check_node(graph: Graph, node: NodeProto) -> None:
    """Refuses every attribute and input of an LSTM node that would change its arithmetic."""
    from onnx import helper

    attributes: dict[str, Any] = {
        item.name: helper.get_attribute_value(item) for item in node.attribute
    }

    def refuse(what: str, remedy: str) -> NoReturn:
        raise UsageError(f"{graph.source}: {label(node)}: {what} not supported; {remedy}")

    direction = _direction(node)
    if direction not in _REVERSE:
        refuse(f"direction={direction} is", f"export with one of {', '.join(_REVERSE)}")
    # Sigmoid and Tanh have no use for activation_alpha and activation_beta.
    activations = [item.decode() for item in attributes.get("activations", [])]
    wanted = _ACTIVATIONS * len(_REVERSE[direction])
    if activations and [item.lower() for item in activations] != wanted:
        remedy = "train with Sigmoid,Tanh,Tanh for each direction"
        refuse(f"activations={','.join(activations)} are", remedy)
    if attributes.get("input_forget"):
        refuse("input_forget=1 is", "export the model without it")
    clip = attributes.get("clip", _NO_CLIP)
    if not clip >= _NO_CLIP:
        refuse(f"clip={clip:g} is", f"export the model without it, or with {_NO_CLIP} and more")
    if attributes.get("layout", 0) not in (0, 1):
        refuse(f"layout={attributes['layout']} is", "export with layout=0")


def _direction(node: NodeProto) -> str:
    return next((a.s.decode() for a in node.attribute if a.name == "direction"), "forward")


def _read_level(graph: Graph, node: NodeProto) -> tuple[Layer, ...]:
    """Reads W (D, 4H, X), R (D, 4H, H), B (D, 8H) and P (D, 3H) of D directions."""
    where, direction = label(node), _direction(node)
    reverse = _REVERSE[direction]

    def read(name: str) -> np.ndarray | None:
        index = _WEIGHTS[name]
        tensor = node.input[index] if len(node.input) > index else ""
        if not tensor:
            return None
        what = f"{name} of {where}"
        _, inputs = graph.ancestors(tensor)
        if inputs:
            raise UsageError(
                f"{graph.source}: {what} comes from the graph input {inputs[0]}; "
                "export the model with its weights inside"
            )
        return as_float(graph.evaluate(tensor, {}, what), f"{graph.source}: {what}")

    found = {name: value for name in _WEIGHTS if (value := read(name)) is not None}
    if not {"W", "R"} <= found.keys():
        raise UsageError(f"{graph.source}: {where} lacks its weights, W or R; export it again")
    hidden = next((a.i for a in node.attribute if a.name == "hidden_size"), 0)
    hidden = hidden or found["R"].shape[-1:][0]
    rows = {"W": (4 * hidden, *found["W"].shape[2:3]), "R": (4 * hidden, hidden)}
    rows |= {"B": (8 * hidden,), "P": (3 * hidden,)}
    for name, value in found.items():
        want = (len(reverse), *rows[name])
        if value.shape != want:
            raise UsageError(
                f"{graph.source}: {name} of {where} has shape {value.shape}, but direction="
                f"{direction} and {hidden} units take {want}; export it again, without proj_size"
            )
    if np.any(found.get("P", 0)):
        raise UsageError(
            f"{graph.source}: P of {where}, the peepholes, is not zero; train a plain LSTM"
        )
    bias = found.get("B", np.zeros((len(reverse), 8 * hidden)))
    try:
        return tuple(_cell(*parts) for parts in zip(found["W"], found["R"], bias, reverse))
    except UsageError as error:
        raise UsageError(f"{graph.source}, {where}: {error}") from error


def _cell(w_ih: np.ndarray, w_hh: np.ndarray, bias: np.ndarray, reverse: bool) -> Layer:
    """Makes a cell of one direction's tensors, whose gates ONNX orders i, o, f, g."""

    def reorder(value: np.ndarray) -> np.ndarray:
        i, o, f, g = np.split(value, 4)
        return np.concatenate([i, f, g, o])

    input_bias, recurrent_bias = np.split(bias, 2)
    biases = reorder(input_bias) + reorder(recurrent_bias)
    return Layer(reorder(w_ih), reorder(w_hh), biases, reverse)
