"""The pipeline as a picture: which unit is busy in which cycle, as the simulated engine saw it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Bits of `activity` in hls/rtl/lstm_engine.sv
_X_BEAT, _ISSUE, _MULTIPLY, _ACCUMULATE = 1 << 0, 1 << 2, 1 << 5, 1 << 6
_FINISH, _H_WRITE, _H_BEAT, _BUSY = 1 << 7, 1 << 8, 1 << 9, 1 << 10
_SOURCE_SHIFT, _SOURCE_MASK = 3, 3
_SOURCE_H = 2  # and above: h, or zeros in its place

_X_PART, _H_PART = "x-part dispatched", "h-part dispatched"
_COLOURS = {"x": "#4477aa", "h": "#ee7733", "both": "#777777", "out": "#228833"}


def from_bytes(data: bytes) -> np.ndarray:
    """Return the activity words of a trace file from the cycle in which the run starts."""
    words = np.frombuffer(data, "<u2")
    busy = np.flatnonzero(words & _BUSY)
    return words[busy[0] :] if busy.size else words[:0]


def draw(words: np.ndarray, path: Path, title: str, cycles: int) -> None:
    """Draw the first cycles of a run.

    Args:
        words: (cycles,) uint16 from ``from_bytes``.
        path: picture to write, .png or .svg.
        title: what ran.
        cycles: how many to draw.
    """
    import matplotlib  # an extra: only who wants pictures needs it

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    words = words[:cycles]
    from_h = (words >> _SOURCE_SHIFT & _SOURCE_MASK) >= _SOURCE_H
    issue = words & _ISSUE != 0
    units = (
        ("x stream", words & _X_BEAT != 0, "x"),
        (_X_PART, issue & ~from_h, "x"),
        (_H_PART, issue & from_h, "h"),
        ("multiply", words & _MULTIPLY != 0, "both"),
        ("accumulate", words & _ACCUMULATE != 0, "both"),
        ("finished row block", words & _FINISH != 0, "h"),
        ("h written", words & _H_WRITE != 0, "out"),
        ("h stream", words & _H_BEAT != 0, "out"),
    )
    rows = [unit for unit in units if unit[1].any()]  # h leaves only from the last layer
    figure, axes = plt.subplots(figsize=(11, 3.4), layout="constrained")
    for place, (name, busy, colour) in enumerate(rows):
        spans = _spans(busy)
        axes.broken_barh(spans, (place - 0.38, 0.76), color=_COLOURS[colour], linewidth=0)
        if name in (_X_PART, _H_PART):
            for step, (start, length) in enumerate(spans):
                if length > 0.02 * words.size:
                    axes.text(
                        start + length / 2,
                        place,
                        f"{name[0]}({step})",
                        color="white",
                        ha="center",
                        va="center",
                        fontsize=8,
                    )
        share = 100 * busy.mean() if busy.size else 0
        axes.text(words.size * 1.005, place, f"{share:.0f} %", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, words.size)
    axes.set_xlabel("cycles after ap_start, simulated RTL; at the right: share of them busy")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", linewidth=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _spans(busy: np.ndarray) -> list[tuple[int, int]]:
    """Return (start, length) of each run of busy cycles."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], busy.astype(np.int8), [0]])))
    return [(int(a), int(b - a)) for a, b in zip(edges[::2], edges[1::2])]
