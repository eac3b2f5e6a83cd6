"""Print how deep the updates of configs are, by default of all shipped; status 1: one is too deep.

What it saw of shipped configs goes to docs/results/recurrences.json.
"""

from __future__ import annotations

import sys

from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.terminal import Parser
from workshop import recurrence, results


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = Parser(prog="workshop.recurrence", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG", default=config.shipped())
    bad = False
    try:
        for name in parser.parse_args(arguments).configs:
            print(f"{name}: measuring updates of the C++ kernel ...", file=sys.stderr)
            cfg = config.load(name)
            depths = recurrence.measure(cfg)
            print(recurrence.table(cfg, depths))
            bad |= any(depth.fails for depth in depths)
            if name in config.shipped():
                seen = results.read("recurrences") if results.exists("recurrences") else {}
                results.write("recurrences", {**seen, name: recurrence.entry(cfg, depths)})
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
