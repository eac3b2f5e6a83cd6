"""Register maps, cells and addresses' names: what driver, block design and virtual board share.

The engine's map is that of Vitis HLS for ``ap_ctrl_hs`` and the kernel's arguments
(docs/engine.md), from which the hardware's own is rendered; the DMA's is that of AMD's PG021,
simple mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

ENGINE_VLNVS = {"hls": "xilinx.com:hls:lstm_sharp:1.0", "sv": "lstm-sharp:sv:lstm_engine:1.0"}
"""What Vivado calls the engine, by how it was made."""
DMA_VLNV = "xilinx.com:ip:axi_dma:7.1"
ENGINE_CELL, DMA_CELL, WEIGHTS_DMA_CELL = "engine", "dma", "dma_weights"
"""Cells of the block design, and so attributes of a ``pynq.Overlay``."""
SPAN = 1 << 16
"""Bytes of address space of each of them."""


@dataclass(frozen=True)
class Register:
    """A register, or a window of them, as a hardware handoff describes it."""

    name: str
    offset: int  # bytes
    description: str
    fields: Mapping[str, int] = field(default_factory=dict)  # bit of each field of one bit
    access: str = "read-write"
    size: int = 4  # bytes


def _output(name: str, offset: int, description: str) -> tuple[Register, Register]:
    valid = {f"{name}_ap_vld": 0}
    return (
        Register(name, offset, description, access="read-only"),
        Register(f"{name}_ctrl", offset + 4, f"Control of {name}", valid, "read-only"),
    )


class Control(IntFlag):
    """Bits of CTRL; DONE and READY are cleared by any read of it."""

    START = 1 << 0
    DONE = 1 << 1
    IDLE = 1 << 2
    READY = 1 << 3


_CONTROL = {f"AP_{bit.name}": bit.bit_length() - 1 for bit in Control}
ENGINE_MAP = (
    Register("CTRL", 0x0000, "Control signals", {**_CONTROL, "AUTO_RESTART": 7, "INTERRUPT": 9}),
    Register("GIER", 0x0004, "Global interrupt enable", {"Enable": 0}),
    Register("IP_IER", 0x0008, "Interrupt enable", {"CHAN0_INT_EN": 0, "CHAN1_INT_EN": 1}),
    Register("IP_ISR", 0x000C, "Interrupt status", {"CHAN0_INT_ST": 0, "CHAN1_INT_ST": 1}),
    *_output("identity", 0x0010, "Hash of the engine config"),
    *_output("status", 0x0020, "How the last run ended"),
    *_output("cycles", 0x0030, "Cycles of the last run"),
    Register("Memory_program", 0x1000, "Program window", size=0x1000),
)
ENGINE = {register.name: register for register in ENGINE_MAP}
"""The engine's registers by name."""
ENGINE_SPAN = 0x2000
"""Bytes that the engine's registers take."""


class Dma(IntEnum):
    """Registers of one channel, from MM2S_OFFSET or S2MM_OFFSET on."""

    CONTROL = 0x00
    STATUS = 0x04
    ADDRESS = 0x18
    ADDRESS_HIGH = 0x1C
    LENGTH = 0x28  # a write starts a transfer; S2MM: then reads what came


MM2S_OFFSET, S2MM_OFFSET = 0x00, 0x30
DMA_RUN, DMA_RESET = 1 << 0, 1 << 2
"""Bits of CONTROL; RESET resets both channels and reads 1 until that is done."""


class DmaStatus(IntFlag):
    """Bits of STATUS."""

    HALTED = 1 << 0
    IDLE = 1 << 1
    INTERNAL_ERROR = 1 << 4
    SLAVE_ERROR = 1 << 5
    DECODE_ERROR = 1 << 6
    COMPLETE = 1 << 12  # cleared by writing 1, as is the next
    ERROR = 1 << 14

    @classmethod
    def errors(cls) -> DmaStatus:
        """Bits that say that a transfer failed."""
        return cls.INTERNAL_ERROR | cls.SLAVE_ERROR | cls.DECODE_ERROR
