"""One layer on an engine that need not be built: what the cycle model says."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, gcd

from lstm_sharp.engine import config, cycles
from lstm_sharp.engine.config import Config
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
        chains: independent sequences on the array.
        steps: T.
        tail: cycles of the tail instead of the engine's own.

    Raises:
        UsageError: sizes below 1, more chains than there are, or no legal tile shape.
    """
    for name, value in (
        ("input size", input_size),
        ("hidden size", hidden_size),
        ("MACs", macs),
        ("steps", steps),
        ("tail", 1 if tail is None else tail),
    ):
        if value < 1:
            raise UsageError(f"{name} {value} must be at least 1")
    if steps > MAX_STEPS:
        raise UsageError(f"{steps} steps are over the {MAX_STEPS} of one program; take fewer")
    if chains != 1:
        raise UsageError(f"{chains} chains are not supported yet; use 1")
    check_schedule(schedule)
    best: tuple[cycles.Prediction, Plan] | None = None
    reason = f"{macs} MACs have no tile shape: K must be 4, 8, 16, ... and divide them"
    for rows in _shapes(macs, k):
        try:
            plan = make_plan(
                [LayerShape(input_size, hidden_size)],
                _engine(input_size, hidden_size, rows, macs // rows, tail),
                schedule,
            )
            prediction = cycles.predict(plan.cfg, plan.program(steps, 1))
        except UsageError as error:
            reason = str(error)
            continue
        if best is None or prediction.cycles < best[0].cycles:
            best = prediction, plan
    if best is None:
        raise UsageError(reason)
    prediction, plan = best
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
        "cycles": prediction.cycles,
        "cycles_per_step": prediction.cycles / steps,
        "ideal_cycles_per_step": ideal,
        "utilization": ideal * steps / prediction.cycles,
        "limited_by": prediction.limited_by,
    }


def _shapes(macs: int, k: str) -> list[int]:
    """K's to try."""
    if k != "best":
        if not k.isdigit() or int(k) < 4 or macs % int(k):
            raise UsageError(f"K = {k} must be 4, 8, 16, ... and divide {macs} MACs, or be best")
        return [int(k)]
    rows = [4 << i for i in range(10)]
    return [r for r in rows if macs % r == 0 and macs // r <= 1024]


def _engine(input_size: int, hidden_size: int, rows: int, columns: int, tail: int | None) -> Config:
    """Make an engine just large enough, with lanes that do not stall the array."""
    block = rows // 4
    lanes = gcd(block, columns)
    turns = ceil(hidden_size / columns)  # slots between two finishing ones
    while lanes > 1 and block // (lanes // 2) <= turns:
        lanes //= 2
    blocks = ceil(hidden_size / block)
    tiles = blocks * (ceil(input_size / columns) + ceil(hidden_size / columns))
    base = config.load("tiny").knobs()
    cfg = config.from_knobs(
        {
            **base,
            "name": "perf",
            "rows": rows,
            "columns": columns,
            "lanes": lanes,
            "max_input": input_size,
            "max_hidden": hidden_size,
            "weight_tiles": max(2, tiles),
            "bias_blocks": blocks,
            "stream_bits": min(1024, max(64, 1 << (16 * lanes - 1).bit_length())),
        },
        where=f"K = {rows}, N = {columns}",
    )
    return replace(cfg, given_tail=tail)
