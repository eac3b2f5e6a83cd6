"""A whole graph through one backend: its recurrent parts on one engine, the rest on the host."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp.compiler.schedule import check_schedule
from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import some
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.pieces import Call, Recurrent, State, Values
from lstm_sharp.numerics.formats import DEFAULT_FORMAT, Format
from lstm_sharp.runtime import session as of_model
from lstm_sharp.runtime.backends import Float, Progress
from lstm_sharp.runtime.batch import padded
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.report import Report

_SUMS = ("steps", "cycles", "predicted_cycles", "hls_cycles", "ideal_cycles", "load_cycles")
_ALIKE = ("backend", "engine", "format", "config", "schedule")
_FEW = 64
"""Steps below which a note says that scales were chosen on little."""


@dataclass(frozen=True)
class GraphReport:
    """What a call did; the JSON of the command line has what a ``Report`` has, of all parts."""

    parts: Mapping[str, tuple[Report, ...]] = field(repr=False)
    """Of each recurrent part, a report for each time it ran."""
    seconds: float
    """Of the whole call, with what the host computed."""
    errors: Mapping[str, tuple[float, float]] | None
    """Of each output: largest difference from the graph with its parts in float, and the largest
    abs value of that graph's; None if that was not asked for."""
    states: tuple[tuple[str, str], ...]
    """Inputs and outputs that are found to be states."""
    notes: tuple[str, ...]

    @property
    def max_abs_error(self) -> float | None:
        """The largest of any output."""
        return max((e for e, _ in self.errors.values()), default=0.0) if self.errors else None

    @classmethod
    def of(cls, reports: Sequence[GraphReport]) -> GraphReport:
        """Put the reports of calls together."""
        last = reports[-1]
        told = [r.errors for r in reports if r.errors]
        errors = last.errors and {
            out: (max(e[out][0] for e in told), max(e[out][1] for e in told)) for out in last.errors
        }
        notes = dict.fromkeys(note for report in reports for note in report.notes)
        parts = {name: sum((report.parts[name] for report in reports), ()) for name in last.parts}
        return cls(parts, sum(r.seconds for r in reports), errors, last.states, tuple(notes))

    def lines(self) -> Iterator[str]:
        """Say of each part and output, in a line, what it did."""
        for name, reports in self.parts.items():
            if reports:
                errors = [r.max_abs_error for r in reports if r.max_abs_error is not None]
                off = f", h off by {max(errors):.3g}" if errors else ""
                cycles = sum(r.cycles or r.predicted_cycles or 0 for r in reports)
                took = f", {cycles} cycles" if cycles else ""
                steps = sum(r.steps for r in reports)
                yield f"{name}: ran {len(reports)} times, {steps} steps{took}{off}"
            else:
                yield f"{name}: did not run"
        for name, (error, largest) in (self.errors or {}).items():
            yield f"output {name}: off by {error:.3g}, its largest value is {largest:.3g}"

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        every = [report for reports in self.parts.values() for report in reports]
        sums: dict[str, Any] = {}
        for name in _SUMS:
            values = [getattr(report, name) for report in every]
            sums[name] = None if None in values or not values else sum(values)
        took = sums["cycles"] or sums["predicted_cycles"]
        of_all = {
            name: ", ".join(dict.fromkeys(filter(None, (getattr(r, name) for r in every)))) or None
            for name in _ALIKE
        }
        return {
            **of_all,
            **sums,
            "utilization": sums["ideal_cycles"] / took if took else None,
            "max_abs_error": self.max_abs_error,
            "outputs": self.errors
            and {k: {"max_abs_error": e, "largest": top} for k, (e, top) in self.errors.items()},
            "seconds": self.seconds,
            "states": self.states,
            "parts": {name: [r.as_dict() for r in told] for name, told in self.parts.items()},
            "notes": self.notes,
        }


class GraphSession:
    """Runs a graph; ``Session`` makes one of a ``Graph``, and its arguments are the same.

    Args:
        graph: cut at its recurrent parts.
        calibration: typical inputs as ``series`` takes them, or the first one; by default those of
            the first call, which is little to choose scales on if it has few steps.
        stateful: inputs that are states go on from where the last call ended, until ``reset``, as
            do recurrent parts that the graph gives no state.

    Attributes:
        sessions: of each part, by name: one engine for all.
        report: what the last call did; None before the first.

    Raises:
        UsageError: as ``Session``.
    """

    report: GraphReport | None = None
    _format = DEFAULT_FORMAT
    _to_calibrate = False
    """Whether the next call is run in float first: a part of a loop takes more than one x in it."""

    def __init__(
        self,
        graph: Graph,
        config: Any = None,
        backend: str = "golden",
        *,
        format: str | None = None,
        schedule: str = "best",
        calibration: Mapping[str, np.ndarray] | np.ndarray | None = None,
        build: Path | None = None,
        steps: int = 1,
        stateful: bool = False,
        overlay: str | Path | None = None,
        compare: bool = False,
        progress: Progress | None = None,
    ) -> None:
        of_model.check_backend(backend, overlay)
        check_schedule(schedule)
        self._format = str(Format.parse(format or DEFAULT_FORMAT))
        self._begin(graph, backend, stateful, {}, compare)
        required = backend not in ("float", "golden")
        asked = required or config or self._format != DEFAULT_FORMAT  # as in a session
        if graph.parts and overlay is None and asked:
            models = [part.model for part in graph.parts]
            config = choose(models, config, format, required, steps)
        beside: of_model.Session | None = None
        for part in graph.parts if backend != "float" else ():  # which has no scales
            beside = self.sessions[part.name] = of_model.Session(
                part.model,
                beside.cfg if beside and overlay is not None else config,
                backend,
                format=format,
                schedule=schedule,
                build=build,
                steps=steps,
                stateful=stateful and part.keeps_state,
                overlay=overlay,
                compare=compare,
                progress=progress,
                beside=beside,
            )
        self._to_calibrate = backend != "float" and any(part.looped for part in graph.parts)
        if calibration is not None:
            self._calibrate(self._named(calibration))

    def _begin(
        self,
        graph: Graph,
        backend: str,
        stateful: bool,
        sessions: dict[str, of_model.Session],
        compare: bool = False,
    ) -> None:
        self.graph, self.backend, self.stateful, self.sessions = graph, backend, stateful, sessions
        self._compare = compare
        self._reports: dict[str, list[Report]] = {}
        self._from_zeros()

    def _from_zeros(self) -> None:
        self._in_float = InFloat(self.stateful)
        self._course = _Course(self.graph, self._run_part, self.stateful)
        self._exact = _Course(self.graph, InFloat(self.stateful), self.stateful)

    def __enter__(self) -> GraphSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all sessions."""
        for session in self.sessions.values():
            session.close()

    def reset(self) -> None:
        """Begin the next run from zeros, if the session is stateful."""
        self._from_zeros()
        for session in self.sessions.values():
            session.reset()

    def run(self, x: Mapping[str, np.ndarray] | np.ndarray) -> Any:
        """Run the graph.

        Args:
            x: the inputs by name, or the first one. An input that is found to be a state may be
                left out: it is zero, or what the last call left behind if the session is stateful.

        Returns:
            The outputs by name, or the one output that there is beside states, if x was an array.

        Raises:
            UsageError: inputs of other names, types or shapes, or what the engine does not hold.
            BoardError: the run failed on a board; call ``reset``.
        """
        named = isinstance(x, Mapping)
        given = self._named(x)
        values = self.graph.filled(given)
        left_out = values.keys() - given.keys()
        states = self.graph.states(values) if self.stateful or left_out else ()
        odd = left_out - dict(states).keys()
        if odd:
            wants = "; ".join(f"{name}: {self.graph.inputs[name]}" for name in sorted(odd))
            raise UsageError(f"{self.graph.source} needs the input {wants}")
        if self._to_calibrate:
            self._calibrate(values)
        self._reports = {part.name: [] for part in self.graph.parts}
        began = time.perf_counter()
        found = self._course.run(values, states, left_out)
        seconds, errors = time.perf_counter() - began, None
        if self._compare:
            exact = self._exact.run(values, states, left_out)
            errors = {name: _error(found[name], exact[name]) for name in found}
        kept = "goes on from call to call" if self.stateful else "begins at zero"
        notes = [
            f"{name} is the state that {out} ends as; it {kept}"
            for name, out in states
            if name in left_out
        ]
        reports = {name: tuple(each) for name, each in self._reports.items()}
        self.report = GraphReport(reports, seconds, errors, states, (*self.graph.notes, *notes))
        ends = [name for name in found if name not in dict(states).values()]
        return found if named or len(ends) != 1 else found[ends[0]]

    def run_series(self, calls: Sequence[Values]) -> tuple[Values, GraphReport]:
        """Run calls, one after the other.

        Returns:
            The outputs by name, those of several calls stacked along a new first axis; and what all
            calls did.

        Raises:
            UsageError: as ``run``; also an output whose shape is another in another call.
        """
        answers, reports = [], []
        for call in calls:
            answers.append(self.run(call))
            assert self.report is not None
            reports.append(self.report)
        found = answers[0]
        for name in found if len(answers) > 1 else ():
            shapes = {np.shape(answer[name]) for answer in answers}
            if len(shapes) > 1:
                raise UsageError(
                    f"output {name} has shapes {some(sorted(shapes))} in calls of the series; run "
                    "them one by one"
                )
            found[name] = np.stack([answer[name] for answer in answers])
        return found, GraphReport.of(reports)

    def _named(self, x: Mapping[str, np.ndarray] | np.ndarray) -> Values:
        return dict(x) if isinstance(x, Mapping) else {next(iter(self.graph.inputs)): x}

    def _calibrate(self, calibration: Mapping[str, np.ndarray]) -> None:
        self._to_calibrate = False
        for name, x in calibration_of(self.graph, calibration, self.stateful).items():
            if name in self.sessions:
                self.sessions[name].calibrate(x)

    def _run_part(
        self, part: Recurrent, x: np.ndarray, state: State | None, lengths: np.ndarray | None
    ) -> Any:
        if self.backend == "float":
            answer = self._in_float(part, x, state, lengths)
            steps = x.shape[0] * x.shape[1] if lengths is None else int(lengths.sum())
            told = Report("float", None, self._format, len(x), steps, 0.0, None, 0.0)
            self._reports[part.name].append(told)
            return answer
        session = self.sessions[part.name]
        steps = x.shape[0] * x.shape[1]
        little = not session.calibrated and steps < _FEW
        if little and x.min() == x.max():
            session.calibrate(_varied(x))
        try:
            answer = session.run(x, state, True, lengths)
        except UsageError as error:
            raise UsageError(f"{part.name}: {error}") from error
        report = session.report
        assert report is not None
        if little:
            note = f"scales were chosen on {steps} steps of the first call; give calibration data"
            report = replace(report, notes=(*report.notes, note))
        self._reports[part.name].append(report)
        return answer


def calibration_of(
    graph: Graph, values: Mapping[str, np.ndarray], stateful: bool = False
) -> dict[str, np.ndarray]:
    """Collect what flows into the recurrent parts of a graph in float.

    Args:
        graph: of float models.
        values: inputs, as ``series`` takes them; states go on from call to call.
        stateful: whether parts that the graph gives no state go on, too.

    Returns:
        x (batch, time, X) of each part that ran. Calls that go on, or differ in length, are one
        long sequence; others lie side by side.
    """
    seen: dict[str, list[np.ndarray]] = {}
    went_on: set[str] = set()

    def watch(name: str, x: np.ndarray, goes_on: bool) -> None:
        seen.setdefault(name, []).append(x)
        went_on.update([name] if goes_on else [])

    course = _Course(graph, InFloat(stateful, watch), stateful=True)
    for call in series(graph, values):
        filled = graph.filled(call)
        course.run(filled, graph.states(filled), filled.keys() - call.keys())
    found: dict[str, np.ndarray] = {}
    for name, xs in seen.items():
        if name in went_on and len({len(x) for x in xs}) == 1:
            found[name] = np.concatenate(xs, axis=1)
        elif len({x.shape[1:] for x in xs}) == 1:
            found[name] = np.concatenate(xs, axis=0)
        else:
            found[name] = np.concatenate([x.reshape(1, -1, x.shape[2]) for x in xs], axis=1)
    return {name: _varied(x) if x.min() == x.max() else x for name, x in found.items()}


def _varied(x: np.ndarray) -> np.ndarray:
    """Draw x of the reach of one that is the same throughout, as a decoder's first symbol is."""
    reach = float(np.abs(x).max()) or 1.0
    drawn = np.random.default_rng(0).uniform(-reach, reach, x.shape)
    return np.concatenate([np.full_like(x[:, :1], reach), drawn], axis=1)


class _Course:
    """One way of running a graph, call by call, and the states that it keeps."""

    def __init__(self, graph: Graph, call: Call, stateful: bool) -> None:
        self.graph, self.call, self.stateful = graph, call, stateful
        self.kept: Values = {}

    def run(
        self, values: Values, states: Sequence[tuple[str, str]], left_out: AbstractSet[str]
    ) -> Values:
        """Run a call; what was left out of its inputs goes on as the last call left it."""
        going_on = {name: self.kept[name] for name in left_out & self.kept.keys()}
        found = self.graph.run({**values, **going_on}, self.call)
        if self.stateful:
            self.kept = {name: np.array(found[out]) for name, out in states}
        return found


class InFloat:
    """Runs recurrent parts in float64.

    Args:
        stateful: parts that the graph gives no state go on from call to call.
        watch: called with each part's name and x, and whether it begins with a state.
    """

    def __init__(
        self, stateful: bool = False, watch: Callable[[str, np.ndarray, bool], None] | None = None
    ) -> None:
        self._stateful, self._watch = stateful, watch
        self._kept: dict[str, State] = {}

    def __call__(
        self, part: Recurrent, x: np.ndarray, state: State | None, lengths: np.ndarray | None
    ) -> tuple[np.ndarray, State]:
        """Run a part; see ``model.pieces.Call``."""
        if state is None and self._stateful and part.keeps_state:
            state = self._kept.get(part.name)
        if state is not None and state[0].shape[1] != len(x):
            raise UsageError(
                f"{part.name} goes on with {state[0].shape[1]} sequences, {len(x)} were given; "
                "call reset() first"
            )
        if self._watch:
            self._watch(part.name, x, state is not None)
        xs = x if lengths is None else [row[:end] for row, end in zip(x, lengths)]
        h, after, _ = Float(part.model).run(None, xs, state, True)
        assert after is not None
        self._kept[part.name] = after
        return padded(h, x.shape[1]), after


def series(graph: Graph, values: Mapping[str, np.ndarray]) -> Iterator[Values]:
    """Take inputs apart that have one axis more than the graph declares: a call after the other.

    Raises:
        UsageError: series of different lengths.
    """
    ranks = {name: told.shape for name, told in graph.inputs.items()}
    long = {
        name: len(value)
        for name, value in values.items()
        if (shape := ranks.get(name)) is not None and np.ndim(value) == len(shape) + 1
    }
    if len(set(long.values())) > 1:
        raise UsageError(f"{graph.source}: series of calls are of one length, not {long}")
    if 0 in long.values():
        raise UsageError(f"{graph.source}: a series of 0 calls was given; give at least one")
    for call in range(next(iter(long.values()), 1)):
        yield {name: value[call] if name in long else value for name, value in values.items()}


class Session(of_model.Session):
    """A session of what ``load`` gave: a ``GraphSession`` if that is a graph."""

    def __new__(cls, model: Any, *arguments: Any, **named: Any) -> Any:
        """Make the session that it takes."""
        if isinstance(model, Graph):
            return GraphSession(model, *arguments, **named)
        return super().__new__(cls)


def _error(found: Any, exact: Any) -> tuple[float, float]:
    """Return the largest difference, and the largest value; infinity where shape or text differ."""
    if isinstance(found, list):
        both = [_error(a, b) for a, b in zip(found, exact)]
        return max((e for e, _ in both), default=0.0), max((v for _, v in both), default=0.0)
    if found.dtype.kind in "OSU" or found.shape != exact.shape:
        return (0.0 if np.array_equal(found, exact) else float("inf")), 0.0
    a, b = (v.astype(np.float64) for v in (found, exact))
    with np.errstate(invalid="ignore"):  # of infinities
        off = np.where(a == b, 0.0, np.abs(a - b))
    return float(off.max(initial=0)), float(np.abs(b).max(initial=0))
