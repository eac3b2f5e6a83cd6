"""What the commands have in common: their options, and how they read and tell."""

from __future__ import annotations

import json
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import KNOWN
from lstm_sharp.terminal import Parser, say, size


@dataclass(frozen=True)
class Command:
    """A command: what it does, in a line of the list of all, and its options."""

    name: str
    told: str
    run: Callable[[Namespace], None]
    """Its docstring is the command's help."""
    add: Callable[[Parser], None]


ALLOW_HOST = "let the host compute, in float, recurrent nodes that no engine does"
WIDE = 10_000
"""Characters of a line of figures."""

OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"metavar": "MODEL", "help": ".onnx, .keras, .h5, .pt, .safetensors or .npz"},
    "--prefix": {"default": "", "dest": "prefix", "help": "one LSTM of those in the file"},
    "--config": {"help": "name of a config or a board, or a file"},
    "--format": {"help": f"number format instead of the config's: {KNOWN}"},
    "--schedule": {"default": "best", "help": f"{', '.join(SCHEDULES)} or best"},
    "--calibration": {"metavar": "X.npy"},
    "--steps": {"type": int, "default": 100, "metavar": "T", "help": "of one call; default 100"},
    "--json": {"metavar": "FILE", "help": "write what was seen; - for stdout"},
    "--board-dir": {"metavar": "DIR", "help": "with boards of your own: DIR/BOARD/board.json"},
    "--max-memory": {"type": size, "metavar": "SIZE", "help": "of a file read; default 2G"},
}
"""What the commands' options of these names have in common."""


def option(to: Any, *names: str, **own: Any) -> None:
    """Add an option to a command, with what is its own beside what all of the name have."""
    to.add_argument(*names, **{**OPTIONS.get(names[-1], {}), **own})


def takes_model(command: Parser, nargs: str | None = None, one_format: bool = True) -> None:
    """Add a model to a command, and the options that say how it is read."""
    option(command, "--board-dir")
    option(command, "model", nargs=nargs)
    if one_format:
        option(command, "--format")
    option(command, "--node", "--prefix")
    option(command, "--max-memory")


def check_config_file(path: str | None) -> None:
    """Refuse a name by which no command would take a config."""
    if path and not files.is_stdout(path) and Path(path).suffix != ".json":
        raise UsageError(f"{path} is no name of a config; end it in .json")


def write_config(path: str, cfg: config.Config) -> None:
    """Write a config under the name of its file."""
    out = Path(path)
    named = replace(cfg, name=re.sub("[^A-Za-z0-9_-]+|^-$", "own", out.stem))
    files.write_text(path, json.dumps(named.knobs(), indent=2) + "\n")
    line = f"{out}: {named.macs} multipliers, {named.format}, for {named.board}"
    say(line, sys.stderr if files.is_stdout(path) else sys.stdout)


def tell_axes(model: Model) -> None:
    """Say so where a file takes x in another order of axes than is taken here."""
    if model.time_first:
        told = "x as (time, batch, features); here it is (batch, time, features)"
        note(f"the file of {model.name} takes {told}")


def note(*told: str) -> None:
    """Say on stderr what there is to be noted."""
    for each in told:
        say(f"note: {each}", sys.stderr)


def one(option: str, given: Sequence[str] | None) -> str | None:
    """Return what a stack takes of an option that a graph takes for each of its inputs."""
    if given and len(given) > 1:
        raise UsageError(
            f"{option} is given {len(given)} times; one stack has one input: give it once"
        )
    return given[0] if given else None


def read(path: str | None) -> np.ndarray | None:
    """Read the array of an option that may be left out."""
    return arrays.read_npy(path) if path else None


def tell(
    where: str | None,
    report: object,
    lines: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Write a report, with dataclasses, as JSON where it is asked for; else lines for people."""
    text = json.dumps(report, indent=2, default=asdict)
    if files.is_stdout(where):
        print(text)
        return
    if where:
        files.write_text(where, text + "\n")
    for line in lines:
        say(line, stream, WIDE)
