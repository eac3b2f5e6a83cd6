"""Reads the file of a trained LSTM, whatever its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from lstm_sharp import arrays
from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_names import from_torch_names

if TYPE_CHECKING:
    from lstm_sharp.model.graph import Graph

_OPEN: dict[str, Callable[[Path], AbstractContextManager[arrays.Tensors]]] = {
    ".safetensors": arrays.open_safetensors,
    ".npz": arrays.open_npz,
}
_TORCH = "for PyTorch for example safetensors.torch.save_file(model.state_dict(), path)"
_EXPORTS = {
    (".keras", ".h5", ".hdf5"): "for Keras for example model.export(path, format='onnx')",
    (".pb", ".tflite"): "for TensorFlow for example by tf2onnx",
}
"""How to make a file that is read of one of these suffixes."""


def load(
    path: str | os.PathLike[str],
    prefix: str = "",
    *,
    whole: bool = False,
    allow_host: bool = False,
) -> Model | Graph:
    """Read a trained network.

    Args:
        path: an ``.onnx`` graph, or a ``.safetensors`` or ``.npz`` file whose tensors are named
            as by ``torch.nn.LSTM``.
        prefix: which LSTM, where the file holds several: the beginning of the names of its
            tensors (``encoder.lstm``) or, in ONNX, of its nodes.
        whole: give an ONNX file's graph even if it is one stack that takes the graph's input.
        allow_host: let the host compute, in float, recurrent nodes that no engine does.

    Returns:
        One stack, named as the file, with float64 weights; or, of an ONNX file in which other
        things stand before or beside it, the whole graph.

    Raises:
        UsageError: the file is missing, damaged, of an unknown kind, or holds something that
            the accelerator would not compute as the file means it.
    """
    file = Path(path)
    if file.is_dir():
        raise UsageError(f"{file} is a directory; give the model file inside it")
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        from lstm_sharp.model.onnx_cut import load_onnx  # the board has no onnx

        with refusing(f"{file.name} is no graph that can be followed", "export it again"):
            return load_onnx(file, prefix, whole, allow_host)
    if whole or allow_host:
        raise UsageError(f"{file.name} holds weights, and no graph; give an .onnx file")
    if suffix not in _OPEN:
        remedy = next((told for suffixes, told in _EXPORTS.items() if suffix in suffixes), _TORCH)
        raise UsageError(
            f"{file.name}: the suffix {suffix or '(none)'} is unknown; give .onnx, "
            f"{', '.join(_OPEN)}, {remedy}"
        )
    with _OPEN[suffix](file) as tensors:
        return from_torch_names(tensors, file.stem, prefix)
