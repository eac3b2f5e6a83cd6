"""What an engine makes of a model: how it holds it, what that takes, and how fast it runs.

All figures are modelled: storage.py counts memories, cycles.py cycles, and the clock is the one
that a config aims at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from lstm_sharp.compiler.limits import weight_tiles
from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config, board_problems
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.runtime.deploy import break_even, level_shapes, plans, predict_plans

MEMORIES = {"bram36": "BRAM36", "uram": "URAM"}
"""Kinds of block memory, and what people call them."""
Runs = Literal["whole", "by levels", "no"]
"""How an engine runs a model: all weights resident, reloaded for each level of a call, not."""


@dataclass(frozen=True)
class Speed:
    """How fast an engine runs one call of sequences of equal length."""

    sequences: int
    schedules: tuple[str, ...]  # of the whole, or of each level
    cycles: int  # without loads
    load_cycles: int  # of all weights and biases: once, or level by level in each call
    break_even_batch: int | None  # sequences that take as long to run as the reloads
    cycles_per_step: float  # of each sequence's steps
    steps_per_second: float  # of all sequences; level by level with the call's reloads
    utilization: float  # ideal / cycles
    limited_by: str


@dataclass(frozen=True)
class Fit:
    """What one config makes of a model."""

    config: str  # without the format that replaces its own
    board: str
    format: str
    macs: int
    runs: Runs
    reason: str | None  # why it does not run
    tiles: int  # of the weights that are resident together; of the largest level if it does not run
    weight_tiles: int  # that the config holds
    weight_bytes: int  # of these tiles, with the zeros that fill them
    used: Mapping[str, float]  # memories of the engine with more of them, by kind
    free: Mapping[str, int] | None  # memories of the board, None without one
    clock_mhz: int
    alone: Speed | None  # one sequence; None if it does not run
    beside: Speed | None  # as many sequences as the engine has chains


def assess(model: Model, cfg: Config, steps: int, name: str | None = None) -> Fit:
    """Hold a model against a config.

    Args:
        model: the float model.
        cfg: the engine.
        steps: T, time steps of one call.
        name: what to call the config, if not by its own name.
    """
    runs: Runs = "no"
    made, reason, alone, beside = board(cfg.board), None, None, None
    tiles = max(weight_tiles(level, cfg) for level in level_shapes(model))
    try:
        check_board(cfg)
        held = plans(model, cfg, steps=steps)
        alone, beside = (_speed(model, cfg, steps, count) for count in (1, cfg.chains))
        tiles = max(plan.tiles for plan in held)
        runs = "whole" if len(held) == 1 else "by levels"
    except UsageError as error:
        reason = str(error)
    return Fit(
        config=name or cfg.name,
        board=cfg.board,
        format=cfg.format,
        macs=cfg.macs,
        runs=runs,
        reason=reason,
        tiles=tiles,
        weight_tiles=cfg.weight_tiles,
        weight_bytes=tiles * tile_bytes(cfg),
        used=storage.most(cfg),
        free={kind: made.free(kind) for kind in MEMORIES} if made else None,
        clock_mhz=cfg.clock_mhz,
        alone=alone,
        beside=beside,
    )


def best(fits: Iterable[Fit]) -> Fit | None:
    """Return the first that holds the model whole; if none does, the first level by level."""
    running = [found for found in fits if found.runs != "no"]
    return min(running, key=lambda found: found.runs != "whole", default=None)


def tile_bytes(cfg: Config) -> int:
    """Bytes of one tile in the weight memory."""
    return cfg.macs * cfg.fmt.weight_bits // 8


def check_board(cfg: Config) -> None:
    """Refuse an engine whose memories its board does not have: another format can do that.

    Raises:
        UsageError: with what it takes and what the board has free.
    """
    for problem in board_problems(cfg):
        raise UsageError(f"{cfg.name} {problem}")


def _speed(model: Model, cfg: Config, steps: int, sequences: int) -> Speed:
    """Ask the cycle model for a call of so many sequences."""
    held = plans(model, cfg, "best", steps, sequences)
    run, loads = predict_plans(held, [steps] * sequences)  # may be too many for a program
    weights = sum(4 * c.hidden_size * (c.input_size + c.hidden_size) for c in model.layers)
    done = sequences * steps
    return Speed(
        sequences=sequences,
        schedules=tuple(plan.schedule for plan in held),
        cycles=run.cycles,
        load_cycles=loads,
        break_even_batch=break_even(held, loads, run.cycles, sequences),
        cycles_per_step=run.cycles / done,
        steps_per_second=cfg.clock_mhz * 1e6 * done / (run.cycles + (len(held) > 1) * loads),
        utilization=weights / cfg.macs * done / run.cycles,
        limited_by=run.limited_by,
    )
