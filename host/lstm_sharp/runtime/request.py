"""What a user of a board hands in: one sequence, a batch or a list, floats or integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.formats import C_BITS
from lstm_sharp.numerics.quantize import QuantModel
from lstm_sharp.runtime.batch import Pair
from lstm_sharp.runtime.inputs import ENGINE_LIMITS, FloatState, check_input, check_state


@dataclass(frozen=True)
class Request:
    """Integer sequences, and in which form the answer is wanted."""

    x: np.ndarray | list[np.ndarray]  # (B, T, X), or (T, X) each
    state: Pair | None
    alone: bool  # a single sequence was given
    floats: bool
    clipped: int = 0
    """Values of x beyond what its scale holds; they are taken as the largest that it does."""

    @property
    def lengths(self) -> list[int]:
        """Steps of each sequence."""
        return [len(x) for x in self.x]

    def answer(self, model: QuantModel, h: Any, after: Pair | None) -> Any:
        """Give h, and the states if there are any, in the form in which x was given."""
        if self.floats:
            h = [model.dequantize_h(v) for v in h] if isinstance(h, list) else model.dequantize_h(h)
            after = after and (model.dequantize_h(after[0]), model.dequantize_c(after[1]))
        if self.alone:
            h = h[0]
        elif isinstance(self.x, list):
            h = list(h)  # sequences of one length come as one array
        return h if after is None else (h, after)


def read_request(
    model: QuantModel, x: np.ndarray | Sequence[np.ndarray], state: FloatState | None
) -> Request:
    """Check and quantise what a user hands in; integers are taken as they are, without a copy.

    Args:
        model: the integer model.
        x: (T, X), (B, T, X), or a list of (T, X).
        state: h and c, (cells, B, widest H) each, or None; integers where x is.

    Raises:
        UsageError: wrong shape or type, no sequence, NaN, integers out of the format's range.
    """
    alone = isinstance(x, np.ndarray) and x.ndim == 2
    try:
        parts = [x] if isinstance(x, np.ndarray) else [np.asarray(one)[None] for one in x]
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"x cannot be read ({error}); give an array (time, features) or (batch, time, "
            "features), or a list of (time, features)"
        ) from None
    if not parts:
        raise UsageError("there are 0 sequences; give at least one")
    if alone:
        parts = [parts[0][None]]
    kinds = {part.dtype.kind in "iu" for part in parts}
    if len(kinds) > 1:
        raise UsageError("some sequences are floats and some integers; give one kind")
    floats = kinds == {False}
    bits = model.fmt.activation_bits
    clipped = 0
    if floats:
        checked = [check_input(model, part, "x") for part in parts]
        whole = [model.quantize_input(part) for part in checked]
        clipped = sum(map(model.clipped, checked))
    else:
        wanted = f"(batch, time, {model.input_size}) of at least one step"
        for part in parts:
            fits = part.ndim == 3 and part.shape[2] == model.input_size and part.size
            _check_integers("x", part, fits, wanted, bits)
        whole = parts
    found = whole[0] if isinstance(x, np.ndarray) else [part[0] for part in whole]
    return Request(found, _read_state(model, len(found), state, floats), alone, floats, clipped)


def _read_state(
    model: QuantModel, batch: int, state: FloatState | None, floats: bool
) -> Pair | None:
    if state is None:
        return None
    if len(state) != 2:
        raise UsageError(f"a state is h and c, {len(state)} arrays were given; give both")
    if floats:
        return model.quantize_state(*check_state(model, batch, state, ENGINE_LIMITS))
    widest = max(layer.hidden_size for layer in model.layers)
    shape = (len(model.layers), batch, widest)
    h, c = np.asarray(state[0]), np.asarray(state[1])
    wanted = f"(cells, batch, hidden) = {shape}, as x is,"
    for name, v, bits in (("h", h, model.fmt.activation_bits), ("c", c, C_BITS)):
        _check_integers(f"state {name}", v, v.shape == shape, wanted, bits)
    return h, c


def _check_integers(what: str, x: np.ndarray, fits: object, wanted: str, bits: int) -> None:
    """Refuse what is no integers, does not fit, or has more than ``bits`` bits."""
    if x.dtype.kind not in "iu" or not fits:
        raise UsageError(f"{what} is {x.dtype} {x.shape}; integers {wanted} are expected")
    if x.dtype.kind == "u" or 8 * x.dtype.itemsize > bits:
        most = 1 << (bits - 1)
        low, high = int(x.min()), int(x.max())
        if low < -most or high >= most:
            raise UsageError(
                f"{what} has integers from {low} to {high}; the format has {bits} bits, {-most} to "
                f"{most - 1}; give floats to have them scaled"
            )
