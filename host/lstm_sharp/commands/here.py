"""Commands about this machine: what can be done on it, a folder for a model, its board."""

from __future__ import annotations

from argparse import Namespace

from lstm_sharp import doctor, files, project
from lstm_sharp.commands.shared import WIDE, Command, option, tell
from lstm_sharp.engine import boards
from lstm_sharp.errors import ToolError
from lstm_sharp.terminal import Parser, say


def _add_doctor(parser: Parser) -> None:
    told = f"what is needed, and status 3 if it lacks: {', '.join(doctor.WANTS)}; default: all"
    option(parser, "need", nargs="*", metavar="NEED", help=told)
    option(parser, "--json")


def _doctor(options: Namespace) -> None:
    """Tell what can be done on this machine, what lacks, and the command that brings it."""
    files.check_outputs((options.json,), ())
    found = doctor.look(options.need)
    tell(options.json, doctor.as_dict(found), doctor.lines(found))
    lacks = [one.name for one in found if not one.here]
    if options.need and lacks:
        raise ToolError(f"{', '.join(lacks)}: not here; lstm-sharp doctor says how to get it")


def _add_new(parser: Parser) -> None:
    option(parser, "folder", metavar="DIR", help="folder to make")
    told = "a model of yours, copied; default: an example, nine speakers told apart"
    option(parser, "--model", metavar="MODEL", help=told)
    told = "its inputs, float32 (batch, time, features); needed with --model"
    option(parser, "--calibration", action="append", help=told)
    told = "that the engine is for; default: %(default)s"
    option(parser, "--board", metavar="NAME", default=boards.DEFAULT, help=told)
    option(parser, "--board-dir")
    option(parser, "--max-memory")


def _new(options: Namespace) -> None:
    """Make a folder for a model: the model, inputs, an engine's config, a Makefile of five lines.

    The config is the smallest of the board's that holds the model. All in it is yours to change.
    """
    made = project.make(options.folder, options.model, options.calibration, options.board)
    for line in made:
        say(line, most=WIDE)


def _add_worker(parser: Parser) -> None:
    told = "of a Dask cluster, tcp://HOST:8786: dask scheduler starts one"
    option(parser, "--scheduler", required=True, metavar="ADDRESS", help=told)
    option(parser, "--package", required=True, metavar="DIR", help="that the board runs")
    option(parser, "--overlay", metavar="FILE.bit", help="default: the one in the package")


def _worker(options: Namespace) -> None:
    """Own this machine's board, and answer for it in a cluster; see docs/fleet.md.

    lstm_sharp.serve.Fleet puts all boards with one package behind one call. A cluster's members run
    what others send them: keep it to machines that trust each other.
    """
    from lstm_sharp import serve

    serve.work(options.scheduler, options.package, options.overlay, say)


COMMANDS = (
    Command("doctor", "tell what can be done here, and how to get the rest", _doctor, _add_doctor),
    Command("worker", "own a board, one of a cluster's", _worker, _add_worker),
    Command("new", "make a folder for a model of your own", _new, _add_new),
)
