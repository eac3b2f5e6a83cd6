"""The two kinds of PS: what Vivado calls their pins, and the parameters of a block design."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import NamedTuple

from lstm_sharp.engine.boards import System

_DIVISOR_MAX = 63
_PL_CLOCKS = 4  # PYNQ asks for the facts of each, wired or not

Parameters = Mapping[str, str | int]


class Clock(NamedTuple):
    """The PL clock: what is asked for, and what the PLL can be divided to."""

    asked_mhz: int
    mhz: float
    divisors: tuple[int, int]

    @classmethod
    def of(cls, pll_mhz: float, asked_mhz: int) -> Clock:
        """Find the fastest clock that is not above what is asked for."""
        first, second = next(
            (product // second, second)
            for product in count(-int(-pll_mhz // asked_mhz))
            for second in range(1, _DIVISOR_MAX + 1)
            if product % second == 0 and product // second <= _DIVISOR_MAX
        )
        return cls(asked_mhz, pll_mhz / (first * second), (first, second))


class Ps(NamedTuple):
    """A kind of PS. The clock is PL clock 0, memory is reached through port HP0."""

    vlnv: str
    arch: str  # of the device, as a hardware handoff says it
    control: str  # master of registers
    control_clock: str
    memory: str  # slave that leads to DDR
    memory_clock: str
    memory_block: str  # of DDR, below the name of ``memory_map``
    memory_map: str
    clock: str
    reset: str
    external: tuple[str, ...]  # interfaces that leave the device
    parameters: Callable[[System, Clock], Parameters]  # what the tool is told
    derived: Callable[[System, Clock], Parameters]  # what it works out from that


def _zynq7(on: System, clock: Clock) -> Parameters:
    return {
        "PCW_USE_M_AXI_GP0": 1,
        "PCW_USE_S_AXI_HP0": 1,
        "PCW_S_AXI_HP0_DATA_WIDTH": on.hp_bits,
        "PCW_EN_CLK0_PORT": 1,
        "PCW_EN_RST0_PORT": 1,
        "PCW_FPGA0_PERIPHERAL_FREQMHZ": clock.asked_mhz,
    }


def _zynq7_derived(on: System, clock: Clock) -> Parameters:
    found: dict[str, str | int] = {
        "PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": f"{clock.mhz:.6f}",
        "PCW_DDR_RAM_HIGHADDR": f"0x{on.ddr_bytes - 1:08X}",
        # No name of this kind of PS, but the one at which PYNQ 4 looks for the clock of any.
        "PSU__CRL_APB__PL0_REF_CTRL__ACT_FREQMHZ": f"{clock.mhz:.6f}",
    }
    for index in range(_PL_CLOCKS):
        first, second = clock.divisors if index == 0 else (1, 1)
        found[f"PCW_FPGA_FCLK{index}_ENABLE"] = int(index == 0)
        found[f"PCW_FCLK{index}_PERIPHERAL_CLKSRC"] = "IO PLL"
        found[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR0"] = first
        found[f"PCW_FCLK{index}_PERIPHERAL_DIVISOR1"] = second
    return found


def _zynqmp(on: System, clock: Clock) -> Parameters:
    return {
        "PSU__USE__M_AXI_GP0": 1,  # M_AXI_HPM0_FPD
        "PSU__USE__M_AXI_GP1": 0,
        "PSU__USE__M_AXI_GP2": 0,
        "PSU__MAXIGP0__DATA_WIDTH": 32,
        "PSU__USE__S_AXI_GP2": 1,  # S_AXI_HP0_FPD
        "PSU__SAXIGP2__DATA_WIDTH": on.hp_bits,
        "PSU__USE__IRQ0": 0,
        "PSU__USE__FABRIC__RST": 1,
        "PSU__FPGA_PL0_ENABLE": 1,
        "PSU__CRL_APB__PL0_REF_CTRL__SRCSEL": "IOPLL",  # PYNQ up to 3.1 takes it for granted
        "PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ": clock.asked_mhz,
    }


def _zynqmp_derived(on: System, clock: Clock) -> Parameters:
    found: dict[str, str | int] = {
        "C_MAXIGP0_DATA_WIDTH": 32,
        "C_SAXIGP2_DATA_WIDTH": on.hp_bits,
        "PSU_DDR_RAM_HIGHADDR": f"0x{on.ddr_bytes - 1:08X}",
    }
    for index in range(_PL_CLOCKS):
        first, second = clock.divisors if index == 0 else (1, 1)
        name = f"PSU__CRL_APB__PL{index}_REF_CTRL"
        found[f"{name}__DIVISOR0"] = first
        found[f"{name}__DIVISOR1"] = second
        if index:
            found[f"PSU__FPGA_PL{index}_ENABLE"] = 0
            found[f"{name}__SRCSEL"] = "IOPLL"
        else:
            found[f"{name}__ACT_FREQMHZ"] = f"{clock.mhz:.6f}"
    return found


KINDS = {
    "zynq7": Ps(
        "xilinx.com:ip:processing_system7:5.5",
        "zynq",
        "M_AXI_GP0",
        "M_AXI_GP0_ACLK",
        "S_AXI_HP0",
        "S_AXI_HP0_ACLK",
        "HP0_DDR_LOWOCM",
        "S_AXI_HP0",
        "FCLK_CLK0",
        "FCLK_RESET0_N",
        ("DDR", "FIXED_IO"),
        _zynq7,
        _zynq7_derived,
    ),
    "zynqmp": Ps(
        "xilinx.com:ip:zynq_ultra_ps_e:3.5",
        "zynquplus",
        "M_AXI_HPM0_FPD",
        "maxihpm0_fpd_aclk",
        "S_AXI_HP0_FPD",
        "saxihp0_fpd_aclk",
        "HP0_DDR_LOW",
        "SAXIGP2",
        "pl_clk0",
        "pl_resetn0",
        (),
        _zynqmp,
        _zynqmp_derived,
    ),
}
"""By what a board's facts call it."""
