"""Reading and writing arrays: one sentence when it does not work, never half a file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
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


def check_outputs(outputs: Sequence[str | None], inputs: Sequence[str | None]) -> None:
    """Refuse files that cannot be written, before any long work.

    Args:
        outputs: files that will be written; None and ``-`` are left out.
        inputs: files that are read.

    Raises:
        UsageError: no such folder, not writable, or one file named twice.
    """
    taken = {Path(name).resolve(): name for name in inputs if name}
    for name in outputs:
        if name is None or name == "-":
            continue
        file = Path(name).resolve()
        if not name or file.is_dir():
            raise UsageError(f"{name!r} is no file to write to; name one")
        if not file.parent.is_dir():
            raise UsageError(f"{name} cannot be written: {file.parent} is no folder; make it first")
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise UsageError(f"{name} cannot be written: permission denied; choose another place")
        if file in taken and (file.is_file() or not file.exists()):
            raise UsageError(f"{name} would overwrite {taken[file]}; give each file its own name")
        taken[file] = name


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
    """Write beside the target and put it into place; a device or pipe is written to directly."""
    target = Path(path).resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                write(file)
            return
        with beside.open("wb") as file:
            write(file)
        os.replace(beside, target)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})") from None
    finally:
        beside.unlink(missing_ok=True)
