"""``make bench``: hls4ml and ours side by side, in one run and one environment.

``python -m bench.bench`` in tests/ writes docs/results/bench.json, the table in docs/bench.md and
docs/pictures/bench.png; ``--quick`` runs the smallest size once and writes build/bench.json alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench import chart, machine, theirs
from bench.case import CASES, Case, Subject
from bench.compare import figures
from bench.ours import FORMATS, Csim, Golden
from lstm_sharp import files
from lstm_sharp.errors import UsageError
from workshop import bench_table as report
from workshop import results, tables

SEEDS, RUNS = (0, 1, 2), 2
"""A model for each seed, built once and run so many times."""
_TOLD = ("name", "input_size", "hidden_size", "steps", "config", "reuse")
ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; return its exit status."""
    parser = argparse.ArgumentParser(prog="bench", description="Time hls4ml and ours in turn.")
    parser.add_argument("--quick", action="store_true", help="smallest size, one run of each")
    quick = parser.parse_args(arguments).quick
    console = Console()
    try:
        if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
            raise UsageError("golden is timed on one thread: set OPENBLAS_NUM_THREADS=1")
        theirs.check_installed()
        asked = (CASES[:1], SEEDS[:1], 1) if quick else (CASES, SEEDS, RUNS)
        measured = _measure(console, *asked)
        where = _write(measured, quick)
    except (UsageError, OSError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 2
    except KeyboardInterrupt:
        return 130
    print(report.table(measured))
    console.print(f"written: {', '.join(where)}")
    return 0


def _measure(
    console: Console, cases: Sequence[Case], seeds: Sequence[int], runs: int
) -> dict[str, Any]:
    measured: dict[str, Any] = {
        "schema": report.SCHEMA,
        "kind": "measured on a PC",
        **machine.describe(ROOT),
        "hls4ml settings": {setting.name: setting.describe() for setting in theirs.SETTINGS},
        "seeds": list(seeds),
        "cases": [],
    }
    built = len(theirs.SETTINGS) + len(FORMATS)
    steps = len(seeds) * (built + runs * (built + len(FORMATS)))  # golden is run, not built
    with Progress(console=console) as bars:
        for case in cases:
            task = bars.add_task(case.name, total=steps)

            def step(doing: str, case: Case = case, task: Any = task) -> None:
                bars.update(task, advance=1, description=f"{case.name}: {doing}")

            rounds = (_subjects(replace(case, seed=seed)) for seed in seeds)
            own = {name: getattr(case, name) for name in _TOLD}
            own |= {"sequences": {"hls4ml": case.few, "csim": case.sequences}}
            measured["cases"].append({**own, "figures": figures(rounds, runs, step)})
            bars.update(task, description=f"{case.name}, seeds {', '.join(map(str, seeds))}")
    return measured


def _subjects(case: Case) -> list[Subject]:
    """All simulations of a case, hls4ml's and ours in turn, so that drift meets both."""
    csims = [Csim(case, name) for name in FORMATS]
    others = [theirs.Hls4ml(case, setting) for setting in theirs.SETTINGS]
    turns = zip_longest(others, csims, map(Golden, csims))
    return [subject for turn in turns for subject in turn if subject is not None]


def _write(measured: dict[str, Any], quick: bool) -> list[str]:
    """Write JSON, tables and chart; of a quick run the JSON alone, and not to docs/."""
    if quick:
        Path("build").mkdir(exist_ok=True)
        files.write_text("build/bench.json", json.dumps(measured, indent=1) + "\n")
        return ["build/bench.json"]
    results.write("bench", measured)
    chart.draw(measured, results.DOCS / "pictures" / "bench.png")
    return ["docs/results/bench.json", "docs/pictures/bench.png", *tables.rewrite()]


if __name__ == "__main__":
    sys.exit(main())
