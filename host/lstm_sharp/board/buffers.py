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
    """Buffers of one device, all one-dimensional uint8 ``pynq.PynqBuffer``s."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self._calls: list[Any] = []  # taken one after the other by each call
        self._taken = 0
        self._kept: dict[Hashable, Any] = {}

    def rewind(self) -> None:
        """Begin a call: what earlier calls took is free for this one."""
        self._taken = 0

    def take(self, nbytes: int) -> Any:
        """Give memory until the next ``rewind``; what it holds may be anything.

        Raises:
            BoardError: there is not so much contiguous memory.
        """
        at, size = self._taken, -(-nbytes // _GRAIN) * _GRAIN
        if at == len(self._calls):
            self._calls.append(self._allocate(size))
        elif self._calls[at].nbytes < nbytes:
            self._calls.pop(at).freebuffer()
            self._calls.insert(at, self._allocate(size))
        self._taken += 1
        return self._calls[at][:nbytes]

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
        for buffer in (*self._calls, *self._kept.values()):
            buffer.freebuffer()  # of a slice it would do nothing
        self._calls, self._taken, self._kept = [], 0, {}

    def _allocate(self, nbytes: int) -> Any:
        import pynq

        try:
            return pynq.allocate((nbytes,), np.uint8, target=self._device, cacheable=1)
        except (RuntimeError, MemoryError, OSError) as error:
            raise BoardError(
                f"no {nbytes} contiguous bytes for the DMA ({error}); run fewer sequences at once, "
                "or free other buffers"
            ) from None
