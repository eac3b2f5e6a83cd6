"""Integers in beats of a stream: little endian, whole bytes; a row's scale above its bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Bits(NamedTuple):
    """Where a number lies in 64 bits."""

    lsb: int
    width: int


SCALE = {
    "x_shift": Bits(48, 4),
    "act_shift": Bits(52, 4),  # frac over the format's least
    "factor": Bits(56, 2),  # quarters over four
}
"""A row's scale, in the beat of its bias, of an engine with row scales; the last two are taken as
one, and so lie side by side."""


def integers(bits: int) -> np.dtype:
    """Type of integers that take so many bits, 8, 16, 32 or 64."""
    return np.dtype(f"<i{bits // 8}")


def bytes_of(values: np.ndarray) -> np.ndarray:
    """See integers as the bytes of a stream."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def with_scale(bias: np.ndarray, scale: Mapping[str, np.ndarray]) -> np.ndarray:
    """Put scales, by the names of ``SCALE``, above biases, int64 all."""
    words = bias & ((1 << min(bits.lsb for bits in SCALE.values())) - 1)
    for name, bits in SCALE.items():
        words = words | scale[name] << bits.lsb
    return words
