"""Reads the file of a trained LSTM, whatever its format."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import one_line
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_names import from_torch_names


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
    if suffix == ".keras":
        raise UsageError(
            f"{file.name}: .keras is not supported yet; export it as ONNX, "
            "for example with model.export(path, format='onnx')"
        )
    readers: dict[str, Callable[[Path, str], Model]] = {
        ".onnx": _load_onnx,
        ".safetensors": _load_safetensors,
        ".npz": _load_npz,
    }
    if suffix not in readers:
        raise UsageError(
            f"{file.name}: the suffix {suffix or '(none)'} is unknown; give {', '.join(readers)}, "
            "for PyTorch for example safetensors.torch.save_file(model.state_dict(), path)"
        )
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"{file} cannot be opened ({error.strerror}); check the path and its permissions"
        ) from error
    return readers[suffix](file, prefix)


class _Tensors(Mapping[str, np.ndarray]):
    """Tensors of a file, each read when asked for: odd ones beside the LSTM do no harm."""

    def __init__(self, source: str, names: list[str], read: Callable[[str], np.ndarray]) -> None:
        self._source, self._names, self._read = source, names, read

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        try:
            return self._read(name)
        except UsageError:
            raise
        except Exception as error:  # zipfile, zlib and numpy each have their own
            raise UsageError(
                f"{self._source}: tensor {name} cannot be read ({one_line(error)}); "
                "save it again as a plain float array"
            ) from error


def _load_onnx(file: Path, prefix: str) -> Model:
    from lstm_sharp.model.onnx_import import load_onnx  # the board has no onnx

    return load_onnx(file, prefix)


def _load_safetensors(file: Path, prefix: str) -> Model:
    from lstm_sharp.model.safetensors_file import SafetensorsFile

    content = SafetensorsFile(file)
    tensors = _Tensors(file.name, content.names, content.read)
    return from_torch_names(tensors, file.stem, prefix)


def _load_npz(file: Path, prefix: str) -> Model:
    remedy = "save the tensors by name with numpy.savez"
    if not zipfile.is_zipfile(file):
        raise UsageError(f"{file.name} cannot be read as .npz (it is no zip archive); {remedy}")
    try:
        # A pickle could run any code, so object arrays stay unread.
        archive = np.load(file, allow_pickle=False)
    except Exception as error:  # a damaged file can raise almost anything
        raise UsageError(
            f"{file.name} cannot be read as .npz ({one_line(error)}); {remedy}"
        ) from error
    with archive:
        tensors = _Tensors(file.name, archive.files, archive.__getitem__)
        return from_torch_names(tensors, file.stem, prefix)
