"""What the importers share: words for errors, choice by prefix, weights as float64."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lstm_sharp.errors import UsageError


def some(names: Iterable[object]) -> str:
    """Return at most eight different names in their order, and how many were left out."""
    unique = list(dict.fromkeys(names))
    rest = len(unique) - 8
    return ", ".join(map(str, unique[:8])) + (f" and {rest} more" if rest > 0 else "")


def match_prefix(names: Iterable[str], prefix: str) -> list[str]:
    """Return the names that lie under ``prefix``, taking ``.`` and ``/`` for the same.

    Whole path parts win: ``lstm`` picks ``lstm.`` and leaves ``lstm2.`` alone; only when no
    whole part matches is ``prefix`` taken as the beginning of a word. ``.`` is the root.
    """

    def path(name: str) -> str:
        return name.replace(".", "/").strip("/")

    wanted = path(prefix)
    paths = {name: path(name) for name in names}
    whole = [n for n, p in paths.items() if p == wanted or (wanted and p.startswith(wanted + "/"))]
    return whole or [name for name, p in paths.items() if p.startswith(wanted)]


def is_float(dtype: np.dtype) -> bool:
    """Tell whether a type is a float; bfloat16 is one that NumPy counts under no float kind."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def as_float(value: np.ndarray, what: str) -> np.ndarray:
    """Widen float16, bfloat16, float32 or float64 weights, which float64 holds exactly.

    Args:
        value: any array.
        what: how an error calls it.

    Returns:
        The same shape as float64.

    Raises:
        UsageError: another element type, as of a model that is quantised already.
    """
    if not is_float(value.dtype):
        raise UsageError(
            f"{what} is {value.dtype}, not float; save the float weights, quantisation comes after"
        )
    with np.errstate(invalid="ignore"):  # of a signalling NaN, which is refused later
        return value.astype(np.float64)


def same(a: object, b: np.ndarray) -> bool:
    """Tell whether this is an array of the same shape and values, of whatever type."""
    return isinstance(a, np.ndarray) and np.array_equal(a.astype(float), b.astype(float))
