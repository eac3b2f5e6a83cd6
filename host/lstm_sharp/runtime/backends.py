"""What runs a model: in float, by the golden model, on a simulated engine, or on a board's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp.board import errors, owner
from lstm_sharp.board import overlay as overlays
from lstm_sharp.board.runner import Runner
from lstm_sharp.compiler.launches import FREE, Launcher
from lstm_sharp.compiler.pack import Batch
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import jobs
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.batch import Pair, by_length
from lstm_sharp.runtime.deploy import Deployment, Stage

START_CYCLES = 200_000
"""What a launch costs a board's host, in cycles of the engine: about two milliseconds of Python on
an ARM core; an assumption, until boards have been measured."""
PHASES = ("pack", "copy", "compute", "unpack")

Progress = Callable[[int, int], None]
"""Called with (programs done, programs in all)."""
Answer = tuple[Batch, "Pair | None", Sequence[Sequence[jobs.Result]]]
"""h, the state after the last steps, and what each stage's load and programs gave."""


class Backend:
    """Runs sequences through a deployed model: integers, but for ``Float``."""

    engine: str | None = None
    """hls or sv; None where none takes part."""
    counts = False
    """Whether the cycles that it gives are those of an engine."""
    holds: Deployment | None = None
    """The model that was taken up last."""
    virtual = False
    """Whether it is a board that is simulated."""

    def __init__(self) -> None:
        self._turn = threading.RLock()

    @property
    def host(self) -> Launcher:
        """What a launch costs it, and takes."""
        return FREE

    def turn(self) -> AbstractContextManager[Any]:
        """Make a thread wait for others: what one call leaves behind is the next one's."""
        return self._turn

    def begin(self, held: Deployment) -> None:
        """Take up a model; what the engine, if there is one, does not hold is refused now."""

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run sequences (T, X); with ``give``, also tell the state after the last steps."""
        raise NotImplementedError

    def recover(self) -> None:
        """Make it usable again, if an error has left it so that it is not."""

    def close(self) -> None:
        """Free what it holds."""


class Float(Backend):
    """The float model, on floats, deployed or not; ``peak`` is the largest abs(c) of a run."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model, self.peak = model, 0.0

    def run(self, held: Deployment | None, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run sequences of one length together."""
        self.peak = 0.0
        return *by_length(x, state, self._run), []

    def _run(self, x: np.ndarray, state: Pair | None) -> tuple[np.ndarray, Pair]:
        found = reference.run(self.model, x, state)
        self.peak = max(self.peak, found.peak_c)
        return found.h, (found.last_h, found.last_c)


class Golden(Backend):
    """The golden model; ``saturated`` tells of each cell what did in the last call."""

    saturated: tuple[golden.Saturated, ...] = ()

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run sequences of one length together."""
        counts: list[list[golden.Saturated]] = []

        def run(x: np.ndarray, state: Pair | None) -> tuple[np.ndarray, Pair]:
            counts.append([])
            return golden.run(held.model, x, state, counts[-1])

        answer: Answer = (*by_length(x, state, run), [])
        self.saturated = tuple(
            golden.Saturated(*map(sum, zip(*of_cell))) for of_cell in zip(*counts)
        )
        return answer


class Simulated(Backend):
    """An engine on this machine: the C++ kernel by a compiler, or RTL by Verilator.

    Its process starts with the first call, and is kept, weights and all, until a call fails.

    Args:
        name: ``csim`` or ``rtl``.
        build: gets a folder for what is compiled.
        progress: is told of programs.

    Attributes:
        process: that process; None before the first call, and after ``close``.
    """

    def __init__(self, name: str, build: Path | None, progress: Progress | None) -> None:
        super().__init__()
        self.name, self.counts = name, name == "rtl"
        self.engine = engines.kind(name)
        self.process: engines.Process | None = None
        self._build, self._progress = build, progress
        self._loaded: object = None
        self._load: jobs.Result

    def begin(self, held: Deployment) -> None:
        """Take up a model."""
        held.stages()
        self._loaded = None

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Build the engine if that has not been done, and play all programs on it."""
        if self.process is None or not self.process.lives:
            self.process = engines.Process(engines.build(self.name, held.engine, self._build))
            self._loaded = None
        stages = held.stages(max(map(len, x)), len(x))
        try:
            return deploy.run(stages, x, state, give, self._play)
        except BaseException:  # whatever the engine has come to, the next call has a new one
            self.close()
            raise

    def close(self) -> None:
        """End the process; a call of another thread is waited for."""
        with self.turn():
            if self.process:
                self.process.close()
            self.process = None

    def _play(self, stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        """Give what the stage's load gave, now or earlier, and each run's result."""
        assert self.process
        key = stage.first, stage.plan.layers
        loads = 0 if self._loaded == key else 1
        asked = [stage.load(), *runs] if loads else runs
        results: list[jobs.Result] = []
        for result in self.process.play(asked):
            engines.check(stage.plan.cfg, asked[len(results)], result)
            results.append(result)
            if self._progress and len(results) > loads:
                self._progress(len(results) - loads, len(runs))
        if loads:
            self._loaded, self._load = key, results.pop(0)
        return [self._load, *results]


class Board(Backend):
    """The engine of an overlay; alone, until it is closed. Threads take turns, call by call.

    Args:
        overlay: path of a ``.bit`` with its ``.hwh`` beside it, or a ``pynq.Overlay``.
        take_over: close the one of this process that drives the device, if one does.

    Raises:
        Busy: another drives the device, or another process does; also from every call, where
            another has taken over.
        BoardError: no engine or no DMAs in the overlay, or an engine that does not answer.
        ToolError: pynq is missing.
        UsageError: the file is.

    Attributes:
        runner: what runs single programs.
        start_cycles: what a launch is taken to cost: the more, the fewer programs of different
            lengths.
        seconds: of the last call's ``PHASES``; copy and compute are by the device's clock.
        cycles: of the last call's programs, loads left out.
    """

    counts = True

    def __init__(self, overlay: str | Path | Any, take_over: bool = False) -> None:
        self._seat = owner.seat(overlays.device_of(overlay))
        with self._seat.turn(self, take_over):
            try:
                self.runner = Runner(overlays.open_overlay(overlay))
            except BaseException:
                self._seat.leave()
                raise
        self.engine = self.runner.engine_kind
        self.virtual = hasattr(self.runner.device, "inject")  # faults, which a real one has anyway
        self._loads: dict[object, jobs.Result] = {}
        self._beat_bits = 0
        self.start_cycles = START_CYCLES
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.cycles, self._since = 0, 0.0

    @property
    def host(self) -> Launcher:
        """What a launch costs, and what the DMA takes of h at once."""
        return Launcher(self.start_cycles, self.runner.h.limit * 8 // self._beat_bits)

    def turn(self) -> AbstractContextManager[Any]:
        """Make a thread wait for others, and refuse where another owns the device."""
        return self._seat.turn(self)

    def check(self, model: QuantModel, cfg: Config) -> None:
        """Refuse a model that is compiled for another engine.

        Raises:
            WrongOverlay: it is.
        """
        kind, file = self.engine, self.runner.file
        if cfg.engine != kind:
            raise errors.WrongOverlay(
                f"{file} has the {kind} engine, {model.name} is compiled for {cfg.name} "
                f"on the {cfg.engine} engine; load an overlay with that one, or make the package "
                f"again with `lstm-sharp package ... --engine {kind}`"
            )
        if cfg.identity != self.runner.identity:
            raise errors.WrongOverlay(
                f"{file} is engine {overlays.name_of(self.runner.identity)}, {model.name} is made "
                f"for {cfg.name} ({cfg.digest}); load the overlay of {cfg.name}, or make the "
                "package for this one"
            )

    def begin(self, held: Deployment) -> None:
        """Take up a model; its weights are loaded if they are resident as a whole."""
        self.check(held.model, held.engine)
        stages = held.stages()
        self._forget()
        self.runner.clock_mhz = held.engine.clock_mhz
        self._beat_bits = held.engine.stream_bits
        if len(stages) == 1:
            self._load(stages[0])

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run all programs; x and h lie in DMA memory."""
        self.seconds, self.cycles = dict.fromkeys(PHASES, 0.0), 0
        self._lap()
        self.runner.buffers.rewind()
        stages = held.stages(max(map(len, x)), len(x))
        take = self.runner.buffers.take
        answer = deploy.run(stages, x, state, give, self._play, self.host, allocate=take)
        self.seconds["unpack"] += self._lap()
        return answer

    def recover(self) -> None:
        """Reset the board if a run has failed; weights are loaded again at the next run.

        Raises:
            BoardError: the engine does not answer even then.
        """
        if self.runner.failed:
            self.runner.reset()

    def close(self) -> None:
        """Free all buffers and give the device up; it can take up a model again, if it is free."""
        with self._seat.lock:
            owns = self._seat.is_owner(self)
            if owns and self.runner.failed and self.runner.overlay.is_loaded():
                self.runner.stop()  # no DMA may go on writing to what is freed
            self._forget()
            if owns:
                self._seat.leave()

    def _play(self, stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        """Give what the stage's load gave, now or earlier, and each run's result."""
        self.seconds["pack"] += self._lap()
        results = [self._load(stage)]
        for run in runs:
            results.append(self.runner.execute(run))
            self.cycles += results[-1].cycles
            for phase, took in zip(("copy", "compute"), self.runner.took):
                self.seconds[phase] += took
        self._lap()
        return results

    def _lap(self) -> float:
        """Seconds of the host since this was last asked."""
        before, self._since = self._since, time.perf_counter()
        return self._since - before

    def _load(self, stage: Stage) -> jobs.Result:
        """Load a stage's weights unless they are there; their beats stay in DMA memory."""
        key = stage.first, stage.plan.layers
        packed = self.runner.buffers.keep(key, stage.weights)
        engine = self.runner.engine
        if engine.holds is not packed:  # another driver of this overlay may have loaded its own
            engine.holds = None
            program = stage.plan.load_program().encode(stage.plan.cfg)
            self._loads[key] = self.runner.execute(jobs.Run(program, packed))
            engine.holds = packed
        return self._loads[key]

    def _forget(self) -> None:
        self.runner.buffers.free()
        self._loads = {}
