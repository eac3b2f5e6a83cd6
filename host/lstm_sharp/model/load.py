"""Reads a trained LSTM or GRU, whatever it is in."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_sharp import arrays
from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_modules import from_module
from lstm_sharp.model.torch_names import from_torch_names

if TYPE_CHECKING:
    from lstm_sharp.model.graph import Graph

_OPEN: dict[str, Callable[[Path], AbstractContextManager[arrays.Tensors]]] = {
    ".safetensors": arrays.open_safetensors,
    ".npz": arrays.open_npz,
}
_SAVE = "safetensors.torch.save_file({}, 'model.safetensors')"
_TORCH = "for PyTorch for example " + _SAVE.format("model.state_dict()")
_REMEDIES = {
    (".pt", ".pth", ".bin", ".ckpt"): (
        "a pickle, which can run any program when it is read; convert it where you trust it: "
        + _SAVE.format("torch.load({!r}, weights_only=True)")
    ),
    (".pb", ".tflite"): "for TensorFlow for example by tf2onnx",
}
"""What to do with files of suffixes that are not read, by suffix; the name goes in."""


def load(
    source: str | os.PathLike[str] | Any,
    prefix: str = "",
    *,
    whole: bool = False,
    allow_host: bool = False,
) -> Model | Graph:
    """Read a trained network.

    Args:
        source: an ``.onnx`` graph; a ``.keras`` or ``.h5`` file of a whole Keras model; a
            ``.safetensors`` or ``.npz`` file whose tensors are named as by ``torch.nn.LSTM`` or
            ``torch.nn.GRU``; or a ``torch.nn.Module`` that is one of these or has it inside.
        prefix: which layers, where there are several: the beginning of the names of its tensors
            (``encoder.lstm``), of modules or layers or, in ONNX, of its nodes.
        whole: give an ONNX file's graph even if it is one stack that takes the graph's input.
        allow_host: let the host compute, in float, recurrent nodes that no engine does.

    Returns:
        One stack, named as the file, with float64 weights in the gate order of ``model.GATES``;
        or, of an ONNX file in which other things stand before or beside it, the whole graph.

    Raises:
        ToolError: a package that reads the file is missing; the text says how to get it.
        UsageError: the file is missing, damaged, of an unknown kind, or holds something that
            the accelerator would not compute as the file means it.
    """
    if not isinstance(source, str | os.PathLike):
        if whole or allow_host:
            raise UsageError("a module is no graph to be run whole; export it, and give the file")
        return from_module(source, prefix)
    file = Path(source)
    if file.is_dir():
        raise UsageError(f"{file} is a directory; give the model file inside it")
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        from lstm_sharp.model.onnx_cut import load_onnx  # the board has no onnx

        with refusing(f"{file.name} is no graph that can be followed", "export it again"):
            return load_onnx(file, prefix, whole, allow_host)
    if whole or allow_host:
        raise UsageError(f"{file.name} is no graph to be run whole; give an .onnx file")
    if suffix in (".keras", ".h5", ".hdf5"):
        from lstm_sharp.model.keras_file import load_keras  # the board has no h5py

        return load_keras(file, prefix)
    if suffix not in _OPEN:
        found = (told.format(file.name) for names, told in _REMEDIES.items() if suffix in names)
        raise UsageError(
            f"{file.name}: {suffix or '(no suffix)'} is not read, but .onnx, .keras, "
            f"{', '.join(_OPEN)}; {next(found, _TORCH)}"
        )
    with _OPEN[suffix](file) as tensors:
        return from_torch_names(tensors, file.stem, prefix)
