"""A model on an engine, through one backend."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial, reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from lstm_sharp.board import overlay as overlays
from lstm_sharp.compiler.cycles import Prediction, add
from lstm_sharp.compiler.launches import Call, plan_launches
from lstm_sharp.compiler.pack import Batch
from lstm_sharp.compiler.schedule import check_schedule
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import C_LIMIT, DEFAULT_FORMAT, Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel, at_limit
from lstm_sharp.numerics.stored import own_format
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.backends import Board, Float, Golden, Progress, Simulated
from lstm_sharp.runtime.batch import Pair
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.deploy import Deployment, Stage
from lstm_sharp.runtime.inputs import FLOAT_LIMITS, Request, check_input, read_request
from lstm_sharp.runtime.report import Report

BACKENDS = ("float", "golden", "csim", "rtl", "board")
"""Ways to run a model: in float, in integers, on the HLS C++ kernel, on the simulated engine, on a
board."""
OUTPUTS = ("h", "head")
"""What a run gives: the last level's h, or what the model computes of it on the host."""
_MUCH = 0.01
"""Share of x that is clipped from which on a warning says so."""


CUT_REVERSE = (
    "reverse layers begin at the end of each call: pieces of a sequence do not give what the whole "
    "of it gives"
)


class Session:
    """Runs one model on one engine config.

    Args:
        model: the float model; if it has an integer model, that is run.
        config: a shipped config's name, a path, a ``Config``, or None for the smallest that fits;
            the model is compiled for the backend's engine, whichever the config is for.
        backend: one of ``BACKENDS``.
        format: a number format that replaces the config's own.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        calibration: typical x, (batch, time, X) float; by default the first input that is run.
        build: gets a folder for what is compiled; ``build`` by default.
        steps: time steps that a config chosen here should hold in one call.
        stateful: each run goes on where the last one ended, until ``reset``.
        overlay: for ``board``: the ``.bit``; by default that of the config. Without a config, it
            is the overlay's.
        compare: run the float model beside each call, and report how far h is from its h.
        progress: called with (programs done, programs in all) while a simulated engine runs.
        beside: a session whose engine this one uses, too; they take turns.

    Raises:
        UsageError: an unknown name, a model that does not fit, or one that has an integer model and
            calibration data or another format beside it.

    Attributes:
        runs: the backend itself.
        clipped: values of the last call's x beyond the scale that calibration gave it: clipped.
    """

    runs: Any
    stateful = compare = _warned = False
    clipped = 0
    _limits: Mapping[str, Any] = MappingProxyType({})
    """What the engine holds of scales, if it is not as ``quantize`` takes it to be."""
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
        beside: Session | None = None,
    ) -> None:
        check_backend(backend, overlay)
        check_schedule(schedule)
        format = own_format(model, format, calibration)
        self.backend, self.model, self.schedule = backend, model, schedule
        self.stateful, self.compare = stateful, compare
        self._float = Float(model)
        runs: Any = self._float if backend == "float" else Golden()
        if beside is not None and backend != "float":
            runs = beside.runs
        elif backend in ("csim", "rtl"):
            runs = Simulated(backend, build, progress)
        elif overlay is not None:
            runs = Board(overlay)
            config = config or overlays.config_of(runs.runner.identity)
        required = backend not in ("float", "golden")
        holds = model.quantized or model
        find: Callable[[], Config | None]
        find = cache(partial(choose, holds, config, format, required, steps, runs.engine or "sv"))
        self.fmt = Format.parse(format or DEFAULT_FORMAT)
        if required or config is not None:
            cfg = find()
            assert cfg is not None
            if backend == "board" and overlay is None and beside is None:
                runs = Board(overlays.overlay_of(cfg, build))
                cfg = cfg.of(runs.engine)
            self.fmt, find = cfg.fmt, lambda: cfg
            self._limits = cfg.limits
        elif str(self.fmt) != DEFAULT_FORMAT and (cfg := find()):
            self._limits = cfg.limits  # there are packed ones, which do not take all weights
        self.runs, self._find = runs, find
        if model.quantized is not None:
            self._deploy(model.quantized)
        elif calibration is not None:
            self.calibrate(calibration)

    @property
    def cfg(self) -> Config | None:
        """The engine; None where no shipped one holds the model, and the backend needs none.

        One that is neither named nor needed is chosen when it is asked for: in the default format
        all that counts until then is what every shipped config of it has, ``quantize``'s limits.
        """
        return self._find()

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
    def calibrated(self) -> bool:
        """Whether there is an integer model, by calibration data or a run."""
        return self._held is not None

    def calibrate(self, x: np.ndarray) -> None:
        """Choose the scales on typical x (batch, time, X), and take the model up.

        Raises:
            UsageError: x of the wrong shape or type, or a model that the engine does not hold.
        """
        self._quantize(check_input(self.model, x, "calibration data"))

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
        output_of: str = "h",
    ) -> Any:
        """Run sequences.

        Args:
            x: (T, X) for one sequence, (B, T, X) for a batch, or a list of (T, X) of any lengths.
                Floats, or integers that are quantised already; an int16 (or int8) batch is packed
                straight into a board's DMA memory.
            state: h and c at the start, (cells, B, widest H) each; integers where x is. A GRU's c
                is its h before rounding. By default zeros, or what the last run left behind if the
                session is stateful.
            return_state: also return h and c after each sequence's last step.
            lengths: steps of each sequence of a batch, (B,) 1 to T; by default all have T steps.
            output_of: one of ``OUTPUTS``: h, or what the host computes of it, as logits.

        Returns:
            The last level's h in x's own form, (..., width): float32, or integers where x is; zero
            after a sequence's last step. With ``output_of`` the head what that gives for the batch,
            float; for a list, for each sequence. With ``return_state`` also (h, c).

        Raises:
            UsageError: x, state or lengths of the wrong shape or type, NaN, too long for the
                engine, or no head.
            BoardError: the run failed on a board; call ``reset``.
        """
        if output_of not in OUTPUTS:
            raise UsageError(f"there is no output {output_of!r:.40}; give {' or '.join(OUTPUTS)}")
        head = self.model.head if output_of == "head" else None
        if output_of == "head" and head is None:
            raise UsageError(
                f"{self.model.name} {self.model.no_head}; take h, which is what it has"
            )
        bits = 0 if self.backend == "float" else self.fmt.activation_bits
        limits = FLOAT_LIMITS
        if bits:
            limits = 1.0, self._held.model.c_reach if self._held else float(C_LIMIT)
        with self.runs.turn():
            asked = read_request(self.model, x, state, lengths, bits, limits)
            if head is not None and not asked.floats:
                raise UsageError(
                    "x is of integers, which are taken as quantised already; give floats for the "
                    "head"
                )
            h, after = self._run(asked, return_state or self.stateful)
        if head is not None:
            found = asked.headed(head, h)
            return (found, after) if return_state else found
        return asked.answer(h, after if return_state else None)

    def _run(self, asked: Request, give: bool) -> tuple[Any, Pair | None]:
        """Run a request on the backend; h and the states after it are in the form of its x."""
        if self._held is None and asked.floats:
            x = asked.x
            self._quantize(x if isinstance(x, np.ndarray) else np.concatenate(x))
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
        if held is not None and self.runs.holds is not held:  # another session took a turn
            self._take_up(held)
        call = Call(tuple(asked.lengths), own is not None, give, self.runs.host)
        h, left, seen = self._in_pieces(held, x, own, call)
        after = left
        if in_float:
            h = _each(lambda v: v.astype(np.float32), h)
        elif scaled:
            h = _each(held.model.dequantize_h, h)
            after = left and (held.model.dequantize_h(left[0]), held.model.dequantize_c(left[1]))
        seconds = time.perf_counter() - began
        self.clipped = int(np.sum(_each(held.model.clipped, asked.x))) if scaled else 0
        notes, error = [*self._notes, *self._told_of_x(asked)], Error()
        if self.stateful and self._kept and self.model.reverse:
            notes.append(CUT_REVERSE)
        c, of_h = self._saturated(seen, left)
        if c is True or (c and any(c)):
            often = "" if c is True else f" {sum(c)} times, by cells {list(c)}"
            remedy = "scale the model down"
            if self.model.kind == "lstm":
                remedy = (
                    "calibrate with sequences as long as these, reset the state before, or run "
                    "shorter ones"
                )
            what = golden.HELD[self.model.kind]
            notes.append(f"{what} saturates{often}: h may be wrong from there on; {remedy}")
        if self.compare:
            error, of_float = self._compared(asked, h, of_float)
            if c is None and not in_float and self._float.peak >= C_LIMIT:
                notes.append(
                    f"c reaches {self._float.peak:.4g} in the float model and saturates at "
                    f"+-{C_LIMIT}: h may be wrong from there on; reset the state before, or run "
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
            largest=error.largest if self.compare else None,
            saturated_x=self.clipped if scaled else None,
            saturated_c=c,
            saturated_h=of_h,
            notes=tuple(notes),
        )
        self._call = report, self._held, call, seen
        return h, after

    def _in_pieces(self, held: Any, x: Any, state: Pair | None, call: Call) -> Any:
        """Run a call on the backend, piece after piece if an engine does not count its steps."""
        if self.backend in ("float", "golden") or max(call.lengths) <= MAX_STEPS:
            return self.runs.run(held, x, state, call.give_state)
        hs: list[list[np.ndarray]] = [[] for _ in x]
        seen: list[list[jobs.Result]] = []
        for number, piece in enumerate(_pieces(held, call)):
            begin = number * MAX_STEPS
            rows = [row for row, length in enumerate(call.lengths) if length > begin]
            own = (state[0][:, rows], state[1][:, rows]) if state else None
            part = [x[row][begin : begin + MAX_STEPS] for row in rows]
            h, left, more = self.runs.run(held, part, own, piece.give_state)
            for row, found in zip(rows, h):
                hs[row].append(found)
            if number and state and left:
                state[0][:, rows], state[1][:, rows] = left
            else:
                state = left  # of all rows
            seen = [[*a, *b[1:]] for a, b in zip(seen, more)] or list(map(list, more))
        return [np.concatenate(parts) for parts in hs], state if call.give_state else None, seen

    def _told_of_x(self, asked: Request) -> list[str]:
        """Say how much of x is clipped; once as a warning too, where it is much."""
        if not self.clipped:
            return []
        size = sum(x.size for x in asked.x)
        told = (
            f"x: {self.clipped} of {size} values ({self.clipped / size:.2%}) are clipped, for the "
            "calibration data do not reach so far; calibrate with inputs like these"
        )
        if self.clipped > _MUCH * size and not self._warned:
            self._warned = True
            warnings.warn(told, stacklevel=4)
        return [told]

    def _saturated(
        self, seen: Sequence[Sequence[jobs.Result]], left: Pair | None
    ) -> tuple[tuple[int, ...] | bool | None, tuple[int, ...] | None]:
        """What saturated in a call, c and h, as a report has it."""
        if self.backend == "golden":
            counts = self.runs.saturated
            return tuple(count.c for count in counts), tuple(count.h for count in counts)
        if seen and self._deployed.engine.row_scales:
            return any(result.c_saturated for results in seen for result in results), None
        return (True if left and seen and at_limit(left[1]).any() else None), None

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
    def ran(self) -> Report | None:
        """What the last call did, without an engine's figures; None before the first."""
        return self._call[0] if self._call else None

    @property
    def report(self) -> Report | None:
        """What the last call did, worked out when it is asked for; None before the first."""
        if self._call is None:
            return None
        report, held, call, seen = self._call
        if held is None or held.find() is None:
            return report
        lengths, least, hls, programs = call.lengths, 0, 0, 0
        runs: list[Prediction] = []
        try:
            for piece in reversed(_pieces(held, call)):
                size = max(piece.lengths), len(piece.lengths)
                stages, on_sv = held.stages(*size), held.plans("sv", *size)
                run, loads = deploy.predict_plans(on_sv, piece)
                runs.append(run)
                least += sum(p.lower_bound(s) for p in on_sv for s in plan_launches(p, piece))
                hls += deploy.own_cycles(held.plans("hls", *size), piece)[0]
                programs += sum(len(plan_launches(stage.plan, piece)) for stage in stages)
        except UsageError as reason:  # too long for the engine, which this backend does not need
            return replace(report, notes=(*report.notes, str(reason)))
        run = add(runs)
        counted = [[r.cycles for r in results] for results in seen if self.runs.counts]
        took = sum(sum(cycles[1:]) for cycles in counted)
        ideal = sum(lengths) * held.model.macs_per_step / held.engine.macs
        return replace(
            report,
            config=held.engine.name,
            clock_mhz=held.engine.clock_mhz,
            schedule=", ".join(dict.fromkeys(stage.plan.schedule for stage in stages)),
            stages=len(stages),
            programs=programs,
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
        try:
            model = quantize(self.model, self.fmt, calibration, **self._limits)
        except UsageError as reason:
            if self.backend != "float":
                raise
            self._notes = (str(reason),)
            return
        self._deploy(model)

    def _deploy(self, model: QuantModel) -> None:
        self._notes = model.notes
        held = Deployment(model, self._find, self.schedule)
        self._take_up(held)
        self._held = held

    def _take_up(self, held: Deployment) -> None:
        self.runs.begin(held)
        self.runs.holds = held


def check_backend(backend: str, overlay: object) -> None:
    """Refuse a backend that there is not, or an overlay for one that takes none.

    Raises:
        UsageError: it is so.
    """
    if backend not in BACKENDS:
        raise UsageError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
    if overlay is not None and backend != "board":
        raise UsageError(f"backend {backend!r} takes no overlay; board does")


def _pieces(held: Deployment, call: Call) -> list[Call]:
    """Cut a call where an engine counts no more steps.

    Raises:
        UsageError: that cannot be, for a reverse layer begins at the end.
    """
    steps = max(call.lengths)
    if steps > MAX_STEPS and held.model.reverse:
        raise UsageError(
            f"a call of {steps} steps is cut into pieces of {MAX_STEPS}, which a model with "
            f"reverse layers cannot be; give at most {MAX_STEPS}"
        )
    return call.pieces(MAX_STEPS)


def _each(of: Callable[[np.ndarray], Any], values: Any) -> Any:
    """Apply to a batch as a whole, or to each sequence of a list."""
    return of(values) if isinstance(values, np.ndarray) else [of(v) for v in values]
