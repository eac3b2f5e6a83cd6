"""Reads the LSTM nodes of an ONNX graph; whatever is not honoured is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, match_prefix, some
from lstm_sharp.model.model import Layer, Model, Sizes
from lstm_sharp.model.onnx_graph import Graph, inner_ops, label
from lstm_sharp.model.onnx_head import make_head
from lstm_sharp.model.onnx_stack import Stack

if TYPE_CHECKING:
    from onnx import NodeProto

_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]

_NO_CLIP = 18
"""Beyond it a gate is 0 or 1 to a 2**-25, so that a clip there changes nothing that h shows."""
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
    head, reason = make_head(stack)
    sizes = Sizes(*stack.sizes, time_first=not stack.batch_first)
    return replace(model, head=head, no_head=reason, sizes=sizes)


def _pick(graph: Graph, prefix: str) -> list[NodeProto]:
    """Returns the LSTM nodes under the prefix, in the order of execution."""
    nodes = [n for n in graph.nodes if n.op_type == "LSTM" and n.domain in ("", "ai.onnx")]
    used = {id(n) for output in graph.outputs for n in graph.ancestors(output)[0]}
    nodes = [node for node in nodes if id(node) in used] or nodes
    if not nodes:
        raise UsageError(f"no LSTM in {graph.source}: {_instead(graph)}")
    if prefix:
        for names in ([node.name for node in nodes], [node.input[1] for node in nodes]):
            chosen = match_prefix(names, prefix)
            if chosen:
                return [node for node, name in zip(nodes, names) if name in chosen]
        listed = some(label(node) for node in nodes)
        raise UsageError(f"{graph.source} has no LSTM under the prefix {prefix}; it has {listed}")
    return nodes


def _instead(graph: Graph) -> str:
    """Says what a graph without an LSTM node has, and what to do."""
    ops = [node.op_type for node in graph.nodes]
    inside = sorted({n.op_type for n in graph.nodes if "LSTM" in inner_ops(n)})
    if inside:
        return f"it lies in the body of {' and '.join(inside)}; export it outside of a condition"
    quantised = [op for op in ops if "Quant" in op and "LSTM" in op]
    if quantised:
        return f"its {quantised[0]} is quantised already; give the float model"
    counts = {op: ops.count(op) for op in ("GRU", "RNN") if op in ops}
    if counts:
        nouns = (f"{n} {op} node{'s' if n > 1 else ''}" for op, n in counts.items())
        return f"it has {' and '.join(nouns)}; export a model with an LSTM layer"
    what = f"its {len(ops)} nodes are {some(ops) or 'none'}"
    everywhere = {*ops, *(op for node in graph.nodes for op in inner_ops(node))}
    if {"Sigmoid", "Tanh"} <= everywhere and everywhere & {"Gemm", "MatMul"}:
        what = "it has Sigmoid, Tanh and products, which may be a cell that was taken apart"
        return f"{what}; export the layer as one LSTM node, for PyTorch of torch.nn.LSTM"
    return f"{what}; export a model with an LSTM layer"


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
    origins, _ = graph.trace(node.input[0])
    name = origins[0]
    if len(origins) > 1:
        raise UsageError(
            f"{graph.source}: {label(node)} takes {some(origins)} side by side; an LSTM of a stack "
            "takes the output of one layer"
        )
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
    activations = [item.decode() for item in attributes.get("activations", [])]
    wanted = _ACTIVATIONS * len(_REVERSE[direction])
    if activations and [item.lower() for item in activations] != wanted:
        remedy = "train with Sigmoid,Tanh,Tanh for each direction"
        refuse(f"activations={','.join(activations)} are", remedy)
    # Alphas and betas are of other activations than these.
    clip = attributes.get("clip")
    if clip is not None and not clip >= _NO_CLIP:
        refuse(f"clip={clip} is", f"export the model without it, or with {_NO_CLIP} and more")
    if attributes.get("input_forget"):
        refuse(f"input_forget={attributes['input_forget']} is", "export the model without it")
    if attributes.get("layout", 0) not in (0, 1):
        refuse(f"layout={attributes['layout']} is", "export with layout=0")


def _direction(node: NodeProto) -> str:
    return next((a.s.decode() for a in node.attribute if a.name == "direction"), "forward")


def _read_level(graph: Graph, node: NodeProto) -> tuple[Layer, ...]:
    """Reads W (D, 4H, X), R (D, 4H, H) and B (D, 8H) of D directions."""
    where = label(node)
    reverse = _REVERSE[_direction(node)]

    def read(index: int, name: str, dimensions: int) -> np.ndarray:
        tensor = node.input[index]
        what = f"{name} of {where}"
        _, inputs = graph.ancestors(tensor)
        if inputs:
            raise UsageError(
                f"{graph.source}: {what} comes from the graph input {inputs[0]}; "
                "export the model with its weights inside"
            )
        value = graph.evaluate(tensor, {}, what)
        if value.ndim != dimensions or value.shape[0] != len(reverse):
            raise UsageError(
                f"{graph.source}: {what} has shape {value.shape}; expected {dimensions} "
                f"dimensions, the first of size {len(reverse)} for direction={_direction(node)}"
            )
        value = as_float(value, f"{graph.source}: {what}")
        if value.shape[1] % 4:
            raise UsageError(
                f"{graph.source}: {what} has {value.shape[1]} rows, which are no four gates"
            )
        return value

    w_ih, w_hh = read(1, "W", 3), read(2, "R", 3)
    rows = w_hh.shape[1]
    bias = np.zeros((len(reverse), 2 * rows))
    if len(node.input) > 3 and node.input[3]:
        bias = read(3, "B", 2)
    if bias.shape[1] != 2 * rows:
        raise UsageError(
            f"{graph.source}: B of {where} has {bias.shape[1]} values; expected {2 * rows}"
        )
    hidden = w_hh.shape[2]
    if rows != 4 * hidden:
        raise UsageError(
            f"{graph.source}: R of {where} has shape {w_hh.shape}, not (directions, 4H, H); a "
            "projection (proj_size), which would have that, is not supported"
        )
    if w_ih.shape[1] != rows:
        raise UsageError(
            f"{graph.source}: W of {where} has {w_ih.shape[1]} rows and R {rows}; export it again"
        )
    stated = next((a.i for a in node.attribute if a.name == "hidden_size"), hidden)
    if stated != hidden:
        raise UsageError(
            f"{graph.source}: {where} has hidden_size={stated} but R for {hidden}; export it again"
        )
    try:
        return tuple(_cell(*parts) for parts in zip(w_ih, w_hh, bias, reverse))
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
