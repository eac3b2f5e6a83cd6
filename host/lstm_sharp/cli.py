"""The command line ``lstm-sharp``: all commands, and how a shell completes them."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

from lstm_sharp import __version__, doctor, files
from lstm_sharp.commands import deliver, engines, here, models
from lstm_sharp.commands.shared import Command, option
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import boards, looking_in
from lstm_sharp.errors import lacking
from lstm_sharp.numerics.formats import USUAL
from lstm_sharp.runtime.session import BACKENDS
from lstm_sharp.terminal import Parser, ended


def parser() -> Parser:
    """Return the parser of the command line, with those of all commands."""
    made = Parser(
        prog="lstm-sharp",
        description="LSTM inference on FPGAs, from a trained model to a board.",
        epilog="Exit status: 0 done; 2 bad input; 3 a tool is missing or fails; 4 a fault of the "
        "engine or inside; 5 the board's; 6 an error over --max-error.",
    )
    made.add_argument("--version", action="version", version=__version__)
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    for one in COMMANDS:
        command = commands.add_parser(one.name, help=one.told, description=one.run.__doc__)
        command.set_defaults(command=one.run)
        one.add(command)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, 2 for what the user can mend."""
    options = parser().parse_args(arguments)
    given = vars(options)

    def act() -> None:
        own, most = given.pop("board_dir", None), given.pop("max_memory", None)
        with looking_in(own), files.max_memory(most):
            options.command(options)

    return ended(act, "lstm-sharp: ")


def _add_completion(parser: Parser) -> None:
    option(parser, "shell", choices=("bash", "zsh", "tcsh"), help="that completes")


def _completion(options: Namespace) -> None:
    """Print the script by which a shell completes the commands and their options.

    It takes the extra shell. For bash:
    lstm-sharp completion bash > ~/.local/share/bash-completion/completions/lstm-sharp
    """
    try:
        import shtab
    except ImportError:
        raise lacking("shtab", "completion") from None
    whole = parser()
    of_name = {
        "backend": BACKENDS,
        "board": boards(),
        "config": config.shipped(),
        "format": tuple(map(str, USUAL)),
        "need": tuple(doctor.WANTS),
    }
    for action in _actions(whole):
        if action.dest in of_name:
            action.choices = of_name[action.dest]
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif "." in str(action.metavar) or action.metavar in ("FILE", "MODEL"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(whole, options.shell))


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    """Give all options of a parser and of its commands."""
    for action in parser._actions:
        parsers: Any = getattr(action, "_name_parser_map", None)
        if parsers:
            for command in parsers.values():
                yield from _actions(command)
        elif action.nargs != 0:
            yield action


COMMANDS = (
    *models.COMMANDS,
    *engines.COMMANDS,
    *deliver.COMMANDS,
    *here.COMMANDS,
    Command("completion", "print what makes a shell complete", _completion, _add_completion),
)
"""In the order of the help."""
