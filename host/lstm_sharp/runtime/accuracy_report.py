"""How far an integer model is from float on data, where that comes from, and what would help.

docs/accuracy.md says what each figure is.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.model import onnx_dynamic
from lstm_sharp.model.model import Layer, Model
from lstm_sharp.numerics import activation, golden, reference
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import SUPPORTED, Format
from lstm_sharp.numerics.quantize import METHODS, MOST_VECTORS, quantize
from lstm_sharp.numerics.quantized import QuantModel, to_int
from lstm_sharp.numerics.reference import sigmoid

LOW = 20.0
"""Signal to error, dB, below which another format is advised."""
_WHOLE, _LAYERS, _PARTS, _GATES = "h", "h of layers", "h over time", "activations of gates"
_CAUSES, _OTHERS = "h in float but for one thing", "h of other choices"
_ALL = "weights of all layers"
_HEADS = "signal to error, dB", "worst error"
_FORMS = {  # title, begin of a table, row, end of a table, remark
    "": ("{}\n", "\n{:38}{:>22}{:>14}\n", "{:38}{:22.1f}{:14.2g}\n", "", "\n{}"),
    ".md": (
        "# {}\n",
        "\n## {}\n\n| | {} | {} |\n|---|---:|---:|\n",
        "| {} | {:.1f} | {:.2g} |\n",
        "",
        "\n- {}",
    ),
    ".html": (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{0}</title>\n'
        "<style>body {{ font-family: sans-serif }} th, td {{ padding: 0 1em; text-align: left }}\n"
        "td + td {{ text-align: right }}</style>\n<h1>{0}</h1>\n",
        "<h2>{}</h2>\n<table>\n<tr><th><th>{}<th>{}\n",
        "<tr><td>{}<td>{:.1f}<td>{:.2g}\n",
        "</table>\n",
        "<p>{}\n",
    ),
}
FORMS = tuple(_FORMS)
"""Of the report, by the suffix of its file; the first is a terminal's."""
_Run = Callable[[np.ndarray], np.ndarray]
"""From x (batch, time, X) to h (batch, time, hidden), floats."""
_Level = tuple[tuple[Layer, ...], np.ndarray, np.ndarray]
"""Float cells of a level, x that they take, and h that they give."""


@dataclass(frozen=True)
class AccuracyReport:
    """Errors in tables, and what is to be said of them."""

    title: str
    tables: Mapping[str, Mapping[str, Error]]  # by the table's name and the row's
    remarks: tuple[str, ...]
    advice: str | None
    """Which format to take instead, where the error is large."""

    @property
    def worst(self) -> float:
        """The largest absolute error of h."""
        return self.tables[_WHOLE][_WHOLE].worst

    def as_dict(self) -> dict[str, dict[str, tuple[float | None, float]]]:
        """Return dB (None where nothing differs) and worst error of each row, for JSON."""

        def plain(error: Error) -> tuple[float | None, float]:
            return error.decibels if np.isfinite(error.decibels) else None, error.worst

        return {
            table: {name: plain(error) for name, error in rows.items()}
            for table, rows in self.tables.items()
        }

    def laid_out(self, form: str) -> str:
        """Return it as text, Markdown or an HTML page of its own: one of ``FORMS``."""
        title, begin, row, end, remark = _FORMS[form]
        safe = html.escape if form == ".html" else str
        text = title.format(safe(self.title))
        for table, rows in self.tables.items():
            text += begin.format(table, *_HEADS)
            text += "".join(row.format(name, e.decibels, e.worst) for name, e in rows.items()) + end
        said = filter(None, (*self.remarks, self.advice))
        return text + "".join(remark.format(safe(each)) for each in said) + "\n"


def measure(
    model: Model,
    made: QuantModel,
    x: np.ndarray,
    calibration: np.ndarray,
    method: str,
    engine: tuple[int, bool],
) -> AccuracyReport:
    """Hold an integer model against float.

    Args:
        model: the float model.
        made: what ``quantize`` has made of it.
        x: what to run, (batch, time, X) float.
        calibration: what it was made with; so are other formats.
        method: likewise.
        engine: likewise, max_shift and row_scales.
    """
    tables: dict[str, dict[str, Error]] = {}

    def note(table: str, row: str, signal: np.ndarray, found: np.ndarray) -> None:
        rows = tables.setdefault(table, {})
        rows[row] = rows.get(row, Error()).and_of(Error.of(signal, found))

    remarks = [*made.notes]
    ways = {(_CAUSES, name): way for name, way in _causes(model, made).items()}
    others = _others(model, made, calibration, method, engine)
    try:
        others.update(_on_a_cpu(model))
    except ToolError as reason:
        remarks.append(str(reason))
    ways |= {(_OTHERS, name): way for name, way in others.items()}
    held = np.zeros((len(made.levels), 2), int)
    few = max(1, MOST_VECTORS // x.shape[1])
    for part in (x[at : at + few] for at in range(0, len(x), few)):
        levels = list(zip(_in_float(model, part), _in_integers(made, part, held)))
        expected, found = (h for *_, h in levels[-1])
        note(_WHOLE, _WHOLE, expected, found)
        for index, ((cells, x_right, right), (ours, x_found, h)) in enumerate(levels):
            if len(levels) > 1:
                note(_LAYERS, f"layer {index}", right, h)
            gates = [_gates(*each) for each in ((cells, x_right, right), (ours, x_found, h))]
            for gate, own, its in zip("ifgo", *gates):
                note(_GATES, gate, own, its)
        count = min(4, x.shape[1])
        for index, both in enumerate(
            zip(*(np.array_split(h, count, axis=1) for h in (expected, found)))
        ):
            note(_PARTS, f"part {index + 1} of {count}", *both)
        for (table, row), way in ways.items():
            note(table, row, expected, way(part))
    remarks.append(f"{made.clipped(x)} of {x.size} values of x are beyond its reach")
    remarks += [
        f"layer {index}: {h} values of h and {c} of c are held to the ends of their range"
        for index, (h, c) in enumerate(held)
        if h or c
    ]
    least = {name: e.decibels for name, e in tables[_CAUSES].items() if name != _ALL}
    worst = min(least, key=lambda name: least[name])
    remarks.append(f"most of it comes from {worst}: that alone leaves {least[worst]:.1f} dB")
    fmt = str(made.fmt)
    formats = {name: e.decibels for name, e in tables[_OTHERS].items() if name in SUPPORTED}
    formats[fmt] = tables[_WHOLE][_WHOLE].decibels
    told = f"{model.name} at {fmt}, method {method}, {x.shape[0]} x {x.shape[1]} steps"
    return AccuracyReport(told, tables, tuple(remarks), advice(fmt, formats))


def advice(fmt: str, decibels: Mapping[str, float]) -> str | None:
    """Say which format to take where that in use has a large error, and another a smaller one.

    Args:
        fmt: the one in use.
        decibels: signal to error of each.
    """
    best = max(decibels, key=lambda name: decibels[name])
    if decibels[fmt] >= LOW or best == fmt:
        return None
    return (
        f"h has {decibels[fmt]:.1f} dB of signal to error at {fmt}; {best} would have "
        f"{decibels[best]:.1f}: quantise with --format {best}"
    )


def _in_float(model: Model, x: np.ndarray) -> Iterator[_Level]:
    for level in model.levels:
        h = reference.run(Model(level, directions=(len(level),)), x).h
        yield level, x, h
        x = h


def _in_integers(made: QuantModel, x: np.ndarray, held: np.ndarray) -> Iterator[_Level]:
    """Run the golden model level by level; what saturates of h and c is added to ``held``."""
    steps = made.quantize_input(x)
    x = made.dequantize_input(steps)
    for level, cells, counts in zip(made.levels, made.in_float().levels, held):
        saturated: list[golden.Saturated] = []
        own = QuantModel(made.fmt, level, directions=(len(level),))
        steps, _ = golden.run(own, steps, None, saturated)
        counts += np.sum(saturated, axis=0)
        h = made.dequantize_h(steps)
        yield cells, x, h
        x = h


def _gates(cells: tuple[Layer, ...], x: np.ndarray, h: np.ndarray) -> list[np.ndarray]:
    """Compute what sigma and tanh give of the sums of i, f, g and o that a level's x and h make."""
    found = []
    for cell, own in zip(cells, np.split(h, len(cells), axis=2)):
        order = slice(None, None, -1 if cell.reverse else 1)
        before = np.roll(own[:, order], 1, axis=1)
        before[:, 0] = 0
        sums = x[:, order] @ cell.w_ih.T + before @ cell.w_hh.T + cell.b
        i, f, g, o = np.split(sums, 4, axis=2)
        found.append([sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)])
    return [np.concatenate(gate, axis=2) for gate in zip(*found)]


def _causes(model: Model, made: QuantModel) -> dict[str, _Run]:
    """Give float runs that do one thing as the integer model does."""
    ours = made.in_float()
    levels = [index for index, level in enumerate(model.levels) for _ in level]

    def weights_of(*chosen: int) -> _Run:
        cells = zip(levels, ours.layers, model.layers)
        mixed = tuple(own if index in chosen else cell for index, own, cell in cells)
        return lambda x: reference.run(replace(model, layers=mixed), x).h

    def rounded(h: np.ndarray) -> np.ndarray:
        return made.dequantize_h(to_int(h, made.fmt.h_frac, made.fmt.activation_bits))

    def x_alone(x: np.ndarray) -> np.ndarray:
        return reference.run(model, made.dequantize_input(made.quantize_input(x))).h

    return {
        _ALL: weights_of(*levels),
        **{f"weights of layer {index}": weights_of(index) for index in range(levels[-1] + 1)},
        "x": x_alone,
        "rounding of h": lambda x: reference.run(model, x, rounded=rounded).h,
        "tables of sigma and tanh": lambda x: reference.run(model, x, tanh=activation.tanh).h,
    }


def _others(
    model: Model, made: QuantModel, calibration: np.ndarray, method: str, engine: tuple[int, bool]
) -> dict[str, _Run]:
    """Give the integer models of other formats, methods and kinds of scales."""
    max_shift, row_scales = engine
    own = str(made.fmt)
    choices = {
        **{fmt: (fmt, row_scales, method) for fmt in SUPPORTED if fmt != own},
        **{f"method {other}": (own, row_scales, other) for other in METHODS if other != method},
        **({} if row_scales else {"a scale a row": (own, True, method)}),
    }
    found: dict[str, _Run] = {}
    for name, (fmt, rows, how) in choices.items():
        with suppress(UsageError):  # what does not hold the weights is no choice
            other = quantize(model, Format.parse(fmt), calibration, max_shift, rows, how)
            found[name] = partial(_h_of, other)
    return found


def _h_of(made: QuantModel, x: np.ndarray) -> np.ndarray:
    return made.dequantize_h(golden.run(made, made.quantize_input(x))[0])


def _on_a_cpu(model: Model) -> dict[str, _Run]:
    """Give what ONNX Runtime makes of it.

    Raises:
        ToolError: it is not installed.
    """
    graph = onnx_dynamic.graph_of(model)
    return {
        f"ONNX Runtime dynamic int8 per {kind}": partial(
            onnx_dynamic.run, onnx_dynamic.dynamic_int8(graph, kind == "channel")
        )
        for kind in ("tensor", "channel")
    }
