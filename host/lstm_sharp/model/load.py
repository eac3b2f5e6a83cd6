"""Reads the file of a trained LSTM, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from lstm_sharp import arrays
from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_names import from_torch_names

_REMEDIES = {
    (".pt", ".pth", ".ckpt", ".bin"): "in PyTorch: "
    "safetensors.torch.save_file(model.state_dict(), path), or torch.onnx.export",
    (".keras", ".h5", ".hdf5"): "in Keras: model.export(path, format='onnx')",
    (".tflite", ".pb", ".savedmodel"): "convert it with tf2onnx",
}
"""What makes a file that is read of one that is not."""


def load(path: str | os.PathLike[str], prefix: str = "") -> Model:
    """Reads a trained LSTM.

    Args:
        path: an ``.onnx`` graph, or a ``.safetensors`` or ``.npz`` file whose tensors are named
            as by ``torch.nn.LSTM``.
        prefix: which LSTM, where the file holds several: the beginning of the names of its
            tensors (``encoder.lstm``) or, in ONNX, of its nodes.

    Returns:
        The model, named as the file, with float64 weights in the gate order i, f, g, o.

    Raises:
        UsageError: the file is missing, damaged, of an unknown kind, or holds something that
            the accelerator would not compute as the file means it.
    """
    file = Path(path)
    if file.is_dir():
        raise UsageError(f"{file} is a directory; give the model file inside it")
    suffix = file.suffix.lower()
    readers: dict[str, Callable[[Path, str], Model]] = {
        ".onnx": _load_onnx,
        ".safetensors": _load_safetensors,
        ".npz": _load_npz,
    }
    if suffix not in readers:
        remedies = (remedy for endings, remedy in _REMEDIES.items() if suffix in endings)
        remedy = next(remedies, "export it as ONNX, or save its tensors by name")
        raise UsageError(
            f"{file.name}: {suffix or 'no suffix'} is not read, {', '.join(readers)} are; {remedy}"
        )
    return readers[suffix](file, prefix)


def _load_onnx(file: Path, prefix: str) -> Model:
    from lstm_sharp.model.onnx_import import load_onnx  # the board has no onnx

    with refusing(f"{file.name} is no graph that can be followed", "export it again"):
        return load_onnx(file, prefix)


def _load_safetensors(file: Path, prefix: str) -> Model:
    with arrays.open_safetensors(file) as tensors:
        return from_torch_names(tensors, file.stem, prefix)


def _load_npz(file: Path, prefix: str) -> Model:
    with arrays.open_npz(file, file.name) as tensors:
        return from_torch_names(tensors, file.stem, prefix)
