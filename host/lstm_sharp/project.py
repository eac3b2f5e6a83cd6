"""A folder that a user begins with: a model, inputs of it, an engine's config, a Makefile."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstm_sharp import arrays, files, paths
from lstm_sharp.engine import boards
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import best_of, fit, own_config, parts_of
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.onnx_file import read_onnx
from lstm_sharp.numerics.stored import load
from lstm_sharp.runtime import graph_files
from lstm_sharp.runtime.inputs import check_input


@dataclass(frozen=True)
class Project:
    """What a folder is made of."""

    model: str
    """The model's file in the folder."""
    inputs: dict[str, str]
    """Of a graph the file of each input; of a stack one, under an empty name."""
    config: Config
    labels: str = ""

    @property
    def engine(self) -> str:
        """The config's file: its name is the engine's, and the overlay's."""
        return f"{self.config.name}.json"

    def makefile(self) -> str:
        """Return the Makefile: a line for each thing that can be done."""
        model, engine = self.model, f"--config {self.engine}"

        def data(option: str) -> str:
            given = [f"{name}={file}" if name else file for name, file in self.inputs.items()]
            return " ".join(f"{option} {one}" for one in given)

        labels = f" --labels {self.labels}" if self.labels else ""
        page = f"report {model} {engine} {data('--input')} -o report.html"
        if "" not in self.inputs:  # which report has no page of
            page = f"inspect {model} --svg graph.svg"
        board = self.config.board if self.config.board != "none" else boards.DEFAULT
        told = {
            "compare:": f"compare {model} {engine} {data('--input')}{labels}",
            "report:": page,
            "simulate:": f"run {model} {engine} {data('--input')} --output y.npy --backend rtl",
            "pack:": f"package {model} {engine} {data('--calibration')} --virtual -o package",
        }
        lines = [f"{target:<10}; lstm-sharp {told}" for target, told in told.items()]
        lines.append(f"try: pack ; LSTM_SHARP_VIRTUAL={board} python package/run.py")
        return "\n".join(lines) + "\n"

    def readme(self, name: str) -> str:
        """Return what to type, and what is whose."""
        board = self.config.board
        return f"""# {name}

    make compare    # float beside each number format
    make report     # {"a page of" if "" in self.inputs else "a picture of"} the model
    make simulate   # the engine in SystemVerilog, bit by bit and cycle by cycle
    make try        # a package for {board}, on a virtual board

`lstm-sharp doctor rtl virtual` says what these need. `{self.model}` is the model, {self._told()}
are inputs: numbers are chosen on them, and errors measured. `{self.engine}` is the engine,
for {board}; `lstm-sharp explore {self.model} --board {board} -o own.json` looks for a better one.
All is yours to change: the files, and the five lines of the Makefile.
"""

    def _told(self) -> str:
        return ", ".join(f"`{file}`" for file in self.inputs.values())


def make(
    folder: str, model: str | None, calibration: Sequence[str] | None, board: str
) -> Iterator[str]:
    """Make a folder.

    Args:
        folder: it must not be there, or be empty.
        model: a file; None: the example.
        calibration: a file of inputs of a stack, float32 (batch, time, features), or
            ``NAME=X.npy`` for each input of a graph.
        board: the smallest of its configs that holds the model is taken.

    Returns:
        Lines that say what was made.

    Raises:
        UsageError: something is in the folder, the files do not fit each other, or no config of
            the board holds the model.
    """
    out = Path(folder)
    if not folder or out.name in ("", "..") or (os.path.lexists(out) and not _is_empty(out)):
        raise UsageError(f"{folder!r} is no new or empty folder; name another")
    if (model is None) != (calibration is None):
        lacks = "--calibration" if calibration is None else "--model"
        raise UsageError(f"a model comes with its inputs: give {lacks} as well, or neither")
    parent = out.absolute().parent
    if not parent.is_dir():
        raise UsageError(f"{out.parent} is no folder; make it first")
    labels: np.ndarray | None = None
    values: dict[str, np.ndarray]
    if model is None:
        source = paths.examples() / "vowels" / "vowels.onnx"
        x, labels = _utterances()
        read, values = load(source), {"": x}
    else:
        source, read = Path(model), load(model)
        if isinstance(read, Graph):
            values = graph_files.read(read, calibration or ())
        else:
            (given, *more) = calibration or ("",)
            if more:
                raise UsageError("one stack has one input: give --calibration once")
            values = {"": arrays.read_npy(given)}
            check_input(read, values[""], "calibration data")
    found = [fit(part, board) for part in parts_of(read)]
    best = best_of(found)
    if best is None:
        raise UsageError(
            f"no config for {board} holds {source.name}; lstm-sharp fit says what would"
        )
    names = {name: "x.npy" if len(values) == 1 else f"x{i}.npy" for i, name in enumerate(values)}
    made = Project(
        f"model{source.suffix.lower()}",
        names,
        own_config(found, best),
        "labels.npy" if labels is not None else "",
    )
    try:
        place = tempfile.TemporaryDirectory(dir=parent, prefix=".lstm-sharp-")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made ({error.strerror}); name another folder"
        ) from None
    with place as beside:
        new = Path(beside) / "new"
        new.mkdir()
        (new / made.model).write_bytes(_whole(source))
        for name, file in names.items():
            np.save(new / file, values[name])
        if labels is not None:
            np.save(new / made.labels, labels)
        (new / made.engine).write_text(json.dumps(made.config.knobs(), indent=2) + "\n", "utf-8")
        (new / "Makefile").write_text(made.makefile(), "utf-8")
        (new / "README.md").write_text(made.readme(out.name), "utf-8")
        os.replace(new, out)
    yield f"{folder}: {made.model}, {', '.join(names.values())}, {made.engine}, Makefile"
    if " " in str(out.absolute()):
        yield "Verilator takes no path with a space: simulate and try will not work there"
    yield f"next: make -C {shlex.quote(folder)} compare"


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _whole(source: Path) -> bytes:
    """Return a model's file, with what an ONNX file has beside it put in."""
    if source.suffix.lower() == ".onnx":
        return bytes(read_onnx(source).SerializeToString())
    return files.read_bytes(source)


def _utterances() -> tuple[np.ndarray, np.ndarray]:
    """Return the example's utterances of the length that most have, and who speaks."""
    held = arrays.read_npz(
        paths.examples() / "vowels" / "vowels_test.npz", "x", "lengths", "labels"
    )
    lengths = held["lengths"]
    most = int(np.bincount(lengths).argmax())
    return held["x"][lengths == most, :most], held["labels"][lengths == most]
