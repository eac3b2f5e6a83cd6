"""AMD's ``axi_dma:7.1`` in simple mode, register by register, as PG021 has it."""

from __future__ import annotations

from typing import Any

from lstm_sharp.engine.registers import DMA_RESET, DMA_RUN, Dma, DmaStatus
from lstm_sharp.virtual.engine import Engine, Sink
from lstm_sharp.virtual.faults import Fault, Faults
from lstm_sharp.virtual.memory import Memory

_NARROW_BITS = 14
_FAULTS = {Fault.SLAVE_ERROR: DmaStatus.SLAVE_ERROR, Fault.DECODE_ERROR: DmaStatus.DECODE_ERROR}
_NONE = DmaStatus(0)


class Channel:
    """One channel: MM2S into a ``Source`` of the engine, or S2MM out of its ``Sink``.

    Args:
        stream: its name.
        engine: whose stream it is.
        memory: where it reads or writes.
        length_bits: width of the length register.
        faults: some of which happen here.
    """

    def __init__(
        self, stream: str, engine: Engine, memory: Memory, length_bits: int, faults: Faults
    ) -> None:
        self._stream, self._memory, self._faults = stream, memory, faults
        self._length_bits = length_bits
        self._port: Any = getattr(engine, stream)
        self._receives = isinstance(self._port, Sink)
        self.together = [self]
        """The channels of its DMA: a reset of one is that of both, and done at once."""
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-up; a transfer is cut off."""
        self._registers = dict.fromkeys(map(int, Dma), 0)
        self._flags = _NONE  # errors and interrupts
        self._idle = False
        self._end()

    def read(self, register: int) -> int:
        """Read a register; what does not exist reads 0."""
        if register != Dma.STATUS:
            return self._registers.get(register, 0)
        halted = _NONE if self._running or self._busy else DmaStatus.HALTED
        return int(self._flags | halted | (DmaStatus.IDLE if self._idle else _NONE))

    def write(self, register: int, value: int) -> None:
        """Write a register; a length above 0 starts a transfer if none is under way."""
        if register == Dma.STATUS:
            self._flags &= ~DmaStatus(value & (DmaStatus.COMPLETE | DmaStatus.ERROR))
        elif register == Dma.LENGTH:
            narrow = Fault.LENGTH_WIDTH in self._faults
            length = value & ((1 << (_NARROW_BITS if narrow else self._length_bits)) - 1)
            if self._running and not self._busy and length:
                self._start(length)
        elif register == Dma.CONTROL:
            if value & DMA_RESET:
                for channel in self.together:
                    channel.reset()
                return
            if self._flags & DmaStatus.errors():
                value &= ~DMA_RUN
            self._registers[register] = value
            self._idle &= self._running  # no longer idle once it has been stopped
        elif register in self._registers:
            self._registers[register] = value

    def settle(self) -> None:
        """See how far the engine has got with the transfer."""
        port = self._port
        if not self._busy:
            return
        if self._receives and port.over:
            self._fail(DmaStatus.INTERNAL_ERROR)
        elif not port.open if self._receives else port.at >= port.size:
            if self._receives:
                self._registers[Dma.LENGTH] = port.at
            self._idle = self._running
            self._flags |= DmaStatus.COMPLETE
            self._end()

    @property
    def _running(self) -> bool:
        return bool(self._registers[Dma.CONTROL] & DMA_RUN)

    def _start(self, length: int) -> None:
        self._registers[Dma.LENGTH] = length
        self._idle = False
        address = self._registers[Dma.ADDRESS] | self._registers[Dma.ADDRESS_HIGH] << 32
        for fault, error in _FAULTS.items():
            if self._faults.take(fault, self._stream):
                return self._fail(error)
        if address + length > self._memory.bytes.size:
            return self._fail(DmaStatus.DECODE_ERROR)
        port = self._port
        port.data, port.size, port.at = self._memory.bytes.ctypes.data + address, length, 0
        if self._receives:
            port.open, port.over = True, False
            port.lose_last = self._faults.take(Fault.NO_LAST)
            port.lose_beat = self._faults.take(Fault.SHORT_READ)
        self._busy = True

    def _fail(self, error: DmaStatus) -> None:
        """Halt until reset."""
        self._flags |= error | DmaStatus.ERROR
        self._registers[Dma.CONTROL] &= ~DMA_RUN
        self._idle = False
        self._end()

    def _end(self) -> None:
        """Have the engine's port see no beat, and no ready."""
        self._busy = False
        self._port.size = self._port.at = 0
        if self._receives:
            self._port.open = False
