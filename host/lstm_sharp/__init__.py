"""LSTM-Sharp: LSTM inference on FPGAs, from a trained model to a running board.

    model = lstm_sharp.load("model.onnx")
    with lstm_sharp.Session(model, "pynq-z2", backend="rtl", calibration=x) as session:
        h = session.run(x)  # (batch, time, features) to (batch, time, hidden)

``lstm_sharp.driver`` drives a board, ``lstm_sharp.package`` writes what goes to it. docs/api.md has
it all on a page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Format",
    "Graph",
    "Model",
    "Session",
    "UsageError",
    "compare",
    "load",
    "quantize",
]

if TYPE_CHECKING:
    from lstm_sharp.engine.config import Config
    from lstm_sharp.errors import UsageError
    from lstm_sharp.model.graph import Graph
    from lstm_sharp.model.model import Model
    from lstm_sharp.numerics.formats import Format
    from lstm_sharp.numerics.quantize import quantize
    from lstm_sharp.numerics.stored import load
    from lstm_sharp.runtime.answers import compare
    from lstm_sharp.runtime.graphs import Session

_WHERE = {
    "Config": "lstm_sharp.engine.config",
    "Format": "lstm_sharp.numerics.formats",
    "Graph": "lstm_sharp.model.graph",
    "Model": "lstm_sharp.model",
    "Session": "lstm_sharp.runtime.graphs",
    "UsageError": "lstm_sharp.errors",
    "compare": "lstm_sharp.runtime.answers",
    "load": "lstm_sharp.numerics.stored",
    "quantize": "lstm_sharp.numerics.quantize",
}


def __getattr__(name: str) -> Any:
    """Import on first use: a board's ``import lstm_sharp`` stays light."""
    from importlib import import_module

    if name == "files":  # whose max_memory is wanted before anything is read
        return import_module("lstm_sharp.files")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what is imported on first use, too, for help() and completion."""
    return sorted([*globals(), *__all__])
