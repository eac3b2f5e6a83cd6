"""Check the kernels of configs, by default of all shipped; exit status 1 with findings."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from lstm_sharp.engine.config import Config
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser
from workshop import results
from workshop.checker import check


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


if __name__ == "__main__":
    sys.exit(main())
