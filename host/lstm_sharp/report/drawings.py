"""Drawings of a report, as marks that its template writes as SVG; colours are the style sheet's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, log10

WIDE = 760
"""Pixels of a drawing; on a narrow screen it scrolls in its box."""
_LEFT, _RIGHT, _TOP = 190, 20, 10
_ROW, _BAR = 34, 20
"""Pixels from a row of bars to the next, and of a bar."""
_LETTER = 6.3
"""Pixels of a letter, about."""
_APART = 150
"""Pixels from one label to the next beside it."""
_HIGH, _AXIS = 300, 64
"""Pixels of a chart's field: height, and to its left."""


@dataclass(frozen=True)
class Mark:
    """One SVG element; ``hover`` is what a pointer that rests on it is told."""

    tag: str
    css: str
    at: dict[str, float | str]
    text: str = ""
    hover: str = ""


@dataclass(frozen=True)
class Drawing:
    """Marks, and what a screen reader is told of them."""

    height: float
    label: str
    marks: tuple[Mark, ...]
    legend: tuple[tuple[str, str], ...] = ()  # class and text
    width: int = WIDE


@dataclass(frozen=True)
class Piece:
    """A part of a bar."""

    css: str
    begin: float
    end: float
    text: str = ""
    hover: str = ""


@dataclass(frozen=True)
class Bar:
    """A row: what it is called, its parts, its whole length, and what is written below the bar."""

    name: str
    pieces: Sequence[Piece]
    whole: float
    below: str = ""


@dataclass(frozen=True)
class Series:
    """Points of a chart, joined if ``css`` begins with line."""

    css: str
    name: str
    points: Sequence[tuple[float, float]]
    labels: Sequence[str] = ()


def _text(css: str, x: float, y: float, text: str) -> Mark:
    return Mark("text", css, {"x": round(x, 1), "y": round(y, 1)}, text)


def _rect(css: str, x: float, y: float, width: float, height: float, hover: str = "") -> Mark:
    sizes = {"x": x, "y": y, "width": max(0.0, width), "height": height}
    return Mark("rect", css, {k: round(v, 2) for k, v in sizes.items()}, hover=hover)


def _line(css: str, points: Sequence[tuple[float, float]]) -> Mark:
    return Mark("polyline", css, {"points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points)})


def bars(rows: Sequence[Bar], label: str, legend: Sequence[tuple[str, str]] = ()) -> Drawing:
    """Draw bars, each in a frame as long as its whole."""
    marks: list[Mark] = []
    wide = WIDE - _LEFT - _RIGHT
    for number, row in enumerate(rows):
        y = _TOP + number * (_ROW + 12)
        marks.append(_text("name", _LEFT - 8, y + 14, row.name))
        marks.append(_rect("frame", _LEFT, y, wide, _BAR))
        marks += _pieces(row.pieces, y, wide / max(row.whole, 1e-9), _LEFT)
        marks.append(_text("note", _LEFT, y + _BAR + 13, row.below))
    return Drawing(_TOP + len(rows) * (_ROW + 12), label, tuple(marks), tuple(legend))


def timeline(
    rows: Sequence[Bar], begin: float, end: float, label: str, legend: Sequence[tuple[str, str]]
) -> Drawing:
    """Draw what rows do from one cycle to another, above an axis of cycles."""
    left, marks = 136, list[Mark]()
    scale = (WIDE - left - _RIGHT) / (end - begin)
    bottom = _TOP + len(rows) * _ROW
    for tick in _even(begin, end):
        x = left + (tick - begin) * scale
        marks.append(_line("grid", [(x, _TOP), (x, bottom)]))
        marks.append(_text("tick", x, bottom + 14, f"{tick:,.0f}"))
    for number, row in enumerate(rows):
        y = _TOP + number * _ROW
        marks.append(_text("name", left - 8, y + 14, row.name))
        cut = [
            Piece(p.css, max(p.begin, begin) - begin, min(p.end, end) - begin, p.text, p.hover)
            for p in row.pieces
            if p.begin < end and p.end > begin
        ]
        marks += _pieces(cut, y, scale, left)
    marks.append(_text("axis", (WIDE + left) / 2, bottom + 30, "cycle of the program"))
    return Drawing(bottom + 36, label, tuple(marks), tuple(legend))


def _pieces(pieces: Sequence[Piece], y: float, scale: float, left: float) -> Iterator[Mark]:
    for p in pieces:
        x, wide = left + p.begin * scale, (p.end - p.begin) * scale
        yield _rect(p.css, x, y, wide, _BAR, p.hover or p.text)
        if p.text and len(p.text) * _LETTER < wide - 4:
            yield _text("inside", x + wide / 2, y + 14, p.text)


def chart(
    series: Sequence[Series], label: str, of_x: str, of_y: str, log_x: bool = False
) -> Drawing:
    """Draw lines and points over two axes, y logarithmic, x if asked for; zeros are left out."""
    every = [p for s in series for p in s.points if p[1] > 0]
    if not every:
        return Drawing(0, label, ())
    x_ticks = _powers(2, [x for x, _ in every]) if log_x else _even(0, max(x for x, _ in every))
    ys = [y for _, y in every]
    y_ticks = _powers(2 if log_x else 10, [min(ys), 1.2 * max(ys)])
    low, high = (x_ticks[0], x_ticks[-1]) if log_x else (0.0, max(1.0, max(x for x, _ in every)))
    width = WIDE - _AXIS - _RIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        along = log2(x / low) / log2(high / low) if log_x else (x - low) / (high - low)
        up = log2(y / y_ticks[0]) / log2(y_ticks[-1] / y_ticks[0])
        return _AXIS + along * width, _TOP + (1 - up) * _HIGH

    marks = []
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        marks.append(_line("grid", [(x, _TOP), (x, _TOP + _HIGH)]))
        marks.append(_text("tick", x, _TOP + _HIGH + 15, f"{tick:g}"))
    for tick in y_ticks:
        _, y = place(low, tick)
        marks.append(_line("grid", [(_AXIS, y), (_AXIS + width, y)]))
        marks.append(_text("tick of-y", _AXIS - 6, y + 4, f"{tick:g}"))
    marks.append(_text("axis", _AXIS + width / 2, _TOP + _HIGH + 32, of_x))
    middle = -(_TOP + _HIGH / 2)
    turned: dict[str, float | str] = {"x": middle, "y": 14.0, "transform": "rotate(-90)"}
    marks.append(Mark("text", "axis", turned, of_y))
    taken = list[tuple[float, float]]()
    for s in series:
        points = [place(x, y) for x, y in s.points if y > 0]
        if s.css.startswith("line"):
            marks.append(_line(s.css, points))
            continue
        for (x, y), text in zip(points, s.labels):
            at: dict[str, float | str] = {"cx": round(x, 1), "cy": round(y, 1), "r": 5}
            marks.append(Mark("circle", s.css, at, hover=text))
            right = x < _AXIS + width / 2
            x, y = (x + 9, y + 4) if right else (x - 9, y + 18)
            while any(abs(x - a) < _APART and abs(y - b) < 13 for a, b in taken):
                y += 14
            taken.append((x, y))
            marks.append(_text("label" if right else "label before", x, y, text))
    legend = tuple((s.css, s.name) for s in series if s.css.startswith("line"))
    return Drawing(_TOP + _HIGH + 40, label, tuple(marks), legend)


def _even(low: float, high: float) -> list[float]:
    """Ticks at round, whole steps, ten at most."""
    power = 10 ** max(0, floor(log10(max(high - low, 1))) - 1)
    size = next(n * power for n in (1, 2, 5, 10) if (high - low) / (n * power) <= 10)
    return [n * size for n in range(ceil(low / size), floor(high / size) + 1)]


def _powers(base: int, values: Sequence[float]) -> list[float]:
    """Ticks at powers of a base around values, not too many."""
    low, high = (log2(v) / log2(base) for v in (min(values), max(values)))
    first, last = floor(low), max(ceil(high), floor(low) + 1)
    every = ceil((last - first) / 9)
    return [float(base) ** n for n in range(first, last + every, every)]
