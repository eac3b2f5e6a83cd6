"""The figures of docs/results/bench.json, which tests/bench makes, and their table."""

from __future__ import annotations

from collections.abc import Iterable
from operator import lt
from statistics import median
from typing import Any

from lstm_sharp.errors import UsageError
from workshop.results import markdown

SCHEMA = 1
"""Version of the JSON; raised when a key changes its meaning."""
SPEED, SPEED_RATIO = "speed", "speed ratio"
BUILD, BUILD_RATIO = "build", "build ratio"
ERROR_LAST, ERROR_ALL = "error, last step", "error, all steps"
"""What a figure tells; beside it stand its tool, setting, unit and runs."""

HLS4ML, CSIM, GOLDEN = "hls4ml", "csim", "golden"
"""Tools."""
_TITLES = {
    SPEED: "sequences/s",
    SPEED_RATIO: "csim, times hls4ml's fastest",
    BUILD: "build, s",
    BUILD_RATIO: "build, times quicker than hls4ml's quickest",
    ERROR_LAST: "worst error of h, last step",
    ERROR_ALL: "worst error of h, all steps",
}
_RATIO, _SPEED, _FORMATS = 10, 5000, ("W16A16", "W8A16", "W8A8")


def figure(what: str, tool: str, setting: str, unit: str, runs: list[float]) -> dict[str, Any]:
    """Make one entry of a case's ``figures``: the runs, their median and their ends."""
    of = {"what": what, "tool": tool, "setting": setting, "unit": unit}
    return {**of, "median": median(runs), "min": min(runs), "max": max(runs), "runs": runs}


def sort(figures: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the figures of a case in the order of the table."""
    whats, tools = list(_TITLES), (HLS4ML, CSIM, GOLDEN)
    return sorted(figures, key=lambda f: (whats.index(f["what"]), tools.index(f["tool"])))


def pick(case: dict[str, Any], what: str, tool: str, setting: str) -> dict[str, Any]:
    """Return one figure of a case.

    Raises:
        UsageError: the case lacks it.
    """
    for entry in case["figures"]:
        if (entry["what"], entry["tool"], entry["setting"]) == (what, tool, setting):
            return dict(entry)
    raise UsageError(f"{case['name']} lacks {what} of {tool} {setting}; run make bench again")


def table(results: dict[str, Any]) -> str:
    """Write the aims and all figures as Markdown.

    Args:
        results: what docs/results/bench.json holds.

    Returns:
        The text between the markers of docs/bench.md.

    Raises:
        UsageError: another schema, or a figure is missing.
    """
    if results.get("schema") != SCHEMA:
        raise UsageError(
            f"bench.json has schema {results.get('schema')!r}, {SCHEMA} is read here; "
            "run make bench again"
        )
    try:
        cases = results["cases"]
        parts = [_origin(results), markdown(_aims(cases)), markdown(_figures(cases), len(cases))]
    except KeyError as error:
        raise UsageError(f"bench.json lacks {error}; run make bench again") from None
    return "\n\n".join(parts)


def _origin(results: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    commit = "no commit" if results["commit"] is None else f"commit {results['commit'][:7]}"
    changed = " with changes" if results["dirty"] else ""
    cpu = results["cpu"]
    return (
        f"Figures *{results['kind']}*: {cpu['count']} cores of {cpu['model']}, "
        f"{results['date']}, {commit}{changed}; {versions}. Speed and build: median "
        f"(least to most); error: worst of {len(results['seeds'])} models."
    )


def _aims(cases: list[dict[str, Any]]) -> list[list[str]]:
    """Tell what was aimed at, what was seen, and whether that is it."""
    ratios = [pick(case, SPEED_RATIO, CSIM, "W16A16")["median"] for case in cases]
    speed = min(pick(cases[0], SPEED, GOLDEN, name)["median"] for name in _FORMATS)
    text = f"golden at least {_SPEED:,} sequences/s, {cases[0]['name']}, slowest format"
    seen: list[tuple[str, str, bool]] = [
        (
            f"csim (W16A16) at least {_RATIO} times hls4ml's fastest, each size",
            ", ".join(f"{ratio:.0f}" for ratio in ratios),
            min(ratios) >= _RATIO,
        ),
        (text, f"{speed:,.0f}", speed >= _SPEED),
    ]
    for case in cases[1:]:
        for ours, setting in (("W8A8", "rounded"), ("W8A16", "rounded"), ("W16A16", "finest")):
            mine = pick(case, ERROR_LAST, CSIM, ours)
            other = pick(case, ERROR_LAST, HLS4ML, setting)
            below, of = sum(map(lt, mine["runs"], other["runs"])), len(mine["runs"])
            text = f"error of {ours} below hls4ml's {setting} 16 bits, {case['name']}, each model"
            both = f"{mine['max']:.2e} and {other['max']:.2e}, below in {below} of {of}"
            seen.append((text, both, below == of))
    rows = [[text, told, "yes" if met else "**no**"] for text, told, met in seen]
    return [["aim", "seen", "met"], *rows]


def _figures(cases: list[dict[str, Any]]) -> list[list[str]]:
    """Give a row to each figure and a column to each case."""
    rows = [["", "", *(case["name"] for case in cases)]]
    rows.append(["engine config of ours", "", *(case["config"] for case in cases)])
    for entry in sort(cases[0]["figures"]):
        key = [entry[part] for part in ("what", "tool", "setting")]
        cells = (_cell(pick(case, *key)) for case in cases)
        rows.append([_TITLES[key[0]], f"{key[1]}, {key[2]}", *cells])
    return rows


def _cell(entry: dict[str, Any]) -> str:
    """Write the worst error; of all else the median and the ends, to three digits."""
    if entry["what"] in (ERROR_LAST, ERROR_ALL):
        return f"{entry['max']:.2e}"
    ends = (entry[key] for key in ("median", "min", "max"))
    middle, least, most = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in ends)
    return f"{middle} ({least} to {most})"
