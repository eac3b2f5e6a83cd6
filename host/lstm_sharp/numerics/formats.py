"""Number formats: W8A16 means 8-bit weights and 16-bit activations (x and h)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lstm_sharp.errors import UsageError

SUPPORTED = ("W16A16", "W8A16", "W8A8")

C_BITS = 24
"""Width of the cell state, signed, saturating."""
C_FRAC = 16
"""Fraction bits of the cell state, less a layer's c_shift."""
GRU_C_FRAC = 22
"""Those of a GRU's, which is h before it is rounded."""
MAX_C_SHIFT = 3
"""Most that an engine with row scales can do without."""
C_LIMIT = 1 << (C_BITS - 1 - C_FRAC)
"""The cell state is held to [-C_LIMIT, C_LIMIT), at c_shift 0."""
SIGMA_FRAC = 17
"""Fraction bits of sigma's result and of tanh's centre 2 y + 1."""


@dataclass(frozen=True)
class Format:
    """Widths of weights and activations in bits.

    Raises:
        UsageError: from ``parse``, when the text is none of ``SUPPORTED``.
    """

    weight_bits: int
    activation_bits: int

    @classmethod
    def parse(cls, text: str) -> Format:
        """Read ``W8A16`` and the like."""
        match = re.fullmatch(r"W(\d+)A(\d+)", text)
        if match is None or text not in SUPPORTED:
            raise UsageError(f"format {text!r} is unknown; choose one of {', '.join(SUPPORTED)}")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"W{self.weight_bits}A{self.activation_bits}"

    @property
    def h_frac(self) -> int:
        """Fraction bits of h, which lies in (-1, 1)."""
        return self.activation_bits - 1

    @property
    def bias_bits(self) -> int:
        """Width of a bias, signed, in units of the x-part's accumulator LSB."""
        return self.weight_bits + self.activation_bits + 7

    @property
    def weight_frac_min(self) -> int:
        """Fewest fraction bits a layer's recurrent weights may have (|w| < 128)."""
        return self.weight_bits - 8

    @property
    def weight_frac_max(self) -> int:
        """Most fraction bits a layer's weights may have."""
        return self.weight_frac_min + 15
