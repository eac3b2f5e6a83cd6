"""Run a script on a virtual board: ``python -m lstm_sharp.virtual [--board BOARD] SCRIPT ...``."""

from __future__ import annotations

import argparse
import os
import runpy
import sys

from lstm_sharp.engine.boards import DEFAULT, VIRTUAL, boards
from lstm_sharp.errors import LstmSharpError, UsageError
from lstm_sharp.terminal import Parser
from lstm_sharp.virtual import activate


def main() -> None:
    """Run the script that the command line names, as Python would."""
    parser = Parser(prog="python -m lstm_sharp.virtual", description=__doc__)
    parser.add_argument(
        "--board", help=", ".join(boards()), default=os.environ.get(VIRTUAL) or DEFAULT
    )
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    try:
        if not os.path.isfile(asked.script):
            raise UsageError(f"{asked.script} is no file; name the script that is to run")
        activate(asked.board)
    except LstmSharpError as error:
        parser.exit(error.status, f"{error}\n")
    os.environ[VIRTUAL] = asked.board
    sys.argv = [asked.script, *asked.args]
    sys.path[0] = os.path.dirname(os.path.abspath(asked.script))
    runpy.run_path(asked.script, run_name="__main__")


if __name__ == "__main__":
    main()
