"""What follows the LSTM nodes of an ONNX graph; it runs on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.onnx_graph import HiddenValueError
from lstm_sharp.model.onnx_stack import Stack, close

_TOLERANCE = 1e-5
"""For the order of float32 sums; a head that scales h by 1.01 is a head."""


@dataclass(frozen=True)
class Head:
    """The nodes after the last LSTM, computed by the reference evaluator of onnx."""

    stack: Stack = field(repr=False)
    output: str
    sizes: tuple[int, int]  # batch and time it is bound to, 0 for any

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Computes the graph's first output.

        Args:
            h: (batch, time, hidden) float, the last layer's.

        Returns:
            The output in the shape and type that the graph gives it.

        Raises:
            UsageError: onnx lacks an op of it, or the file fixes other sizes.
        """
        if any(size not in (0, given) for size, given in zip(self.sizes, h.shape)):
            raise UsageError(
                f"{self.stack.graph.source}: what follows the LSTM works for batch, time "
                f"{self.sizes} (0 is any) only, not {h.shape[:2]}; export with dynamic axes"
            )
        return self.stack.graph.evaluate(self.output, self.stack.feeds(h), f"output {self.output}")


def make_head(stack: Stack) -> Head | None:
    """Returns what follows the last LSTM.

    Returns:
        None when that is h itself in whatever order of axes, or when h does not determine it,
        as it does not determine the c of the last step.
    """
    if not stack.graph.outputs:
        return None
    output = stack.graph.outputs[0]
    h = stack.random_h(*stack.probe_sizes(), stack.hidden_size)
    head = Head(stack, output, (0, 0))
    try:
        value = head(h)
    except HiddenValueError:
        return None
    except UsageError:
        return head  # it tells what is wrong to whom wants the head; h needs none
    if any(close(value, same, _TOLERANCE) for same in (h, h.swapaxes(0, 1))):
        return None
    return head if _takes_any_size(head) else Head(stack, output, stack.sizes)


def _takes_any_size(head: Head) -> bool:
    """Tells whether a head works for sizes other than those that an exporter may have fixed.

    A Reshape to fixed sizes can mix sequences without an error. Hence the test: sequences that
    trade places must do so in the output.
    """
    stack = head.stack
    h = stack.random_h(*stack.probe_sizes(more=1), stack.hidden_size)
    try:
        value, rolled = head(h), head(np.roll(h, 1, axis=0))
    except UsageError:
        return False
    axes = [axis for axis, size in enumerate(value.shape) if size == len(h)]
    return any(close(np.roll(value, 1, axis), rolled, _TOLERANCE) for axis in axes)
