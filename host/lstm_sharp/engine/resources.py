"""What an engine takes of a device, *modelled*: quick enough for a search over thousands."""

from __future__ import annotations

from math import ceil

from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config


def estimate(cfg: Config) -> dict[str, float]:
    """Say what the SystemVerilog engine takes: ``lut``, ``dsp``, ``bram36`` and ``uram``.

    LUTs as Yosys would count them; docs/explore.md says how well.
    """
    memories = storage.memories(cfg)
    return {
        "lut": _luts(cfg),
        "dsp": cfg.dsps,
        "bram36": storage.total(memories, "bram36"),
        "uram": storage.total(memories, "uram"),
    }


def _luts(cfg: Config) -> float:
    """An adder of n numbers takes 2 n - 3 LUTs a bit, or less where UltraScale+ is mapped."""
    large = cfg.board != "none" and facts(cfg.board).family != "xc7"
    activation, pairs = cfg.fmt.activation_bits, ceil(cfg.fmt.weight_bits / 2)
    tree, bits, width = 0, cfg.product_bits, cfg.columns // cfg.bands
    while width > (2 if cfg.bands == 1 else 1):
        whole, rest = divmod(width, 4)
        bits, width = bits + 2, ceil(width / 4)
        tree += (5 * whole + max(0, 2 * rest - 3)) * bits
    tree = cfg.bands * tree + (cfg.bands - 1) * bits
    product = pairs * (activation + 2) + max(0, 2 * pairs - 3) * 0.8 * activation
    kernel = storage.kernel_memories(cfg.of("hls"))
    memories = sum(m.lutram for m in kernel if m.name in ("stored sums", "h", "c"))
    row = 6 * cfg.bands * cfg.acc_bits + tree * (0.75 if large else 1.05)
    row += product * cfg.lut_columns
    return 4400 + 2600 * cfg.lanes + memories * (0.86 if large else 1) + row * cfg.rows
