"""Coverage: Python's lines under the tests, both engines' under drawn cases (``make coverage``)."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import any_program
from cases import ENGINES, KERNELS, draw
from lstm_sharp import paths
from lstm_sharp.flow import csim, verilate
from lstm_sharp.runtime import engines
from lstm_sharp.terminal import Parser, ended
from workshop import results

BUILD = Path("build/coverage").resolve()
SIMULATED = ("tiny", "shapes")
"""Engines whose lines are counted together."""
CASES = 24
"""Drawn cases on each, every third with streams that stall, and a hundred programs by chance."""
Counts = dict[str, list[int]]
"""Covered and all, by room or file."""


def python(tests: Sequence[str]) -> Counts:
    """Run tests, and count the lines of each room of ``lstm_sharp`` that ran in any process."""
    import coverage

    source = paths.hardware().parent / "host/lstm_sharp"
    shutil.rmtree(BUILD / "python", ignore_errors=True)
    (BUILD / "python").mkdir(parents=True)
    settings = BUILD / "python/coveragerc"
    lines = f"parallel = true\nsource = {source}\ndata_file = {BUILD}/python/data"
    settings.write_text(f"[run]\n{lines}\ndisable_warnings = no-data-collected, not-imported\n")
    env = os.environ | {"COVERAGE_PROCESS_START": str(settings)}
    shared = ("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder")  # as make test does
    subprocess.run([sys.executable, "-m", "pytest", "-q", *shared, *tests], env=env, check=False)
    seen = coverage.Coverage(config_file=str(settings))
    seen.combine()
    found: Counts = defaultdict(lambda: [0, 0])
    for path in sorted(source.rglob("*.py")):
        _, statements, _, missing, _ = seen.analysis2(str(path))
        room = path.relative_to(source).parts[0]
        found[room][0] += len(statements) - len(missing)
        found[room][1] += len(statements)
    return dict(found)


def rtl() -> tuple[Counts, Counts]:
    """Count lines and branches of the SystemVerilog, by file, on the engines together."""
    home = Path(verilate.verilator_of(verilate.environment())).resolve().parents[1]
    counter = next(home.rglob("verilated_cov.cpp"))
    hits: Counter[tuple[str, str, str]] = Counter()
    with mock.patch.object(verilate, "FLAGS", (*verilate.FLAGS, "--coverage-line", str(counter))):
        for name in SIMULATED:
            executable = engines.build("rtl", ENGINES[name], BUILD)
            for old in executable.parent.glob("coverage-*.dat"):
                old.unlink()
            _simulate(name, executable, "rtl")
            for path in executable.parent.glob("coverage-*.dat"):
                for key, count in _points(path.read_text(encoding="latin-1")):
                    hits[key] += count
    lines, branches = (_by_file(hits, f"v_{kind}") for kind in ("line", "branch"))
    return lines, branches


def _points(text: str) -> Iterator[tuple[tuple[str, str, str], int]]:
    """Yield kind, file and place of each point of a file of Verilator's, and its count."""
    for keys, count in re.findall(r"^C '(.*)' (\d+)$", text, re.MULTILINE):
        point = dict(part.split("\x02", 1) for part in keys.split("\x01")[1:])
        place = f"{point['l']}.{point.get('n', '')}.{point.get('o', '')}"
        yield (point["page"].split("/")[0], Path(point["f"]).name, place), int(count)


def _by_file(hits: Counter[tuple[str, str, str]], kind: str) -> Counts:
    found: Counts = defaultdict(lambda: [0, 0])
    for (of, name, _), count in hits.items():
        if of == kind and name != "engine_checks.sv":
            found[name][0] += count > 0
            found[name][1] += 1
    return dict(sorted(found.items()))


def kernel() -> Counts:
    """Count lines of the C++ kernel, by file, on the engines together."""
    variant = csim.Variant("csim-coverage", csim.gcc, ("-O0", "--coverage", *csim.CONVERSION))
    hits: Counter[tuple[str, int]] = Counter()
    for name in SIMULATED:
        executable = csim.build(KERNELS[name], BUILD, variant)
        folder = executable.parent
        for old in folder.glob("*.gcda"):
            old.unlink()
        _simulate(name, executable, "csim")
        told = ["gcov", "--json-format", *map(str, folder.glob("*.gcda"))]
        subprocess.run(told, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for path in folder.glob("*.gcov.json.gz"):
            for file in json.loads(gzip.decompress(path.read_bytes()))["files"]:
                if "kernel" in Path(file["file"]).parts:
                    for line in file["lines"]:
                        key = Path(file["file"]).name, line["line_number"]
                        hits[key] += line["count"]
    found: Counts = defaultdict(lambda: [0, 0])
    for (name, _), count in hits.items():
        found[name][0] += count > 0
        found[name][1] += 1
    return dict(sorted(found.items()))


def _simulate(name: str, executable: Path, backend: str) -> None:
    cfg = ENGINES[name].of(engines.kind(backend))
    for seed in range(CASES):
        stall = ["--stall", str(seed)] if seed % 3 == 2 and backend == "rtl" else []
        wrong, _ = draw(cfg, seed).play(executable, stall)
        assert not wrong, wrong
    any_program.try_all(cfg, executable, 1, 100)


def total(counts: Counts) -> list[int]:
    """Add what is covered, and all."""
    return [sum(pair[n] for pair in counts.values()) for n in (0, 1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write docs/results/coverage.json."""
    parser = Parser(prog="make coverage", description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", help="pytest's names of what runs; default: all")
    asked = parser.parse_args(arguments)

    def measure() -> None:
        lines, branches = rtl()
        found: dict[str, Any] = {
            "tests": asked.tests or ["all but the slow ones"],
            "engines": list(SIMULATED),
            "rtl lines": lines,
            "rtl branches": branches,
            "kernel lines": kernel(),
            "python lines": python(asked.tests),
        }
        results.write("coverage", found)
        for kind, counts in found.items():
            if isinstance(counts, dict):
                print(f"{kind}: {total(counts)[0] / total(counts)[1]:.1%}")
                for name, (covered, of) in counts.items():
                    print(f"    {covered:5,} of {of:5,}  {covered / (of or 1):6.1%}  {name}")

    return ended(measure)


if __name__ == "__main__":
    sys.exit(main())
