"""A model on an engine, through one backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from lstm_sharp.engine import cycles, pack
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.schedule import Plan, check_schedule, make_plan, shapes_of
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT, QuantModel, quantize
from lstm_sharp.run import engines, jobs
from lstm_sharp.run.choose import DEFAULT_FORMAT, choose
from lstm_sharp.run.inputs import FloatState, check_input, check_state
from lstm_sharp.run.report import Report

BACKENDS = ("float", "golden", "csim", "rtl")
"""Ways to run a model: in float, in integers, on the HLS C++ kernel, on the simulated engine."""
ENGINES = {"csim": "hls", "rtl": "sv"}
"""Engine that a backend runs; None for those that run none."""

Progress = Callable[[int, int], None]


class Session:
    """Runs one model on one engine config.

    Args:
        model: the float model.
        config: a shipped config's name, a path, a ``Config``, or None for the smallest that fits.
        backend: one of ``BACKENDS``.
        format: a number format that replaces the config's own.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (..., X) float; by default the first input that is run.
        build: gets a folder for what is compiled; ``build`` by default.
        steps: time steps that a config chosen here should hold in one call.

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
    ) -> None:
        if backend not in BACKENDS:
            more = " (board is not supported yet)" if backend == "board" else ""
            raise UsageError(
                f"backend {backend!r} is unknown{more}; choose one of {', '.join(BACKENDS)}"
            )
        self.model = model
        self.backend = backend
        check_schedule(schedule)
        self.cfg = choose(model, config, format, backend in ENGINES, steps)
        self.fmt = self.cfg.fmt if self.cfg else Format.parse(format or DEFAULT_FORMAT)
        self.schedule = schedule
        self.report: Report | None = None
        self._build = build
        self._model: QuantModel | None = None
        self._plan: Plan | None = None
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
        """Forget the quantised model; the session cannot be used afterwards."""
        self._model = self._plan = None

    @property
    def quantized(self) -> QuantModel:
        """The integer model.

        Raises:
            UsageError: nothing has been calibrated or run yet.
        """
        if self._model is None:
            raise UsageError("the model is not quantised yet; give calibration data, or run first")
        return self._model

    @property
    def plan(self) -> Plan:
        """Where weights lie and how steps are cut.

        Raises:
            UsageError: nothing has been calibrated or run yet, or no engine holds the model.
        """
        if self._plan is None:
            raise UsageError("there is no plan: nothing was run yet, or no config holds the model")
        return self._plan

    def run(
        self, x: np.ndarray, state: FloatState | None = None, return_state: bool = False
    ) -> np.ndarray | tuple[np.ndarray, FloatState]:
        """Run x (batch, time, X) float.

        Args:
            x: the input.
            state: h and c at the start, (layers, batch, H) float each; zeros by default.
            return_state: also return h and c after the last step (backends float and golden).

        Returns:
            The last layer's h, (batch, time, H) float32; with ``return_state`` also (h, c).

        Raises:
            UsageError: x or state of the wrong shape, NaN, or too long for the engine.
        """
        if return_state and self.backend in ENGINES:
            raise UsageError(
                f"backend {self.backend} does not give the state back yet; use golden, which is "
                "equal to it bit for bit"
            )
        (h,), after = self._run([x], state)
        return (h, after) if return_state else h

    def run_all(
        self, xs: Sequence[np.ndarray], progress: Progress | None = None
    ) -> list[np.ndarray]:
        """Run batches of different length, one program each, all in one simulation.

        Args:
            xs: inputs (batch, time, X) float.
            progress: called with (batches done, batches in all).

        Returns:
            The last layer's h for each, (batch, time, H) float32.

        Raises:
            UsageError: as ``run``.
        """
        return self._run(xs, None, progress)[0]

    def _run(
        self, xs: Sequence[np.ndarray], state: FloatState | None, progress: Progress | None = None
    ) -> tuple[list[np.ndarray], FloatState]:
        xs = [check_input(self.model, x, "input") for x in xs]
        if state is not None:
            state = check_state(self.model, xs[0].shape[0], state)
        if self._model is None:
            self._quantize(np.concatenate([x.reshape(-1, x.shape[2]) for x in xs]))
        began = time.perf_counter()
        references = [reference.run(self.model, x, state) for x in xs]
        seen: list[jobs.Result] = []
        after: FloatState = references[-1][1], references[-1][2]
        if self.backend == "float":
            hs = [h.astype(np.float32) for h, _, _ in references]
        elif self.backend == "golden":
            hs, after = self._run_golden(xs, state, progress)
        else:
            hs, seen = self._run_engine(xs, state, progress)
        seconds = time.perf_counter() - began
        error = max(float(np.abs(h - r[0]).max()) for h, r in zip(hs, references))
        self.report = self._make_report(xs, state is not None, seen, error, seconds)
        return hs, after

    def _run_golden(
        self, xs: Sequence[np.ndarray], state: FloatState | None, progress: Progress | None
    ) -> tuple[list[np.ndarray], FloatState]:
        model, hs = self.quantized, []
        for done, x in enumerate(xs, start=1):
            h, after = golden.run(model, model.quantize_input(x), self._integer_state(state))
            hs.append(model.dequantize_h(h))
            if progress:
                progress(done, len(xs))
        return hs, (model.dequantize_h(after.h), model.dequantize_c(after.c))

    def _run_engine(
        self, xs: Sequence[np.ndarray], state: FloatState | None, progress: Progress | None
    ) -> tuple[list[np.ndarray], list[jobs.Result]]:
        """Play the load program and one program for each batch on csim or rtl."""
        runs = make_runs(self.quantized, self.plan, xs, self._integer_state(state))
        cfg = self.plan.cfg
        executable = engines.build(self.backend, cfg, self._build)
        results = engines.play(executable, runs, progress)
        for run, result in zip(runs, results):
            engines.check(cfg, run, result)
        hs = [
            pack.unpack_h(result.h_bytes, self.plan, *x.shape[:2])
            for x, result in zip(xs, results[1:])
        ]
        return [self.quantized.dequantize_h(h) for h in hs], results

    def _make_report(
        self,
        xs: Sequence[np.ndarray],
        with_state: bool,
        seen: list[jobs.Result],
        error: float,
        seconds: float,
    ) -> Report:
        steps = sum(x.shape[0] * x.shape[1] for x in xs)
        report = Report(
            backend=self.backend,
            engine=ENGINES.get(self.backend),
            config=None,
            format=str(self.fmt),
            schedule=None,
            batch=sum(x.shape[0] for x in xs),
            steps=steps,
            cycles=None,
            predicted_cycles=None,
            load_cycles=None,
            predicted_load_cycles=None,
            ideal_cycles=None,
            utilization=None,
            limited_by=None,
            max_abs_error=error,
            seconds=seconds,
            notes=self._notes,
        )
        if self._plan is None:
            return report
        plan, cfg = self._plan, self._plan.cfg
        try:
            programs = [plan.program(x.shape[1], x.shape[0], with_state) for x in xs]
        except UsageError as reason:  # too long for the engine, which this backend does not need
            return replace(report, notes=(*report.notes, str(reason)))
        prediction = cycles.add([cycles.predict(cfg, program) for program in programs])
        counted = [result.cycles for result in seen] if self.backend == "rtl" else []
        ideal = steps * self.quantized.macs_per_step / cfg.macs
        return replace(
            report,
            config=cfg.name,
            schedule=plan.schedule,
            cycles=sum(counted[1:]) if counted else None,
            predicted_cycles=prediction.cycles,
            load_cycles=counted[0] if counted else None,
            predicted_load_cycles=cycles.predict(cfg, plan.load_program()).cycles,
            ideal_cycles=ideal,
            utilization=ideal / (sum(counted[1:]) or prediction.cycles),
            limited_by=prediction.limited_by,
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
        if self.cfg:
            self._plan = make_plan(shapes_of(self._model), self.cfg, self.schedule)

    def _integer_state(self, state: FloatState | None) -> State | None:
        return None if state is None else State(*self.quantized.quantize_state(*state))


def make_runs(
    model: QuantModel, plan: Plan, xs: Sequence[np.ndarray], state: State | None = None
) -> list[jobs.Run]:
    """Make the job that loads a model and runs float inputs (batch, time, X), a run each."""
    cfg = plan.cfg
    nothing = np.zeros(0, np.uint8)
    runs = [jobs.Run(plan.load_program().encode(cfg), pack.weight_beats(model, plan), nothing, 0)]
    states = nothing if state is None else pack.state_beats(model, plan, state)
    for x in xs:
        batch, steps = x.shape[:2]
        beats = batch * steps * pack.vector_beats(plan.layers[-1], cfg)
        runs.append(
            jobs.Run(
                plan.program(steps, batch, state is not None).encode(cfg),
                states,
                pack.x_beats(model.quantize_input(x), cfg),
                beats * cfg.stream_bits // 8,
            )
        )
    return runs
