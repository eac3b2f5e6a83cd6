"""The paper's first two schedules, whose row blocks hold one gate each: modelled, in no hardware.

``sequential`` runs gate after gate, each its x- and then its h-part; ``batch`` the x-part of all
rows and then the h-part, the four gates of K neurons one after the other. Sums of i, f and g wait
for those of o, and the lanes take up K neurons in ``turns``. No engine is built for that: no-op
slots are a formula here, and the cycle model counts the rest.
"""

from __future__ import annotations

from math import ceil

from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.distances import FETCH_EVERY
from lstm_sharp.compiler.layer import LayerShape, loop
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.pipeline import tail_stages
from lstm_sharp.engine.program import Instruction, Program, Source

SCHEDULES = ("sequential", "batch")


def turns(cfg: Config) -> int:
    """Cycles in which the lanes take up K neurons."""
    return 4 * cfg.passes


def tail(cfg: Config) -> int:
    """D; as with several shapes, all sums that have finished are handed over together."""
    stages = tail_stages(cfg.reduce_levels, turns(cfg), True, bool(cfg.row_scales))
    return sum(stage.cycles for stage in stages)


def part_tiles(cfg: Config, shape: LayerShape) -> tuple[int, int]:
    """Tiles of the x-part and of the h-part."""
    blocks = 4 * ceil(shape.hidden_size / cfg.rows)
    x, h = (blocks * ceil(n / cfg.columns) for n in (shape.input_size, shape.hidden_size))
    return x, h


def lower_bound(cfg: Config, shape: LayerShape, chains: int, steps: int) -> int:
    """Cycles that no order of the tiles goes under."""
    x, h = part_tiles(cfg, shape)
    first = x + ceil(shape.hidden_size / cfg.columns)
    waits = cycles.recurrence_bound(cfg.tail - turns(cfg) + cfg.passes, first, h, steps)
    return cycles.beside_slots(cfg, chains) + max(chains * steps * (x + h), waits)


def predict(
    cfg: Config, shape: LayerShape, schedule: str, chains: int, steps: int
) -> cycles.Prediction:
    """Model sequences side by side.

    A chain's step waits until D after its last finishing slot, a rectangle that takes up stored
    sums until D_acc after them, and a chain that finishes until the lanes are free.

    Args:
        cfg: the engine; its ``tail`` is D.
        shape: the layer.
        schedule: one of ``SCHEDULES``.
        chains: how many sequences.
        steps: of each.

    Raises:
        UsageError: the program is longer than its window.
    """
    x, h = (ceil(size / cfg.columns) for size in (shape.input_size, shape.hidden_size))
    in_turn = schedule == "sequential"
    rows = ceil(shape.hidden_size / cfg.rows) * (1 if in_turn else 4)  # of a rectangle
    last = max(h, turns(cfg) if in_turn else cfg.passes)  # slots of a row of the last h rectangle
    h_slots = [max(h, cfg.passes)] * 3 + [last] if in_turn else [last]
    busy = max(0, turns(cfg) - last - rows * x)

    def chain(nops: int, lanes: int) -> list[Instruction]:
        found = []
        for gate, slots in enumerate(h_slots):
            ends = gate == len(h_slots) - 1
            nops = max(nops, FETCH_EVERY - rows * x)
            found.append(Instruction(rows=rows, cols=x, nops=nops, pull=gate == 0, pop=ends))
            stored = cfg.acc_distance - 1 - (rows - 1) * min(x, slots)
            nops = max(FETCH_EVERY - rows * slots, stored, lanes, 0)
            found.append(Instruction(source=Source.H, rows=rows, cols=slots, nops=nops))
            nops = lanes = 0
        return found

    others = (chains - 1) * chain(0, busy)
    wait = max(0, cfg.tail - 1 - (last - h) - sum(i.slots(cfg) for i in others))
    again = loop(chain(wait, busy - wait) + others, steps - 1)
    program = Program((*chain(0, 0), *others, *again))
    program.encode(cfg)
    found = cycles.predict(cfg, program)
    idle = found.tiles - chains * steps * sum(part_tiles(cfg, shape))  # a row waits for the lanes
    return found._replace(tiles=found.tiles - idle, nops=found.nops + idle)
