"""Results that documentation shows: ``docs/results/<name>.json``, which commands make.

Those of ``make paper`` have a folder in their names, as ``paper/modelled``.
"""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from lstm_sharp import files
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.terminal import Parser, ended

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""Documentation of the checkout; an installed wheel has none."""

_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MADE_BY = {"demo": "figures", "recurrences": "resources"}
"""Verbs that are not called like what they make."""


def read(name: str) -> dict[str, Any]:
    """Read a result.

    Raises:
        UsageError: it is not there, or not JSON.
    """
    path, verb = _path(name), name.split("/")[0]
    try:
        result: dict[str, Any] = files.read_json(path)
    except UsageError as error:
        raise UsageError(f"{error}; `make {_MADE_BY.get(verb, verb)}` makes it") from None
    return result


def write(name: str, result: dict[str, Any]) -> None:
    """Write a result, whole or not at all; nothing where there is no checkout."""
    if DOCS.is_dir():
        _path(name).parent.mkdir(exist_ok=True)
        files.write_text(str(_path(name)), json.dumps(result, indent=2) + "\n")


def add(name: str, cfg: Config, entry: object) -> None:
    """Put a shipped config's entry into a result, which is made if there is none."""
    if cfg.name in config.shipped() and cfg == config.load(cfg.name):
        write(name, {**(read(name) if _path(name).is_file() else {}), cfg.name: entry})


def of_each_config(
    parser: Parser, fails: Callable[[Config, Namespace], bool], arguments: Sequence[str] | None
) -> int:
    """Run a command on the configs that it is given, by default all shipped.

    Args:
        parser: of its other options.
        fails: does the work, and tells whether the command then ends with status 1.
        arguments: of the command line.
    """
    parser.add_argument("configs", nargs="*", metavar="CONFIG", default=config.shipped())
    options = parser.parse_args(arguments)
    shown = Console(stderr=True)
    each = track(options.configs, parser.prog, console=shown, disable=not shown.is_terminal)
    return ended(lambda: max([fails(config.load(name), options) for name in each]))


def fill(text: str, table: Callable[[str], str]) -> str:
    """Fill what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` anew."""
    return _MARKED.sub(lambda found: f"{found[1]}{table(found[2])}\n{found[3]}", text)


def markdown(rows: Sequence[Sequence[str]], right: int = 0) -> str:
    """Lay out a table's rows, the first as the head; the last columns may be aligned right."""
    lines = ["|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in rows]
    ruler = "|---" * (len(rows[0]) - right) + "|---:" * right + "|"
    return "\n".join([lines[0], ruler, *lines[1:]])


def _path(name: str) -> Path:
    return DOCS / ("" if "/" in name else "results") / f"{name}.json"
