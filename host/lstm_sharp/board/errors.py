"""What can go wrong on a board."""

from __future__ import annotations

from lstm_sharp.errors import BoardError as BoardError


class Busy(BoardError):
    """Another ``Accelerator``, of this process or another, drives the device."""


class EngineTimeout(BoardError):
    """The engine was not done in time."""


class DmaError(BoardError):
    """A DMA's status shows an error, or it is halted."""


class MissingLast(BoardError):
    """The engine is done, but the DMA that takes h never saw the end of the packet."""


class ShortRead(BoardError):
    """The packet of h ended early."""


class InterruptLost(BoardError):
    """The engine is idle again, but its done flag in IP_ISR never came."""


class WrongOverlay(BoardError):
    """The overlay is not the one that the package was made for, or no LSTM-Sharp overlay."""


class OverlayGone(BoardError):
    """The programmable logic was loaded anew behind the driver's back."""


class TransferLimit(BoardError):
    """A transfer is longer than the DMA's length register holds."""


class WrongClock(BoardError):
    """The programmable logic does not run at the overlay's clock."""
