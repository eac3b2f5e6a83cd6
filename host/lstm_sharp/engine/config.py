"""Engine configs by name or file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lstm_sharp import files, paths
from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import board, boards
from lstm_sharp.engine.knobs import LIMITS, Config, Knobs, from_knobs, resized
from lstm_sharp.errors import UsageError

__all__ = [
    "LIMITS",
    "Config",
    "Knobs",
    "board_problems",
    "from_knobs",
    "load",
    "resized",
    "shipped",
]


def load(name_or_path: str) -> Config:
    """Load a shipped config by name or any config by path.

    Raises:
        UsageError: no such config, not JSON, impossible values, or memories that its board has not.
    """
    path = Path(name_or_path)
    if path.suffix != ".json":
        path = paths.configs() / f"{name_or_path}.json"
    if not os.path.isfile(path):
        raise UsageError(
            f"config {name_or_path!r} not found; shipped are {', '.join(shipped())}, "
            "or give the path of a .json file"
        )
    knobs = files.read_json(path)
    if not isinstance(knobs, dict):
        raise UsageError(f"{path} must hold one JSON object of knobs, not a {type(knobs).__name__}")
    cfg = from_knobs(knobs, str(path))
    for problem in board_problems(cfg):
        raise UsageError(f"{path}: the engine {problem}")
    return cfg


def shipped() -> list[str]:
    """Names of the shipped configs, fewest MACs first."""
    found = paths.configs().glob("*.json")
    return sorted((p.stem for p in found), key=lambda name: load(name).macs)


def board_problems(cfg: Config) -> Iterator[str]:
    """What a config's board has too little of for the memories of either engine."""
    made = board(cfg.board) if cfg.board in boards() else None
    for kind, taken in storage.most(cfg).items():
        if made and taken > made.free(kind):
            yield (
                f"takes {taken:g} {kind.upper()}, the {made.name} has {made.free(kind)} for it; "
                "choose fewer weight bits or a smaller config"
            )
