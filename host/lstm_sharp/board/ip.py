"""The engine as an IP of a ``pynq.Overlay``. Needs pynq; ``pynq.lib`` entry point imports it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pynq

from lstm_sharp.engine.registers import ENGINE, ENGINE_VLNVS, Control

_DONE = 1  # bit 0 of IP_IER and IP_ISR


class EngineIP(pynq.DefaultIP):
    """Registers of the engine by name; pynq binds it to the engine of any overlay."""

    bindto: ClassVar[list[str]] = list(ENGINE_VLNVS.values())

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description=description)
        self.forget()

    def get(self, name: str) -> int:
        """Read a register of ``registers.ENGINE``."""
        return int(self.read(ENGINE[name].offset))

    def put(self, name: str, value: int) -> None:
        """Write a register of ``registers.ENGINE``."""
        self.write(ENGINE[name].offset, int(value))

    def forget(self) -> None:
        """Take nothing for granted of what the engine holds: the logic was loaded anew."""
        self.holds: object = None
        """The buffer whose weights are loaded; whoever loads others says so here."""
        self._written = np.zeros(0, np.uint32)

    def write_program(self, words: np.ndarray) -> None:
        """Write a program (n,) uint32 into the window: the words that differ from the last one."""
        old = np.zeros_like(words)
        old[: len(self._written)] = self._written[: len(words)]
        known = np.arange(len(words)) < len(self._written)
        edges = np.flatnonzero(np.diff((old != words) | ~known, prepend=False, append=False))
        for first, end in edges.reshape(-1, 2).tolist():
            self.write(ENGINE["Memory_program"].offset + 4 * first, words[first:end].tobytes())
        self._written = np.concatenate([words, self._written[len(words) :]])

    def start(self) -> None:
        """Start a run; what was flagged before is cleared."""
        self.put("IP_IER", _DONE)
        if self.get("IP_ISR") & _DONE:
            self.put("IP_ISR", _DONE)  # toggles
        self.put("CTRL", Control.START)

    @property
    def done(self) -> bool:
        """Whether the run has ended. IP_ISR says so: any read of CTRL would eat its done bit."""
        return bool(self.get("IP_ISR") & _DONE)

    @property
    def idle(self) -> bool:
        """Whether the engine waits for a start."""
        return bool(self.get("CTRL") & Control.IDLE)

    def describe(self) -> str:
        """Decode the registers, for messages."""
        control = self.get("CTRL")
        flags = [flag.name.lower() for flag in Control if flag & control and flag.name]
        return (
            f"engine {'+'.join(flags) or 'running'}, IP_ISR {self.get('IP_ISR')}, "
            f"status {self.get('status'):#x}, identity {self.get('identity'):08x}, "
            f"cycles {self.get('cycles')}"
        )
