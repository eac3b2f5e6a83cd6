"""One direction of an AXI DMA in simple mode: its transfers, and the errors that it reports.

Registers are named in engine/registers.py; pynq's channel starts the transfers.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from lstm_sharp.board.errors import DmaError, TransferLimit
from lstm_sharp.engine.registers import DMA_RESET, MM2S_OFFSET, S2MM_OFFSET, Dma, DmaStatus


class Channel:
    """MM2S of a DMA if ``send``, else S2MM.

    Args:
        dma: a ``pynq.lib.dma.DMA``.
        name: of its cell, for messages.
        send: the direction.

    Raises:
        DmaError: the DMA has no such channel.
    """

    def __init__(self, dma: Any, name: str, send: bool) -> None:
        side = "MM2S" if send else "S2MM"
        self.name = f"{name}.{side}"
        self._dma = dma
        self._channel = dma.sendchannel if send else dma.recvchannel
        if self._channel is None:
            raise DmaError(f"{self.name} is not in this overlay; build it with both directions")
        self._offset = MM2S_OFFSET if send else S2MM_OFFSET
        align = int(dma.description["parameters"][f"c_m_axi_{side.lower()}_data_width"]) // 8
        self.limit = dma.buffer_max_size // align * align
        """Bytes of the longest transfer."""
        self._waiting: deque[Any] = deque()

    @property
    def status(self) -> DmaStatus:
        """The status register."""
        return DmaStatus(self._read(Dma.STATUS))

    @property
    def transferred(self) -> int:
        """Bytes that a receive transfer got; valid once it is over."""
        return self._read(Dma.LENGTH)

    def begin(self, buffer: Any) -> None:
        """Start to move a whole buffer, a part of at most ``limit`` bytes after the other.

        Args:
            buffer: a one-dimensional ``pynq.PynqBuffer`` of uint8, or a slice of one.

        Raises:
            DmaError: the channel is halted or busy.
            TransferLimit: the DMA took another length than it was given.
        """
        if self.status & (DmaStatus.HALTED | DmaStatus.errors()):
            raise DmaError(f"{self.name} is {self.describe()} before a transfer")
        cuts = range(0, len(buffer), self.limit)
        self._waiting = deque(buffer[at : at + self.limit] for at in cuts)
        self._next()

    def poll(self) -> bool:
        """Start the next part if the last one is through; return whether all are.

        Raises:
            DmaError: an error bit is set, or the channel is halted.
            TransferLimit: the DMA took another length than it was given.
        """
        status = self.status
        if status & (DmaStatus.errors() | DmaStatus.HALTED):
            raise DmaError(f"{self.name} is {self.describe()}; see docs/board.md")
        if not status & DmaStatus.IDLE:
            return False
        if self._waiting:
            self._next()
            return False
        return True

    def restart(self) -> None:
        """Make the channel run again after a reset of its DMA."""
        self._waiting.clear()
        self._channel.start()

    def describe(self) -> str:
        """Decode the status, for messages."""
        status = self.status
        names = [flag.name or "" for flag in DmaStatus if flag & status]
        words = "+".join(names).lower().replace("_", " ") or "busy"
        return f"{words} (status {int(status):#06x}, length {self.transferred})"

    def _next(self) -> None:
        part = self._waiting.popleft()
        try:
            self._channel.transfer(part)
        except (RuntimeError, ValueError) as error:  # busy, unaligned
            raise DmaError(f"{self.name} takes no transfer: {error}") from None
        took = self._read(Dma.LENGTH)
        if took != part.nbytes:
            raise TransferLimit(
                f"{self.name} was given {part.nbytes} bytes and took {took}: its length "
                "register is shorter than the .hwh says; use the .hwh that belongs to the .bit"
            )

    def _read(self, register: Dma) -> int:
        return int(self._dma.read(self._offset + register))


def reset_dma(dma: Any, name: str) -> None:
    """Reset both directions of a DMA.

    Raises:
        DmaError: the reset does not end.
    """
    dma.write(MM2S_OFFSET + Dma.CONTROL, DMA_RESET)
    for _ in range(1000):
        if not dma.read(MM2S_OFFSET + Dma.CONTROL) & DMA_RESET:
            return
    raise DmaError(f"{name} does not come out of reset; load the overlay again")
