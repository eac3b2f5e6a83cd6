"""What a report says: figures of the cycle model, the golden model and the memories, with words."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.layer import LayerPlan
from lstm_sharp.compiler.limits import h_words, places
from lstm_sharp.compiler.perf import perf
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config, resources, storage
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Op
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import MEMORIES, Answer, Fit, assess, fit
from lstm_sharp.model.host_graph import Head
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.numerics.quantize import MOST_VECTORS, quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.package.vectors import SEED, drawn
from lstm_sharp.report.drawings import Bar, Drawing, Piece, Series, bars, chart, timeline
from lstm_sharp.runtime import accuracy_report, answers, deploy, overview
from lstm_sharp.runtime.inputs import check_input

MODELLED, GOLDEN, ESTIMATED, COUNTED = "modelled", "golden model", "estimated", "counted"
"""Kinds of figures: by the cycle model; by NumPy in the engine's integers; by a rule; by Yosys."""
_SHOWN_STEPS = 4
"""Steps of the timeline."""
_WORST = 5
"""Elements of h that are named."""
_LOW_FILL, _WORTH = 0.9, 0.97
"""Share of tiles' places that weights fill, and of a time, below which it is worth a sentence."""
_MANY = 2_000_000
"""Weights up to which other formats and methods are tried, which takes as long again for each."""
_KINDS = {
    "h in float but for one thing": "float model",
    "h of other choices": "golden model, ONNX Runtime",
}
"""Kinds of tables of errors that are not the golden model's alone."""
_RESOURCES = {"lut": "LUT", "dsp": "DSP", "bram36": "BRAM36", "uram": "UltraRAM"}
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Table:
    """Rows of text; the first of each is its head."""

    title: str
    kind: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows."""

    title: str
    kind: str
    drawing: Drawing


@dataclass(frozen=True)
class Outline:
    """The drawing of ``inspect``, an SVG text that is escaped already."""

    title: str
    svg: str


@dataclass(frozen=True)
class Card:
    """A figure of the verdict."""

    value: str
    what: str
    kind: str


Part = str | Table | Figure | Outline


@dataclass(frozen=True)
class Section:
    """A part of the page; ``name`` is its anchor."""

    name: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Contents:
    """All that a page says."""

    title: str
    runs: bool
    verdict: Sequence[str]
    cards: Sequence[Card]
    sections: Sequence[Section]


@dataclass(frozen=True)
class _Job:
    """What is reported on."""

    model: Model
    made: QuantModel
    cfg: Config  # of the sv engine
    x: np.ndarray  # (B, T, X) float64
    calibration: np.ndarray | None
    data: str  # where x and the scales come from, in words

    @property
    def steps(self) -> int:
        return int(self.x.shape[1])

    @property
    def ideal(self) -> float:
        """Cycles of a step if every multiplier always worked for the model."""
        return self.made.macs_per_step / self.cfg.macs

    def plans(self, count: int, schedule: str = "best", engine: str = "sv") -> tuple[Plan, ...]:
        cfg = self.cfg.of(engine)
        return deploy.plans(self.made, cfg, schedule, self.steps, count)


def gather(
    model: Model,
    cfg: Config,
    x: np.ndarray | None,
    calibration: np.ndarray | None,
    progress: Progress,
) -> Contents:
    """Work out what a report says of a model on an engine.

    Args:
        model: the float model; if it has an integer model, that is what is run.
        cfg: the engine, at the number format that counts.
        x: (batch, time, X) float, on which accuracy is measured and whose steps are those of a
            sequence; None: the calibration data.
        calibration: likewise, what scales are chosen on; None: x, or if there is none it is drawn.
        progress: told of how many parts are done.

    Raises:
        UsageError: x that the model does not take, or a model that has its own integers and
            calibration data or another format beside them.
    """
    job = _job(model, cfg, x, calibration)
    progress(1, 7)
    found = assess(job.made, job.cfg, job.steps)
    progress(2, 7)
    accuracy, report = _accuracy(job)
    whole = report.tables["h"]["all"]
    cards = [Card(_decibels(whole), "signal to error of h", GOLDEN)]
    progress(3, 7)
    sections = [Section("model", "The model", list(_of_model(job))), accuracy]
    instead = fit(model, _board(cfg, found), None, job.steps)
    progress(4, 7)
    if found.runs == "no":
        wanted: list[Part] = [f"The model does not run on {cfg.name}: {found.reason}."]
        sections.append(Section("limits", "What it lacks", [*wanted, _memories_needed(found)]))
    else:
        cards = [*_cycle_cards(job, found), *cards]
        sections.append(Section("cycles", "Cycles, and what limits them", list(_cycles(job))))
        progress(5, 7)
        sections.append(Section("timeline", "What the array does", list(_timeline(job))))
        sections.append(Section("roofline", "Roofline", list(_roofline(job))))
        sections.append(Section("memory", "Memories of the engine", list(_memory(job))))
    progress(6, 7)
    sections.append(Section("resources", "What the engine takes of its board", _resources(job)))
    helps = list(_helps(job, found, instead, report))
    sections.append(Section("help", "What would help", helps))
    progress(7, 7)
    return Contents(
        title=f"{model.name} on {cfg.name}",
        runs=found.runs != "no",
        verdict=list(_verdict(job, found, whole)),
        cards=cards,
        sections=sections,
    )


def _job(model: Model, cfg: Config, x: np.ndarray | None, calibration: np.ndarray | None) -> _Job:
    """Choose what data there are, and quantise."""
    held, given = model.quantized, {"x": x, "calibration data": calibration}
    checked = {n: check_input(model, v, n) for n, v in given.items() if v is not None}
    x, own = checked.get("x"), checked.get("calibration data")
    told = f"drawn evenly from -1 to 1 (seed {SEED})"
    if held is not None:
        told = f"drawn evenly over all that the model takes (seed {SEED})"
        own, scale = None, held.x_reach
    elif own is not None:
        told, scale = "the calibration data", 1.0
    else:
        scale = 1.0
    if x is not None:
        told = "the input that was given"
    elif own is not None:
        x = own
    else:
        x = drawn(model, -1, 1) * scale
    scales = "the scales are those of the file"
    if held is None:
        scales = "scales were chosen on the calibration data, which are other data"
        if own is None or own is x:
            own, scales = x, "scales were chosen on the same data, which flatters"
        held = quantize(model, cfg.fmt, own, **cfg.limits)
    batch, time, features = x.shape
    size = f"{batch:,} sequences of {time:,} steps of {features:,} features"
    return _Job(model, held, cfg.of("sv"), x, own, f"Data: {told}, {size}; {scales}.")


def _board(cfg: Config, found: Fit) -> str | None:
    return None if found.runs == "no" or cfg.board == "none" else cfg.board


def _place(cfg: Config) -> str:
    made = board(cfg.board)
    return f"{made.name} ({cfg.name}, {cfg.format})" if made else f"{cfg.name} ({cfg.format})"


def _verdict(job: _Job, found: Fit, whole: Error) -> Iterator[str]:
    """Say in a few sentences whether it runs, how fast and how well."""
    where = _place(job.cfg)
    if found.runs == "no":
        yield f"Does not run on {where}: {found.reason}."
    else:
        how = "all weights resident" if found.runs == "whole" else "level by level, each reloaded"
        yield (
            f"Runs on {where}, {how}: {_ms(found):.3g} ms a sequence of {job.steps} steps at "
            f"{job.cfg.clock_mhz} MHz."
        )
    decibels = whole.decibels
    far = f"{decibels:.1f} dB of signal to error" if np.isfinite(decibels) else "no error at all"
    reach = f"where h reaches {whole.largest:.2g}"
    yield f"h has {far}; its largest error is {whole.worst:.2g}, {reach}."
    yield (
        "Cycles come from the cycle model, errors from the golden model, times from the clock that "
        "the config aims at. No board and no vendor tool has run it."
    )


def _ms(found: Fit) -> float:
    """Milliseconds of one sequence, with reloads, at the clock that the config aims at."""
    assert found.alone is not None
    reloads = (found.runs == "by levels") * found.alone.load_cycles
    return (found.alone.cycles + reloads) / found.clock_mhz / 1e3


def _cycle_cards(job: _Job, found: Fit) -> list[Card]:
    assert found.alone is not None and found.beside is not None
    one, every = found.alone, found.beside
    cards = [
        Card(f"{_ms(found):.3g} ms", f"a sequence of {job.steps} steps", ESTIMATED),
        Card(f"{one.utilization:.0%}", "of the multipliers' time used", MODELLED),
    ]
    if every.sequences > 1:
        told = f"steps a second, {every.sequences} sequences side by side"
        cards.append(Card(f"{every.steps_per_second:,.0f}", told, ESTIMATED))
    return cards


def _of_model(job: _Job) -> Iterator[Part]:
    model = job.model
    weights = sum(cell.w_ih.size + cell.w_hh.size for cell in model.layers)
    bits = job.made.fmt.weight_bits
    yield (
        f"{weights:,} weights and {sum(cell.b.size for cell in model.layers):,} biases; "
        f"{job.made.macs_per_step:,} multiplications a step; {weights * bits // 8:,} bytes of "
        f"weights at {job.made.fmt}."
    )
    rows = [
        (
            f"layer {index}",
            model.kind.upper(),
            f"{level[0].input_size:,}",
            " + ".join(f"{cell.hidden_size:,}" for cell in level),
            "both" if len(level) == 2 else "reverse" if level[0].reverse else "forward",
            f"{sum(cell.w_ih.size + cell.w_hh.size for cell in level):,}",
        )
        for index, level in enumerate(model.levels)
    ]
    head = ("", "kind", "inputs", "units", "direction", "weights")
    yield Table("Layers", "the file", head, rows)
    if isinstance(model.head, Head):
        ops = Counter(op.op for graph in model.head.graphs for op in graph.ops)
        told = ", ".join(f"{count} {op}" for op, count in ops.items())
        yield f"The host computes what follows h: {told}."
    elif model.head is not None:
        yield "The host computes what follows h, as the file has it."
    else:
        yield f"The model {model.no_head}."
    yield Outline("The model, drawn", overview.svg(overview.rows(model, str(job.made.fmt))))


def _accuracy(job: _Job) -> tuple[Section, accuracy_report.AccuracyReport]:
    """Measure errors."""
    how = None
    if job.model.quantized is None and job.made.macs_per_step <= _MANY:
        how = {"calibration": job.calibration, "method": "error", **job.cfg.limits}
    report = accuracy_report.measure(job.model, job.made, job.x, how)
    steps = _Steps(job)
    parts: list[Part] = [job.data, steps.figure(), steps.worst()]
    for name, rows in report.tables.items():
        if rows and name != "h":
            told = [(row, _decibels(e), f"{e.worst:.2g}") for row, e in rows.items()]
            head = ("", "signal to error", "largest error")
            parts.append(Table(f"Error: {name}", _KINDS.get(name, GOLDEN), head, told))
    if job.model.head is not None:
        parts.append(_of_output(job))
    if job.model.quantized is None and not how:
        parts.append(f"Other formats and methods are not tried over {_MANY:,} weights.")
    parts += [f"{remark[0].upper()}{remark[1:]}." for remark in report.remarks if remark]
    return Section("accuracy", "How near to float", parts), report


def _decibels(error: Error) -> str:
    return f"{error.decibels:.1f} dB" if np.isfinite(error.decibels) else "nothing differs"


def _of_output(job: _Job) -> Table:
    """Hold the model's own output against float at each format."""
    formats = dict.fromkeys([str(job.made.fmt), *USUAL])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of x that is clipped, which is said elsewhere
        found = answers.compare(job.model, job.x, None, job.calibration, list(formats))
    rows = []
    for row in found.rows[1:]:
        far = "nothing differs" if row.signal_to_error is None else f"{row.signal_to_error:.1f} dB"
        changed = "" if row.changed is None else f"{row.changed} of {found.count}"
        rows.append((row.format, far, f"{row.max_abs_error:.2g}", changed))
    head = ("", "signal to error", "largest error", "labels changed")
    return Table(f"Formats: {found.output}", GOLDEN, head, rows)


class _Steps:
    """Errors of h by step, layer by layer, and the worst of the last layer."""

    def __init__(self, job: _Job) -> None:
        shape = len(job.made.levels), job.steps
        self.square, self.most, self.count = np.zeros(shape), np.zeros(shape), 0
        self.signal = np.zeros(job.steps)
        self.seen: list[tuple[float, int, int, int, float, float]] = []
        few = max(1, MOST_VECTORS // job.steps)
        for at in range(0, len(job.x), few):
            some = job.x[at : at + few]
            for index, (right, found, *_) in enumerate(
                accuracy_report.levels(job.model, job.made, some)
            ):
                error = np.abs(found - right)
                self.square[index] += np.square(error).mean(axis=2).sum(axis=0)
                self.most[index] = np.maximum(self.most[index], error.max(axis=(0, 2)))
            self.signal += np.square(right).mean(axis=2).sum(axis=0)
            for flat in np.argsort(-error, axis=None, kind="stable")[:_WORST]:
                place = np.unravel_index(flat, error.shape)
                b, t, n = map(int, place)
                values = float(right[place]), float(found[place])
                self.seen.append((float(error[place]), at + b, t, n, *values))
        self.seen = sorted(self.seen, key=lambda one: (-one[0], *one[1:4]))[:_WORST]
        self.count = len(job.x)

    def figure(self) -> Figure:
        """Draw them."""

        def points(values: np.ndarray) -> list[tuple[float, float]]:
            return [(t, float(v)) for t, v in enumerate(values)]

        rms = np.sqrt(self.square / self.count)
        series = [
            Series("line signal", "h of float, RMS", points(np.sqrt(self.signal / self.count))),
            Series("line worst", "largest error, last layer", points(self.most[-1])),
            *(
                Series(f"line c{index % 6}", f"error of layer {index}, RMS", points(row))
                for index, row in enumerate(rms)
            ),
        ]
        label = "Error of h at each step, of the golden model against float"
        return Figure(label, GOLDEN, chart(series, label, "step", "h and its error"))

    def worst(self) -> Table:
        """Name the worst."""
        rows = [
            (f"{e:.3g}", f"{b}", f"{t}", f"{n}", f"{right:.4f}", f"{found:.4f}")
            for e, b, t, n, right, found in self.seen
        ]
        head = ("error", "sequence", "step", "element", "float", "golden")
        return Table("Worst cases of the last layer's h, all counted from 0", GOLDEN, head, rows)


def _cycles(job: _Job) -> Iterator[Part]:
    rows, drawn_rows = [], list[Bar]()
    for count in dict.fromkeys((1, job.cfg.chains)):
        call, done, bars_of_it = Call((job.steps,) * count), job.steps * count, list[Bar]()
        for schedule in SCHEDULES:
            run, _ = deploy.predict_plans(job.plans(count, schedule), call)
            on_hls, _ = deploy.own_cycles(job.plans(count, schedule, "hls"), call)
            used = job.ideal * done / run.cycles
            limit = answers.limit(run.limited_by, used).partition(":")[0]
            name = f"{schedule}, {count} sequence{'s' * (count > 1)}"
            rows.append(
                (name, f"{run.cycles:,}", f"{run.cycles / done:.1f}", f"{used:.1%}")
                + (f"{on_hls:,}", limit)
            )
            bars_of_it.append(_spent(name, run))
        longest = max(bar.whole for bar in bars_of_it)
        drawn_rows += [replace(bar, whole=longest) for bar in bars_of_it]
    head = ("schedule", "cycles, sv", "a step", "utilised", "cycles, hls", "limited by")
    yield (
        f"A step has {job.ideal:.1f} cycles of work for {job.cfg.macs:,} multipliers. Cycles of sv "
        "are exact for the SystemVerilog engine with streams that never stall; those of hls are "
        "what the C++ kernel's loops are written for, and no tool has confirmed them."
    )
    yield Table("Schedules", MODELLED, head, rows)
    legend = (("tiles", "tiles"), ("nop", "no-op slots"), ("wait", "waits for x"))
    label = "Where the cycles of the sv engine go"
    drawing = bars(drawn_rows, label, (*legend, ("other", "start, drain")))
    yield Figure(label, MODELLED, drawing)
    yield from _programs(job)


def _spent(name: str, run: cycles.Prediction) -> Bar:
    ends = np.cumsum([0, run.tiles, run.nops, run.waits, run.other])
    kinds = ("tiles", "nop", "wait", "other")
    pieces = [
        Piece(kind, int(a), int(b), f"{(b - a) / run.cycles:.0%}", f"{kind}: {b - a:,} cycles")
        for kind, a, b in zip(kinds, ends, ends[1:])
    ]
    return Bar(name, pieces, run.cycles, f"{run.cycles:,} cycles")


def _programs(job: _Job) -> Iterator[Part]:
    """One row a program of a sequence alone: the whole model, or each level."""
    rows, first = [], 0
    plans = job.plans(1)
    for plan in plans:
        for program in deploy.programs(plan, Call((job.steps,))):
            run = cycles.predict(plan.cfg, program)
            last = first + len(plan.levels) - 1
            name = f"layer {first}" if first == last else f"layers {first} to {last}"
            order = "side by side" if plan.wavefront else "in turn"
            told = f"{plan.schedule}{', ' + order if last > first else ''}"
            counts = (run.cycles, run.tiles, run.nops, run.waits, run.other)
            rows.append((name, told, *(f"{n:,}" for n in counts)))
        first += len(plan.levels)
    head = ("program", "schedule", "cycles", "tiles", "no-ops", "waits for x", "other")
    yield Table("Programs of one sequence, sv", MODELLED, head, rows)
    _, loads = deploy.predict_plans(plans, Call((job.steps,)))
    when = "in each call" if len(plans) > 1 else "once"
    yield f"Loading weights and biases takes {loads:,} cycles, {when} ({MODELLED})."


def _cells(job: _Job, plans: Sequence[Plan]) -> list[tuple[str, str, LayerPlan]]:
    """Name, style and plan of each cell."""
    names = [
        f"layer {index}{' reverse' * cell.reverse}"
        for index, level in enumerate(job.made.levels)
        for cell in level
    ]
    cells = [cell for plan in plans for cell in plan.layers]
    return [(name, f"c{n % 6}", cell) for n, (name, cell) in enumerate(zip(names, cells))]


def _short(name: str) -> str:
    """Name a cell in a drawing: L1, or R1 for its reverse direction."""
    _, number, *reverse = name.split()
    return f"{'R' if reverse else 'L'}{number}"


def _timeline(job: _Job) -> Iterator[Part]:
    """Draw the first steps of one sequence, as the cycle model walks the program."""
    plan = job.plans(1)[0]
    program = plan.program((job.steps,))
    names = [name for name, *_ in _cells(job, [plan])]
    several = len(names) > 1
    array, turns = list[Piece](), Counter[tuple[int, bool]]()
    tails: list[list[Piece]] = [[] for _ in names]
    for span in cycles.trace(plan.cfg, program):
        i, begin = span.instruction, span.begin + span.nops
        if i.op != Op.TILES:
            continue
        own = next(
            n for n, q in enumerate(plan.layers) if 0 <= i.weight_base - q.weight_base < q.tiles
        )
        cell = plan.layers[own]
        of_h = i.weight_base >= cell.weight_base + cell.x_tiles
        turns[own, of_h] += i.weight_base == cell.weight_base + of_h * cell.x_tiles
        step = turns[own, of_h] - 1
        if step >= _SHOWN_STEPS:
            break
        if span.nops:
            array.append(Piece("nop", span.begin, begin, "", f"{span.nops} no-op slots"))
        where, place = "", ""
        if several:
            where, place = f" of {names[own]}", f"{_short(names[own])} "
        name = f"{'h' if of_h else 'x'}-part of step {step}{where}"
        css = "of-h" if of_h else "of-x"
        waits = f", {span.waits} waits for x" if span.waits else ""
        hover = f"{name}: cycles {begin} to {span.end - 1}, {i.rows * i.cols} tiles{waits}"
        array.append(Piece(css, begin, span.end, f"{place}{name[0]}({step})", hover))
        if i.finish:
            done = begin + i.row_slots(plan.cfg), span.end + i.tail(plan.cfg)
            hover = f"h of step {step}{where}: there to the last by cycle {done[1]}"
            tails[own].append(Piece("tail", *done, f"{place}h({step})", hover))
    rows = [Bar("array", array, 0)]
    rows += [Bar(f"tail, {n}" if several else "tail", t, 0) for n, t in zip(names, tails) if t]
    legend = (("of-x", "x-part"), ("of-h", "h-part"), ("nop", "no-op slots"), ("tail", "tail"))
    label = "The first steps of one sequence on the array"
    ends = [(p.begin, p.end) for pieces in (array, *tails) for p in pieces]
    first, last = min(begin for begin, _ in ends), max(end for _, end in ends)
    yield (
        f"Schedule {plan.schedule}, tail of {plan.cfg.tail} cycles: so long after a row block's "
        "last tile its h can be read. A no-op slot is one in which nothing could be dispatched. "
        "x(t), h(t): the tiles of W_ih x and of W_hh h that step t takes; L1 is layer 1, R1 its "
        "reverse direction, whose steps are counted as it takes them."
    )
    yield Figure(label, MODELLED, timeline(rows, first, last, label, legend))


def _roofline(job: _Job) -> Iterator[Part]:
    cfg, points = job.cfg, list[tuple[str, float, float]]()
    alone = (group((job.steps,)),)
    stream = cfg.stream_bits / 8
    for count in dict.fromkeys((1, cfg.chains)):
        macs = job.made.macs_per_step * job.steps * count
        plans, call = job.plans(count), Call((job.steps,) * count)
        run, loads = deploy.predict_plans(plans, call)
        moved = [
            max(job.steps * count * _x_beats(plan), count * pack.h_beats(plan, alone)) * stream
            for plan in plans
        ]
        beside = f"{count} sequence{'s' * (count > 1)}"
        points.append((beside, macs / sum(moved), macs / run.cycles))
        weight_bytes = stream * cfg.tile_beats * sum(plan.tiles for plan in plans)
        if len(plans) > 1:
            reloaded = macs / (run.cycles + loads)
            points.append((f"{beside} with reloads", macs / (sum(moved) + weight_bytes), reloaded))
    per_weight = job.made.macs_per_step / weight_bytes
    least = min(per_weight, *(x for _, x, _ in points)) / 2
    far = max(max(x for _, x, _ in points), cfg.macs / stream) * 2
    ridge = cfg.macs / stream
    roof = [(least, least * stream), (ridge, cfg.macs), (far, cfg.macs)]
    series = [
        Series("line roof", f"roof: {cfg.macs:,} multipliers, {stream:g} bytes a cycle", roof),
        Series("point", "", [p[1:] for p in points], [p[0] for p in points]),
        Series(
            "point other",
            "",
            [(per_weight, per_weight * stream)],
            ["if weights came by the stream in each step"],
        ),
    ]
    label = "Roofline: multiplications a cycle against multiplications a byte of the streams"
    of_x = "MACs a byte that the busier stream moves"
    resident = "Weights are resident, so the streams move x and h alone."
    if len(job.plans(1)) > 1:
        resident = "The weights of a level are resident while it runs, and reloaded in each call."
    yield (
        f"{resident} The slope is what one stream of "
        f"{cfg.stream_bits} bits moves; the flat part is what the multipliers can do. Inside, a "
        f"cycle reads {cfg.macs * cfg.fmt.weight_bits // 8:,} bytes of weights, all of which are "
        "used, so that memory is no roof of its own."
    )
    yield Figure(label, MODELLED, chart(series, label, of_x, "MACs a cycle", log_x=True))


def _x_beats(plan: Plan) -> int:
    """Beats of one step's x of one sequence."""
    cfg = plan.cfg
    words = -(-plan.layers[0].shape.input_size // cfg.columns)
    return plan.directions * words * cfg.word_beats


def _memory(job: _Job) -> Iterator[Part]:
    plans, cfg = job.plans(1), job.cfg
    named = iter(_cells(job, plans))
    rows, legend = [], list[tuple[str, str]]()
    for number, plan in enumerate(plans):
        cells = [next(named) for _ in plan.layers]
        legend += [(css, name) for name, css, _ in cells]
        level = f", layer {number}" if len(plans) > 1 else ""
        weights, biases, at = list[Piece](), list[Piece](), 0
        for name, css, cell in cells:
            base = cell.weight_base
            ends = base, base + cell.x_tiles, base + cell.tiles
            for part, a, b in (("x", *ends[:2]), ("h", *ends[1:])):
                hover = f"{name}, {part}-part: {b - a:,} tiles"
                weights.append(Piece(f"{css} {part}-part", a, b, part, hover))
            hover = f"{name}: {cell.bands:,} bands"
            biases.append(Piece(css, cell.bias_base, cell.bias_base + cell.bands, "", hover))
        shapes = [cell.shape for *_, cell in cells]
        used = sum(4 * s.hidden_size * (s.input_size + s.hidden_size) for s in shapes)
        filled = used / (plan.tiles * cfg.macs)
        told = f"{plan.tiles:,} of {cfg.weight_tiles:,} tiles, {filled:.0%} of them weights"
        rows.append(Bar(f"weights{level}", weights, cfg.weight_tiles, told))
        told = f"{plan.bias_blocks:,} of {cfg.bias_blocks:,} bands"
        rows.append(Bar(f"biases{level}", biases, cfg.bias_blocks, told))
        beside = plan.beside
        words = max(h_words(shape, cfg) for shape in plan.shapes)
        bands = max(places(shape, cfg) for shape in plan.shapes)
        at = job.steps * plan.stride(1)
        if at:
            told = f"{at:,} of {cfg.sequence_words:,} words: h between layers, {job.steps} steps"
            rows.append(Bar("sequence buffer", [Piece("all", 0, at)], cfg.sequence_words, told))
        one, taken = words * beside, bands * cfg.block // cfg.lanes * beside
        for what, size, held, unit in (
            ("h buffer", one, cfg.h_words, "words"),
            ("c memory", taken, cfg.groups, "groups of lanes"),
        ):
            told = f"{size:,} of {held:,} {unit} for one sequence"
            rows.append(Bar(f"{what}{level}", [Piece("all", 0, size)], held, told))
    label = "What of the engine's memories the model takes"
    yield Figure(label, MODELLED, bars(rows, label, legend))


def _memories_needed(found: Fit) -> Table:
    row = ("tiles of weights", f"{found.tiles:,}", f"{found.weight_tiles:,}")
    return Table("What the largest layer needs", MODELLED, ("", "needed", "held"), [row])


def _resources(job: _Job) -> list[Part]:
    cfg, made = job.cfg, board(job.cfg.board)
    counted = storage.counted(config.counted_as(cfg).digest)
    taken = {kind: (value, ESTIMATED) for kind, value in resources.estimate(cfg).items()}
    if counted:
        by = f"{COUNTED} by Yosys, not placed"
        taken |= {kind: (counted[kind], by) for kind in ("lut", "dsp")}
    taken |= {kind: (storage.most(cfg)[kind], ESTIMATED) for kind in MEMORIES}
    rows, drawn_rows = list[tuple[str, ...]](), list[Bar]()
    for kind, name in _RESOURCES.items():
        if kind not in taken or (made and not made.has[kind] and not taken[kind][0]):
            continue
        used, how = taken[kind]
        free = made.free(kind) if made else None
        rows.append((name, f"{used:,.5g}" if used < 1e5 else f"{used:,.0f}", how))
        if made and free:
            rows[-1] = (*rows[-1], f"{free:,}", f"{made.has[kind]:,}", f"{used / free:.0%}")
            piece = Piece("c0", 0, min(used, free), f"{used / free:.0%}", f"{used:,.0f} {name}")
            drawn_rows.append(Bar(name, [piece], free, f"{used:,.0f} of {free:,}"))
    head = ("", "used", "kind") + (("free", "on the board", "share") if made else ())
    title = "What the engine takes"
    parts: list[Part] = [Table(title, "see the kind of each row", head, rows)]
    if drawn_rows:
        label = "Of what is free beside DMA and interconnect"
        parts.append(Figure(label, "as in the table", bars(drawn_rows, label)))
    if "lut" not in taken:
        parts.append("LUTs of this engine have not been counted.")
    parts.append(
        "They are the engine's, whatever model it runs. BRAM and UltraRAM are those of "
        "the one of the two engines that takes more."
    )
    return parts


def _helps(
    job: _Job, found: Fit, instead: Answer, report: accuracy_report.AccuracyReport
) -> Iterator[Part]:
    """Say what would make it run, run faster, or come nearer to float; with figures."""
    told = list[str]()
    if found.runs != "no":
        told += _faster(job, found)
    clipped = job.made.clipped(job.x)
    if clipped:
        told.append(
            f"{clipped:,} of {job.x.size:,} values of x are clipped: calibrate with data that "
            "reach as far as these."
        )
    others = report.tables["h of other choices"]
    if report.advice:
        told.append(f"{report.advice[0].upper()}{report.advice[1:]}.")
    elif (wide := others.get(USUAL[0])) and wide.decibels > report.tables["h"]["all"].decibels + 3:
        told.append(
            f"Nearer to float: at {USUAL[0]} h has {wide.decibels:.1f} dB of signal to error "
            f"instead of {report.tables['h']['all'].decibels:.1f} ({GOLDEN})."
        )
    rows = []
    for other in instead.configs:
        if other.runs == "no" or other.config == job.cfg.name:
            continue
        assert other.alone is not None and other.beside is not None
        ms = _ms(other)
        if found.alone and ms < _WORTH * _ms(found):
            error = others.get(other.format)
            near = (
                f"; at {other.format} h has {_decibels(error)} of signal to error" if error else ""
            )
            told.append(
                f"Faster on the same board: {other.config} ({other.format}) takes {ms:.3g} ms a "
                f"sequence instead of {_ms(found):.3g}{near}."
            )
        rows.append(
            (f"{other.config}, {other.format}", other.board, f"{other.macs:,}", other.runs)
            + (f"{ms:.3g} ms", f"{other.beside.steps_per_second:,.0f}")
        )
    yield from told
    if rows:
        head = ("config", "board", "multipliers", "held", "a sequence", "steps a second, full")
        yield Table("Other engines that hold the model", ESTIMATED, head, rows)
    if found.runs == "no":
        yield from (f"{option.text[0].upper()}{option.text[1:]}." for option in instead.instead)
    if not told and not rows and not (found.runs == "no" and instead.instead):
        yield "Nothing that is known here: neither another order nor another shipped engine."


def _faster(job: _Job, found: Fit) -> Iterator[str]:
    assert found.alone is not None and found.beside is not None
    one, every = found.alone, found.beside
    yield f"One sequence is limited by {answers.limit(one.limited_by, one.utilization)}."
    if every.cycles_per_step < _WORTH * one.cycles_per_step:
        yield (
            f"More sequences at once: {every.sequences} side by side take "
            f"{every.cycles_per_step:.1f} cycles a step of each instead of "
            f"{one.cycles_per_step:.1f}, {every.utilization:.0%} of the multipliers' time."
        )
    if found.runs == "by levels":
        yield (
            f"Reloads take {one.load_cycles:,} cycles a call: a batch of {one.break_even_batch} "
            "sequences or more outweighs them, and an engine with more tiles needs none."
        )
    filled = job.made.macs_per_step / (job.cfg.macs * sum(plan.tiles for plan in job.plans(1)))
    if filled < _LOW_FILL:
        yield (
            f"Padding: weights fill {filled:.0%} of their tiles of {job.cfg.rows} x "
            f"{job.cfg.columns}; sizes that are multiples of {job.cfg.block} units and "
            f"{job.cfg.columns} inputs, or a tile of several shapes (k_list), waste less."
        )
    level = max(job.made.levels, key=lambda cells: cells[0].w_ih.size + cells[0].w_hh.size)
    sizes = level[0].input_size, level[0].hidden_size
    with suppress(UsageError):
        own = perf(*sizes, job.cfg.macs, str(job.cfg.rows), steps=job.steps)
        best = perf(*sizes, job.cfg.macs, steps=job.steps)
        before, after = (float(str(found["cycles_per_step"])) for found in (own, best))
        if after < _WORTH * before:
            yield (
                f"Another tile: for the largest layer alone K = {best['k']} and N = {best['n']} "
                f"would take {after:.1f} cycles a step, K = {own['k']} takes {before:.1f}; that is "
                "another engine of as many multipliers, at W8A16."
            )
