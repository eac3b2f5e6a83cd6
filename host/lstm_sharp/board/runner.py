"""An engine in an overlay: runs single programs, and finds out why if one does not end well."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp.board import errors
from lstm_sharp.board import overlay as overlays
from lstm_sharp.board.buffers import Buffers
from lstm_sharp.board.channel import Channel, reset_dma
from lstm_sharp.board.errors import BoardError
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER, describe, idle_program, null_program
from lstm_sharp.engine.registers import DMA_CELL, WEIGHTS_DMA_CELL
from lstm_sharp.flow import jobs

_GRACE = 1.0
"""Seconds that a run may take beyond ten times what its slots take."""


class Runner:
    """One engine and its DMAs, program by program.

    Args:
        overlay: a ``pynq.Overlay``.

    Raises:
        BoardError: no engine or no DMAs in it, or an engine that does not answer.

    Attributes:
        device: the ``pynq.Device``.
        file: name of the overlay's file.
        engine: an ``ip.EngineIP``; engine_kind: ``hls`` or ``sv``.
        weights, x, h: the ``Channel`` of each stream.
        identity: what the engine says it is: the hash of its config.
        clock_mhz: the overlay's, once a package tells; until then time limits are wide.
        failed: why the last run failed; no other is begun before ``reset``.
        took: seconds that the last run's copying and computing took, by the device's clock.
    """

    def __init__(self, overlay: Any) -> None:
        self.overlay, self.device = overlay, overlay.device
        self.file = Path(overlay.bitfile_name).name
        self.engine, self.engine_kind, self._dmas = overlays.find(overlay)
        self.weights = Channel(self._dmas[WEIGHTS_DMA_CELL], WEIGHTS_DMA_CELL, send=True)
        self.x = Channel(self._dmas[DMA_CELL], DMA_CELL, send=True)
        self.h = Channel(self._dmas[DMA_CELL], DMA_CELL, send=False)
        self.buffers = Buffers(self.device)
        self.clock_mhz, self.failed, self.identity, self.took = 1.0, "", 0, (0.0, 0.0)
        self._now = getattr(self.device, "now", time.monotonic)
        self._identify()

    def _identify(self) -> None:
        """Ask the engine who it is: its outputs are valid after a run alone."""
        self.engine.forget()  # who drove it before may have left anything
        self.identity = self.engine.get("identity")  # 0 unless it has run before
        self.identity = self.execute(jobs.Run(null_program())).identity

    def stop(self) -> None:
        """Reset the DMAs; load the overlay again if it is not there, or its engine not idle.

        Raises:
            BoardError: a DMA stays in reset.
        """
        if not self.overlay.is_loaded():
            self.overlay.download()
        self._reset_dmas()
        if not self.engine.idle:  # nothing but a new configuration stops a run
            self.overlay.download()
            self._reset_dmas()
        self.engine.forget()

    def _reset_dmas(self) -> None:
        for name, dma in self._dmas.items():
            reset_dma(dma, name)
        for channel in (self.weights, self.x, self.h):
            channel.restart()

    def reset(self) -> None:
        """Make the board usable again; nothing is left of buffers and weights.

        Raises:
            BoardError: the engine does not answer even then.
        """
        self.stop()
        self.buffers.free()
        self.failed = ""
        self._identify()

    def describe(self) -> str:
        """Decode the registers of engine and DMAs."""
        channels = ", ".join(f"{c.name} {c.describe()}" for c in (self.weights, self.x, self.h))
        return f"{self.engine.describe()}; {channels}"

    def execute(self, run: jobs.Run) -> jobs.Result:
        """Run one program; any failure stands in the way of the next one until ``reset``.

        Args:
            run: its streams are copied into DMA memory unless they lie there.

        Returns:
            What the engine gave; h lies in DMA memory until the next call.

        Raises:
            BoardError: see docs/board.md.
        """
        if self.failed:
            raise BoardError(f"the last run failed ({self.failed}); call reset() first")
        try:
            return self._attempt(run)
        except BaseException as error:  # whatever it is, Ctrl-C too, a run may be under way
            self.failed = str(error) or type(error).__name__
            if isinstance(error, BoardError) and not isinstance(error, errors.OverlayGone):
                error.args = (f"{error}; {self.describe()}; then call reset()",)
            raise

    def check_clock(self, cfg: Config) -> float:
        """Hold the engine's clock against the overlay's: cycles counted over time taken.

        Versions of pynq set the clocks of one overlay differently (docs/board.md).

        Returns:
            The clock seen, in MHz.

        Raises:
            WrongClock: more than a tenth off.
        """
        seen, idle = 0.0, jobs.Run(idle_program(turns=8).encode(cfg))
        for _ in range(2):
            began = self._now()
            cycles = self.execute(idle).cycles
            seen = max(seen, cycles / (self._now() - began) / 1e6)
        if abs(seen / self.clock_mhz - 1) > 0.1:
            raise errors.WrongClock(
                f"the engine runs at {seen:.1f} MHz, {self.file} is made for {self.clock_mhz:g} "
                f"MHz: pynq {overlays.pynq_version()} has set the PL clock otherwise; set it by "
                "pynq.ps.Clocks, or use the pynq that the overlay was built for"
            )
        return seen

    def _attempt(self, run: jobs.Run) -> jobs.Result:
        engine = self.engine
        if not self.overlay.is_loaded() or engine.get("identity") != self.identity:
            raise errors.OverlayGone(
                f"{self.file} is not what the programmable logic holds any more: something loaded "
                "an overlay since; call reset() to load it again"
            )
        copying = self._now()
        streams = ((self.weights, run.weights), (self.x, run.x))
        sends = [(channel, self.buffers.placed(data)) for channel, data in streams if data.size]
        h = self.buffers.take(run.h_bytes, received=True) if run.h_bytes else None
        engine.write_program(run.program)
        if h is not None:
            self.h.begin(h)
        for channel, stream in sends:
            channel.begin(stream)
        began = self._now()
        slots = int(run.program[HEADER["slots"].word])
        engine.start()
        self._wait(
            [channel for channel, _ in sends],
            h,
            began + _GRACE + 10 * slots / (self.clock_mhz * 1e6),
        )
        done = self._now()
        if h is not None:
            h.invalidate()
        self.took = began - copying + self._now() - done, done - began
        status, identity, cycles = map(engine.get, ("status", "identity", "cycles"))
        data = jobs.nothing() if h is None else np.asarray(h)
        return jobs.Result(status, identity, cycles, data, True)

    def _wait(self, sends: Sequence[Channel], h: Any, deadline: float) -> None:
        """Wait for the engine, then for the end of h; docs/board.md says what can come instead."""
        engine, receive = self.engine, self.h
        while not engine.done:
            for channel in sends:
                channel.poll()
            ended = h is not None and receive.poll()
            if engine.idle and not engine.done:
                raise errors.InterruptLost(
                    "the engine is idle again but its done flag never came: something else reads "
                    "or resets it"
                )
            if self._now() > deadline:
                if ended:
                    self._check_length(h)
                raise errors.EngineTimeout(
                    "the engine is not done in time; a stream that the DMAs do not feed, a clock "
                    "that stands still, or a reset that is held would do that"
                )
        status = engine.get("status")
        if status & 0xFF:
            raise BoardError(f"the engine refused its program: {describe(status)}")
        if h is None:
            return
        while not receive.poll():
            if self._now() > deadline:
                raise errors.MissingLast(
                    f"the engine is done, but {receive.name} waits for the end of its packet of "
                    f"{h.nbytes} bytes: TLAST was lost on the way"
                )
        self._check_length(h)

    def _check_length(self, h: Any) -> None:
        if self.h.transferred != h.nbytes:
            raise errors.ShortRead(
                f"{self.h.name} got {self.h.transferred} of {h.nbytes} bytes of h before the end "
                "of the packet"
            )
