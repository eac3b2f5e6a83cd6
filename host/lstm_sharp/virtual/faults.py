"""Faults that a test injects, each for the next occasion."""

from __future__ import annotations

from enum import Enum, auto

STREAMS = ("weights", "x", "h")
"""The engine's streams, and so what a DMA's channel is called by."""


class Fault(Enum):
    """What can go wrong."""

    NEVER_DONE = auto()  # the next start: the engine begins, and its clock stops
    LOST_INTERRUPT = auto()  # the next start: IP_ISR stays 0
    SLAVE_ERROR = auto()  # the next transfer of a stream
    DECODE_ERROR = auto()  # the next transfer of a stream
    NO_LAST = auto()  # the next packet of h: TLAST does not come
    SHORT_READ = auto()  # the next packet of h: TLAST comes a beat early, the last beat never
    LENGTH_WIDTH = auto()  # 14-bit lengths, until an overlay is loaded


class Faults(set[object]):
    """Faults that wait for their occasion; with its stream, where one is of a stream."""

    def inject(self, fault: Fault, stream: str | None = None) -> None:
        """Let a fault wait.

        Raises:
            ValueError: a fault of a stream without one, or another one with.
        """
        if (fault in (Fault.SLAVE_ERROR, Fault.DECODE_ERROR)) != (stream in STREAMS):
            raise ValueError(
                f"{fault.name} with stream {stream!r}: SLAVE_ERROR and DECODE_ERROR go with one of "
                f"{', '.join(STREAMS)}, the others with none"
            )
        self.add((fault, stream) if stream else fault)

    def take(self, fault: Fault, stream: str | None = None) -> bool:
        """Tell whether a fault waits; it then waits no more."""
        what = (fault, stream) if stream else fault
        waits = what in self
        self.discard(what)
        return waits
