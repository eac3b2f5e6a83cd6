"""How fast a model is on an engine, what the array does when, and what limits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from lstm_sharp.compiler import cycles, pack
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.layer import LayerPlan
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine.program import Op
from lstm_sharp.report.drawings import Bar, Piece, Series, bars, chart, timeline
from lstm_sharp.report.parts import MODELLED, Figure, Job, Part, Table
from lstm_sharp.runtime import answers, deploy

_SHOWN_STEPS = 4
"""Steps of the timeline."""


def schedules(job: Job) -> Iterator[Part]:
    """Say what each schedule takes, and where its cycles go."""
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


def _programs(job: Job) -> Iterator[Part]:
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


def cells_of(job: Job, plans: Sequence[Plan]) -> list[tuple[str, str, LayerPlan]]:
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


def first_steps(job: Job) -> Iterator[Part]:
    """Draw the first steps of one sequence, as the cycle model walks the program."""
    plan = job.plans(1)[0]
    program = plan.program((job.steps,))
    names = [name for name, *_ in cells_of(job, [plan])]
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


def roofline(job: Job) -> Iterator[Part]:
    """Hold what is reached against what multipliers and streams allow."""
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
