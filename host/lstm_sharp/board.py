"""Facts of boards: ``overlays/<board>/board.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from lstm_sharp import paths
from lstm_sharp.errors import UsageError

KINDS = ("lut", "ff", "bram36", "uram", "dsp")
"""What a board has a number of."""


@dataclass(frozen=True)
class Board:
    """What a board has, and what DMA and interconnect take of it."""

    name: str
    family: str  # as Yosys names it
    has: Mapping[str, int]
    reserve: Mapping[str, int]

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
    if name == "none":
        return None
    if name not in boards():
        raise UsageError(f"board {name!r} is unknown; there are {', '.join(boards())}")
    text = (paths.overlays() / name / "board.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    return Board(
        facts["name"],
        facts["yosys_family"],
        {kind: facts[kind] for kind in KINDS},
        facts["reserve"],
    )
