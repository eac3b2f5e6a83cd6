"""The documentation's pictures: what units of the pipeline do, and what tile shapes give."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

# Bits of `activity` in hls/rtl/lstm_engine.sv
_SOURCE_SHIFT, _SOURCE_MASK, _BUSY = 3, 3, 1 << 10
_SOURCE_H = 2  # and above: h, or zeros in its place
_UNITS = (  # name, bit, colour
    ("x stream", 1 << 0, "#4477aa"),
    ("x-part dispatched", 1 << 2, "#4477aa"),
    ("h-part dispatched", 1 << 2, "#ee7733"),
    ("multiply", 1 << 5, "#777777"),
    ("accumulate", 1 << 6, "#777777"),
    ("finished row block", 1 << 7, "#ee7733"),
    ("h written", 1 << 8, "#228833"),
    ("h stream", 1 << 9, "#228833"),
)
_SIZES = ("#88ccee", "#44aa99", "#cc3311", "#4477aa", "#332288")
_BARS = {
    "worst K alone": "#dddddd",
    "best K alone": "#999999",
    "run-time K": "#88ccee",
    "and padding": "#0072b2",
}
"""Colours that are told apart in every kind of colour blindness."""


@contextmanager
def _figure(path: Path, size: tuple[float, float], **options: Any) -> Iterator[Any]:
    """Yield a figure; it is written when it has been drawn."""
    import matplotlib  # an extra: only who wants pictures needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=size, layout="constrained")
    yield figure
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, **options)
    plt.close(figure)


def draw_pipeline(words: np.ndarray, path: Path, title: str, cycles: int) -> None:
    """Draw which unit is busy in which of the first cycles of a run.

    Args:
        words: (n,) uint16 of a trace, as the simulated engine writes it.
        path: picture to write, .png or .svg.
        title: what ran.
        cycles: how many to draw, from the one in which the run starts.
    """
    busy = np.flatnonzero(words & _BUSY)
    words = words[busy[0] :][:cycles] if busy.size else words[:0]
    from_h = (words >> _SOURCE_SHIFT & _SOURCE_MASK) >= _SOURCE_H
    parts = {"x-part dispatched": ~from_h, "h-part dispatched": from_h}
    rows = [(name, (words & bit != 0) & parts.get(name, True), c) for name, bit, c in _UNITS]
    rows = [row for row in rows if row[1].any()]  # h leaves only from the last layer
    with _figure(path, (11, 3.4), dpi=150) as figure:
        axes = figure.subplots()
        for place, (name, at_work, colour) in enumerate(rows):
            spans = _spans(at_work)
            axes.broken_barh(spans, (place - 0.38, 0.76), color=colour, linewidth=0)
            for step, (start, length) in enumerate(spans if name in parts else ()):
                if length > 0.02 * words.size:
                    where, text = (start + length / 2, place), f"{name[0]}({step})"
                    axes.text(*where, text, color="white", ha="center", va="center", fontsize=8)
            share = f"{100 * at_work.mean():.0f} %"
            axes.text(words.size * 1.005, place, share, va="center", fontsize=8)
        axes.set_yticks(range(len(rows)), [row[0] for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, words.size)
        axes.set_xlabel("cycles after ap_start, simulated RTL; at the right: share of them busy")
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", linewidth=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


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
    with _figure(path, (11, 8.2), dpi=110, metadata={"Software": None}) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
        panels = top.subplots(1, len(found["ladder"]), sharey=True)
        for axes, ladder in zip(panels, found["ladder"]):
            _ladder(axes, ladder, found["sizes"])
        panels[0].set_ylabel("utilisation")
        handles = panels[0].get_legend_handles_labels()
        top.legend(*handles, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
        left, right = bottom.subplots(1, 2, width_ratios=(1, 1.25))
        _best_k(left, found)
        _bars(right, found)
        figure.suptitle(
            f"Utilisation of engines that are not built, {found['steps']} steps: modelled by the "
            "cycle model",
            fontsize=11,
        )


def _ladder(axes: Any, ladder: dict[str, Any], sizes: list[int]) -> None:
    """Draw a budget's rungs, a line for each size and one for the mean."""
    names, heights = zip(*((rung["name"], rung["utilization"]) for rung in ladder["rungs"]))
    for size, colour, line in zip(sizes, _SIZES, zip(*heights)):
        axes.plot(range(len(names)), line, ".-", color=colour, linewidth=1, label=f"X = H = {size}")
    means = [fmean(seen) for seen in heights]
    axes.plot(
        range(len(names)), means, "o-", color="black", linewidth=2, markersize=4, label="mean"
    )
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_ylim(0, 1.03)
    axes.set_title(f"{ladder['macs']:,} MACs", fontsize=10)
    axes.grid(axis="y", alpha=0.3)


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
