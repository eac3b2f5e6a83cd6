"""Fit the model of resources (engine/resources.py) to what Yosys counts of engines drawn at random.

``python -m workshop.resource_model`` counts those of which docs/results/resource_model.json has no
count yet, 20 to 90 seconds each, and fits again; ``--fit`` fits alone. What shipped engines and
those of shape_resources.py take is held against the model, and never fitted to.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from rich.progress import track

from lstm_sharp.engine.knobs import Config, from_knobs, problems
from lstm_sharp.engine.resources import estimate
from lstm_sharp.errors import UsageError
from lstm_sharp.terminal import Parser, ended
from workshop import resources, results

_SEED = 1
_DRAWN = 32
_FORMATS = ("W8A16", "W8A8", "W4A8", "W4A4", "W2A2", "W16A16", "W6A12", "W3A6", "W8A4", "W2A8")
_CHOICES: dict[str, tuple[int, ...]] = {
    "rows": (4, 8, 16, 32),
    "columns": (2, 4, 6, 8, 12, 16, 24, 32, 40, 52, 64),
    "lanes": (1, 1, 2, 2, 4, 8),
    "chains": (1, 2, 4, 8),
    "max_input": (16, 64, 256, 1024),
    "max_hidden": (16, 64, 128, 256, 512),
    "weight_tiles": (16, 64, 256, 512, 1024, 2048),
    "bias_blocks": (8, 32, 64, 256),
    "sequence_words": (16, 64, 512, 2048),
    "max_shift": (4, 8),
    "stream_bits": (64, 128),
    "row_scales": (0, 1),
    "gru": (0, 1),
    "packed": (1, 1, 2, 4),
    "gang": (1, 1, 2, 4),
    "of_uram": (0, 0, 1),
    "of_luts": (0, 0, 1, 2),
}
"""What is drawn of each knob, of the last three a part of it."""
_MACS = range(16, 129)


def drawn(count: int = _DRAWN) -> list[Config]:
    """Draw engines, the same each time, the smallest first."""
    engines = [cfg for _, cfg in zip(range(count), _possible(random.Random(_SEED)))]
    return sorted(engines, key=lambda cfg: estimate(cfg)["lut"])


def _possible(rng: random.Random) -> Iterator[Config]:
    number = 0
    while True:
        one = {name: rng.choice(values) for name, values in _CHOICES.items()}
        board, fmt = rng.choice(("pynq-z2", "zcu104")), rng.choice(_FORMATS)
        gang, uram, luts = (one.pop(name) for name in ("gang", "of_uram", "of_luts"))
        k_list = tuple(one["rows"] << i for i in range(gang.bit_length())) if gang > 1 else ()
        parts = {
            "k_list": k_list,
            "uram_columns": one["columns"] // 2 * uram if board == "zcu104" else 0,
            "lut_columns": one["columns"] // 4 * luts,
        }
        knobs = {"name": f"drawn-{number}", "board": board, "format": fmt, "clock_mhz": 100}
        try:
            cfg = from_knobs({**knobs, **one, **parts})
        except UsageError:
            continue
        if cfg.macs in _MACS and not any(problems(cfg)):
            number += 1
            yield cfg


def main() -> int:
    """Count what has not been counted, and fit."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--fit", action="store_true", help="fit to what has been counted, alone")
    return ended(partial(_main, parser.parse_args().fit))


def _main(only_fit: bool) -> None:
    told: dict[str, Any] = results.read("resource_model")
    for cfg in track(drawn(), "mapping with Yosys") if not only_fit else ():
        if cfg.digest not in told["counted"]:
            used = resources.measure(cfg)[0]["used"]
            told["counted"][cfg.digest] = {"knobs": cfg.knobs(), "used": used}
            results.write("resource_model", told)


if __name__ == "__main__":
    sys.exit(main())
