"""Packages of whole graphs: a package of each recurrent part, and ONNX files of what lies around.

docs/package.md is the format's page. Reading needs NumPy alone, running the pieces ONNX Runtime
or, where NumPy computes all of a piece, nothing more.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import __version__, arrays, files, package
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import some
from lstm_sharp.model.graph import Graph, Input
from lstm_sharp.model.host_graph import HostGraph, from_arrays, to_arrays
from lstm_sharp.model.model import Model
from lstm_sharp.model.pieces import Body, Control, Host, Node, Piece, Recurrent
from lstm_sharp.numerics import stored
from lstm_sharp.package import Package
from lstm_sharp.package import folder as folders
from lstm_sharp.runtime.graphs import calibration_of

VERSION = 1
"""Of the format; a reader refuses any other."""
ABOUT, CONSTANTS = folders.GRAPH, "constants.npz"
_MARK = "lstm_sharp_graph"
_JSON_BYTES = 1 << 26
_SCRIPT = folders.SCRIPT_TEXT.replace(b"driver.proof", b"driver.graphs")


@dataclass(frozen=True)
class GraphPackage:
    """What a package of a graph holds, checked."""

    graph: Graph
    """Its parts have integer models."""
    parts: Mapping[str, Package]
    """Of each recurrent part, by its name."""
    stateful: bool
    """Whether parts that the graph gives no state go on from call to call."""
    needs_runtime: str = ""
    """The ops that take ONNX Runtime, in words."""


def write(
    graph: Graph,
    cfg: Config,
    out: str | Path,
    calibration: Mapping[str, np.ndarray],
    schedule: str = "best",
    overlay: str | Path | None = None,
    stateful: bool = False,
) -> GraphPackage:
    """Write a package into a new or empty folder, whole or not at all.

    Args:
        graph: of float models.
        cfg: the engine, hls or sv, that holds each part.
        out: the folder.
        calibration: inputs by name, as ``runtime.graphs.series`` takes them. What does not run on
            them, as a branch that is not taken, is not in the package.
        schedule: as for ``package.write``.
        overlay: the engine's ``.bit``, its ``.hwh`` beside it.
        stateful: let parts that the graph gives no state go on from call to call.

    Returns:
        What ``read`` gives for it.

    Raises:
        UsageError: a part that the config does not hold, inputs that the graph does not take, or a
            folder that is not empty.
    """
    files.check_name(out)
    target = Path(os.path.realpath(out))
    if os.path.lexists(target) and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(f"{target} is not empty; name a new folder")
    joined = folders.read_overlay(overlay, cfg) if overlay else {}
    data = calibration_of(graph, calibration, stateful)
    with folders.replacing(target) as beside:
        writer = _Writer()
        for index, part in enumerate(graph.parts):
            if part.name in data:
                writer.parts[part.name] = f"part{index}"
                assert isinstance(part.model, Model)
                x, place = data[part.name], beside / f"part{index}"
                package.write(part.model, cfg, place, schedule, x)
        if not writer.parts:
            raise UsageError(f"{graph.source}: no recurrent part of it ran on an engine")
        about = {
            "source": graph.source,
            "creator": f"lstm-sharp {__version__}",
            "stateful": stateful,
            "inputs": {
                name: [told.dtype and told.dtype.name, told.shape]
                for name, told in graph.inputs.items()
            },
            "notes": graph.notes,
            "body": writer.body(graph.body),
        }
        contents = {**joined, folders.SCRIPT: _SCRIPT, **writer.files}
        contents[CONSTANTS] = stored.npz(writer.constants)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        told = {_MARK: VERSION, **about, "files": sums}
        text = json.dumps({**told, "sha256": digest(told)}, indent=2) + "\n"
        for name, each in {**contents, ABOUT: text.encode()}.items():
            (beside / name).write_bytes(each)
        return read(beside)


def digest(about: Mapping[str, object]) -> str:
    """Return the SHA-256 of all in graph.json but the sum itself."""
    rest = {name: value for name, value in about.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


class _Writer:
    """Turns pieces into JSON, and what is no JSON into files."""

    def __init__(self) -> None:
        self.parts: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.constants: dict[str, np.ndarray] = {}

    def body(self, body: Body) -> dict[str, object]:
        """Describe a body."""
        held = {}
        for name, value in body.constants.items():
            held[name] = key = f"c{len(self.constants)}"
            self.constants[key] = value
        return {
            "inputs": list(body.inputs),
            "outputs": list(body.outputs),
            "constants": held,
            "pieces": [self._piece(piece) for piece in body.pieces],
        }

    def _piece(self, piece: Piece) -> dict[str, object]:
        if isinstance(piece, Recurrent):
            told = {name: getattr(piece, name) for name in ("name", "looped", "only")}
            nodes = [asdict(node) for node in piece.nodes]
            return {"part": self.parts.get(piece.name), **told, "nodes": nodes}
        if isinstance(piece, Control):
            told = {name: getattr(piece, name) for name in ("label", "op", "inputs", "makes")}
            bodies = [self.body(body) for body in piece.bodies]
            return {**told, "reads": piece.reads, "told": piece.told, "bodies": bodies}
        assert isinstance(piece, Host)
        file = short = None
        if piece.seen is not None:
            file = f"piece{len(self.files)}.onnx"
            made = piece.graph()
            assert not isinstance(made, bytes | HostGraph)  # what a file of ONNX was cut into
            self.files[file] = made.SerializeToString()
            held = HostGraph.of_model(made, piece.reads)
            if not held.onnx:
                short = f"piece{len(self.files)}.npz"
                self.files[short] = stored.npz(to_arrays([held]))
        return {
            "file": file,
            "numpy": short,
            "ops": list(piece.ops),
            "reads": list(piece.reads),
            "makes": list(piece.makes),
        }


def read(folder: str | Path) -> GraphPackage:
    """Read and check a package of a graph.

    Raises:
        UsageError: something is missing, damaged, of another version or for another engine.
    """
    folder = Path(folder)
    about = files.read_json(folder / ABOUT, _JSON_BYTES)
    if not isinstance(about, dict) or about.get(_MARK) != VERSION:
        raise UsageError(
            f"{folder / ABOUT} is of something else, or of another version than {VERSION}; make "
            "the package again"
        )
    with files.refusing(f"{folder} is damaged", "make the package again"):
        stored.require(about["sha256"] == digest(about), f"{ABOUT} is as it was written")
        reader = _Reader(folder, about)
        body = reader.body(about["body"])
        inputs = {
            str(name): Input(None if kind is None else np.dtype(kind), shape and tuple(shape))
            for name, (kind, shape) in about["inputs"].items()
        }
        stored.require(reader.parts, "there is at least one part")
        graph = Graph(str(about["source"]), body, inputs, list(map(str, about["notes"])))
        needs = some(reader.beyond_numpy)
        return GraphPackage(graph, reader.parts, bool(about["stateful"]), needs)


class _Reader:
    """Turns JSON into pieces."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._folder, self._source, self._sums = folder, str(about["source"]), about["files"]
        self.parts: dict[str, Package] = {}
        self.beyond_numpy: list[str] = []
        with arrays.open_npz(self._file(CONSTANTS), str(folder / CONSTANTS)) as tensors:
            self._constants = {name: read() for name, read in tensors.items()}

    def _file(self, name: str) -> bytes:
        stored.require(name in (CONSTANTS, *self._sums) and Path(name).name == name, "a plain name")
        data = files.read_bytes(self._folder / name)
        same = hashlib.sha256(data).hexdigest() == self._sums[name]
        stored.require(same, f"{name} has the SHA-256 it had")
        return data

    def body(self, told: Mapping[str, Any]) -> Body:
        """Make a body."""
        constants = {name: self._constants[key] for name, key in told["constants"].items()}
        pieces = [self._piece(piece) for piece in told["pieces"]]
        return Body(told["inputs"], told["outputs"], pieces, constants)

    def _piece(self, told: Mapping[str, Any]) -> Piece:
        if "nodes" in told:
            return self._part(told)
        if "op" in told:
            bodies = [self.body(body) for body in told["bodies"]]
            stored.require(told["op"] in ("If", "Loop", "Scan"), "op is If, Loop or Scan")
            names = ("label", "op", "inputs", "makes", "reads", "told")
            return Control(**{name: told[name] for name in names}, bodies=bodies)
        file, short = told["file"], told.get("numpy")
        if file is not None and short is None:
            self.beyond_numpy += told["ops"]
        made: bytes | HostGraph | None = None if file is None else self._file(file)
        if short is not None and find_spec("onnxruntime") is None:
            with arrays.open_npz(self._file(short), str(self._folder / short)) as tensors:
                (made,) = from_arrays(tensors)

        def graph(piece: Host, given: object) -> bytes | HostGraph:
            if made is None:
                raise UsageError("it is not in the package; calibrate with inputs that take it")
            return made

        return Host(self._source, told["ops"], told["reads"], told["makes"], graph)

    def _part(self, told: Mapping[str, Any]) -> Piece:
        name, place = str(told["name"]), told["part"]
        nodes = tuple(Node(**node) for node in told["nodes"])
        if place is None:
            return _Absent(self._source, name, nodes)
        stored.require(Path(place).name == place, "a part's folder has a plain name")
        self.parts[name] = held = package.read(self._folder / place)
        only = told["only"] and (told["only"][0], told["only"][1])
        return Recurrent(name, held.model, nodes, bool(told["looped"]), only)


class _Absent:
    """A recurrent part that did not run when the package was made."""

    def __init__(self, source: str, name: str, nodes: tuple[Node, ...]) -> None:
        self._told = f"{source}: {name} is not in the package; calibrate with inputs that take it"
        like = Recurrent(name, None, nodes)
        self.reads, self.makes = like.reads, like.makes

    def run(self, values: object, call: object) -> None:
        """Refuse."""
        raise UsageError(self._told)
