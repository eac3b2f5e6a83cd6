"""Which engines are asked: arrays, and memories of the sizes that a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, product, zip_longest
from math import ceil, log2
from typing import Any

from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import Board, facts
from lstm_sharp.engine.config import Config, board_problems, resized
from lstm_sharp.engine.knobs import BRAM18, problems
from lstm_sharp.engine.resources import estimate
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import need
from lstm_sharp.runtime.deploy import Cells

TILES = min(BRAM18)
"""Tiles of weights come in so many: a BRAM is no smaller."""
_ROWS = tuple(8 << i for i in range(5))
_COLUMNS = range(4, 129, 4)
_LANES = tuple(1 << i for i in range(5))
_GANGS = (1, 2, 4)
_CHAINS = (1, 2, 4)
_PACKED = (1, 2, 4, 8)


def arrays(base: Config) -> Iterator[Config]:
    """List arrays at a config's other knobs."""
    dsps = facts(base.board).free("dsp")
    return (cfg for array in _arrays() if (cfg := _with(base, array, dsps)))


def _arrays() -> Iterator[dict[str, Any]]:
    for k, n, lanes, gang in product(_ROWS, _COLUMNS, _LANES, _GANGS):
        k_list = tuple(k << i for i in range(gang.bit_length())) if gang > 1 else ()
        yield {"rows": k, "columns": n, "lanes": lanes, "k_list": k_list, "uram_columns": 0}


def _with(base: Config, array: dict[str, Any], dsps: int) -> Config | None:
    """Give a config an array, if there is such an engine; LUTs multiply where DSPs are too few."""
    by_dsps = (dsps - 8 * array["lanes"]) * base.packed // array["rows"]
    cfg = replace(base, **array, lut_columns=max(0, array["columns"] - by_dsps))
    return None if any(problems(cfg)) else cfg


def parted(cfg: Config) -> Config | None:
    """Lay as few columns of weights into UltraRAM as the board asks for; None: it has no room."""
    on = facts(cfg.board)
    for urams in range(cfg.columns + 1 if on.free("uram") else 1):
        made = replace(cfg, uram_columns=urams)
        brams = storage.total(storage.memories(made), "bram36")  # quickly told
        if brams <= on.free("bram36") and not any(board_problems(made)):
            return made
    return None


def bound(cfg: Config, cells: Sequence[LayerShape], sequences: int) -> float:
    """Cycles of a step that no schedule of these cells, one after the other, goes under."""
    total = 0.0
    for cell in cells:
        x, h = cell.input_size, cell.hidden_size
        blocks = ceil(h / cfg.block)
        columns = ceil(x / cfg.columns) + ceil(h / cfg.columns)
        tiles = 4 * h * (x + h) / cfg.macs if cfg.k_list else blocks * columns
        total += max(tiles, blocks * cfg.passes, cfg.tail / sequences)
    return total


def candidates(bases: Sequence[Config], cells: Cells) -> Iterator[list[Config]]:
    """List groups of engines of one array, which the cycle model treats alike or nearly.

    Sizes of an array, in steps of half an octave of multipliers, come in turn, and of each size the
    arrays that promise most: so any number of them from the first on covers all sizes.

    Args:
        bases: configs of one board in all formats; the knobs that are no array's and no memory's
            are theirs.
        cells: of the model.
    """
    least = max(map(len, cells.levels))
    every = [cell for level in cells.levels for cell in level]
    kinds = [base for own in bases for base in _packings(own)]
    dsps = facts(bases[0].board).free("dsp")
    chains = dict.fromkeys(max(n, least) for n in _CHAINS)
    sizes: dict[int, list[tuple[float, dict[str, Any]]]] = {}
    for array in _arrays():
        if cfg := _with(kinds[-1], array, dsps):
            promise = bound(cfg, every, 1) * bound(cfg, every, max(_CHAINS))
            sizes.setdefault(round(2 * log2(cfg.macs)), []).append((promise, array))
    ranked = (sorted(of, key=lambda one: one[0]) for _, of in sorted(sizes.items()))
    for promising in chain.from_iterable(zip_longest(*ranked)):
        if promising:
            made = (cfg for base in kinds if (cfg := _with(base, promising[1], dsps)))
            yield [replace(cfg, chains=n) for cfg in made for n in chains]


def _packings(base: Config) -> Iterator[Config]:
    """Yield a config with a product a DSP, and with as many as its format allows."""
    made = [cfg for n in _PACKED if not any(problems(cfg := replace(base, packed=n)))]
    yield from dict.fromkeys((made[0], made[-1]))


def holding(cfg: Config, cells: Cells, steps: int) -> Iterator[Config]:
    """Yield the config with memories that hold the model whole, and such that do level by level."""
    for whole in (True, False)[len(cells.levels) == 1 :]:
        sizes = need(cells, cfg, steps, whole)
        sizes["weight_tiles"] = TILES * ceil(sizes["weight_tiles"] / TILES)
        with suppress(UsageError):
            yield resized(cfg, **sizes)


def taken(cfg: Config) -> dict[str, float]:
    """Say what an engine takes, of the two that a config makes the one with more memories."""
    most = storage.most(cfg)
    return {**estimate(cfg), "bram36": most["bram36"], "uram": most["uram"]}


def shares(cfg: Config, on: Board) -> dict[str, float]:
    """Say what part of what its board has an engine takes of each kind; over 1: too much."""
    return {kind: used / max(on.free(kind), 1e-9) for kind, used in taken(cfg).items() if used}
