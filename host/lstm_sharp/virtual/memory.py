"""DDR, and buffers in it: the CPU's view of a buffer and the bytes that a DMA sees."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from pynq.buffer import PynqBuffer

_PAGE = 4096
_POISON = 0xA5


class Allocated(NamedTuple):
    """What is allocated at the moment."""

    buffers: int
    bytes: int  # in whole pages


class Memory:
    """DDR from address 0 on; its upper half is for buffers.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self.bytes = np.zeros(size, np.uint8)  # takes no memory before it is touched
        self._views: dict[int, np.ndarray] = {}  # by address: what the CPU sees, whole pages

    @property
    def allocated(self) -> Allocated:
        """Buffers that have not been freed."""
        return Allocated(len(self._views), sum(view.nbytes for view in self._views.values()))

    def allocate(
        self, shape: int | tuple[int, ...], dtype: Any, device: Any, cacheable: bool
    ) -> PynqBuffer:
        """Make a buffer; as in hardware, what it holds is anything.

        Args:
            shape: of the array.
            dtype: of the array.
            device: gets its ``flush`` and ``invalidate``.
            cacheable: if not, CPU and DMA see the same bytes.

        Raises:
            RuntimeError: there is no such piece of memory left.
        """
        count = prod(shape) if isinstance(shape, tuple) else int(shape)
        size = -(-max(count * np.dtype(dtype).itemsize, 1) // _PAGE) * _PAGE
        address = self._find(size)
        seen = self.bytes[address : address + size]
        seen[:] = _POISON
        view = self._views[address] = seen.copy() if cacheable else seen
        places = {"device_address": address, "bo": address}
        buffer = PynqBuffer(
            shape, dtype, buffer=view, device=device, coherent=not cacheable, **places
        )
        # A pynq buffer gives its pointer back, once, when it is freed or collected; one that is not
        # marked as freed would then be unmapped.
        buffer.memory, buffer.pointer, buffer.return_to = self, address, self
        buffer.freed = True
        return buffer

    def return_pointer(self, address: int) -> None:
        """Free a buffer."""
        del self._views[address]

    def sync(self, address: int, offset: int, nbytes: int, to_device: bool) -> None:
        """Copy bytes of a buffer from the CPU's view to the DMA's, or back.

        Raises:
            RuntimeError: the buffer was freed, or does not hold these bytes.
        """
        view = self._views.get(address)
        if view is None or offset < 0 or offset + nbytes > view.size:
            held = "is not allocated" if view is None else f"has {view.size} bytes"
            raise RuntimeError(
                f"bytes {offset} to {offset + nbytes} cannot be synced: buffer {address:#x} {held}"
            )
        piece = slice(offset, offset + nbytes)
        seen = self.bytes[address:][piece]
        if to_device:
            seen[:] = view[piece]
        else:
            view[piece] = seen

    def _find(self, size: int) -> int:
        """Return the first gap between buffers that is large enough."""
        address = self.bytes.size // 2
        for taken, view in sorted(self._views.items()):
            if taken - address >= size:
                break
            address = taken + view.size
        if address + size > self.bytes.size:
            raise RuntimeError(
                f"cannot allocate {size} bytes: {self.allocated.bytes} of "
                f"{self.bytes.size // 2} are taken by {len(self._views)} buffers"
            )
        return address
