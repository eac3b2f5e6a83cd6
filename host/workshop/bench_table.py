"""The table of docs/bench.md, from docs/results/bench.json (tests/bench makes both)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import lt
from statistics import median
from typing import Any

from lstm_sharp.errors import UsageError

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
    return {
        "what": what,
        "tool": tool,
        "setting": setting,
        "unit": unit,
        "median": median(runs),
        "min": min(runs),
        "max": max(runs),
        "runs": runs,
    }


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
        lines = [_origin(results), "", *_aims(results["cases"]), "", *_figures(results["cases"])]
    except KeyError as error:
        raise UsageError(f"bench.json lacks {error}; run make bench again") from None
    return "\n".join(lines)


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


def _aims(cases: list[dict[str, Any]]) -> Iterator[str]:
    """Tell what was aimed at, what was seen, and whether that is it."""
    ratios = [pick(case, SPEED_RATIO, CSIM, "W16A16")["median"] for case in cases]
    speed = min(pick(cases[0], SPEED, GOLDEN, name)["median"] for name in _FORMATS)
    rows = [
        (
            f"csim (W16A16) at least {_RATIO} times hls4ml's fastest, each size",
            ", ".join(f"{ratio:.0f}" for ratio in ratios),
            min(ratios) >= _RATIO,
        ),
        (
            f"golden at least {_SPEED:,} sequences/s, {cases[0]['name']}, slowest format",
            f"{speed:,.0f}",
            speed >= _SPEED,
        ),
    ]
    for case in cases[1:]:
        for ours, setting in (("W8A8", "rounded"), ("W8A16", "rounded"), ("W16A16", "finest")):
            mine = pick(case, ERROR_LAST, CSIM, ours)
            other = pick(case, ERROR_LAST, HLS4ML, setting)
            below = sum(map(lt, mine["runs"], other["runs"]))
            text = f"error of {ours} below hls4ml's {setting} 16 bits, {case['name']}, each model"
            seen = f"{mine['max']:.2e} and {other['max']:.2e}, below in {below} of "
            rows.append((text, f"{seen}{len(mine['runs'])}", below == len(mine["runs"])))
    yield "| aim | seen | met |"
    yield "|---|---|---|"
    for text, seen, met in rows:
        yield f"| {text} | {seen} | {'yes' if met else '**no**'} |"


def _figures(cases: list[dict[str, Any]]) -> Iterator[str]:
    """Give a row to each figure and a column to each case."""
    yield f"| | | {' | '.join(case['name'] for case in cases)} |"
    yield "|---|---|" + "---:|" * len(cases)
    engines = " | ".join(case["config"] for case in cases)
    yield f"| engine config of ours | | {engines} |"
    for what, title in _TITLES.items():
        for entry in (entry for entry in cases[0]["figures"] if entry["what"] == what):
            tool, setting = entry["tool"], entry["setting"]
            seen = " | ".join(_cell(pick(case, what, tool, setting)) for case in cases)
            yield f"| {title} | {tool}, {setting} | {seen} |"


def _cell(entry: dict[str, Any]) -> str:
    """Write the worst error; of all else the median and the ends."""
    if entry["what"] in (ERROR_LAST, ERROR_ALL):
        return f"{entry['max']:.2e}"
    middle, least, most = (_number(entry[key]) for key in ("median", "min", "max"))
    return f"{middle} ({least} to {most})"


def _number(value: float) -> str:
    """Write three digits, whole numbers whole."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
