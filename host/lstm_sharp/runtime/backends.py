"""What runs a model's integers: the golden model, a simulated engine, or one on a board."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from lstm_sharp.board import errors, owner
from lstm_sharp.board import overlay as overlays
from lstm_sharp.board.runner import Runner
from lstm_sharp.compiler.pack import Batch
from lstm_sharp.compiler.starts import FREE, Host
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import jobs
from lstm_sharp.numerics import golden
from lstm_sharp.numerics.quantize import QuantModel
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.runtime.batch import Pair, by_length
from lstm_sharp.runtime.deploy import Deployment, Stage

START_CYCLES = 200_000
"""What a start costs a board's host, in cycles of the engine: about two milliseconds of Python on
an ARM core; an assumption, until boards have been measured."""
PHASES = ("pack", "copy", "compute", "unpack")

Progress = Callable[[int, int], None]
"""Called with (programs done, programs in all)."""
Answer = tuple[Batch, "Pair | None", Sequence[Sequence[jobs.Result]]]
"""h, the state after the last steps, and what each stage's load and programs gave."""


class Backend:
    """Runs integers through a deployed model."""

    engine: str | None = None
    """hls or sv; None where none takes part."""
    counts = False
    """Whether the cycles that it gives are those of an engine."""

    def __init__(self) -> None:
        self._turn = threading.RLock()

    @property
    def host(self) -> Host:
        """What a start costs it, and takes."""
        return FREE

    def turn(self) -> AbstractContextManager[Any]:
        """Make a thread wait for others: what one call leaves behind is the next one's."""
        return self._turn

    def begin(self, held: Deployment) -> None:
        """Take up a model; what the engine, if there is one, does not hold is refused now."""
        if held.cfg:
            held.stages()

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run integer sequences (T, X); with ``give``, also tell the state after the last steps."""
        raise NotImplementedError

    def recover(self) -> None:
        """Make it usable again, if an error has left it so that it is not."""

    def close(self) -> None:
        """Free what it holds."""


class Golden(Backend):
    """The golden model: the one definition of the arithmetic."""

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Run sequences of one length together."""
        return *by_length(list(x), state, partial(_golden, held.model)), []


class Simulated(Backend):
    """An engine on this machine: the C++ kernel by a compiler, or RTL by Verilator.

    Args:
        name: ``csim`` or ``rtl``.
        build: gets a folder for what is compiled.
        progress: is told of programs.
    """

    def __init__(self, name: str, build: Path | None, progress: Progress | None) -> None:
        super().__init__()
        self.name, self.counts = name, name == "rtl"
        self.engine = engines.kind(name)
        self._build, self._progress = build, progress

    def run(self, held: Deployment, x: Batch, state: Pair | None, give: bool) -> Answer:
        """Build the engine if that has not been done, and play all programs on it."""
        stages, cfg = held.stages(max(map(len, x)), len(x)), held.engine
        play = engines.player(engines.build(self.name, cfg, self._build), cfg, self._progress)
        return deploy.run(stages, x, state, give, play)


class Phases:
    """Seconds of each phase of a call.

    Pack and unpack are by the host's clock, which this class reads; copy and compute are not.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Begin a phase of the host."""
        self._since = time.perf_counter()

    def pause(self, name: str) -> None:
        """End the phase that has begun, under a name, and begin the next."""
        now = time.perf_counter()
        self.seconds[name] += now - self._since
        self._since = now

    def add(self, name: str, seconds: float) -> None:
        """Add what another clock has taken."""
        self.seconds[name] += seconds


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
    """

    counts = True

    def __init__(self, overlay: str | Path | Any, take_over: bool = False) -> None:
        self._seat = owner.seat(overlays.device_of(overlay))
        with self._seat.turn(self, take_over):
            try:
                self.runner = Runner(overlays.find(overlays.open_overlay(overlay)))
            except BaseException:
                self._seat.leave()
                raise
        self.engine = self.runner.parts.engine_kind
        self._loads: dict[object, jobs.Result] = {}
        self._beat_bits = 0
        self.start_cycles = START_CYCLES
        self.phases = Phases()
        """Seconds of the last call's phases."""
        self.cycles = 0
        """Cycles of the last call's programs, loads left out."""

    @property
    def host(self) -> Host:
        """What a start costs, and what the DMA takes of h at once."""
        return Host(self.start_cycles, self.runner.parts.h.limit * 8 // self._beat_bits)

    def turn(self) -> AbstractContextManager[Any]:
        """Make a thread wait for others, and refuse where another owns the device."""
        return self._seat.turn(self)

    def check(self, model: QuantModel, cfg: Config) -> None:
        """Refuse a model that is compiled for another engine.

        Raises:
            WrongOverlay: it is.
        """
        kind, file = self.engine, self.runner.parts.file
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
        self.phases, self.cycles = Phases(), 0
        self.runner.rewind()
        stages = held.stages(max(map(len, x)), len(x))
        take = self.runner.buffers.take
        answer = deploy.run(stages, x, state, give, self._play, self.host, allocate=take)
        self.phases.pause("unpack")
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
        with self._seat.closing(self) as owns:
            parts = self.runner.parts
            if owns and self.runner.failed and parts.overlay.is_loaded():
                parts.reset()  # no DMA may go on writing to what is freed
            self._forget()

    def _play(self, stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        """Give what the stage's load gave, now or earlier, and each run's result."""
        self.phases.pause("pack")
        results = [self._load(stage)]
        copied, computed = self.runner.copy, self.runner.compute
        results += [self.runner.execute(run) for run in runs]
        self.phases.add("copy", self.runner.copy - copied)
        self.phases.add("compute", self.runner.compute - computed)
        self.cycles += sum(result.cycles for result in results[1:])
        self.phases.begin()
        return results

    def _load(self, stage: Stage) -> jobs.Result:
        """Load a stage's weights unless they are there; their beats stay in DMA memory."""
        key = stage.first, stage.plan.layers
        packed = self.runner.buffers.keep(key, stage.weights)
        engine = self.runner.parts.engine
        if engine.holds is not packed:  # another driver of this overlay may have loaded its own
            engine.holds = None
            program = stage.plan.load_program().encode(stage.plan.cfg)
            self._loads[key] = self.runner.execute(jobs.Run(program, packed))
            engine.holds = packed
        return self._loads[key]

    def _forget(self) -> None:
        self.runner.free()
        self._loads = {}


def _golden(model: QuantModel, x: Any, state: Pair | None) -> tuple[Any, Pair]:
    h, after = golden.run(model, x, golden.State(*state) if state else None)
    return h, (after.h, after.c)
