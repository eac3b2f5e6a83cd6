"""sigma and tanh as the hardware computes them: one table, linear interpolation.

Both come from one table of tanh on [0, 8), by odd symmetry and
``sigma(z) = (1 + tanh(z / 2)) / 2``. The unit takes a signed ``Z_BITS`` integer z with ``Z_FRAC``
fraction bits and gives y. Both stand for the middle of their step, ``(z + 1/2) 2**-16`` and
``(2 y + 1) 2**-17``: truncation is then unbiased, and the bitwise complement of the argument
gives the negative of the result exactly, so that the hardware needs neither rounding nor
negation.

Worst error over the whole input range, table and rounding together: ``MAX_ERROR`` (tested).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

Z_BITS = 20
"""Width of the argument, signed."""
Z_FRAC = 16
"""Fraction bits of the argument: range [-8, 8)."""
SEGMENT_BITS = 9
"""Bits of the table's address: 512 segments of 1/64 on [0, 8)."""
FRAC_BITS = Z_BITS - 1 - SEGMENT_BITS
"""Bits of the position inside a segment."""
BASE_BITS = 16
"""Width of a segment's first value, unsigned, in units of 2**-16."""
SLOPE_BITS = FRAC_BITS + 1
"""Width of a segment's rise, unsigned, in units of 2**-16."""
MAX_ERROR = 3.5e-5
"""Bound on |tanh_q(z) - tanh(z)| over every argument in [-8, 8); half of it for sigma."""


@lru_cache(maxsize=1)
def table() -> tuple[np.ndarray, np.ndarray]:
    """Return (base, slope) of the segments, each (512,) int64.

    The chord of each segment is moved up by half its greatest distance from the curve, which
    halves the interpolation error; ``base`` takes off the half step that ``2 y + 1`` adds.
    """
    edges = np.arange((1 << SEGMENT_BITS) + 1) / (1 << (SEGMENT_BITS - 3)) + 0.5 ** (Z_FRAC + 1)
    left, right = np.tanh(edges[:-1]), np.tanh(edges[1:])
    middle = np.tanh((edges[:-1] + edges[1:]) / 2)
    lift = (middle - (left + right) / 2) / 2
    base = np.rint((left + lift) * (1 << BASE_BITS) - 0.5).astype(np.int64)
    slope = np.rint((right - left) * (1 << BASE_BITS)).astype(np.int64)
    limit = (1 << BASE_BITS) - 1
    base = np.clip(base, 0, limit)
    return base, np.minimum(slope, limit - base)


def tanh(z: np.ndarray) -> np.ndarray:
    """Compute tanh of floats with the table's error, float64."""
    half = 1 << (Z_BITS - 1)
    steps = np.clip(np.floor(z * 2.0**Z_FRAC), -half, half - 1).astype(np.int64)
    return (2.0 * all_steps()[steps + half] + 1.0) * 0.5 ** (Z_FRAC + 1)


def tanh_steps(z: np.ndarray) -> np.ndarray:
    """Compute y, int64, for integer arguments z in [-2**19, 2**19)."""
    base, slope = table()
    sign = -(z < 0).astype(np.int64)
    u = z ^ sign
    segment, frac = u >> FRAC_BITS, u & ((1 << FRAC_BITS) - 1)
    return (((base[segment] << FRAC_BITS) + slope[segment] * frac) >> FRAC_BITS) ^ sign


@lru_cache(maxsize=1)
def all_steps() -> np.ndarray:
    """``tanh_steps`` of every argument as one float32 table (4 MiB), indexed by z + 2**19."""
    half = 1 << (Z_BITS - 1)
    return tanh_steps(np.arange(-half, half)).astype(np.float32)
