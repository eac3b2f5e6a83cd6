"""Memories of an engine: how they are cut, and what they take of a device, by Vivado's own rule.

The rule: a memory in BRAM is as deep as the next power of two (AMD's AR 61995 and UG906), in the
shape of BRAM that takes fewest; a distributed memory with one port to write and one to read takes
four LUTs for three bits of 64 words, or for six bits of 32. What is rendered of memories comes from
here; the SystemVerilog engine's counts are held against Yosys's by a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from lstm_sharp import files, paths
from lstm_sharp.engine.beats import SCALE
from lstm_sharp.engine.knobs import BRAM18, BRAM36_DEEPEST, URAM_BITS, URAM_DEPTH, Config
from lstm_sharp.numerics.formats import C_BITS

_STRIP_BITS = 1024
"""Most bits of a word of weights in the C++ kernel: the widest ap_int that needs no macro."""
WORK_FIFO = 16
"""Works that the C++ kernel's fetch may be ahead of its dispatcher."""
_WORK_BITS = 300
"""Bits of a work, rounded up."""
_SCALE_BITS = SCALE["act_shift"].width + SCALE["factor"].width
"""Bits of a row's scale in the MFU."""


class Memory(NamedTuple):
    """A memory, in one of BRAM, UltraRAM and LUTs."""

    name: str
    depth: int
    bits: int
    bram36: float = 0
    uram: int = 0
    lutram: int = 0


def memories(cfg: Config) -> tuple[Memory, ...]:
    """All memories of the SystemVerilog engine in BRAM and UltraRAM; estimated."""
    column = cfg.rows * cfg.fmt.weight_bits
    in_bram, in_uram = (cfg.columns - cfg.uram_columns) * column, cfg.uram_columns * column
    return (
        *(bram_memory("weights", depth, in_bram) for depth in cfg.bram_banks if in_bram),
        *(_uram(depth, in_uram) for depth in cfg.uram_banks if in_uram),
        bram_memory("biases", cfg.bias_blocks, cfg.rows * _bias_word_bits(cfg)),
        *([_scales(cfg, cfg.bias_blocks)] if cfg.row_scales else []),
        bram_memory("sequence", cfg.sequence_words, cfg.columns * cfg.fmt.activation_bits),
    )


def most(cfg: Config) -> dict[str, float]:
    """What an engine takes of BRAM36, UltraRAM and LUTs as memories; of the two, the one with more.

    The SystemVerilog engine's memories in LUTs are Yosys's to count, and are not in it.
    """
    engines = memories(cfg.of("sv")), kernel_memories(cfg.of("hls"))
    kinds = ("bram36", "uram", "lutram")
    return {kind: max(total(engine, kind) for engine in engines) for kind in kinds}


def counted(identity: str) -> Mapping[str, float] | None:
    """Return what Yosys has counted of an engine of this identity; None where it has not."""
    path = paths.counts()
    told = files.read_json(path) if path.is_file() else {}
    return next((one["used"] for one in told.values() if one["identity"] == identity), None)


def total(of: Iterable[Memory], kind: str) -> float:
    """Add up what memories take of a kind."""
    return sum(getattr(memory, kind) for memory in of)


@dataclass(frozen=True)
class KernelStorage:
    """How the C++ kernel cuts its memories; each depth is a power of two, so that places wrap."""

    bank_tiles: int  # tiles in the first of two memories of a strip
    rest_tiles: int  # and in the second
    rest_depth: int
    bram_word: int  # columns whose weights lie in one word
    uram_word: int
    bias_depth: int  # of each bank's
    scale_depth: int  # bands
    stored_depth: int
    x_depth: int  # words
    h_depth: int  # words of either half
    sequence_depth: int
    c_depth: int  # groups

    @classmethod
    def of(cls, cfg: Config) -> KernelStorage:
        """Work it out for a config."""
        bank = _power_of_two(cfg.weight_tiles + 1) // 2
        rest = cfg.weight_tiles - bank
        column = cfg.rows * cfg.fmt.weight_bits
        bias_depth = _power_of_two(ceil(cfg.bias_blocks / cfg.bands))
        return cls(
            bank,
            rest,
            _power_of_two(rest),
            _strip(cfg.columns - cfg.uram_columns, column),
            _strip(cfg.uram_columns, column),
            bias_depth,
            bias_depth * cfg.bands if cfg.row_scales else 1,
            _power_of_two(cfg.chain_blocks // cfg.bands),
            _power_of_two(cfg.x_columns),
            _power_of_two(cfg.h_words),
            _power_of_two(cfg.sequence_words),
            _power_of_two(cfg.groups),
        )


def kernel_memories(cfg: Config) -> tuple[Memory, ...]:
    """All memories of the C++ kernel, FIFOs too; estimated, each as often as it is there."""
    kernel, activation = KernelStorage.of(cfg), cfg.fmt.activation_bits
    column = cfg.rows * cfg.fmt.weight_bits
    rows = cfg.bands * cfg.rows
    depths = [kernel.bank_tiles, *([kernel.rest_depth] if kernel.rest_tiles else [])]
    word = cfg.columns * activation
    return (
        *(
            bram_memory("weights", depth, kernel.bram_word * column)
            for depth in depths
            for _ in range((cfg.columns - cfg.uram_columns) // kernel.bram_word)
        ),
        *(
            _uram(depth, kernel.uram_word * column)
            for depth in depths
            for _ in range(cfg.uram_columns // kernel.uram_word)
        ),
        *(bram_memory("sequence", kernel.sequence_depth, activation) for _ in range(cfg.columns)),
        *(_lutram("biases", kernel.bias_depth, _bias_word_bits(cfg)) for _ in range(rows)),
        *([_scales(cfg, kernel.scale_depth)] if cfg.row_scales else []),
        *(_lutram("stored sums", kernel.stored_depth, cfg.acc_bits) for _ in range(rows)),
        _lutram("x", kernel.x_depth, word),
        *(_lutram("h", 2 * kernel.h_depth, activation) for _ in range(cfg.columns)),
        *(_lutram("c", kernel.c_depth, C_BITS) for _ in range(cfg.lanes)),
        _lutram("program", 128, 192),
        _lutram("x FIFO", cfg.ring_words, word),
        _lutram("h FIFO", cfg.fifo_beats, cfg.stream_bits + 2),
        Memory("work FIFO", WORK_FIFO, _WORK_BITS, lutram=_WORK_BITS),  # shift registers
    )


def _scales(cfg: Config, depth: int) -> Memory:
    return bram_memory("scales", depth, cfg.rows * _SCALE_BITS)


def _bias_word_bits(cfg: Config) -> int:
    """Bits of a bias and what lies beside it."""
    return cfg.fmt.bias_bits + cfg.row_scales * SCALE["x_shift"].width


def _strip(columns: int, column_bits: int) -> int:
    """Most columns that go into a word, as many into each; one where nothing does."""
    fits = (n for n in range(1, columns + 1) if columns % n == 0 and n * column_bits <= _STRIP_BITS)
    return max(fits, default=1)


def _power_of_two(least: int) -> int:
    return 1 << max(0, least - 1).bit_length()


def bram_memory(name: str, depth: int, bits: int) -> Memory:
    """Lay a memory into BRAM."""
    for deep, wide in BRAM18.items():
        if depth <= deep:
            return Memory(name, depth, bits, bram36=ceil(bits / wide) / 2)
    deep = _power_of_two(depth) // BRAM36_DEEPEST
    return Memory(name, depth, bits, bram36=ceil(bits / 9) * max(1, deep))


def _uram(depth: int, bits: int) -> Memory:
    return Memory("weights", depth, bits, uram=ceil(bits / URAM_BITS) * ceil(depth / URAM_DEPTH))


def _lutram(name: str, depth: int, bits: int) -> Memory:
    if depth <= 32:
        return Memory(name, depth, bits, lutram=4 * ceil(bits / 6))
    return Memory(name, depth, bits, lutram=4 * ceil(bits / 3) * ceil(depth / 64))
