"""Random tilings of layers with tiles of several shapes, and stacks as wavefronts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lstm_sharp.compiler.limits import bands, segments
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import SCHEDULES, lay_out
from lstm_sharp.compiler.tiling import Rect, Tiling
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_INSTRUCTIONS


def retiled(rng: np.random.Generator, plan: Plan) -> Plan:
    """Cover the layers of a plan with rectangles of any shapes, if the engine holds those."""
    cfg = plan.cfg
    tilings = []
    for cell, *_ in plan.levels:
        parts = [
            random_tiling(rng, cfg, bands(cell.shape, cfg), segments(size, cfg))
            for size in (cell.shape.input_size, cell.shape.hidden_size)
        ]
        tilings.append(Tiling(parts[0], parts[1]))
    levels = [[cell.shape for cell in cells] for cells in plan.levels]
    found = replace(plan, layers=lay_out(plan, levels, tilings))
    counted = len(found.instructions((2,), True, True))
    return found if found.tiles <= cfg.weight_tiles and counted <= MAX_INSTRUCTIONS else plan


def in_wavefront(plan: Plan) -> Plan:
    """Run the levels of a plan side by side, if there are chains and instructions for that."""
    wave = replace(plan, wavefront=True)
    stacked = plan.directions == 1 < len(plan.layers) <= plan.cfg.chains
    if not stacked or plan.schedule not in SCHEDULES:
        return plan
    return wave if len(wave.instructions((2,), True, True)) <= MAX_INSTRUCTIONS else plan


def random_tiling(
    rng: np.random.Generator, cfg: Config, count: int, width: int
) -> tuple[Rect, ...]:
    """Cut a part where tiles of all shapes end, and take any shape for each piece.

    Args:
        rng: decides.
        cfg: the engine.
        count: bands of its rows.
        width: segments of its columns.
    """
    pieces, found = [(0, count, 0, width)], []
    while pieces:
        row, rows, col, cols = pieces.pop()
        side = rng.integers(3) if len(pieces) + len(found) < 3 else 0
        edge = (0, rows, cols)[side]
        if side and edge > cfg.bands:
            cut = cfg.bands * int(rng.integers(1, -(-edge // cfg.bands)))
            if side == 1:
                pieces += [(row + cut, rows - cut, col, cols), (row, cut, col, cols)]
            else:
                pieces += [(row, rows, col + cut, cols - cut), (row, rows, col, cut)]
            continue
        number = int(rng.integers(len(cfg.tile_shapes)))
        s = cfg.tile_shapes[number]
        found.append(Rect(number, row, -(-rows // s.gang), col, -(-cols // s.step)))
    return tuple(found)
