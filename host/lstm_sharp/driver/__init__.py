"""The PYNQ driver: see docs/board.md. Needs NumPy; pynq once an ``Accelerator`` is made."""

from lstm_sharp.board.errors import (
    BoardError,
    Busy,
    DmaError,
    EngineTimeout,
    InterruptLost,
    MissingLast,
    OverlayGone,
    ShortRead,
    TransferLimit,
    WrongClock,
    WrongOverlay,
)
from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.driver.graphs import GraphAccelerator
from lstm_sharp.driver.throughput import Throughput

__all__ = [
    "Accelerator",
    "BoardError",
    "Busy",
    "DmaError",
    "EngineTimeout",
    "GraphAccelerator",
    "InterruptLost",
    "MissingLast",
    "OverlayGone",
    "ShortRead",
    "Throughput",
    "TransferLimit",
    "WrongClock",
    "WrongOverlay",
]
