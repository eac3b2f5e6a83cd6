"""A whole graph through one backend: its recurrent parts on one engine, the rest on the host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import is_float
from lstm_sharp.model.graph import Graph, Input, Recurrent, State, Values
from lstm_sharp.numerics import reference
from lstm_sharp.runtime import session as of_model
from lstm_sharp.runtime.batch import by_length
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.report import Report

_SUMS = ("steps", "cycles", "predicted_cycles", "hls_cycles", "ideal_cycles", "load_cycles")
_ALIKE = ("backend", "engine", "format", "config", "schedule")


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
        calibration: typical inputs by name; by default those of the first call.
        stateful: inputs that are states go on from where the last call ended, until ``reset``, as
            do recurrent parts that the graph gives no state.

    Attributes:
        sessions: of each part, by name: one engine for all.
        report: what the last call did; None before the first.

    Raises:
        UsageError: as ``Session``.
    """

    report: GraphReport | None = None

    def __init__(
        self,
        graph: Graph,
        config: Any = None,
        backend: str = "golden",
        *,
        calibration: Mapping[str, np.ndarray] | np.ndarray | None = None,
        steps: int = 1,
        stateful: bool = False,
        compare: bool = False,
        **more: Any,
    ) -> None:
        self.graph, self.backend, self.stateful, self.compare = graph, backend, stateful, compare
        self.sessions: dict[str, of_model.Session] = {}
        overlay = more.get("overlay")
        if graph.parts and overlay is None and (backend not in ("float", "golden") or config):
            models = [part.model for part in graph.parts]
            config = choose(models, config, more.get("format"), True, steps)
        beside: of_model.Session | None = None
        for part in graph.parts:
            beside = self.sessions[part.name] = of_model.Session(
                part.model,
                beside.cfg if beside and overlay is not None else config,
                backend,
                steps=steps,
                stateful=stateful and part.keeps_state,
                compare=compare,
                beside=beside,
                **more,
            )
        self._kept: Values = {}
        self._kept_in_float: Values = {}
        self._float_states: dict[str, State] = {}
        if calibration is not None:
            self._calibrate(self._named(calibration))

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
        self._kept, self._kept_in_float, self._float_states = {}, {}, {}
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
        given, notes = self._named(x), list(self.graph.notes)
        left_out = [name for name in self.graph.inputs if name not in given]
        states: tuple[tuple[str, str], ...] = ()
        values = {**given, **{name: self._zeros(name, given) for name in left_out}}
        if self.stateful or left_out:
            states = self.graph.states(values)
            odd = [name for name in left_out if name not in dict(states)]
            if odd:
                wants = "; ".join(f"{name}: {self.graph.inputs[name]}" for name in odd)
                raise UsageError(f"{self.graph.source} needs the input {wants}")
            kept = "goes on from call to call" if self.stateful else "begins at zero"
            notes += [f"{name} is the state that {out} ends as; it {kept}" for name, out in states]
        kept_names = left_out if self.stateful else []
        values.update({name: self._kept[name] for name in kept_names if name in self._kept})
        reports: dict[str, list[Report]] = {name: [] for name in self.sessions}
        began = time.perf_counter()
        found = self.graph.run(values, partial(self._run_part, reports))
        seconds = time.perf_counter() - began
        errors = None
        if self.compare:
            values.update({n: v for n, v in self._kept_in_float.items() if n in kept_names})
            exact = self.graph.run(values, self._run_in_float)
            errors = {name: _error(found[name], exact[name]) for name in found}
            self._kept_in_float = {name: exact[out] for name, out in states}
        if self.stateful:
            self._kept = {name: found[out] for name, out in states}
        told = {name: tuple(each) for name, each in reports.items()}
        self.report = GraphReport(told, seconds, errors, states, tuple(notes))
        ends = [name for name in found if name not in dict(states).values()]
        return found[ends[0]] if not isinstance(x, Mapping) and len(ends) == 1 else found

    def _run_part(
        self,
        reports: dict[str, list[Report]],
        part: Recurrent,
        x: np.ndarray,
        state: State | None,
        lengths: np.ndarray | None,
    ) -> Any:
        session = self.sessions[part.name]
        try:
            answer = session.run(x, state, True, lengths)
        except UsageError as error:
            raise UsageError(f"{part.name}: {error}") from error
        report = session.report
        assert report is not None
        reports[part.name].append(report)
        return answer

    def _run_in_float(
        self, part: Recurrent, x: np.ndarray, state: State | None, lengths: np.ndarray | None
    ) -> Any:
        if state is None:
            state = self._float_states.get(part.name)
        h, after = in_float(part, x, state, lengths)
        if self.stateful and part.keeps_state:
            self._float_states[part.name] = after
        return h, after

    def _calibrate(self, values: Values) -> None:
        """Choose the scales of all parts on what flows through the graph in float."""
        seen: dict[str, list[np.ndarray]] = {}

        def call(part: Recurrent, x: np.ndarray, state: State | None, lengths: Any) -> Any:
            seen.setdefault(part.name, []).append(x)
            return in_float(part, x, state, lengths)

        left_out = [name for name in self.graph.inputs if name not in values]
        self.graph.run({**values, **{n: self._zeros(n, values) for n in left_out}}, call)
        for name, xs in seen.items():
            self.sessions[name].calibrate(xs[0] if len(xs) == 1 else np.concatenate(xs, axis=1))

    def _named(self, x: Mapping[str, np.ndarray] | np.ndarray) -> Values:
        if isinstance(x, Mapping):
            return {name: np.asarray(value) for name, value in x.items()}
        return {next(iter(self.graph.inputs)): np.asarray(x)}

    def _zeros(self, name: str, given: Values) -> np.ndarray:
        """Make an input that was left out, as it would have to be if it is a state."""
        told = self.graph.inputs[name]
        if told.dtype is None or not is_float(told.dtype) or told.shape is None:
            wants = "; ".join(f"{n}: {i}" for n, i in self.graph.inputs.items() if n not in given)
            raise UsageError(f"{self.graph.source} needs the input {wants}")
        sizes = {"?": len(np.atleast_1d(next(iter(given.values())))) if given else 1}
        for other, value in given.items():
            axes = self.graph.inputs.get(other, Input(None, None)).shape or ()
            sizes = {**dict(zip(map(str, axes), value.shape)), **sizes}
        return np.zeros([a if isinstance(a, int) else sizes.get(a, 1) for a in told.shape], told[0])


class Session(of_model.Session):
    """A session of what ``load`` gave: a ``GraphSession`` if that is a graph."""

    def __new__(cls, model: Any, *arguments: Any, **named: Any) -> Any:
        """Make the session that it takes."""
        if isinstance(model, Graph):
            return GraphSession(model, *arguments, **named)
        return super().__new__(cls)


def in_float(
    part: Recurrent, x: np.ndarray, state: State | None, lengths: np.ndarray | None
) -> tuple[np.ndarray, State]:
    """Run a recurrent part in float64."""

    def run(x: np.ndarray, state: State | None) -> tuple[np.ndarray, State]:
        found = reference.run(part.model, x, state)
        return found.h, (found.last_h, found.last_c)

    if lengths is None:
        return run(x, state)
    h, after = by_length([row[:end] for row, end in zip(x, lengths)], state, run)
    whole = np.zeros((*x.shape[:2], part.model.hidden_size))
    for row, own in zip(whole, h):
        row[: len(own)] = own
    return whole, after


def _error(found: Any, exact: Any) -> tuple[float, float]:
    """Return the largest difference, and the largest value."""
    a, b = (np.asarray(v).astype(np.float64) for v in (found, exact))
    if a.shape != b.shape:
        return float("inf"), float(np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0)), float(np.abs(b).max(initial=0))
