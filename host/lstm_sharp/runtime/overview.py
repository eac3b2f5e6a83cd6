"""What is in a model: its recurrent parts, what the host computes around them, and a drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from lstm_sharp.errors import UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.model import Levels, Model
from lstm_sharp.model.pieces import Body, Control, Host, Recurrent
from lstm_sharp.numerics.stored import own_format
from lstm_sharp.runtime.choose import choose

_SHOWN = 5
"""Kinds of ops of a piece that are named."""
_WIDE, _LINE, _PAD, _GAP, _INDENT = 620, 18, 10, 22, 26
"""Of boxes in pixels: width, a line of text, around it, between boxes, of what lies in a body."""
_CHARACTERS = 84
"""That fit into a box."""
_COLORS = {"engine": "#cfe3f7", "host": "#eeeeee", "control": "#ffffff", "value": "#fdf3d0"}


@dataclass(frozen=True)
class Row:
    """A box of the drawing, and a few lines of the text."""

    kind: str
    """``engine``, ``host``, ``control``, or ``value``: an input or output."""
    depth: int
    """Bodies that it lies in."""
    title: str
    lines: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


def rows(model: Model | Graph, fmt: str | None = None) -> list[Row]:
    """List what a model is made of, in the order of execution.

    Args:
        model: a stack, or a whole graph.
        fmt: number format for which configs are sought; None: each config's own.
    """
    if isinstance(model, Model):
        x = f"(batch, time, {model.input_size})"
        if model.time_first:
            x = f"(time, batch, {model.input_size}) in the file, given as {x}"
        after = "what follows it runs on the host" if model.head else model.no_head
        return [
            Row("value", 0, f"input x {x}", makes=("x",)),
            Row("engine", 0, model.name, (*_told(model, fmt), after), ("x",), ("h",)),
            Row("value", 0, f"output h (batch, time, {model.hidden_size})", reads=("h",)),
        ]
    given = [
        Row("value", 0, f"input {name}: {told}", makes=(name,))
        for name, told in model.inputs.items()
    ]
    ends = [Row("value", 0, f"output {name}", reads=(name,)) for name in model.outputs]
    return [*given, *_of_body(model.body, 0, fmt), *ends]


def _of_body(body: Body, depth: int, fmt: str | None) -> Iterator[Row]:
    for piece in body.pieces:
        reads = piece.inputs if isinstance(piece, Control) else piece.reads
        both = tuple(reads), tuple(filter(None, piece.makes))
        if isinstance(piece, Host):
            kinds = Counter(op.split()[0] for op in piece.ops)
            del kinds["Constant"]
            ops = kinds.most_common()
            told = ", ".join(f"{count} {op}" for op, count in ops[:_SHOWN])
            nodes = "node" if len(piece.ops) == 1 else "nodes"
            more = f" and {len(ops) - _SHOWN} other kinds" if len(ops) > _SHOWN else ""
            yield Row("host", depth, f"host: {len(piece.ops)} {nodes}", (told + more,), *both)
        elif isinstance(piece, Recurrent):
            lines = (*_told(piece.model, fmt), *_states(piece))
            yield Row("engine", depth, piece.name, lines, *both)
        elif isinstance(piece, Control):
            title = piece.label.partition(": ")[2] or piece.label
            yield Row("control", depth, title, (f"{piece.op} of {piece.inputs[0]}",), *both)
            names = ("then", "else") if piece.op == "If" else ("each turn",)
            for name, inner in zip(names, piece.bodies):
                yield Row("control", depth + 1, name)
                yield from _of_body(inner, depth + 2, fmt)


def _told(model: Levels[Any], fmt: str | None) -> Iterator[str]:
    """Describe a stack: kind, sizes, directions, and which config holds it."""
    units = [" + ".join(str(cell.hidden_size) for cell in level) for level in model.levels]
    sizes = " -> ".join([str(model.input_size), *units])
    ways = [
        "both ways" if len(level) == 2 else "reverse" if level[0].reverse else "forward"
        for level in model.levels
    ]
    told = f"{', '.join(dict.fromkeys(ways))}, {model.macs_per_step:,} weights"
    yield f"{model.kind.upper()} {sizes}, {told}"
    assert isinstance(model, Model)
    try:
        cfg = choose(model, None, own_format(model, fmt), required=True)
    except UsageError as error:
        yield f"on no shipped engine: {error}"
    else:
        assert cfg is not None
        yield f"on the engine, from config {cfg.name} on ({cfg.format})"


def _states(part: Recurrent) -> Iterator[str]:
    named = list(dict.fromkeys(name for node in part.nodes for name in node.states if name))
    if named:
        yield f"initial states from {', '.join(named)}"
    elif part.looped:
        yield "initial states are zero in each turn"
    elif part.model.reverse:
        yield "initial states are zero, of reverse layers at the end of each call"
    else:
        yield "initial states are zero, or with stateful=True what the last call left"
    lengths = part.nodes[0].lengths
    if lengths:
        yield f"steps of each sequence from {lengths}"


def text(found: list[Row]) -> Iterator[str]:
    """Write rows as lines."""
    for row in found:
        yield f"{'  ' * row.depth}{row.title}"
        for line in row.lines:
            yield f"{'  ' * row.depth}    {line}"


def svg(found: list[Row]) -> str:
    """Draw rows as boxes, top to bottom, with arrows from what makes a tensor to what reads it."""
    boxes, at = [], _GAP
    for row in found:
        high = _LINE * (1 + len(row.lines)) + _PAD
        boxes.append((at, high))
        at += high + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE + 180}" height="{at}" '
        'font-family="sans-serif" font-size="12">',
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
    ]
    made: dict[str, int] = {}
    for index, row in enumerate(found):
        for source in sorted({made[name] for name in row.reads if name in made}):
            parts.append(_arrow(boxes, found, source, index))
        made.update(dict.fromkeys(row.makes, index))
    for (top, high), row in zip(boxes, found):
        left = _GAP + _INDENT * row.depth
        dash = ' stroke-dasharray="4 3"' if row.kind == "control" else ""
        parts.append(
            f'<rect x="{left}" y="{top}" width="{_WIDE - _INDENT * row.depth}" height="{high}" '
            f'rx="5" fill="{_COLORS[row.kind]}" stroke="#555"{dash}/>'
        )
        for line, told in enumerate((row.title, *row.lines)):
            weight = "bold" if line == 0 else "normal"
            y = top + _LINE * (line + 1) - 2
            short = told if len(told) <= _CHARACTERS else told[: _CHARACTERS - 3] + "..."
            parts.append(
                f'<text x="{left + _PAD}" y="{y}" font-weight="{weight}">{escape(short)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def _arrow(boxes: list[tuple[int, int]], found: list[Row], source: int, index: int) -> str:
    """Draw an arrow to a later box: straight to the next one, else around those between."""
    (top, high), (end, _) = boxes[source], boxes[index]
    style = 'fill="none" stroke="#555" marker-end="url(#a)"'
    if index == source + 1:
        x = _GAP + _WIDE // 2
        return f'<path d="M{x} {top + high}L{x} {end}" {style}/>'
    right = _GAP + _WIDE
    out = right + 14 + min(130, 9 * (index - source))
    y, low = top + high // 2 + 4, end + _LINE // 2
    return f'<path d="M{right} {y}C{out} {y} {out} {low} {right} {low}" {style}/>'
