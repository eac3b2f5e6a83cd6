"""What a report says: its verdict, its sections in their order, and what would help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np

from lstm_sharp.compiler.perf import perf
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import Answer, Fit, assess, fit
from lstm_sharp.model.host_graph import Head
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.accuracy import Error
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.package.vectors import SEED, typical
from lstm_sharp.report.accuracy import in_decibels, of_accuracy
from lstm_sharp.report.parts import (
    ESTIMATED,
    GOLDEN,
    MODELLED,
    Card,
    Contents,
    Job,
    Outline,
    Part,
    Section,
    Table,
)
from lstm_sharp.report.speed import first_steps, roofline, schedules
from lstm_sharp.report.takes import lacking, memories, resources_of
from lstm_sharp.runtime import accuracy_report, answers, overview
from lstm_sharp.runtime.inputs import check_input

_LOW_FILL, _WORTH = 0.9, 0.97
"""Share of tiles' places that weights fill, and of a time, below which it is worth a sentence."""
Progress = Callable[[int, int], None]


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
    accuracy, report = of_accuracy(job)
    whole = report.tables["h"]["all"]
    cards = [Card(in_decibels(whole), "signal to error of h", GOLDEN)]
    progress(3, 7)
    sections = [Section("model", "The model", list(_of_model(job))), accuracy]
    instead = fit(model, _board(cfg, found), None, job.steps)
    progress(4, 7)
    if found.runs == "no":
        wanted: list[Part] = [f"The model does not run on {cfg.name}: {found.reason}."]
        sections.append(Section("limits", "What it lacks", [*wanted, lacking(found)]))
    else:
        cards = [*_cycle_cards(job, found), *cards]
        sections.append(Section("cycles", "Cycles, and what limits them", list(schedules(job))))
        progress(5, 7)
        sections.append(Section("timeline", "What the array does", list(first_steps(job))))
        sections.append(Section("roofline", "Roofline", list(roofline(job))))
        sections.append(Section("memory", "Memories of the engine", list(memories(job))))
    progress(6, 7)
    sections.append(Section("resources", "What the engine takes of its board", resources_of(job)))
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


def _job(model: Model, cfg: Config, x: np.ndarray | None, calibration: np.ndarray | None) -> Job:
    """Choose what data there are, and quantise."""
    held, given = model.quantized, {"x": x, "calibration data": calibration}
    checked = {n: check_input(model, v, n) for n, v in given.items() if v is not None}
    x, own = checked.get("x"), checked.get("calibration data")
    if held is not None:
        own = None
    if x is not None:
        told = "the input that was given"
    elif own is not None:
        x, told = own, "the calibration data"
    else:
        over = "from -1 to 1" if held is None else "over all that the model takes"
        x, told = typical(model), f"drawn evenly {over} (seed {SEED})"
    scales = "the scales are those of the file"
    if held is None:
        scales = "scales were chosen on the calibration data, which are other data"
        if own is None or own is x:
            own, scales = x, "scales were chosen on the same data, which flatters"
        held = quantize(model, cfg.fmt, own, **cfg.limits)
    batch, time, features = x.shape
    size = f"{batch:,} sequences of {time:,} steps of {features:,} features"
    return Job(model, held, cfg.of("sv"), x, own, f"Data: {told}, {size}; {scales}.")


def _board(cfg: Config, found: Fit) -> str | None:
    return None if found.runs == "no" or cfg.board == "none" else cfg.board


def _place(cfg: Config) -> str:
    made = board(cfg.board)
    return f"{made.name} ({cfg.name}, {cfg.format})" if made else f"{cfg.name} ({cfg.format})"


def _verdict(job: Job, found: Fit, whole: Error) -> Iterator[str]:
    """Say in a few sentences whether it runs, how fast and how well."""
    where = _place(job.cfg)
    if found.runs == "no":
        yield f"Does not run on {where}: {found.reason}."
    else:
        how = "all weights resident" if found.runs == "whole" else "level by level, each reloaded"
        yield (
            f"Runs on {where}, {how}: {found.ms:.3g} ms a sequence of {job.steps} steps at "
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


def _cycle_cards(job: Job, found: Fit) -> list[Card]:
    one, every = found.speeds
    cards = [
        Card(f"{found.ms:.3g} ms", f"a sequence of {job.steps} steps", ESTIMATED),
        Card(f"{one.utilization:.0%}", "of the multipliers' time used", MODELLED),
    ]
    if every.sequences > 1:
        told = f"steps a second, {every.sequences} sequences side by side"
        cards.append(Card(f"{every.steps_per_second:,.0f}", told, ESTIMATED))
    return cards


def _of_model(job: Job) -> Iterator[Part]:
    model = job.model
    weights, bits = model.macs_per_step, job.made.fmt.weight_bits
    yield (
        f"{weights:,} weights and {sum(cell.b.size for cell in model.layers):,} biases; "
        f"{weights:,} multiplications a step; {weights * bits // 8:,} bytes of "
        f"weights at {job.made.fmt}."
    )
    rows = [
        (
            f"layer {index}",
            model.kind.upper(),
            f"{level[0].input_size:,}",
            " + ".join(f"{cell.hidden_size:,}" for cell in level),
            "both" if len(level) == 2 else "reverse" if level[0].reverse else "forward",
            f"{sum(cell.weights for cell in level):,}",
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


def _helps(
    job: Job, found: Fit, instead: Answer, report: accuracy_report.AccuracyReport
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
        ms = other.ms
        if found.alone and ms < _WORTH * found.ms:
            near = ""
            if error := others.get(other.format):
                near = f"; at {other.format} h has {in_decibels(error)} of signal to error"
            told.append(
                f"Faster on the same board: {other.config} ({other.format}) takes {ms:.3g} ms a "
                f"sequence instead of {found.ms:.3g}{near}."
            )
        rows.append(
            (f"{other.config}, {other.format}", other.board, f"{other.macs:,}", other.runs)
            + (f"{ms:.3g} ms", f"{other.speeds[1].steps_per_second:,.0f}")
        )
    yield from told
    if rows:
        head = ("config", "board", "multipliers", "held", "a sequence", "steps a second, full")
        yield Table("Other engines that hold the model", ESTIMATED, head, rows)
    if found.runs == "no":
        yield from (f"{option.text[0].upper()}{option.text[1:]}." for option in instead.instead)
    if not told and not rows and not (found.runs == "no" and instead.instead):
        yield "Nothing that is known here: neither another order nor another shipped engine."


def _faster(job: Job, found: Fit) -> Iterator[str]:
    one, every = found.speeds
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
    level = max(job.made.levels, key=lambda cells: cells[0].weights)
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
