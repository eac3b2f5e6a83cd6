"""The float model that every importer makes and everything else takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from lstm_sharp.errors import UsageError

GATES = {"lstm": ("i", "f", "g", "o"), "gru": ("n_h", "r", "n_x", "z")}
"""The four sums of a neuron, by the kind of its cell, in the order in which rows are stacked.

A GRU's candidate is tanh(n_x + r n_h): n_h is the part that takes h, n_x the part that takes x, and
each has zero weights where it has no part. Its h is n + z (h - n); c is h before it is rounded.
"""


class Cell:
    """Sizes of one direction of a level, whatever numbers it is made of."""

    w_ih: np.ndarray  # (4H, X)
    w_hh: np.ndarray  # (4H, H)
    b: np.ndarray  # (4H,)
    reverse: bool
    kind: str  # of GATES

    @property
    def input_size(self) -> int:
        """X."""
        return int(self.w_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.w_hh.shape[1])

    @property
    def weights(self) -> int:
        """How many it has; each is multiplied once a step."""
        return self.w_ih.size + self.w_hh.size

    @cached_property
    def x_gates(self) -> np.ndarray:
        """What x and a one after it are multiplied by: w_ih and b, see ``by_gate``."""
        return by_gate(np.column_stack([self.w_ih, self.b]))

    @cached_property
    def h_gates(self) -> np.ndarray:
        """What h is multiplied by: w_hh, see ``by_gate``."""
        return by_gate(self.w_hh)


AnyCell = TypeVar("AnyCell", bound=Cell)


def by_gate(rows: np.ndarray) -> np.ndarray:
    """Turn weights (4H, X) into a matrix a gate that x is multiplied by, float64 (4, X, H)."""
    gates = rows.reshape(4, -1, rows.shape[1]).transpose(0, 2, 1)
    return gates.astype(np.float64, order="C")


def level_width(level: Sequence[Cell]) -> int:
    """Return the width of a level's output: h of its cells side by side, forward first."""
    return sum(cell.hidden_size for cell in level)


class Levels(Generic[AnyCell]):
    """Cells in a stack of levels, bottom first: what a float and an integer model are.

    A level is one cell, or a forward and a reverse cell that read the same x.
    """

    layers: tuple[AnyCell, ...]
    directions: tuple[int, ...] | None

    def __post_init__(self) -> None:
        _ = self.levels  # which checks them

    @property
    def levels(self) -> tuple[tuple[AnyCell, ...], ...]:
        """The cells of each level, bottom first.

        Raises:
            UsageError: no cell, cells of two kinds, directions that do not add up, a pair that is
                not forward and reverse of one size, or a level that does not take the output of
                the one below.
        """
        cells = self.layers
        if not cells:
            raise UsageError("the model has no LSTM layer; give at least one")
        if len({cell.kind for cell in cells}) > 1:
            raise UsageError("a stack has LSTM and GRU cells; make a model of each")
        counts = (1,) * len(cells) if self.directions is None else self.directions
        if sum(counts) != len(cells) or not {1, 2}.issuperset(counts):
            raise UsageError(
                f"directions {counts} do not group {len(cells)} LSTM cells; give 1 or 2 a layer, "
                "as many as cells in all"
            )
        levels = tuple(cells[end - n : end] for n, end in zip(counts, accumulate(counts)))
        for index, level in enumerate(levels):
            sides = [
                f"{'reverse' if cell.reverse else 'forward'} {cell.input_size} -> "
                f"{cell.hidden_size}"
                for cell in level
            ]
            if len(level) == 2 and sides[1] != sides[0].replace("forward", "reverse"):
                raise UsageError(
                    f"layer {index} is made of {' and '.join(sides)}; a bidirectional one is "
                    "forward, then reverse, of the same sizes"
                )
            below = level_width(levels[index - 1]) if index else level[0].input_size
            if level[0].input_size != below:
                raise UsageError(
                    f"layer {index} takes {level[0].input_size} inputs but layer {index - 1} "
                    f"gives {below}; check that the file holds one stack"
                )
        return levels

    @property
    def kind(self) -> str:
        """Of its cells, one of ``GATES``."""
        return self.layers[0].kind

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.layers[0].input_size

    @property
    def hidden_size(self) -> int:
        """Width of the output: units of the last level, of both directions together."""
        return level_width(self.levels[-1])

    @property
    def reverse(self) -> bool:
        """Whether any of them goes backwards."""
        return any(cell.reverse for cell in self.layers)

    def state_shape(self, batch: int) -> tuple[int, int, int]:
        """Return the shape of h and of c of so many sequences: (cells, batch, widest H)."""
        return len(self.layers), batch, max(cell.hidden_size for cell in self.layers)

    @property
    def macs_per_step(self) -> int:
        """Multiplications of one time step through all cells: as many as weights."""
        return sum(cell.weights for cell in self.layers)


@dataclass(frozen=True)
class Layer(Cell):
    """One LSTM or GRU cell, in one direction.

    Gate rows are stacked in the order of ``GATES``. A reverse cell runs from the last step to the
    first; its h[t] still belongs to step t.

    Raises:
        UsageError: shapes that do not belong together, NaN or infinity.
    """

    w_ih: np.ndarray  # (4H, X) float64, input weights
    w_hh: np.ndarray  # (4H, H) float64, recurrent weights
    b: np.ndarray  # (4H,) float64, the sum of all biases
    reverse: bool = False
    kind: str = "lstm"

    def __post_init__(self) -> None:
        for name in ("w_ih", "w_hh", "b"):
            value = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, value)
            bad = int(value.size - np.isfinite(value).sum())
            if bad:
                raise UsageError(
                    f"{name} has {bad} NaN or infinite of {value.size} values; "
                    "export the model again from a run that did not diverge"
                )
        rows, hidden = self.w_hh.shape
        if rows != 4 * hidden or self.w_ih.shape[0] != rows or self.b.shape != (rows,):
            raise UsageError(
                f"shapes w_ih {self.w_ih.shape}, w_hh {self.w_hh.shape}, b {self.b.shape} are no "
                "LSTM layer; expected (4H, X), (4H, H), (4H,)"
            )
        if hidden < 1 or self.w_ih.shape[1] < 1:
            raise UsageError(
                f"an LSTM layer of {self.w_ih.shape[1]} inputs and {hidden} units is empty"
            )


NOTHING_AFTER = "gives h itself, with nothing after it"
QUANTISED_ALONE = "was quantised without what follows h, of which its notes tell"
WEIGHTS_ALONE = "holds weights, and no graph: export the model as ONNX"
OF_NO_NOTE = (NOTHING_AFTER, QUANTISED_ALONE, WEIGHTS_ALONE)
"""Reasons for no head that whoever has the model knows."""


@dataclass(frozen=True)
class Model(Levels[Layer]):
    """A stack of LSTM or GRU levels, bottom first, and what the host computes after it.

    Raises:
        UsageError: cells that make no stack; see ``Levels.levels``.
    """

    layers: tuple[Layer, ...]
    """All cells, within a level forward before reverse, as ``torch.nn.LSTM`` counts them."""
    name: str = "model"
    head: Callable[[np.ndarray], np.ndarray] | None = None
    """Host part after the LSTM: last level's h (batch, time, hidden) to the model's output."""
    directions: tuple[int, ...] | None = None
    """Cells of each level, 1 or 2; None when each has one."""
    sizes: tuple[int, int] = (0, 0)
    """Batch and time of x where the file fixes them, else 0."""
    time_first: bool = False
    """Whether the file's own x is (time, batch, X)."""
    no_head: str = NOTHING_AFTER
    """Why there is no head: what the file does, and what to do."""
    check: Callable[[int, int], None] | None = None
    """Refuses a batch and time at which the file means something else than this stack of cells."""
    quantized: Any = None
    """The integer model that the file holds, too, a ``numerics.quantized.QuantModel``, or None."""
