"""How far a run is from the float one, in the figures that formats are compared by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Error(NamedTuple):
    """What numbers differ by from those that are right; of several sets, the sum."""

    signal: float = 0.0  # sum of squares
    error: float = 0.0  # likewise
    worst: float = 0.0  # largest absolute error
    largest: float = 0.0  # largest absolute value of the signal

    @classmethod
    def of(cls, signal: np.ndarray, found: np.ndarray) -> Error:
        """Hold against what is right what came instead: floats, both of one shape."""
        signal = np.asarray(signal, dtype=np.float64)
        error = found - signal
        worst = np.abs(error).max(initial=0)
        largest = float(np.abs(signal).max(initial=0))
        sums = float(np.square(signal).sum()), float(np.square(error).sum())
        return cls(*sums, float(worst), largest)

    def and_of(self, other: Error) -> Error:
        """Give the error of both sets together."""
        both = self.signal + other.signal, self.error + other.error
        return Error(*both, max(self.worst, other.worst), max(self.largest, other.largest))

    @property
    def decibels(self) -> float:
        """Signal to error, 10 log10(signal / error).

        It is inf where nothing differs, -inf where a signal of zeros is missed.
        """
        with np.errstate(divide="ignore"):
            return float(10 * np.log10(self.signal / self.error)) if self.error else np.inf


def decibels(signal: np.ndarray, found: np.ndarray) -> float:
    """Return signal to error, as ``Error`` has it, of h say: float arrays of one shape."""
    return Error.of(signal, found).decibels
