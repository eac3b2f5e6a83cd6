"""A session on a board that packages are loaded into. docs/board.md is its page.

pynq is imported when an ``Accelerator`` is made, and only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import package
from lstm_sharp.board import overlay as overlays
from lstm_sharp.board.runner import Runner
from lstm_sharp.compiler.starts import Host
from lstm_sharp.driver.throughput import Throughput
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import QuantModel
from lstm_sharp.runtime.backends import Board, Phases
from lstm_sharp.runtime.choose import suggesting
from lstm_sharp.runtime.deploy import Deployment
from lstm_sharp.runtime.session import Session


class Accelerator(Session):
    """Drives the engine of an overlay; alone, until it is closed. Threads take turns, call by call.

    It is a ``Session`` with backend ``board``, whose model comes from a package.

    Args:
        overlay: path of a ``.bit`` with its ``.hwh`` beside it, or a ``pynq.Overlay``.
        take_over: close the ``Accelerator`` of this process that drives the device, if one does.

    Raises:
        Busy: another ``Accelerator`` drives the device, or another process does; also from every
            call, where another has taken over.
        BoardError: no engine or no DMAs in the overlay, or an engine that does not answer.
        ToolError: pynq is missing.
        UsageError: the file is.
    """

    def __init__(self, overlay: str | Path | Any, take_over: bool = False) -> None:
        self._begin(Board(overlay, take_over), "board")

    def __enter__(self) -> Accelerator:
        return self

    @property
    def runner(self) -> Runner:
        """What runs single programs."""
        return self.runs.runner

    @property
    def parts(self) -> overlays.Parts:
        """Engine, DMAs and device, for whoever wants to look."""
        return self.runner.parts

    @property
    def identity(self) -> int:
        """What the engine says it is: the hash of its config."""
        return self.runner.identity

    @property
    def host(self) -> Host:
        """What a start costs, and what the DMA takes of h at once."""
        return self.runs.host

    @property
    def phases(self) -> Phases:
        """Seconds of the last call's phases."""
        return self.runs.phases

    @property
    def cycles(self) -> int:
        """Cycles of the last call's programs, loads left out."""
        return self.runs.cycles

    @property
    def start_cycles(self) -> int:
        """What a start is taken to cost: the more, the fewer programs of different lengths."""
        return self.runs.start_cycles

    @start_cycles.setter
    def start_cycles(self, cycles: int) -> None:
        self.runs.start_cycles = cycles

    def load(self, source: str | Path | package.Package) -> None:
        """Load a package: check it against the engine, and load its weights.

        Raises:
            UsageError: the package is damaged, or of another version.
            BoardError: the engine is another than the package's; or loading fails.
        """
        read = source if isinstance(source, package.Package) else package.read(source)
        self.load_model(read.model, read.cfg, read.schedule)

    def load_model(self, model: QuantModel, cfg: Config, schedule: str = "best") -> None:
        """Load a quantised model; it is compiled for ``cfg``, which must be the overlay's engine.

        Raises:
            UsageError: the config does not hold the model.
            BoardError: the engine is another than ``cfg``; or loading fails.
        """
        with self.runs.turn():
            self.runs.check(model, cfg)
            held = Deployment(model, cfg, schedule)
            with suggesting(model, cfg):
                held.stages()
            self._held, self._kept = held, None  # though loading may fail: after reset, it is there
            self.runs.begin(held)

    @property
    def _deployed(self) -> Deployment:
        if self._held is None:
            raise UsageError("no package is loaded; call load(folder) first")
        return self._held

    @property
    def model(self) -> QuantModel:  # type: ignore[override]
        """The integer model that is loaded.

        Raises:
            UsageError: none is.
        """
        return self._deployed.model

    @property
    def cfg(self) -> Config:  # type: ignore[override]
        """The config of the package that is loaded; errors are those of ``model``."""
        return self._deployed.engine

    @property
    def fmt(self) -> Format:  # type: ignore[override]
        """Its number format."""
        return self.cfg.fmt

    @property
    def schedule(self) -> str:  # type: ignore[override]
        """The schedule that the package asks for."""
        return self._deployed.schedule

    def reset(self) -> None:
        """Make the board usable again after an error; weights are loaded again at the next run.

        Raises:
            BoardError: the engine does not answer even then.
        """
        super().reset()
        with self.runs.turn():
            self.runner.reset()

    def throughput_test(self, batch: int = 64, steps: int = 100, repeats: int = 3) -> Throughput:
        """Time the phases of a call on random integers, and the latency of a single sequence.

        Raises:
            WrongClock: the engine does not run at the overlay's clock.
            BoardError, UsageError: as ``run``.
        """
        with self.runs.turn():
            clock_mhz = self.runner.check_clock(self._deployed.engine)
            bits, width = self.fmt.activation_bits, self._deployed.model.input_size
            most = 1 << (bits - 1)
            x = np.random.default_rng(1).integers(-most, most, (batch, steps, width))
            x = x.astype(f"i{bits // 8}")
            seen, alone = [], []
            for _ in range(1 + repeats):  # the first call makes programs and takes memory
                self.run(x)
                seen.append(list(self.phases.seconds.values()))
            cycles = self.cycles
            for _ in range(1 + repeats):
                self.run(x[0])
                alone.append(sum(self.phases.seconds.values()))
        pack, copy, compute, unpack = np.median(seen[1:], axis=0).tolist()
        latency = float(np.median(alone[1:]))
        return Throughput(batch, steps, pack, copy, compute, unpack, latency, cycles, clock_mhz)

    def describe(self) -> str:
        """Decode the registers of engine and DMAs, for messages."""
        return self.parts.describe()
