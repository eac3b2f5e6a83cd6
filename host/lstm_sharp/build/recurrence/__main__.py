"""Print the depth of the updates of the configs named on the command line; status 1: too deep."""

from __future__ import annotations

import argparse
import sys

from lstm_sharp.build import recurrence
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="lstm_sharp.build.recurrence", description=__doc__)
    parser.add_argument("configs", nargs="*", metavar="CONFIG", default=config.shipped())
    bad = False
    try:
        for name in parser.parse_args(arguments).configs:
            depths = recurrence.measure(config.load(name))
            print(f"{name}, {recurrence.table(depths)}")
            bad |= any(depth.fails for depth in depths)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
