"""What the importers share: words for errors, choice by prefix, weights as float64, GRU rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Layer


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


def check_float(value: np.ndarray, what: str) -> None:
    """Refuse weights, which an error calls ``what``, that are no floats.

    Raises:
        UsageError: another element type, as of a model that is quantised already.
    """
    if not is_float(value.dtype):
        raise UsageError(
            f"{what} is {value.dtype}, not float; save the float weights, quantisation comes after"
        )


def as_float(value: np.ndarray, what: str) -> np.ndarray:
    """Widen float16, bfloat16, float32 or float64 weights, which float64 holds exactly.

    Args:
        value: any array.
        what: how an error calls it.

    Returns:
        The same shape as float64.

    Raises:
        UsageError: as ``check_float``.
    """
    check_float(value, what)
    with np.errstate(invalid="ignore"):  # of a signalling NaN, which is refused later
        return value.astype(np.float64)


def same(a: object, b: np.ndarray) -> bool:
    """Tell whether this is an array of the same shape and values, of whatever type of numbers."""
    if not isinstance(a, np.ndarray) or a.dtype.kind in "OSU":
        return False
    return np.array_equal(a.astype(float), b.astype(float))


def gru_layer(
    w_ih: np.ndarray, w_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray, reverse: bool = False
) -> Layer:
    """Make a GRU cell whose r multiplies the product of W_hh and h, bias included.

    Args:
        w_ih: (3H, X), rows of r, z, n.
        w_hh: (3H, H), likewise.
        b_ih: (3H,), beside x.
        b_hh: (3H,), beside h.
        reverse: as ``Layer``.

    Raises:
        UsageError: as ``Layer``, or shapes of no GRU.
    """
    rows = len(w_hh)
    if {3 * w_hh.shape[1], len(w_ih), len(b_ih), len(b_hh)} != {rows}:
        raise UsageError(
            f"shapes w_ih {w_ih.shape}, w_hh {w_hh.shape}, b_ih {b_ih.shape}, b_hh {b_hh.shape} "
            "are no GRU layer; expected (3H, X), (3H, H), (3H,), (3H,)"
        )
    r_x, z_x, n_x = np.split(np.column_stack([w_ih, b_ih]), 3)
    r_h, z_h, n_h = np.split(np.column_stack([w_hh, b_hh]), 3)
    by_x = np.concatenate([np.zeros_like(n_x), r_x, n_x, z_x])
    by_h = np.concatenate([n_h, r_h, np.zeros_like(n_h), z_h])
    return Layer(by_x[:, :-1], by_h[:, :-1], by_x[:, -1] + by_h[:, -1], reverse, "gru")
