"""Which array suits a board: what was tried, and what the chosen reach: docs/results/arrays.json.

``python -m workshop.arrays`` asks the cycle model and that of resources about all, *modelled*,
counts with Yosys the engines that stand beside LSTM-PYNQ, and simulates them and others on the
Verilated RTL; with ``--only`` one of these. See docs/arrays.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import ceil, exp, log
from multiprocessing import get_context
from typing import Any

import numpy as np
from rich.progress import track

from lstm_sharp.compiler.cycles import predict
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.limits import largest_square, weight_tiles
from lstm_sharp.compiler.schedule import make_plan
from lstm_sharp.engine import config, knobs
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.resources import estimate
from lstm_sharp.errors import EngineError, UsageError
from lstm_sharp.explore.candidates import TILES, arrays, bound, parted
from lstm_sharp.model import Model
from lstm_sharp.runtime.session import Session
from lstm_sharp.terminal import Parser, ended
from workshop import demo, figures, resources, results, tables

BOARDS = ("pynq-z2", "kv260", "zcu104")
"""Boards for each of whose shipped configs arrays are tried."""
SIZES = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""X = H, of which an engine is asked all that it has to hold."""
SEQUENCES = (1, 2, 4)
STEPS = 64
SHOWN = 12
"""Arrays that are kept of each config."""
BEFORE: dict[str, Any] = {
    "name": "pynq-z2-208",
    "rows": 8,
    "columns": 26,
    "lanes": 1,
    "lut_columns": 0,
    "weight_tiles": 2560,
}
"""The array that the default engine of the PYNQ-Z2 had before."""
_Z1: dict[str, Any] = {"board": "pynq-z1", "rows": 32, "weight_tiles": 512, "sequence_words": 512}
_OF_Z1: dict[str, dict[str, Any]] = {
    "pynq-z1-w4a4": {"format": "W4A4", "packed": 4, "columns": 32, "lanes": 2, "lut_columns": 7},
    "pynq-z1-w2a2": {"format": "W2A2", "packed": 8, "columns": 64, "lanes": 4, "lut_columns": 17},
}
OCR = (32, 128, 520)
"""X, H and steps of LSTM-PYNQ's bidirectional network: a line of text is 520 columns."""


def main() -> int:
    """Make the study and its tables, or one part of it."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", choices=PARTS, help="the one part to make again")
    return ended(partial(_main, parser.parse_args().only))


def _main(only: str | None) -> None:
    for name in [only] if only else PARTS:
        made = PARTS[name]()
        results.write("arrays", {**results.read("arrays"), name: made})
    tables.rewrite()


def candidates(base: Config) -> Iterator[Config]:
    """List arrays for a config's board and format, that hold as large a square layer as it does.

    What the DSPs do not make LUTs make. There is room for as many biases and as much h; the weight
    memory is as deep as has to be, in whole 512 tiles.
    """
    on, hold = facts(base.board), LayerShape(largest_square(base), largest_square(base))
    for array in arrays(base):
        sizes: dict[str, Any] = {
            "bias_blocks": max(1, base.bias_blocks * base.rows // array.rows),
            "sequence_words": max(2, base.sequence_words * base.columns // array.columns),
        }
        cfg = replace(array, **sizes)
        if any(knobs.problems(cfg)) or estimate(cfg)["lut"] > on.free("lut"):
            continue
        tiles = TILES * ceil(weight_tiles([hold], cfg) / TILES)
        if made := parted(replace(cfg, weight_tiles=tiles)):
            yield made


def cycles_of(cfg: Config, size: int, sequences: int) -> float:
    """Cycles of a step of each of so many sequences side by side, by the cycle model."""
    plan = make_plan([LayerShape(size, size)], cfg, "best", sequences=sequences)
    return predict(cfg, plan.program([STEPS] * sequences)).cycles / (STEPS * sequences)


def _rate(cfg: Config, cycles: Sequence[float]) -> float:
    """Steps a second, the geometric mean over sizes and sequences."""
    return 1e6 * cfg.clock_mhz / exp(sum(map(log, cycles)) / len(cycles))


def ask(cfg: Config, sizes: Sequence[int]) -> dict[str, Any]:
    """Say what an array is and how fast, by the cycle model."""
    cycles = {(s, n): cycles_of(cfg, s, n) for n in SEQUENCES for s in sizes}
    what = ("rows", "columns", "k_list", "lanes", "lut_columns", "dsps", "tail")
    return {
        **{name: getattr(cfg, name) for name in what},
        "luts": round(estimate(cfg)["lut"]),
        "steps_per_second": round(_rate(cfg, list(cycles.values()))),
        "utilization": {
            str(n): {str(s): round(8 * s**2 / cfg.macs / cycles[s, n], 3) for s in sizes}
            for n in (SEQUENCES[0], SEQUENCES[-1])
        },
    }


def sizes_of(cfg: Config) -> list[int]:
    """List the sizes that a config's arrays are asked."""
    return [size for size in SIZES if size <= largest_square(cfg)]


def _best(name: str) -> list[dict[str, Any]]:
    """Find the fastest arrays for a shipped config, without asking those that cannot be."""
    base = config.load(name)
    sizes, found = sizes_of(base), list[dict[str, Any]]()
    cases = [(s, n) for s in sizes for n in SEQUENCES]
    most = {
        cfg: _rate(cfg, [bound(cfg, [LayerShape(s, s)], n) for s, n in cases])
        for cfg in candidates(base)
    }
    for cfg in sorted(most, key=lambda cfg: -most[cfg]):
        if len(found) == SHOWN and most[cfg] < found[-1]["steps_per_second"]:
            break
        try:
            found.append(ask(cfg, sizes))
        except UsageError:  # a program longer than its window
            continue
        found = sorted(found, key=lambda one: -one["steps_per_second"])[:SHOWN]
    return found


def _tried() -> dict[str, Any]:
    names = [name for name in config.shipped() if config.load(name).board in BOARDS]
    with get_context("spawn").Pool(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(names, track(pool.imap(_best, names), "modelling", total=len(names))))


def of_z1() -> list[Config]:
    """List the engines that stand beside LSTM-PYNQ's: a shipped one, and two that are studied."""
    small = config.load("pynq-z2-small")
    return [small] + [config.resized(small, name=n, **_Z1, **k) for n, k in _OF_Z1.items()]


def _counted() -> list[dict[str, Any]]:
    engines = track(of_z1()[1:], "mapping with Yosys")
    return [{"config": cfg.name, **resources.measure(cfg)[0]} for cfg in engines]


def simulate(cfg: Config, model: Model, x: Any, calibration: np.ndarray | None = None) -> Any:
    """Run sequences through a model on the RTL; say what it took, its loads left out.

    Raises:
        EngineError: bits or cycles are not what they should be.
    """
    calibration = x if calibration is None else calibration
    rtl, golden = (Session(model, cfg, b, calibration=calibration) for b in ("rtl", "golden"))
    if not all(map(np.array_equal, rtl.run(x), golden.run(x))):
        raise EngineError(f"{cfg.name}: h differs from the golden model")
    seen = rtl.report
    assert seen
    assert seen.cycles
    if seen.cycles != seen.predicted_cycles:
        raise EngineError(f"{cfg.name}: {seen.cycles} cycles, {seen.predicted_cycles} predicted")
    macs = sum(cell.w_ih.size + cell.w_hh.size for cell in model.layers) * seen.steps / seen.cycles
    return {
        "config": cfg.name,
        "identity": cfg.digest,
        "format": cfg.format,
        "input_size": model.input_size,
        "tile": f"{cfg.rows} x {cfg.columns}",
        "sequences": seen.batch,
        "steps": seen.steps,
        "cycles": seen.cycles,
        "utilization": macs / cfg.macs,
        "macs_per_dsp": macs / cfg.dsps,
        "gops": 2e-3 * macs * cfg.clock_mhz,
    }


def cases() -> dict[str, list[tuple[Config, Model, np.ndarray]]]:
    """List engine, model and x of what is simulated beside the demo: packed layers, LSTM-PYNQ's."""
    rng = np.random.default_rng(1)
    fast = config.load("pynq-z2-fast")
    size, hidden, steps = OCR
    cells = (figures.random_layer(hidden, size, reverse) for reverse in (False, True))
    ocr = Model(tuple(cell for one in cells for cell in one.layers), directions=(2,))
    x = rng.uniform(-1, 1, (1, steps, size))
    return {
        "packed": [
            (fast, figures.random_layer(size), rng.uniform(-1, 1, (4, STEPS, size)))
            for size in (128, 256)
        ],
        "ocr": [(cfg, ocr, x) for cfg in of_z1()],
    }


def _simulated() -> dict[str, Any]:
    model, data, calibration = demo.loaded()
    xs = [x[:length] for x, length in zip(data["x"], data["lengths"])]
    pynq = [cfg for cfg in map(config.load, config.shipped()) if cfg.board == "pynq-z2"]
    before = Session(model, config.resized(pynq[0], **BEFORE), calibration=calibration)
    before.run(xs)
    assert before.report
    return {
        **{name: [simulate(*case) for case in of] for name, of in cases().items()},
        "demo": [simulate(cfg, model, xs, calibration) for cfg in pynq],
        "demo_before": before.report.predicted_cycles,
    }


PARTS = {"tried": _tried, "counted": _counted, "simulated": _simulated}
"""What the result consists of, and what makes each."""


if __name__ == "__main__":
    sys.exit(main())
