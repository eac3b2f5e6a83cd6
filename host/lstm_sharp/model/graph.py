"""A whole ONNX graph, cut at its recurrent nodes: these run on an engine, all else on the host.

What lies around the recurrent nodes is computed as it stands, piece by piece, so that no exporter's
way of writing things has to be known. Where a recurrent node lies in the body of an If, Loop or
Scan, that body is cut likewise, and its node is carried out here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.common import is_float, match_prefix, some
from lstm_sharp.model.model import Model
from lstm_sharp.model.onnx_file import all_nodes, label
from lstm_sharp.model.onnx_graph import Scope, reads_of
from lstm_sharp.model.onnx_import import is_recurrent, read_level, read_stack, why_none
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator
from lstm_sharp.model.onnx_stack import PROBES, Level, input_of, same

if TYPE_CHECKING:
    from onnx import NodeProto

Values = dict[str, Any]
"""Arrays by the names of their tensors."""
State = tuple[np.ndarray, np.ndarray]
"""h and c, (cells, batch, widest H) each."""
Call = Callable[["Recurrent", np.ndarray, "State | None", "np.ndarray | None"], Any]
"""Runs a recurrent part on x (batch, time, X), a state or None, and the steps of each sequence or
None; gives h (batch, time, hidden), and h and c after the last steps."""

_MOVES = frozenset({"Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity", "Dropout"})
"""Ops that keep all values of their first input, whatever its size."""
_BODIES = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}
_MOST_TURNS = 1 << 16
"""Of a loop around a recurrent node."""
_LENS, _H, _C = 4, 5, 6
"""Places of sequence_lens, initial_h and initial_c among a node's inputs."""


class Input(NamedTuple):
    """An input of a graph."""

    dtype: np.dtype | None
    """None where the file does not say."""
    shape: tuple[int | str, ...] | None
    """Sizes, or names of those that are open, ``?`` without one; None: of any rank."""

    def __str__(self) -> str:
        shape = "any shape" if self.shape is None else f"({', '.join(map(str, self.shape))})"
        return f"{self.dtype or 'any type'} {shape}"


class Step(Protocol):
    """One step of the graph's way from inputs to outputs."""

    def run(self, values: Values, call: Call) -> None:
        """Compute from what is there, and add to it."""

    @property
    def reads(self) -> Iterable[str]:
        """Tensors that it takes."""

    @property
    def makes(self) -> Iterable[str]:
        """Tensors that it gives."""


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One recurrent node, or several that feed each other: what an engine runs in one go."""

    name: str
    model: Model
    levels: tuple[Level, ...] = field(repr=False)
    looped: bool
    """Whether it lies in the body of a loop."""

    @property
    def reads(self) -> Iterable[str]:
        """The first node's x, and sequence_lens and initial states of all."""
        for level in self.levels:
            places = range(_LENS, 7) if level is not self.levels[0] else (0, _LENS, _H, _C)
            yield from filter(None, (input_of(level.node, place) for place in places))

    @property
    def makes(self) -> Iterable[str]:
        """Y of the last node, Y_h and Y_c of all."""
        for level in self.levels:
            outputs = level.node.output if level is self.levels[-1] else level.node.output[1:]
            yield from filter(None, outputs)

    @property
    def keeps_state(self) -> bool:
        """Whether its state is no business of the graph's, so that it may go on from call to call.

        That is where no node of it is given one, and it runs once a call.
        """
        given = [input_of(q.node, place) for q in self.levels for place in (_H, _C)]
        return not (self.looped or any(given))

    def run(self, values: Values, call: Call) -> None:
        """Compute Y, Y_h and Y_c from x, sequence_lens, initial_h and initial_c."""
        first, x = self.levels[0], np.asarray(values[self.levels[0].node.input[0]])
        width = self.model.input_size
        if x.ndim != 3 or x.shape[2] != width or not is_float(x.dtype) or not x.size:
            axes = "batch, time" if first.batch_major else "time, batch"
            raise UsageError(
                f"{self.name}: its x is {x.dtype} {x.shape}; floats ({axes}, {width}) of at least "
                "one step are expected: check the shapes of the graph's inputs"
            )
        kind, x = x.dtype, x if first.batch_major else x.swapaxes(0, 1)
        lengths, state = self._lengths(values, *x.shape[:2]), self._state(values, len(x))
        run = x.astype(np.float64)
        if lengths is None or lengths.min() > 0:
            h, after = call(self, run, state, lengths)
        else:  # a sequence without a step gives zeros
            held, cells = lengths > 0, self.model.layers
            h = np.zeros((*x.shape[:2], self.model.hidden_size))
            after = np.zeros((2, len(cells), len(x), max(cell.hidden_size for cell in cells)))
            if held.any():
                state = state and (state[0][:, held], state[1][:, held])
                h[held], after[:, :, held] = call(self, run[held], state, lengths[held])
        at = 0
        for level in self.levels:
            count, size = len(level.cells), level.cells[0].hidden_size
            ends = [v[at : at + count, :, :size] for v in after]
            if self.model.kind == "gru":
                ends = [ends[1], ends[1]]  # h before it is rounded
            at += count
            if level.batch_major:
                ends = [end.swapaxes(0, 1) for end in ends]
            y = None
            if level is self.levels[-1]:
                y = np.reshape(h, (*x.shape[:2], count, size))
                y = y if level.batch_major else y.transpose(1, 2, 0, 3)
            for name, value in zip(level.node.output, (y, *ends)):
                if name and value is not None:
                    values[name] = value.astype(kind)

    def _lengths(self, values: Values, batch: int, time: int) -> np.ndarray | None:
        name = input_of(self.levels[0].node, _LENS)
        if not name:
            return None
        lengths = np.asarray(values[name])
        if lengths.shape != (batch,) or lengths.min() < 0 or lengths.max() > time:
            raise UsageError(
                f"{self.name}: sequence_lens is {lengths.dtype} {lengths.shape} of "
                f"{lengths.min()} to {lengths.max()}; {batch} numbers from 0 to {time} are expected"
            )
        return None if (lengths == time).all() else lengths.astype(np.int64)

    def _state(self, values: Values, batch: int) -> State | None:
        """Collect the initial states of all cells; None where they are zero."""
        widest = max(cell.hidden_size for cell in self.model.layers)
        found = np.zeros((2, len(self.model.layers), batch, widest))
        at = 0
        for level in self.levels:
            count, size = len(level.cells), level.cells[0].hidden_size
            for kind, place in enumerate((_H, _C)):
                name = input_of(level.node, place)
                if not name:
                    continue
                given = np.asarray(values[name])
                want = (batch, count, size) if level.batch_major else (count, batch, size)
                if given.shape != want:
                    raise UsageError(
                        f"{self.name}: {['initial_h', 'initial_c'][kind]} has shape "
                        f"{given.shape}, {want} is expected"
                    )
                value = given.swapaxes(0, 1) if level.batch_major else given
                found[kind, at : at + count, :, :size] = value
            at += count
        if self.model.kind == "gru":
            found[1] = found[0]  # c of a GRU is its h
        return (found[0], found[1]) if found.any() else None


class Host:
    """A piece of the graph that the host computes."""

    def __init__(self, scope: Scope, nodes: list[NodeProto]) -> None:
        self.scope, self.nodes = scope, nodes
        inside = {name for node in nodes for name in node.output}
        told = {name for node in nodes for name in reads_of(node)}
        self.reads = sorted(told - inside - scope.initializers.keys())
        self.makes = [name for node in nodes for name in node.output if name]
        self._evaluators: dict[tuple[object, ...], Evaluator] = {}

    def run(self, values: Values, call: Call) -> None:
        """Compute the piece."""
        given = {name: values[name] for name in self.reads}
        kinds = tuple(getattr(value, "dtype", list) for value in given.values())
        try:
            if kinds not in self._evaluators:
                part = self.scope.model_of(self.nodes, given, self.makes)
                self._evaluators[kinds] = make_evaluator(part)
            found = self._evaluators[kinds](given)
        except Exception as error:  # whatever an op's implementation runs into
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
            raise UsageError(
                f"{self.scope.source}: {some(map(label, self.nodes))} cannot be computed of "
                f"{shapes or 'constants'}: {why(error)}"
            ) from error
        values.update(zip(self.makes, found))


class Control:
    """An If, Loop or Scan with a recurrent node inside."""

    def __init__(self, cut: _Cutter, scope: Scope, node: NodeProto, looped: bool) -> None:
        graphs = {item.name: item.g for item in node.attribute if item.HasField("g")}
        self.node, self.source, loops = node, scope.source, looped or node.op_type != "If"
        self.bodies = [Body(cut, scope.body(graphs[name]), loops) for name in _BODIES[node.op_type]]
        self.reads = list(reads_of(node))
        self.makes = list(filter(None, node.output))
        self.told = _attributes_of(node)
        if node.op_type == "Scan" and scope.opset < 9:
            raise UsageError(f"{scope.source}: {label(node)} is of opset 8; export it with a newer")

    def run(self, values: Values, call: Call) -> None:
        """Carry it out."""
        of = {"If": self._branch, "Loop": self._loop, "Scan": self._scan}[self.node.op_type]
        values.update(zip(self.node.output, of(values, call)))

    def _branch(self, values: Values, call: Call) -> list[Any]:
        taken = bool(np.asarray(values[self.node.input[0]]).all())
        return self.bodies[0 if taken else 1].run(values, call)

    def _loop(self, values: Values, call: Call) -> list[Any]:
        most, goes_on, *names = self.node.input
        turns = int(np.asarray(values[most]).item()) if most else _MOST_TURNS + 1
        on: Any = values[goes_on] if goes_on else np.array(True)
        carried: list[Any] = [values[name] for name in names]
        rows: list[list[Any]] = []
        while np.all(on) and len(rows) < turns:
            self._check_turns(len(rows))
            given = [np.array(len(rows)), np.asarray(on, bool), *carried]
            on, *found = self.bodies[0].run(values, call, given)
            carried = found[: len(names)]
            rows.append(found[len(names) :])
        return [*carried, *self._stacked(rows, [0] * 64, [0] * 64)]

    def _scan(self, values: Values, call: Call) -> list[Any]:
        count = self.told["num_scan_inputs"]
        names = list(self.node.input)
        carried, scanned = [values[n] for n in names[:-count]], [values[n] for n in names[-count:]]
        none = [0] * 64
        axes = self.told.get("scan_input_axes", none)
        for index, backwards in enumerate(self.told.get("scan_input_directions", none)[:count]):
            rows_first = np.moveaxis(scanned[index], axes[index], 0)
            scanned[index] = rows_first[::-1] if backwards else rows_first
        rows = []
        for turn in range(len(scanned[0])):
            self._check_turns(turn)
            given = [*carried, *(np.ascontiguousarray(value[turn]) for value in scanned)]
            found = self.bodies[0].run(values, call, given)
            carried = found[: len(carried)]
            rows.append(found[len(carried) :])
        backwards = self.told.get("scan_output_directions", none)
        return [*carried, *self._stacked(rows, self.told.get("scan_output_axes", none), backwards)]

    def _stacked(
        self, rows: list[list[Any]], axes: Sequence[int], backwards: Sequence[int]
    ) -> list[np.ndarray]:
        if not rows and len(self.bodies[0].scope.outputs) > len(self.node.input) - 1:
            raise UsageError(f"{self.source}: {label(self.node)} takes no turn; give more steps")
        found = []
        for column, axis, back in zip(zip(*rows), axes, backwards):
            found.append(np.stack(column[::-1] if back else column, axis))
        return found

    def _check_turns(self, turns: int) -> None:
        if turns >= _MOST_TURNS:
            raise UsageError(f"{self.source}: {label(self.node)} takes over {_MOST_TURNS} turns")


class Body:
    """Steps of the top level, or of the body of a node."""

    def __init__(self, cut: _Cutter, scope: Scope, looped: bool = False) -> None:
        from onnx import numpy_helper

        self.scope = scope
        self.steps = cut.steps(scope, looped)
        pieces = (step.reads for step in self.steps if not isinstance(step, Host))
        reads = {name for told in (scope.outputs, *pieces) for name in told}
        self._constants = {
            name: numpy_helper.to_array(scope.initializers[name])
            for name in reads & scope.initializers.keys()
        }

    def run(self, values: Values, call: Call, given: Sequence[Any] = ()) -> list[Any]:
        """Compute the outputs.

        Args:
            values: of all tensors around it.
            call: runs recurrent parts.
            given: its own inputs.
        """
        own = {**values, **self._constants, **dict(zip(self.scope.inputs, given))}
        for step in self.steps:
            step.run(own, call)
        return [own[name] for name in self.scope.outputs]

    def parts(self) -> Iterator[Recurrent]:
        """Yield all recurrent parts, of bodies in bodies too."""
        for step in self.steps:
            if isinstance(step, Recurrent):
                yield step
            elif isinstance(step, Control):
                for body in step.bodies:
                    yield from body.parts()


class _Cutter:
    """Cuts scopes into steps.

    Args:
        allow_host: leave to the host what no engine does.
        names: of the nodes, or of their weights, that are for an engine; None: all.

    Attributes:
        notes: what the host computes because the engine does not.
    """

    def __init__(self, allow_host: bool, names: Collection[str] | None = None) -> None:
        self._allow_host, self._names = allow_host, names
        self.notes: list[str] = []

    def takes(self, node: NodeProto) -> bool:
        """Tell whether a node is recurrent, and for an engine."""
        own = {node.name, input_of(node, 1)}
        return is_recurrent(node) and (self._names is None or not own.isdisjoint(self._names))

    def steps(self, scope: Scope, looped: bool) -> list[Step]:
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
        specials: list[Step] = [_part(scope, group, looped) for group in groups]
        needed = self._needed(scope, groups)
        inside = {id(level.node) for level in levels}
        hosted: list[NodeProto] = []
        for node in scope.own:
            if id(node) not in needed or id(node) in inside:
                continue
            if node.op_type in _BODIES and any(map(self.takes, all_nodes([node]))):
                if self._all_hosted(scope, node):
                    hosted.append(node)
                else:
                    specials.append(Control(self, scope, node, looped))
            else:
                hosted.append(node)
        return _in_order(scope, hosted, specials)

    def levels(self, scope: Scope) -> list[Level]:
        """Read the recurrent nodes of a scope that an output of it needs."""
        found = []
        needed = self._needed(scope, [])
        for node in scope.own:
            if not (self.takes(node) and id(node) in needed):
                continue
            try:
                found.append(read_level(scope, node))
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
        inner = [Body(quiet, scope.body(graph)) for graph in bodies]
        if any(True for body in inner for _ in body.parts()):
            return False
        self.notes += quiet.notes
        return True

    def _needed(self, scope: Scope, groups: list[list[Level]]) -> set[int]:
        return self._walk(scope, groups)[0]

    def _walk(self, scope: Scope, groups: list[list[Level]]) -> tuple[set[int], set[str]]:
        """Return the nodes that the outputs need, and all tensors that they read."""
        parts = {id(q.node): _reads_of_group(group) for group in groups for q in group}
        wanted, nodes = set(scope.outputs), set()
        for node in reversed(scope.own):
            if any(name in wanted for name in node.output if name):
                nodes.add(id(node))
                wanted.update(parts.get(id(node)) or reads_of(node))
        return nodes, wanted


def _reads_of_group(group: list[Level]) -> list[str]:
    found = [group[0].node.input[0]]
    found += [input_of(q.node, place) for q in group for place in (_LENS, _H, _C)]
    return list(filter(None, found))


def _part(scope: Scope, group: list[Level], looped: bool) -> Recurrent:
    """Make the recurrent part of nodes that feed each other."""
    names = [level.node.name or level.node.output[0] or label(level.node) for level in group]
    cells = tuple(cell for level in group for cell in level.cells)
    try:
        model = Model(cells, names[0], directions=tuple(len(q.cells) for q in group))
    except UsageError as error:
        raise UsageError(f"{scope.source}, {some(names)}: {error}") from error
    return Recurrent(" + ".join(names), model, tuple(group), looped)


def _feeds(scope: Scope, lower: Level, upper: Level) -> bool:
    """Tell whether all that a node takes is the h of another, step by step, at any size.

    Nothing on the way may leave out a value, whatever the sizes are; so where it arrives in its
    place at sizes without a common factor, it does so at all.
    """
    y, lens = lower.node.output[0], [input_of(q.node, _LENS) for q in (lower, upper)]
    if not y or lower.node.op_type != upper.node.op_type or lens[0] != lens[1]:
        return False
    name, passed = scope.trace(upper.node.input[0])
    if name != y or any(node.op_type not in _MOVES for node in passed):
        return False
    states = filter(None, (input_of(upper.node, place) for place in (_H, _C)))
    if any(lower.node in scope.part(state, {})[0] for state in states):
        return False
    rng = np.random.default_rng(0)
    for batch, time in PROBES:
        h = rng.random((batch, time, sum(cell.hidden_size for cell in lower.cells)), np.float32)
        try:
            found = scope.evaluate(upper.node.input[0], {y: lower.outputs(h)[y]}, "x")
        except UsageError:
            return False
        if not same(found, h if upper.batch_major else h.swapaxes(0, 1)):
            return False
    return True


def _in_order(scope: Scope, hosted: list[NodeProto], specials: list[Step]) -> list[Step]:
    """Put nodes and steps in an order with as few pieces of the host as there must be."""
    missing = {name for step in specials for name in step.makes}
    missing.update(name for node in hosted for name in node.output if name)
    ordered: list[Step] = []
    while hosted or specials:
        piece, rest = [], []
        for node in hosted:  # which come in the order of execution
            if missing.isdisjoint(reads_of(node)):
                piece.append(node)
                missing.difference_update(node.output)
            else:
                rest.append(node)
        ready = [step for step in specials if missing.isdisjoint(step.reads)]
        missing.difference_update(name for step in ready for name in step.makes)
        if not (piece or ready):
            raise UsageError(f"{scope.source}: {some(sorted(missing))} wait for each other")
        ordered += [*([Host(scope, piece)] if piece else []), *ready]
        hosted, specials = rest, [step for step in specials if step not in ready]
    wanted = set(scope.outputs)
    for step in reversed(ordered):
        if isinstance(step, Host):
            step.makes = [name for name in step.makes if name in wanted]
        wanted.update(step.reads)
    return ordered


def _attributes_of(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


class Graph:
    """A model of which recurrent parts run on an engine, and the rest on the host.

    Args:
        scope: the top level of the file.
        allow_host: let the host compute, in float, recurrent nodes that no engine does.
        prefix: beginning of the names of the recurrent nodes that are for an engine, or of their
            weights.

    Attributes:
        name: of the file, without its suffix.
        inputs: by name.
        outputs: names.
        parts: what runs on an engine, in the order of execution.
        notes: what the host computes because no engine does.

    Raises:
        UsageError: a recurrent node that would not be computed as the file means it.
    """

    def __init__(self, scope: Scope, allow_host: bool = False, prefix: str = "") -> None:
        self.source, self.name, self._scope = scope.source, Path(scope.source).stem, scope
        cut = _Cutter(allow_host, _names_under(scope, prefix) if prefix else None)
        self.body = Body(cut, scope)
        self.notes = tuple(cut.notes)
        self.parts = tuple(self.body.parts())
        self.outputs = tuple(scope.outputs)
        if not self.parts and not (self.notes and allow_host):
            raise UsageError(f"no LSTM or GRU in {self.source}: {why_none(scope)}")
        self.inputs = {name: _input_of(info) for name, info in scope.inputs.items()}

    def run(self, values: Mapping[str, np.ndarray], call: Call) -> Values:
        """Compute the outputs.

        Args:
            values: of all inputs.
            call: runs recurrent parts.

        Raises:
            UsageError: inputs of other names, types or shapes, or ones that the graph cannot take.
        """
        found = self.body.run(self._checked(values), call)
        return dict(zip(self.outputs, found))

    def states(self, values: Mapping[str, np.ndarray]) -> tuple[tuple[str, str], ...]:
        """Pair the inputs that are initial states with the outputs that these states end as.

        If the recurrent parts leave their states as they are, such an input must come out of such
        an output as it went in, and if they negate them, negated.

        Args:
            values: of all inputs, of which sizes and whole numbers count.
        """
        rng, found = np.random.default_rng(0), []
        given = {
            name: rng.random(value.shape).astype(value.dtype) if is_float(value.dtype) else value
            for name, value in self._checked(values).items()
        }
        for sign in (1, -1):
            ends = self.run(given, partial(_leave, sign))
            found.append(
                {
                    (name, out)
                    for name, value in given.items()
                    for out, end in ends.items()
                    if is_float(value.dtype) and same(end, sign * value)
                }
            )
        return tuple(sorted(found[0] & found[1]))

    def _checked(self, values: Mapping[str, np.ndarray]) -> Values:
        wants = "; ".join(f"{name}: {told}" for name, told in self.inputs.items())
        missing = [name for name in self.inputs if name not in values]
        odd = [name for name in values if name not in self.inputs]
        if missing or odd:
            told = f"lacks {some(missing)}" if missing else f"has no input {some(odd)}"
            raise UsageError(f"{self.source} {told}; its inputs are {wants}")
        found: Values = {}
        sizes: dict[str, int] = {}
        for name, (dtype, shape) in self.inputs.items():
            value = np.asarray(values[name])
            both_float = dtype is not None and is_float(dtype) and value.dtype.kind in "fiu"
            both_whole = dtype is not None and dtype.kind in "iub" and value.dtype.kind in "iub"
            fits = shape is None or (
                len(shape) == value.ndim
                and all(
                    size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
                    for want, size in zip(shape, value.shape)
                    if want != "?"
                )
            )
            if not fits or not (dtype is None or value.dtype == dtype or both_float or both_whole):
                raise UsageError(
                    f"{self.source}: input {name} is {value.dtype} {value.shape}; "
                    f"its inputs are {wants}"
                )
            if both_float and not np.isfinite(np.asarray(value, float)).all():
                raise UsageError(f"{self.source}: input {name} has NaN or infinite values")
            found[name] = value if dtype is None else value.astype(dtype)
        return found


def _leave(
    sign: int, part: Recurrent, x: np.ndarray, state: State | None, _: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Stand in for a recurrent part: leave the state as it is, or negate it."""
    cells = part.model.layers
    none = np.zeros((2, len(cells), len(x), max(cell.hidden_size for cell in cells)))
    after = none if state is None else sign * np.stack(state)
    return np.zeros((*x.shape[:2], part.model.hidden_size)), after


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
    cut = _Cutter(False, _names_under(scope, prefix) if prefix else None)
    in_bodies = sum(map(cut.takes, all_nodes(scope.own))) > sum(map(cut.takes, scope.own))
    if not (whole or allow_host or in_bodies):
        try:
            return read_stack(scope, cut.levels(scope))
        except UsageError:
            pass  # the graph takes all that a stack alone does not, or says why not
    graph = Graph(scope, allow_host, prefix)
    if not prefix:
        return graph
    if len(graph.parts) != 1:
        told = some(part.name for part in graph.parts)
        raise UsageError(f"{scope.source}: {told} are no single stack; choose one by prefix")
    return graph.parts[0].model


def _names_under(scope: Scope, prefix: str) -> list[str]:
    """Return the names under a prefix: of recurrent nodes, or else of their weights."""
    nodes = [node for node in all_nodes(scope.own) if is_recurrent(node)]
    for names in ([node.name for node in nodes], [input_of(node, 1) for node in nodes]):
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

    kind = info.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type) if kind.elem_type else None
    if not kind.HasField("shape"):
        return Input(dtype, None)
    shape = tuple(a.dim_value or a.dim_param or "?" for a in kind.shape.dim)
    if any(isinstance(size, int) and size < 0 for size in shape):
        raise ValueError(f"input {info.name} has the shape {shape}")
    return Input(dtype, shape)
