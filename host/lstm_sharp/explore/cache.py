"""What has been said of engines before, in an SQLite file: nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from lstm_sharp import files, paths
from lstm_sharp.engine.boards import facts
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools

_DECIDING = ("compiler", "engine", "explore", "runtime/deploy.py", "fit.py", "numerics/formats.py")
"""Sources that what is said of an engine follows from."""
_WAIT_S = 30
"""For another process that writes into the same file."""


@cache
def version() -> str:
    """Return the digest of the sources that decide, and of the model of resources."""
    package = Path(paths.__file__).parent
    places = [package / name for name in _DECIDING]
    sources = [f for p in places for f in (sorted(p.glob("*.py")) if p.is_dir() else [p])]
    return tools.digest([*sources, paths.resource_model()])


def key_of(knobs: Mapping[str, Any], *asked: object) -> str:
    """Return the digest of an engine, its board, and what else is asked: model, steps."""
    text = repr((sorted(knobs.items()), facts(knobs["board"]), *asked))
    return hashlib.sha256(text.encode()).hexdigest()


def default_path() -> Path:
    """Return where the cache lies if nothing else is said."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lstm-sharp" / "explore.sqlite"


class Cache:
    """Answers by their key, those of this version alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._file = connection
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if tables and "answers" not in tables:
            raise sqlite3.DatabaseError("it is another program's")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(version TEXT, key TEXT, answer TEXT, PRIMARY KEY (version, key))"
            )
        others = "SELECT count(*) FROM answers WHERE version != ?"
        self.others: int = connection.execute(others, [version()]).fetchone()[0]
        """Answers of other versions, which are not used."""

    def get(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what is known."""
        asked = list(keys)
        marks = ", ".join("?" * len(asked))
        query = f"SELECT key, answer FROM answers WHERE version = ? AND key IN ({marks})"
        found = self._file.execute(query, [version(), *asked])
        return {key: files.parse_json(answer.encode(), "the cache") for key, answer in found}

    def put(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep answers."""
        rows = [(version(), key, json.dumps(answer)) for key, answer in answers.items()]
        with self._file:
            self._file.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)


@contextmanager
def opened(path: Path | None = None) -> Iterator[Cache]:
    """Open a cache, and make it if it is not there.

    Raises:
        UsageError: it is damaged, or cannot be written.
    """
    place = path or default_path()
    try:
        if path is None:
            os.makedirs(place.parent, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=_WAIT_S)) as connection:
            yield Cache(connection)
    except (sqlite3.Error, FileExistsError, PermissionError) as error:
        remedy = "delete it, or name another" if place.is_file() else "name another"
        raise UsageError(
            f"the cache {place} cannot be used ({error}); {remedy} with --cache"
        ) from None
