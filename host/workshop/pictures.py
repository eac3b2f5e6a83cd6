"""The documentation's pictures: what units of the pipeline do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp.flow import tools
from workshop import results

_HERE = "host/workshop/pictures.py"
_DRAW = {
    "bench": "tests/bench/chart.py",
    "report": "tests/report_picture.py",
    **dict.fromkeys(
        ("utilisation", "speedup", "deepbench", "energy"), "host/workshop/paper/drawing.py"
    ),
}
"""What draws a picture, where it is not this file."""

# Bits of `activity` in hls/rtl/lstm_engine.sv
_SOURCE_SHIFT, _SOURCE_MASK, _BUSY = 3, 3, 1 << 10
_SOURCE_H = 2  # and above: h, or zeros in its place
_UNITS = (  # name, bit, colour
    ("x-part dispatched", 1 << 2, "#0072b2"),
    ("h-part dispatched", 1 << 2, "#d55e00"),
    ("multipliers busy", 1 << 5, "#777777"),
    ("new h written", 1 << 8, "#009e73"),
)
"""Colours that are told apart in every kind of colour blindness."""


def drawn_from(name: str, found: dict[str, Any]) -> str:
    """Return the digest of the result that a picture shows, and of what draws it."""
    return tools.digest([results.DOCS.parent / _DRAW.get(name, _HERE)], json.dumps(found))


def stale() -> list[str]:
    """Return the documentation's pictures that are not of its results; each holds its digest."""
    pictures = sorted((results.DOCS / "pictures").glob("*.png"))
    made_from = [drawn_from(p.stem, results.read(p.stem)).encode() for p in pictures]
    return [p.name for p, digest in zip(pictures, made_from) if digest not in p.read_bytes()]


@contextmanager
def figure(path: Path, size: tuple[float, float], dpi: int, found: dict[str, Any]) -> Iterator[Any]:
    """Yield a figure of a result; it is written, and the digest in it, when it has been drawn."""
    import matplotlib  # an extra: only who wants pictures needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    drawing = plt.figure(figsize=size, layout="constrained")
    yield drawing
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(
        path, dpi=dpi, metadata={"Software": None, "Source": drawn_from(path.stem, found)}
    )
    plt.close(drawing)


def started(words: np.ndarray, cycles: int) -> str:
    """Return the first cycles of a trace, uint16, from the one in which its run starts, as hex."""
    return words[np.flatnonzero(words & _BUSY)[0] :][:cycles].astype("<u2").tobytes().hex()


def draw_pipeline(found: dict[str, Any], path: Path) -> None:
    """Draw which unit is busy in which of the first cycles of runs, one below the other.

    Args:
        found: what docs/results/pipeline.json holds: the engine, and of each schedule, the one
            without overlap first, the trace.
        path: picture to write.
    """
    traces = {s: np.frombuffer(bytes.fromhex(t), "<u2") for s, t in found["traces"].items()}
    heads = (
        "Without overlap: each step waits (hatched) until all of h is there",
        "As it is run: x and the early part of h hide the wait",
    )
    with figure(path, (11, 5), dpi=150, found=found) as drawing:
        panels = drawing.subplots(len(traces), 1, sharex=True)
        for axes, head, (schedule, words) in zip(panels, heads, traces.items()):
            _pipeline(axes, words)
            axes.set_title(f"{head} (schedule {schedule})", fontsize=12, loc="left")
        panels[-1].set_xlim(0, words.size)
        panels[-1].set_xlabel(
            f"cycles after the start of one utterance on {found['engine']}; both RTL, simulated",
            fontsize=11,
        )


def _pipeline(axes: Any, words: np.ndarray) -> None:
    """Draw a run, a unit a row, where the multipliers wait, and how often they work."""
    from_h = (words >> _SOURCE_SHIFT & _SOURCE_MASK) >= _SOURCE_H
    parts = {"x-part dispatched": ~from_h, "h-part dispatched": from_h}
    for place, (name, bit, colour) in enumerate(_UNITS):
        at_work = (words & bit != 0) & parts.get(name, True)
        spans = _spans(at_work)
        axes.broken_barh(spans, (place - 0.38, 0.76), color=colour, linewidth=0)
        for step, (start, length) in enumerate(spans if name in parts else ()):
            if length > 0.03 * words.size:
                where, text = (start + length / 2, place), f"{name[0]}({step})"
                axes.text(*where, text, color="white", ha="center", va="center", fontsize=10)
        if name == "multipliers busy":
            first = spans[0][0]
            idle = [(first + a, n) for a, n in _spans(~at_work[first:]) if n > 4]
            axes.broken_barh(
                idle, (place - 0.38, 0.76), facecolor="white", edgecolor="black", hatch="////"
            )
            share = f"{100 * at_work[first:].mean():.0f} %"
            axes.text(words.size * 1.005, place, share, va="center", fontsize=11)
    axes.set_yticks(range(len(_UNITS)), [name for name, _, _ in _UNITS], fontsize=11)
    axes.set_ylim(len(_UNITS) - 0.5, -0.5)
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _spans(busy: np.ndarray) -> list[tuple[int, int]]:
    """Return (start, length) of each run of busy cycles."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], busy.astype(np.int8), [0]])))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2])]


def main() -> None:
    """Draw pictures anew from docs/results/."""
    draw_pipeline(results.read("pipeline"), results.DOCS / "pictures" / "pipeline.png")


if __name__ == "__main__":
    main()
