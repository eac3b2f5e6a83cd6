"""The pictures of docs/paper/, all modelled but for the points that are published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from workshop.pictures import figure

_RUNGS = ("#cccccc", "#c6dbef")  # the paper's first three schedules, and what hides more
_SIZES = ("#e69f00", "#009e73", "#cc3311", "#0072b2", "#332288")
_BARS = {
    "worst K alone": "#dddddd",
    "best K alone": "#999999",
    "run-time K": "#88ccee",
    "and padding": "#0072b2",
}
"""Colours that are told apart in every kind of colour blindness."""


def utilisation(shown: dict[str, Any], path: Path) -> None:
    """Draw what schedules and K's chosen at run time give."""
    found = shown["modelled"]["utilisation"]
    with figure(path, (11, 8.6), dpi=130, found=shown) as drawing:
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


def speedup(shown: dict[str, Any], path: Path) -> None:
    """Draw how many times as fast ours is by budget, and what of it comes from which idea."""
    found = shown["modelled"]["rivals"]
    budgets = found["budgets"]
    with figure(path, (11, 5.2), dpi=130, found=shown) as drawing:
        panels = drawing.subplots(1, 2, sharey=True, width_ratios=(4, 5))
        for axes, rival, other in zip(panels, _IDEAS, ("more", "other lanes")):
            bars = [(f"{b['macs']:,}", b[f"{rival}_ideas"]) for b in budgets]
            dots = [b["speedup"][rival][other] for b in budgets]
            if rival == "brainwave":
                bars.append(("its own\n96,000", found["brainwave"]["ideas"]))
            _stacks(axes, bars, _IDEAS[rival])
            axes.plot(
                [place + 0.37 for place in range(len(dots))],
                dots,
                "D",
                color="black",
                ms=6,
                label=_DOTS[rival],
            )
            key = {"epur": "asic", "brainwave": "fpga"}[rival]
            for paper, style in zip(shown["published"]["paper"], ("-", ":")):
                told = f"{paper[key]}, {paper['version'][:8]}, published"
                axes.axhline(paper[key], color="#cc3311", linestyle=style, label=told)
            axes.set_title(_HEADS[rival], fontsize=11)
            axes.set_xlabel("MACs")
            axes.legend(fontsize=8, loc="upper left")
        panels[0].set_ylabel("times as fast (log)")
        drawing.suptitle(
            "Speedup over models of the rivals, mean of X = H = 128 to 1024 (its own: DeepBench's "
            "sizes): modelled",
            fontsize=11,
        )


_IDEAS = {
    "epur": (
        ("a tile of any shape", "#999999"),
        ("unfolded", "#0072b2"),
        ("elementwise", "#88ccee"),
        ("padding", "#332288"),
    ),
    "brainwave": (
        ("a tail as ours for its chain", "#dddddd"),
        ("tiles as ours", "#999999"),
        ("unfolded", "#0072b2"),
        ("elementwise", "#88ccee"),
        ("padding", "#332288"),
    ),
}
_DOTS = {
    "epur": "in all, more units, not wider ones",
    "brainwave": "in all, lanes scaled, not tiles",
}
_HEADS = {
    "epur": "over E-PUR, a dot product a gate grows with the budget",
    "brainwave": "over BrainWave, its native tile grows with the budget",
}


def _stacks(
    axes: Any, bars: list[tuple[str, list[float]]], ideas: tuple[tuple[str, str], ...]
) -> None:
    """Stack factors on a logarithmic axis, each on the product of those before."""
    for place, (_, factors) in enumerate(bars):
        base = 1.0
        for (name, colour), factor in zip(ideas, factors):
            bottom, height = (base, base * (factor - 1)) if factor >= 1 else (base, 0)
            label = None if place else name
            axes.bar(place, height, 0.6, bottom=bottom, color=colour, label=label)
            base *= factor
        axes.text(place, base * 1.04, f"{base:.1f}", ha="center", fontsize=9)
    axes.set_xticks(range(len(bars)), [name for name, _ in bars])
    axes.set_yscale("log")
    axes.set_ylim(0.9, 90)
    axes.set_yticks((1, 2, 5, 10, 20), ("1", "2", "5", "10", "20"))
    axes.minorticks_off()
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def deepbench(shown: dict[str, Any], path: Path) -> None:
    """Draw time and utilisation of DeepBench's LSTMs, ours and BrainWave's."""
    study, rivals = shown["modelled"]["networks"]["deepbench"], shown["modelled"]["rivals"]
    own = shown["published"]["brainwave"]
    macs, clock = own["native"] * own["lanes"] * own["engines"], own["clock_mhz"]
    places = range(len(study))
    told = [cycles / clock for cycles in rivals["fits"]["lstm"]["published"]]
    work = [8 * one["hidden"] ** 2 / macs / clock for one in study]
    model = [one["brainwave_ms"] * 1e3 / one["steps"] for one in study]
    ours = [one["beside"]["ms"] * 1e3 / one["steps"] for one in study]
    beside = f"ours, {study[0]['beside']['macs']:,} MACs, {clock} MHz: modelled"
    lines = (
        ("BrainWave: recalled of its paper", told, "D", "#cc3311"),
        ("BrainWave: modelled", model, "--", "#cc3311"),
        (beside, ours, "o-", "#0072b2"),
    )
    shares = (
        [ideal / time for ideal, time in zip(work, told)],
        [one["brainwave_utilization"] for one in study],
        [one["beside"]["utilization"] for one in study],
    )
    with figure(path, (11, 4.2), dpi=130, found=shown) as drawing:
        left, right = drawing.subplots(1, 2)
        for (name, times, style, colour), share in zip(lines, shares):
            left.plot(places, times, style, color=colour, label=name)
            right.plot(places, share, style, color=colour, label=name)
        left.set_yscale("log")
        left.set_ylim(0.08, 8)
        left.set_yticks((0.1, 0.3, 1, 3), ("0.1", "0.3", "1", "3"))
        left.minorticks_off()
        left.set_ylabel("µs a step (log)")
        left.legend(fontsize=9, loc="lower right")
        right.set_ylim(0, 1.02)
        right.set_ylabel("utilisation")
        for axes in (left, right):
            axes.set_xticks(places, [f"{one['hidden']:,}" for one in study])
            axes.set_xlabel("X = H of DeepBench's LSTMs, batch 1")
            axes.grid(alpha=0.3)


def energy(shown: dict[str, Any], path: Path) -> None:
    """Draw from how many to how many GFLOPS/W the model gives by budget, beside the paper's."""
    rows = shown["modelled"]["energy"]["budgets"]
    with figure(path, (8, 3.8), dpi=130, found=shown) as drawing:
        axes = drawing.subplots()
        for place, row in enumerate(rows):
            least, most = (row[end]["gflops_per_watt"] for end in ("high", "low"))
            label = None if place else "from all high to all low constants: modelled"
            axes.bar(place, most - least, 0.5, bottom=least, color="#88ccee", label=label)
            for value, side in ((least, "top"), (most, "bottom")):
                axes.text(place, value, f"{value:.0f}", ha="center", va=side, fontsize=9)
        for paper, style in zip(shown["published"]["paper"], ("-", ":")):
            told = f"{paper['gflops_per_watt']}, {paper['version']}: published"
            value = paper["gflops_per_watt"]
            axes.axhline(value, color="#cc3311", linestyle=style, label=told)
        axes.set_xticks(range(len(rows)), [f"{row['macs']:,}" for row in rows])
        axes.set_xlabel("MACs")
        axes.set_ylabel("GFLOPS/W")
        axes.set_ylim(0, 1300)
        axes.legend(fontsize=9, loc="upper right", frameon=False)
        axes.set_title("Energy by a sum of constants, of no chip that was built", fontsize=11)


PICTURES: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "utilisation": utilisation,
    "speedup": speedup,
    "deepbench": deepbench,
    "energy": energy,
}
"""What draws each picture of the page."""
