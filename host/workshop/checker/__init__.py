"""The kernel checker: what Vitis HLS would refuse, or quietly build otherwise than meant.

``python -m workshop.checker CONFIG...`` checks the kernel rendered from each.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from workshop.checker.kernel import Kernel
from workshop.checker.rules import RULES, WORDS, refused


class Finding(NamedTuple):
    """A place that breaks a rule."""

    path: str  # below the rendered folder
    line: int
    rule: str
    text: str  # one sentence with the remedy

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def check(folder: Path) -> list[Finding]:
    """Check the kernel in a folder that ``render`` has written.

    Returns:
        What was found, in the order of the files.

    Raises:
        UsageError: libclang is not installed.
    """
    kernel = Kernel(folder, (words for words, _ in WORDS.values()))
    found = {Finding(*place, *what) for place, *what in refused(kernel)}
    for name, rule in RULES.items():
        found |= {Finding(*kernel.place(where), name, text) for where, text in rule(kernel)}
    return sorted(found)
