"""What is impossible about an engine config, with the numbers and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import ceil, gcd, log2
from typing import TYPE_CHECKING

from lstm_sharp.board import board, boards
from lstm_sharp.engine import storage
from lstm_sharp.numerics.formats import SUPPORTED

if TYPE_CHECKING:
    from lstm_sharp.engine.config import Config


def problems(cfg: Config) -> Iterator[str]:
    """What is impossible about a config whose single values are fine; both numbers, the remedy."""
    if cfg.format not in SUPPORTED:
        yield f"format {cfg.format!r} is unknown; choose one of {', '.join(SUPPORTED)}"
        return
    fmt = cfg.fmt
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", cfg.name):
        yield f"name = {cfg.name[:80]!r} must be letters, digits, '.', '_' and '-', at most 64"
    if cfg.rows != 4 << int(log2(cfg.rows // 4)):
        yield f"rows = {cfg.rows} must be 4, 8, 16, ... (4 gates times a power of two)"
        return
    yield from _list_problems(cfg)
    if cfg.columns % cfg.block and cfg.block % cfg.columns:
        yield (
            f"rows / 4 = {cfg.block} must divide columns = {cfg.columns} or the reverse; "
            f"columns = {ceil(cfg.columns / cfg.block) * cfg.block} would do"
        )
    if cfg.block % cfg.lanes or cfg.columns % cfg.lanes:
        yield (
            f"lanes = {cfg.lanes} must divide rows / 4 = {cfg.block} and columns = "
            f"{cfg.columns}; {gcd(cfg.block, cfg.columns)} would do"
        )
    if cfg.uram_columns > cfg.columns:
        yield f"uram_columns = {cfg.uram_columns} must be 0 to columns = {cfg.columns}"
    if cfg.stream_bits & (cfg.stream_bits - 1):
        yield f"stream_bits = {cfg.stream_bits} must be a power of two"
    if cfg.lanes > cfg.beat_elements:
        yield (
            f"lanes = {cfg.lanes} make more h than a beat of {cfg.beat_elements} elements "
            f"takes; widen stream_bits = {cfg.stream_bits} or take fewer lanes"
        )
    if cfg.stream_bits < max(fmt.bias_bits, 64):
        yield f"stream_bits = {cfg.stream_bits} must hold a state of 64 bits; take 64 or more"


def board_problems(cfg: Config) -> Iterator[str]:
    """What a config's board has too little of for the memories of either engine."""
    made = board(cfg.board) if cfg.board in boards() else None
    for kind, taken in storage.most(cfg).items():
        if made and taken > made.free(kind):
            yield (
                f"takes {taken:g} {kind.upper()}, the {made.name} has {made.free(kind)} for it; "
                "choose fewer weight bits or a smaller config"
            )


def _list_problems(cfg: Config) -> Iterator[str]:
    """What is impossible about a list of K's."""
    last = cfg.rows
    for place, k in enumerate(cfg.k_list):
        if place == 0 and k != cfg.rows:
            yield f"k_list begins with {k} and rows is {cfg.rows}; both name the smallest K"
        if place and (k <= last or k % cfg.rows or (k // cfg.rows) & (k // cfg.rows - 1)):
            yield f"k_list has {k} after {last}; take {cfg.rows} times 2, 4, 8 ... in this order"
        elif cfg.columns % (k // cfg.rows):
            yield (
                f"K = {k} would make N = columns / {k // cfg.rows} of columns = {cfg.columns}; "
                f"take columns = {ceil(cfg.columns * cfg.rows / k) * (k // cfg.rows)} or leave "
                f"{k} out of k_list"
            )
        elif cfg.columns % (k // 4) and (k // 4) % cfg.columns:
            yield f"K / 4 = {k // 4} must divide columns = {cfg.columns} or the reverse"
        last = k
    if len(cfg.k_list) > 8:
        yield f"k_list has {len(cfg.k_list)} K's; an instruction tells 8 apart"
    if cfg.gate_blocks and cfg.board != "none":
        yield f"gate_blocks is for simulations, the C++ kernel has none; board = {cfg.board}"
    if cfg.gate_blocks and cfg.k_list:
        yield "gate_blocks and k_list do not go together; leave one of them out"
