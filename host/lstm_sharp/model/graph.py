"""A whole model of which recurrent parts run on an engine, and the rest on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import is_float, same, some
from lstm_sharp.model.pieces import Body, Call, Recurrent, State, Values

_MOST_VALUES = 1 << 24
"""Of a state."""


class Input(NamedTuple):
    """An input of a graph."""

    dtype: np.dtype | None
    """None where the file does not say."""
    shape: tuple[int | str, ...] | None
    """Sizes, or names of those that are open, ``?`` without one; None: of any rank."""

    def __str__(self) -> str:
        shape = "any shape" if self.shape is None else f"({', '.join(map(str, self.shape))})"
        return f"{self.dtype or 'any type'} {shape}"


class Graph:
    """A model of which recurrent parts run on an engine, and the rest on the host.

    Args:
        source: the file, for errors.
        body: its pieces.
        inputs: by name.
        notes: what the host computes because no engine does.

    Attributes:
        name: of the file, without its suffix.
        outputs: names.
        parts: what runs on an engine, in the order of execution.
    """

    def __init__(
        self, source: str, body: Body, inputs: Mapping[str, Input], notes: Sequence[str] = ()
    ) -> None:
        self.source, self.name, self.body = source, Path(source).stem, body
        self.inputs, self.outputs, self.notes = inputs, tuple(body.outputs), tuple(notes)
        self.parts = tuple(body.parts())
        self._states: dict[tuple[object, ...], tuple[tuple[str, str], ...]] = {}

    def run(self, values: Mapping[str, np.ndarray], call: Call) -> Values:
        """Compute the outputs.

        Args:
            values: of all inputs.
            call: runs recurrent parts.

        Raises:
            UsageError: inputs of other names, types or shapes, or ones that the graph cannot take.
        """
        found = self.body.run(self._checked(values), call)
        return dict(zip(self.outputs, found))

    def filled(self, given: Mapping[str, np.ndarray]) -> Values:
        """Put zeros where a float input was left out, which may be a state.

        Open sizes are those of the same name elsewhere, and unnamed ones the batch of the first
        input.

        Raises:
            UsageError: an input is missing that cannot be a state.
        """
        values = {name: np.asarray(value) for name, value in given.items()}
        sizes: dict[str, int] = {}
        for name in filter(values.__contains__, self.inputs):
            axes = self.inputs[name].shape or ()
            sizes = {"?": (values[name].shape or (1,))[0], **sizes}
            sizes.update((str(a), n) for a, n in zip(axes, values[name].shape) if a != "?")
        for name, (dtype, shape) in self.inputs.items():
            if name not in values:
                own = [a if isinstance(a, int) else sizes.get(a, 1) for a in shape or ()]
                fits = dtype is not None and is_float(dtype) and shape is not None
                if not fits or prod(own) > _MOST_VALUES:
                    raise UsageError(f"{self.source} needs the input {name}: {self.inputs[name]}")
                values[name] = np.zeros(own, dtype)
        return values

    def states(self, values: Mapping[str, np.ndarray]) -> tuple[tuple[str, str], ...]:
        """Pair the inputs that are initial states with the outputs that these states end as.

        If the recurrent parts leave their states as they are, such an input must come out of such
        an output as it went in, and if they negate them, negated.

        Args:
            values: of all inputs, of which sizes and whole numbers count.
        """
        whole = self._checked(values)
        kinds = ((v.shape, b"" if is_float(v.dtype) else v.tobytes()) for v in whole.values())
        key = tuple(kinds)
        if key not in self._states:
            self._states[key] = self._find_states(whole)
        return self._states[key]

    def _find_states(self, values: Values) -> tuple[tuple[str, str], ...]:
        rng, found = np.random.default_rng(0), []
        given = {
            name: rng.random(value.shape).astype(value.dtype) if is_float(value.dtype) else value
            for name, value in values.items()
        }
        for sign in (1, -1):
            ends = self.run(given, partial(_leave, sign))
            found.append(
                {
                    (name, out)
                    for name, value in given.items()
                    for out, end in ends.items()
                    if is_float(value.dtype) and same(end, sign * value)
                }
            )
        return tuple(sorted(found[0] & found[1]))

    def _checked(self, values: Mapping[str, np.ndarray]) -> Values:
        wants = "; ".join(f"{name}: {told}" for name, told in self.inputs.items())
        missing = [name for name in self.inputs if name not in values]
        odd = [name for name in values if name not in self.inputs]
        if missing or odd:
            told = f"lacks {some(missing)}" if missing else f"has no input {some(odd)}"
            raise UsageError(f"{self.source} {told}; its inputs are {wants}")
        found: Values = {}
        sizes: dict[str, int] = {}
        for name, (dtype, shape) in self.inputs.items():
            value = np.asarray(values[name])
            both_float = dtype is not None and is_float(dtype) and value.dtype.kind in "fiu"
            both_whole = dtype is not None and dtype.kind in "iub" and value.dtype.kind in "iub"
            fits = shape is None or (
                len(shape) == value.ndim
                and all(
                    size == (sizes.setdefault(want, size) if isinstance(want, str) else want)
                    for want, size in zip(shape, value.shape)
                    if want != "?"
                )
            )
            if not fits or not (dtype is None or value.dtype == dtype or both_float or both_whole):
                raise UsageError(
                    f"{self.source}: input {name} is {value.dtype} {value.shape}; "
                    f"its inputs are {wants}"
                )
            if not value.size:
                raise UsageError(f"{self.source}: input {name} has no values, {value.shape}")
            with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is told
                found[name] = cast = value if dtype is None else value.astype(dtype)
            if both_float and (np.isnan(cast) | (np.isinf(cast) & np.isfinite(value))).any():
                raise UsageError(
                    f"{self.source}: input {name} has NaN, or values beyond {dtype}; clean it first"
                )
            if both_whole and not np.array_equal(cast, value):
                raise UsageError(
                    f"{self.source}: input {name} has {value.min()} to {value.max()}, which "
                    f"{dtype} does not hold"
                )
        return found


def _leave(
    sign: int, part: Recurrent, x: np.ndarray, state: State | None, _: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Stand in for a recurrent part: leave the state as it is, or negate it."""
    none = np.zeros((2, *part.model.state_shape(len(x))))
    after = none if state is None else sign * np.stack(state)
    return np.zeros((*x.shape[:2], part.model.hidden_size)), after
