"""Computes part of an ONNX graph, by ONNX Runtime or the reference evaluator of onnx.

The reference evaluator comes with the reader, but some of its ops are wrong in silence. So ONNX
Runtime is taken where it is installed and knows all ops, types and the opset. What is left to the
reference evaluator may hold none of the ops below, which were found by holding both against each
other, with onnx's own tests of each op at every opset and with other attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import why
from lstm_sharp.model.onnx_file import all_nodes, attributes_of, label, opset_of

if TYPE_CHECKING:
    from onnx import ModelProto

Evaluator = Callable[[Mapping[str, np.ndarray]], list[Any]]
"""From the part's inputs by name to its outputs in their order."""

_Wrong = Callable[[int, Mapping[str, Any]], bool]
_WRONG: tuple[tuple[str, _Wrong], ...] = (
    ("BatchNormalization", lambda opset, has: opset < 14),
    # Below opset 13 all axes from ``axis`` on are one.
    ("Softmax LogSoftmax Hardmax", lambda opset, has: opset < 13 and has.get("axis") != -1),
    ("LpNormalization", lambda opset, has: has.get("p", 2) != 2),
    # sequence_lens, clip, input_forget and other activations are ignored; Loop joins what it
    # should stack.
    ("LSTM GRU RNN Loop", lambda opset, has: True),
    ("MaxPool AveragePool LpPool GlobalMaxPool MaxUnpool", lambda opset, has: True),
    ("ConvTranspose Resize Upsample RoiAlign", lambda opset, has: True),
)
"""Ops that the reference evaluator computes wrongly, at which opset and with which attributes."""


def make_evaluator(part: ModelProto | bytes, seconds: float = 8) -> Evaluator:
    """Returns what computes a graph.

    Args:
        part: a model whose outputs need no types; or one as a file has it, for ONNX Runtime alone.
        seconds: that a run may take if there is a Loop in it: whether that ends, nobody can tell.

    Raises:
        UsageError: ONNX Runtime is not there or does not take the graph, and the reference
            evaluator is known to be wrong for an op of it.
        Exception: of the reference evaluator, when it does not know an op.
    """
    if isinstance(part, bytes):
        return _runtime(part, seconds)
    try:
        return _runtime(part, seconds)
    except Exception as error:  # of onnxruntime: an op, type or opset that it does not know
        missing = isinstance(error, ImportError)
        absent = "is not installed; run pip install onnxruntime"
        reason = absent if missing else f"does not take it: {why(error)}"
    _refuse_wrong(part, f"onnxruntime computes it right, but {reason}")
    return _reference(part)


def _runtime(part: ModelProto | bytes, seconds: float) -> Evaluator:
    """Lets ONNX Runtime compute a graph; raises whatever it raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and need not be printed
    onnxruntime.set_default_logger_severity(4)
    options.enable_cpu_mem_arena = False  # what was once taken would be kept
    options.intra_op_num_threads = 1
    # Above it, some versions crash on a Transpose before a MatMul of float16.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    providers = ["CPUExecutionProvider"]
    data = part if isinstance(part, bytes) else part.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=providers)
    if any("bfloat16" in value.type for value in (*session.get_inputs(), *session.get_outputs())):
        raise TypeError("its Python interface has no bfloat16")
    loops = b"Loop" in data

    def run(feeds: Mapping[str, np.ndarray]) -> list[Any]:
        bound = onnxruntime.RunOptions()
        timer = Timer(seconds, setattr, (bound, "terminate", True))
        timer.daemon = True
        if loops:
            timer.start()
        try:
            return list(session.run(None, dict(feeds), bound))
        except Exception as error:  # of onnxruntime, with places in its own source
            if bound.terminate:
                raise TimeoutError(f"a Loop in it takes longer than {seconds:g} s") from None
            told = why(error).rpartition("Status Message: ")[2].rpartition("was false. ")[2]
            raise RuntimeError(told) from error
        finally:
            timer.cancel()

    return run


def _reference(part: ModelProto) -> Evaluator:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(part)

    def run(feeds: Mapping[str, np.ndarray]) -> list[Any]:
        with np.errstate(all="ignore"):  # hidden values are NaN
            return list(evaluator.run(None, dict(feeds)))

    return run


def _refuse_wrong(part: ModelProto, remedy: str) -> None:
    opset = opset_of(part)
    for node in all_nodes(part.graph.node):
        has = attributes_of(node)
        for ops, wrong in _WRONG:
            if node.op_type in ops.split() and wrong(opset, has):
                raise UsageError(
                    f"{label(node)} at opset {opset} is wrong in onnx's reference evaluator; "
                    f"{remedy}"
                )
