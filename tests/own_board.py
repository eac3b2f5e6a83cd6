"""A board of a user's own: a folder with its facts, and a config of its name beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lstm_sharp.engine import config
from lstm_sharp.engine.boards import folder

NAME, PART = "z7-10", "xc7z010clg400-1"


def own_board(own: Path, name: str = NAME, **changed: Any) -> None:
    """Write a board with a small device, and the engine tiny for it."""
    facts = json.loads((folder("pynq-z2") / "board.json").read_text())
    device = {"part": PART, "lut": 17600, "lutram": 6000, "ff": 35200, "bram36": 60, "dsp": 80}
    (own / name).mkdir(parents=True, exist_ok=True)
    (own / name / "board.json").write_text(json.dumps({**facts, "name": name, **device, **changed}))
    knobs = config.resized(config.load("tiny"), name=name, board=name).knobs()
    (own / f"{name}.json").write_text(json.dumps(knobs))
