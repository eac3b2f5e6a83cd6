"""Reads ``.safetensors`` without its package, whose NumPy reader refuses bfloat16."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import one_line

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


class SafetensorsFile:
    """The table of contents of a ``.safetensors`` file.

    The file is a little-endian uint64 length, that many bytes of JSON (name to dtype, shape and
    byte range), and the data that the ranges count from.

    Raises:
        UsageError: the header is damaged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                if not 2 <= length <= file.stat().st_size - 8:
                    raise ValueError(f"a header of {length} bytes does not fit the file")
                header = json.loads(stream.read(length))
            self._start = 8 + length
            self._entries = {
                name: (entry["dtype"], tuple(entry["shape"]), tuple(entry["data_offsets"]))
                for name, entry in header.items()
                if name != "__metadata__"
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{file.name} cannot be read as .safetensors ({one_line(error)}); save it again"
            ) from error

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._entries)

    def read(self, name: str) -> np.ndarray:
        """Reads one tensor.

        Returns:
            Array of the stored shape; float64, float32 or float16 as stored, bfloat16 as float32.

        Raises:
            UsageError: an element type that is no float, or bytes that the file lacks.
        """
        dtype, shape, (begin, end) = self._entries[name]
        if dtype not in _DTYPES:
            raise UsageError(
                f"{self._file.name}: {name} is {dtype}, not float; save the float weights "
                f"as one of {', '.join(_DTYPES)}"
            )
        expected = np.dtype(_DTYPES[dtype]).itemsize * math.prod(shape)
        with self._file.open("rb") as stream:
            stream.seek(self._start + begin)
            data = stream.read(max(end - begin, 0))
        if len(data) != expected:
            raise UsageError(
                f"{self._file.name}: {name} has {len(data)} bytes, but {dtype} of shape "
                f"{list(shape)} takes {expected}; the file is cut short or damaged"
            )
        value = np.frombuffer(data, _DTYPES[dtype]).reshape(shape)
        if dtype == "BF16":
            # bfloat16 is the upper half of a float32.
            value = (value.astype(np.uint32) << 16).view(np.float32)
        return value
