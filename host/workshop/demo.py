"""``make demo``: speakers recognised from real speech, by one model at four levels.

Float model, integer golden model, HLS C++ kernel and cycle-accurate RTL run the same test split;
the three integer levels must agree in every bit.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from lstm_sharp import arrays, files
from lstm_sharp.engine import config
from lstm_sharp.errors import LstmSharpError
from lstm_sharp.model import Model
from lstm_sharp.numerics.stored import load_model
from lstm_sharp.runtime import engines
from lstm_sharp.runtime.deploy import Deployment
from lstm_sharp.runtime.report import Report
from lstm_sharp.runtime.session import Session
from lstm_sharp.terminal import Parser
from workshop import pictures

CONFIG = "pynq-z2"
LEVELS = ("float", "golden", "csim", "rtl")
OUT = Path("build/demo")
PICTURE_CYCLES = 700
BARRIER = "intergate"
"""The schedule that hides nothing: a step begins when all of h is there."""
_DATA = Path("examples/vowels")


class Level(NamedTuple):
    """What one backend made of the test split."""

    report: Report
    accuracy: float
    h: list[np.ndarray]  # (batch, time, H) of each length


def main() -> int:
    """Run the demo; return its exit status."""
    console = Console()
    try:
        levels, picture = _run(console)
    except LstmSharpError as error:
        console.print(f"[red]{error}[/red]")
        return error.status
    _print(console, levels)
    for name in ("csim", "rtl"):
        if any(not np.array_equal(a, b) for a, b in zip(levels["golden"].h, levels[name].h)):
            console.print(f"[red]{name} differs from the golden model[/red]")
            return 1
    rtl = levels["rtl"].report
    if rtl.cycles != rtl.predicted_cycles:
        console.print(f"[red]{rtl.cycles} cycles, but {rtl.predicted_cycles} predicted[/red]")
        return 1
    console.print(f"golden = csim = rtl in every bit; RTL cycles as predicted: {rtl.cycles}")
    console.print(f"picture of the pipeline: {picture}\nfigures: {OUT / 'demo.json'}")
    return 0


def loaded() -> tuple[Model, dict[str, np.ndarray], np.ndarray]:
    """Read the model, the test split (x, lengths, labels) and calibration data (1, time, X)."""
    data = arrays.read_npz(
        _DATA / "vowels_test.npz", "x", "lengths", "labels", "calib_x", "calib_lengths"
    )
    pairs = zip(data["calib_x"], data["calib_lengths"])
    calibration = np.concatenate([x[:length] for x, length in pairs])[None]
    return load_model(_DATA / "vowels.onnx"), data, calibration


def _run(console: Console) -> tuple[dict[str, Level], Path]:
    model, data, calibration = loaded()
    lengths, labels = data["lengths"], data["labels"]
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    xs = [data["x"][group, : lengths[group[0]]] for group in groups]
    sizes = [model.input_size, *(layer.hidden_size for layer in model.layers)]
    console.print(
        f"{len(lengths)} utterances of 9 speakers, {lengths.sum()} steps; LSTM "
        f"{' -> '.join(map(str, sizes))} on {CONFIG}"
    )
    levels = {}
    name = TextColumn("{task.description:<22}")
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        for backend in LEVELS:
            shown = bars.add_task(f"{backend}: {len(xs)} lengths", total=len(xs))
            session = Session(
                model,
                CONFIG,
                backend,
                calibration=calibration,
                compare=True,
                progress=partial(_progress, bars, shown),
            )
            if backend in ("csim", "rtl"):
                task = bars.add_task(f"{backend}: compile", total=1)
                engines.build(backend, config.load(CONFIG).of(engines.kind(backend)))
                bars.update(task, completed=1)
            each = iter(session.run([sequence for x in xs for sequence in x]))
            hs = [np.stack([next(each) for _ in x]) for x in xs]
            bars.update(shown, completed=len(xs), total=len(xs))
            assert session.report is not None
            levels[backend] = Level(session.report, _accuracy(model, hs, groups, labels), hs)
    picture = _draw(session, max(xs, key=lambda x: x.shape[1])[:1])
    figures = {
        name: {**level.report.as_dict(), "accuracy": level.accuracy}
        for name, level in levels.items()
    }
    files.write_text(OUT / "demo.json", json.dumps(figures, indent=2) + "\n")
    return levels, picture


def _progress(bars: Progress, task: TaskID, done: int, total: int) -> None:
    bars.update(task, completed=done, total=total)


def _accuracy(
    model: Model, hs: list[np.ndarray], groups: list[np.ndarray], labels: np.ndarray
) -> float:
    assert model.head is not None
    right = [model.head(h).argmax(axis=1) == labels[group] for h, group in zip(hs, groups)]
    return int(np.concatenate(right).sum()) / len(labels)


def _draw(session: Session, x: np.ndarray) -> Path:
    """Trace one utterance on the RTL, as it is run and without overlap; draw its first cycles."""
    cfg, picture, traces = config.load(CONFIG), OUT / "pipeline.png", {}
    OUT.mkdir(parents=True, exist_ok=True)
    x_words = list(session.quantized.quantize_input(x))
    for schedule in (BARRIER, session.stages()[0].plan.schedule):
        stage = Deployment(session.quantized, lambda: cfg, schedule).stages()[0]
        raw = OUT / f"trace-{schedule}.bin"
        _, runs = stage.runs(x_words, None, False)
        options = ["--trace", str(raw.resolve()), str(4 * PICTURE_CYCLES)]
        engines.play(engines.build("rtl", cfg), [stage.load(), *runs], options=options)
        words = np.frombuffer(raw.read_bytes(), "<u2")
        traces[schedule] = pictures.started(words, PICTURE_CYCLES)
    found = {"engine": f"{cfg.name}, {cfg.macs} MACs", "traces": traces}
    files.write_text(OUT / "pipeline.json", json.dumps(found))
    pictures.draw_pipeline(found, picture)
    return picture


def _print(console: Console, levels: dict[str, Level]) -> None:
    clock_mhz = config.load(CONFIG).clock_mhz
    table = Table(
        title="JapaneseVowels test split",
        caption=(
            "golden: integers in NumPy; csim: HLS C++ kernel; rtl: SystemVerilog, Verilated; "
            f"* estimate, if timing closes at {clock_mhz} MHz: never run on Vitis or a board yet"
        ),
    )
    for name in ("level", "accuracy", "error", "cycles/step", "utilisation", "limit", "us/step *"):
        table.add_column(name, justify="left" if name == "level" else "right", no_wrap=True)
    for name, level in levels.items():
        report, cells = level.report, ["", "", "", ""]
        if report.cycles is not None:
            per_step, used = report.cycles / report.steps, 100 * (report.utilization or 0)
            cells = [f"{per_step:.1f}", f"{used:.1f} %", str(report.limited_by)]
            cells.append(f"{per_step / clock_mhz:.2f}")
        error = f"{report.max_abs_error:.1e}" if name != "float" else ""
        table.add_row(name, f"{100 * level.accuracy:.2f} %", error, *cells)
    console.print(table)


if __name__ == "__main__":
    Parser(description=__doc__.splitlines()[0]).parse_args()
    sys.exit(main())
