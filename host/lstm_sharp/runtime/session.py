"""A model on an engine, through one backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from lstm_sharp.board import overlay as overlays
from lstm_sharp.compiler.schedule import check_schedule
from lstm_sharp.compiler.starts import Host
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import reference
from lstm_sharp.numerics.formats import C_LIMIT, Format
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT, QuantModel, quantize, saturated
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.backends import Backend, Board, Golden, Progress, Simulated
from lstm_sharp.runtime.batch import Pair, Run, by_length
from lstm_sharp.runtime.choose import DEFAULT_FORMAT, choose
from lstm_sharp.runtime.deploy import Deployment, Stage
from lstm_sharp.runtime.inputs import (
    ENGINE_LIMITS,
    FLOAT_LIMITS,
    Request,
    check_input,
    read_request,
)
from lstm_sharp.runtime.report import Report

BACKENDS = ("float", "golden", "csim", "rtl", "board")
"""Ways to run a model: in float, in integers, on the HLS C++ kernel, on the simulated engine, on a
board."""


@dataclass
class _Call:
    """What the last run was, and gave."""

    held: Deployment | None
    asked: tuple[list[int], bool, bool, Host]  # lengths, whether states were given, are asked for
    seen: Sequence[Sequence[jobs.Result]]
    seconds: float
    error: float | None
    notes: tuple[str, ...]


class Session:
    """Runs one model on one engine config.

    Args:
        model: the float model.
        config: a shipped config's name, a path, a ``Config``, or None for the smallest that fits;
            the model is compiled for the backend's engine, whichever the config is for.
        backend: one of ``BACKENDS``.
        format: a number format that replaces the config's own.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (..., X) float; by default the first input that is run.
        build: gets a folder for what is compiled; ``build`` by default.
        steps: time steps that a config chosen here should hold in one call.
        stateful: each run goes on where the last one ended, until ``reset``.
        overlay: for ``board``: the ``.bit``; by default that of the config. Without a config, it
            is the overlay's.
        compare: run the float model beside each call, and report how far h is from its h.
        progress: called with (programs done, programs in all) while a simulated engine runs.

    Raises:
        UsageError: an unknown name, or a model that does not fit.
    """

    def __init__(
        self,
        model: Model,
        config: str | Config | None = None,
        backend: str = "golden",
        *,
        format: str | None = None,
        schedule: str = "best",
        calibration: np.ndarray | None = None,
        build: Path | None = None,
        steps: int = 1,
        stateful: bool = False,
        overlay: str | Path | None = None,
        compare: bool = False,
        progress: Progress | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise UsageError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
        if overlay is not None and backend != "board":
            raise UsageError(f"backend {backend!r} takes no overlay; board does")
        check_schedule(schedule)
        runs: Any = Golden()
        if backend in ("csim", "rtl"):
            runs = Simulated(backend, build, progress)
        elif overlay is not None:
            runs = Board(overlay)
            config = config or overlays.config_of(runs.runner.identity)
        required = backend not in ("float", "golden")
        cfg = choose(model, config, format, required, steps, runs.engine or "sv")
        if backend == "board" and overlay is None:
            assert cfg is not None
            runs = Board(overlays.overlay_of(cfg, build))
            cfg = cfg.of(runs.engine)
        self.cfg = cfg
        self.fmt = cfg.fmt if cfg else Format.parse(format or DEFAULT_FORMAT)
        self.schedule = schedule
        self.model = model
        self._begin(runs, backend, stateful, compare)
        if calibration is not None:
            self._quantize(check_input(model, calibration, "calibration data"))

    def _begin(
        self,
        runs: Backend,
        backend: str,
        stateful: bool = False,
        compare: bool = False,
    ) -> None:
        """Begin without an integer model."""
        self.runs: Any = runs
        """The backend itself."""
        self.backend = backend
        self.stateful = stateful
        self.compare = compare
        self._held: Deployment | None = None
        self._kept: tuple[Pair, Pair | None] | None = None
        """What the last run left behind in the backend's numbers, and in the float model."""
        self._notes: tuple[str, ...] = ()
        self._call: _Call | None = None
        self.clipped = 0
        """Values of the last call's x beyond the scale that calibration gave it: clipped to it."""
        self.saturated = 0
        """Cells whose c stood at its limit after the last call; known where states are returned."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget the quantised model, free what a board holds; the session is over."""
        self._held = self._kept = None
        self.runs.close()

    def reset(self) -> None:
        """Begin the next run from zeros, if the session is stateful; on a board that works again.

        Raises:
            BoardError: a run has failed, and the engine does not answer even now.
        """
        self._kept = None
        with self.runs.turn():
            self.runs.recover()

    @property
    def quantized(self) -> QuantModel:
        """The integer model.

        Raises:
            UsageError: nothing has been calibrated or run yet.
        """
        return self._deployed.model

    @property
    def _deployed(self) -> Deployment:
        if self._held is None:
            raise UsageError("the model is not quantised yet; give calibration data, or run first")
        return self._held

    def stages(self, steps: int = 1, sequences: int | None = None) -> tuple[Stage, ...]:
        """Lay the model out on the engine, for so many steps and sequences.

        Raises:
            UsageError: nothing has been calibrated or run yet, or no engine holds the model.
        """
        return self._deployed.stages(steps, sequences)

    def run(
        self,
        x: np.ndarray | Sequence[np.ndarray],
        state: Pair | None = None,
        return_state: bool = False,
        lengths: Sequence[int] | np.ndarray | None = None,
    ) -> Any:
        """Run sequences.

        Args:
            x: (T, X) for one sequence, (B, T, X) for a batch, or a list of (T, X) of any lengths.
                Floats, or integers that are quantised already; an int16 (or int8) batch is packed
                straight into a board's DMA memory.
            state: h and c at the start, (cells, B, widest H) each; integers where x is. By default
                zeros, or what the last run left behind if the session is stateful.
            return_state: also return h and c after each sequence's last step.
            lengths: steps of each sequence of a batch, (B,) 1 to T; by default all have T steps.

        Returns:
            The last level's h in x's own form, (..., width): float32, or integers where x is; zero
            after a sequence's last step. With ``return_state`` also (h, c).

        Raises:
            UsageError: x, state or lengths of the wrong shape or type, NaN, or too long for the
                engine.
            BoardError: the run failed on a board; call ``reset``.
        """
        with self.runs.turn():
            asked = self._read(x, state, lengths)
            h, after = self._run(asked, return_state or self.stateful)
        return asked.answer(h, after if return_state else None)

    def _read(
        self,
        x: np.ndarray | Sequence[np.ndarray],
        state: Pair | None,
        lengths: Sequence[int] | np.ndarray | None,
    ) -> Request:
        is_float = self.backend == "float"
        bits = 0 if is_float else self.fmt.activation_bits
        limits = FLOAT_LIMITS if is_float else ENGINE_LIMITS
        return read_request(self.model, x, state, lengths, bits, limits)

    def _run(self, asked: Request, give: bool) -> tuple[Any, Pair | None]:
        """Run a request on the backend; h and the states after it are in the form of its x."""
        if self._held is None:
            self._quantize(np.concatenate(list(asked.x)) if asked.floats else None)
        own, of_float = self._kept or (None, None)
        if asked.state is not None:
            own, of_float = asked.state, asked.state
        elif own and own[0].shape[1] != len(asked.x):
            raise UsageError(
                f"the session goes on with {own[0].shape[1]} sequences, {len(asked.x)} were given; "
                "call reset() first, or give a state"
            )
        seen: Sequence[Sequence[jobs.Result]] = ()
        began = time.perf_counter()
        if self.backend == "float":
            wide, left = by_length(list(asked.x), own, _reference(self.model, []))
            h: Any = [v.astype(np.float32) for v in wide]
            after: Pair | None = left
        else:
            model, x = self.quantized, asked.x
            if asked.floats:
                x = _each(model.quantize_input, x)
                own = model.quantize_state(*own) if asked.state and own else own
            h, left, seen = self.runs.run(self._deployed, x, own, give)
            after, self.saturated = left, saturated(left[1]) if left else 0
            if asked.floats:
                h = _each(model.dequantize_h, h)
                after = left and (model.dequantize_h(left[0]), model.dequantize_c(left[1]))
        seconds = time.perf_counter() - began
        notes, error = [*self._notes, *self._clipped_of(asked)], None
        if self.compare:
            error, peak, of_float = self._compared(asked, h, of_float)
            if self.backend != "float" and peak >= C_LIMIT:
                notes.append(
                    f"c reaches {peak:.4g} in the float model and saturates at +-{C_LIMIT}: h is "
                    "wrong from there on; reset the state before, or run shorter sequences"
                )
        if self.stateful and left:
            self._kept = left, of_float
        what = asked.lengths, own is not None, give, self.runs.host
        self._call = _Call(self._held, what, seen, seconds, error, tuple(notes))
        return h, after

    def _clipped_of(self, asked: Request) -> list[str]:
        """Count what the scale of x does not hold of a call, and say so."""
        self.clipped = 0
        if self.backend == "float" or not asked.floats:
            return []
        model = self.quantized
        self.clipped = sum(map(model.clipped, asked.x))
        if not self.clipped:
            return []
        most = 2.0 ** (model.fmt.activation_bits - 1 - model.x_frac)
        return [
            f"x: {self.clipped} of {sum(x.size for x in asked.x)} values are clipped to "
            f"+-{most:g}, which is what the calibration data reaches; calibrate with inputs like "
            "these"
        ]

    def _compared(
        self, asked: Request, h: Any, state: Pair | None
    ) -> tuple[float, float, Pair | None]:
        """Run the float model; give h's largest error, the peak of c, and what it left behind."""
        xs, peaks = list(asked.x), [0.0]
        if not asked.floats:
            model = self.quantized
            xs, h = [v * 0.5**model.x_frac for v in xs], _each(model.dequantize_h, h)
            if asked.state and state:
                state = model.dequantize_h(state[0]), model.dequantize_c(state[1])
        expected, left = by_length(xs, state, _reference(self.model, peaks))
        error = max(float(np.abs(v - r).max()) for v, r in zip(h, expected))
        return error, max(peaks), left

    @property
    def report(self) -> Report | None:
        """What the last call did, worked out when it is asked for; None before the first."""
        call = self._call
        if call is None:
            return None
        held, asked = call.held, call.asked
        lengths = asked[0]
        report = Report(
            backend=self.backend,
            engine=self.runs.engine,
            format=str(self.fmt),
            batch=len(lengths),
            steps=sum(lengths),
            max_abs_error=call.error,
            seconds=call.seconds,
            notes=call.notes,
        )
        if held is None or held.cfg is None:
            return report
        size = max(lengths), len(lengths)
        try:
            stages, on_sv = held.stages(*size), held.plans("sv", *size)
            run, loads = deploy.predict_plans(on_sv, *asked)
            least = deploy.lower_bound(on_sv, *asked)
            hls, _ = deploy.own_cycles(held.plans("hls", *size), *asked)
        except UsageError as reason:  # too long for the engine, which this backend does not need
            return replace(report, notes=(*call.notes, str(reason)))
        counted = [[r.cycles for r in results] for results in call.seen if self.runs.counts]
        took = sum(sum(cycles[1:]) for cycles in counted)
        ideal = sum(lengths) * held.model.macs_per_step / held.engine.macs
        return replace(
            report,
            config=held.engine.name,
            schedule=", ".join(dict.fromkeys(stage.plan.schedule for stage in stages)),
            stages=len(stages),
            programs=sum(len(stage.starts(*asked)) for stage in stages),
            cycles=took or None,
            predicted_cycles=run.cycles,
            hls_cycles=hls,
            lower_bound=least,
            load_cycles=sum(cycles[0] for cycles in counted) or None,
            predicted_load_cycles=loads,
            break_even_batch=deploy.break_even(on_sv, loads, run.cycles, len(lengths)),
            ideal_cycles=ideal,
            utilization=ideal / (took or run.cycles),
            limited_by=run.limited_by,
        )

    def _quantize(self, calibration: np.ndarray | None) -> None:
        if calibration is None:
            return
        max_shift = self.cfg.max_shift if self.cfg else DEFAULT_MAX_SHIFT
        try:
            model = quantize(self.model, self.fmt, calibration, max_shift)
        except UsageError as reason:
            if self.backend != "float":
                raise
            self._notes = (str(reason),)
            return
        self._notes = model.notes
        held = Deployment(model, self.cfg, self.schedule)
        self.runs.begin(held)
        self._held = held


def _each(of: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Apply to a batch as a whole, or to each sequence of a list."""
    return of(values) if isinstance(values, np.ndarray) else [of(v) for v in values]


def _reference(model: Model, peaks: list[float]) -> Run:
    """Return the float model, which notes the peak of c."""

    def run(x: np.ndarray, state: Pair | None) -> tuple[np.ndarray, Pair]:
        found = reference.run(model, x, state)
        peaks.append(found.peak_c)
        return found.h, (found.last_h, found.last_c)

    return run
