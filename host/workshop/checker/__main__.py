"""Check the kernels of the configs named on the command line; exit status 1 with findings."""

from __future__ import annotations

import sys

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser
from workshop.checker import check


def main(arguments: list[str] | None = None) -> int:
    """Render and check; print findings, or a line for each config that has none."""
    parser = Parser(prog="workshop.checker", description=__doc__)
    parser.add_argument("configs", nargs="+", metavar="CONFIG")
    found = 0
    try:
        for name in parser.parse_args(arguments).configs:
            cfg = config.load(name).of("hls")
            folder = tools.build_folder(cfg)
            render(cfg, folder)
            findings = check(folder, cfg)
            found += len(findings)
            print("\n".join(map(str, findings)) or f"{name}: kernel clean")
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
