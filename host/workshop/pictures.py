"""The documentation's pictures: what units of the pipeline do, and what tile shapes give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from lstm_sharp.flow import tools
from workshop import results

_HERE = "host/workshop/pictures.py"
_DRAW = {"bench": "tests/bench/chart.py", "report": "tests/report_picture.py"}
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
_RUNGS = ("#cccccc", "#c6dbef")  # the paper's first three schedules, and what hides more
_SIZES = ("#e69f00", "#009e73", "#cc3311", "#0072b2", "#332288")
_BARS = {
    "worst K alone": "#dddddd",
    "best K alone": "#999999",
    "run-time K": "#88ccee",
    "and padding": "#0072b2",
}
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


def draw_shapes(found: dict[str, Any], path: Path) -> None:
    """Draw what schedules and K's chosen at run time give.

    Args:
        found: what docs/results/shapes.json holds.
        path: picture to write.
    """
    with figure(path, (11, 8.6), dpi=130, found=found) as drawing:
        top, bottom = drawing.subfigures(2, 1, height_ratios=(1.15, 1))
        panels = top.subplots(1, len(found["ladder"]), sharey=True)
        for axes, ladder in zip(panels, found["ladder"]):
            _ladder(axes, ladder, found["sizes"])
        handles = panels[0].get_legend_handles_labels()
        top.supxlabel(
            "utilisation: grey bars wait for h, blue ones hide it; each bar adds one thing.\n"
            "run-time K: a tile of four shapes, one for each part of a layer; "
            "padding: a fitting shape also for its last rows and columns",
            fontsize=10,
        )
        top.legend(*handles, loc="outside upper center", ncols=6, fontsize=10, frameon=False)
        left, right = bottom.subplots(1, 2, width_ratios=(1, 1.25))
        _best_k(left, found)
        _bars(right, found)
        drawing.suptitle(
            f"Utilisation of engines that are not built, {found['steps']} steps: modelled by the "
            "cycle model",
            fontsize=11,
        )


def _ladder(axes: Any, ladder: dict[str, Any], sizes: list[int]) -> None:
    """Draw a budget's rungs in their order: the mean as a bar, each size as a dot."""
    names, heights = zip(*((rung["name"], rung["utilization"]) for rung in ladder["rungs"]))
    means = [fmean(seen) for seen in heights]
    places = range(len(names))
    axes.barh(places, means, color=[_RUNGS[min(p, 5) // 3] for p in places], label="mean of sizes")
    for size, colour, row in zip(sizes, _SIZES, zip(*heights)):
        axes.plot(row, places, "o", color=colour, mec="white", ms=6, label=f"X = H = {size}")
    for place, mean in enumerate(means):
        axes.text(1.06, place, f"{mean:.2f}", va="center", fontsize=9)
    axes.set_yticks(places, names, fontsize=10)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1.27)
    axes.set_xticks((0, 0.5, 1))
    axes.set_title(f"{ladder['macs']:,} MACs", fontsize=11)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _best_k(axes: Any, found: dict[str, Any]) -> None:
    """Write the best K x N of each size and budget on its utilisation."""
    rows = found["best_k"]
    axes.imshow([row["utilization"] for row in rows], cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    for y, row in enumerate(rows):
        for x, (k, n, u) in enumerate(zip(row["k"], row["n"], row["utilization"])):
            style = {"ha": "center", "va": "center", "fontsize": 8}
            axes.text(x, y, f"{k} x {n}\n{u:.3f}", color="black" if u < 0.8 else "white", **style)
    axes.set_xticks(range(len(found["sizes"])), found["sizes"])
    axes.set_yticks(range(len(rows)), [f"{row['macs']:,}" for row in rows])
    axes.set_xlabel("X = H")
    axes.set_ylabel("MACs")
    axes.set_title("best single K x N, one sequence", fontsize=10)


def _bars(axes: Any, found: dict[str, Any]) -> None:
    """Set a list beside single K's, at the size that fills tiles badly."""
    rows, at = found["reconfiguration"], found["sizes"].index(340)
    width = 0.8 / len(_BARS)
    for x, row in enumerate(rows):
        worst = min(seen[at] for seen in row["alone"].values() if seen)
        lists = row["single"]["utilization"], row["no_padding"], row["padding"]
        heights = [worst, *(seen[at] for seen in lists)]
        for number, (height, (name, colour)) in enumerate(zip(heights, _BARS.items())):
            place = x + (number - 1.5) * width
            axes.bar(place, height, width, color=colour, label=None if x else name)
        axes.text(x, max(heights) + 0.015, f"{heights[-1]:.3f}", ha="center", fontsize=8)
    names = [f"{row['macs']:,}\n{row['chains']} seq." for row in rows]
    axes.set_xticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(0, 1.2)
    axes.set_title("X = H = 340: a tile of four K's against single ones", fontsize=10)
    axes.legend(fontsize=8, ncols=4, loc="upper center", frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def main() -> None:
    """Draw pictures anew from docs/results/."""
    for name, draw in (("pipeline", draw_pipeline), ("shapes", draw_shapes)):
        draw(results.read(name), results.DOCS / "pictures" / f"{name}.png")


if __name__ == "__main__":
    main()
