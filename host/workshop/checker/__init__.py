"""The kernel checker: what Vitis HLS would refuse, or quietly build otherwise than meant.

``python -m workshop.checker [CONFIG...]`` checks the kernel rendered from each, by default of all
shipped configs; exit status 1 with findings.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lstm_sharp.engine.config import Config
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser
from workshop import results
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Render and check; print findings, or a line for each config that has none."""
    parser = Parser(prog="workshop.checker", description=__doc__)
    return results.of_each_config(parser, _fails, arguments)


def _fails(cfg: Config, _: Namespace) -> bool:
    cfg = cfg.of("hls")
    folder = tools.build_folder(cfg)
    render(cfg, folder)
    findings = check(folder)
    print("\n".join(map(str, findings)) or f"{cfg.name}: kernel clean")
    return bool(findings)
