"""docs/pictures/shapes.png: what schedules and K's chosen at run time give, from shapes.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SIZES = ("#88ccee", "#44aa99", "#cc3311", "#4477aa", "#332288")
_BARS = {
    "worst K alone": "#dddddd",
    "best K alone": "#999999",
    "run-time K": "#88ccee",
    "and padding": "#0072b2",
}
"""Colours that are told apart in every kind of colour blindness."""


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw the study.

    Args:
        found: what docs/results/shapes.json holds.
        path: picture to write.
    """
    import matplotlib  # an extra: only who wants pictures needs it

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(11, 8.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    top, bottom = parts
    panels = top.subplots(1, len(found["ladder"]), sharey=True)
    for axes, ladder in zip(panels, found["ladder"]):
        _ladder(axes, ladder, found["sizes"])
    panels[0].set_ylabel("utilisation")
    handles, labels = panels[0].get_legend_handles_labels()
    top.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    left, right = bottom.subplots(1, 2, width_ratios=(1, 1.25))
    _best_k(left, found)
    _bars(right, found)
    figure.suptitle(
        f"Utilisation of engines that are not built, {found['steps']} steps: modelled by the "
        "cycle model",
        fontsize=11,
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _ladder(axes: Any, ladder: dict[str, Any], sizes: list[int]) -> None:
    """Draw a budget's rungs, a line for each size and one for the mean."""
    rungs = ladder["rungs"]
    places = range(len(rungs))
    for number, (size, colour) in enumerate(zip(sizes, _SIZES)):
        heights = [rung["utilization"][number] for rung in rungs]
        axes.plot(places, heights, ".-", color=colour, linewidth=1, label=f"X = H = {size}")
    means = [mean(rung["utilization"]) for rung in rungs]
    axes.plot(places, means, "o-", color="black", linewidth=2, markersize=4, label="mean")
    axes.set_xticks(places, [rung["name"] for rung in rungs], rotation=90, fontsize=8)
    axes.set_ylim(0, 1.03)
    axes.set_title(f"{ladder['macs']:,} MACs", fontsize=10)
    axes.grid(axis="y", alpha=0.3)


def _best_k(axes: Any, found: dict[str, Any]) -> None:
    """Write the best K x N of each size and budget on its utilisation."""
    rows = found["best_k"]
    axes.imshow([row["utilization"] for row in rows], cmap="Blues", vmin=0, vmax=1.2, aspect="auto")
    for y, row in enumerate(rows):
        for x, (k, n, u) in enumerate(zip(row["k"], row["n"], row["utilization"])):
            colour = "black" if u < 0.8 else "white"
            text = f"{k} x {n}\n{u:.3f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, color=colour)
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
        alone = [seen[at] for seen in row["alone"].values() if seen]
        heights = (
            min(alone),
            row["single"]["utilization"][at],
            row["no_padding"][at],
            row["padding"][at],
        )
        for number, (height, (name, colour)) in enumerate(zip(heights, _BARS.items())):
            place = x + (number - 1.5) * width
            axes.bar(place, height, width, color=colour, label=None if x else name)
        axes.text(x, max(heights) + 0.015, f"{heights[-1]:.3f}", ha="center", fontsize=8)
    axes.set_xticks(
        range(len(rows)),
        [f"{row['macs']:,}\n{row['chains']} seq." for row in rows],
        fontsize=8,
    )
    axes.set_ylim(0, 1.2)
    axes.set_title("X = H = 340: a tile of four K's against single ones", fontsize=10)
    axes.legend(fontsize=8, ncols=4, loc="upper center", frameon=False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def mean(values: list[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)
