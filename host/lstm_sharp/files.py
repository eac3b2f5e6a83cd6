"""Reading and writing arrays: one sentence when it does not work, never half a file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from lstm_sharp.errors import UsageError


def read_array(path: str) -> np.ndarray:
    """Read a .npy file.

    Raises:
        UsageError: missing, or not an array of numbers.
    """
    try:
        value = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise UsageError(f"{path} is no .npy array; write it with numpy.save") from None
    if not isinstance(value, np.ndarray):
        value.close()
        raise UsageError(f"{path} is an .npz archive; one .npy array is expected")
    return value


def read_state(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Read h and c from an .npz file.

    Raises:
        UsageError: missing, no .npz, or without h and c.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = {"h", "c"} - set(archive.files)
            if missing:
                raise UsageError(
                    f"{path} lacks {' and '.join(sorted(missing))}; it has "
                    f"{', '.join(archive.files) or 'nothing'}"
                )
            return archive["h"], archive["c"]
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error})") from None
    except (AttributeError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{path} is no .npz file; write it with numpy.savez(h=..., c=...)"
        ) from None


def check_writable(path: str | None) -> None:
    """Refuse a file that cannot be written, before any long work.

    Raises:
        UsageError: its folder cannot be made or written, or it is a folder.
    """
    if path is None or path == "-":
        return
    file = Path(path)
    if file.is_dir() and file.suffix:
        raise UsageError(f"{path} is a folder; name a file")
    folder = file.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder} cannot be written; choose another place")


def write_array(path: str, value: np.ndarray) -> None:
    """Write a .npy file, whole or not at all."""
    _write(path, lambda file: np.save(file, value))


def write_state(path: str, h: np.ndarray, c: np.ndarray) -> None:
    """Write h and c as float32 to an .npz file, whole or not at all."""
    _write(path, lambda file: np.savez(file, h=h.astype(np.float32), c=c.astype(np.float32)))


def write_text(path: str, text: str) -> None:
    """Write a text file, whole or not at all."""
    _write(path, lambda file: file.write(text.encode()))


def _write(path: str, write: Callable[[IO[bytes]], object]) -> None:
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            write(file)
        os.chmod(file.name, 0o644)
        os.replace(file.name, target)
    except OSError as error:
        Path(file.name).unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written ({error.strerror})") from None
