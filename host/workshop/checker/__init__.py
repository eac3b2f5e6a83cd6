"""The kernel checker: what Vitis HLS would refuse, or quietly build otherwise than meant.

``python -m workshop.checker CONFIG...`` checks the kernel rendered from each. The rules
are those of ``code`` (what can be synthesised), ``directives`` (pragmas where they stand),
``memories`` (their ports) and ``ranges`` (declared widths).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

from lstm_sharp.engine.config import Config
from workshop.checker import code, directives, memories
from workshop.checker.kernel import Kernel, Placed
from workshop.checker.ranges import ranges

RULES = (*code.RULES, *directives.RULES, *memories.RULES, "range")


class Finding(NamedTuple):
    """A place that breaks a rule."""

    path: str  # below the rendered folder
    line: int
    rule: str
    text: str  # one sentence with the remedy

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def check(folder: Path, cfg: Config) -> list[Finding]:
    """Check the kernel in a folder that ``render`` has written.

    Args:
        folder: the rendered tree.
        cfg: from which it was rendered.

    Returns:
        What was found, in the order of the files.

    Raises:
        UsageError: libclang is not installed.
    """
    kernel = Kernel(folder)
    found = {Finding(*place, *what) for place, *what in code.refused(kernel)}
    rules = {**code.RULES, **directives.RULES, **memories.RULES}
    rules["range"] = partial(ranges, cfg=cfg)
    for rule, complaints in rules.items():
        for where, text in complaints(kernel):
            pragma = where.pragma if isinstance(where, Placed) else None
            place = (pragma.path, pragma.line) if pragma else kernel.place(where)
            found.add(Finding(*place, rule, text))
    return sorted(found)
