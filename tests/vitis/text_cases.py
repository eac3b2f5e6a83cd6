"""Cases that stand in text files beside this one: '==' and a title, then lines by their sign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Case = dict[str, list[str]]


def read(name: str) -> Iterator[tuple[str, Case]]:
    """Yield title and lines of each case of a file, by what they begin with, without that."""
    text = Path(__file__).with_name(name).read_text()
    for case in text.split("\n== ")[1:]:
        title, *lines = case.splitlines()
        found: Case = defaultdict(list)
        for line in lines:
            found[line[:1]].append(line[1:])
        yield title, found
