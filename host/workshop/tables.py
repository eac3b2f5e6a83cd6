"""Tables of the documentation, made from docs/results/*.json.

``python -m workshop.tables`` rewrites what stands between ``<!-- table: NAME -->`` and
``<!-- end -->`` in README.md, docs/, its tutorials/ and paper/, and configs/README.md; ``--check``
fails if that would change anything, or if a picture is of other results.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from lstm_sharp import files
from lstm_sharp.compiler.cycles import predict
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.limits import largest_square
from lstm_sharp.compiler.schedule import SCHEDULES, make_plan
from lstm_sharp.engine import config, knobs, storage
from lstm_sharp.engine.boards import KINDS, boards, facts
from lstm_sharp.engine.config import LIMITS, MEANINGS, Config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.design import divided
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.formats import KNOWN
from lstm_sharp.package import folder, graphs
from lstm_sharp.terminal import Parser, ended
from workshop import bench_table, mutants, pictures, results
from workshop.paper import page as paper
from workshop.recurrence import MOST_CHAINS, STEPS

_LEVELS = {
    "float": "float model, NumPy",
    "golden": "golden model, integers",
    "csim": "csim: HLS C++ kernel",
    "rtl": "rtl: SystemVerilog engine, Verilated",
}
_BASE, _SIZE, _STEPS = "zcu104", 256, 100
"""Engine, X = H and steps that show what a knob costs."""
_KINDS = {"dsp": "DSP", "bram36": "BRAM36", "uram": "UltraRAM", "lutram": "LUTRAM"}
_OTHER: dict[str, dict[str, Any]] = {
    "format": {"format": "W16A16"},
    "lanes": {"lanes": 4},
    "uram_columns": {"uram_columns": 0},
    "max_shift": {"max_shift": 15},
    "clock_mhz": {},
    "min_tail": {},
    "row_scales": {"row_scales": 0},
    "gru": {"gru": 0},
    "packed": {"packed": 2, "format": "W8A8"},
    "lut_columns": {"lut_columns": 4},
    "k_list": {"k_list": (32, 64, 128)},
}
"""Other values than twice as much that show it; none where it costs nothing of this."""
_VALUES = {"format": KNOWN, "k_list": "a list of up to 8"}
"""What knobs may be that are no numbers."""
Rows = list[list[str]]


def main() -> int:
    """Rewrite the tables, or check them."""
    parser = Parser(description="Make the tables of the documentation.")
    parser.add_argument("--check", action="store_true", help="fail if a table is out of date")
    check = parser.parse_args().check
    return ended(partial(_main, check))


def _main(check: bool) -> int:
    stale = rewrite(check)
    if check and stale:
        print(f"tables out of date in {', '.join(stale)}; run `make tables`", file=sys.stderr)
    if check and (old := pictures.stale() + paper.stale()):
        print(
            f"pictures out of date: {', '.join(old)}; run `make pictures` or `make paper`",
            file=sys.stderr,
        )
        return 1
    return int(check and bool(stale))


def rewrite(check: bool = False) -> list[str]:
    """Rewrite all tables, or only find out; return the names of pages that change.

    Raises:
        UsageError: a result is missing, or a page names a table that there is not.
    """
    changed = []
    root = results.DOCS.parent
    for page in (
        *(root / "README.md", root / "configs/README.md", root / "docs/paper/README.md"),
        *sorted([*root.glob("docs/*.md"), *root.glob("docs/tutorials/*.md")]),
    ):
        text = page.read_text(encoding="utf-8")
        new = results.fill(text, _table)
        if new != text:
            changed.append(str(page.relative_to(root)))
            if not check:
                files.write_text(str(page), new)
    return changed


def _table(name: str) -> str:
    if name == "bench":
        return bench_table.table(results.read(name))
    if name in paper.TABLES:
        return results.markdown(paper.TABLES[name](paper.found()))
    if name not in TABLES:
        raise UsageError(f"there is no table {name!r}; there are {', '.join(TABLES)}")
    rows = TABLES[name]()
    return results.markdown(rows) if len(rows) > 1 else "None yet."


def _demo() -> Rows:
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
    return rows


def _engines() -> Rows:
    """One column a board config that is simulated, what it is and what it reaches."""
    simulated = {run["config"] for run in results.read("figures")["runs"]}
    columns = [_engine(cfg) for cfg in _of_boards() if cfg.name in simulated]
    return [[title, *(column[title] for column in columns)] for title in columns[0]]


def _kib(cfg: Config) -> float:
    return cfg.weight_tiles * cfg.macs * cfg.fmt.weight_bits / 8 / 1024


def _engine(cfg: Config) -> dict[str, str]:
    seen, figures = results.read("resources")[cfg.name], results.read("figures")

    def utilization(chains: int) -> str:
        best: dict[int, float] = {}
        for run in figures["runs"]:
            if (run["config"], run["chains"]) == (cfg.name, chains):
                best[run["size"]] = max(best.get(run["size"], 0), run["utilization"])
        return ", ".join(f"{size}: {value:.3f}" for size, value in sorted(best.items()))

    of_steps = f"of {figures['steps']} steps *simulated*"
    used, free = seen["used"], seen["free"]
    return {
        "engine config": f"`{cfg.name}`",
        "board, format": f"{seen['board']}, {cfg.format}",
        "tile K x N": f"{cfg.rows} x {cfg.columns} = {cfg.macs:,} MACs a cycle",
        "weights held": f"{_kib(cfg):,.0f} KiB, X = H up to {largest_square(cfg)}",
        f"utilisation at X = H, one sequence {of_steps}": utilization(1),
        f"utilisation at X = H, four side by side {of_steps}": utilization(4),
        "tail D, cycles *simulated*": str(cfg.tail),
        **{f"{k.upper()} of those free *estimated*": f"{used[k]:,g} of {free[k]:,}" for k in KINDS},
        "paths of at most 4 LUTs and a carry chain": "passes" if seen["witness"] else "**fails**",
    }


def _of_boards() -> list[Config]:
    return [cfg for cfg in map(config.load, config.shipped()) if cfg.board != "none"]


def _boards() -> Rows:
    """What each board has, and the engine that its name stands for."""
    head = ("board", "device", *("LUT", "BRAM36", "UltraRAM", "DSP"), "config", "K x N")
    rows = [[*head, "weights held", "clock, MHz"]]
    engines = {facts(cfg.board).part: cfg for cfg in reversed(_of_boards())}
    for name in sorted(boards(), key=lambda name: (config.load(name).macs, name)):
        on = facts(name)
        cfg = engines[on.part]
        cells = [f"`{name}`", f"`{on.part}`"]
        cells += [f"{on.has[kind]:,}" for kind in ("lut", "bram36", "uram", "dsp")]
        cells += [f"`{cfg.name}`", f"{cfg.rows} x {cfg.columns} = {cfg.macs:,}"]
        cells += [f"{_kib(cfg):,.0f} KiB, X = H up to {largest_square(cfg)}"]
        rows.append([*cells, f"{divided(on.pll_mhz, cfg.clock_mhz)[0]:.4g}"])
    return rows


def _knobs() -> Rows:
    """Each knob as it is declared, and what another value of it costs on one engine."""
    head = ("knob", "value", "what", f"`{_BASE}` with", *_KINDS.values(), "cycles a step")
    rows, base = [list(head)], config.resized(config.load(_BASE), board="none")
    before = _costs(base)
    rows.append(["", "", "", "as it is", *(f"{n:,g}" for n in before)])
    for name, what in MEANINGS.items():
        least, most = LIMITS.get(name, (None, None))
        value = _VALUES.get(name, "a text") if least is None else f"{least} to {most:,}"
        other = _OTHER.get(name, {name: 2 * getattr(base, name)} if least is not None else {})
        after = _costs(config.resized(base, **other)) if other else before
        cells = [f"{b - a:+,g}" if a != b else "" for a, b in zip(before, after)]
        told = ", ".join(f"{v:,}" if isinstance(v, int) else str(v) for v in other.values())
        rows.append([f"`{name}`", value, what, told, *cells])
    return rows


def _costs(cfg: Config) -> list[float]:
    """DSPs, memories of the engine with more of them, and cycles a step of one sequence."""
    plan = make_plan([LayerShape(_SIZE, _SIZE)], cfg, "best", sequences=1)
    cycles = predict(cfg, plan.program([_STEPS])).cycles / _STEPS
    taken = storage.most(cfg)
    return [cfg.dsps, *(taken[kind] for kind in list(_KINDS)[1:]), round(cycles)]


def _processor() -> Rows:
    """A PC's processor beside the engines that hold a layer, one sequence at a time."""
    seen = results.read("paper/measured")["cpu"]
    rows = [["X = H, steps", f"float32, {seen['processor']} *measured on a PC*", "int8, the same"]]
    rows[0] += [f"`{name}` *modelled*" for name in _ENGINES]
    alone = [one for one in seen["rows"] if one["batch"] == 1]
    for size, steps in dict.fromkeys((one["hidden"], one["steps"]) for one in alone):
        cells = [f"{size:,}, {steps}"]
        for kind in ("float32", "dynamic int8"):
            best = min(
                (o for o in alone if (o["hidden"], o["numbers"]) == (size, kind)),
                key=lambda one: one["median_ms"],
            )
            threads = "1 thread" if best["threads"] == 1 else f"{best['threads']} threads"
            cells.append(f"{best['median_ms']:.2f} ms, {best['library']}, {threads}")
        for cfg in map(config.load, _ENGINES):
            if size > largest_square(cfg):
                cells.append("does not hold it")
                continue
            plan = make_plan([LayerShape(size, size)], cfg, "best", sequences=1)
            cycles = predict(cfg, plan.program([steps])).cycles
            cells.append(f"{cycles / cfg.clock_mhz / 1e3:.2f} ms at {cfg.clock_mhz} MHz")
        rows.append(cells)
    return rows


_ENGINES = ("pynq-z2", "pynq-z2-fast", "kv260", "zcu104")
"""What a processor is shown beside."""


def _schedules() -> Rows:
    """Cycles a step of each run, utilisation, and what limits it."""
    head = ["config", "X = H", "chains", *(f"`{name}`" for name in SCHEDULES)]
    cases: dict[tuple[str, int, int], dict[str, Any]] = {}
    for run in results.read("figures")["runs"]:
        case = cases.setdefault((run["config"], run["size"], run["chains"]), {})
        case[run["schedule"]] = run
    rows = [[*head, "bound", "limited by"]]
    for (name, size, chains), of in cases.items():
        cells = [f"{of[s]['cycles_per_step']:.1f} ({of[s]['utilization']:.3f})" for s in SCHEDULES]
        last = of[SCHEDULES[-1]]
        bound = last["cycles_per_step"] * last["lower_bound"] / last["cycles"]
        rows.append(
            [f"`{name}`", str(size), str(chains), *cells, f"{bound:.1f}", last["limited_by"]]
        )
    return rows


def _resources() -> Rows:
    """What Yosys counts, beside what storage.py works out."""
    seen = results.read("resources")
    rows = [["config", *(kind.upper() for kind in KINDS), "memories worked out", "longest path"]]
    for name in config.shipped():
        used, free = seen[name]["used"], seen[name]["free"]
        counts = [f"{used[k]:,g}" + (f" of {free[k]:,}" if free else "") for k in KINDS]
        cfg = config.load(name)
        sv, hls = (
            {kind: storage.total(memories, kind) for kind in ("bram36", "uram", "lutram")}
            for memories in (storage.memories(cfg), storage.kernel_memories(cfg.of("hls")))
        )
        worked_out = (
            f"sv: {sv['bram36']:g} BRAM36, {sv['uram']:g} URAM; hls: {hls['bram36']:g} BRAM36, "
            f"{hls['uram']:g} URAM, {hls['lutram']:,g} LUTRAM"
        )
        rows.append([f"`{name}`", *counts, worked_out, seen[name]["longest"].split(":")[0]])
    return rows


def _resource_model() -> Rows:
    """Engines that the model of resources is not fitted to: counted, and how far it is off."""
    rows = [["engine", "LUT, counted", "estimated", "off", "BRAM36", "off", "URAM", "DSP", "off"]]
    for one in results.read("resource_model")["held_out"]:
        used, told = one["used"], one["estimated"]
        off = {kind: f"{told[kind] / (used[kind] or 1) - 1:+.1%}" for kind in told}
        cells = [f"{used['lut']:,}", f"{told['lut']:,.0f}", off["lut"], f"{used['bram36']:g}"]
        cells += [off["bram36"], f"{used['uram']:g}", f"{used['dsp']:,}", off["dsp"]]
        rows.append([f"`{one['engine']}`", *cells])
    return rows


def _resource_costs() -> Rows:
    """What a unit of each part takes, as fitted, and what it was drawn up to take."""
    told = results.read("resource_model")
    head = f"LUTs of a unit, fitted to {len(told['counted'])} engines"
    rows = [["part", head, "as written"]]
    for part, cost in told["costs"].items():
        rows.append([part, f"{cost:,.4g}", f"{told['drawn_up'][part]:,g}"])
    return rows


def _recurrences() -> Rows:
    """LUT levels and carry chains of each update of the C++ kernel."""
    read = results.read("recurrences")
    seen = {name: read[name] for name in config.shipped()}
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
    return rows


def _shape_resources() -> Rows:
    """What lists of K's cost: LUTs beside those of the first K alone, and the rest."""
    head = ["MACs", "K", "D", "LUT", "of one shape's", "FF", "BRAM36", "URAM", "DSP"]
    rows = [[*head, "longest path"]]
    alone: dict[int, float] = {}
    for one in results.read("shape_resources")["engines"]:
        used = one["used"]
        share = used["lut"] / alone.setdefault(one["macs"], used["lut"])
        longest, *failing = (p.split(":")[0] for p in (one["longest"], *one["failing"]))
        cells = [f"{one['macs']:,}", ", ".join(map(str, one["k_list"])), str(one["tail"])]
        cells += [f"{used['lut']:,g}", f"{share:.2f}"]
        cells += [f"{used[kind]:,g}" for kind in ("ff", "bram36", "uram", "dsp")]
        rows.append([*cells, longest if one["witness"] else f"**fails**: {', '.join(failing)}"])
    return rows


def _tried() -> Rows:
    """The arrays that were tried for each config, fastest first, the config's own in bold."""
    head = "config, format|K x N|all K|lanes|columns of LUTs|DSP|LUT, estimated|D|steps a second"
    rows = [[*head.split("|"), "utilisation, one sequence", "four"]]
    shown = (32, 64, 128, 256)
    for name, found in results.read("arrays")["tried"].items():
        cfg, title = config.load(name), f"`{name}`, {config.load(name).format}"
        for one in found:
            own = all(one[k] == cfg.knobs().get(k, 0) for k in _ARRAY) and not one["k_list"]
            cells = [f"{one['rows']} x {one['columns']}", ", ".join(map(str, one["k_list"]))]
            cells += [f"{one[k]:,}" for k in ("lanes", "lut_columns", "dsps", "luts", "tail")]
            cells.append(f"{one['steps_per_second']:,}")
            for seen in one["utilization"].values():
                cells.append(", ".join(f"{seen[str(size)]:.2f}" for size in shown))
            rows.append([title, *(f"**{cell}**" if own and cell else cell for cell in cells)])
            title = ""
    return rows


_ARRAY = ("rows", "columns", "lanes", "lut_columns")
"""Knobs that tell arrays of one shape apart."""


def _reached() -> Rows:
    """What chosen arrays reach on the RTL: packed layers, and the demo's model."""
    seen = results.read("arrays")["simulated"]
    head = "engine|K x N|model|cycles a step *simulated*|utilisation|MACs a DSP and cycle"
    rows = [[*head.split("|"), "beside 8 x 26"]]
    for name in ("packed", "demo"):
        for one in seen[name]:
            layers = {"packed": f"X = H = {one['input_size']}, 4 sequences", "demo": "the demo's"}
            cells = [f"`{one['config']}`, {one['format']}", one["tile"], layers[name]]
            cells += [f"{one['cycles'] / one['steps']:.1f}", f"{one['utilization']:.3f}"]
            beside = one["cycles"] / seen["demo_before"]
            rows.append([*cells, f"{one['macs_per_dsp']:.2f}", f"{beside:.2f}"])
            rows[-1][-1] *= name == "demo"
    return rows


def _ocr() -> Rows:
    """LSTM-PYNQ's network, theirs measured on a board and ours simulated."""
    seen, published = results.read("arrays"), results.read("paper/published")["lstm_pynq"]
    counted = {one["config"]: one for one in seen["counted"]}
    counted |= results.read("resources")
    head = "format|theirs: ms a line, GOPS *measured*|in our count|ours: engine|K x N"
    head += "|ms a line *simulated*|GOPS *simulated*|times theirs|LUT, DSP, BRAM36 *estimated*"
    rows = [[*head.split("|"), "longest path"]]
    for one in seen["simulated"]["ocr"]:
        theirs, used = published["formats"][one["format"]], counted[one["config"]]["used"]
        ours = one["cycles"] / 1e5
        told = (f"{used[kind]:,g}" for kind in ("lut", "dsp", "bram36"))
        cells = [one["format"], f"{theirs['ms']:.2f}, {theirs['gops']:.1f}"]
        cells += [f"{one['gops'] * ours / theirs['ms']:.1f}", f"`{one['config']}`", one["tile"]]
        cells += [f"{ours:.2f}", f"{one['gops']:.0f}", f"{theirs['ms'] / ours:.1f}"]
        rows.append([*cells, ", ".join(told), counted[one["config"]]["longest"].split(":")[0]])
    return rows


def _gallery() -> Rows:
    """Of each published model what runs on the engine, how far it is from float, and its time."""
    head = "model|what it tells|on the engine|W8A16|W16A16|W8A8|W8A16, to ONNX Runtime"
    rows = [[*head.split("|"), "config", "cycles a step, µs *simulated*"]]
    for one in results.read("gallery")["exhibits"]:
        clock, steps = config.load(one["config"]).clock_mhz, one["steps"]
        cells = [_off(one["of_float"][fmt]) for fmt in ("W8A16", "W16A16", "W8A8")]
        cells.append(_off(one["errors"]["W8A16"]))
        time = f"{one['cycles'] / steps:,.0f}, {one['cycles'] / steps / clock:.1f}"
        if one["by_levels"]:
            time += f"; weights {one['load_cycles'] / clock:,.0f} µs a call"
        name = one["name"] + (f", `{one['file']}`" if one["file"] else "")
        rows.append(
            [name, one["what"], "; ".join(one["parts"]), *cells, f"`{one['config']}`", time]
        )
    return rows


def _gallery_causes() -> Rows:
    """Where the error of those comes from that are further off than is aimed at."""
    far = [one for one in results.read("gallery")["exhibits"] if one["causes"]]
    names = list(dict.fromkeys(name for one in far for name in one["causes"]))
    rows = [["model", "all, at W8A16", *names, "all, at W16A16"]]
    for one in far:
        causes = [_off(one["causes"][name]) if name in one["causes"] else "" for name in names]
        ends = (_off(one["of_float"][fmt]) for fmt in ("W8A16", "W16A16"))
        rows.append([one["name"], next(ends), *causes, next(ends)])
    return rows


def _off(error: dict[str, float]) -> str:
    return f"{error['worst']:.2g} ({error['rms']:.2g})"


def _mutants() -> Rows:
    return mutants.table(results.read("mutants")["mutants"])


def _survivors() -> Rows:
    """Mutants that no quick test sees, and why they may live."""
    rows = [["where", "change", "why it lives"]]
    for one in results.read("mutants")["mutants"]:
        if one["verdict"] == mutants.SURVIVED:
            change = one["change"].replace("|", "\\|").replace(" -> ", "` becomes `")
            where, why = f"{one['file']}:{one['line']}", mutants.reason(one) or "**a hole**"
            rows.append([where, f"`{change}`", why])
    return rows


def _coverage() -> Rows:
    """What ran of each language, with the files or rooms that ran least."""
    rows = [["what", "covered", "of", "share", "least"]]
    seen = results.read("coverage")
    for kind, counts in seen.items():
        if isinstance(counts, dict):
            covered, of = (sum(pair[n] for pair in counts.values()) for n in (0, 1))
            least = sorted(counts, key=lambda name: counts[name][0] / (counts[name][1] or 1))[:3]
            told = (f"{name} {counts[name][0] / (counts[name][1] or 1):.0%}" for name in least)
            under = f" under {', '.join(seen['tests'])}" * kind.startswith("python")
            cells = [f"{covered:,}", f"{of:,}", f"{covered / of:.1%}", ", ".join(told)]
            rows.append([kind + under, *cells])
    return rows


def _soak() -> Rows:
    seen = results.read("soak")
    head = "hours|cases alike|engines|sequences|steps|RTL cycles|csim slots|with stalls"
    head += "|on the virtual board|programs by chance"
    names = ["engines", "sequences", "steps", "cycles", "slots", "stalled", "boards", "programs"]
    cells = [f"{seen['seconds'] / 3600:.2f}", f"{seen['next']:,}"]
    return [head.split("|"), [*cells, *(f"{seen[name]:,}" for name in names)]]


def qualified() -> Rows:
    """Make a row for each board that was qualified, from docs/results/qualified/*.json.

    Raises:
        UsageError: a file that lacks something, or that a virtual board has completed.
    """
    head = (
        "board|engine|tools|II, depth of the slot loop|slack, ns|LUT, DSP, BRAM36|board's software"
    )
    rows = [[*head.split("|"), "bits", "cycles", "clock, MHz"]]
    for path in sorted((results.DOCS / "results" / "qualified").glob("*.json")):
        try:
            rows.append(_qualification(files.read_json(path)))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path} is no complete qualification ({type(error).__name__}: {error}); run.py "
                "of the package completes it on the board"
            ) from None
    return rows


def _qualification(seen: dict[str, Any]) -> list[str]:
    on_board, built, hls = seen["on_board"], seen["vivado"], seen.get("vitis")
    if on_board["virtual"]:
        raise ValueError("completed on a virtual board")
    tools = [f"Vitis HLS {hls['release']}"] if hls else []
    return [
        seen["board"],
        seen["engine"],
        ", ".join([*tools, f"Vivado {built['vivado']}"]),
        ", ".join(map(str, hls["loops"]["Slots"] if hls else ("", ""))),
        ", ".join(f"{kind} {value:g}" for kind, value in built["slack_ns"].items()),
        ", ".join(str(built["used"][kind]) for kind in ("lut", "dsp", "bram36")),
        f"pynq {on_board['pynq']}, Python {on_board['python']}, NumPy {on_board['numpy']}",
        on_board["bits"],
        str(on_board["cycles"]),
        str(on_board["clock_mhz"]),
    ]


def _formats() -> Rows:
    return [
        ["format", "number", "where it stands"],
        ["package of a stack", str(folder.VERSION), "`lstm_sharp_package` in `package.json`"],
        ["package of a graph", str(graphs.VERSION), "`lstm_sharp_graph` in `graph.json`"],
        ["quantised model", str(stored.VERSION), f"`version` in its member `{stored.MARK}`"],
        [
            *("program, streams and register map", str(knobs.INTERFACE_VERSION)),
            "in the hash that the identity register shows",
        ],
    ]


def _proofs() -> Rows:
    """Each unit's proof on each config."""
    rows = [["config", "unit", "assertions", "induction, cycles", "covers at", "seconds"]]
    for name, units in results.read("proofs").items():
        for unit, one in units.items():
            cells = (one["assertions"], one["depth"], one["covers"] or "", one["seconds"])
            rows.append([f"`{name}`", f"`{unit}`", *map(str, cells)])
    return rows


TABLES: dict[str, Callable[[], Rows]] = {
    "formats": _formats,
    "demo": _demo,
    "engines": _engines,
    "boards": _boards,
    "knobs": _knobs,
    "processor": _processor,
    "schedules": _schedules,
    "resources": _resources,
    "resource_model": _resource_model,
    "resource_costs": _resource_costs,
    "recurrences": _recurrences,
    "shape_resources": _shape_resources,
    "arrays": _tried,
    "reached": _reached,
    "ocr": _ocr,
    "gallery": _gallery,
    "gallery_causes": _gallery_causes,
    "qualified": qualified,
    "proofs": _proofs,
    "mutants": _mutants,
    "survivors": _survivors,
    "coverage": _coverage,
    "soak": _soak,
}
"""What makes each table, by the name in its page, but for that of the bench."""


if __name__ == "__main__":
    sys.exit(main())
