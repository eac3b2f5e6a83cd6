"""Keras files made to do harm, and an HDF5 library that fails: a sentence, within bounds."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_files as kf
from keras_files import LSTM, X, save, sequential
from lstm_sharp.errors import ToolError
from lstm_sharp.model import hdf5, load
from models import bounded, refused


def hostile_hdf5(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield how each file is refused, and the file: weights of LSTM, one of them not as usual."""
    rng = np.random.default_rng(0)
    kernel, recurrent, bias = (rng.normal(size=s).astype("f") for s in ((X, 16), (4, 16), 16))
    kept = io.BytesIO()
    (folder / "o.raw").write_bytes(kernel.tobytes())
    with kf.h5py.File(folder / "other.h5", "w") as file:
        file["k"] = kernel

    def made(add: Callable[[Any, Any], None]) -> bytes:
        whole = io.BytesIO()
        with kf.h5py.File(whole, "w") as file:
            held = file.create_group("layers/lstm/cell/vars")
            add(file, held)
            for index, value in (("1", recurrent), ("2", bias)):
                held[index] = value
        return whole.getvalue()

    h5py, place = kf.h5py, str(folder / "o.raw")
    virtual = h5py.VirtualLayout(shape=(X, 16), dtype="f")
    virtual[:] = h5py.VirtualSource(str(folder / "other.h5"), "k", shape=(X, 16))

    def ring(file: Any, held: Any) -> None:
        held["0"], file["layers/lstm/again"] = kernel, file["layers"]

    def doubled(file: Any, held: Any) -> None:
        held["0"], group = kernel, file.create_group("more")
        for _ in range(40):
            group["a"] = group["b"] = file.create_group(None)
            group = group["a"]

    none = "has weights of shapes none; 4 units take (X, 16), (4, 16), (16,)"
    packed = "0 cannot be read (it is packed, or lies elsewhere; Keras writes arrays whole)"
    yield (
        none,
        made(lambda f, g: g.__setitem__("0", h5py.ExternalLink(str(folder / "other.h5"), "k"))),
    )
    yield none, made(lambda f, g: g.__setitem__("0", h5py.SoftLink("/elsewhere")))
    yield packed, made(lambda f, g: g.create_dataset("0", (X, 16), "f", external=[(place, 0, 192)]))
    yield packed, made(lambda f, g: g.create_virtual_dataset("0", virtual))
    yield packed, made(lambda f, g: g.create_dataset("0", (1 << 40,), "f", chunks=(1 << 20,)))
    yield packed, made(lambda f, g: g.create_dataset("0", (9000, 9000), "f", compression="gzip"))
    yield "it has no data", made(lambda f, g: g.create_dataset("0", (1 << 20, 1 << 20), "f8"))
    yield "it has type int8, not float", made(lambda f, g: g.__setitem__("0", kernel.astype("b")))
    yield (
        "not float",
        made(lambda f, g: g.create_dataset("0", data=["x"], dtype=h5py.string_dtype())),
    )
    yield "not float", made(lambda f, g: g.__setitem__("0", kernel.astype("c8")))
    yield "more than 16384 entries, or a ring", made(ring)
    yield "more than 16384 entries, or a ring", made(doubled)
    yield "cannot be read as HDF5", b""
    yield "cannot be read as HDF5", kept.getvalue() + bytes(1 << 20)
    whole = made(lambda f, g: g.__setitem__("0", kernel))
    for end in (100, 1000, len(whole) - 1):
        yield "m.keras", whole[:end]


def test_hdf5_made_to_do_harm(tmp_path: Path) -> None:
    text = json.dumps(sequential(LSTM)).encode()
    for told, data in hostile_hdf5(tmp_path):
        path = kf.zipped(tmp_path / "m.keras", {"config.json": text, "model.weights.h5": data})
        with bounded():
            refused(path, told)


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import time; time.sleep(60)", "the HDF5 library is not done after 1 s"),
        ("import os; os.abort()", "the HDF5 library gives up"),
        ("import sys; sys.exit('a bad heap')", "(a bad heap)"),
        ("print('[' * 10**6)", "is not JSON that can be read"),
    ],
)
def test_a_library_that_hangs_or_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(hdf5, "_CPU_S", 1)
    monkeypatch.setattr(hdf5, "_WAIT", 1 if "sleep" in program else 20)
    monkeypatch.setattr(hdf5.hdf5_contents, "__file__", str(tmp_path / "program.py"))
    refused(save(tmp_path, LSTM), told)


def test_a_library_that_computes_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up by the time that it computed, not by how long a busy machine took for it."""
    (tmp_path / "h5py.py").write_text("while True: pass")
    path = save(tmp_path, LSTM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(hdf5, "_CPU_S", 1)
    monkeypatch.setattr(hdf5, "_WAIT", 600)
    refused(path, "the HDF5 library gives up")


EMPTY = json.dumps(sequential()).encode()


@pytest.mark.parametrize("entry", [["<f4", [X, 16], 10**9], ["<f4", [10**9, 10**9], 0]])
def test_a_library_that_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: list[Any]
) -> None:
    told = {"arrays": {"layers/lstm/cell/vars/0": entry}, "texts": {}}
    monkeypatch.setattr(hdf5, "_listed", lambda data: json.dumps(told).encode())
    refused(save(tmp_path, LSTM), f"float32 of shape {entry[1]} does not fit at {entry[2]}")


def test_archives_made_to_do_harm(tmp_path: Path) -> None:
    with zipfile.ZipFile(save(tmp_path, LSTM)) as archive:
        good = {name: archive.read(name) for name in ("config.json", "model.weights.h5")}
    many = sequential(*[{**LSTM, "config": {"name": str(n)}} for n in range(30_000)])
    deep = b"[" * 10**6 + b"]" * 10**6
    for told, members in {
        "has no config.json; save the whole model": {"model.weights.h5": b""},
        "has no model.weights.h5; save the whole": {"config.json": b"{}"},
        "config.json is not JSON that can be read (nested": {
            **good,
            "config.json": deep[-1000100:-999900],
        },
        "config.json is not JSON that can be": {**good, "config.json": deep},
        "4194305 bytes, at most 4194304 are read": {**good, "config.json": bytes((4 << 20) + 1)},
        "m.keras is not as Keras writes it (": {**good, "config.json": b"[]"},
        "m.keras is not as Keras writes it (list": {**good, "config.json": EMPTY},
        "LSTM 0 has activation=None": {**good, "config.json": json.dumps(many).encode()},
    }.items():
        path = kf.zipped(tmp_path / "m.keras", members, zipfile.ZIP_DEFLATED)
        with bounded():
            refused(path, told)
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b"{}")
        archive.writestr("model.weights.h5", bytes(64 << 20))
        archive.infolist()[1].file_size = 10 << 30
    with bounded():
        refused(tmp_path / "m.keras", "model.weights.h5 is to make 10737418240 bytes of")
    (tmp_path / "m.keras").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "m.keras", "m.keras is no whole zip archive (File is not a zip file)")
    with kf.h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file["layers/lstm/cell/vars/0"] = np.ones(3)
    refused(tmp_path / "m.weights.h5", "m.weights.h5 has no model_config")


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, LSTM)
    monkeypatch.setattr(hdf5, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"needs h5py; run pip install 'lstm-sharp\[graph"):
        load(path)
