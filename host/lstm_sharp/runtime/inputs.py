"""What a user hands in to be run, checked before any work; and the answer in the same form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_sharp.compiler.pack import Batch
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.batch import Head, Pair, head_by_length, padded

Limits = tuple[float, "float | np.ndarray"]
"""Largest abs(h), and abs(c), of each cell or of all."""
FLOAT_LIMITS: Limits = (np.inf, np.inf)


@dataclass(frozen=True)
class Request:
    """Sequences, the state that they begin with, and in which form the answer is wanted."""

    x: Batch  # (B, T, X), or (T, X) each: float64, or integers that are quantised already
    state: Pair | None  # float64, or integers where x is
    floats: bool
    alone: bool  # a single sequence was given
    time: int | None  # steps of the batch of which sequences were cut off at their lengths

    @property
    def lengths(self) -> list[int]:
        """Steps of each sequence."""
        return [len(x) for x in self.x]

    def answer(self, h: Any, after: Pair | None) -> Any:
        """Give h, and the states if there are any, in the form in which x was given."""
        if self.alone:
            h = h[0]
        elif self.time is not None:
            h = padded(h, self.time)
        elif isinstance(self.x, list):
            h = list(h)  # sequences of one length come as one array
        else:
            h = np.asarray(h)
        return h if after is None else (h, after)

    def headed(self, head: Head, h: Any) -> Any:
        """Give what a head makes of h: for the batch, or for each sequence of a list.

        Raises:
            UsageError: as ``Head``, or ``head_by_length``.
        """
        if self.time is not None:
            return head_by_length(head, self.answer(h, None), self.lengths)
        if isinstance(self.x, list):
            return [head(one[None]) for one in h]
        return head(np.asarray(h))


def read_request(
    model: Model | QuantModel,
    x: np.ndarray | Sequence[np.ndarray],
    state: Pair | None = None,
    lengths: Sequence[int] | np.ndarray | None = None,
    bits: int = 0,
    limits: Limits = FLOAT_LIMITS,
) -> Request:
    """Check what a user hands in; integers are taken as they are, without a copy.

    Args:
        model: whose input it is.
        x: (T, X), (B, T, X), or a list of (T, X).
        state: h and c, (cells, B, widest H) each, or None; integers where x is.
        lengths: steps of each sequence of a batch, (B,); None: all.
        bits: of integers that are quantised already; 0: there are none such.
        limits: largest abs(h) and abs(c) of a state in floats.

    Raises:
        UsageError: wrong shape or type, no sequence, NaN, integers out of the format's range.
    """
    alone = isinstance(x, np.ndarray) and x.ndim == 2
    try:
        whole = [x[None] if alone else x] if isinstance(x, np.ndarray) else None
        parts = whole or [np.asarray(one)[None] for one in x]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"x cannot be read ({error}); give an array (time, features) or (batch, time, "
            "features), or a list of (time, features)"
        ) from None
    if not parts:
        raise UsageError("there are 0 sequences; give at least one")
    kinds = {part.dtype.kind in "iu" for part in parts}
    if len(kinds) > 1:
        raise UsageError("some sequences are floats and some integers; give one kind")
    floats = kinds == {False}
    if not (floats or bits):
        raise UsageError("backend float takes no integers, for it has no scales; give floats")
    bits = 0 if floats else bits
    parts = [check_input(model, part, "input", bits) for part in parts]
    found: Batch = parts[0] if whole else [part[0] for part in parts]
    if isinstance(model, Model):
        for part in parts:
            check_sizes(model, (len(found), *part.shape[1:]), "input")
    if state is not None:
        state = check_state(model, len(found), state, bits, limits)
    if lengths is None:
        return Request(found, state, floats, alone, None)
    if not isinstance(found, np.ndarray):
        raise UsageError("lengths go with a batch (batch, time, features); the list has its own")
    cut = [sequence[:end] for sequence, end in zip(found, check_lengths(found, lengths))]
    return Request(cut, state, floats, alone, found.shape[1])


def check_input(model: Model | QuantModel, x: np.ndarray, what: str, bits: int = 0) -> np.ndarray:
    """Return x (batch, time, X) as float64; with ``bits``, integers of so many bits as they are.

    Raises:
        UsageError: wrong type or shape, empty, NaN or infinity, integers out of range.
    """
    x = np.asarray(x)
    fits = x.ndim == 3 and x.shape[2] == model.input_size and x.size > 0
    wanted = f"(batch, time, {model.input_size}) of at least one step"
    return _checked(what, x, fits, wanted, bits)


def check_sizes(model: Model, shape: tuple[int, ...], what: str) -> None:
    """Refuse x of a shape (batch, time, X) that contradicts the sizes that the model's file fixes.

    Raises:
        UsageError: it does; the batch may have been taken for the time.
    """
    if all(size in (0, given) for size, given in zip(model.sizes, shape)):
        if model.check:
            model.check(*shape[:2])
        return

    def told(*sizes: int) -> str:
        return f"({', '.join(str(size or 'any') for size in sizes)}, {model.input_size})"

    batch, time = model.sizes
    first = f"{told(time, batch)}, time first, so here" if model.time_first else "x as"
    raise UsageError(
        f"{what} has shape {shape}, but the file of {model.name} declares {first} (batch, time, "
        f"features) = {told(batch, time)}; give it so, or export the model with dynamic axes"
    )


def check_lengths(x: np.ndarray, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the steps of each sequence of x (batch, time, X), (batch,) int64.

    Raises:
        UsageError: not whole numbers, not one a sequence, below 1 or beyond x.
    """
    batch, time, _ = x.shape
    ends = np.asarray(lengths)
    if ends.dtype.kind not in "iu" or ends.shape != (batch,):
        raise UsageError(
            f"lengths have type {ends.dtype} and shape {ends.shape}; one whole number for each of "
            f"{batch} sequences is expected"
        )
    wrong = (ends < 1) | (ends > time)
    if wrong.any():
        raise UsageError(
            f"sequence {int(wrong.argmax())} has a length of {int(ends[wrong.argmax()])}; "
            f"1 to the {time} steps of the input are possible"
        )
    return ends.astype(np.int64)


def check_state(
    model: Model | QuantModel,
    batch: int,
    state: Pair,
    bits: int = 0,
    limits: Limits = FLOAT_LIMITS,
) -> Pair:
    """Return h and c, (cells, batch, widest H) each, as float64 or, with ``bits`` of h, integers.

    Raises:
        UsageError: wrong type or shape, NaN, or out of range.
    """
    if len(state) != 2:
        raise UsageError(f"a state is h and c, {len(state)} arrays were given; give both")
    shape, found = model.state_shape(batch), []
    for name, given, reach, most in zip("hc", state, limits, (bits, C_BITS if bits else 0)):
        v, wanted = np.asarray(given), f"(cells, batch, hidden) = {shape}, as x is,"
        v = _checked(f"state {name}", v, v.shape == shape, wanted, most)
        size, held = np.broadcast_arrays(np.abs(v), reach)
        over = size > held
        if not bits and over.any():
            raise UsageError(
                f"state {name} reaches {size[over].max():g}, an engine holds {held[over].min():g} "
                "of this model; give what a run of it on an engine has left behind, or run it with "
                "backend float"
            )
        found.append(v)
    return found[0], found[1]


def _checked(what: str, x: np.ndarray, fits: bool, wanted: str, bits: int) -> np.ndarray:
    """Return finite numbers as float64 or, with ``bits``, integers of so many bits as they are."""
    kind = "integers" if bits else "numbers"
    if x.dtype.kind not in ("iu" if bits else "fiu") or not fits:
        raise UsageError(f"{what} is {x.dtype} {x.shape}; {kind} {wanted} are expected")
    if not bits:
        bad = int(x.size - np.isfinite(x).sum())
        if bad:
            raise UsageError(f"{what} has {bad} NaN or infinite of {x.size} values; clean it first")
        return x.astype(np.float64)
    most = 1 << (bits - 1)
    if x.dtype.kind == "u" or 8 * x.dtype.itemsize > bits:
        low, high = int(x.min()), int(x.max())
        if low < -most or high >= most:
            raise UsageError(
                f"{what} has integers from {low} to {high}; the format has {bits} bits, {-most} to "
                f"{most - 1}; give floats to have them scaled"
            )
    return x
