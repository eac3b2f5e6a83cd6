"""Who drives a device: one ``Accelerator`` at a time, whose threads take turns."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, ref

from lstm_sharp.board.errors import Busy


class Seat:
    """The one place at a device from which it is driven.

    Args:
        device: a ``pynq.Device``. Its tag stands for it among processes, unless it is
            ``simulated``, and so this process's own.
    """

    def __init__(self, device: Any) -> None:
        self._name = str(device.tag)
        self._simulated = bool(getattr(device, "simulated", False))
        self.lock = threading.RLock()
        self._owner: ref[Any] | None = None
        self._file = -1
        """File descriptor, while there is an owner of a device that is no simulation."""

    @contextmanager
    def turn(self, driver: Any, take_over: bool = False) -> Iterator[None]:
        """Let a driver work, as the owner that it is or becomes; other threads wait.

        Args:
            driver: who wants to.
            take_over: close the driver that owns the device, if that is another one.

        Raises:
            Busy: another driver, or another process, owns the device.
        """
        with self.lock:
            owner = self._owner and self._owner()
            if owner is not driver:
                if owner and not take_over:
                    raise Busy(
                        f"another Accelerator drives {self._name}: close() it first, or take it "
                        "over with Accelerator(overlay, take_over=True)"
                    )
                if owner:
                    owner.close()
                self._keep_others_out()
                self._owner = ref(driver)
            yield

    def is_owner(self, driver: Any) -> bool:
        """Whether a driver owns the device; to be asked, and acted upon, inside ``lock``."""
        return self._owner is not None and self._owner() is driver

    def leave(self) -> None:
        """Have no owner."""
        self._owner = None
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _keep_others_out(self) -> None:
        """Lock a file that stands for the device; a process that ends, however, lets go of it.

        Raises:
            Busy: another process has it.
        """
        if self._simulated or self._file >= 0:
            return
        path = Path(tempfile.gettempdir(), f"lstm-sharp-{self._name.replace('/', '-')}.lock")
        try:
            # In a sticky folder, a file of another user's may be opened, but not by O_CREAT.
            lock = os.open(path, os.O_RDWR if path.exists() else os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise Busy(f"{path} cannot be locked ({error.strerror}); remove it") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            whose = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise Busy(
                f"process {whose} drives {self._name}: end it, or the notebook kernel that it is, "
                "or close() its Accelerator"
            ) from None
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._file = lock


_SEATS: WeakKeyDictionary[Any, Seat] = WeakKeyDictionary()
_SEATING = threading.Lock()


def seat(device: Any) -> Seat:
    """Return a device's seat."""
    with _SEATING:
        if device not in _SEATS:
            _SEATS[device] = Seat(device)
        return _SEATS[device]
