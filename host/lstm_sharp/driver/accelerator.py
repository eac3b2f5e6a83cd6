"""An engine on a board: loads packages, runs sequences. docs/board.md is its page.

pynq is imported when an ``Accelerator`` is made, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

import numpy as np

from lstm_sharp import package
from lstm_sharp.board import errors, owner
from lstm_sharp.board import overlay as board
from lstm_sharp.board.runner import Runner
from lstm_sharp.compiler import pack
from lstm_sharp.compiler.starts import Host
from lstm_sharp.driver.throughput import Phases, Throughput, measure
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import jobs
from lstm_sharp.numerics.quantize import QuantModel, saturated
from lstm_sharp.runtime import deploy
from lstm_sharp.runtime.batch import Pair
from lstm_sharp.runtime.choose import suggesting
from lstm_sharp.runtime.deploy import Stage
from lstm_sharp.runtime.inputs import FloatState
from lstm_sharp.runtime.request import read_request

START_CYCLES = 200_000
"""What a start costs the host, in cycles of the engine: about two milliseconds of Python on an ARM
core; an assumption, until boards have been measured."""


Call = TypeVar("Call", bound=Callable[..., Any])


def _in_turn(call: Call) -> Call:
    """Have a method wait for other threads, and refuse where another driver owns the device."""

    @wraps(call)
    def waiting(self: Accelerator, *args: Any, **named: Any) -> Any:
        with self._seat.turn(self):
            return call(self, *args, **named)

    return cast(Call, waiting)


class Accelerator:
    """Drives the engine of an overlay; alone, until it is closed. Threads take turns, call by call.

    Args:
        overlay: path of a ``.bit`` with its ``.hwh`` beside it, or a ``pynq.Overlay``.
        take_over: close the ``Accelerator`` of this process that drives the device, if one does.

    Raises:
        Busy: another ``Accelerator`` drives the device, or another process does; also from every
            call, where another has taken over.
        BoardError: no engine or no DMAs in the overlay, or an engine that does not answer.
        UsageError: pynq is missing, or the file is.
    """

    def __init__(self, overlay: str | Path | Any, take_over: bool = False) -> None:
        self._seat = owner.seat(board.device_of(overlay))
        with self._seat.turn(self, take_over):
            try:
                self.runner = Runner(board.find(board.open_overlay(overlay)))
            except BaseException:
                self._seat.leave()
                raise
        self._loads: dict[object, jobs.Result] = {}
        self._stages: dict[tuple[int, int], tuple[Stage, ...]] = {}
        self._model: QuantModel | None = None
        self._cfg: Config | None = None
        self._schedule = "best"
        self.start_cycles = START_CYCLES
        """What a start is taken to cost: the more, the fewer programs of different lengths."""
        self.phases = Phases()
        """Seconds of the last call's phases."""
        self.cycles = 0
        """Cycles of the last call's programs, loads left out."""
        self.clipped = 0
        """Values of the last call's x beyond the scale that calibration gave it: clipped to it."""
        self.saturated = 0
        """Cells whose c stood at its limit after the last call; known where states are returned."""

    def __enter__(self) -> Accelerator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free all buffers and give the device up; it can load a package again, if it is free."""
        with self._seat.closing(self) as owns:
            if owns and self.runner.failed and self.parts.overlay.is_loaded():
                self.parts.reset()  # no DMA may go on writing to what is freed
            self._forget()
            self._model = None

    @property
    def parts(self) -> board.Parts:
        """Engine, DMAs and device, for whoever wants to look."""
        return self.runner.parts

    @property
    def identity(self) -> int:
        """What the engine says it is: the hash of its config."""
        return self.runner.identity

    @property
    def cfg(self) -> Config:
        """The config of the package that is loaded.

        Raises:
            UsageError: none is.
        """
        if self._cfg is None:
            raise UsageError("no package is loaded; call load(folder) first")
        return self._cfg

    @property
    def model(self) -> QuantModel:
        """The integer model that is loaded.

        Raises:
            UsageError: none is.
        """
        if self._model is None:
            raise UsageError("no package is loaded; call load(folder) first")
        return self._model

    @property
    def host(self) -> Host:
        """What a start costs, and what the DMA takes of h at once."""
        return Host(self.start_cycles, self.parts.h.limit * 8 // self.cfg.stream_bits)

    @_in_turn
    def load(self, source: str | Path | package.Package) -> None:
        """Load a package: check it against the engine, and load its weights.

        Raises:
            UsageError: the package is damaged, or of another version.
            BoardError: the engine is another than the package's; or loading fails.
        """
        read = source if isinstance(source, package.Package) else package.read(source)
        self.load_model(read.model, read.cfg, read.schedule)

    @_in_turn
    def load_model(self, model: QuantModel, cfg: Config, schedule: str = "best") -> None:
        """Load a quantised model; it is compiled for ``cfg``, which must be the overlay's engine.

        Raises:
            UsageError: the config does not hold the model.
            BoardError: the engine is another than ``cfg``; or loading fails.
        """
        kind = self.parts.engine_kind
        if cfg.engine != kind:
            raise errors.WrongOverlay(
                f"{self.parts.file} has the {kind} engine, {model.name} is compiled for {cfg.name} "
                f"on the {cfg.engine} engine; load an overlay with that one, or make the package "
                f"again with `lstm-sharp package ... --engine {kind}`"
            )
        if cfg.identity != self.identity:
            raise errors.WrongOverlay(
                f"{self.parts.file} is engine {board.name_of(self.identity)}, {model.name} is made "
                f"for {cfg.name} ({cfg.digest}); load the overlay of {cfg.name}, or make the "
                "package for this one"
            )
        with suggesting(model, cfg):
            stages = deploy.deploy(model, cfg, schedule)
        self._forget()
        self._model, self._cfg, self._schedule = model, cfg, schedule
        self.runner.clock_mhz = cfg.clock_mhz
        self._stages[1, cfg.chains] = stages
        if len(stages) == 1:
            self._load(stages[0])

    @_in_turn
    def stages(self, steps: int, sequences: int) -> tuple[Stage, ...]:
        """Lay the model out for so many steps and sequences.

        Raises:
            UsageError: the engine does not hold it for so many steps.
        """
        key = steps, min(sequences, self.cfg.chains)
        if key not in self._stages:
            self._stages[key] = deploy.deploy(self.model, self.cfg, self._schedule, *key)
        return self._stages[key]

    @_in_turn
    def run(
        self,
        x: np.ndarray | Sequence[np.ndarray],
        state: FloatState | None = None,
        return_state: bool = False,
    ) -> Any:
        """Run sequences.

        Args:
            x: (T, X) for one sequence, (B, T, X) for a batch, or a list of (T, X) of any lengths.
                Floats, or integers that are quantised already; an int16 (or int8) batch is packed
                straight into DMA memory.
            state: h and c at the start, (cells, B, widest H) each; integers where x is.
            return_state: also return h and c after each sequence's last step.

        Returns:
            The last level's h in x's own form, (..., width): float32, or integers where x is; with
            ``return_state`` also (h, c).

        Raises:
            UsageError: x or state of the wrong shape or type, NaN, or too long for the engine.
            BoardError: the run failed; call ``reset``.
        """
        self.phases = Phases()
        asked = read_request(self.model, x, state)
        self.clipped = asked.clipped
        stages = self.stages(max(asked.lengths), len(asked.lengths))
        h, after, _ = self.run_integers(stages, asked.x, asked.state, return_state)
        self.phases.pause("unpack")
        self.saturated = 0 if after is None else saturated(after[1])
        return asked.answer(self.model, h, after)

    @_in_turn
    def run_integers(
        self, stages: Sequence[Stage], batch: pack.Batch, state: Pair | None, give: bool
    ) -> tuple[pack.Batch, Pair | None, list[Sequence[jobs.Result]]]:
        """Do what ``deploy.run`` does, on the board; arguments and errors are its."""
        self.runner.rewind()
        self.cycles = 0
        return deploy.run(
            stages,
            batch,
            state,
            give,
            self._play,
            self.host,
            allocate=self.runner.buffers.take,
        )

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

    @_in_turn
    def reset(self) -> None:
        """Make the board usable again after an error; weights are loaded again at the next run.

        Raises:
            BoardError: the engine does not answer even then.
        """
        self.runner.reset()

    @_in_turn
    def throughput_test(self, batch: int = 64, steps: int = 100, repeats: int = 3) -> Throughput:
        """Time the phases of a call on random integers, and the latency of a single sequence.

        Raises:
            WrongClock: the engine does not run at the overlay's clock.
            BoardError, UsageError: as ``run``.
        """
        return measure(self, batch, steps, repeats, self.runner.check_clock(self.cfg))

    def describe(self) -> str:
        """Decode the registers of engine and DMAs, for messages."""
        return self.parts.describe()

    def _forget(self) -> None:
        self.runner.free()
        self._stages, self._loads = {}, {}

    def _load(self, stage: Stage) -> jobs.Result:
        """Load a stage's weights unless they are there; their beats stay in DMA memory."""
        key = stage.first, stage.plan.layers
        packed, engine = self.runner.buffers.keep(key, stage.weights), self.parts.engine
        if engine.holds is not packed:  # another driver of this overlay may have loaded its own
            engine.holds = None
            program = stage.plan.load_program().encode(stage.plan.cfg)
            self._loads[key] = self.runner.execute(jobs.Run(program, packed))
            engine.holds = packed
        return self._loads[key]
