"""``make demo``: speakers recognised from real speech, by one model at four levels.

Float model, integer golden model, HLS C++ kernel and cycle-accurate RTL run the same test split;
the three integer levels must agree in every bit.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model, load
from lstm_sharp.report import trace
from lstm_sharp.run import engines
from lstm_sharp.run.session import BACKENDS, Report, Session, make_runs

CONFIG = "pynq-z2"
OUT = Path("build/demo")
PICTURE_CYCLES = 1400
_DATA = Path("examples/vowels")


@dataclass(frozen=True)
class Level:
    """What one backend made of the test split."""

    report: Report
    accuracy: float
    h: list[np.ndarray]  # (batch, time, H) of each length


def main() -> int:
    """Run the demo; return its exit status."""
    console = Console()
    try:
        levels, picture = _run(console)
    except UsageError as error:
        console.print(f"[red]{error}[/red]")
        return 2
    _print(console, levels)
    for name in ("csim", "rtl"):
        if any(not np.array_equal(a, b) for a, b in zip(levels["golden"].h, levels[name].h)):
            console.print(f"[red]{name} differs from the golden model[/red]")
            return 1
    console.print(
        "golden = csim = rtl in every bit of h, and the RTL took exactly the predicted cycles"
        if levels["rtl"].report.cycles == levels["rtl"].report.predicted_cycles
        else "golden = csim = rtl in every bit of h; [red]cycles differ from the prediction[/red]"
    )
    console.print(f"pipeline: {picture}   figures: {OUT / 'demo.json'}")
    return 0


def _run(console: Console) -> tuple[dict[str, Level], Path]:
    model = load(_DATA / "vowels.onnx")
    data = np.load(_DATA / "vowels_test.npz", allow_pickle=False)
    lengths, labels = data["lengths"], data["labels"]
    groups = [np.flatnonzero(lengths == length) for length in np.unique(lengths)]
    xs = [data["x"][group, : lengths[group[0]]] for group in groups]
    calibration = np.concatenate([
        x[:length] for x, length in zip(data["calib_x"], data["calib_lengths"])
    ])[None]
    console.print(
        f"{len(lengths)} utterances of 9 speakers, {lengths.sum()} steps of 12 features; LSTM "
        f"{' -> '.join(str(layer.hidden_size) for layer in model.layers)} on {CONFIG}"
    )
    levels = {}
    columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        for backend in BACKENDS:
            session = Session(model, CONFIG, backend, calibration=calibration)
            if backend in ("csim", "rtl"):
                task = bars.add_task(f"{backend}: compile", total=1)
                engines.build(backend, session.plan.cfg)
                bars.update(task, completed=1)
            task = bars.add_task(f"{backend}: {len(xs)} lengths", total=len(xs))
            hs = session.run_all(xs, lambda done, total, task=task: bars.update(  # type: ignore[misc]
                task, completed=done, total=total))
            bars.update(task, completed=len(xs))
            assert session.report is not None
            levels[backend] = Level(session.report, _accuracy(model, hs, groups, labels), hs)
    picture = _draw(session, max(xs, key=lambda x: x.shape[1])[:1])
    OUT.mkdir(parents=True, exist_ok=True)
    figures = {
        name: {**level.report.as_dict(), "accuracy": level.accuracy}
        for name, level in levels.items()
    }
    (OUT / "demo.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return levels, picture


def _accuracy(
    model: Model, hs: list[np.ndarray], groups: list[np.ndarray], labels: np.ndarray
) -> float:
    assert model.head is not None
    right = sum(
        int((model.head(h).argmax(axis=1) == labels[group]).sum()) for h, group in zip(hs, groups)
    )
    return right / len(labels)


def _draw(session: Session, x: np.ndarray) -> Path:
    """Trace one utterance on the RTL and draw its first cycles."""
    cfg = session.plan.cfg
    OUT.mkdir(parents=True, exist_ok=True)
    raw, picture = OUT / "trace.bin", OUT / "pipeline.png"
    engines.play(
        engines.build("rtl", cfg), make_runs(session.quantized, session.plan, [x]),
        options=["--trace", str(raw.resolve()), str(4 * PICTURE_CYCLES)],
    )
    title = (f"{cfg.name}, {cfg.rows} x {cfg.columns} MACs, schedule {session.plan.schedule}: "
             f"first {PICTURE_CYCLES} cycles of one utterance, layer 0")
    trace.draw(trace.from_bytes(raw.read_bytes()), picture, title, PICTURE_CYCLES)
    return picture


def _print(console: Console, levels: dict[str, Level]) -> None:
    table = Table(title="JapaneseVowels test split")
    for name in ("level", "accuracy", "worst |h error|", "cycles / step", "utilisation",
                 "limited by", "us / step *", "seconds"):
        table.add_column(name, justify="left" if name == "level" else "right")
    what = {"float": "float64 NumPy", "golden": "golden, integers",
            "csim": "csim, HLS C++", "rtl": "rtl, Verilated"}
    for name, level in levels.items():
        report, cells = level.report, ["", "", "", ""]
        if report.cycles is not None:
            per_step = report.cycles / report.steps
            cells = [f"{per_step:.1f}", f"{report.utilization:.3f}", str(report.limited_by),
                     f"{per_step / _clock_mhz():.2f}"]
        table.add_row(what[name], f"{100 * level.accuracy:.2f} %",
                      f"{report.max_abs_error:.1e}" if name != "float" else "",
                      *cells, f"{report.seconds:.1f}")
    console.print(table)
    console.print(f"* if timing closes at the board's {_clock_mhz()} MHz; never run on a board yet")


def _clock_mhz() -> int:
    from lstm_sharp.engine import config

    return config.load(CONFIG).clock_mhz


if __name__ == "__main__":
    sys.exit(main())
