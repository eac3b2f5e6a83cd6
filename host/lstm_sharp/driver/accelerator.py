"""A session on a board that packages are loaded into. docs/board.md is its page.

pynq is imported when an ``Accelerator`` is made, and only then.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import package
from lstm_sharp.driver.throughput import Throughput
from lstm_sharp.engine.beats import integers
from lstm_sharp.engine.config import Config
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.backends import Board
from lstm_sharp.runtime.choose import suggesting
from lstm_sharp.runtime.deploy import Deployment
from lstm_sharp.runtime.session import Session


def _its(path: str) -> Any:
    """Make a property that looks at an attribute of an attribute."""
    return property(attrgetter(path))


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

    Attributes:
        runner: what runs single programs, with engine, DMAs and device, for whoever looks at them.
        identity: what the engine says it is: the hash of its config.
        host: what a launch costs, and what the DMA takes of h at once.
        cycles: of the last call's programs, loads left out.
        start_cycles: what a launch is taken to cost: the more, the fewer programs of different
            lengths.
        model, cfg, fmt, schedule: the integer model of the package that is loaded, its config,
            number format and schedule; UsageError if none is.
    """

    backend = "board"
    _lacks = "no package is loaded; call load(folder) first"

    runner, identity = _its("runs.runner"), _its("runs.runner.identity")
    host, cycles = _its("runs.host"), _its("runs.cycles")
    model, schedule = _its("_deployed.model"), _its("_deployed.schedule")
    cfg, fmt = _its("_deployed.engine"), _its("_deployed.engine.fmt")
    start_cycles = _its("runs.start_cycles").setter(
        lambda self, cycles: setattr(self.runs, "start_cycles", cycles)
    )

    def __init__(self, overlay: str | Path | Any, take_over: bool = False) -> None:
        self.runs = Board(overlay, take_over)

    def __enter__(self) -> Accelerator:
        return self

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
            held = Deployment(model, lambda: cfg, schedule)
            with suggesting(model, cfg):
                held.stages()
            self._held, self._kept = held, None  # though loading may fail: after reset, it is there
            self._take_up(held)

    def reset(self) -> None:
        """Make the board usable again after an error; weights are loaded again at the next run.

        Raises:
            BoardError: the engine does not answer even then.
        """
        self._kept = None
        with self.runs.turn():
            self.runner.reset()

    def throughput_test(self, batch: int = 64, steps: int = 100, repeats: int = 3) -> Throughput:
        """Time the phases of a call on random integers, and the latency of a single sequence.

        Raises:
            WrongClock: the engine does not run at the overlay's clock.
            BoardError, UsageError: as ``run``.
        """
        with self.runs.turn():
            clock_mhz = self.runner.check_clock(self.cfg)
            most = 1 << (self.fmt.activation_bits - 1)
            shape = batch, steps, self.model.input_size
            x = np.random.default_rng(1).integers(-most, most, shape)
            x = x.astype(integers(self.fmt.activation_room))

            def timed(x: np.ndarray) -> np.ndarray:
                seen = []
                for _ in range(1 + repeats):  # the first call makes programs and takes memory
                    self.run(x)
                    seen.append(list(self.runs.seconds.values()))
                return np.array(seen[1:])

            pack, copy, compute, unpack = np.median(timed(x), axis=0).tolist()
            cycles, latency = self.cycles, float(np.median(timed(x[0]).sum(axis=1)))
        phases = pack, copy, compute, unpack
        virtual = self.runs.virtual
        return Throughput(batch, steps, *phases, latency, cycles, clock_mhz, virtual)
