"""Tables of the documentation, made from docs/results/*.json.

``python -m workshop.tables`` rewrites what stands between ``<!-- table: NAME -->`` and
``<!-- end -->`` in README.md and docs/; ``--check`` fails if that would change anything.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lstm_sharp import files
from lstm_sharp.compiler.schedule import SCHEDULES, largest_square
from lstm_sharp.engine import config, storage
from lstm_sharp.engine.boards import KINDS
from lstm_sharp.errors import UsageError
from lstm_sharp.terminal import Parser
from workshop import bench_table, qualified, results, shape_tables
from workshop.recurrence import MOST_CHAINS, STEPS

_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LEVELS = {
    "float": "float model, NumPy",
    "golden": "golden model, integers",
    "csim": "csim: HLS C++ kernel",
    "rtl": "rtl: SystemVerilog engine, Verilated",
}


def main() -> int:
    """Rewrite the tables, or check them."""
    parser = Parser(description="Make the tables of the documentation.")
    parser.add_argument("--check", action="store_true", help="fail if a table is out of date")
    check = parser.parse_args().check
    try:
        stale = rewrite(check)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    if check and stale:
        print(f"tables out of date in {', '.join(stale)}; run `make tables`", file=sys.stderr)
    return int(check and bool(stale))


def rewrite(check: bool = False) -> list[str]:
    """Rewrite all tables, or only find out; return the names of pages that change.

    Raises:
        UsageError: a result is missing, or a page names a table that there is not.
    """
    changed = []
    for page in (results.DOCS.parent / "README.md", *sorted(results.DOCS.glob("*.md"))):
        text = page.read_text(encoding="utf-8")
        new = _MARKED.sub(lambda found: f"{found[1]}{_table(found[2])}\n{found[3]}", text)
        if new != text:
            changed.append(page.name)
            if not check:
                files.write_text(str(page), new)
    return changed


def _table(name: str) -> str:
    if name not in TABLES:
        raise UsageError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]()


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows, the first as the head."""
    lines = ["|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _demo() -> str:
    seen = results.read("demo")
    rtl = seen["rtl"]
    clock = config.load(rtl["config"]).clock_mhz
    per_step = rtl["cycles"] / rtl["steps"]
    rows = [["level", "accuracy", "worst error of h", "cycles a step", "utilisation", "µs a step"]]
    for name, text in _LEVELS.items():
        kind = "simulated" if name in ("csim", "rtl") else "measured"
        error = "" if name == "float" else f"{seen[name]['error']:.2g}"
        rows.append([text, f"{seen[name]['accuracy']:.2%} *{kind}*", error, "", "", ""])
    rows[-1][3:] = [
        f"{per_step:.1f} *simulated*",
        f"{rtl['utilization']:.3f} *simulated*",
        f"{per_step / clock:.2f} at {clock} MHz *estimated*",
    ]
    return _markdown(rows)


def _engines() -> str:
    """One column a board config, what it is and what it reaches."""
    resources, figures = results.read("resources"), results.read("figures")
    configs = [config.load(name) for name in config.shipped()]
    configs = [cfg for cfg in configs if cfg.board != "none"]

    def row(title: str, of: Callable[[config.Config], str]) -> list[str]:
        return [title, *(of(cfg) for cfg in configs)]

    def used(kind: str) -> Callable[[config.Config], str]:
        def text(cfg: config.Config) -> str:
            seen = resources[cfg.name]
            return f"{seen['used'][kind]:,g} of {seen['free'][kind]:,}"

        return text

    def utilization(chains: int) -> Callable[[config.Config], str]:
        def text(cfg: config.Config) -> str:
            runs = [r for r in figures["runs"] if (r["config"], r["chains"]) == (cfg.name, chains)]
            sizes = sorted({run["size"] for run in runs})
            best = [max(r["utilization"] for r in runs if r["size"] == size) for size in sizes]
            return ", ".join(f"{size}: {value:.3f}" for size, value in zip(sizes, best))

        return text

    def weights(cfg: config.Config) -> str:
        kilobytes = cfg.weight_tiles * cfg.macs * cfg.fmt.weight_bits // 8 / 1024
        return f"{kilobytes:,.0f} KiB, X = H up to {largest_square(cfg)}"

    def witness(cfg: config.Config) -> str:
        return "passes" if resources[cfg.name]["witness"] else "**fails**"

    return _markdown(
        [
            row("engine config", lambda cfg: f"`{cfg.name}`"),
            row("board, format", lambda cfg: f"{resources[cfg.name]['board']}, {cfg.format}"),
            row(
                "tile K x N", lambda cfg: f"{cfg.rows} x {cfg.columns} = {cfg.macs:,} MACs a cycle"
            ),
            row("weights held", weights),
            *(
                row(f"utilisation at X = H, {what} of {figures['steps']} steps *simulated*", of)
                for what, of in (
                    ("one sequence", utilization(1)),
                    ("four side by side", utilization(4)),
                )
            ),
            row("tail D, cycles *simulated*", lambda cfg: str(cfg.tail)),
            *(row(f"{kind.upper()} of those free *estimated*", used(kind)) for kind in KINDS),
            row("paths of at most 4 LUTs and a carry chain", witness),
        ]
    )


def _schedules() -> str:
    """Cycles a step of each run, utilisation, and what limits it."""
    seen = results.read("figures")["runs"]
    head = ["config", "X = H", "chains", *(f"`{name}`" for name in SCHEDULES)]
    rows = [[*head, "bound", "limited by"]]
    for case in dict.fromkeys((run["config"], run["size"], run["chains"]) for run in seen):
        name, size, chains = case
        of = {run["schedule"]: run for run in seen if _of(run, name, size, chains)}
        cells = [f"{of[s]['cycles_per_step']:.1f} ({of[s]['utilization']:.3f})" for s in SCHEDULES]
        last = of[SCHEDULES[-1]]
        bound = last["cycles_per_step"] * last["lower_bound"] / last["cycles"]
        rows.append(
            [f"`{name}`", str(size), str(chains), *cells, f"{bound:.1f}", last["limited_by"]]
        )
    return _markdown(rows)


def _resources() -> str:
    """What Yosys counts, beside what storage.py works out."""
    seen = results.read("resources")
    rows = [["config", *(kind.upper() for kind in KINDS), "memories worked out", "longest path"]]
    for name in config.shipped():
        used, free = seen[name]["used"], seen[name]["free"]
        counts = [f"{used[k]:,g}" + (f" of {free[k]:,}" if free else "") for k in KINDS]
        cfg = config.load(name)
        memories = {"sv": storage.memories(cfg), "hls": storage.kernel_memories(cfg.of("hls"))}
        worked_out = "; ".join(
            f"{engine}: {storage.total(of, 'bram36'):g} BRAM36, {storage.total(of, 'uram'):g} URAM"
            + (f", {storage.total(of, 'lutram'):,g} LUTRAM" if engine == "hls" else "")
            for engine, of in memories.items()
        )
        longest = seen[name]["longest"].split(":")[0]
        rows.append([f"`{name}`", *counts, worked_out, longest])
    return _markdown(rows)


def _recurrences() -> str:
    """LUT levels and carry chains of each update of the C++ kernel."""
    seen = results.read("recurrences")
    rows = [["update of", *(f"`{name}`, {of['clock_mhz']} MHz" for name, of in seen.items())]]
    for step, what in STEPS.items():
        found = [of["updates"][step] for of in seen.values()]
        cells = [
            f"{depth['luts']} LUT, {depth['chains']} carry"
            + (" **too deep**" if depth["fails"] else "")
            + (f"; {depth['ns']} ns" if depth["ns"] else "")
            for depth in found
        ]
        rows.append([f"`{step}`: {what}", *cells])
    allowed = [next(iter(of["updates"].values()))["most"] for of in seen.values()]
    rows.append(["allowed", *(f"{most} LUT, {MOST_CHAINS} carry" for most in allowed)])
    return _markdown(rows)


def _of(run: dict[str, Any], name: str, size: int, chains: int) -> bool:
    return (run["config"], run["size"], run["chains"]) == (name, size, chains)


TABLES: dict[str, Callable[[], str]] = {
    "demo": _demo,
    "engines": _engines,
    "schedules": _schedules,
    "resources": _resources,
    "recurrences": _recurrences,
    "bench": lambda: bench_table.table(results.read("bench")),
    "best_k": lambda: _markdown(shape_tables.best_k(results.read("shapes"))),
    "reconfiguration": lambda: _markdown(shape_tables.reconfiguration(results.read("shapes"))),
    "ladder": lambda: _markdown(shape_tables.ladder(results.read("shapes"))),
    "shape_resources": lambda: _markdown(shape_tables.resources(results.read("shape_resources"))),
    "qualified": lambda: _markdown(rows) if (rows := qualified.rows()) else "None yet.",
}
"""What makes each table, by the name in its page."""


if __name__ == "__main__":
    sys.exit(main())
