"""What follows the LSTM and GRU layers of a Keras model, written as ops that the host computes.

Layers are read from the plain values of their configs; none of them runs code out of a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lstm_sharp.model.common import some
from lstm_sharp.model.host_graph import Maker
from lstm_sharp.model.keras_config import Entry, read_entry

_PASSIVE = {"name", "trainable", "dtype", "batch_input_shape", "data_format"}
_PASSIVE |= {"momentum", "renorm_momentum"}
_INITIAL = ("_initializer", "_regularizer", "_constraint")
"""How options end that only training needs."""
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("Identity", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "elu": ("Elu", {}),
    "gelu": ("Gelu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "softplus": ("Softplus", {}),
    "exponential": ("Exp", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
}
"""By Keras's names, but for hard_sigmoid, which Keras 2 and 3 compute differently."""


@dataclass
class Tail:
    """Layers, one after the other.

    Attributes:
        made: the graph.
        x: what the next layer takes.
        rank: of that.
    """

    made: Maker
    x: str
    rank: int

    def add(self, entry: Entry, arrays: Sequence[np.ndarray]) -> None:
        """Add a layer with its weights, as Keras orders them.

        Raises:
            ValueError: a layer, an option or weights that are not taken; it begins as
                "is followed by".
        """
        layer = entry
        if entry.kind == "TimeDistributed":
            inner = read_entry(entry.config["layer"])
            if inner.kind in _EVERY_STEP or inner.kind not in _LAYERS:
                layer = inner  # on each step the same as on all
        told_of = f"is followed by {layer.kind} {entry.name}"
        if layer.kind not in _LAYERS:
            raise ValueError(f"{told_of}, which is not computed here")
        add, takes = _LAYERS[layer.kind]
        told = {
            key: value
            for key, value in layer.config.items()
            if key not in _PASSIVE and not key.endswith(_INITIAL)
        }
        odd = [key for key in told if key not in takes and told[key]]
        classes = [key for key in told if isinstance(told[key], dict)]
        if odd or classes:
            raise ValueError(f"{told_of} with {some(classes or odd)}, which is not computed here")
        try:
            add(self, {**takes, **told}, list(arrays))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{told_of}, which is not computed here: {error}") from error

    def _then(self, op: str, *more: np.ndarray, **told: Any) -> None:
        self.x = self.made.add(op, self.x, *more, **told)

    def _activation(self, name: str | None) -> None:
        x = self.x
        if name in ("silu", "swish"):
            self._then("Sigmoid")
            self.x = self.made.add("Mul", x, self.x)
        elif name not in (None, "linear"):
            op, told = _ACTIVATIONS[name]
            self._then(op, **told)

    def _dense(self, told: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        kernel, *bias = arrays
        shapes = [kernel.shape[:1] + (told["units"],), *[(told["units"],)] * told["use_bias"]]
        if [v.shape for v in arrays] != shapes or len(shapes[0]) != 2:
            raise ValueError(f"{told['units']} units, weights of {some(v.shape for v in arrays)}")
        self._then("MatMul", kernel)
        for value in bias:
            self._then("Add", value)
        self._activation(told["activation"])

    def _relu(self, told: Mapping[str, Any], arrays: object) -> None:
        if told["threshold"]:
            raise ValueError(f"threshold={told['threshold']}")
        self._then("LeakyRelu", alpha=float(told["negative_slope"] or 0))
        if told["max_value"] is not None:
            self._then("Min", np.array(told["max_value"], np.float32))

    def _leaky_relu(self, told: Mapping[str, Any], arrays: object) -> None:
        slope = told["negative_slope"] if told["alpha"] is None else told["alpha"]
        self._then("LeakyRelu", alpha=float(slope))

    def _softmax(self, told: Mapping[str, Any], arrays: object) -> None:
        self._check_axis(told)
        self._then("Softmax", axis=-1)

    def _check_axis(self, told: Mapping[str, Any]) -> None:
        """Refuse a layer that works on another axis than the last."""
        axes = told["axis"] if isinstance(told["axis"], list) else [told["axis"]]
        if axes not in ([-1], [self.rank - 1]):
            raise ValueError(f"axis={axes} of {self.rank}")

    def _count(self, arrays: list[np.ndarray], count: int) -> None:
        if len(arrays) != count:
            raise ValueError(f"{len(arrays)} weights for {count}")

    def _flatten(self, told: object, arrays: object) -> None:
        self._then("Flatten", axis=1)
        self.rank = 2

    def _reshape(self, told: Mapping[str, Any], arrays: object) -> None:
        self._then("Reshape", np.array([0, *told["target_shape"]]))
        self.rank = 1 + len(told["target_shape"])

    def _batch_normalization(self, told: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        self._check_axis(told)
        self._count(arrays, 2 + told["scale"] + told["center"])
        mean, variance = arrays[-2:]
        scale = 1 / np.sqrt(variance + variance.dtype.type(told["epsilon"]))
        if told["scale"]:
            scale = scale * arrays[0]
        self._then("Mul", scale)
        bias = arrays[-3] if told["center"] else np.zeros_like(mean)
        self._then("Add", bias - mean * scale)

    def _layer_normalization(self, told: Mapping[str, Any], arrays: list[np.ndarray]) -> None:
        self._check_axis(told)
        self._count(arrays, told["scale"] + told["center"])
        own = [*arrays] if told["scale"] else [np.ones(1, np.float32), *arrays]
        self._then("LayerNormalization", *own, axis=-1, epsilon=float(told["epsilon"]))

    def _pooled(self, told: Mapping[str, Any], arrays: object, op: str) -> None:
        if self.rank != 3:
            raise ValueError(f"of {self.rank} axes")
        self._then(op, axes=[1], keepdims=int(told["keepdims"]))
        self.rank = 3 if told["keepdims"] else 2


_Add = Callable[[Tail, dict[str, Any], list[np.ndarray]], None]
_OF_NORMS = {"axis": -1, "epsilon": 1e-3, "center": True, "scale": True}
_LAYERS: dict[str, tuple[_Add, dict[str, Any]]] = {
    "Dense": (Tail._dense, {"units": None, "activation": None, "use_bias": True}),
    "Activation": (lambda t, told, _: t._activation(told["activation"]), {"activation": None}),
    "ReLU": (Tail._relu, {"max_value": None, "negative_slope": 0, "threshold": 0}),
    "LeakyReLU": (Tail._leaky_relu, {"negative_slope": 0.3, "alpha": None}),
    "Softmax": (Tail._softmax, {"axis": -1}),
    "Flatten": (Tail._flatten, {}),
    "Reshape": (Tail._reshape, {"target_shape": None}),
    "BatchNormalization": (Tail._batch_normalization, _OF_NORMS),
    "LayerNormalization": (Tail._layer_normalization, _OF_NORMS),
    "GlobalAveragePooling1D": (partial(Tail._pooled, op="ReduceMean"), {"keepdims": False}),
    "GlobalMaxPooling1D": (partial(Tail._pooled, op="ReduceMax"), {"keepdims": False}),
}
"""Layers that are computed, and what their options are where a file does not say."""
_EVERY_STEP = {"Dense", "Activation", "ReLU", "LeakyReLU"}
