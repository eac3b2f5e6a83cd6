"""A model on an engine, through one backend."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from lstm_sharp.board import overlay as board
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import BY_GATE, check_schedule
from lstm_sharp.compiler.starts import FREE, Host
from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.formats import C_LIMIT, Format
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT, QuantModel, quantize
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.batch import Run, by_length
from lstm_sharp.runtime.choose import DEFAULT_FORMAT, choose
from lstm_sharp.runtime.deploy import Stage
from lstm_sharp.runtime.inputs import (
    ENGINE_LIMITS,
    FLOAT_LIMITS,
    FloatState,
    check_input,
    check_lengths,
    check_sizes,
    check_state,
)
from lstm_sharp.runtime.report import Report

BACKENDS = ("float", "golden", "csim", "rtl", "board")
"""Ways to run a model: in float, in integers, on the HLS C++ kernel, on the simulated engine, on a
board."""
_SIMULATED = ("csim", "rtl")
"""Backends of which ``engines.kind`` says the engine; a board's overlay says which it has."""

Progress = Callable[[int, int], None]
Sequences = list[np.ndarray]
"""(T, X) each."""


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
    ) -> None:
        if backend not in BACKENDS:
            raise UsageError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
        if overlay is not None and backend != "board":
            raise UsageError(f"backend {backend!r} takes no overlay; board does")
        self.model = model
        self.backend = backend
        self.stateful = stateful
        check_schedule(schedule)
        if schedule in BY_GATE and backend == "csim":
            raise UsageError(f"the C++ kernel has no schedule {schedule}; backend rtl has")
        self._build = build
        self._board: Accelerator | None = None
        if backend == "board" and overlay is not None:
            self._board = Accelerator(overlay)
            config = config or board.config_of(self._board.identity)
        self._engine = engines.kind(backend) if backend in _SIMULATED else None
        if self._board:
            self._engine = self._board.parts.engine_kind
        required, engine = backend in (*_SIMULATED, "board"), self._engine or "sv"
        self.cfg = choose(model, config, format, required, steps, engine)
        if backend == "board" and self._board is None:
            assert self.cfg is not None
            self._board = Accelerator(board.overlay_of(self.cfg, build))
            self._engine = self._board.parts.engine_kind
            self.cfg = self.cfg.of(self._engine)
        self.fmt = self.cfg.fmt if self.cfg else Format.parse(format or DEFAULT_FORMAT)
        self.schedule = schedule
        self.report: Report | None = None
        self._model: QuantModel | None = None
        self._stages: dict[tuple[int, int], tuple[Stage, ...]] = {}
        self._others: dict[tuple[int, int], tuple[Plan, ...]] = {}
        self._turn = threading.RLock()
        """A session's calls wait for each other: what one leaves behind is the next one's."""
        self._kept: tuple[FloatState, FloatState] | None = None
        """What the last run left behind, and what the float model would have."""
        self._notes: tuple[str, ...] = ()
        if calibration is not None:
            self._quantize(check_input(model, calibration, "calibration data"))

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
        self._model = None
        self._stages, self._others = {}, {}
        self.reset()
        if self._board:
            self._board.close()

    def reset(self) -> None:
        """Begin the next run from zeros, if the session is stateful."""
        self._kept = None

    @property
    def quantized(self) -> QuantModel:
        """The integer model.

        Raises:
            UsageError: nothing has been calibrated or run yet.
        """
        if self._model is None:
            raise UsageError("the model is not quantised yet; give calibration data, or run first")
        return self._model

    def stages(self, steps: int = 1, sequences: int | None = None) -> tuple[Stage, ...]:
        """Lay the model out on the engine, for so many steps and sequences.

        Raises:
            UsageError: nothing has been calibrated or run yet, or no engine holds the model.
        """
        cfg, key = self._place(steps, sequences)
        if key not in self._stages:
            self._stages[key] = deploy.deploy(self.quantized, cfg, self.schedule, *key)
        return self._stages[key]

    def _place(self, steps: int, sequences: int | None) -> tuple[Config, tuple[int, int]]:
        """Return the engine, and by what a layout on it is known."""
        if self.cfg is None:
            raise UsageError(f"no config holds {self.model.name}; give one")
        return self.cfg, (steps, min(sequences or self.cfg.chains, self.cfg.chains))

    def _plans(self, engine: str, steps: int, sequences: int) -> tuple[Plan, ...]:
        """Say how one of the two engines holds the model: as ``stages`` does where D is the same.

        Errors are those of ``stages``.
        """
        cfg, key = self._place(steps, sequences)
        other = cfg.of(engine)
        if other.tail == cfg.tail:
            return tuple(replace(stage.plan, cfg=other) for stage in self.stages(*key))
        if key not in self._others:
            self._others[key] = deploy.plans(self.quantized, other, self.schedule, *key)
        return self._others[key]

    def run(
        self,
        x: np.ndarray,
        state: FloatState | None = None,
        return_state: bool = False,
        lengths: Sequence[int] | np.ndarray | None = None,
    ) -> np.ndarray | tuple[np.ndarray, FloatState]:
        """Run x (batch, time, X) float.

        Args:
            x: the input.
            state: h and c at the start, (cells, batch, H) float each; by default zeros, or what
                the last run left behind if the session is stateful.
            return_state: also return h and c after each sequence's last step.
            lengths: steps of each sequence, (batch,) 1 to time; by default all have time steps.

        Returns:
            The last layer's h, (batch, time, width) float32, zero after a sequence's last step;
            with ``return_state`` also (h, c).

        Raises:
            UsageError: x, state or lengths of the wrong shape, NaN, or too long for the engine.
        """
        x = check_input(self.model, x, "input")
        check_sizes(self.model, x, "input")
        ends = check_lengths(x, lengths)
        limits = FLOAT_LIMITS if self.backend == "float" else ENGINE_LIMITS
        with self._turn:
            kept = self._kept if state is None else (state, state)
            if kept is not None:
                own, of_float = kept
                own = check_state(self.model, x.shape[0], own, limits)
                kept = own, own if state is not None else of_float
            give = return_state or self.stateful
            hs, left = self._run([s[:end] for s, end in zip(x, ends)], kept, give)
            after = left[0] if left else None
            if self.stateful:
                self._kept = left
        h = np.zeros((*x.shape[:2], self.model.hidden_size), np.float32)
        for row, found in zip(h, hs):
            row[: len(found)] = found
        if not return_state:
            return h
        assert after is not None
        return h, after

    def run_all(self, xs: Sequence[np.ndarray], progress: Progress | None = None) -> Sequences:
        """Run batches of different length, sequences side by side, all in one call.

        Args:
            xs: inputs (batch, time, X) float.
            progress: called with (programs done, programs in all).

        Returns:
            The last layer's h for each, (batch, time, width) float32.

        Raises:
            UsageError: as ``run``.
        """
        xs = [check_input(self.model, x, "input") for x in xs]
        for x in xs:
            check_sizes(self.model, x, "input")
        with self._turn:
            hs, _ = self._run([s for x in xs for s in x], None, False, progress)
        ends = np.cumsum([len(x) for x in xs])
        return [np.stack(hs[end - len(x) : end]) for x, end in zip(xs, ends)]

    @property
    def _host(self) -> Host:
        """What starts cost, and take."""
        return self._board.host if self._board else FREE

    def _run(
        self,
        xs: Sequences,
        states: tuple[FloatState, FloatState] | None,
        give: bool,
        progress: Progress | None = None,
    ) -> tuple[Sequences, tuple[FloatState, FloatState] | None]:
        """Run sequences (T, X) on the backend, beside the float model, and report.

        States are the backend's and the float model's: the one may saturate, the other does not.
        """
        if self._model is None:
            self._quantize(np.concatenate(xs))
        state, of_float = states or (None, None)
        began = time.perf_counter()
        peaks: list[float] = []
        expected, left = by_length(xs, of_float, _reference(self.model, peaks))
        notes = list(self._notes)
        seen: Sequence[Sequence[jobs.Result]] = []
        after: FloatState | None = left
        if self.backend == "float":
            hs = [h.astype(np.float32) for h in expected]
        else:
            model = self.quantized
            integers = [model.quantize_input(x) for x in xs]
            notes += _told(model, xs, max(peaks))
            found: Sequence[np.ndarray] | np.ndarray
            before = None if state is None else model.quantize_state(*state)
            if self.backend == "golden":
                found, after = by_length(integers, before, _golden(model))
            else:
                stages = self.stages(max(map(len, xs)), len(xs))
                found, after, seen = (
                    self._board.run_integers(stages, integers, before, give)
                    if self._board
                    else deploy.run(stages, integers, before, give, self._player(progress))
                )
            hs = [model.dequantize_h(h) for h in found]
            after = after and (model.dequantize_h(after[0]), model.dequantize_c(after[1]))
        seconds = time.perf_counter() - began
        error = max(float(np.abs(h - r).max()) for h, r in zip(hs, expected))
        report = self._report(xs, state is not None, give, seen, error, seconds)
        self.report = replace(report, notes=(*notes, *report.notes))
        return hs, (after, left) if after else None

    def _player(self, progress: Progress | None) -> deploy.Play:
        """Return what plays a stage's runs on csim or rtl, and checks them."""
        assert self.cfg is not None
        executable = engines.build(self.backend, self.cfg, self._build)
        return engines.player(executable, self.cfg, progress)

    def _report(
        self,
        xs: Sequences,
        with_state: bool,
        give: bool,
        seen: Sequence[Sequence[jobs.Result]],
        error: float,
        seconds: float,
    ) -> Report:
        lengths = [len(x) for x in xs]
        report = Report(
            backend=self.backend,
            engine=self._engine,
            format=str(self.fmt),
            batch=len(xs),
            steps=sum(lengths),
            max_abs_error=error,
            seconds=seconds,
        )
        if self._model is None or self.cfg is None:
            return report
        try:
            size, asked = (max(lengths), len(lengths)), (lengths, with_state, give, self._host)
            stages, on_sv = self.stages(*size), self._plans("sv", *size)
            run, loads = deploy.predict_plans(on_sv, *asked)
            least = deploy.lower_bound(on_sv, *asked)
            hls, _ = deploy.own_cycles(self._plans("hls", *size), *asked)
        except UsageError as reason:  # too long for the engine, which this backend does not need
            return replace(report, notes=(str(reason),))
        real = self.backend in ("rtl", "board")
        counted = [[r.cycles for r in results] for results in seen if real]
        took = sum(sum(cycles[1:]) for cycles in counted)
        ideal = sum(lengths) * self.quantized.macs_per_step / self.cfg.macs
        return replace(
            report,
            config=self.cfg.name,
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

    def _quantize(self, calibration: np.ndarray) -> None:
        max_shift = self.cfg.max_shift if self.cfg else DEFAULT_MAX_SHIFT
        try:
            self._model = quantize(self.model, self.fmt, calibration, max_shift)
        except UsageError as reason:
            if self.backend != "float":
                raise
            self._notes = (str(reason),)
            return
        self._notes = self._model.notes
        if self._board:
            assert self.cfg is not None
            self._board.load_model(self._model, self.cfg, self.schedule)
        if self.cfg:
            self.stages()


def _told(model: QuantModel, xs: Sequences, peak: float) -> list[str]:
    """Say in words what integers do not hold of a run: of its x, and of c, whose peak is given."""
    said = []
    clipped = sum(map(model.clipped, xs))
    if clipped:
        most = 2.0 ** (model.fmt.activation_bits - 1 - model.x_frac)
        said.append(
            f"x: {clipped} of {sum(x.size for x in xs)} values are clipped to +-{most:g}, which is "
            "what the calibration data reaches; calibrate with inputs like these"
        )
    if peak >= C_LIMIT:
        said.append(
            f"c reaches {peak:.4g} in the float model and saturates at +-{C_LIMIT}: h is wrong "
            "from there on; reset the state before, or run shorter sequences"
        )
    return said


def _reference(model: Model, peaks: list[float]) -> Run:
    """Return the float model, which notes the peak of c."""

    def run(x: np.ndarray, state: FloatState | None) -> tuple[np.ndarray, FloatState]:
        found = reference.run(model, x, state)
        peaks.append(found.peak_c)
        return found.h, (found.last_h, found.last_c)

    return run


def _golden(model: QuantModel) -> Run:
    def run(x: np.ndarray, state: FloatState | None) -> tuple[np.ndarray, FloatState]:
        y, after = golden.run(model, x, State(*state) if state else None)
        return y, (after.h, after.c)

    return run
