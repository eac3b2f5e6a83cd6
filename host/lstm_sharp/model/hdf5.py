"""Arrays and texts of an HDF5 file, read without trusting the HDF5 library with a damaged one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from math import prod
from typing import NamedTuple

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.errors import lacking
from lstm_sharp.files import refusing
from lstm_sharp.model import hdf5_contents

_CPU_S = 6
"""That the library may compute to list what is in a file; it takes less than one."""
_BYTES_PER_SECOND = 1 << 28
"""More of them for a large file, which is handed over."""
_WAIT = 20
"""Times as long are waited for it: a machine may be busy, or a board."""


class Hdf5(NamedTuple):
    """What is in a file, by path: ``group/array``."""

    arrays: arrays.Tensors
    texts: Mapping[str, Mapping[str, list[str]]]
    """Attributes of groups and arrays, each a list of strings."""


def read_hdf5(data: bytes, what: str) -> Hdf5:
    """List an HDF5 file.

    Args:
        data: the whole of it.
        what: how an error calls it.

    Raises:
        ToolError: h5py is not installed.
        UsageError: the file is damaged; of an array, when it is read, that it is no float or
            packed, or that it lies elsewhere than in the file.
    """
    if find_spec("h5py") is None:
        raise lacking("h5py", what)
    remedy = "save the model again"
    with refusing(f"{what} cannot be read as HDF5", remedy):
        found = files.parse_json(_listed(data), what)

    def read(path: str) -> np.ndarray:
        with refusing(f"{what}: {path} cannot be read", remedy):
            if isinstance(found["arrays"][path], str):
                raise ValueError(f"it {found['arrays'][path]}; Keras writes arrays whole")
            told, shape, offset = found["arrays"][path]
            bf16 = found["texts"].get(path, {}).get("dtype") == ["bfloat16"]
            dtype = np.dtype("<u2" if bf16 else told)
            if dtype.kind != "f" and not bf16:
                raise ValueError(f"it has type {dtype}, not float")
            if offset + prod(shape) * dtype.itemsize > len(data):
                raise ValueError(f"{dtype} of shape {shape} does not fit at {offset}")
            value = np.frombuffer(data, dtype, prod(shape), offset).reshape(shape)
            return arrays.bfloat16(value) if bf16 else value

    return Hdf5({path: partial(read, path) for path in found["arrays"]}, found["texts"])


def _listed(data: bytes) -> bytes:
    """Run ``hdf5_contents`` on a file, and return what it prints."""
    seconds = _CPU_S + len(data) // _BYTES_PER_SECOND
    try:
        done = subprocess.run(
            [sys.executable, "-I", hdf5_contents.__file__, str(seconds), *sys.path],
            input=data,
            capture_output=True,
            timeout=_WAIT * seconds,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"the HDF5 library is not done after {_WAIT * seconds} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ValueError(said or "the HDF5 library gives up")
    return done.stdout
