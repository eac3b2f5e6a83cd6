"""Results that documentation shows: ``docs/results/<name>.json``, made by commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lstm_sharp import files
from lstm_sharp.errors import UsageError

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""Documentation of the checkout; an installed wheel has none."""

_MADE_BY = {"demo": "figures", "shapes": "figures", "recurrences": "resources"}
"""Verbs that are not called like what they make."""


def read(name: str) -> dict[str, Any]:
    """Read a result.

    Raises:
        UsageError: it is not there, or not JSON.
    """
    path = _path(name)
    try:
        result: dict[str, Any] = files.read_json(path)
    except UsageError as error:
        raise UsageError(f"{error}; `make {_MADE_BY.get(name, name)}` makes it") from None
    return result


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result, whole or not at all; nothing where there is no checkout."""
    if DOCS.is_dir():
        _path(name).parent.mkdir(exist_ok=True)
        files.write_text(str(_path(name)), json.dumps(result, indent=2) + "\n")


def exists(name: str) -> bool:
    """Whether there is such a result."""
    return _path(name).is_file()


def _path(name: str) -> Path:
    return DOCS / "results" / f"{name}.json"
