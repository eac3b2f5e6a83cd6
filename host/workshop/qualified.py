"""The table of docs/qualified.md, from docs/results/qualified/*.json."""

from __future__ import annotations

from typing import Any

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from workshop import results

_HEAD = (
    "board",
    "engine",
    "tools",
    "II, depth of the slot loop",
    "slack, ns",
    "LUT, DSP, BRAM36",
    "board's software",
    "bits",
    "cycles",
    "clock, MHz",
)


def rows() -> list[list[str]]:
    """Make a row for each board; without any, none.

    Raises:
        UsageError: a file that lacks something, or that a virtual board has completed.
    """
    found = [list(_HEAD)]
    for path in sorted((results.DOCS / "results" / "qualified").glob("*.json")):
        try:
            found.append(_row(files.read_json(path)))
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{path} is no complete qualification ({type(error).__name__}: {error}); run.py "
                "of the package completes it on the board"
            ) from None
    return found if len(found) > 1 else []


def _row(seen: dict[str, Any]) -> list[str]:
    on_board, built = seen["on_board"], seen["vivado"]
    if on_board["virtual"]:
        raise ValueError("completed on a virtual board")
    hls = seen.get("vitis")
    slots = hls["loops"]["Slots"] if hls else ["", ""]
    tools = [f"Vitis HLS {hls['release']}"] if hls else []
    return [
        seen["board"],
        seen["engine"],
        ", ".join([*tools, f"Vivado {built['vivado']}"]),
        ", ".join(str(value) for value in slots),
        ", ".join(f"{kind} {value:g}" for kind, value in built["slack_ns"].items()),
        ", ".join(str(built["used"][kind]) for kind in ("lut", "dsp", "bram36")),
        f"pynq {on_board['pynq']}, Python {on_board['python']}, NumPy {on_board['numpy']}",
        on_board["bits"],
        str(on_board["cycles"]),
        str(on_board["clock_mhz"]),
    ]
