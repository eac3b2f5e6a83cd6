"""What follows the LSTM and GRU layers of a Keras model, computed by Keras if it is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from lstm_sharp.errors import ToolError
from lstm_sharp.files import refusing, why
from lstm_sharp.model.keras_config import EXPORT, Entry, read_entry

Head = Callable[[np.ndarray], np.ndarray]

TAKEN = {
    *("Dense", "TimeDistributed", "Activation", "ReLU", "LeakyReLU", "Softmax"),
    *("Flatten", "Reshape", "BatchNormalization", "LayerNormalization"),
    *("GlobalAveragePooling1D", "GlobalMaxPooling1D"),
}
"""Layers that are made; none of them runs code out of a file or reads another file."""
_BACKENDS = ("tensorflow", "torch", "jax")
"""What Keras computes by; the first that is there, where the user has not chosen."""
_INSTALL = f"keras {_BACKENDS[-1]}"
_INITIAL = ("_initializer", "_regularizer", "_constraint")


def why_not(tail: Sequence[Entry]) -> str:
    """Tell why layers are not computed, and what to do; nothing if they are."""
    for entry in tail:
        inner = read_entry(entry.config["layer"]) if entry.kind == "TimeDistributed" else entry
        if inner.kind not in TAKEN:
            return f"is followed by {inner.kind} {entry.name}, which is not computed here; {EXPORT}"
    if "keras" not in sys.modules and find_spec("keras") is None:
        return f"is followed by {tail[0].name}, which Keras computes; run pip install {_INSTALL}"
    return ""


def make_head(tail: Sequence[tuple[Entry, list[np.ndarray]]], what: str) -> Head:
    """Return what computes layers one after the other.

    Args:
        tail: layers that ``why_not`` lets pass, with the weights of each as Keras orders them.
        what: how an error calls the file.

    Returns:
        A function of the first layer's input. It raises ToolError where Keras is not installed.
    """
    names = ", ".join(entry.name for entry, _ in tail)

    def head(h: np.ndarray) -> np.ndarray:
        keras = _keras(f"{what}: {names} after the recurrent layers")
        with refusing(f"{what}: Keras does not compute {names}", "export the model as ONNX"):
            value = keras.ops.convert_to_tensor(h)
            for entry, arrays in tail:
                layer = _made(keras, entry, arrays)
                layer.build(value.shape)
                layer.set_weights(arrays)
                value = layer(value)
            return np.asarray(keras.ops.convert_to_numpy(value))

    return head


def _keras(what: str) -> Any:
    """Import Keras with a backend that is installed."""
    if "keras" not in sys.modules:
        found = next(filter(find_spec, _BACKENDS), _BACKENDS[-1])
        os.environ.setdefault("KERAS_BACKEND", found)
    try:
        import keras

        _ = keras.ops  # which Keras 2 does not have
    except Exception as error:  # of a backend, too
        raise ToolError(
            f"{what} is computed by Keras, which cannot be imported ({why(error)}); run pip "
            f"install {_INSTALL}"
        ) from error
    return keras


def _made(keras: Any, entry: Entry, arrays: Sequence[np.ndarray]) -> Any:
    """Make a layer of the plain values of its config; what only training needs is left out."""
    config = {key: v for key, v in entry.config.items() if not key.endswith(_INITIAL)}
    if entry.kind == "TimeDistributed":
        inner = _made(keras, read_entry(config.pop("layer")), arrays)
        return keras.layers.TimeDistributed(inner, name=entry.name)
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        config["dtype"] = dtype["config"]["name"]
    nested = [key for key, v in config.items() if isinstance(v, dict)]
    if nested:
        raise ValueError(f"{entry.name} has {nested[0]} of a class of its own")
    if entry.kind == "Dense" and config["units"] != arrays[0].shape[-1]:
        raise ValueError(f"{entry.name} has {config['units']} units, weights of another size")
    return getattr(keras.layers, entry.kind).from_config(config)
