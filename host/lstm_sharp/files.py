"""Files that a user names, read within bounds and written whole.

Every file that is read goes through ``opened``: it is a regular one and no larger than the bound,
or it is refused. What arrays lie in, and in which form, is the matter of arrays.py.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO

import numpy as np

from lstm_sharp.errors import LstmSharpError, UsageError

Name = str | os.PathLike[str]

JSON_BYTES = 32 << 20
"""Of a document: a list in it takes twenty times the memory that it takes in the file."""
STDOUT = "-"
"""The name of standard output."""
_NESTING = 64
_DIGITS = 20

_max_memory: ContextVar[int] = ContextVar("max_memory", default=2 << 30)


@contextmanager
def max_memory(size: int | None) -> Iterator[None]:
    """Read larger files than of 2 GiB, or only smaller ones, inside a ``with``.

    Args:
        size: bytes of a file, and of the arrays in it unpacked; None leaves it as it is.
    """
    token = _max_memory.set(size or _max_memory.get())
    try:
        yield
    finally:
        _max_memory.reset(token)


def check_size(size: int, what: str) -> None:
    """Refuse what takes more memory than is allowed.

    Raises:
        UsageError: it does.
    """
    if size > _max_memory.get():
        raise UsageError(
            f"{what} takes {size} bytes, at most {_max_memory.get()} are read; raise that with "
            "--max-memory, in Python by files.max_memory"
        )


def why(error: BaseException) -> str:
    """Return the first line of a foreign error's text, or its type where it has none."""
    text = getattr(error, "strerror", None) or str(error)
    if isinstance(error, KeyError):
        return f"it lacks {text}"
    return text.strip().split("\n")[0].rstrip(".") or type(error).__name__


@contextmanager
def refusing(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever damaged data makes a library raise into a sentence."""
    try:
        yield
    except LstmSharpError:
        raise
    except Exception as error:  # zipfile, zlib, protobuf and numpy raise almost anything
        raise UsageError(f"{what} ({why(error)}); {remedy}") from None


def check_name(path: Name) -> None:
    """Refuse what the system cannot take for a name.

    Raises:
        UsageError: it is empty, has a byte 0, or letters that the file system cannot spell.
    """
    try:
        if os.fspath(path) and b"\0" not in os.fsencode(path):
            return
    except ValueError:
        pass
    raise UsageError(f"{os.fspath(path)!r} is no name of a file; give one")


@contextmanager
def opened(path: Name) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file to read; give it and its size in bytes.

    Raises:
        UsageError: it is missing, no regular file, too large, or reading it fails.
    """
    check_name(path)
    try:
        # Without O_NONBLOCK, a pipe that nobody writes to would be waited for.
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{os.fspath(path)} is a device or a pipe; give a regular file")
            check_size(found.st_size, os.fspath(path))
            yield file, found.st_size
    except (OSError, MemoryError) as error:
        raise UsageError(f"{os.fspath(path)} cannot be read ({why(error)})") from None


def read_bytes(path: Name) -> bytes:
    """Read a file.

    Raises:
        UsageError: as ``opened``.
    """
    with opened(path) as (file, size):
        return file.read(size)


def read_text(path: Name) -> str:
    """Read a UTF-8 file.

    Raises:
        UsageError: as ``opened``, or it is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{os.fspath(path)} is not UTF-8 ({error})") from None


def read_json(path: Name, most: int = JSON_BYTES) -> Any:
    """Read a JSON file.

    Raises:
        UsageError: as ``opened`` and ``parse_json``.
    """
    return parse_json(read_bytes(path), os.fspath(path), most)


def parse_json(data: bytes, what: str, most: int = JSON_BYTES) -> Any:
    """Parse JSON out of a file.

    Args:
        data: UTF-8.
        what: how an error calls it.
        most: bytes.

    Raises:
        UsageError: too long, no JSON, deep, or with numbers that no file of ours has.
    """
    try:
        if len(data) > most:
            raise ValueError(f"{len(data)} bytes, at most {most} are read")
        value = json.loads(
            data.decode(), parse_int=_whole, parse_constant=_no_number, object_pairs_hook=_object
        )
        if _depth(value) > _NESTING:
            raise ValueError(f"nested more than {_NESTING} deep")
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{what} is not JSON that can be read ({why(error)})") from None
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def check_outputs(outputs: Sequence[str | None], inputs: Sequence[str | None]) -> None:
    """Refuse files that cannot be written, before any long work.

    Args:
        outputs: files that will be written, ``-`` for standard output; None are left out.
        inputs: files that are read.

    Raises:
        UsageError: no such folder, not writable, or one file named twice.
    """
    taken = {_place(name): name for name in inputs if name is not None}
    for name in outputs:
        if name is None:
            continue
        check_name(name)
        place = _place(name)
        folder = os.path.dirname(place)
        if os.path.isdir(name):
            raise UsageError(f"{name} is a folder; name a file to write to")
        if place in taken and place != os.devnull:
            raise UsageError(f"{name} would overwrite {taken[place]}; give each file its own name")
        taken[place] = name
        if place == STDOUT:
            continue
        if not os.path.isdir(folder):
            raise UsageError(f"{name} cannot be written: {folder} is no folder; make it first")
        there = os.path.exists(place)
        if os.path.lexists(place) and not there:
            raise UsageError(f"{name} is a link that leads to itself; name a file to write to")
        # Of what is regular, a new one takes the place.
        ends = [place] * there + [folder] * (os.path.isfile(place) or not there)
        if not all(os.access(end, os.W_OK) for end in ends):
            raise UsageError(f"{name} cannot be written: permission denied; choose another place")


def is_stdout(name: Name | None) -> bool:
    """Whether this is standard output, by ``-`` or by a name of the system's such as /dev/stdout.

    A file that the shell has led standard output to is it, too.
    """
    return name is not None and _place(name) == STDOUT


def _place(name: Name) -> str:
    """Where a file lies, links followed; ``STDOUT``, or the one name of /dev/null."""
    if os.fspath(name) == STDOUT:
        return STDOUT
    try:
        found = os.stat(name)
        if os.path.samestat(found, os.stat(os.devnull)):
            return os.devnull
        if os.path.samestat(found, os.fstat(1)):
            return STDOUT
    except (OSError, ValueError):
        pass  # it is not there, or standard output is closed
    return os.path.realpath(name)


def write_array(path: Name, value: np.ndarray) -> None:
    """Write a .npy file."""
    whole = io.BytesIO()  # np.save seeks, which a pipe cannot
    np.save(whole, value)
    write_bytes(path, whole.getbuffer())


def write_state(path: Name, h: np.ndarray, c: np.ndarray) -> None:
    """Write h and c as float32 to an .npz file."""
    whole = io.BytesIO()
    np.savez(whole, h=h.astype(np.float32), c=c.astype(np.float32))
    write_bytes(path, whole.getbuffer())


def write_text(path: Name, text: str) -> None:
    """Write a UTF-8 file."""
    write_bytes(path, text.encode())


def write_bytes(path: Name, data: bytes | memoryview) -> None:
    """Write a regular file whole or not at all, and into anything else as it is.

    A regular or new file is written beside its place, under a name of ours, and then put there;
    it has the permissions of the one that it replaces. A link stays, and what it leads to is
    replaced. Standard output, a device or a pipe is written into; for a pipe's reader is waited.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        place = _place(path)
        if place == STDOUT:
            stream = getattr(sys.stdout, "buffer", None)
            if stream is None:  # a notebook's, or none at all
                raise UsageError("standard output takes no bytes here; name a file")
            sys.stdout.flush()  # behind what was printed, wherever the shell has led it
            stream.write(data)
            stream.flush()
        elif os.path.exists(place) and not os.path.isfile(place):
            with open(path, "wb") as file:
                file.write(data)
        else:
            beside = os.path.join(os.path.dirname(place), f".lstm-sharp-{secrets.token_hex(8)}")
            try:
                with open(beside, "xb") as file:
                    if os.path.exists(place):
                        os.fchmod(file.fileno(), stat.S_IMODE(os.stat(place).st_mode))
                    file.write(data)
                os.replace(beside, place)
            finally:
                if os.path.exists(beside):
                    os.unlink(beside)
    except (OSError, ValueError) as error:
        raise UsageError(f"{os.fspath(path)} cannot be written ({why(error)})") from None
