"""How far an integer model is from float on data, where that comes from, and what would help.

docs/accuracy.md says what each figure is.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.model import onnx_dynamic
from lstm_sharp.model.model import GATES, Layer, Model
from lstm_sharp.numerics import activation, golden, reference
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import USUAL, Format
from lstm_sharp.numerics.quantize import METHODS, MOST_VECTORS, quantize
from lstm_sharp.numerics.quantized import QuantModel, to_int
from lstm_sharp.numerics.reference import sigmoid

LOW = 20.0
"""Signal to error, dB, below which another format is advised."""
_WORTH_IT = 3.0
"""That it must gain: a format does not help where x is clipped, say."""
_WHOLE, _LAYERS, _PARTS, _GATES = "h", "h of layers", "h over time", "activations of gates"
_CAUSES, _OTHERS = "h in float but for one thing", "h of other choices"
_ALL = "weights of all layers"
_HEADS = "signal to error, dB", "worst error"
_FORMS = {  # title, begin of a table, row, end of a table, remark
    ".md": (
        "# {}\n",
        f"\n| {{:37}} | {{}} | {{}} |\n|{'-' * 39}|{'-' * 20}:|{'-' * 12}:|\n",
        "| {:37} | {:19.1f} | {:11.2g} |\n",
        "",
        "\n- {}",
    ),
    ".html": (
        '<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>{0}</title>\n'
        "<style>body {{ font-family: sans-serif }} th, td {{ padding: 0 1em; text-align: left }}\n"
        "td + td {{ text-align: right }} table {{ margin: 1em }}</style>\n<h1>{0}</h1>\n",
        "<table>\n<tr><th>{}<th>{}<th>{}\n",
        "<tr><td>{}<td>{:.1f}<td>{:.2g}\n",
        "</table>\n",
        "<p>{}\n",
    ),
}
_ACTIVATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
    "lstm": (sigmoid, sigmoid, np.tanh, sigmoid),
    "gru": (np.asarray, sigmoid, np.asarray, sigmoid),  # n_h and n_x are but sums
}
FORMS = tuple(_FORMS)
"""Of the report, by the suffix of its file; the first is a terminal's, too."""
_Run = Callable[[np.ndarray], np.ndarray]
"""From x (batch, time, X) to h (batch, time, hidden), floats."""


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
        return self.tables[_WHOLE]["all"].worst

    def laid_out(self, form: str) -> str:
        """Return it as Markdown or an HTML page of its own: one of ``FORMS``."""
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
    how: Mapping[str, Any] | None,
    progress: Callable[[str], object] = str,
) -> AccuracyReport:
    """Hold an integer model against float.

    Args:
        model: the float model.
        made: what ``quantize`` has made of it.
        x: what to run, (batch, time, X) float.
        how: all arguments of ``quantize`` but model and format; None: other choices are not tried.
        progress: told what comes next.
    """
    names = _WHOLE, _LAYERS, _PARTS, _GATES, _CAUSES, _OTHERS
    tables: dict[str, dict[str, Error]] = {name: {} for name in names}

    def note(table: str, row: str, right: np.ndarray, found: np.ndarray) -> None:
        before = tables[table].get(row, Error())
        found = np.nan_to_num(found)  # ONNX Runtime's float32 may overflow
        tables[table][row] = before.and_of(Error.of(right, found))

    remarks = [*made.notes]
    others = _others(model, made, how, progress) if how else {}
    ways = {_CAUSES: _causes(model, made), _OTHERS: others}
    try:
        graph = onnx_dynamic.graph_of(model)
        for kind in ("tensor", "channel"):
            dynamic = onnx_dynamic.dynamic_int8(graph, kind == "channel")
            run = partial(onnx_dynamic.run, dynamic)
            ways[_OTHERS][f"ONNX Runtime dynamic int8 per {kind}"] = run
    except ToolError as reason:
        remarks.append(str(reason))
    held = np.zeros((len(made.levels), 2), int)
    few, parts = max(1, MOST_VECTORS // x.shape[1]), min(4, x.shape[1])
    for some in (x[at : at + few] for at in range(0, len(x), few)):
        for index, (right, found, gates, counts) in enumerate(levels(model, made, some)):
            note(_LAYERS, f"layer {index}", right, found)
            for name, *both in zip(GATES[model.kind], *gates):
                note(_GATES, name, *both)
            held[index] += counts
        note(_WHOLE, "all", right, found)
        over_time = (np.array_split(h, parts, axis=1) for h in (right, found))
        for index, both in enumerate(zip(*over_time), 1):
            note(_PARTS, f"part {index} of {parts}", *both)
        for table, runs in ways.items():
            for name, way in runs.items():
                progress(f"measuring {name}")
                note(table, name, right, way(some))
    remarks.append(f"{made.clipped(x)} of {x.size} values of x are beyond its reach")
    remarks += [
        f"layer {index}: {h} values of h and {c} of {golden.HELD[model.kind]} are held to the ends "
        "of their range"
        for index, (h, c) in enumerate(held)
        if h or c
    ]
    least, worst = min((e.decibels, name) for name, e in tables[_CAUSES].items() if name != _ALL)
    if np.isfinite(least):
        remarks.append(f"most of it comes from {worst}: that alone leaves {least:.1f} dB")
    fmt = str(made.fmt)
    formats = {name: e.decibels for name, e in tables[_OTHERS].items() if name in USUAL}
    advised = advice(fmt, {fmt: tables[_WHOLE]["all"].decibels, **formats})
    method = f", method {how['method']}" if how else ""
    title = f"{model.name} at {fmt}{method}, {x.shape[0]} x {x.shape[1]} steps"
    return AccuracyReport(title, tables, tuple(remarks), advised)


def advice(fmt: str, decibels: Mapping[str, float]) -> str | None:
    """Say which format to take where that in use has a large error, and another a smaller one.

    Args:
        fmt: the one in use.
        decibels: signal to error of each.
    """
    best = max(decibels, key=lambda name: decibels[name])
    if decibels[fmt] >= LOW or decibels[best] < decibels[fmt] + _WORTH_IT:
        return None
    return (
        f"h has {decibels[fmt]:.1f} dB of signal to error at {fmt}; {best} would have "
        f"{decibels[best]:.1f}: take --format {best}"
    )


def levels(model: Model, made: QuantModel, x: np.ndarray) -> Iterator[tuple]:
    """Run both models level by level.

    Yields:
        h of the float one and of the golden one, floats; their gates, a pair of lists; and how
        often h and c of the golden one saturate, (2,).
    """
    steps = made.quantize_input(x)
    ours = made.dequantize_input(steps)
    for level, ints, cells in zip(model.levels, made.levels, made.in_float().levels):
        count, saturated = (len(level),), list[golden.Saturated]()
        right = reference.run(Model(level, directions=count), x).h
        own = QuantModel(made.fmt, ints, directions=count)
        steps, _ = golden.run(own, steps, None, saturated)
        found = made.dequantize_h(steps)
        gates = _gates(level, x, right), _gates(cells, ours, found)
        yield right, found, gates, np.sum(saturated, axis=0)
        x, ours = right, found


def _gates(cells: tuple[Layer, ...], x: np.ndarray, h: np.ndarray) -> list[np.ndarray]:
    """Compute what sigma and tanh give of the sums that a level's x and h make."""
    found = []
    for cell, own in zip(cells, np.split(h, len(cells), axis=2)):
        order = slice(None, None, -1 if cell.reverse else 1)
        before = np.roll(own[:, order], 1, axis=1)
        before[:, 0] = 0
        sums = x[:, order] @ cell.w_ih.T + before @ cell.w_hh.T + cell.b
        gates = zip(_ACTIVATIONS[cell.kind], np.split(sums, 4, axis=2))
        found.append([activate(gate) for activate, gate in gates])
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

    def of_x(x: np.ndarray) -> np.ndarray:
        return reference.run(model, made.dequantize_input(made.quantize_input(x))).h

    return {
        _ALL: weights_of(*levels),
        **{f"weights of layer {index}": weights_of(index) for index in range(levels[-1] + 1)},
        "x": of_x,
        "rounding of h": lambda x: reference.run(model, x, rounded=rounded).h,
        "tables of sigma and tanh": lambda x: reference.run(model, x, tanh=activation.tanh).h,
    }


def _others(
    model: Model, made: QuantModel, how: Mapping[str, Any], progress: Callable[[str], object]
) -> dict[str, _Run]:
    """Give the integer models of other formats, methods and kinds of scales."""
    choices: dict[str, dict[str, Any]] = {
        **{fmt: {"fmt": Format.parse(fmt)} for fmt in USUAL if fmt != str(made.fmt)},
        **{f"method {name}": {"method": name} for name in METHODS if name != how["method"]},
        **({} if how["row_scales"] else {"a scale a row": {"row_scales": True}}),
    }

    def h_of(other: QuantModel, x: np.ndarray) -> np.ndarray:
        return other.dequantize_h(golden.run(other, other.quantize_input(x))[0])

    found: dict[str, _Run] = {}
    for name, other in choices.items():
        progress(f"choosing scales for {name}")
        with suppress(UsageError):  # what does not hold the weights is no choice
            found[name] = partial(h_of, quantize(model, **{"fmt": made.fmt, **how, **other}))
    return found
