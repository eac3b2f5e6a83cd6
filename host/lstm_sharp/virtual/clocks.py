"""The PS's clock registers, as far as pynq's ``Clocks`` looks at them."""

from __future__ import annotations

from math import prod
from typing import Any

from pynq import ps

from lstm_sharp.engine.boards import Board
from lstm_sharp.flow.design import DIVISOR_MAX


class ClockRegisters:
    """Clock registers by their address; what pynq writes there sets the PL clock.

    Args:
        system: of the board.
    """

    def __init__(self, system: Board) -> None:
        kind: Any
        if system.ps == "zynq7":
            kind, clock = ps._ClocksZynq, "FPGA0_CLK_CTRL"
            blocks = [(kind.SLCR_BASE_ADDRESS, ps.ZYNQ_SLCR_REGISTERS)]
        else:
            kind, clock = ps._ClocksUltrascale, "PL0_REF_CTRL"
            blocks = [(kind.CRL_APB_ADDRESS, ps.ZU_CRL_REGISTERS)]
            blocks.append((kind.CRF_APB_ADDRESS, ps.ZU_CRF_REGISTERS))
        self._pll_mhz = system.pll_mhz
        pll = round(system.pll_mhz / kind.DEFAULT_SRC_CLK_MHZ)
        start = {"PLL_FDIV": pll, "FBDIV": pll, "DIVISOR": 2, "DIVISOR0": 2, "DIVISOR1": 1}
        self.words = {
            base + register["address_offset"]: sum(
                start.get(name, 0) << field["bit_offset"]
                for name, field in register["fields"].items()
            )
            for base, registers in blocks
            for register in registers.values()
        }
        base, registers = blocks[0]
        self._clock = base + registers[clock]["address_offset"]
        fields = registers[clock]["fields"]
        self._places = [fields[name]["bit_offset"] for name in ("DIVISOR0", "DIVISOR1")]

    def read(self, address: int) -> int:
        """Read a register."""
        return self.words[address]

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self.words[address] = value

    def set_pl_clk(self, index: int, div0: int = 0, div1: int = 0) -> None:
        """Set the divisors of a PL clock, as an overlay of pynq 3.0 asks for when it is loaded."""
        if index == 0:
            self.words[self._clock] = sum(n << at for n, at in zip((div0, div1), self._places))

    @property
    def mhz(self) -> float:
        """PL clock 0, which all cells of an overlay have."""
        divisors = [self.words[self._clock] >> at & DIVISOR_MAX for at in self._places]
        return self._pll_mhz / max(prod(divisors), 1)
