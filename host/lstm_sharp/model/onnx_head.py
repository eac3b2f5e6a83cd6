"""What follows the LSTM nodes of an ONNX graph; it runs on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import is_float
from lstm_sharp.model.onnx_graph import HiddenValueError
from lstm_sharp.model.onnx_stack import Stack, same


@dataclass(frozen=True)
class Head:
    """The nodes after the last LSTM."""

    stack: Stack = field(repr=False)
    output: str

    def __call__(self, h: np.ndarray) -> np.ndarray:
        """Computes one output of the graph.

        Args:
            h: (batch, time, hidden) float, the last layer's.

        Returns:
            The output in the shape and type that the graph gives it; float32 for bfloat16.

        Raises:
            UsageError: nothing here computes an op of it as it should, the output takes more
                than h, or the file fixes other sizes.
        """
        graph, sizes = self.stack.graph, self.stack.sizes
        if any(size not in (0, given) for size, given in zip(sizes, h.shape)):
            raise UsageError(
                f"{graph.source}: what follows the LSTM works for batch, time "
                f"{sizes} (0 is any) only, not {h.shape[:2]}; export with dynamic axes"
            )
        try:
            value = graph.evaluate(self.output, self.stack.feeds(h), f"output {self.output}")
        except HiddenValueError as error:
            raise UsageError(
                f"{error} beside the h of the last LSTM, which alone is known here; compute it "
                "from h and the state outside"
            ) from None
        if not isinstance(value, np.ndarray):
            raise UsageError(f"{graph.source}: output {self.output} is a {type(value).__name__}")
        # What NumPy has no type for, few programs read.
        exotic = is_float(value.dtype) and value.dtype.kind != "f"
        return value.astype(np.float32) if exotic else value


def make_head(stack: Stack) -> Head | None:
    """Returns what follows the last LSTM: the first output that is more than h itself.

    An output beside the first counts only if something is computed for it, for the states after
    the last step are none. An output that takes more than h, as the c of the last step, is
    returned only for want of another: it tells what it takes to whom wants it.

    Returns:
        None when all that comes out is h itself in whatever order of axes.
    """
    wanting = None
    for index, output in enumerate(stack.graph.outputs):
        head = Head(stack, output)
        for h in stack.typical_h():
            if index and stack.graph.trace(output)[0] in stack.feeds(h):
                break
            try:
                value = stack.graph.evaluate(output, stack.feeds(h), f"output {output}")
            except HiddenValueError:
                wanting = wanting or head
                break
            except UsageError:
                return head  # it tells what is wrong to whom wants the head; h needs none
            itself = (h, h.swapaxes(0, 1))
            if not isinstance(value, np.ndarray) or not any(same(value, each) for each in itself):
                return head
    return wanting
