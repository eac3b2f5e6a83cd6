"""Facts of boards, from ``<board>/board.json``: resources, PS, port width, addresses.

A board is looked for in a folder of one's own, if one is named, then in overlays/.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lstm_sharp import files, paths
from lstm_sharp.engine.registers import DMA_CELL, ENGINE_CELL, SPAN, WEIGHTS_DMA_CELL
from lstm_sharp.errors import UsageError

_FASTEST = 10_000
"""MHz of a PLL; none comes near."""
VIRTUAL = "LSTM_SHARP_VIRTUAL"
"""Environment variable: the board that a virtual one stands in for."""
VIRTUAL_NEEDS = ("pynq", "pkg_resources")
"""Modules that one takes: pynq the other, which newer setuptools have not."""
DEFAULT = "pynq-z2"
"""That board, where none is named."""
OWN = "LSTM_SHARP_BOARDS"
"""Environment variable: a folder of boards of one's own, and of configs that bear their names."""
KINDS = ("lut", "lutram", "ff", "bram36", "uram", "dsp")
"""What a board has a number of; lutram: LUTs that can be memories or shift registers."""

_KNOWN = {"ps": ("zynq7", "zynqmp"), "yosys_family": ("xc7", "xcup"), "hp_bits": (32, 64, 128)}


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


@contextmanager
def looking_in(own: str | None) -> Iterator[None]:
    """Look for boards in a folder of one's own first, inside a ``with``; processes started too.

    Args:
        own: the folder; None leaves it as it is.

    Raises:
        UsageError: there is no board in it.
    """
    before = os.environ.get(OWN)
    try:
        if own is not None:
            os.environ[OWN] = os.path.abspath(own)
            if not any(Path(own).glob("*/board.json")):
                raise UsageError(f"{own!r} holds no BOARD/board.json; see docs/adding-a-board.md")
        yield
    finally:
        os.environ.pop(OWN, None)
        os.environ |= {OWN: before} if before is not None else {}


def own_folder() -> list[Path]:
    """Return the folder of boards of one's own, if one is named."""
    return [Path(os.environ[OWN])] if os.environ.get(OWN) else []


def boards() -> list[str]:
    """Names of the boards that there are facts of."""
    found = [
        path for place in (*own_folder(), paths.overlays()) for path in place.glob("*/board.json")
    ]
    return sorted({path.parent.name for path in found})


def folder(name: str) -> Path:
    """Return a board's folder, which is where its overlays lie, too."""
    places = [place / name for place in (*own_folder(), paths.overlays())]
    return next((place for place in places if (place / "board.json").is_file()), places[-1])


def board(name: str) -> Board | None:
    """Load the facts of a board; ``none`` is a config without one.

    Raises:
        UsageError: there are no facts of such a board.
    """
    return None if name == "none" else facts(name)


def facts(name: str) -> Board:
    """Load the facts of a board.

    Raises:
        UsageError: there are no facts of such a board, or they are none of a board.
    """
    if name not in boards():
        raise UsageError(
            f"board {name!r} is unknown; there are {', '.join(boards())}; of one of your own "
            f"write {name}/board.json and name the folder above with --board-dir or {OWN}, see "
            "docs/adding-a-board.md"
        )
    path = folder(name) / "board.json"
    with files.refusing(f"{path} is no board", "see docs/adding-a-board.md"):
        told = files.read_json(path)
        for key, known in _KNOWN.items():
            if told[key] not in known:
                raise ValueError(f"{key} is {told[key]!r}, none of {', '.join(map(str, known))}")
        if set(told["addresses"]) != {ENGINE_CELL, DMA_CELL, WEIGHTS_DMA_CELL}:
            raise ValueError("addresses are of other cells")
        has, reserve = ({k: told[k] for k in KINDS}, told["reserve"])
        for key, count in (*has.items(), *((f"reserve of {k}", n) for k, n in reserve.items())):
            if type(count) is not int or count < 0:
                raise ValueError(f"{key} is {count!r:.20}, no count")
        for kind in reserve:
            if kind not in has or reserve[kind] > has[kind]:
                raise ValueError(f"reserve of {kind} is more than there is")
        for key in ("name", "part", "board_part", "ddr_bytes"):
            if type(told[key]) is not str or not told[key]:
                raise ValueError(f"{key} is {told[key]!r:.20}, no text")
        pll = told["pll_mhz"]
        if type(pll) not in (int, float) or not 1 <= pll <= _FASTEST:
            raise ValueError(f"pll_mhz is {pll!r:.20}, not 1 to {_FASTEST}")
        ddr = int(told["ddr_bytes"], 16)
        addresses = {cell: int(base, 16) for cell, base in told["addresses"].items()}
        apart = {base for base in addresses.values() if base >= ddr and base % SPAN == 0}
        if len(apart) < len(addresses):
            raise ValueError(f"addresses must be {SPAN:#x} apart, from ddr_bytes = {ddr:#x} on")
        return Board(
            **{key: told[key] for key in ("name", "part", "board_part", "ps", "hp_bits")},
            family=told["yosys_family"],
            has=has,
            reserve=reserve,
            pll_mhz=float(pll),
            ddr_bytes=ddr,
            addresses=addresses,
        )
