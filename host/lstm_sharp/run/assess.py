"""What an engine makes of a model: whether it holds it, what that takes, and how fast it runs.

All figures are modelled: storage.py counts memories, cycles.py cycles, and the clock is the one
that a config aims at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lstm_sharp.board import board
from lstm_sharp.engine import cycles, storage
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.schedule import check_fit, make_plan, weight_tiles
from lstm_sharp.errors import UsageError

MEMORIES = {"bram36": "BRAM36", "uram": "URAM"}
"""Kinds of block memory, and what people call them."""


@dataclass(frozen=True)
class Speed:
    """How fast an engine runs a model: one sequence, weights resident."""

    schedule: str
    cycles: int
    cycles_per_step: float
    steps_per_second: float
    load_cycles: int  # of all weights and biases
    utilization: float  # ideal / cycles
    limited_by: str


@dataclass(frozen=True)
class Fit:
    """What one config makes of a model."""

    config: str  # without the format that replaces its own
    board: str
    format: str
    macs: int
    holds: bool
    reason: str | None  # why it does not hold the model
    tiles: int  # of the model's weights
    weight_tiles: int  # that the config holds
    weight_bytes: int  # of the model's tiles, with the zeros that fill them
    used: Mapping[str, float]  # memories of the engine, by kind
    free: Mapping[str, int] | None  # memories of the board, None without one
    clock_mhz: int
    speed: Speed | None  # None unless it holds the model


def assess(shapes: Sequence[LayerShape], cfg: Config, steps: int, name: str | None = None) -> Fit:
    """Hold a model against a config.

    Args:
        shapes: the layers, bottom first.
        cfg: the engine.
        steps: T, time steps of one call.
        name: what to call the config, if not by its own name.
    """
    made, need = board(cfg.board), weight_tiles(shapes, cfg)
    speed, reason = None, None
    try:
        check_fit(shapes, cfg)
        check_board(cfg)
        speed = _speed(shapes, cfg, steps)
    except UsageError as error:
        reason = str(error)
    return Fit(
        config=name or cfg.name,
        board=cfg.board,
        format=cfg.format,
        macs=cfg.macs,
        holds=speed is not None,
        reason=reason,
        tiles=need,
        weight_tiles=cfg.weight_tiles,
        weight_bytes=need * tile_bytes(cfg),
        used=used(cfg),
        free={kind: made.free(kind) for kind in MEMORIES} if made else None,
        clock_mhz=cfg.clock_mhz,
        speed=speed,
    )


def tile_bytes(cfg: Config) -> int:
    """Bytes of one tile in the weight memory."""
    return cfg.macs * cfg.fmt.weight_bits // 8


def used(cfg: Config) -> dict[str, float]:
    """Block memories that an engine takes, by kind."""
    memories = storage.memories(cfg)
    return {kind: sum(getattr(memory, kind) for memory in memories) for kind in MEMORIES}


def check_board(cfg: Config) -> None:
    """Refuse an engine whose memories its board does not have: another format can do that.

    Raises:
        UsageError: with what it takes and what the board has free.
    """
    made = board(cfg.board)
    for kind, taken in used(cfg).items():
        if made and taken > made.free(kind):
            raise UsageError(
                f"{cfg.name} takes {taken:g} {MEMORIES[kind]}, the {made.name} has "
                f"{made.free(kind)} for it; choose fewer weight bits or a smaller config"
            )


def _speed(shapes: Sequence[LayerShape], cfg: Config, steps: int) -> Speed:
    plan = make_plan(shapes, cfg)
    program, load = plan.program(steps, 1), plan.load_program()  # may be too many steps
    program.encode(cfg)  # or too many instructions for the window
    prediction = cycles.predict(cfg, program)
    per_step = prediction.cycles / steps
    ideal = sum(4 * s.hidden_size * (s.input_size + s.hidden_size) for s in shapes) / cfg.macs
    return Speed(
        schedule=plan.schedule,
        cycles=prediction.cycles,
        cycles_per_step=per_step,
        steps_per_second=cfg.clock_mhz * 1e6 / per_step,
        load_cycles=cycles.predict(cfg, load).cycles,
        utilization=ideal / per_step,
        limited_by=prediction.limited_by,
    )
