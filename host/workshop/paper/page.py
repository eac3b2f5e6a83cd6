"""The tables of docs/paper/README.md, each figure with its kind, and whether the page is fresh."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Any

from lstm_sharp.engine import config
from workshop import pictures, results
from workshop.paper.drawing import PICTURES
from workshop.paper.utilisation import BUDGETS

KINDS = (
    "simulated by us",
    "modelled by us",
    "measured by us",
    "published by them",
    "recalled",
    "not measured",
)
"""What a figure is; the last says that there is none."""
MODELLED = "*modelled by us*"
Rows = list[list[str]]
Found = dict[str, Any]


def found() -> Found:
    """Read what the page shows: ``published``, ``modelled``, ``measured``, and ours ``simulated``.

    Raises:
        UsageError: a part is missing.
    """
    parts = {name: results.read(f"paper/{name}") for name in ("published", "modelled", "measured")}
    return {**parts, "simulated": results.read("arrays")["simulated"]}


def drawn(seen: Found) -> dict[str, Any]:
    """Choose what pictures show."""
    return {name: seen[name] for name in ("published", "modelled")}


def stale() -> list[str]:
    """Return the page's pictures that are missing, or not of its results."""
    shown, folder = drawn(found()), results.DOCS / "paper"
    fresh = {name: pictures.drawn_from(name, shown).encode() for name in PICTURES}
    return [
        f"{name}.png"
        for name, digest in fresh.items()
        if not (path := folder / f"{name}.png").is_file() or digest not in path.read_bytes()
    ]


def _n(value: float, digits: int = 3) -> str:
    """Write a number with so many digits that count, thousands with commas."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _best_k(seen: Found) -> Rows:
    """Best K x N of each size and budget, and its utilisation."""
    study = seen["modelled"]["utilisation"]
    rows = [[f"MACs, all {MODELLED}", *(f"X = H = {size}" for size in study["sizes"])]]
    for row in study["best_k"]:
        cells = zip(row["k"], row["n"], row["utilization"])
        rows.append([f"{row['macs']:,}", *(f"{k} x {n}: {u:.3f}" for k, n, u in cells)])
    return rows


def _reconfiguration(seen: Found) -> Rows:
    """Mean utilisation of a list and of single K's, and that at 340."""
    study = seen["modelled"]["utilisation"]
    at = study["sizes"].index(340)

    def cell(of: list[float]) -> str:
        return f"{fmean(of):.3f} ({of[at]:.3f})" if of else "none"

    head = [f"MACs, all {MODELLED}", "sequences", "list", "each K of it alone", "best single K"]
    rows = [[*head, "run-time K", "and padding"]]
    for row in study["reconfiguration"]:
        alone = (f"{fmean(of):.3f}" if of else "none" for of in row["alone"].values())
        cells = [f"{row['macs']:,}", str(row["chains"]), ", ".join(map(str, row["k_list"]))]
        single = f"{row['single']['k']}: {cell(row['single']['utilization'])}"
        cells += [", ".join(alone), single, cell(row["no_padding"]), cell(row["padding"])]
        rows.append(cells)
    return rows


def _ladder(seen: Found) -> Rows:
    """Utilisation on each rung: of each budget the mean, with its K, and each size."""
    study = seen["modelled"]["utilisation"]
    names = [rung["name"] for rung in study["ladder"][0]["rungs"]]
    titles = [f"`{n}`" if " " not in n and n != "padding" else n for n in names]
    rows = [[f"MACs, all {MODELLED}", "X = H", *titles]]
    for budget in study["ladder"]:
        rungs = budget["rungs"]
        means = [f"**{fmean(rung['utilization']):.3f}**" for rung in rungs]
        ks = [f" K {rung['k'][0]}" if len(rung["k"]) == 1 else "" for rung in rungs]
        rows.append([f"{budget['macs']:,}", "mean", *(m + k for m, k in zip(means, ks))])
        for size, *cells in zip(study["sizes"], *(rung["utilization"] for rung in rungs)):
            rows.append(["", str(size), *(f"{cell:.3f}" for cell in cells)])
    return rows


def _steps(seen: Found) -> Rows:
    """Cycles a step of ours and of the rivals, by budget and size."""
    study = seen["modelled"]["rivals"]
    head = [f"MACs, cycles all {MODELLED}", "who"]
    rows = [[*head, *(f"X = H = {size}" for size in study["sizes"])]]
    for budget in study["budgets"]:
        lines = {"ours": budget["ours"]}
        lines |= {f"E-PUR, {name} units": of for name, of in budget["epur"].items()}
        lines |= {f"BrainWave, {name}": of for name, of in budget["brainwave"].items()}
        title = f"{budget['macs']:,}"
        for name, cycles in lines.items():
            rows.append([title, name, *(f"{value:,.1f}" for value in cycles)])
            title = ""
    return rows


def _speedups(seen: Found) -> Rows:
    """How many times as fast ours is, beside what the paper says."""
    study, networks = seen["modelled"]["rivals"], seen["modelled"]["networks"]
    epur, wave = ("wider", "more"), ("smaller tiles", "other lanes")
    head = ["geometric mean over", *(f"over E-PUR, {name} units" for name in epur)]
    rows = [[*head, *(f"over BrainWave, {name}" for name in wave), "its own 96,000 MACs"]]

    def row(what: str, of: Found, own: str = "") -> list[str]:
        values = [of["epur"][name] for name in epur] + [of["brainwave"][name] for name in wave]
        return [what, *(f"{value:.2f} {MODELLED}" for value in values), own]

    for budget in study["budgets"]:
        rows.append(row(f"{budget['macs']:,} MACs, X = H of 128 to 1024", budget["speedup"]))
    rows.append(row("the paper's four networks at four budgets", networks["speedup"]))
    own = f"{study['brainwave']['speedup']:.2f} {MODELLED}"
    rows.append(["DeepBench's five LSTMs", "", "", "", "", own])
    for paper in seen["published"]["paper"]:
        kind = f"*{paper['certainty']}*"
        told = f"{paper['fpga']} {kind}"
        rows.append([paper["version"], f"{paper['asic']} {kind}", "", told, "", ""])
    return rows


_EPUR_IDEAS = ("column segments: a tile of any shape", "`unfolded`", "`elementwise`", "padding")
_WAVE_IDEAS = (
    "a tail as ours for its chain",
    "tiles as ours, gates interleaved",
    "`unfolded`",
    "`elementwise`",
    "padding",
)


def _ideas(seen: Found) -> Rows:
    """What of each speedup comes from which idea, as factors."""
    study = seen["modelled"]["rivals"]
    rows = [[f"speedup, factors all {MODELLED}", "MACs", "whole", "of it"]]
    for rival, scaling, names in (
        ("epur", "wider", _EPUR_IDEAS),
        ("brainwave", "smaller tiles", _WAVE_IDEAS),
    ):
        title = {"epur": "over E-PUR, wider units", "brainwave": "over BrainWave, smaller tiles"}
        for budget in study["budgets"]:
            parts = zip(names, budget[f"{rival}_ideas"])
            told = "; ".join(f"{name}: {value:.2f}" for name, value in parts)
            whole = budget["speedup"][rival][scaling]
            rows.append([title[rival], f"{budget['macs']:,}", f"{whole:.2f}", told])
    own = study["brainwave"]
    told = "; ".join(f"{name}: {value:.2f}" for name, value in zip(_WAVE_IDEAS, own["ideas"]))
    rows.append(["over BrainWave as it is", f"{own['macs']:,}", f"{own['speedup']:.2f}", told])
    return rows


def _sensitivity(seen: Found) -> Rows:
    """How the means depend on the tails that are assumed."""
    study = seen["modelled"]["rivals"]
    factors = list(study["epur_sensitivity"][0]["speedup"])
    rows = [[f"tails times, speedups all {MODELLED}", *factors]]

    def row(what: str, of: Found) -> list[str]:
        return [what, *(f"{of[factor]:.2f}" for factor in factors)]

    for one in study["epur_sensitivity"]:
        rows.append(row(f"over E-PUR, {one['units']} units: both tails", one["speedup"]))
    for one in study["brainwave_sensitivity"]:
        rows.append(row(f"over BrainWave, {one['scaling']}: its chain alone", one["theirs"]))
        rows.append(row(f"over BrainWave, {one['scaling']}: both", one["both"]))
    aim, tail = seen["published"]["paper"][0]["fpga"], study["tail_for_theirs"]
    told = f"over BrainWave, its own: our tail of {tail} cycles, its chain as it is"
    return [*rows, [told, "", f"{aim:.2f}", *([""] * (len(factors) - 2))]]


def _fit(seen: Found) -> Rows:
    """What models of BrainWave's step are off its published times."""
    study = seen["modelled"]["rivals"]["fits"]
    sizes = {kind: [r["hidden"] for r in seen["published"]["deepbench"][kind]] for kind in study}
    head = [f"a step takes, all {MODELLED}", "layers", "L fitted, cycles"]
    rows = [[*head, "off the published times, by size", "at most"]]
    for kind, of in study.items():
        for name, form in of["forms"].items():
            off = ", ".join(f"{s}: {e:+.1%}" for s, e in zip(sizes[kind], form["errors"]))
            worst = max(map(abs, form["errors"]))
            rows.append([f"`{name}`", kind.upper(), str(form["chain"]), off, f"{worst:.1%}"])
    return rows


def _networks(seen: Found) -> Rows:
    """The paper's networks on ours at each budget."""
    study = seen["modelled"]["networks"]
    known = {network["name"]: network for network in seen["published"]["networks"]}
    head = ["network", "layers x directions, H, steps", "MACs", f"ms, batch 1 {MODELLED}"]
    head += [f"TFLOPS {MODELLED}", f"utilisation {MODELLED}"]
    rows = [[*head, f"E-PUR, wider and more units, ms {MODELLED}", f"BrainWave, ms {MODELLED}"]]
    for one in study["networks"]:
        of = known[one["name"]]
        first = one["macs"] == BUDGETS[0]
        what = f"{of['layers']} x {of['directions']}, {of['hidden']} *{of['certainty']}*"
        cells = [one["name"] if first else "", f"{what}, {of['steps']} assumed" if first else ""]
        cells += [f"{one['macs']:,}", _n(one["ms"]), _n(one["tflops"])]
        cells.append(f"{one['utilization']:.3f}")
        for rival in ("epur", "brainwave"):
            ms = (value / study["clock_mhz"] / 1e3 for value in one[rival].values())
            cells.append(", ".join(map(_n, ms)))
        rows.append(cells)
    return rows


def _deepbench(seen: Found) -> Rows:
    """DeepBench's LSTMs: ours and BrainWave's modelled, and all that is published, in ms."""
    study, given = seen["modelled"]["networks"]["deepbench"], seen["published"]["deepbench"]
    first = study[0]
    head = ["X = H, steps"]
    for place in ("beside", "largest"):
        on = f"{first[place]['macs']:,} MACs, {first[place]['clock_mhz']} MHz"
        head.append(f"ours, {on}: ms, TFLOPS, utilisation {MODELLED}")
    head.append(f"BrainWave, ms {MODELLED}")
    head += [f"{c['name']}, ms *{c['certainty']}*" for c in given["columns"].values()]
    rows = [head]
    for one, told in zip(study, given["lstm"]):
        cells = [f"{one['hidden']:,}, {one['steps']}"]
        for place in ("beside", "largest"):
            of = one[place]
            cells.append(f"{_n(of['ms'])}, {_n(of['tflops'])}, {of['utilization']:.3f}")
        cells.append(f"{_n(one['brainwave_ms'])}")
        rows.append([*cells, *(_n(told[name], 4) for name in given["columns"])])
    return rows


def _systems(seen: Found) -> Rows:
    """One row a system, published or ours, with what is known of it."""
    head = "system|platform|MHz|numbers|MACs a cycle|network|µs|GOPS|GOPS a DSP|GOPS/W"
    rows = [[*head.split("|"), "source, and what the row is"]]
    ours = seen["simulated"]["packed"] + seen["simulated"]["ocr"]
    return [*rows, *map(_system, seen["published"]["systems"]), *map(_own, ours)]


def _system(one: Found) -> list[str]:
    """Lay out a published system; what is recalled of one that is published says so."""

    def cell(name: str) -> str:
        value = one.get(name, "")
        text = value if isinstance(value, str) else _n(value, 4)
        return text + " *recalled*" * (name in one.get("recalled", ()))

    gops, watts, dsps = one.get("gops"), one.get("watts"), one.get("device_dsps")
    each = f"{_n(gops / dsps)} of the device's *recalled*" if gops and dsps else ""
    names = ("platform", "clock_mhz", "precision", "macs", "network", "latency_us")
    cells = [one["name"], *map(cell, names)]
    cells += [cell("gops") + " effective" * one.get("effective", False), each]
    cells.append(_n(gops / watts, 4) if gops and watts else cell("gops_per_watt"))
    return [*cells, f"{one['source']} *{one['certainty']}*"]


def _own(one: Found) -> list[str]:
    """Lay out an engine of ours, simulated; a DSP is one that it takes."""
    k, n = (int(size) for size in one["tile"].split(" x "))
    network = f"X = H = {one['input_size']}" if "input_size" in one else "LSTM-PYNQ's"
    clock, each = 100, ""  # at which arrays.py counts GOPS
    if one["config"] in config.shipped():
        each = f"{_n(one['gops'] / config.load(one['config']).dsps)} of the engine's"
    cells = [f"ours, `{one['config']}`", "no board yet", f"{clock} aimed at", one["format"]]
    cells += [f"{k * n:,}", f"{network}, {one['steps']} steps", _n(one["cycles"] / clock, 4)]
    source = "RTL, Verilated, [arrays.md](../arrays.md) *simulated by us*"
    return [*cells, _n(one["gops"]), each, "", source]


def _machine(seen: Found) -> Rows:
    """What was measured on, and what else it did."""
    cpu, kind = seen["measured"]["cpu"], "*measured by us*"
    rows = [["processor", f"cores {kind}", "versions", f"load before and after {kind}"]]
    load = ", ".join(f"{cpu['load'][when]:.1f}" for when in ("before", "after"))
    versions = ", ".join(f"{name} {version}" for name, version in cpu["versions"].items())
    when = f"{cpu['processor']}, {cpu['date']}"
    return [*rows, [when, str(cpu["cores"]), versions or "none", load]]


def _cpu(seen: Found) -> Rows:
    """Measured times of a PC's libraries, a column a layer and batch: median, and least."""
    found = seen["measured"]["cpu"]["rows"]
    asked = sorted({tuple(one[k] for k in _ASKED) for one in found if "absent" not in one})
    head = [f"X = H = {size:,}, {steps} steps, batch {batch}" for size, steps, batch in asked]
    rows = [["library, numbers, threads; ms *measured by us*", *head]]
    for library, numbers, threads in dict.fromkeys(tuple(one[k] for k in _BY) for one in found):
        of = [one for one in found if tuple(one[k] for k in _BY) == (library, numbers, threads)]
        cells = {
            tuple(one[k] for k in _ASKED): f"{_n(one['median_ms'])} ({_n(one['least_ms'])})"
            for one in of
            if "absent" not in one
        }
        title = f"{library}, {numbers}, {threads}"
        why = "".join(f": *not measured*, {one['absent']}" for one in of if "absent" in one)
        rows.append([title + why, *(cells.get(key, "") for key in asked)])
    return rows


_BY = ("library", "numbers", "threads")
_ASKED = ("hidden", "steps", "batch")


def _gpu(seen: Found) -> Rows:
    """Measured times of a GPU, or that there are none."""
    gpu = seen["measured"].get("gpu", {})
    rows = [["numbers", "X = H, steps", "ms, median", "ms, least", "GFLOPS"]]
    for one in gpu.get("rows", ()):
        cells = [one["numbers"], f"{one['hidden']:,}, {one['steps']}"]
        names = ("median_ms", "least_ms", "gflops")
        rows.append([*cells, *(f"{_n(one[name])} *measured by us*" for name in names)])
    if len(rows) == 1:
        rows.append(["FP16, FP32", "all", "*not measured*: no GPU was here", "", ""])
    return rows


def _energy(seen: Found) -> Rows:
    """GFLOPS/W by budget, both ends, and what takes it; and the paper's."""
    head = ["MACs", "GFLOPS/W, least to most", "pJ a product, least to most, of it weights, idle"]
    rows = [head]
    for one in seen["modelled"]["energy"]["budgets"]:
        ends = one["high"], one["low"]
        told = " to ".join(_n(end["gflops_per_watt"]) for end in ends)
        parts = [one[end]["pj"] for end in ("low", "high")]
        cells = [" to ".join(_n(sum(of.values())) for of in parts)]
        cells += [
            f"{name} {' to '.join(_n(of[name], 2) for of in parts)}" for name in ("weights", "idle")
        ]
        rows.append([f"{one['macs']:,}", f"{told} {MODELLED}", f"{', '.join(cells)} {MODELLED}"])
    for paper in seen["published"]["paper"]:
        told = f"{paper['gflops_per_watt']} *{paper['certainty']}*"
        rows.append([f"the paper, {paper['version']}", told, ""])
    return rows


def _constants(seen: Found) -> Rows:
    """What the energy model is made of."""
    rows = [["operation", "least to most", "source"]]
    for name, of in seen["modelled"]["energy"]["constants"].items():
        ends = " to ".join(_n(value) for value in dict.fromkeys((of["low"], of["high"])))
        kind = "*modelled by us*" if of["source"].startswith("assumed") else "*recalled*"
        rows.append([name, f"{ends} {of['unit']} {kind}", of["source"]])
    low, high = seen["modelled"]["energy"]["dram_pj"]
    told = "Horowitz, 64 bits; in no sum: weights stay on chip"
    return [*rows, ["DRAM, for comparison", f"{low:,} to {high:,} pJ *recalled*", told]]


TABLES: dict[str, Callable[[Found], Rows]] = {
    "best_k": _best_k,
    "reconfiguration": _reconfiguration,
    "ladder": _ladder,
    "steps": _steps,
    "speedups": _speedups,
    "ideas": _ideas,
    "sensitivity": _sensitivity,
    "fit": _fit,
    "networks": _networks,
    "deepbench": _deepbench,
    "systems": _systems,
    "machine": _machine,
    "cpu": _cpu,
    "gpu": _gpu,
    "energy": _energy,
    "constants": _constants,
}
"""What makes each table of the page, by its name there."""


def unmarked(rows: Rows) -> Iterable[str]:
    """Yield the figures of a table whose kind is told nowhere: in the cell, its head, its row."""
    heads = [any(kind in head for kind in KINDS) for head in rows[0]]
    for row in rows[1:]:
        marks = [any(f"*{kind}*" in cell for kind in KINDS) for cell in row]
        whole = heads[0] or (marks[-1] and rows[0][-1] == "source, and what the row is")
        for title, head, mark, cell in zip(rows[0], heads, marks, row):
            figure = any(map(str.isdigit, cell)) and title not in PARAMETERS
            if figure and not (whole or head or mark):
                yield f"{title}: {cell}"


PARAMETERS = (
    "MACs",
    "X = H, steps",
    "numbers",
    "processor",
    "versions",
    "system",
    "network",
    "geometric mean over",
    "operation",
    "source",
)
"""Columns that say what was asked, not what came of it."""
