"""AMD's ``axi_dma:7.1`` in simple mode, register by register, as PG021 has it."""

from __future__ import annotations

from collections.abc import Mapping

from lstm_sharp.engine.registers import DMA_RESET, DMA_RUN, MM2S_OFFSET, S2MM_OFFSET, Dma, DmaStatus
from lstm_sharp.virtual.engine import Engine, Sink
from lstm_sharp.virtual.faults import Fault, Faults
from lstm_sharp.virtual.memory import Memory

_WORD = (1 << 32) - 1
_FAULTS = {
    Fault.SLAVE_ERROR: DmaStatus.SLAVE_ERROR,
    Fault.DECODE_ERROR: DmaStatus.DECODE_ERROR,
}
_CLEARABLE = DmaStatus.COMPLETE | DmaStatus.ERROR


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
        self.length_bits = length_bits
        self._stream, self._faults, self._memory = stream, faults, memory
        self._port = getattr(engine, stream)
        self.reset()

    def reset(self) -> None:
        """Return to the state after power-up; a transfer is cut off."""
        self._registers = dict.fromkeys(Dma, 0)
        self._flags = DmaStatus(0)  # errors and interrupts
        self._busy = self._idle = False
        self._shut()

    def read(self, register: Dma) -> int:
        """Read a register."""
        return int(self._status) if register is Dma.STATUS else self._registers[register]

    def write(self, register: Dma, value: int) -> None:
        """Write a register; a length above 0 starts a transfer if none is under way."""
        if register is Dma.STATUS:
            self._flags &= ~DmaStatus(value & _CLEARABLE)
        elif register is Dma.LENGTH:
            length = value & ((1 << self.length_bits) - 1)
            if self._running and not self._busy and length:
                self._start(length)
        else:
            if register is Dma.CONTROL:
                self._idle &= self._running  # no longer idle once it has been stopped
                if self._flags & DmaStatus.errors():
                    value &= ~DMA_RUN
            self._registers[register] = value
            self._idle &= self._running

    def settle(self) -> None:
        """See how far the engine has got with the transfer."""
        port = self._port
        if not self._busy:
            return
        if not isinstance(port, Sink):
            ended = port.at >= port.size
        elif port.over:
            return self._fail(DmaStatus.INTERNAL_ERROR)
        else:
            ended = not port.open
            if ended:
                self._registers[Dma.LENGTH] = port.at
        if ended:
            self._busy, self._idle = False, self._running
            self._flags |= DmaStatus.COMPLETE
            self._shut()

    @property
    def _running(self) -> bool:
        return bool(self._registers[Dma.CONTROL] & DMA_RUN)

    @property
    def _status(self) -> DmaStatus:
        halted = DmaStatus.HALTED if not (self._running or self._busy) else DmaStatus(0)
        return self._flags | halted | (DmaStatus.IDLE if self._idle else DmaStatus(0))

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
        if isinstance(port, Sink):
            port.open, port.over = True, False
            port.lose_last = self._faults.take(Fault.NO_LAST)
            port.lose_beat = self._faults.take(Fault.SHORT_READ)
        self._busy = True

    def _fail(self, error: DmaStatus) -> None:
        """Halt until reset."""
        self._flags |= error | DmaStatus.ERROR
        self._registers[Dma.CONTROL] &= ~DMA_RUN
        self._busy = self._idle = False
        self._shut()

    def _shut(self) -> None:
        """Have the engine's port see no beat, and no ready."""
        self._port.size = self._port.at = 0
        if isinstance(self._port, Sink):
            self._port.open = False


class DmaModel:
    """A DMA: its channels and their registers.

    Args:
        channels: by MM2S_OFFSET and S2MM_OFFSET; those that there are.
    """

    def __init__(self, channels: Mapping[int, Channel]) -> None:
        self.channels = channels

    def read(self, offset: int) -> int:
        """Read a register; what does not exist reads 0."""
        found = self._find(offset)
        return found[0].read(found[1]) if found else 0

    def write(self, offset: int, value: int) -> None:
        """Write a register; a reset is that of both channels, and done at once."""
        found = self._find(offset)
        if found and found[1] is Dma.CONTROL and value & DMA_RESET:
            for channel in self.channels.values():
                channel.reset()
        elif found:
            found[0].write(found[1], value & _WORD)

    def _find(self, offset: int) -> tuple[Channel, Dma] | None:
        base = S2MM_OFFSET if offset >= S2MM_OFFSET else MM2S_OFFSET
        if base not in self.channels or offset - base not in set(Dma):
            return None
        return self.channels[base], Dma(offset - base)
