"""Answers for people: what a run did, and what each number format would make of it, in a few lines.

All figures, and more of them, are in the JSON of the same commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.runtime.graphs import GraphReport, GraphSession, Session, series
from lstm_sharp.runtime.report import Report

RAN_ON = {
    "float": "NumPy, in float: no engine",
    "golden": "the golden model, integers in NumPy: the engine's bits, without its clock",
    "csim": "the HLS C++ kernel, compiled by g++: the engine's bits, without its clock",
    "rtl": "the SystemVerilog engine, simulated cycle by cycle by Verilator",
    "board": "the board's engine",
}
"""What a backend is, in words."""
LIMITS = {
    "macs": "the multipliers, which hardly ever wait",
    "stream": "the stream, which brings x too slowly",
    "recurrence": "the recurrence: the tiles of a step wait for the h of the step before",
}
_CHOSEN = ", the smallest that holds the model; --config NAME takes another"
_FILLED = 0.9
"""Share of multiplications that tiles do for the layer, below which padding is named."""


def limit(limited_by: str | None, utilization: float) -> str:
    """Say in words what keeps an engine from being faster."""
    if limited_by == "macs" and utilization < _FILLED:
        return f"padding: the layer's sizes fill {utilization:.0%} of the tiles' places"
    return LIMITS.get(limited_by or "", "")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out in columns of text."""
    widest = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(map(str.ljust, row, widest)).rstrip() for row in rows]


def of_run(report: Report, virtual: bool = False, chosen: bool = False) -> list[str]:
    """Say what a call did.

    Args:
        report: of the call.
        virtual: whether the board was a virtual one.
        chosen: whether the config was not named but chosen.
    """
    where = RAN_ON[report.backend]
    if virtual:
        where = "a virtual board: pynq on a simulated engine"
    if report.backend == "float":
        return [f"ran on  {where}"]
    rows = [("ran on", f"{where}; {report.format}")]
    if report.config:
        rows.append(("config", f"{report.config}{_CHOSEN * chosen}"))
    cycles, kind = report.cycles, "simulated"
    if report.backend == "board" and not virtual:
        kind = "counted by the board's engine"
    if not cycles:
        cycles, kind = report.predicted_cycles, "modelled"
    if report.backend == "csim" and report.hls_cycles:
        cycles = report.hls_cycles
    if cycles and report.clock_mhz:
        us = cycles / report.clock_mhz
        whose = f"for {report.batch} sequences" if report.batch > 1 else "a sequence"
        took = f"{us / 1e3:.3g} ms {whose}, {us / report.steps:.3g} us a step"
        rows.append(
            ("time", f"{took} at {report.clock_mhz} MHz; cycles {kind}, the clock aimed at")
        )
    if report.max_abs_error is not None:
        decibels = report.signal_to_error
        far = "none" if decibels is None else f"{decibels:.1f} dB below h"
        of = f", where h reaches {report.largest:.3g}" if report.largest else ""
        rows.append(("error", f"{far}; the largest is {report.max_abs_error:.2g}{of}"))
    if report.utilization and report.backend in ("rtl", "board"):
        held = f"{report.utilization:.0%} of the multipliers' time is used"
        rows.append(("limited by", f"{limit(report.limited_by, report.utilization)}; {held}"))
    return columns(rows)


def of_graph(report: GraphReport, chosen: bool) -> list[str]:
    """Say what a call of a graph did; arguments are those of ``of_run``."""
    every = report.as_dict()
    if every["backend"] == "float":
        return [f"ran on  {RAN_ON['float']}", *report.lines()]
    rows = [("ran on", f"{RAN_ON.get(str(every['backend']), 'the host')}; {every['format']}")]
    if every["config"]:
        rows.append(("config", f"{every['config']}{_CHOSEN * chosen}"))
    return [*columns(rows), *report.lines()]


def of_perf(found: Mapping[str, Any]) -> list[str]:
    """Say what the cycle model says of one layer; ``compiler.perf`` gives it."""
    shape = f"K x N = {found['k']} x {found['n']}, {found['mfu_lanes']} MFU lanes"
    if len(found["k_list"]) > 1:
        shape = f"K of {', '.join(map(str, found['k_list']))}; {shape}"
    step = f"{found['cycles_per_step']:.1f}; ideal {found['ideal_cycles_per_step']:.1f}"
    beside = f", {found['chains']} side by side" if found["chains"] > 1 else ""
    return columns(
        [
            ("layer", f"{found['input_size']} -> {found['hidden_size']}, {found['steps']} steps"),
            ("engine", f"{found['macs']} multipliers: {shape}, tail of {found['tail']} cycles"),
            ("schedule", f"{found['schedule']}{beside}"),
            ("cycles", f"{found['cycles']:,}; no order takes fewer than {found['lower_bound']:,}"),
            ("a step", step),
            ("utilised", f"{found['utilization']:.1%}"),
            ("limited by", limit(found["limited_by"], found["utilization"])),
            ("", "modelled, not measured"),
        ]
    )


@dataclass(frozen=True)
class Comparison:
    """What a number format makes of a model, on the data it was run on; measured."""

    format: str
    signal_to_error: float | None  # of the output, in dB; None where nothing differs
    max_abs_error: float
    changed: int | None  # labels that differ from those of the float model
    accuracy: float | None  # share of labels that are right


@dataclass(frozen=True)
class Comparisons:
    """A model in float and in each number format."""

    output: str
    """What is compared, in words."""
    largest: float
    """The largest abs value of the float model's output."""
    count: int | None
    """Labels in all; None where the output tells none."""
    rows: tuple[Comparison, ...]
    """Float first."""

    def lines(self) -> Iterator[str]:
        """Lay it out as a table."""
        yield f"{self.output}; largest value {self.largest:.3g}"
        yield ""
        head = ["", "signal to error", "largest error"]
        head += ["labels changed"] * (self.count is not None)
        head += ["accuracy"] * (self.rows[0].accuracy is not None)
        rows = [head]
        for row in self.rows:
            none = "0 (the reference)" if row.format == "float" else "nothing differs"
            decibels = row.signal_to_error
            told = [row.format, none if decibels is None else f"{decibels:.1f} dB"]
            told.append(f"{row.max_abs_error:.3g}")
            if row.changed is not None:
                told.append(f"{row.changed} of {self.count}")
            if row.accuracy is not None:
                told.append(f"{row.accuracy:.2%}")
            rows.append(told)
        yield from columns(rows)


def compare(
    model: Model | Graph,
    x: Any,
    labels: np.ndarray | None = None,
    calibration: Any = None,
    formats: Sequence[str] = USUAL,
    config: str | None = None,
) -> Comparisons:
    """Run a model in float and, by the golden model, in number formats.

    Args:
        model: a stack, whose head is what is compared if it has one, or a graph, whose first
            output that is no state is compared.
        x: (batch, time, X) float; of a graph inputs by name, of one call or of several, see
            ``graphs.series``.
        labels: what is right, whole numbers: (batch,) or as many as the output tells. The output's
            last axis has a number a class, of which the largest counts; one number is yes or no,
            above 0.5 if all lie within 0 and 1, else above 0. Where the output has every step, and
            labels are one a sequence, the last step counts.
        calibration: what scales are chosen on; by default x.
        formats: number formats. A model that is quantised has but its own.
        config: whose limits count; by default those of the smallest that fits.

    Raises:
        UsageError: labels of another shape, or for a model whose output is h; and as ``Session``.
    """
    own = getattr(model, "quantized", None)
    if own is not None:
        formats = [str(own.fmt)]
    of_h = isinstance(model, Model) and model.head is None
    if of_h and labels is not None:
        assert isinstance(model, Model)
        raise UsageError(
            f"labels are compared with what follows h, and {model.name} {model.no_head}"
        )

    def output(backend: str, fmt: str | None) -> np.ndarray:
        how: dict[str, Any] = {} if own is not None or backend == "float" else {"format": fmt}
        if backend != "float" and own is None:
            how["calibration"] = x if calibration is None else calibration
        calls = list(series(model, x)) if isinstance(model, Graph) else []
        how["stateful"] = len(calls) > 1
        with Session(model, None if backend == "float" else config, backend, **how) as session:
            if isinstance(session, GraphSession):
                found, report = session.run_series(calls)
                states = dict(report.states).values()
                return np.asarray(next(v for name, v in found.items() if name not in states))
            return np.asarray(session.run(x, output_of="h" if of_h else "head"))

    right = output("float", None)
    said = None if of_h else _labels(right, labels)
    rows = []
    for fmt in ("float", *formats):
        found = right if fmt == "float" else output("golden", fmt)
        error = Error.of(right, found)
        chosen = None if said is None else _labels(found, labels)
        rows.append(
            Comparison(
                fmt,
                error.decibels if np.isfinite(error.decibels) else None,
                error.worst,
                None if chosen is None or said is None else int((chosen != said).sum()),
                None if labels is None or chosen is None else float((chosen == labels).mean()),
            )
        )
    what = "h of the last layer" if of_h else "the model's output"
    if said is not None and right.ndim == 3 and said.ndim == 1:
        what += ", labels of the last step"
    shape = ", ".join(map(str, right.shape))
    count = None if said is None else said.size
    return Comparisons(
        f"{what}, ({shape})", float(np.abs(right).max(initial=0)), count, tuple(rows)
    )


def _labels(output: np.ndarray, wanted: np.ndarray | None) -> np.ndarray | None:
    """Return the labels that an output tells.

    Raises:
        UsageError: they are not as many as are wanted.
    """
    if output.ndim < 2 or output.dtype.kind not in "fiub":
        if wanted is not None:
            raise UsageError(f"an output of shape {output.shape} tells no labels")
        return None
    if output.shape[-1] > 1:
        found = output.argmax(-1)
    else:
        shares = output.min() >= 0 and output.max() <= 1
        found = (output[..., 0] > (0.5 if shares else 0)).astype(int)
    if wanted is None:
        return found
    if wanted.dtype.kind not in "iub":
        raise UsageError(f"labels are {wanted.dtype}; whole numbers are expected")
    if found.ndim == 2 and wanted.shape == found.shape[:1]:
        found = found[:, -1]
    if wanted.shape != found.shape:
        raise UsageError(
            f"labels have shape {wanted.shape}, {found.shape} is what the output tells"
        )
    return found
