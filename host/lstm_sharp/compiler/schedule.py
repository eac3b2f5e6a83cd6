"""Choosing a plan for cells: schedule, tiles and cuts, by the cycle model.

A step of a cell is a few rectangles over its x-part and its h-part. A schedule says in which
order they go; of which shapes their tiles are, and how they are cut, the cycle model says. See
docs/schedules.md and docs/shapes.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import inf

import numpy as np

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.cuts import STEPS, best_cuts
from lstm_sharp.compiler.cycles import Prediction
from lstm_sharp.compiler.layer import LayerPlan, LayerShape
from lstm_sharp.compiler.limits import check_fit, places, tilings_of
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.tiling import ANY, Rect, TileChoice, Tiling
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_INSTRUCTIONS
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.quantized import QuantModel

SCHEDULES = ("intergate", "unfolded", "elementwise")
"""Dispatch orders, the paper's first; ``best`` chooses among them by the cycle model."""


def shapes_of(model: QuantModel) -> tuple[LayerShape, ...]:
    """Shapes of a quantised model's layers."""
    return tuple(
        LayerShape(
            q.input_size,
            q.hidden_size,
            int(q.x_shift.max()),
            int(q.frac.max()) - model.fmt.weight_frac_min,
            q.c_shift,
            not (q.factor.any() or np.ptp(q.x_shift) or np.ptp(q.frac)),
            q.kind,
            min(q.w_ih.min(), q.w_hh.min()) >= -model.fmt.most_weight,
            q.h_drop,
        )
        for q in model.layers
    )


def make_plan(
    shapes: Sequence[LayerShape],
    cfg: Config,
    schedule: str = "best",
    directions: int = 1,
    sequences: int | None = None,
    choice: TileChoice = ANY,
    wavefront: bool | None = None,
) -> Plan:
    """Lay out the weights of cells and choose their tiles' shapes and how their steps are cut.

    Args:
        shapes: the cells, bottom first, within a level forward before reverse.
        cfg: the engine.
        schedule: one of ``SCHEDULES``, or ``best``.
        directions: cells of a level.
        sequences: side by side, how many the cuts should suit; None: as many as the engine runs.
        choice: what the shapes may be.
        wavefront: whether levels run side by side; None: if there are chains enough for that, and
            the cycle model finds it faster.

    Raises:
        UsageError: unknown schedule or K, or cells that the engine does not hold together.
    """
    check_schedule(schedule)
    check_fit(shapes, cfg, directions)
    most = cfg.chains // directions
    count = min(sequences or most, most)
    if schedule == "best":
        plans = [
            make_plan(shapes, cfg, s, directions, count, choice, wavefront)
            for s in reversed(SCHEDULES)
        ]
        return min(plans, key=lambda plan: _typical(plan, count).cycles)
    levels_beside = count * len(shapes) if wavefront is None else len(shapes)
    stacked = directions == 1 < len(shapes)
    if wavefront is not False and stacked and levels_beside <= cfg.chains:
        return _in_wavefront(shapes, cfg, schedule, count, choice, wavefront)
    plan = Plan(cfg, schedule, (), directions)
    levels = [shapes[at : at + directions] for at in range(0, len(shapes), directions)]
    options = [tilings_of(cells[0], cfg, choice) for cells in levels]
    fastest = [_fastest(plan, cells, found, count) for cells, found in zip(levels, options)]
    least = [min(found, key=lambda tiling: tiling.tiles) for found in options]
    for layers in (lay_out(plan, levels, fastest), lay_out(plan, levels, least)):
        plan = replace(plan, layers=layers)
        if plan.tiles <= cfg.weight_tiles:
            return _cut(plan, count) if schedule == "elementwise" else plan
    raise UsageError(
        f"with these tiles the model needs {plan.tiles} tiles of weights, {cfg.name} holds "
        f"{cfg.weight_tiles}; choose a larger config, K best or another schedule"
    )


def _in_wavefront(
    shapes: Sequence[LayerShape],
    cfg: Config,
    schedule: str,
    count: int,
    choice: TileChoice,
    asked: bool | None,
) -> Plan:
    """Make a plan of levels side by side; of levels in turn where that is as fast, unless asked."""
    chains = min(cfg.chains, count * len(shapes))
    wave = make_plan(shapes, cfg, schedule, 1, chains, choice, wavefront=False)
    wave = replace(wave, wavefront=True)
    if asked:
        return wave
    in_turn = make_plan(shapes, cfg, schedule, 1, count, choice, wavefront=False)
    fits = len(wave.instructions((2,), True, True)) <= MAX_INSTRUCTIONS
    return min((in_turn, wave) if fits else (in_turn,), key=lambda p: _typical(p, count).cycles)


def _fastest(
    plan: Plan, cells: Sequence[LayerShape], options: Sequence[Tiling], sequences: int
) -> Tiling:
    """Choose by the cycle model, of tilings whose tiles alone do not take longer than another."""
    if len(options) == 1:
        return options[0]
    most = max(2, _room(plan, sequences) // 2)  # each is in the first step, and in a loop
    best, least = options[0], inf
    for tiling in sorted(options, key=lambda tiling: tiling.tiles):
        if len(tiling.x) + len(tiling.h) > most:
            continue
        if STEPS * sequences * len(cells) * tiling.tiles >= least:
            break
        level = replace(plan, layers=lay_out(plan, [cells], [tiling]))
        taken = _typical(level, sequences).cycles
        if taken < least:
            best, least = tiling, taken
    return best


def lay_out(
    plan: Plan, levels: Sequence[Sequence[LayerShape]], chosen: Sequence[Tiling]
) -> tuple[LayerPlan, ...]:
    """Give the weights and biases of cells places, one after the other.

    Args:
        plan: engine and schedule; its own layers do not matter.
        levels: shapes of each level's cells.
        chosen: how the cells of each level are covered.
    """
    layers: list[LayerPlan] = []
    tile = bias = 0
    for cells, tiling in zip(levels, chosen):
        for shape in cells:
            layers.append(LayerPlan(shape, *tiling, places(shape, plan.cfg), tile, bias))
            tile, bias = tile + layers[-1].tiles, bias + layers[-1].bands
    return tuple(layers)


def check_schedule(schedule: str) -> None:
    """Refuse a schedule that there is not.

    Raises:
        UsageError: with the names that there are.
    """
    if schedule not in (*SCHEDULES, "best"):
        raise UsageError(
            f"schedule {schedule!r} is unknown; choose one of {', '.join(SCHEDULES)} or best"
        )


def _cut(plan: Plan, sequences: int) -> Plan:
    """Cut h-parts as the cycle model says; never slower than ``unfolded``."""
    layers: list[LayerPlan] = []
    for level in plan.levels:
        if len(level[0].h) == 1:
            most = _room(plan, sequences) - 2 * len(level[0].x) - 1  # x twice, a first h
            cuts = _level_cuts(replace(plan, layers=level), sequences, most)
            level = tuple(replace(cell, h=cuts) for cell in level)
        layers += level
    cut, whole = replace(plan, layers=tuple(layers)), replace(plan, schedule="unfolded")
    slower = any(
        _typical(cut, sequences, steps).cycles > _typical(whole, sequences, steps).cycles
        for steps in (1, 2, 3)
    )
    return plan if slower else cut


def _room(plan: Plan, sequences: int) -> int:
    """Instructions of a chain that a program has room for, beside those of its state."""
    return MAX_INSTRUCTIONS // (sequences * plan.directions) - 2


def _level_cuts(plan: Plan, sequences: int, most: int) -> tuple[Rect, ...]:
    """Cut the h-parts, a rectangle each, of the one level of a plan."""
    (rect,) = plan.layers[0].h
    step = plan.cfg.tile_shapes[rect.shape].step

    def cut(widths: tuple[int, ...]) -> tuple[Rect, ...]:
        firsts = accumulate((0, *widths[:-1]))
        return tuple(rect._replace(col_first=n * step, cols=w) for n, w in zip(firsts, widths))

    def cost(widths: tuple[int, ...], steps: int) -> Prediction:
        cells = tuple(replace(cell, h=cut(widths)) for cell in plan.layers)
        return _typical(replace(plan, layers=cells), sequences, steps)

    return cut(best_cuts(rect.cols, rect.rows, most, cost))


def _typical(plan: Plan, sequences: int, steps: int = STEPS) -> Prediction:
    """Cycles of so many sequences side by side, each level alone but in a wavefront."""
    alone = [plan] if plan.wavefront else [replace(plan, layers=cells) for cells in plan.levels]
    programs = [p.program((steps,) * sequences) for p in alone]
    return cycles.add([cycles.predict(plan.cfg, program) for program in programs])
