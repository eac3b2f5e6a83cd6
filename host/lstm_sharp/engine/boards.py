"""Facts of boards, from ``overlays/<board>/board.json``: resources, PS, port width, addresses."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

from lstm_sharp import files, paths
from lstm_sharp.errors import UsageError

VIRTUAL = "LSTM_SHARP_VIRTUAL"
"""Environment variable: the board that a virtual one stands in for."""
DEFAULT = "pynq-z2"
"""That board, where none is named."""
KINDS = ("lut", "lutram", "ff", "bram36", "uram", "dsp")
"""What a board has a number of; lutram: LUTs that can be memories or shift registers."""


@dataclass(frozen=True)
class Board:
    """What a board has, what DMA and interconnect take of it, and what the block design needs."""

    name: str
    family: str  # as Yosys names it
    has: Mapping[str, int]
    reserve: Mapping[str, int]
    part: str
    board_part: str
    ps: str  # zynq7, zynqmp
    hp_bits: int  # width of a high-performance port from PL to DDR
    pll_mhz: float  # what the PL clock is divided from
    ddr_bytes: int  # from address 0 on
    addresses: Mapping[str, int]  # of each cell with registers

    def free(self, kind: str) -> int:
        """Return what is left for the engine."""
        return self.has[kind] - self.reserve.get(kind, 0)


def boards() -> list[str]:
    """Names of the boards that there are facts of."""
    return sorted(path.parent.name for path in paths.overlays().glob("*/board.json"))


def board(name: str) -> Board | None:
    """Load the facts of a board; ``none`` is a config without one.

    Raises:
        UsageError: there are no facts of such a board.
    """
    return None if name == "none" else facts(name)


def facts(name: str) -> Board:
    """Load the facts of a board.

    Raises:
        UsageError: there are no facts of such a board.
    """
    if name not in boards():
        raise UsageError(f"board {name!r} is unknown; there are {', '.join(boards())}")
    path = paths.overlays() / name / "board.json"
    with files.refusing(f"{path} is damaged", "see docs/adding-a-board.md"):
        told = files.read_json(path)
        return Board(
            told["name"],
            told["yosys_family"],
            {kind: operator.index(told[kind]) for kind in KINDS},
            {kind: operator.index(n) for kind, n in told["reserve"].items()},
            told["part"],
            told["board_part"],
            told["ps"],
            told["hp_bits"],
            told["pll_mhz"],
            int(told["ddr_bytes"], 16),
            {cell: int(base, 16) for cell, base in told["addresses"].items()},
        )
