"""How near to float a model is on an engine: by step, by layer, by format, and the worst."""

from __future__ import annotations

import numpy as np

from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.numerics.quantize import MOST_VECTORS
from lstm_sharp.report.drawings import Series, chart
from lstm_sharp.report.parts import GOLDEN, Figure, Job, Part, Section, Table
from lstm_sharp.runtime import accuracy_report, answers
from lstm_sharp.terminal import without_warnings

_WORST = 5
"""Elements of h that are named."""
_MANY = 2_000_000
"""Weights up to which other formats and methods are tried, which takes as long again for each."""
_KINDS = {
    "h in float but for one thing": "float model",
    "h of other choices": "golden model, ONNX Runtime",
}
"""Kinds of tables of errors that are not the golden model's alone."""


def of_accuracy(job: Job) -> tuple[Section, accuracy_report.AccuracyReport]:
    """Measure errors."""
    how = None
    if job.model.quantized is None and job.made.macs_per_step <= _MANY:
        how = {"calibration": job.calibration, "method": "error", **job.cfg.limits}
    report = accuracy_report.measure(job.model, job.made, job.x, how)
    steps = Steps(job)
    parts: list[Part] = [job.data, steps.figure(), steps.worst()]
    for name, rows in report.tables.items():
        if rows and name != "h":
            told = [(row, in_decibels(e), f"{e.worst:.2g}") for row, e in rows.items()]
            head = ("", "signal to error", "largest error")
            parts.append(Table(f"Error: {name}", _KINDS.get(name, GOLDEN), head, told))
    if job.model.head is not None:
        parts.append(_of_output(job))
    if job.model.quantized is None and not how:
        parts.append(f"Other formats and methods are not tried over {_MANY:,} weights.")
    parts += [f"{remark[0].upper()}{remark[1:]}." for remark in report.remarks if remark]
    return Section("accuracy", "How near to float", parts), report


def in_decibels(error: Error) -> str:
    """Say how far an error lies below its signal."""
    return f"{error.decibels:.1f} dB" if np.isfinite(error.decibels) else "nothing differs"


@without_warnings()  # of x that is clipped, which is said elsewhere
def _of_output(job: Job) -> Table:
    """Hold the model's own output against float at each format."""
    formats = dict.fromkeys([str(job.made.fmt), *USUAL])
    found = answers.compare(job.model, job.x, None, job.calibration, list(formats))
    rows = []
    for row in found.rows[1:]:
        far = "nothing differs" if row.signal_to_error is None else f"{row.signal_to_error:.1f} dB"
        changed = "" if row.changed is None else f"{row.changed} of {found.count}"
        rows.append((row.format, far, f"{row.max_abs_error:.2g}", changed))
    head = ("", "signal to error", "largest error", "labels changed")
    return Table(f"Formats: {found.output}", GOLDEN, head, rows)


class Steps:
    """Errors of h by step, layer by layer, and the worst of the last layer."""

    def __init__(self, job: Job) -> None:
        shape = len(job.made.levels), job.steps
        self.square, self.most, self.count = np.zeros(shape), np.zeros(shape), 0
        self.signal = np.zeros(job.steps)
        self.seen: list[tuple[float, int, int, int, float, float]] = []
        few = max(1, MOST_VECTORS // job.steps)
        for at in range(0, len(job.x), few):
            some = job.x[at : at + few]
            for index, (right, found, *_) in enumerate(
                accuracy_report.levels(job.model, job.made, some)
            ):
                error = np.abs(found - right)
                self.square[index] += np.square(error).mean(axis=2).sum(axis=0)
                self.most[index] = np.maximum(self.most[index], error.max(axis=(0, 2)))
            self.signal += np.square(right).mean(axis=2).sum(axis=0)
            for flat in np.argsort(-error, axis=None, kind="stable")[:_WORST]:
                place = np.unravel_index(flat, error.shape)
                b, t, n = map(int, place)
                values = float(right[place]), float(found[place])
                self.seen.append((float(error[place]), at + b, t, n, *values))
        self.seen = sorted(self.seen, key=lambda one: (-one[0], *one[1:4]))[:_WORST]
        self.count = len(job.x)

    def figure(self) -> Figure:
        """Draw them."""

        def points(values: np.ndarray) -> list[tuple[float, float]]:
            return [(t, float(v)) for t, v in enumerate(values)]

        rms = np.sqrt(self.square / self.count)
        series = [
            Series("line signal", "h of float, RMS", points(np.sqrt(self.signal / self.count))),
            Series("line worst", "largest error, last layer", points(self.most[-1])),
            *(
                Series(f"line c{index % 6}", f"error of layer {index}, RMS", points(row))
                for index, row in enumerate(rms)
            ),
        ]
        label = "Error of h at each step, of the golden model against float"
        return Figure(label, GOLDEN, chart(series, label, "step", "h and its error"))

    def worst(self) -> Table:
        """Name the worst."""
        rows = [
            (f"{e:.3g}", f"{b}", f"{t}", f"{n}", f"{right:.4f}", f"{found:.4f}")
            for e, b, t, n, right, found in self.seen
        ]
        head = ("error", "sequence", "step", "element", "float", "golden")
        return Table("Worst cases of the last layer's h, all counted from 0", GOLDEN, head, rows)
