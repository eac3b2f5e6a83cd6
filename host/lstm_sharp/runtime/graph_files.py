"""A graph's inputs and outputs as files, for the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import some
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.pieces import Values
from lstm_sharp.numerics import stored


def named(inputs: Sequence[str], output: str) -> bool:
    """Tell whether inputs or outputs are given by the names that a graph has for them."""
    return (
        is_folder(output) or output.endswith(".npz") or len(inputs) > 1 or any(map(_parted, inputs))
    )


def check(graph: Graph, output: str) -> None:
    """Refuse a folder in which two outputs would be one file.

    Raises:
        UsageError: it is so.
    """
    names = [_file(name) for name in graph.outputs]
    twice = [name for name in names if names.count(name) > 1]
    if is_folder(output) and twice:
        raise UsageError(f"two outputs of the graph would be {twice[0]}; give an .npz file")


def _file(name: str) -> str:
    return f"{name.replace(os.sep, '_')}.npy"


def _plain(name: str, value: Any) -> np.ndarray:
    """Give an output a type that files take: text as it is, bfloat16 as float32.

    Raises:
        UsageError: it is no tensor.
    """
    if not isinstance(value, np.ndarray):
        raise UsageError(f"output {name} is a {type(value).__name__}; only tensors are written")
    if value.dtype.kind == "O":
        return value.astype(str)
    return value.astype(np.float32) if value.dtype.kind == "V" else value


def is_folder(output: str) -> bool:
    """Tell whether outputs go into a folder."""
    return output.endswith(os.sep) or (output != "" and Path(output).is_dir())


def _parted(given: str) -> bool:
    return "=" in given and not Path(given).exists()


def paths(inputs: Sequence[str]) -> list[str]:
    """Return the files among inputs."""
    told = [given.partition("=")[2] if _parted(given) else given for given in inputs]
    return [value for value in told if _number(value) is None]


def read(graph: Graph, inputs: Sequence[str]) -> Values:
    """Read inputs: ``NAME=FILE.npy``, ``NAME=NUMBER``, or a file for the first input.

    Raises:
        UsageError: a name twice, or a file that cannot be read.
    """
    found: Values = {}
    for given in inputs:
        first = next(iter(graph.inputs), "")
        name, _, value = given.partition("=") if _parted(given) else (first, "", given)
        if name in found:
            raise UsageError(f"--input {name} is given twice; give each input once")
        number = _number(value)
        found[name] = arrays.read_npy(value, "fiub") if number is None else np.array(number)
    return found


def _number(text: str) -> int | float | None:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return None


def write(output: str, found: Mapping[str, np.ndarray], states: Sequence[str]) -> None:
    """Write outputs: a folder of .npy files, an .npz file, or a file of the one that is no state.

    Raises:
        UsageError: several outputs for one file, or it cannot be written.
    """
    found = {name: _plain(name, value) for name, value in found.items()}
    if output.endswith(".npz"):
        files.write_bytes(output, stored.npz(found))
    elif is_folder(output):
        with files.refusing(f"{output} cannot be made", "name another folder"):
            Path(output).mkdir(exist_ok=True)
        for name, value in found.items():
            files.write_array(Path(output, _file(name)), value)
    else:
        names = [name for name in found if name not in states]
        if len(names) != 1:
            raise UsageError(
                f"the graph has {len(names)} outputs, {some(names)}; give --output a folder or an "
                ".npz file"
            )
        files.write_array(output, found[names[0]])
