"""What commands print and how they end: one line and the status of the error, whatever it is."""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

from lstm_sharp.errors import MOST, EngineError, LstmSharpError, UsageError, printable


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})
        self._negative_number_matcher = re.compile(r"-[0-9.][0-9.,eE+-]*")  # -1,1 is no option

    def parse_known_args(self, *given: Any, **named: Any) -> Any:
        """Refuse what is unknown here, in the command's parser, which names the command's help."""
        found, unknown = super().parse_known_args(*given, **named)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        say(f"{self.prog}: {message}; see {self.prog} --help", sys.stderr)
        sys.exit(2)


def size(text: str) -> int:
    """Read a number of bytes, such as 8G.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})([KMGT]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give one such as 512M or 8G")
    return int(found[1]) << 10 * (1 + "KMGT".find(found[2] or "-"))


def ends(text: str) -> tuple[float, float]:
    """Read the ends of a range, such as -1,1.

    Raises:
        argparse.ArgumentTypeError: they are none.
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range; give one such as -1,1") from None
    return low, high


def say(text: object, stream: TextIO | None = None, most: int = MOST) -> None:
    """Print a line, made printable, in what the stream's encoding has.

    Args:
        text: the line.
        stream: by default standard output.
        most: characters; more for a table's line, which is no message.
    """
    to = stream or sys.stdout
    code = getattr(to, "encoding", None) or "utf-8"
    print(printable(text, most).encode(code, "backslashreplace").decode(code), file=to)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep warnings back, of which a report's notes say the same; also before a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Progress:
    """Tells how far long work is, with the time left, on a terminal; nothing where stderr is none.

    Args:
        what: the work, as "simulating".
    """

    def __init__(self, what: str) -> None:
        self._what, self._began, self._wide = what, time.monotonic(), 0

    def __call__(self, done: int, total: int) -> None:
        """Say that so much of it is done; all of it clears the line."""
        took = time.monotonic() - self._began
        left = f", about {took / done * (total - done):.0f} s left" if done else ""
        self._show(f"{self._what}: {done} of {total}{left}" if done < total else "")

    @contextmanager
    def expecting(self, seconds: float) -> Iterator[None]:
        """Count the seconds of work that tells nothing of itself, and takes about so many."""
        over = threading.Event()

        def tell() -> None:
            while not over.wait(1):
                took = time.monotonic() - self._began
                left = f"about {seconds - took:.0f} s left" if took < seconds else "nearly done"
                self._show(f"{self._what}: {took:.0f} s, {left}")

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()
            self._show("")

    def _show(self, text: str) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            line = text.ljust(self._wide)
            print(f"\r{line}", end="" if text else "\r", file=sys.stderr, flush=True)
            self._wide = len(text)


def ended(command: Callable[[], int | None], prefix: str = "") -> int:
    """Run a command and return its exit status, after a line on stderr where it is not 0.

    2: bad input; 3: a tool is missing or fails; 4: a fault of an engine, or a broken promise inside
    (LSTM_SHARP_TRACE in the environment shows where); 5: a board's; 6: an error over --max-error.

    Args:
        command: returns a status, or None for 0.
        prefix: of the line.
    """
    try:
        status = command() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except LstmSharpError as error:
        say(f"{prefix}{error}", sys.stderr)
        return error.status
    except OSError as error:  # a folder that cannot be made, a full disk, a closed pipe
        told = f"{error.filename or 'output'}: {error.strerror or error}"
        _drop_output()
    except MemoryError:
        told = "there is not enough memory for this; give less at once"
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("LSTM_SHARP_TRACE"):
            raise
        told = f"a fault inside, {type(error).__name__}: {error}; please report it"
        say(f"{prefix}{told}", sys.stderr)
        return EngineError.status
    say(f"{prefix}{told}", sys.stderr)
    return UsageError.status


def _drop_output() -> None:
    """Let go of what could not be written: Python would try again, and complain, as it ends."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
