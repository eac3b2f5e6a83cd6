"""A folder that a user begins with: a model, inputs of it, an engine's config, a Makefile."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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

_LABELS = "labels.npy"


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
    file, cfg = f"model{source.suffix.lower()}", own_config(found, best)
    engine = f"{cfg.name}.json"  # by which it is called, and its overlay
    try:
        place = tempfile.TemporaryDirectory(dir=parent, prefix=".lstm-sharp-")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be made ({error.strerror}); name another folder"
        ) from None
    with place as beside:
        new = Path(beside) / "new"
        new.mkdir()
        (new / file).write_bytes(_whole(source))
        for name, place_of in names.items():
            np.save(new / place_of, values[name])
        if labels is not None:
            np.save(new / _LABELS, labels)
        texts = {
            engine: json.dumps(cfg.knobs(), indent=2) + "\n",
            "Makefile": _makefile(file, names, cfg, labels is not None),
            "README.md": _readme(out.name, file, names, cfg),
        }
        for name, text in texts.items():
            (new / name).write_text(text, "utf-8")
        os.replace(new, out)
    yield f"{folder}: {file}, {', '.join(names.values())}, {engine}, Makefile"
    if " " in str(out.absolute()):
        yield "Verilator takes no path with a space: simulate and try will not work there"
    yield f"next: make -C {shlex.quote(folder)} compare"


def _makefile(model: str, inputs: Mapping[str, str], cfg: Config, labelled: bool) -> str:
    """Return the Makefile: a line for each thing that can be done.

    Args:
        model: its file.
        inputs: of a graph the file of each input; of a stack one, under an empty name.
        cfg: the engine.
        labelled: whether there are labels.
    """

    def data(option: str) -> str:
        given = [f"{name}={file}" if name else file for name, file in inputs.items()]
        return " ".join(f"{option} {one}" for one in given)

    engine, labels = f"--config {cfg.name}.json", f" --labels {_LABELS}" * labelled
    page = f"report {model} {engine} {data('--input')} -o report.html"
    if "" not in inputs:  # which report has no page of
        page = f"inspect {model} --svg graph.svg"
    board = cfg.board if cfg.board != "none" else boards.DEFAULT
    told = {
        "compare:": f"compare {model} {engine} {data('--input')}{labels}",
        "report:": page,
        "simulate:": f"run {model} {engine} {data('--input')} --output y.npy --backend rtl",
        "pack:": f"package {model} {engine} {data('--calibration')} --virtual -o package",
    }
    lines = [f"{target:<10}; lstm-sharp {told}" for target, told in told.items()]
    lines.append(f"try: pack ; LSTM_SHARP_VIRTUAL={board} python package/run.py")
    return "\n".join(lines) + "\n"


def _readme(name: str, model: str, inputs: Mapping[str, str], cfg: Config) -> str:
    """Return what to type, and what is whose; arguments are those of ``_makefile``."""
    told, board = ", ".join(f"`{file}`" for file in inputs.values()), cfg.board
    return f"""# {name}

    make compare    # float beside each number format
    make report     # {"a page of" if "" in inputs else "a picture of"} the model
    make simulate   # the engine in SystemVerilog, bit by bit and cycle by cycle
    make try        # a package for {board}, on a virtual board

`lstm-sharp doctor rtl virtual` says what these need. `{model}` is the model, {told}
are inputs: numbers are chosen on them, and errors measured. `{cfg.name}.json` is the engine,
for {board}; `lstm-sharp explore {model} --board {board} -o own.json` looks for a better one.
All is yours to change: the files, and the five lines of the Makefile.
"""


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
