"""One layer on an engine that need not be built: what the cycle model says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil, gcd, log2
from typing import NamedTuple

from lstm_sharp.compiler import by_gate, cycles
from lstm_sharp.compiler.group import group
from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.schedule import check_schedule, make_plan
from lstm_sharp.compiler.tiling import TileChoice
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.engine.tile import TileShape
from lstm_sharp.errors import UsageError, check_range


def perf(
    input_size: int,
    hidden_size: int,
    macs: int,
    k: str = "best",
    schedule: str = "best",
    chains: int = 1,
    steps: int = 100,
    tail: int | None = None,
    k_list: str | None = None,
    padding: bool = True,
) -> dict[str, object]:
    """Model one layer, W8A16, from start to end of ``steps`` steps, fill and drain included.

    Args:
        input_size: X.
        hidden_size: H.
        macs: M = K * N.
        k: rows of a tile, or ``best`` for the fastest legal one; of an engine of several shapes,
            which of them the layer takes, or ``best`` for the fastest, part by part.
        schedule: one of ``schedule.SCHEDULES`` or ``by_gate.SCHEDULES``, or ``best`` of the former.
        chains: independent sequences side by side on the array.
        steps: T.
        tail: cycles of the tail instead of the engine's own.
        k_list: K's that the engine's tile takes at run time, with commas between; None: one K.
        padding: whether rows or columns that do not fill tiles may take another shape.

    Raises:
        UsageError: a number out of its range, no legal tile shape, or
            options that do not go together.
    """
    for name, value, most in (
        ("input size", input_size, config.LIMITS["max_input"][1]),
        ("hidden size", hidden_size, config.LIMITS["max_hidden"][1]),
        ("MACs", macs, config.LIMITS["rows"][1] * config.LIMITS["columns"][1]),
        ("chains", chains, config.LIMITS["chains"][1]),
        ("steps", steps, MAX_STEPS),
        ("tail", 1 if tail is None else tail, config.LIMITS["min_tail"][1]),
    ):
        check_range(name, value, 1, most)
    if schedule not in by_gate.SCHEDULES:
        check_schedule(schedule)
    ks = _parse(k_list, macs) if k_list is not None else ()
    shape = LayerShape(input_size, hidden_size)
    asked = Asked(shape, macs, k, schedule, chains, steps, tail, ks, padding)
    if len(ks) > 1 and asked.one_gate:
        raise UsageError(f"schedule {schedule} needs an engine of one K; leave out the list of K's")
    found = fastest(asked)
    cfg, prediction = found.cfg, found.prediction
    if found.plan:
        finishing, tiles = _tiles(found.plan)
        bound = found.plan.lower_bound((group((steps,) * chains),))
    else:
        finishing = cfg.tile_shapes[0]
        tiles = {finishing.rows: sum(by_gate.part_tiles(cfg, shape))}
        bound = by_gate.lower_bound(cfg, shape, chains, steps)
    ideal = 4 * hidden_size * (input_size + hidden_size) / macs
    return {
        "input_size": input_size,
        "hidden_size": hidden_size,
        "macs": macs,
        "steps": steps,
        "chains": chains,
        "schedule": found.plan.schedule if found.plan else schedule,
        "k": finishing.rows,
        "n": finishing.columns,
        "k_list": [s.rows for s in cfg.tile_shapes],
        "tiles": {str(rows): count for rows, count in tiles.items()},
        "tail": cfg.tail,
        "mfu_lanes": cfg.lanes,
        "stream_bits": cfg.stream_bits,
        "cycles": prediction.cycles,
        "lower_bound": bound,
        "cycles_per_step": prediction.cycles / (steps * chains),
        "ideal_cycles_per_step": ideal,
        "utilization": ideal * steps * chains / prediction.cycles,
        "limited_by": prediction.limited_by,
    }


class Asked(NamedTuple):
    """What ``perf`` is asked for, checked."""

    shape: LayerShape
    macs: int
    k: str
    schedule: str
    chains: int
    steps: int
    tail: int | None = None
    k_list: tuple[int, ...] = ()
    padding: bool = True

    @property
    def one_gate(self) -> bool:
        """Whether row blocks hold one gate each."""
        return self.schedule in by_gate.SCHEDULES


class Found(NamedTuple):
    """An engine, and what the cycle model says of it."""

    cfg: Config
    prediction: cycles.Prediction
    plan: Plan | None  # none where row blocks hold one gate each


def fastest(asked: Asked) -> Found:
    """Find the fastest K, and for it the fewest lanes that cost less than a cycle in 10,000.

    An engine of several K's has lanes that suit the smallest. Where so many cost more than that,
    fewer are not tried.

    Raises:
        UsageError: no engine is possible, or the program is longer than its window.
    """
    shape, macs, k, schedule, chains, steps, _, k_list, padding = asked
    together = group((steps,) * chains)
    several = len(k_list) > 1
    choice = TileChoice(_of_list(k, k_list) if k_list else None, padding)
    found: list[Found] = []
    worst = float("inf")  # that is still of interest
    reason = f"{macs} MACs have no tile shape: K must be 4, 8, 16, ... and divide them"
    for ks in [k_list] if k_list else [(rows,) for rows in _shapes(macs, k)]:
        for lanes in _lanes(ks[0] // 4, macs // ks[0]):
            try:
                cfg = _engine(asked, ks, lanes)
                if asked.one_gate:
                    prediction = by_gate.predict(cfg, shape, schedule, chains, steps)
                    found.append(Found(cfg, prediction, None))
                else:
                    uncut = make_plan([shape], cfg, "unfolded")
                    if not several and uncut.lower_bound((together,)) > worst:
                        continue
                    plan = make_plan([shape], cfg, schedule, sequences=chains, choice=choice)
                    program = plan.program(together.lengths)
                    program.encode(cfg)
                    found.append(Found(cfg, cycles.predict(cfg, program), plan))
            except UsageError as error:
                reason = str(error)
                continue
            taken = found[-1].prediction.cycles
            if several and taken > worst:
                break
            worst = min(worst, 1.0001 * taken)
    if not found:
        raise UsageError(reason)
    rows = min(found, key=lambda each: each.prediction.cycles).cfg.rows
    near = [f for f in found if f.cfg.rows == rows and f.prediction.cycles <= worst]
    return min(near, key=lambda each: each.cfg.lanes)


def _parse(text: str, macs: int) -> tuple[int, ...]:
    """Read a list of K's; that one follows from the other is the config's to check."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 9 for part in parts):
        raise UsageError(
            f"list of K's {text[:80]!r} must be numbers with commas, such as 16,64,256"
        )
    ks = tuple(map(int, parts))
    for k in ks:
        if k < 4 or macs % k:
            raise UsageError(f"K = {k} of the list must be 4, 8, 16, ... and divide {macs} MACs")
    return ks


def _of_list(k: str, k_list: tuple[int, ...]) -> int | None:
    """Say which K of a list is wanted; None: the best."""
    if k == "best":
        return None
    if k not in map(str, k_list):
        raise UsageError(f"K = {k} must be one of {', '.join(map(str, k_list))}, or best")
    return int(k)


def _tiles(plan: Plan) -> tuple[TileShape, dict[int, int]]:
    """Return the shape of most slots that finish, and the tiles of a step by their K."""
    (cell,) = plan.layers
    shapes, finish = plan.cfg.tile_shapes, Counter[int]()
    for rect in cell.finishing(plan.cfg):
        finish[rect.shape] += rect.tiles
    tiles = Counter[int]()
    for rect in sorted(cell.x + cell.h):
        tiles[shapes[rect.shape].rows] += rect.tiles
    return shapes[finish.most_common(1)[0][0]], tiles


def _shapes(macs: int, k: str) -> list[int]:
    """K's to try, those near a square first."""
    if k != "best":
        if not k.isdecimal() or len(k) > 8 or int(k) < 4 or macs % int(k):
            raise UsageError(f"K = {k} must be 4, 8, 16, ... and divide {macs} MACs, or be best")
        return [int(k)]
    rows = [4 << i for i in range(10)]
    fit = [r for r in rows if macs % r == 0 and macs // r <= 1024]
    return sorted(fit, key=lambda r: abs(log2(r * r / 4 / macs)))


def _lanes(block: int, columns: int) -> list[int]:
    """Lanes to try, most first."""
    return [1 << i for i in reversed(range(min(gcd(block, columns), 64).bit_length()))]


def _engine(asked: Asked, ks: tuple[int, ...], lanes: int) -> Config:
    """Make an engine just large enough, with streams that keep up with the array.

    An x word of N elements may take as many beats as the row blocks that use it take slots.
    """
    shape, macs, tail, one_gate = asked.shape, asked.macs, asked.tail, asked.one_gate
    rows, columns = ks[0], macs // ks[0]
    blocks = ceil(shape.hidden_size / (rows // 4))
    elements = max(lanes, ceil(columns / blocks), 4)
    unit = 4 if one_gate else max(ks) // rows
    places = unit * ceil(blocks / unit)
    where = f"K = {rows}, N = {columns}"
    words = [ceil(shape.input_size * k / macs) + ceil(shape.hidden_size * k / macs) for k in ks]
    knobs = {
        "name": "perf",
        "rows": rows,
        "columns": columns,
        "lanes": lanes,
        "chains": asked.chains,
        "max_input": shape.input_size,
        "max_hidden": shape.hidden_size,
        "weight_tiles": max(2, *(places * rows // k * n for k, n in zip(ks, words))),
        "bias_blocks": places,
        "stream_bits": min(1024, 16 << (elements - 1).bit_length()),
        "k_list": ks,
        "row_scales": 0,  # as the paper's engine
    }
    cfg = config.from_knobs({**config.load("tiny").knobs(), **knobs}, where)
    turns = by_gate.turns(cfg) if one_gate else cfg.most_passes
    if tail is not None and turns > cfg.passes and tail < turns:
        raise UsageError(
            f"{where}: a tail of {tail} is shorter than the {turns} cycles in which the "
            "lanes take up the largest row block"
        )
    return replace(cfg, given_tail=tail or (by_gate.tail(cfg) if one_gate else None))
