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
    """The nodes after the last LSTM, computed by ONNX Runtime or the evaluator of onnx."""

    stack: Stack = field(repr=False)
    output: str
    sizes: tuple[int, int]  # batch and time it is bound to, 0 for any

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Computes the graph's output.

        Args:
            h: (batch, time, hidden) float, the last layer's.

        Returns:
            The output in the shape and type that the graph gives it.

        Raises:
            UsageError: an op of it cannot be computed, or the file fixes other sizes.
        """
        if any(size not in (0, given) for size, given in zip(self.sizes, h.shape)):
            raise UsageError(
                f"{self.stack.graph.source}: what follows the LSTM works for batch, time "
                f"{self.sizes} (0 is any) only, not {h.shape[:2]}; export with dynamic axes"
            )
        return self.stack.graph.compute(self.output, self.stack.feeds(h), f"output {self.output}")


def make_head(stack: Stack) -> tuple[Head | None, str]:
    """Returns what follows the last LSTM, up to the first output that is no h or state itself.

    Returns:
        None where all outputs are such, in whatever order of axes, or where h does not determine
        the first that is not, as it does not determine the c of the last step; and why.
    """
    graph = stack.graph
    states = {name for node in stack.nodes for name in node.output}
    reason = "the file has no output"
    for output in graph.outputs:
        origins, _ = graph.trace(output)
        moved = states.issuperset(origins)
        reason = f"its output {output} is h or a state as it is"
        if moved and output != graph.outputs[0]:
            continue
        h = stack.random_h(*stack.probe_sizes(), stack.hidden_size)
        head = Head(stack, output, (0, 0))
        try:
            value = graph.evaluate(output, stack.feeds(h), f"output {output}")
        except HiddenValueError:
            reason = f"its output {output} takes {stack.beside_h(output)} beside h, which is all"
            reason += " that an engine gives"
            if not moved:
                return None, reason
            continue
        except UsageError:
            return head, ""  # it tells what is wrong to whom wants the head; h needs none
        if not any(close(value, same, _TOLERANCE) for same in (h, h.swapaxes(0, 1))):
            return (head if _takes_any_size(head) else Head(stack, output, stack.sizes)), ""
    return None, reason


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
