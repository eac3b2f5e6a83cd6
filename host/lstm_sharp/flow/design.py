"""The block design of an overlay, as templates/overlay/block_design.j2 describes it.

The Tcl that builds it and the hardware handoff (hwh.py) are rendered from a ``Design``, and add
nothing to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple

from lstm_sharp.engine.boards import Board, facts
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.registers import DMA_VLNV, ENGINE_VLNVS, SPAN
from lstm_sharp.flow.render import filled

LENGTH_BITS = 26
"""Of the DMAs' length registers; the most that there is."""
DIVISOR_MAX = 63
"""Of each of the two divisors of a PL clock: 6 bits."""


class Net(NamedTuple):
    """A connection of two interfaces, each as ``cell/name``."""

    kind: str  # aximm, axis
    bits: int  # of data
    master: str
    slave: str


class Wire(NamedTuple):
    """A clock or a reset and the pins that take it, each as ``cell/name``."""

    kind: str  # clk, rst
    source: str
    sinks: tuple[str, ...]


class Segment(NamedTuple):
    """What a master reaches at an address."""

    kind: str  # register, memory
    master: str  # interface
    space: str  # of the master's addresses, as assign_bd_address names it
    slave: str  # interface
    path: str  # of what is reached there; * is the one block of registers that a cell has
    base: int
    span: int  # bytes

    @property
    def high(self) -> int:
        """Its last address."""
        return self.base + self.span - 1


@dataclass(frozen=True)
class Cell:
    """An IP core of the design."""

    name: str
    vlnv: str
    parameters: dict[str, str] = field(default_factory=dict)  # what the tool is told
    derived: dict[str, str] = field(default_factory=dict)  # what it works out from that


@dataclass(frozen=True)
class Design:
    """The block design of a config on a board."""

    cfg: Config
    system: Board
    clock_mhz: float  # that the PLL can be divided to; not above the config's
    cells: list[Cell] = field(default_factory=list)  # the PS is the first
    external: list[str] = field(default_factory=list)  # interfaces that leave the device
    nets: list[Net] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


def design(cfg: Config, board: str) -> Design:
    """Lay a config's engine out on a board.

    Args:
        cfg: the engine; its own board does not matter.
        board: a folder of overlays/.

    Raises:
        UsageError: unknown board, or Jinja2 is not installed.
    """
    on = facts(board)
    mhz, divisors = divided(on.pll_mhz, cfg.clock_mhz)
    text = filled(
        "overlay/block_design.j2",
        cfg=cfg,
        on=on,
        engine=ENGINE_VLNVS[cfg.engine],
        dma=DMA_VLNV,
        mhz=mhz,
        divisors=divisors,
        memory_bits=max(on.hp_bits, cfg.stream_bits),  # a DMA's is never the narrower side
        length_bits=LENGTH_BITS,
        span=SPAN,
    )
    made = Design(cfg, on, mhz)
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        kind, _, rest = line.partition(" ")
        words: list[Any] = rest.split()
        if kind == "cell":
            made.cells.append(Cell(*words))
        elif kind in ("set", "got"):
            of = made.cells[-1].parameters if kind == "set" else made.cells[-1].derived
            of |= dict(pair.split(" ", 1) for pair in rest.split(", "))
        elif kind == "external":
            made.external.extend(words)
        elif kind in ("aximm", "axis"):
            made.nets.append(Net(kind, int(words[0]), *words[1:]))
        elif kind in ("clk", "rst"):
            made.wires.append(Wire(kind, words[0], tuple(words[1:])))
        else:
            made.segments.append(Segment(kind, *words[:4], *map(int, words[4:])))
    return made


def divided(pll_mhz: float, asked_mhz: int) -> tuple[float, tuple[int, int]]:
    """Find the fastest clock that is not above what is asked for, and the PLL's two divisors."""
    first, second = next(
        (product // second, second)
        for product in count(-int(-pll_mhz // asked_mhz))
        for second in range(1, DIVISOR_MAX + 1)
        if product % second == 0 and product // second <= DIVISOR_MAX
    )
    return pll_mhz / (first * second), (first, second)
