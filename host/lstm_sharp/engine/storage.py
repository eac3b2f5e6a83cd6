"""Block memories of an engine: how the weight memory is cut into banks, and what all of them take.

The banks are rendered from here; the counts are held against Yosys's by a test.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from lstm_sharp.engine.config import Config

_BRAM18 = {512: 36, 1024: 18, 2048: 9}
"""Bits of a word that half a BRAM36 holds at each depth."""
_BRAM36_DEEPEST = 4096
"""Words of 9 bits in a BRAM36; deeper memories are cut there."""
URAM_DEPTH, URAM_BITS = 4096, 72
"""Words of one UltraRAM, and their bits."""


class Memory(NamedTuple):
    """A memory in BRAM or UltraRAM."""

    name: str
    depth: int
    bits: int
    bram36: float
    uram: int


def bram_banks(tiles: int) -> tuple[int, ...]:
    """Cut the depth of the weight memory so that BRAMs of 512, 1K, 2K or 4K words are filled.

    Banks are powers of two, largest first, and the rest: each begins at a multiple of its depth.
    """
    banks: list[int] = []
    while left := tiles - sum(banks):
        whole = [d for d in (_BRAM36_DEEPEST, *reversed(_BRAM18)) if d <= left]
        banks.append(whole[0] if whole else left)
    return tuple(banks)


def uram_banks(tiles: int) -> tuple[int, ...]:
    """Cut the depth of the weight memory into whole UltraRAMs and the rest."""
    return tuple(min(URAM_DEPTH, tiles - first) for first in range(0, tiles, URAM_DEPTH))


def memories(cfg: Config) -> tuple[Memory, ...]:
    """All memories that do not lie in LUTs; estimated, what synthesis makes may differ a little."""
    column = cfg.rows * cfg.fmt.weight_bits
    in_bram, in_uram = (cfg.columns - cfg.uram_columns) * column, cfg.uram_columns * column
    return (
        *(_bram("weights", depth, in_bram) for depth in cfg.bram_banks if in_bram),
        *(_uram("weights", depth, in_uram) for depth in cfg.uram_banks if in_uram),
        _bram("biases", cfg.bias_blocks, cfg.rows * cfg.fmt.bias_bits),
        _bram("sequence", cfg.sequence_words, cfg.columns * cfg.fmt.activation_bits),
    )


def _bram(name: str, depth: int, bits: int) -> Memory:
    for deep, wide in _BRAM18.items():
        if depth <= deep:
            return Memory(name, depth, bits, ceil(bits / wide) / 2, 0)
    return Memory(name, depth, bits, ceil(bits / 9) * ceil(depth / _BRAM36_DEEPEST), 0)


def _uram(name: str, depth: int, bits: int) -> Memory:
    return Memory(name, depth, bits, 0, ceil(bits / URAM_BITS) * ceil(depth / URAM_DEPTH))
