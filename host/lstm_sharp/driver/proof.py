"""``run.py`` of a package: the test vectors on the board, bit for bit."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lstm_sharp import __version__, files, package
from lstm_sharp.board import overlay as board
from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.errors import UsageError
from lstm_sharp.package import Package
from lstm_sharp.package import folder as package_folder
from lstm_sharp.terminal import Parser, ended, say


def main(folder: str | Path, arguments: Sequence[str] | None = None) -> int:
    """Run a package's vectors and print PASS, or what differs first.

    Args:
        folder: the package.
        arguments: the command line; ``--overlay FILE`` names another overlay than the package's.

    Returns:
        The exit status: 0 only if every bit is right, 2 where it could not be found out.
    """
    named = overlay_asked(arguments)

    def test() -> int:
        held = package.read(folder)
        with Accelerator(named or overlay_in(folder)) as accelerator:
            accelerator.load(held)
            wrong, cycles = prove(accelerator, held)
            told = _complete(Path(folder), accelerator, wrong, cycles)
        say(f"{wrong or 'PASS'}; {cycles} cycles{told}")
        return 1 if wrong else 0

    return ended(test)


def overlay_asked(arguments: Sequence[str] | None) -> str | None:
    """Read a script's command line: the overlay that ``--overlay FILE`` names, if it does."""
    parser = Parser(description="Run the package's test on the board.")
    parser.add_argument("--overlay", help="the .bit; default: the one in the package")
    named: str | None = parser.parse_args(arguments).overlay
    return named


def _complete(folder: Path, accelerator: Accelerator, wrong: str, cycles: int) -> str:
    """Add what this board has shown to the qualification that came with the package, if one did."""
    begun = folder / package_folder.QUALIFICATION
    if not begun.is_file():
        return ""
    seen = {
        **versions(),
        "bits": wrong or "all right",
        "cycles": cycles,
        "clock_mhz": round(accelerator.runner.check_clock(accelerator.cfg), 1),
        "virtual": accelerator.runs.virtual,
    }
    with files.refusing(f"{begun} is damaged", "make the package again"):
        whole = {**files.read_json(begun), "on_board": seen}
    name = f"qualified-{whole.get('board')}-{whole.get('engine')}.json"
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):  # it must not lead elsewhere
        raise UsageError(f"{begun} names no board and engine; make the package again")
    done = Path(name)
    files.write_text(str(done), json.dumps(whole, indent=2) + "\n")
    return f"; {done} is complete, send it in (docs/qualified.md)"


def versions() -> dict[str, str]:
    """Return versions of all that takes part."""
    return {
        "lstm_sharp": __version__,
        "pynq": board.pynq_version(),
        "numpy": np.__version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
    }


def overlay_in(folder: str | Path) -> Path:
    """Return the package's own overlay.

    Raises:
        UsageError: it has none, or several.
    """
    found = sorted(Path(folder).glob("*.bit"))
    if len(found) != 1:
        raise UsageError(
            f"{folder} holds {len(found)} overlays (.bit), 1 is needed; name it with --overlay"
        )
    return found[0]


def prove(accelerator: Accelerator, held: Package) -> tuple[str, int]:
    """Run a package's vectors: the first half from zeros, the second with states.

    Returns:
        The first element that differs, in words, or nothing; and the cycles counted.

    Raises:
        BoardError: the run failed.
    """
    cycles, wrong = 0, ""
    for name, half in zip(("from zeros", "with states"), held.vectors.halves()):
        h, end = accelerator.run(half.x, half.state, return_state=True)
        cycles += accelerator.cycles
        for what, seen, want in zip(("h", "h_end", "c_end"), (h, *end), (half.h, *half.end)):
            wrong = wrong or first_difference(f"{what} {name}", seen, want)
    return wrong, cycles


def first_difference(what: str, seen: np.ndarray, want: np.ndarray) -> str:
    """Say where two arrays of one shape first differ, or nothing."""
    places = np.argwhere(np.asarray(seen) != want)
    if not len(places):
        return ""
    at = tuple(places[0])
    return (
        f"FAIL: {what}[{', '.join(map(str, at))}] is {seen[at]}, {want[at]} is right; "
        f"{len(places)} of {want.size} differ"
    )
