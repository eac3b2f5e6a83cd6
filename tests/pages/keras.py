"""Stands in for Keras where it is not installed: what the pages' snippets take of it, no more."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import keras_files

_RANDOM = np.random.default_rng(0)


class _Layer:
    count = 0

    def __init__(self, kind: str, **options: Any) -> None:
        _Layer.count += 1
        self.name = f"{kind.lower()}_{_Layer.count}"
        self.options = options


def Input(shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    return shape


def _lstm(units: int, **options: Any) -> Any:
    layer = _Layer("LSTM", **options)
    layer.told = keras_files.cell("LSTM", layer.name, units, **options)
    layer.units = units
    return layer


def _dense(units: int, activation: str) -> Any:
    layer = _Layer("Dense")
    told = {"units": units, "activation": activation, "use_bias": True}
    layer.told = keras_files.entry("Dense", layer.name, **told)
    layer.units = units
    return layer


class Sequential:
    """Layers with drawn weights; what it gives is drawn, too."""

    def __init__(self, layers: list[Any]) -> None:
        (_, width), *self.layers = layers
        shape, self.weights = (None, None, width), {}
        for layer in self.layers:
            if layer.told["class_name"] == "LSTM":
                self.weights[layer.name] = keras_files.draw(layer.told, width, len(self.weights))
            else:
                kernel = _RANDOM.normal(size=(width, layer.units)).astype(np.float32)
                self.weights[layer.name] = [[kernel, np.zeros(layer.units, np.float32)]]
            width = layer.units
        self.config = keras_files.sequential(*(q.told for q in self.layers), shape=shape)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return _RANDOM.random((len(x), self.layers[-1].units))

    predict = __call__

    def save(self, path: str) -> None:
        keras_files.write(Path(path), self.config, self.weights)

    def export(self, path: str, format: str) -> None:
        assert format == "onnx"


models = SimpleNamespace(load_model=lambda path: Sequential([Input((None, 1)), _dense(1, "relu")]))
layers = SimpleNamespace(LSTM=_lstm, Dense=_dense)
