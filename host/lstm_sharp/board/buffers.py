"""DMA memory of a driver: taken once, used over and over, freed together.

It is cached, since packing and unpacking uncached memory would be slow on a board; pynq's channels
flush what they send, and the runner invalidates what it got.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from lstm_sharp.board.errors import BoardError

_GRAIN = 4096
"""Bytes of a page: sizes are rounded up to it, so that calls of similar size share a buffer."""


class Buffers:
    """Buffers of one device, all one-dimensional uint8 ``pynq.PynqBuffer``s.

    What is received lies in buffers of its own: lines of a cache that packing has left dirty may be
    written back at any time, and must not fall upon what a DMA has written.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._calls: tuple[list[Any], list[Any]] = [], []  # what is sent, what is received
        self._taken = [0, 0]  # of each, by the call that is under way
        self._kept: dict[Hashable, Any] = {}

    def rewind(self) -> None:
        """Begin a call: what earlier calls took is free for this one."""
        self._taken = [0, 0]

    def take(self, nbytes: int, received: bool = False) -> Any:
        """Give memory until the next ``rewind``; what it holds may be anything.

        Raises:
            BoardError: there is not so much contiguous memory.
        """
        held, at = self._calls[received], self._taken[received]
        if at == len(held) or held[at].nbytes < nbytes:
            if at < len(held):
                held.pop(at).freebuffer()
            held.insert(at, self._allocate(-(-nbytes // _GRAIN) * _GRAIN))
        self._taken[received] += 1
        return held[at][:nbytes]

    def placed(self, stream: np.ndarray) -> Any:
        """Return a stream in DMA memory: itself if it is there, else a copy."""
        if hasattr(stream, "physical_address"):
            return stream
        place = self.take(stream.nbytes)
        place[:] = stream
        return place

    def keep(self, key: Hashable, make: Callable[[], np.ndarray]) -> Any:
        """Return what ``make`` gave for the key, in memory that stays until ``free``."""
        if key not in self._kept:
            made = make()
            place = self._allocate(made.nbytes)
            place[:] = made
            self._kept[key] = place
        return self._kept[key]

    def free(self) -> None:
        """Free everything."""
        for buffer in (*self._calls[0], *self._calls[1], *self._kept.values()):
            buffer.freebuffer()  # of a slice it would do nothing
        self._calls, self._taken, self._kept = ([], []), [0, 0], {}

    def _allocate(self, nbytes: int) -> Any:
        import pynq

        try:
            return pynq.allocate((nbytes,), np.uint8, target=self._device, cacheable=1)
        except (RuntimeError, MemoryError, OSError) as error:
            raise BoardError(
                f"no {nbytes} contiguous bytes for the DMA ({error}); run fewer sequences at once, "
                "or free other buffers"
            ) from None
