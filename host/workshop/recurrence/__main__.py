"""Print how deep the updates of configs are, by default of all shipped; status 1: one is too deep.

What it saw of shipped configs goes to docs/results/recurrences.json.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

from lstm_sharp.engine.config import Config
from lstm_sharp.terminal import Parser
from workshop import recurrence, results


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    text = (__doc__ or "").split("\n\n")[0]
    parser = Parser(prog="workshop.recurrence", description=text)
    return results.of_each_config(parser, _fails, arguments)


def _fails(cfg: Config, _: Namespace) -> bool:
    print(f"{cfg.name}: measuring updates of the C++ kernel ...", file=sys.stderr)
    depths = recurrence.measure(cfg)
    print(recurrence.table(cfg, depths))
    results.add("recurrences", cfg, recurrence.entry(cfg, depths))
    return any(depth.fails for depth in depths.values())


if __name__ == "__main__":
    sys.exit(main())
