"""Integers in beats of a stream: little endian, whole bytes."""

from __future__ import annotations

import numpy as np


def integers(bits: int) -> np.dtype:
    """Type of integers of so many bits."""
    return np.dtype(f"<i{bits // 8}")


def bytes_of(values: np.ndarray) -> np.ndarray:
    """See integers as the bytes of a stream."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
