"""Declared widths against the ranges that a config implies: none too narrow, none too wide."""

from __future__ import annotations

import re

from lstm_sharp.engine.config import Config
from lstm_sharp.numerics import activation, formats
from workshop.checker.code import Complaints
from workshop.checker.kernel import Kernel


def needed(cfg: Config) -> dict[str, int]:
    """Fewest bits, signed, of what the kernel's types and variables hold, by their names.

    Worked out from the extremes of weights, activations and biases, not from the config's widths.
    """
    fmt = cfg.fmt
    weight, scalar = 1 << (fmt.weight_bits - 1), 1 << (fmt.activation_bits - 1)
    bias = 1 << (fmt.bias_bits - 1)
    low, high = -weight * (scalar - 1), weight * scalar  # of a product
    shift, x, h = cfg.max_shift, cfg.max_input, cfg.max_hidden
    acc = ((x * low - bias << shift) + h * low, (x * high + bias - 1 << shift) + h * high)
    left = max(0, -cfg.z_shift_min)
    steps = 1 << activation.BASE_BITS  # y of tanh lies in [-steps, steps)
    factor, cell = 2 * steps - 1, 1 << (formats.C_BITS - 1)
    half_h = 1 << (2 * formats.SIGMA_FRAC - fmt.h_frac - 1)
    ranges = {
        "Weight_t": (-weight, weight - 1),
        "Activation_t": (-scalar, scalar - 1),
        "Bias_t": (-bias, bias - 1),
        "Sum_t": (cfg.columns * low, cfg.columns * high),
        "Acc_t": acc,
        "wide": (acc[0] << left, acc[1] << left),
        "C_t": (-cell, cell - 1),
        "Z_t": (-8 << activation.Z_FRAC, (8 << activation.Z_FRAC) - 1),
        "Tanh_t": (-steps, steps - 1),
        "Factor_t": (-factor, factor),
        "fc": (-2 * factor * cell, 2 * factor * (cell - 1)),  # doubled in place
        "ig": (-factor * factor, factor * factor),
        "out": (-factor * factor + half_h, factor * factor + half_h),
    }
    return {name: 1 + max(~least, most).bit_length() for name, (least, most) in ranges.items()}


def ranges(kernel: Kernel, cfg: Config) -> Complaints:
    """Types and variables of the arithmetic have the bits that they need, and no more."""
    missing = needed(cfg)
    for cursor in kernel.of("TYPE_ALIAS_DECL", "VAR_DECL"):
        bits = re.search(r"\bap_int<(\d+)>", cursor.type.get_canonical().spelling)
        if cursor.spelling in missing and bits:
            need = missing.pop(cursor.spelling)
            if need != int(bits[1]):
                yield cursor, f"{cursor.spelling} has {bits[1]} bits; {cfg.name} needs {need}"
    for name in missing:
        yield kernel.top.cursor, f"{name} is in no file; rename it in checker/ranges.py too"
