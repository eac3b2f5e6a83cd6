"""Files as Keras writes them, and what its layers compute, written out from its pages."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py: Any = pytest.importorskip("h5py")

Config = dict[str, Any]
X = 3
"""Features of x."""


def entry(kind: str, name: str, **config: Any) -> Config:
    """Describe a layer of Keras's own."""
    config = {"name": name, "trainable": True, "dtype": "float32", **config}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


def cell(kind: str, name: str, units: int, **options: Any) -> Config:
    """Describe an LSTM or GRU layer with each option that Keras 3 writes."""
    usual: Config = dict.fromkeys(
        ("return_sequences", "return_state", "go_backwards", "stateful", "unroll"), False
    )
    usual |= {"zero_output_for_mask": False, "units": units, "use_bias": True, "seed": None}
    usual |= {"activation": "tanh", "recurrent_activation": "sigmoid"}
    usual |= {"dropout": 0.0, "recurrent_dropout": 0.0}
    zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
    for weight in ("kernel", "recurrent", "bias"):
        usual |= {f"{weight}_initializer": zeros, f"{weight}_regularizer": None}
        usual |= {f"{weight}_constraint": None}
    usual |= {"unit_forget_bias": True} if kind == "LSTM" else {"reset_after": True}
    return entry(kind, name, activity_regularizer=None, **usual | options)


def both(name: str, ahead: Config, merge: str | None = "concat", **back: Any) -> Config:
    """Describe a Bidirectional of a layer and one that goes backwards, with options of its own."""
    turned = {**ahead, "config": {**ahead["config"], "go_backwards": True, **back}}
    return entry("Bidirectional", name, merge_mode=merge, layer=ahead, backward_layer=turned)


def given(shape: tuple[int | None, ...] = (None, None, X), **options: Any) -> Config:
    """Describe the input."""
    usual = {"batch_shape": list(shape), "sparse": False, "ragged": False, "optional": False}
    return entry("InputLayer", "x", **usual | options)


def sequential(*layers: Config, shape: tuple[int | None, ...] = (None, None, X)) -> Config:
    config = {"name": "net", "trainable": True, "layers": [given(shape), *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config}


def functional(*layers: tuple[Config, Any], outputs: Any, inputs: Any = None) -> Config:
    """Describe a graph: of each layer the nodes that it is called on."""
    told = [{**layer, "name": layer["config"]["name"], "inbound_nodes": n} for layer, n in layers]
    config = {"name": "net", "trainable": True, "layers": [{**given(), "inbound_nodes": []}, *told]}
    config |= {"input_layers": inputs or ["x", 0, 0], "output_layers": outputs}
    return {"module": "keras", "class_name": "Functional", "config": config}


def call(*tensors: tuple[str, int, int], **kwargs: Any) -> list[Config]:
    """Describe a layer's one call as Keras 3 does."""
    args = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": list(tensor)}}
        for tensor in tensors
    ]
    return [{"args": args, "kwargs": {"training": False, "mask": None, **kwargs}}]


# Weights


def cells_of(layer: Config) -> list[Config]:
    """Return the configs of the cells in a layer, the forward one first."""
    config = layer["config"]
    parts = [config["layer"], config["backward_layer"]] if "merge_mode" in config else [layer]
    return [{**part["config"], "kind": part["class_name"]} for part in parts]


def draw(layer: Config, width: int, seed: int) -> list[list[np.ndarray]]:
    """Draw the weights of a layer's cells: kernel, recurrent_kernel and bias of each, float32."""
    rng = np.random.default_rng(seed)
    drawn = []
    for one in cells_of(layer):
        units, gates = one["units"], 4 if one["kind"] == "LSTM" else 3
        shapes: list[tuple[int, ...]] = [(width, gates * units), (units, gates * units)]
        if one["use_bias"]:
            shapes.append((gates * units,) if gates == 4 else (2, gates * units))
        drawn.append([rng.normal(size=shape).astype(np.float32) for shape in shapes])
    return drawn


_SNAKE = {"TimeDistributed": "time_distributed", "InputLayer": "input_layer"}
_SNAKE |= {f"{kind}Normalization": f"{kind.lower()}_normalization" for kind in ("Batch", "Layer")}
"""What layers of a class are called in a .keras, if it is not its name in small letters."""
_PLACES = {
    "LSTM": ["/cell"],
    "GRU": ["/cell"],
    "Bidirectional": ["/forward_layer/cell", "/backward_layer/cell"],
    "TimeDistributed": ["/layer"],
}
"""Where weights lie in a layer's group, by its class."""


def write(path: Path, config: Config, weights: dict[str, list[list[np.ndarray]]]) -> Path:
    """Write a .keras or .h5 file: weights are by layer, lists of each cell's (or of its own)."""
    text, whole, zips = json.dumps(config), io.BytesIO(), path.suffix == ".keras"
    with h5py.File(whole, "w") as file:
        used: Counter[str] = Counter()
        for layer in config["config"]["layers"]:
            kind, name = layer["class_name"], layer["config"]["name"]
            parts = weights.get(name, [])
            if not zips:
                _write_legacy(file, name, parts)
                continue
            group = f"layers/{_SNAKE.get(kind, kind.lower())}_{used[kind]}".removesuffix("_0")
            used[kind] += 1
            file.create_group(f"{group}/vars").attrs["name"] = name
            for place, arrays in zip(_PLACES.get(kind, [""]), parts):
                for index, value in enumerate(arrays):
                    file[f"{group}{place}/vars/{index}"] = value
        if not zips:
            file.attrs["model_config"] = text
    if zips:
        held = {"config.json": text.encode(), "model.weights.h5": whole.getvalue()}
        return zipped(path, held)
    path.write_bytes(whole.getvalue())
    return path


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in {"metadata.json": b"{}", **members}.items():
            archive.writestr(name, data)
    return path


def _write_legacy(file: h5py.File, name: str, parts: list[list[np.ndarray]]) -> None:
    names = []
    for index, arrays in enumerate(parts):
        for kind, value in zip(("kernel", "recurrent_kernel", "bias"), arrays):
            names.append(f"{name}/part_{index}/{kind}:0")
            file[f"model_weights/{name}/{names[-1]}"] = value
    group = file.require_group(f"model_weights/{name}")
    group.attrs["weight_names"] = [text.encode() for text in names] if names else np.zeros(0)


# What Keras computes


def output(layer: Config, weights: list[list[np.ndarray]], x: np.ndarray) -> np.ndarray:
    """Compute what a layer gives for x (batch, time, X), as Keras's pages say."""
    sides = []
    for one, arrays in zip(cells_of(layer), weights):
        order = x[:, ::-1] if one["go_backwards"] else x
        steps = _steps(one["kind"], one["units"], order, *arrays)
        sides.append(steps if one["return_sequences"] else steps[:, -1])
    if len(sides) == 1:
        return sides[0]
    if sides[1].ndim == 3:
        sides[1] = sides[1][:, ::-1]
    merge = layer["config"]["merge_mode"]
    if merge == "concat":
        return np.concatenate(sides, axis=-1)
    return {
        "sum": sides[0] + sides[1],
        "ave": (sides[0] + sides[1]) / 2,
        "mul": sides[0] * sides[1],
    }[merge]


def _steps(
    kind: str,
    units: int,
    x: np.ndarray,
    kernel: np.ndarray,
    recurrent: np.ndarray,
    *bias: np.ndarray,
) -> np.ndarray:
    h = c = np.zeros((len(x), units))
    by_x, by_h = bias[0] if kind == "GRU" and bias else (bias[0] if bias else 0, 0)
    found = []
    for x_t in x.swapaxes(0, 1).astype(float):
        on_x, on_h = x_t @ kernel + by_x, h @ recurrent + by_h
        if kind == "LSTM":
            i, f, g, o = np.split(on_x + on_h, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        else:
            (x_z, x_r, x_n), (h_z, h_r, h_n) = (np.split(v, 3, axis=1) for v in (on_x, on_h))
            z, r = _sigmoid(x_z + h_z), _sigmoid(x_r + h_r)
            h = z * h + (1 - z) * np.tanh(x_n + r * h_n)
        found.append(h)
    return np.stack(found, axis=1)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


LSTM = cell("LSTM", "a", 4)
"""A layer to have a file of."""


def save(folder: Path, *layers: Config, suffix: str = ".keras", **more: Any) -> Path:
    """Write a Sequential with weights drawn."""
    return write(folder / f"m{suffix}", sequential(*layers, **more), weights(*layers))


def weights(*layers: Config) -> dict[str, list[list[np.ndarray]]]:
    found, width = {}, X
    for seed, layer in enumerate(layers):
        if layer["class_name"] in ("LSTM", "GRU", "Bidirectional"):
            found[layer["config"]["name"]] = draw(layer, width, seed)
            width = sum(one["units"] for one in cells_of(layer))
            if layer["config"].get("merge_mode") in ("sum", "ave", "mul"):
                width //= 2
    return found
