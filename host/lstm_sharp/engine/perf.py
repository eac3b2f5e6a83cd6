"""One layer on an engine that need not be built: what the cycle model says."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, gcd, log2

from lstm_sharp.engine import config, cycles
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.group import group
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.engine.schedule import Plan, check_schedule, make_plan
from lstm_sharp.errors import UsageError


def perf(
    input_size: int,
    hidden_size: int,
    macs: int,
    k: str = "best",
    schedule: str = "best",
    chains: int = 1,
    steps: int = 100,
    tail: int | None = None,
) -> dict[str, object]:
    """Model one layer, W8A16, from start to end of ``steps`` steps, fill and drain included.

    Args:
        input_size: X.
        hidden_size: H.
        macs: M = K * N.
        k: rows of a tile, or ``best`` for the fastest legal one.
        schedule: one of ``schedule.SCHEDULES``, or ``best``.
        chains: independent sequences side by side on the array.
        steps: T.
        tail: cycles of the tail instead of the engine's own.

    Raises:
        UsageError: sizes below 1, more chains or steps than a program has, or no legal tile shape.
    """
    for name, value in (
        ("input size", input_size),
        ("hidden size", hidden_size),
        ("MACs", macs),
        ("steps", steps),
        ("chains", chains),
        ("tail", 1 if tail is None else tail),
    ):
        if value < 1:
            raise UsageError(f"{name} {value} must be at least 1")
    if steps > MAX_STEPS:
        raise UsageError(f"{steps} steps are over the {MAX_STEPS} of one program; take fewer")
    check_schedule(schedule)
    shape = LayerShape(input_size, hidden_size)
    prediction, plan = best_plan(shape, macs, k, schedule, chains, steps, tail)
    ideal = 4 * hidden_size * (input_size + hidden_size) / macs
    return {
        "input_size": input_size,
        "hidden_size": hidden_size,
        "macs": macs,
        "steps": steps,
        "chains": chains,
        "schedule": plan.schedule,
        "k": plan.cfg.rows,
        "n": plan.cfg.columns,
        "tail": plan.cfg.tail,
        "mfu_lanes": plan.cfg.lanes,
        "stream_bits": plan.cfg.stream_bits,
        "cycles": prediction.cycles,
        "lower_bound": cycles.lower_bound(plan, (group((steps,) * chains),)),
        "cycles_per_step": prediction.cycles / (steps * chains),
        "ideal_cycles_per_step": ideal,
        "utilization": ideal * steps * chains / prediction.cycles,
        "limited_by": prediction.limited_by,
    }


def best_plan(
    shape: LayerShape,
    macs: int,
    k: str,
    schedule: str,
    chains: int,
    steps: int,
    tail: int | None,
) -> tuple[cycles.Prediction, Plan]:
    """Find the fastest K, and for it the fewest lanes that cost less than a cycle in 10,000."""
    side_by_side = (steps,) * chains
    found: list[tuple[cycles.Prediction, Plan]] = []
    worst = float("inf")  # that is still of interest
    reason = f"{macs} MACs have no tile shape: K must be 4, 8, 16, ... and divide them"
    for rows in _shapes(macs, k):
        for lanes in _lanes(rows // 4, macs // rows):
            try:
                cfg = _engine(shape, rows, macs // rows, lanes, chains, tail)
                uncut = make_plan([shape], cfg, "unfolded")
                if cycles.lower_bound(uncut, (group(side_by_side),)) > worst:
                    continue
                plan = make_plan([shape], cfg, schedule, sequences=chains)
                program = plan.program(side_by_side)
                program.encode(cfg)
            except UsageError as error:
                reason = str(error)
                continue
            found.append((cycles.predict(cfg, program), plan))
            worst = min(worst, 1.0001 * found[-1][0].cycles)
    if not found:
        raise UsageError(reason)
    fastest = min(found, key=lambda pair: pair[0].cycles)[1].cfg.rows
    near = [pair for pair in found if pair[1].cfg.rows == fastest and pair[0].cycles <= worst]
    return min(near, key=lambda pair: pair[1].cfg.lanes)


def _shapes(macs: int, k: str) -> list[int]:
    """K's to try, those near a square first."""
    if k != "best":
        if not k.isdigit() or int(k) < 4 or macs % int(k):
            raise UsageError(f"K = {k} must be 4, 8, 16, ... and divide {macs} MACs, or be best")
        return [int(k)]
    rows = [4 << i for i in range(10)]
    fit = [r for r in rows if macs % r == 0 and macs // r <= 1024]
    return sorted(fit, key=lambda r: abs(log2(r * r / 4 / macs)))


def _lanes(block: int, columns: int) -> list[int]:
    """Lanes to try, most first."""
    return [1 << i for i in reversed(range(min(gcd(block, columns), 64).bit_length()))]


def _slots(shape: LayerShape, rows: int, columns: int) -> int:
    """Tiles of a step."""
    parts = ceil(shape.input_size / columns) + ceil(shape.hidden_size / columns)
    return ceil(4 * shape.hidden_size / rows) * parts


def _engine(
    shape: LayerShape, rows: int, columns: int, lanes: int, chains: int, tail: int | None
) -> Config:
    """Make an engine just large enough, with streams that keep up with the array.

    An x word of N elements may take as many beats as the row blocks that use it take slots.
    """
    blocks = ceil(shape.hidden_size / (rows // 4))
    elements = max(lanes, ceil(columns / blocks), 4)
    cfg = config.from_knobs(
        {
            **config.load("tiny").knobs(),
            "name": "perf",
            "rows": rows,
            "columns": columns,
            "lanes": lanes,
            "chains": chains,
            "max_input": shape.input_size,
            "max_hidden": shape.hidden_size,
            "weight_tiles": max(2, _slots(shape, rows, columns)),
            "bias_blocks": blocks,
            "stream_bits": min(1024, 16 << (elements - 1).bit_length()),
        },
        where=f"K = {rows}, N = {columns}",
    )
    return replace(cfg, given_tail=tail)
