"""What an engine takes of a device, *estimated*: as Yosys would count, without asking it.

DSPs and memories follow from Yosys's own rules. LUTs are a sum over parts of the engine: how large
each is follows from the config, what one of its units takes has been fitted to counts of engines
drawn at random. docs/explore.md says how near that comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import ceil

from lstm_sharp import files, paths
from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.numerics.formats import C_BITS

LEAST_IN_DSP = 9
"""Bits of the narrowest product that Yosys gives to a DSP."""
_BYTE = 9
"""Bits of a BRAM that are written together."""
_BRAM18_COST = 129
"""What Yosys weighs half a BRAM36 by, where a memory may lie in LUTs as well."""
_LUTRAM = {"xc7": (6, 4, 8), "xcup": (14, 8, 16)}
"""Of the LUT memory of 32 words: bits of a word, its LUTs, and what Yosys weighs it by. Of 64 words
it has half the bits."""


def estimate(cfg: Config) -> dict[str, float]:
    """Say what the SystemVerilog engine takes: ``lut``, ``dsp``, ``bram36`` and ``uram``."""
    blocks = _blocks(cfg, facts(board_of(cfg)).family)
    return {
        "lut": sum(costs()[part] * size for part, size in parts(cfg).items()),
        "dsp": 8 * cfg.lanes if _soft(cfg) else cfg.dsps,
        "bram36": storage.total(blocks, "bram36"),
        "uram": storage.total(blocks, "uram"),
    }


@cache
def costs() -> Mapping[str, float]:
    """LUTs of a unit of each part, as fitted."""
    told: dict[str, float] = files.read_json(paths.resource_model())["costs"]
    return told


def parts(cfg: Config) -> dict[str, float]:
    """Say how large the parts of an engine are that LUTs make, each in units of its own."""
    family = facts(board_of(cfg)).family
    act, turn = cfg.fmt.activation_bits, 4 * cfg.lanes * cfg.acc_bits
    by_luts = cfg.columns if _soft(cfg) else cfg.lut_columns
    choice = 2 * cfg.most_passes if cfg.bands > 1 else 2 * (cfg.passes > 1)
    banks = len(cfg.bram_banks) - 1
    return {
        "control": 1,
        f"control, {family}": 1,
        "lanes": cfg.lanes,
        "shifters of the lanes": 4 * cfg.lanes * cfg.scaled_bits,
        "row scales of the lanes": cfg.lanes * cfg.row_scales * cfg.scaled_bits,
        "GRU of the lanes": cfg.lanes * cfg.gru,
        f"adder trees, {family}": cfg.rows * _tree(cfg),
        "accumulators": cfg.rows * cfg.bands * cfg.acc_bits,
        "products": cfg.rows * by_luts * _product(cfg),
        "memories": _in_luts(cfg, family),
        "selection": cfg.columns * act * (1 + _choice(cfg.bands)),
        "turns": turn * _choice(choice),
        "streams": cfg.stream_bits,
        "banks of weights": cfg.macs * cfg.fmt.weight_bits * banks / 4,
    }


def _soft(cfg: Config) -> bool:
    """Whether Yosys has products made by LUTs that are meant for DSPs."""
    return cfg.packed == 1 and cfg.product_bits < LEAST_IN_DSP


def _choice(of: int) -> float:
    """LUTs of a bit that is chosen from so many; four to one a LUT."""
    return max(0, of - 1) / 3


def _tree(cfg: Config) -> float:
    """LUTs of a row's adders; of n numbers 2 n - 3 a bit, as they are compressed."""
    tree, bits, width = 0, cfg.product_bits, cfg.columns // cfg.bands
    while width > (2 if cfg.bands == 1 else 1):
        whole, rest = divmod(width, 4)
        bits, width = bits + 2, ceil(width / 4)
        tree += (5 * whole + max(0, 2 * rest - 3)) * bits
    return cfg.bands * tree + (cfg.bands - 1) * bits


def _product(cfg: Config) -> float:
    """LUTs of a multiplier: sums of two multiples each, and their sum."""
    activation, pairs = cfg.fmt.activation_bits, ceil(cfg.fmt.weight_bits / 2)
    return pairs * (activation + 2) + max(0, 2 * pairs - 3) * 0.8 * activation


def _blocks(cfg: Config, family: str) -> list[storage.Memory]:
    """List memories in BRAM and UltraRAM as Yosys lays them out.

    It has shallow biases in LUTs, and each group of h that is written at once begins with a byte.
    """
    found = []
    for memory in storage.memories(cfg):
        if memory.name == "sequence":
            group = _BYTE * ceil(cfg.lanes * cfg.fmt.activation_bits / _BYTE)
            bits = cfg.columns // cfg.lanes * group
            found.append(storage.bram_memory(memory.name, memory.depth, bits))
        elif memory.name != "biases":
            found.append(memory)
        elif not _in_lutram(bank := _bias_bank(cfg), family):
            found += [bank] * cfg.bands
    return found


def _bias_bank(cfg: Config) -> storage.Memory:
    (biases,) = (memory for memory in storage.memories(cfg) if memory.name == "biases")
    return storage.bram_memory("biases", ceil(biases.depth / cfg.bands), biases.bits)


def _in_lutram(memory: storage.Memory, family: str) -> bool:
    """Whether Yosys finds LUTs to be cheaper, where it may choose."""
    weight = _LUTRAM[family][-1] * _lut_memories(memory.depth, memory.bits, family)
    return weight < _BRAM18_COST * 2 * memory.bram36


def _lut_memories(depth: int, bits: int, family: str) -> int:
    """LUT memories that a memory takes."""
    wide = _LUTRAM[family][0]
    return ceil(bits / wide) if depth <= 32 else ceil(2 * bits / wide) * ceil(depth / 64)


def _in_luts(cfg: Config, family: str) -> float:
    """LUTs of all memories in LUTs but the program's, with the choice between those of 64 words."""
    act, bank = cfg.fmt.activation_bits, _bias_bank(cfg)
    memories = [  # how many, how deep, how wide
        (cfg.bands, cfg.chain_blocks // cfg.bands, cfg.rows * cfg.acc_bits),
        (cfg.columns // cfg.lanes, 2 * cfg.h_words, cfg.lanes * act),
        (cfg.lanes, cfg.groups, C_BITS),
        (cfg.word_beats, cfg.ring_words, ceil(cfg.columns * act / cfg.word_beats)),
        (1, cfg.fifo_beats, cfg.stream_bits + 1),
        (cfg.bands * _in_lutram(bank, family), bank.depth, bank.bits),
    ]
    luts = _LUTRAM[family][1]
    return sum(
        count * (luts * _lut_memories(depth, bits, family) + bits * _choice(ceil(depth / 64)))
        for count, depth, bits in memories
    )
