"""The pieces of a cut graph: recurrent parts, what the host computes, and control around both.

They know no file: tensors have names, and a piece computes some of them from others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing, why
from lstm_sharp.model.common import is_float, some
from lstm_sharp.model.host_graph import HostGraph
from lstm_sharp.model.onnx_run import Evaluator, make_evaluator

if TYPE_CHECKING:
    from onnx import ModelProto

Values = dict[str, Any]
"""Arrays by the names of their tensors."""
State = tuple[np.ndarray, np.ndarray]
"""h and c, (cells, batch, widest H) each."""
Call = Callable[["Recurrent", np.ndarray, "State | None", "np.ndarray | None"], Any]
"""Runs a recurrent part on x (batch, time, X), a state or None, and the steps of each sequence or
None; gives h (batch, time, hidden), and h and c after the last steps."""
_MOST_TURNS = 1 << 14
"""Of a loop around a recurrent node."""


class Piece(Protocol):
    """What is run in one go on the graph's way from inputs to outputs."""

    def run(self, values: Values, call: Call) -> None:
        """Compute from what is there, and add to it."""

    @property
    def reads(self) -> Iterable[str]:
        """Tensors that it takes."""

    @property
    def makes(self) -> Iterable[str]:
        """Tensors that it gives."""


@dataclass(frozen=True)
class Node:
    """A recurrent node: the names of its tensors, empty where it has none, and their form."""

    x: str
    lengths: str
    h: str
    c: str
    y: str
    y_h: str
    y_c: str
    directions: int
    size: int
    """H."""
    batch_major: bool = False
    """Whether the axis of the batch comes first, as with ONNX's layout 1."""

    @property
    def states(self) -> tuple[str, str]:
        """Its initial states."""
        return self.h, self.c


@dataclass(frozen=True, eq=False)
class Recurrent:
    """One recurrent node, or several that feed each other: what an engine runs in one go."""

    name: str
    model: Any
    """A ``Model``; in a package a ``QuantModel``."""
    nodes: tuple[Node, ...]
    looped: bool = False
    """Whether it lies in the body of a loop."""
    only: tuple[int, int] | None = None
    """Batch and time for which alone these nodes are known to feed each other."""

    @property
    def reads(self) -> Iterable[str]:
        """The first node's x, and sequence_lens and initial states of all."""
        states = [name for node in self.nodes for name in (node.lengths, *node.states)]
        return [name for name in (self.nodes[0].x, *states) if name]

    @property
    def makes(self) -> Iterable[str]:
        """Y of the last node, Y_h and Y_c of all."""
        ends = [name for node in self.nodes for name in (node.y_h, node.y_c)]
        return [name for name in (self.nodes[-1].y, *ends) if name]

    @property
    def keeps_state(self) -> bool:
        """Whether its state is no business of the graph's, so that it may go on from call to call.

        That is where no node of it is given one, and it runs once a call.
        """
        return not (self.looped or any(name for node in self.nodes for name in node.states))

    def run(self, values: Values, call: Call) -> None:
        """Compute Y, Y_h and Y_c from x, sequence_lens, initial_h and initial_c."""
        first, x = self.nodes[0], np.asarray(values[self.nodes[0].x])
        width = self.model.input_size
        if x.ndim != 3 or x.shape[2] != width or not is_float(x.dtype) or not x.size:
            axes = "batch, time" if first.batch_major else "time, batch"
            raise UsageError(
                f"{self.name}: its x is {x.dtype} {x.shape}; floats ({axes}, {width}) of at least "
                "one step are expected: check the shapes of the graph's inputs"
            )
        kind, x = x.dtype, x if first.batch_major else x.swapaxes(0, 1)
        if self.only and x.shape[:2] != tuple(self.only):
            raise UsageError(
                f"{self.name}: x has batch, time {x.shape[:2]}, but the file says {self.only}; "
                "export it with dynamic axes"
            )
        lengths, state = self._lengths(values, *x.shape[:2]), self._state(values, len(x))
        run = x.astype(np.float64)
        if lengths is None or lengths.min() > 0:
            h, after = call(self, run, state, lengths)
        else:  # a sequence without a step gives zeros
            held, h = lengths > 0, np.zeros((*x.shape[:2], self.model.hidden_size))
            after = np.zeros((2, *self.model.state_shape(len(x))))
            if held.any():
                state = state and (state[0][:, held], state[1][:, held])
                h[held], after[:, :, held] = call(self, run[held], state, lengths[held])
        at = 0
        for node in self.nodes:
            ends = [v[at : at + node.directions, :, : node.size] for v in after]
            if self.model.kind == "gru":
                ends = [ends[1], ends[1]]  # h before it is rounded
            at += node.directions
            found = {node.y_h: ends[0], node.y_c: ends[1]}
            if node.batch_major:
                found = {name: end.swapaxes(0, 1) for name, end in found.items()}
            if node is self.nodes[-1]:
                y = np.reshape(h, (*x.shape[:2], node.directions, node.size))
                found[node.y] = y if node.batch_major else y.transpose(1, 2, 0, 3)
            values.update({name: v.astype(kind) for name, v in found.items() if name})

    def _lengths(self, values: Values, batch: int, time: int) -> np.ndarray | None:
        name = self.nodes[0].lengths
        if not name:
            return None
        lengths = np.asarray(values[name])
        if lengths.shape != (batch,) or not ((lengths >= 0) & (lengths <= time)).all():
            raise UsageError(
                f"{self.name}: sequence_lens is {lengths.dtype} {lengths.shape}, "
                f"{some(lengths.flat)}; {batch} numbers from 0 to {time} are expected"
            )
        return None if (lengths == time).all() else lengths.astype(np.int64)

    def _state(self, values: Values, batch: int) -> State | None:
        """Collect the initial states of all cells; None where they are zero."""
        found, at = np.zeros((2, *self.model.state_shape(batch))), 0
        for node in self.nodes:
            for kind, name in enumerate(node.states):
                if not name:
                    continue
                given = np.asarray(values[name])
                want = [node.directions, batch, node.size]
                if node.batch_major:
                    want[:2] = want[1::-1]
                if given.shape != tuple(want):
                    raise UsageError(
                        f"{self.name}: {('initial_h', 'initial_c')[kind]} has shape "
                        f"{given.shape}, {tuple(want)} is expected"
                    )
                value = given.swapaxes(0, 1) if node.batch_major else given
                found[kind, at : at + node.directions, :, : node.size] = value
            at += node.directions
        if self.model.kind == "gru":
            found[1] = found[0]  # c of a GRU is its h
        return (found[0], found[1]) if found.any() else None


class Host:
    """A piece of the graph that the host computes.

    Args:
        source: of what, for errors.
        ops: how errors call what it computes.
        reads: tensors that it takes.
        makes: tensors that it gives.
        graph: gives the piece as a graph that takes values of the types of these.

    Attributes:
        seen: values of the types that it was last given; None before it has run.
    """

    seen: Values | None = None

    def __init__(
        self,
        source: str,
        ops: Sequence[str],
        reads: Sequence[str],
        makes: Sequence[str],
        graph: Callable[[Host, Mapping[str, Any]], ModelProto | bytes | HostGraph],
    ) -> None:
        self.source, self.ops, self.reads, self.makes = source, ops, reads, makes
        self._graph = graph
        self._evaluators: dict[tuple[object, ...], Evaluator] = {}

    def run(self, values: Values, call: Call) -> None:
        """Compute the piece."""
        given = {name: values[name] for name in self.reads}
        kinds = tuple(getattr(value, "dtype", list) for value in given.values())
        try:
            if kinds not in self._evaluators:
                self.seen = {name: _of_type(value) for name, value in given.items()}
                made = self.graph()
                run = made if isinstance(made, HostGraph) else make_evaluator(made)
                self._evaluators[kinds] = run
            found = self._evaluators[kinds](given)
        except Exception as error:  # whatever an op's implementation runs into
            shapes = ", ".join(f"{name} {np.shape(value)}" for name, value in given.items())
            raise UsageError(
                f"{self.source}: {some(self.ops)} cannot be computed of "
                f"{shapes or 'constants'}: {why(error)}"
            ) from error
        values.update(zip(self.makes, found))

    def graph(self) -> ModelProto | bytes | HostGraph:
        """Give the piece as a graph, once it has run."""
        assert self.seen is not None
        return self._graph(self, self.seen)


def _of_type(value: Any) -> Any:
    """Make a value of a value's type, of next to no size."""
    if isinstance(value, list):
        return [_of_type(one) for one in value[:1]]
    return np.empty(0, value.dtype)


@dataclass(frozen=True, eq=False)
class Control:
    """An If, Loop or Scan with a recurrent node inside, as ONNX defines them."""

    label: str
    op: str
    inputs: Sequence[str]
    makes: Sequence[str]
    """Outputs, with empty names in their places."""
    reads: Sequence[str]
    """Inputs, and what the bodies take from around them."""
    told: Mapping[str, Any] = field(repr=False)
    """Attributes that are no bodies."""
    bodies: Sequence[Body] = field(repr=False)

    def run(self, values: Values, call: Call) -> None:
        """Carry it out."""
        of = {"If": self._branch, "Loop": self._loop, "Scan": self._scan}[self.op]
        with refusing(f"{self.label} cannot be carried out", "export it again"):
            values.update(zip(self.makes, of(values, call)))

    def _branch(self, values: Values, call: Call) -> list[Any]:
        taken = bool(np.asarray(values[self.inputs[0]]).all())
        return self.bodies[0 if taken else 1].run(values, call)

    def _loop(self, values: Values, call: Call) -> list[Any]:
        most, goes_on, *names = self.inputs
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
        none = [0] * len(self.makes)
        return [*carried, *self._stacked(rows, none, none)]

    def _scan(self, values: Values, call: Call) -> list[Any]:
        count = self.told["num_scan_inputs"]
        names = list(self.inputs)
        carried, scanned = [values[n] for n in names[:-count]], [values[n] for n in names[-count:]]
        none = [0] * (len(names) + len(self.makes))
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
        if not rows and len(self.bodies[0].outputs) > len(self.inputs) - 1:
            raise UsageError(f"{self.label} takes no turn; give more steps")
        found = []
        for column, axis, back in zip(zip(*rows), axes, backwards):
            found.append(np.stack(column[::-1] if back else column, axis))
        return found

    def _check_turns(self, turns: int) -> None:
        if turns >= _MOST_TURNS:
            raise UsageError(f"{self.label} takes over {_MOST_TURNS} turns")


class Body:
    """Pieces of the top level, or of the body of a node.

    Args:
        inputs: names.
        outputs: names.
        pieces: in their order.
        constants: outputs, and what pieces read, that the file gives.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        outputs: Sequence[str],
        pieces: Sequence[Piece],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        self.inputs, self.outputs, self.pieces, self.constants = inputs, outputs, pieces, constants

    def run(self, values: Values, call: Call, given: Sequence[Any] = ()) -> list[Any]:
        """Compute the outputs.

        Args:
            values: of all tensors around it.
            call: runs recurrent parts.
            given: its own inputs.
        """
        own = {**values, **self.constants, **dict(zip(self.inputs, given))}
        for piece in self.pieces:
            piece.run(own, call)
        return [own[name] for name in self.outputs]

    def parts(self) -> Iterator[Recurrent]:
        """Yield all recurrent parts, of bodies in bodies too."""
        for piece in self.pieces:
            if isinstance(piece, Recurrent):
                yield piece
            elif isinstance(piece, Control):
                for body in piece.bodies:
                    yield from body.parts()
