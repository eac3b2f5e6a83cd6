"""A model on an engine, through one backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp.board import overlay as overlays
from lstm_sharp.compiler.launches import Call, plan_launches
from lstm_sharp.compiler.pack import Batch
from lstm_sharp.compiler.schedule import check_schedule
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import C_LIMIT, Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel, at_limit
from lstm_sharp.numerics.stored import own_format
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.backends import Board, Float, Golden, Progress, Simulated
from lstm_sharp.runtime.batch import Pair
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


class Session:
    """Runs one model on one engine config.

    Args:
        model: the float model; if it has an integer model, that is run.
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
        UsageError: an unknown name, a model that does not fit, or one that has an integer model and
            calibration data or another format beside it.

    Attributes:
        runs: the backend itself.
        clipped: values of the last call's x beyond the scale that calibration gave it: clipped.
        saturated: cells whose c stood at its limit after the last call; known where states are
            returned.
    """

    runs: Any
    stateful = compare = False
    clipped = saturated = 0
    _held: Deployment | None = None
    _kept: tuple[Pair, Pair | None] | None = None
    """What the last run left behind in the backend's numbers, and in the float model."""
    _notes: tuple[str, ...] = ()
    _call: tuple[Report, Deployment | None, Call, Sequence[Sequence[jobs.Result]]] | None = None
    """What is known of the last run; how it was asked for; and what the backend gave."""
    _lacks = "the model is not quantised yet; give calibration data, or run first"

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
        format = own_format(model, format, calibration)
        self.backend, self.model, self.schedule = backend, model, schedule
        self.stateful, self.compare = stateful, compare
        self._float = Float(model)
        runs: Any = self._float if backend == "float" else Golden()
        if backend in ("csim", "rtl"):
            runs = Simulated(backend, build, progress)
        elif overlay is not None:
            runs = Board(overlay)
            config = config or overlays.config_of(runs.runner.identity)
        required = backend not in ("float", "golden")
        cfg = choose(model.quantized or model, config, format, required, steps, runs.engine or "sv")
        if backend == "board" and overlay is None:
            assert cfg is not None
            runs = Board(overlays.overlay_of(cfg, build))
            cfg = cfg.of(runs.engine)
        self.runs, self.cfg = runs, cfg
        self.fmt = cfg.fmt if cfg else Format.parse(format or DEFAULT_FORMAT)
        if model.quantized is not None:
            self._deploy(model.quantized)
        elif calibration is not None:
            self._quantize(check_input(model, calibration, "calibration data"))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
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
            raise UsageError(self._lacks)
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
        bits = 0 if self.backend == "float" else self.fmt.activation_bits
        limits = ENGINE_LIMITS if bits else FLOAT_LIMITS
        with self.runs.turn():
            asked = read_request(self.model, x, state, lengths, bits, limits)
            h, after = self._run(asked, return_state or self.stateful)
        return asked.answer(h, after if return_state else None)

    def _run(self, asked: Request, give: bool) -> tuple[Any, Pair | None]:
        """Run a request on the backend; h and the states after it are in the form of its x."""
        if self._held is None and asked.floats:
            self._quantize(np.concatenate(list(asked.x)))
        own, of_float = self._kept or (None, None)
        if asked.state is not None:
            own, of_float = asked.state, asked.state
        elif own and own[0].shape[1] != len(asked.x):
            raise UsageError(
                f"the session goes on with {own[0].shape[1]} sequences, {len(asked.x)} were given; "
                "call reset() first, or give a state"
            )
        in_float = self.backend == "float"
        held: Any = self._held if in_float else self._deployed
        scaled = asked.floats and not in_float
        x, began = asked.x, time.perf_counter()
        if scaled:
            x = _each(held.model.quantize_input, x)
            own = held.model.quantize_state(*own) if asked.state and own else own
        h, left, seen = self.runs.run(held, x, own, give)
        after = left
        if in_float:
            h = [v.astype(np.float32) for v in h]
        elif scaled:
            h = _each(held.model.dequantize_h, h)
            after = left and (held.model.dequantize_h(left[0]), held.model.dequantize_c(left[1]))
        seconds = time.perf_counter() - began
        self.saturated = at_limit(left[1]) if left and not in_float else 0
        self.clipped = sum(map(held.model.clipped, asked.x)) if scaled else 0
        notes, error = list(self._notes), Error()
        if self.clipped:
            most = held.model.x_reach.max()
            notes.append(
                f"x: {self.clipped} of {sum(x.size for x in asked.x)} values are clipped to "
                f"+-{most:g}, which is what the calibration data reaches; calibrate with inputs "
                "like these"
            )
        if self.compare:
            error, of_float = self._compared(asked, h, of_float)
            if not in_float and self._float.peak >= C_LIMIT:
                notes.append(
                    f"c reaches {self._float.peak:.4g} in the float model and saturates at "
                    f"+-{C_LIMIT}: h is wrong from there on; reset the state before, or run "
                    "shorter sequences"
                )
        if self.stateful and left:
            self._kept = left, of_float
        report = Report(
            backend=self.backend,
            engine=self.runs.engine,
            format=str(self.fmt),
            batch=len(asked.x),
            steps=sum(asked.lengths),
            max_abs_error=error.worst if self.compare else None,
            signal_to_error=error.decibels if np.isfinite(error.decibels) else None,
            seconds=seconds,
            notes=tuple(notes),
        )
        call = Call(tuple(asked.lengths), own is not None, give, self.runs.host)
        self._call = report, self._held, call, seen
        return h, after

    def _compared(self, asked: Request, h: Any, state: Pair | None) -> tuple[Error, Pair | None]:
        """Run the float model; give h's error, and the state that it left behind."""
        xs: Batch = asked.x
        if not asked.floats:
            model = self.quantized
            xs, h = [model.dequantize_input(v) for v in xs], _each(model.dequantize_h, h)
            if asked.state and state:
                state = model.dequantize_h(state[0]), model.dequantize_c(state[1])
        expected, left, _ = self._float.run(None, xs, state, True)
        errors = (Error.of(right, found) for right, found in zip(expected, h))
        return reduce(Error.and_of, errors), left

    @property
    def report(self) -> Report | None:
        """What the last call did, worked out when it is asked for; None before the first."""
        if self._call is None:
            return None
        report, held, call, seen = self._call
        if held is None or held.cfg is None:
            return report
        lengths = call.lengths
        size = max(lengths), len(lengths)
        try:
            stages, on_sv = held.stages(*size), held.plans("sv", *size)
            run, loads = deploy.predict_plans(on_sv, call)
            least = sum(p.lower_bound(s) for p in on_sv for s in plan_launches(p, call))
            hls, _ = deploy.own_cycles(held.plans("hls", *size), call)
        except UsageError as reason:  # too long for the engine, which this backend does not need
            return replace(report, notes=(*report.notes, str(reason)))
        counted = [[r.cycles for r in results] for results in seen if self.runs.counts]
        took = sum(sum(cycles[1:]) for cycles in counted)
        ideal = sum(lengths) * held.model.macs_per_step / held.engine.macs
        return replace(
            report,
            config=held.engine.name,
            schedule=", ".join(dict.fromkeys(stage.plan.schedule for stage in stages)),
            stages=len(stages),
            programs=sum(len(plan_launches(stage.plan, call)) for stage in stages),
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
        engine = (self.cfg.max_shift, self.cfg.row_scales) if self.cfg else ()
        try:
            model = quantize(self.model, self.fmt, calibration, *engine)
        except UsageError as reason:
            if self.backend != "float":
                raise
            self._notes = (str(reason),)
            return
        self._deploy(model)

    def _deploy(self, model: QuantModel) -> None:
        self._notes = model.notes
        held = Deployment(model, self.cfg, self.schedule)
        self.runs.begin(held)
        self._held = held


def _each(of: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Apply to a batch as a whole, or to each sequence of a list."""
    return of(values) if isinstance(values, np.ndarray) else [of(v) for v in values]
