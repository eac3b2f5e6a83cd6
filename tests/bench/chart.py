"""docs/pictures/bench.png: speed and error; ``python -m bench.chart`` draws it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workshop import bench_table as report
from workshop import pictures
from workshop import results as stored

_HLS4ML, _OURS = "#D55E00", "#0072B2"  # told apart in every kind of colour blindness
_SERIES = {  # marker and colour; those without a side are on both
    ("hls4ml", "default"): ("o", _HLS4ML),
    ("hls4ml", "rounded"): ("s", _HLS4ML),
    ("hls4ml", "finest"): ("P", _HLS4ML),
    ("csim", "W16A16"): ("^", _OURS),
    ("csim", "W8A16"): ("D", _OURS),
    ("csim", "W8A8"): ("v", _OURS),
    ("golden", "W8A16"): ("*", _OURS),
}
_ON_ONE_SIDE = {("hls4ml", "finest"): report.ERROR_LAST, ("golden", "W8A16"): report.SPEED}
_BELOW = {("csim", "W8A16"), ("hls4ml", "finest")}  # numbers that would meet their neighbours'


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the chart as PNG."""
    with pictures.figure(path, (11, 5.8), 130, results) as drawing:
        left, right = drawing.subplots(1, 2)
        _panel(left, results["cases"], report.SPEED)
        left.set_title("sequences/s in simulation: up is better", fontsize=11)
        _panel(right, results["cases"], report.ERROR_LAST)
        right.set_title("worst error of h after the last step: down is better", fontsize=11)
        cpu = results["cpu"]
        drawing.suptitle(
            f"Simulators on a PC, not hardware: hls4ml {results['versions']['hls4ml']} (orange), "
            f"LSTM-Sharp (blue)\n{results['kind']}, {cpu['count']} cores of {cpu['model']}",
            fontsize=12,
        )


def _panel(axes: Any, cases: list[dict[str, Any]], what: str) -> None:
    """Draw each series at every size, with a line from the least to the most that was seen."""
    shown, text = ("median", "{:,.0f}") if what == report.SPEED else ("max", "{:.1e}")
    series = [key for key in _SERIES if _ON_ONE_SIDE.get(key, what) == what]
    for number, (tool, setting) in enumerate(series):
        marker, colour = _SERIES[tool, setting]
        at = [place + (number - (len(series) - 1) / 2) * 0.15 for place in range(len(cases))]
        seen = [report.pick(case, what, tool, setting) for case in cases]
        heights = [entry[shown] for entry in seen]
        low, high = ([abs(entry[shown] - entry[end]) for entry in seen] for end in ("min", "max"))
        axes.errorbar(
            at,
            heights,
            yerr=[low, high],
            fmt=marker,
            color=colour,
            markersize=10 if marker == "*" else 7,
            markerfacecolor=colour if marker in "*DP" else "white",
            capsize=3,
            label=f"{tool}, {setting}",
        )
        end, rise = ("min", -13) if (tool, setting) in _BELOW else ("max", 7)
        for x, entry in zip(at, seen):
            axes.annotate(
                text.format(entry[shown]),
                (x, entry[end]),
                (0, rise),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    axes.set_yscale("log")
    names = [
        case["name"].replace(", ", "\n").replace("->", "\N{RIGHTWARDS ARROW}") for case in cases
    ]
    axes.set_xticks(range(len(cases)), [f"LSTM {name}" for name in names])
    axes.set_xlim(-0.5, len(cases) - 0.5)
    axes.margins(y=0.08)
    axes.grid(axis="y", alpha=0.3)
    for place in range(1, len(cases)):
        axes.axvline(place - 0.5, color="0.85", linewidth=1)
    axes.legend(fontsize=9, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)


if __name__ == "__main__":
    draw(stored.read("bench"), stored.DOCS / "pictures" / "bench.png")
