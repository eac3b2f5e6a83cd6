"""Runs single programs on an engine, and finds out why if one does not end well."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_sharp.board import errors
from lstm_sharp.board import overlay as board
from lstm_sharp.board.buffers import Buffers
from lstm_sharp.board.errors import BoardError
from lstm_sharp.board.overlay import Parts
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import HEADER, describe, idle_program, null_program
from lstm_sharp.flow import jobs

_GRACE = 1.0
"""Seconds that a run may take beyond ten times what its slots take."""


class Runner:
    """One engine and its DMAs, program by program.

    Args:
        parts: of the overlay.

    Raises:
        BoardError: the engine does not answer.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.buffers, self.received = Buffers(parts.device), Buffers(parts.device)
        """For what is sent, and for h: lines of a cache that packing has left dirty may be written
        back at any time, and must not fall upon what a DMA has written."""
        self.clock_mhz = 1.0
        """The overlay's, once a package tells; until then time limits are wide."""
        self.failed = ""
        """Why the last run failed; no other is begun before ``reset``."""
        self.identity = 0
        """What the engine says it is: the hash of its config."""
        self.copy = self.compute = 0.0
        """Seconds of runs so far, by the device's clock."""
        self._now = getattr(parts.device, "now", time.monotonic)
        self.identify()

    def identify(self) -> None:
        """Ask the engine who it is: its outputs are valid after a run alone."""
        self.parts.engine.forget()  # who drove it before may have left anything
        self.identity = self.parts.engine.get("identity")  # 0 unless it has run before
        self.identity = self.execute(jobs.Run(null_program())).identity

    def reset(self) -> None:
        """Make the board usable again; nothing is left of buffers and weights.

        Raises:
            BoardError: the engine does not answer even then.
        """
        self.parts.reset()
        self.free()
        self.failed = ""
        self.identify()

    def rewind(self) -> None:
        """Begin a call: the memory that earlier ones took is free for this one."""
        self.buffers.rewind()
        self.received.rewind()

    def free(self) -> None:
        """Free all memory."""
        self.buffers.free()
        self.received.free()

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
                error.args = (f"{error}; {self.parts.describe()}; then call reset()",)
            raise

    def check_clock(self, cfg: Config, within: float = 0.1) -> float:
        """Hold the engine's clock against the overlay's: cycles counted over time taken.

        Versions of pynq set the clocks of one overlay differently (docs/board.md).

        Returns:
            The clock seen, in MHz.

        Raises:
            WrongClock: more than ``within`` off.
        """
        seen = max(self._clock_seen(cfg) for _ in range(2))
        want = self.clock_mhz
        if abs(seen / want - 1) > within:
            raise errors.WrongClock(
                f"the engine runs at {seen:.1f} MHz, {self.parts.file} is made for {want:g} MHz: "
                f"pynq {board.pynq_version()} has set the PL clock otherwise; set it by "
                "pynq.ps.Clocks, or use the pynq that the overlay was built for"
            )
        return seen

    def _clock_seen(self, cfg: Config) -> float:
        began = self._now()
        result = self.execute(jobs.Run(idle_program(turns=8).encode(cfg)))
        return result.cycles / (self._now() - began) / 1e6

    def _attempt(self, run: jobs.Run) -> jobs.Result:
        parts = self.parts
        if not parts.overlay.is_loaded() or parts.engine.get("identity") != self.identity:
            raise errors.OverlayGone(
                f"{parts.file} is not what the programmable logic holds any more: something loaded "
                "an overlay since; call reset() to load it again"
            )
        copying = self._now()
        sends = [
            (channel, self.buffers.placed(stream))
            for channel, stream in ((parts.weights, run.weights), (parts.x, run.x))
            if stream.size
        ]
        h = self.received.take(run.h_bytes) if run.h_bytes else None
        parts.engine.write_program(run.program)
        if h is not None:
            parts.h.begin(h)
        for channel, stream in sends:
            channel.begin(stream)
        began = self._now()
        deadline = began + _GRACE + 10 * self._seconds(int(run.program[HEADER["slots"].word]))
        parts.engine.start()
        self._wait([channel for channel, _ in sends], h, deadline)
        done = self._now()
        if h is not None:
            h.invalidate()
        self.compute += done - began
        self.copy += began - copying + self._now() - done
        return jobs.Result(
            parts.engine.get("status"),
            parts.engine.get("identity"),
            parts.engine.get("cycles"),
            np.asarray(h) if h is not None else jobs.nothing(),
            True,
        )

    def _seconds(self, slots: int) -> float:
        return slots / (self.clock_mhz * 1e6)

    def _wait(self, sends: Sequence[Any], h: Any, deadline: float) -> None:
        """Wait for the engine, then for the end of h; docs/board.md says what can come instead."""
        engine, receive = self.parts.engine, self.parts.h
        while not engine.done:
            for channel in sends:
                channel.poll()
            if h is not None:
                receive.poll()
            if engine.idle and not engine.done:
                raise errors.InterruptLost(
                    "the engine is idle again but its done flag never came: something else reads "
                    "or resets it"
                )
            if self._now() > deadline:
                raise self._overdue(h)
        status = engine.get("status")
        if status:
            raise BoardError(f"the engine refused its program: {describe(status)}")
        while h is not None and not receive.poll():
            if self._now() > deadline:
                raise errors.MissingLast(
                    f"the engine is done, but {receive.name} waits for the end of its packet of "
                    f"{h.nbytes} bytes: TLAST was lost on the way"
                )
        if h is not None and receive.transferred != h.nbytes:
            raise self._short(h)

    def _overdue(self, h: Any) -> BoardError:
        if h is not None and self.parts.h.poll() and self.parts.h.transferred != h.nbytes:
            return self._short(h)
        return errors.EngineTimeout(
            "the engine is not done in time; a stream that the DMAs do not feed, a clock that "
            "stands still, or a reset that is held would do that"
        )

    def _short(self, h: Any) -> BoardError:
        return errors.ShortRead(
            f"{self.parts.h.name} got {self.parts.h.transferred} of {h.nbytes} bytes of h before "
            "the end of the packet"
        )
