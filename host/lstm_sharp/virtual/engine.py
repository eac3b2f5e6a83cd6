"""The Verilated engine in this process; hls/tb/rtl_main.cpp is this module's other half."""

from __future__ import annotations

import ctypes
import os
import weakref
from pathlib import Path

from lstm_sharp.engine.registers import ENGINE, Control
from lstm_sharp.errors import EngineError
from lstm_sharp.virtual.faults import Fault, Faults

_U64 = ctypes.c_uint64
_CONTROL, _INTERRUPT = ENGINE["CTRL"].offset, ENGINE["IP_ISR"].offset


def _close(library: ctypes.CDLL, board: int, owner: int) -> None:
    """Free a board, but not in a fork: the threads that it would wait for are not there."""
    if os.getpid() == owner:
        library.virtual_close(board)


class EngineAssertion(EngineError):
    """An assertion of the engine failed: its file and line. The engine is of no more use."""


class Source(ctypes.Structure):
    """Bytes for a stream into the engine, and how many it has taken, in whole beats."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("at", ctypes.c_size_t))


class Sink(ctypes.Structure):
    """Room for a stream out of the engine; beats are taken while it is open, until TLAST.

    ``over`` says that there is more, but no room; the last two are faults.
    """

    _fields_ = (
        *Source._fields_,
        *((flag, ctypes.c_bool) for flag in ("open", "over", "lose_last", "lose_beat")),
    )


class _Shared(ctypes.Structure):
    _fields_ = (("weights", Source), ("x", Source), ("h", Sink), ("cycles", _U64), ("moved", _U64))


class Engine:
    """An engine just out of reset, memories at zero.

    Args:
        library: from ``build.verilate.library``.
        faults: some of which happen here.

    Attributes:
        weights, x: ``Source`` of each stream, h: ``Sink``; to be changed between calls.
    """

    def __init__(self, library: Path, faults: Faults) -> None:
        self._library = ctypes.CDLL(str(library))
        pointer, word = ctypes.c_void_p, ctypes.c_uint32
        for name, result, *arguments in (
            ("open", pointer),
            ("close", None, pointer),
            ("shared", ctypes.POINTER(_Shared), pointer),
            ("error", ctypes.c_char_p, pointer),
            ("run", ctypes.c_int, pointer, _U64),
            ("write", ctypes.c_int, pointer, word, word),
            ("read", ctypes.c_int, pointer, word, ctypes.POINTER(word)),
        ):
            function = getattr(self._library, f"virtual_{name}")
            function.restype, function.argtypes = result, arguments
        self._board = self._library.virtual_open()
        self._close = weakref.finalize(self, _close, self._library, self._board, os.getpid())
        self._shared = self._library.virtual_shared(self._board).contents
        self.weights, self.x, self.h = self._shared.weights, self._shared.x, self._shared.h
        self._faults = faults
        self._stopped = self._mute = False

    @property
    def cycles(self) -> int:
        """Cycles since the engine was opened."""
        return int(self._shared.cycles)

    @property
    def moved(self) -> int:
        """Cycles in which a beat moved or a slot was issued."""
        return int(self._shared.moved)

    def run(self, cycles: int) -> None:
        """Let cycles pass.

        Raises:
            EngineAssertion: one failed, now or before; as for ``write`` and ``read``.
        """
        self._check(self._library.virtual_run(self._board, cycles))

    def write(self, offset: int, value: int) -> None:
        """Write a register through AXI4-Lite."""
        starts = offset == _CONTROL and value & Control.START
        if starts:
            # A start that the engine never sees looks like a clock that stops.
            self._stopped |= self._faults.take(Fault.NEVER_DONE)
            self._mute = self._faults.take(Fault.LOST_INTERRUPT)
        if not (starts and self._stopped):
            self._check(self._library.virtual_write(self._board, offset, value))

    def read(self, offset: int) -> int:
        """Read a register through AXI4-Lite."""
        if self._stopped and offset == _CONTROL:
            return int(Control.START)
        found = ctypes.c_uint32()
        self._check(self._library.virtual_read(self._board, offset, ctypes.byref(found)))
        if offset == _INTERRUPT and found.value and self._mute:
            self.write(offset, found.value)
            return 0
        return found.value

    def _check(self, failed: int) -> None:
        if failed:
            raise EngineAssertion(self._library.virtual_error(self._board).decode())
