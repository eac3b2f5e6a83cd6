"""Cuts an ONNX graph at its recurrent nodes: these run on an engine, all else on the host.

What lies around the recurrent nodes is computed as it stands, piece by piece, so that no exporter's
way of writing things has to be known. Where a recurrent node lies in the body of an If, Loop or
Scan, that body is cut likewise, and its node is carried out here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import match_prefix, same, some
from lstm_sharp.model.graph import Graph, Input
from lstm_sharp.model.model import Model, level_width
from lstm_sharp.model.onnx_file import all_nodes, attributes_of, label
from lstm_sharp.model.onnx_graph import Scope, reads_of
from lstm_sharp.model.onnx_import import is_recurrent, read_level, read_stack, why_none
from lstm_sharp.model.onnx_stack import PROBES, Level, input_of, marks
from lstm_sharp.model.pieces import Body, Control, Host, Node, Piece, Recurrent

if TYPE_CHECKING:
    from onnx import NodeProto

_MOVES = frozenset({"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout"})
"""Ops that keep all values of their first input, whatever its size."""
_BODIES = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}
_MOST_NODES = 1024
"""Recurrent ones of a graph; no model has as many, but a small file may."""
_LENS = 4
"""Place of sequence_lens among a node's inputs."""


class _Cutter:
    """Cuts scopes into pieces.

    Args:
        allow_host: leave to the host what no engine does.
        names: of the nodes, or of their weights, that are for an engine; None: all.

    Attributes:
        notes: what the host computes because the engine does not.
    """

    def __init__(self, allow_host: bool, names: Collection[str] | None = None) -> None:
        self._allow_host, self._names = allow_host, names
        self.notes: list[str] = []
        self._named: dict[str, int] = {}
        self._read: dict[int, Level] = {}  # each keeps its node, and so the node its id

    def takes(self, node: NodeProto) -> bool:
        """Tell whether a node is recurrent, and for an engine."""
        own = {_name(node), input_of(node, 1)}
        return is_recurrent(node) and (self._names is None or not own.isdisjoint(self._names))

    def body(self, scope: Scope, looped: bool = False) -> Body:
        """Cut a scope."""
        from onnx import numpy_helper

        pieces = self._pieces(scope, looped)
        engines = [piece for piece in pieces if not isinstance(piece, Host)]
        taken = [q.inputs if isinstance(q, Control) else q.reads for q in engines]
        reads = {name for names in (scope.outputs, *taken) for name in names}
        initial = scope.initializers
        constants = {n: numpy_helper.to_array(initial[n]) for n in reads & initial.keys()}
        return Body(list(scope.inputs), scope.outputs, pieces, constants)

    def _control(self, scope: Scope, node: NodeProto, looped: bool) -> Control:
        graphs = {item.name: item.g for item in node.attribute if item.HasField("g")}
        told, where = attributes_of(node), f"{scope.source}: {label(node)}"
        if node.op_type == "Scan" and scope.opset < 9:
            raise UsageError(f"{where} is of opset {scope.opset}; export it with 9 or newer")
        absent = [name for name in _BODIES[node.op_type] if name not in graphs]
        if absent:
            raise UsageError(f"{where} lacks its {some(absent)}; export it again")
        takes = 0 if node.op_type == "If" else len(node.input)
        sizes = takes, len(node.output) + (node.op_type == "Loop")
        for name in _BODIES[node.op_type]:
            found = len(graphs[name].input), len(graphs[name].output)
            if found != sizes:
                raise UsageError(
                    f"{where}: {name} has {found[0]} inputs and {found[1]} outputs, "
                    f"not {sizes[0]} and {sizes[1]}; export it again"
                )
        loops = looped or node.op_type != "If"
        return Control(
            where,
            node.op_type,
            list(node.input),
            list(node.output),
            sorted(set(reads_of(node)) - scope.initializers.keys()),
            {name: value for name, value in told.items() if name not in graphs},
            [self.body(scope.body(graphs[name]), loops) for name in _BODIES[node.op_type]],
        )

    def _pieces(self, scope: Scope, looped: bool) -> list[Piece]:
        """Cut a scope into pieces of the host, recurrent parts and control."""
        levels = self.levels(scope)
        groups = [[level] for level in levels]
        for upper in list(groups):
            for lower in groups:
                if lower is not upper and _feeds(scope, lower[-1], upper[0]):
                    joined = [g for g in groups if g not in (lower, upper)] + [[*lower, *upper]]
                    _, wanted = self._walk(scope, joined)
                    if lower[-1].node.output[0] not in wanted:
                        lower += upper
                        groups = [g for g in groups if g is not upper]
                        break
        specials: list[Piece] = [self._part(scope, group, looped) for group in groups]
        needed, _ = self._walk(scope, groups)
        inside = {id(level.node) for level in levels}
        hosted: list[NodeProto] = []
        for node in scope.own:
            if id(node) not in needed or id(node) in inside:
                continue
            if node.op_type in _BODIES and any(map(self.takes, all_nodes([node]))):
                if self._all_hosted(scope, node):
                    hosted.append(node)
                else:
                    specials.append(self._control(scope, node, looped))
            else:
                hosted.append(node)
        return _in_order(scope, hosted, specials)

    def _part(self, scope: Scope, group: list[Level], looped: bool) -> Recurrent:
        """Make the recurrent part of nodes that feed each other, under a name of its own."""
        names = [_name(level.node) for level in group]
        cells = tuple(cell for level in group for cell in level.cells)
        try:
            model = Model(cells, names[0], directions=tuple(len(q.cells) for q in group))
        except UsageError as error:
            raise UsageError(f"{scope.source}, {some(names)}: {error}") from error
        only = _sizes(scope, group[0]) if len(group) > 1 else None
        name = told = " + ".join(names)
        while name in self._named:  # other scopes, and nodes without one, may have the same
            self._named[told] += 1
            name = f"{told} ({self._named[told]})"
        self._named[name] = 1
        return Recurrent(name, model, tuple(map(_node, group)), looped, only)

    def levels(self, scope: Scope) -> list[Level]:
        """Read the recurrent nodes of a scope that an output of it needs."""
        found = []
        needed, _ = self._walk(scope, [])
        for node in scope.own:
            if not (self.takes(node) and id(node) in needed):
                continue
            try:
                if id(node) not in self._read:
                    self._read[id(node)] = read_level(scope, node)
                found.append(self._read[id(node)])
            except UsageError as error:
                if not self._allow_host:
                    raise UsageError(
                        f"{error}; or let the host compute it in float: --allow-host"
                    ) from None
                self.notes.append(f"the host computes {label(node)} in float: {error}")
        return found

    def _all_hosted(self, scope: Scope, node: NodeProto) -> bool:
        """Tell whether no recurrent node in a node's bodies is for an engine."""
        if not self._allow_host:
            return False
        quiet = _Cutter(True, self._names)
        bodies = (item.g for item in node.attribute if item.HasField("g"))
        inner = [quiet.body(scope.body(graph)) for graph in bodies]
        if any(True for body in inner for _ in body.parts()):
            return False
        self.notes += quiet.notes
        return True

    def _walk(self, scope: Scope, groups: list[list[Level]]) -> tuple[set[int], set[str]]:
        """Return the nodes that the outputs need, and all tensors that they read."""
        parts = {id(q.node): _reads_of_group(group) for group in groups for q in group}
        wanted, nodes = set(scope.outputs), set()
        for node in reversed(scope.own):
            if any(name in wanted for name in node.output if name):
                nodes.add(id(node))
                wanted.update(parts.get(id(node)) or reads_of(node))
        return nodes, wanted


def _name(node: NodeProto) -> str:
    """Return what a recurrent node is called, which in ONNX need not have a name."""
    return node.name or next((name for name in node.output if name), label(node))


def _reads_of_group(group: list[Level]) -> list[str]:
    found = [group[0].node.input[0]]
    found += [name for q in group for name in (input_of(q.node, _LENS), *q.states)]
    return list(filter(None, found))


def _node(level: Level) -> Node:
    """Name the tensors of a node."""
    node = level.node
    x, lengths = (input_of(node, place) for place in (0, _LENS))
    y, y_h, y_c = [*node.output, "", "", ""][:3]
    size, count = level.cells[0].hidden_size, len(level.cells)
    return Node(x, lengths, *level.states, y, y_h, y_c, count, size, level.batch_major)


def _host(scope: Scope, nodes: list[NodeProto]) -> Host:
    """Make a piece of the host."""
    inside = {name for node in nodes for name in node.output}
    reads = {name for node in nodes for name in reads_of(node)}
    return Host(
        scope.source,
        [label(node) for node in nodes],
        sorted(reads - inside - scope.initializers.keys()),
        [name for node in nodes for name in node.output if name],
        lambda piece, given: scope.model_of(nodes, given, piece.makes),
    )


def _feeds(scope: Scope, lower: Level, upper: Level) -> bool:
    """Tell whether all that a node takes is the h of another, step by step.

    Nothing on the way may leave out a value, whatever the sizes are; so where it arrives in its
    place at sizes without a common factor, it does so at all. If the file fixes the sizes, these
    alone count.
    """
    y, lens = lower.node.output[0], [input_of(q.node, _LENS) for q in (lower, upper)]
    if not y or lower.node.op_type != upper.node.op_type or lens[0] != lens[1]:
        return False
    name, passed = scope.trace(upper.node.input[0])
    if name != y or any(node.op_type not in _MOVES for node in passed):
        return False
    if any(lower.node in scope.part(state, {})[0] for state in filter(None, upper.states)):
        return False
    rng, only = np.random.default_rng(0), _sizes(scope, lower)
    for batch, time in [only] if only else PROBES:
        h = marks(rng, batch, time, level_width(lower.cells))
        try:
            found = scope.evaluate(upper.node.input[0], {y: lower.outputs(h)[y]}, "x")
        except UsageError:
            return False
        if not same(found, h if upper.batch_major else h.swapaxes(0, 1)):
            return False
    return True


def _sizes(scope: Scope, level: Level) -> tuple[int, int] | None:
    """Return batch and time of a node's h, if the file fixes both."""
    sizes = scope.sizes(level.node.output[0])
    if len(sizes) != 4 or not all(sizes):
        return None
    return (sizes[0], sizes[1]) if level.batch_major else (sizes[2], sizes[0])


def _in_order(scope: Scope, hosted: list[NodeProto], specials: list[Piece]) -> list[Piece]:
    """Put nodes and pieces in an order with as few pieces of the host as there must be."""
    missing = {name for piece in specials for name in piece.makes}
    missing.update(name for node in hosted for name in node.output if name)
    ordered: list[Piece] = []
    while hosted or specials:
        found, rest = [], []
        for node in hosted:  # which come in the order of execution
            if missing.isdisjoint(reads_of(node)):
                found.append(node)
                missing.difference_update(node.output)
            else:
                rest.append(node)
        ready = [piece for piece in specials if missing.isdisjoint(piece.reads)]
        missing.difference_update(name for piece in ready for name in piece.makes)
        if not (found or ready):
            raise UsageError(f"{scope.source}: {some(sorted(missing))} wait for each other")
        ordered += [*([_host(scope, found)] if found else []), *ready]
        hosted, specials = rest, [piece for piece in specials if piece not in ready]
    wanted = set(scope.outputs)
    for piece in reversed(ordered):
        if isinstance(piece, Host):
            piece.makes = [name for name in piece.makes if name in wanted]
        wanted.update(piece.reads)
    return ordered


def load_onnx(
    file: Path, prefix: str = "", whole: bool = False, allow_host: bool = False
) -> Model | Graph:
    """Import an ONNX file.

    Args:
        file: the graph; external data lies beside it.
        prefix: beginning of the names of the wanted recurrent nodes, or of their weights.
        whole: give the graph even where it is one stack that takes the graph's input.
        allow_host: let the host compute, in float, recurrent nodes that no engine does.

    Raises:
        UsageError: no LSTM or GRU, or anything that would not be computed as the file means it.
    """
    scope = Scope(file)
    cut = _Cutter(allow_host, _names_under(scope, prefix) if prefix else None)
    count = sum(map(cut.takes, all_nodes(scope.own)))
    if count > _MOST_NODES:
        raise UsageError(
            f"{scope.source} has {count} LSTMs and GRUs, {_MOST_NODES} at most are read"
        )
    in_bodies = count > sum(map(cut.takes, scope.own))
    if not (whole or allow_host or in_bodies):
        levels = cut.levels(scope)
        try:
            return read_stack(scope, levels)
        except UsageError:
            pass  # the graph takes all that a stack alone does not, or says why not
    body = cut.body(scope)
    parts = list(body.parts())
    if not (parts or cut.notes):
        raise UsageError(f"no LSTM or GRU in {scope.source}: {why_none(scope)}")
    if not prefix:
        inputs = {name: _input_of(info) for name, info in scope.inputs.items()}
        return Graph(scope.source, body, inputs, cut.notes)
    if len(parts) != 1:
        told = some(part.name for part in parts) or "what is under the prefix"
        raise UsageError(f"{scope.source}: {told} is no single stack; choose one by prefix")
    return replace(parts[0].model, no_head="is a part of a graph, which takes more than its h")


def _names_under(scope: Scope, prefix: str) -> list[str]:
    """Return the names under a prefix: of recurrent nodes, or else of their weights."""
    nodes = [node for node in all_nodes(scope.own) if is_recurrent(node)]
    for names in ([_name(node) for node in nodes], [input_of(node, 1) for node in nodes]):
        chosen = match_prefix(filter(None, names), prefix)
        if chosen:
            return chosen
    listed = some(map(label, nodes)) or "none"
    raise UsageError(
        f"{scope.source} has no LSTM or GRU under the prefix {prefix}; it has {listed}"
    )


def _input_of(info: Any) -> Input:
    """Read what a file says of an input."""
    from onnx import helper

    which = info.type.WhichOneof("value")
    if which not in (None, "tensor_type"):
        raise ValueError(f"input {info.name} is a {which.partition('_')[0]}, not a tensor")
    kind = info.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else None
    if not kind.HasField("shape"):
        return Input(dtype, None)
    shape = tuple(a.dim_value or a.dim_param or "?" for a in kind.shape.dim)
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise ValueError(f"input {info.name} has the shape {shape}")
    return Input(dtype, shape)
