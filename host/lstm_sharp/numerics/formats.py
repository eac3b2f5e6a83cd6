"""Number formats: W8A16 means 8-bit weights and 16-bit activations (x and h)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lstm_sharp.errors import UsageError

USUAL = ("W16A16", "W8A16", "W8A8")
"""Formats that answers show beside each other, widest first."""
DEFAULT_FORMAT = "W8A16"
"""Where neither a config nor the user says otherwise."""
LEAST_BITS, MOST_BITS = 2, 16
"""Widths of weights, and of activations."""
KNOWN = (
    f"W{LEAST_BITS} to W{MOST_BITS} with A{LEAST_BITS} to A{MOST_BITS}, such as W8A16, or one a "
    "layer, such as W8A16,W4A8"
)
"""All formats, in words."""


def _room(bits: int) -> int:
    return 8 if bits <= 8 else 16


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
    """Widths of weights and activations in bits; of several levels, of the widest.

    Raises:
        UsageError: from ``parse``, when the text is no format, or a width is out of range.
    """

    weight_bits: int
    activation_bits: int
    levels: tuple[Format, ...] = ()
    """Each level's own, the lowest first; none: all are alike."""

    @classmethod
    def parse(cls, text: str) -> Format:
        """Read ``W8A16`` and the like, or one of each level: ``W8A16,W4A8``."""
        if "," in text:
            levels = tuple(map(cls.parse, text.split(",")))
            weights, activations = zip(*((own.weight_bits, own.activation_bits) for own in levels))
            return cls(max(weights), max(activations), levels)
        match = re.fullmatch(r"W([1-9][0-9]?)A([1-9][0-9]?)", text)
        weight, activation = map(int, match.groups()) if match else (0, 0)
        if not all(LEAST_BITS <= bits <= MOST_BITS for bits in (weight, activation)):
            raise UsageError(f"format {text[:40]!r} is unknown; choose one of {KNOWN}")
        return cls(weight, activation)

    def __str__(self) -> str:
        return ",".join(map(str, self.levels)) or f"W{self.weight_bits}A{self.activation_bits}"

    def check_levels(self, count: int, name: str) -> None:
        """Refuse formats of another number of levels than a model of this name has.

        Raises:
            UsageError: with both numbers.
        """
        if self.levels and len(self.levels) != count:
            raise UsageError(
                f"{str(self)[:60]} names the formats of {len(self.levels)} layers, {name} has "
                f"{count}; give one format, or one for each"
            )

    @property
    def widest(self) -> Format:
        """The format of an engine for all levels."""
        return replace(self, levels=())

    def of_level(self, level: int) -> Format:
        """Return the format of one level."""
        return self.levels[level] if self.levels else self

    def h_drop(self, level: int) -> int:
        """Bits by which h of a level is narrower than that of the widest."""
        return self.activation_bits - self.of_level(level).activation_bits

    @property
    def mixed(self) -> bool:
        """Whether h has not the same width in all levels."""
        return any(map(self.h_drop, range(len(self.levels))))

    def narrower(self, other: Format) -> bool:
        """Whether neither of its widths is the other's larger, and it is not the same."""
        return self != other and (
            self.weight_bits <= other.weight_bits and self.activation_bits <= other.activation_bits
        )

    @property
    def h_frac(self) -> int:
        """Fraction bits of h, which lies in (-1, 1)."""
        return self.activation_bits - 1

    @property
    def most_weight(self) -> int:
        """The largest weight, and the least one's negative where an engine packs products."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def weight_room(self) -> int:
        """Bits that a weight takes in a stream: whole bytes."""
        return _room(self.weight_bits)

    @property
    def activation_room(self) -> int:
        """Bits that an element of x or h takes in a stream."""
        return _room(self.activation_bits)

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
