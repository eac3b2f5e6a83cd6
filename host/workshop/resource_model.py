"""Fit the model of resources (engine/resources.py) to what Yosys counts of engines drawn at random.

``python -m workshop.resource_model`` counts those of which docs/results/resource_model.json has no
count yet, 20 to 90 seconds each, and fits again; ``--fit`` fits alone. What shipped engines and
those of shape_resources.py take is held against the model, and never fitted to.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from rich.progress import track

from lstm_sharp.engine import config, resources
from lstm_sharp.engine.knobs import Config, from_knobs, problems
from lstm_sharp.terminal import Parser, ended
from workshop import results, shape_resources, tables
from workshop.resources import measure

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

DRAWN_UP = {
    "control": 3000.0,
    "control, xc7": 300.0,
    "control, xcup": 300.0,
    "lanes": 1500.0,
    "shifters of the lanes": 4.0,
    "row scales of the lanes": 4.0,
    "GRU of the lanes": 300.0,
    "adder trees, xc7": 1.0,
    "adder trees, xcup": 0.75,
    "accumulators": 5.0,
    "products": 1.0,
    "memories": 1.0,
    "selection": 1.0,
    "turns": 1.0,
    "streams": 4.0,
    "banks of weights": 1.0,
}
"""LUTs of a unit of each part as the SystemVerilog is written: a bit of an adder, of a choice."""
_WEIGHT = 0.02
"""Of that, beside a count."""
_ROUNDS = 5000


def drawn(count: int = _DRAWN) -> list[Config]:
    """Draw engines, the same each time."""
    return list(islice(_possible(random.Random(_SEED)), count))


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
        cfg = Config(**{**knobs, **one, **parts})  # type: ignore[arg-type]
        if cfg.macs in _MACS and not any(problems(cfg)):
            number += 1
            yield cfg


def fitted(counted: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Fit LUTs of a unit of each part to counts, none below 0, by least squares of relative errors.

    Counts are few: a part that they hardly tell of stays near what it was drawn up to take.
    """
    sizes = [
        (resources.parts(from_knobs(dict(one["knobs"]))), one["used"]["lut"]) for one in counted
    ]
    equations = [({part: n / luts for part, n in parts.items()}, 1.0) for parts, luts in sizes]
    names = list(DRAWN_UP)
    wants = [({name: _WEIGHT / DRAWN_UP[name]}, _WEIGHT) for name in names]
    left = np.array([[row.get(name, 0.0) for name in names] for row, _ in equations + wants])
    right = np.array([value for _, value in equations + wants])
    scale = np.array([DRAWN_UP[name] for name in names])
    square, at = (left * scale).T @ (left * scale), (left * scale).T @ right
    found = np.ones(len(names))
    for _ in range(_ROUNDS):  # coordinate descent, which bounds are easy for
        for i in range(len(names)):
            found[i] = max(0.0, found[i] + (at[i] - square[i] @ found) / square[i, i])
    return {name: float(f"{value:.4g}") for name, value in zip(names, found * scale)}


def held_out() -> Iterator[tuple[Config, Mapping[str, float]]]:
    """List engines that nothing is fitted to, with what Yosys counts of them."""
    for name, one in results.read("resources").items():
        yield config.load(name), one["used"]
    counted = {one["identity"]: one["used"] for one in results.read("shape_resources")["engines"]}
    yield from ((cfg, counted[cfg.digest]) for cfg in shape_resources.engines())


def main() -> int:
    """Count what has not been counted, and fit."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--fit", action="store_true", help="fit to what has been counted, alone")
    return ended(partial(_main, parser.parse_args().fit))


def _main(only_fit: bool) -> None:
    counted: dict[str, Any] = results.read("resource_model")["counted"]
    for cfg in track(drawn(), "mapping with Yosys") if not only_fit else ():
        if cfg.digest not in counted:
            counted[cfg.digest] = {"knobs": cfg.knobs(), "used": measure(cfg)[0]["used"]}
            _write(counted)
    _write(counted)
    tables.rewrite()


def _write(counted: Mapping[str, Any]) -> None:
    told = {"counted": counted, "costs": fitted(counted.values()), "drawn_up": DRAWN_UP}
    results.write("resource_model", told)
    resources.costs.cache_clear()
    held = [
        {"engine": cfg.name, "used": used, "estimated": resources.estimate(cfg)}
        for cfg, used in held_out()
    ]
    results.write("resource_model", {**told, "held_out": held})


if __name__ == "__main__":
    sys.exit(main())
