"""The float model that every importer makes and everything else takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lstm_sharp.errors import UsageError

GATES = ("i", "f", "g", "o")
"""Order of the gates everywhere; importers reorder once, hardware knows no other order."""


@dataclass(frozen=True)
class Layer:
    """One forward LSTM layer.

    Gate rows are stacked in the order i, f, g, o, as ``torch.nn.LSTM`` does.

    Raises:
        UsageError: shapes that do not belong together, NaN or infinity.
    """

    w_ih: np.ndarray  # (4H, X) float64, input weights
    w_hh: np.ndarray  # (4H, H) float64, recurrent weights
    b: np.ndarray  # (4H,) float64, the sum of all biases

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

    @property
    def input_size(self) -> int:
        """X."""
        return int(self.w_ih.shape[1])

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.w_hh.shape[1])


@dataclass(frozen=True)
class Model:
    """A stack of LSTM layers, bottom first, and what the host computes after it.

    Raises:
        UsageError: no layer, or a layer that does not take the h of the one below.
    """

    layers: tuple[Layer, ...]
    name: str = "model"
    head: Callable[[np.ndarray], np.ndarray] | None = None
    """Host part after the LSTM: last layer's h (batch, time, hidden) to the model's output."""

    def __post_init__(self) -> None:
        if not self.layers:
            raise UsageError(f"{self.name} has no LSTM layer")
        for index, (below, above) in enumerate(zip(self.layers, self.layers[1:]), start=1):
            if above.input_size != below.hidden_size:
                raise UsageError(
                    f"layer {index} takes {above.input_size} inputs but layer {index - 1} gives "
                    f"{below.hidden_size}; check that the file holds one stack"
                )

    @property
    def input_size(self) -> int:
        """Features of x."""
        return self.layers[0].input_size

    @property
    def hidden_size(self) -> int:
        """Units of the last layer."""
        return self.layers[-1].hidden_size
