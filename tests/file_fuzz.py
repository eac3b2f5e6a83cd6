"""Files made to do harm: each is given to the reader that a user would, and must be refused well.

``python tests/file_fuzz.py --seed S --count N`` tries N files and prints a line of JSON for each
that was not met by success, or by status 2 and one printable line. A case that takes memory or
time beyond its bounds ends the process; the last line then names it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import keras_files as kf
import torch_file
from lstm_sharp import arrays, cli, package, paths, terminal
from lstm_sharp.engine import boards as board
from lstm_sharp.engine import config
from lstm_sharp.flow.design import design
from lstm_sharp.flow.hwh import hwh
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from models import pytorch_like, torch_names, write_safetensors

Rng = np.random.Generator
MEMORY, SECONDS = 1 << 30, 10
"""Bounds of a case: what the process may take beside what it has once all is imported."""
_WAIT = 20
"""Times as long it may last, where the machine is busy."""

_NO_MEMORY = re.compile("MemoryError|nable to allocate|annot allocate|bad_alloc|not enough memory")
"""Words of who has asked for more: a size must be refused before."""

RUN = ["run", "m.npz", "--input", "x.npy", "--output", "y.npy", "--config", "tiny"]
FLOAT = [*RUN, "--backend", "float"]
MODEL = ["run", "--input", "x.npy", "--output", "y.npy", "--backend", "float", "--output-of"]
GRAPH = ["--input", "x=x.npy", "--output", "y.npz"]
QUANTIZE = ["quantize", "m.npz", "-o", "new.npz"]
PACKAGE = ["package", "m.npz", "--config", "tiny", "--assume-range", "-1,1", "-o", "q"]


def _cli(*arguments: str) -> Callable[[], int]:
    return lambda: cli.main(arguments)


def _call(read: Callable[[], object]) -> Callable[[], int]:
    """As the programs on a board do with a package."""
    return lambda: terminal.ended(lambda: 0 * bool(read()), "lstm-sharp: ")


TARGETS: list[tuple[str, Callable[[], int]]] = [
    ("x.npy", _cli(*FLOAT)),
    ("x.npy", _cli(*RUN)),
    ("l.npy", _cli(*FLOAT, "--lengths", "l.npy")),
    ("c.npy", _cli(*RUN, "--calibration", "c.npy")),
    ("c.npy", _cli(*PACKAGE[:4], "-o", "q", "--calibration", "c.npy")),
    ("s.npz", _cli(*FLOAT, "--state", "s.npz")),
    ("m.npz", _cli(*FLOAT)),
    ("deflated.npz", _cli(MODEL[0], "deflated.npz", *MODEL[1:], "h")),
    ("c.npy", _cli(*QUANTIZE, "--calibration", "c.npy")),
    ("x.npy", _cli(*QUANTIZE, "--calibration", "c.npy", "--evaluation", "x.npy")),
    ("q.npz", _cli(RUN[0], "q.npz", *RUN[2:])),
    ("m.safetensors", _cli("fit", "m.safetensors", "--board", "none", "--json", "-")),
    ("m.safetensors", _cli(MODEL[0], "m.safetensors", *MODEL[1:], "h")),
    ("m.pt", _cli(MODEL[0], "m.pt", *MODEL[1:], "h")),
    ("row.pt", _cli(MODEL[0], "row.pt", *MODEL[1:], "h")),
    ("m.onnx", _cli(MODEL[0], "m.onnx", *MODEL[1:], "h")),
    ("m.onnx", _cli(MODEL[0], "m.onnx", *MODEL[1:], "head")),
    ("outside.onnx", _cli(MODEL[0], "outside.onnx", *MODEL[1:], "head")),
    ("m.bin", _cli(MODEL[0], "outside.onnx", *MODEL[1:], "head")),
    ("g.onnx", _cli("run", "g.onnx", *GRAPH, "--backend", "float")),
    ("g.onnx", _cli("run", "g.onnx", *GRAPH, "--config", "tiny")),
    ("x.npy", _cli("run", "g.onnx", *GRAPH, "--backend", "float")),
    ("m.keras", _cli(MODEL[0], "m.keras", *MODEL[1:], "head")),
    ("m.h5", _cli(MODEL[0], "m.h5", *MODEL[1:], "h")),
    ("c.json", _cli(*RUN[:-1], "c.json")),
    ("p/package.json", _call(lambda: package.read("p"))),
    ("p/package.json", _cli(*PACKAGE[:-1], "p")),
    ("p/model.npz", _call(lambda: package.read("p"))),
    ("p/vectors.npz", _call(lambda: package.read("p"))),
    ("overlays/pynq-z2/board.json", _call(lambda: [board.board("pynq-z2")])),
    ("overlays/pynq-z2/board.json", _call(lambda: board.facts("pynq-z2"))),
    ("v.hwh", _cli(*PACKAGE, "--overlay", "v.bit")),
]


def make_good(folder: Path) -> None:
    """Write a good file of each kind into the working folder, which ``folder`` is."""
    rng, model = np.random.default_rng(0), pytorch_like(0, [3, 6, 4])
    np.savez(folder / "m.npz", **torch_names(model))
    np.savez_compressed(folder / "deflated.npz", **torch_names(model))
    for name in ("x", "c"):
        np.save(folder / f"{name}.npy", rng.uniform(-1, 1, (2, 5, 3)).astype(np.float32))
    np.save(folder / "l.npy", np.array([2, 5]))
    np.savez(folder / "s.npz", h=np.zeros((2, 2, 6), "f"), c=np.zeros((2, 2, 6), "f"))
    quantized = quantize(model, Format(8, 16), np.load(folder / "x.npy"))
    stored.write(folder / "q.npz", replace(model, quantized=quantized), {})
    write_safetensors(folder / "m.safetensors", torch_names(model))
    for name in ("m.pt", "row.pt"):
        torch_file.save(folder / name, torch_names(model), row=name == "row.pt")
    _onnx(folder)
    layers = [kf.cell("GRU", "a", 4, return_sequences=True), kf.both("b", kf.cell("GRU", "f", 2))]
    drawn = {
        layer["config"]["name"]: kf.draw(layer, width, 0) for layer, width in zip(layers, (3, 4))
    }
    for suffix in ("keras", "h5"):
        kf.write(folder / f"m.{suffix}", kf.sequential(*layers), drawn)
    shutil.copy(paths.configs() / "tiny.json", folder / "c.json")
    shutil.copytree(paths.overlays(), folder / "overlays")
    tiny = config.load("tiny")
    (folder / "v.hwh").write_text(hwh(design(tiny, "pynq-z2")))
    (folder / "v.bit").write_bytes(b"a bitstream")
    package.write(model, tiny.of("hls"), folder / "p", assume=(-1, 1))


def _onnx(folder: Path) -> None:
    import onnx

    rng = np.random.default_rng(1)
    graph = onnx.parser.parse_graph("""g (float[B,T,3] x) => (y) {
        one = Constant<value_ints=[1]>()
        n = Shape<start=0, end=1>(x)
        size = Concat<axis=0>(one, n, four)
        zero = ConstantOfShape(size)
        tm = Transpose<perm=[1,0,2]>(x)
        Y, Yh, Yc = LSTM<hidden_size=4>(tm, W, R, B, "", zero, zero)
        s = Squeeze(Y, one)
        h = Transpose<perm=[1,0,2]>(s)
        z = MatMul(h, M)
        y = Softmax<axis=-1>(z)
    }""")
    shapes = {"W": (1, 16, 3), "R": (1, 16, 4), "B": (1, 32), "M": (4, 2)}
    tensors = {name: rng.normal(size=shape).astype("f") for name, shape in shapes.items()}
    for name, value in (*tensors.items(), ("four", np.array([4]))):
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(model, str(folder / "m.onnx"))
    onnx.save(_graph(tensors), str(folder / "g.onnx"))
    outside = {"save_as_external_data": True, "size_threshold": 0, "location": "m.bin"}
    onnx.save(model, str(folder / "outside.onnx"), **outside)


def _graph(tensors: dict[str, np.ndarray]) -> Any:
    """Recurrent nodes side by side, in a branch and in a loop."""
    import onnx

    made = onnx.parser.parse_graph("""g (float[B,T,3] x) => (y, e) {
        one = Constant<value_ints=[1]>()
        yes = Constant<value = bool {1}>()
        turns = Constant<value_int=2>()
        tm = Transpose<perm=[1,0,2]>(x)
        Y, Yh = LSTM<hidden_size=4>(tm, W, R, B)
        Z = LSTM<hidden_size=4, direction="reverse">(tm, W, R, B, "", Yh)
        s = Add(Y, Z)
        t = If(yes) <then_branch = a () => (u) { u = LSTM<hidden_size=4>(tm, W, R) },
            else_branch = b () => (w) { w = Identity(Y) }>
        e = Loop(turns, yes, Yh) <body = c (int64 i, bool k, float[d,f,g] h) => (k1, h1) {
            k1 = Identity(k)
            v, h1 = LSTM<hidden_size=4>(tm, W, R, B, "", h) }>
        y = Add(s, t)
    }""")
    made.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in tensors.items())
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(made, opset_imports=opsets, ir_version=8)


# What is done to a file


def _flipped(rng: Rng, data: bytes) -> bytes:
    out = bytearray(data)
    near = int(rng.choice([200, len(out)]))  # headers are small and at the beginning
    for _ in range(int(rng.integers(1, 9)) if out else 0):
        out[int(rng.integers(0, min(near, len(out))))] ^= 1 << int(rng.integers(0, 8))
    return bytes(out)


_SPLICES = [
    *(n.to_bytes(size, "little") for size in (4, 8) for n in (0, 1, (1 << 8 * size) - 1)),
    (1 << 31).to_bytes(4, "little"),
    (1 << 63).to_bytes(8, "little"),
    *(b"", b"\0" * 64, b"\xff" * 64, b"[" * 500, b"{" * 500, b"9" * 5000, b"\x1b[31m\n", b"'" * 50),
    *(b"-1", b"1e999", b"NaN", b"null", b"true", b"[]", "\u202e".encode(), b"../../x", b"\xc3("),
]
_NESTED = [b"[" * deep + b"]" * deep for deep in (10, 70, 900, 100_000)]
_TOKENS = [
    *(
        *_SPLICES,
        *_NESTED,
        b"0",
        b"65535",
        b"1.5",
        b"1e300",
        b"10" * 9,
        b"{}",
        b'{"": {}}',
        b"[[]]",
    ),
    *(b'""', b'"x"', b'"../../etc/passwd"', b'"W8A16"', b'"hls"', b'"%s"' % (b"a" * 100_000)),
    *(b'"0x%s"' % (b"f" * 999), b'"\\ud800"', b'"\\u001b[2J"', b'"more": 1', b"True", b"None"),
    *(b"'<f8'", b"'>f4'", b"'<f2'", b"'<i8'", b"'|u1'", b"'|b1'", b"'|O'", b"'<U3'", b"'|S9'"),
    *(b"'<M8[ns]'", b"'<c8'", b"'|V8'", b"'<f16'", b"'f4'", b"'<f444444'"),
    *(b"[('a', '<f4')]", b"('<f4', (2,))", b"99999999999", b"9223372036854775807", b"10**9"),
    *(b"lambda: 0", b"2.0", b"3L", b"0, 9223372036854775807, 9223372036854775807", b"1, " * 40),
    *(b"-" * 5000 + b"1", "\u0663\u0660".encode(), b"4294967296, 4294967296"),
]
"""What takes the place of a number, a text, or what stands in brackets."""
_TOKEN = re.compile(
    rb"""-?\d+|"[^"]*"|'[^']*'|true|false|null|True|False|\[[^\[\]{}]*\]|\([^()]*\)"""
)
_LENGTHS = {"npy": (8, 10), "safetensors": (0, 8)}
"""Where the length of a header stands before it."""


def _edited(rng: Rng, data: bytes) -> bytes:
    """Cut short, or a piece of the file or of others in place of another, or between."""
    begin, end, to = sorted(rng.integers(0, len(data) + 1, 3).tolist())
    how, piece = rng.integers(0, 4), _SPLICES[rng.integers(len(_SPLICES))]
    if how == 0:
        return data[:begin]
    if how == 1:
        return data[:begin] + piece + data[begin + rng.integers(0, 2 * len(piece) + 2) :]
    return data[:to] + data[begin:end] + data[to if how == 2 else end :]


def _token_changed(rng: Rng, data: bytes, kind: str) -> bytes:
    """Another token in a text, or in the header before data, whose length mostly stays right."""
    first, last = _LENGTHS.get(kind, (0, 0))
    length = int.from_bytes(data[first:last], "little")
    found = list(_TOKEN.finditer(data, last, last + length if last else len(data)))
    if not found:
        return data
    place, token = found[rng.integers(len(found))], _TOKENS[rng.integers(len(_TOKENS))]
    out = data[: place.start()] + token + data[place.end() :]
    if last and rng.integers(0, 5):
        length += len(out) - len(data)
        most = (1 << 8 * (last - first)) - 1
        out = out[:first] + min(length, most).to_bytes(last - first, "little") + out[last:]
    return out


def _zip_changed(rng: Rng, data: bytes) -> bytes:
    """An archive with a member that is changed, packed or called otherwise, or very large."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    how, name = int(rng.integers(0, 6)), list(members)[int(rng.integers(0, len(members)))]
    if how < 3:
        kind = name.rpartition(".")[2]
        if kind not in ("npy", "json"):
            members[name] = (_flipped, _edited)[how % 2](rng, members[name])
        else:
            members[name] = _token_changed(rng, members[name], kind)
    elif how == 3:
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({(3 << 30) // 4},), }}"
        members[name] = b"\x93NUMPY\1\0v\0" + text.encode().ljust(117) + b"\n" + bytes(60 << 20)
    elif how == 4:
        members[name + "\x1b[31m\n" * int(rng.choice([1, 5000]))] = b"not an array"
    else:
        members[name] = members[name][:-5]
    out, method = io.BytesIO(), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(out, "w", method[how % 3]) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


def change(rng: Rng, name: str, data: bytes) -> bytes:
    """Break a file in one way, or by chance in two."""
    kind = name.rpartition(".")[2]
    own = (
        _zip_changed
        if kind in ("npz", "keras") or name == "m.pt"
        else partial(_token_changed, kind=kind)
    )
    ways = [_flipped, _edited, _edited, own, own, own]
    data = ways[rng.integers(len(ways))](rng, data)
    if rng.integers(0, 6) == 0:
        with contextlib.suppress(Exception):  # what is broken already may have no form to change
            data = ways[rng.integers(len(ways))](rng, data)
    return data


def _mend_sum(name: str, data: bytes) -> None:
    """Make a package agree to a file of it that was changed: only then is the file looked into."""
    about = json.loads(Path("p/package.json").read_bytes())
    about["files"][name] = hashlib.sha256(data).hexdigest()
    Path("p/package.json").write_text(json.dumps(about))


def _mend_digest(path: Path) -> None:
    """Make a quantised model's file agree to its arrays, if they can be read, likewise."""
    with contextlib.suppress(Exception):
        held = arrays.read_npz(path)
        about = json.loads(held.pop(stored.MARK).tobytes())
        about["sha256"] = stored._digest(held)
        held[stored.MARK] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        np.savez(path, **held)


def _seen() -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in Path().rglob("*")}


@contextlib.contextmanager
def _bounded(memory: int) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Bound what is done in memory and time, and give what it prints."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    out, err = io.StringIO(), io.StringIO()
    resource.setrlimit(resource.RLIMIT_AS, (memory, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(_WAIT * SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def case(rng: Rng, good: Path, memory: int) -> str:
    """Try one file in the working folder; return what is wrong with how it was met."""
    name, read = TARGETS[rng.integers(len(TARGETS))]
    data = change(rng, name, (good / name).read_bytes())
    Path(name).write_bytes(data)
    if name in ("p/model.npz", "p/vectors.npz") and rng.integers(0, 5):
        _mend_sum(name[2:], data)
    if name == "q.npz" and rng.integers(0, 5):
        _mend_digest(Path(name))
    before, status = _seen(), None
    try:
        with _bounded(memory) as (out, err):
            status = read()
    except BaseException:
        return f"{name}: {traceback.format_exc()}"
    told, printed, left = err.getvalue(), out.getvalue(), _seen()
    _restore(good, name)
    if status == 0:
        return ""
    asked = _NO_MEMORY.search(told) and "cannot be evaluated" not in told
    fit = told.startswith("lstm-sharp: ") and told.endswith("\n") and told[:-1].isprintable()
    if status != 2 or not fit or len(told) > 301 or asked or printed:
        return f"{name}: status {status}: {told[:1000]!r} {printed[:100]!r}"
    return "" if left == before else f"{name}: written for nothing: {set(left) ^ set(before)}"


def _restore(good: Path, name: str) -> None:
    for left in map(Path, ("y.npy", "y.npz", "q", "new.npz")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    shutil.copy(good / name, name)
    if name.startswith("p/"):
        shutil.rmtree("p")
        shutil.copytree(good / "p", "p")


def main() -> int:
    """Try files; return 1 if any was met wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("error")
    wrong, home = 0, Path.cwd()
    with tempfile.TemporaryDirectory() as made:
        good, folder = Path(made, "good"), Path(made, "work")
        good.mkdir()
        make_good(good)
        shutil.copytree(good, folder)
        paths.overlays = lambda: folder / "overlays"  # type: ignore[assignment]
        os.chdir(folder)
        for name, read in TARGETS:  # all that is imported late; and good files are good
            with _bounded(resource.RLIM_INFINITY) as (_, err):
                assert read() == 0, (name, err.getvalue())
            _restore(good, name)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory = pages * resource.getpagesize() + MEMORY
        for index in range(options.first, options.first + options.count):
            print(json.dumps({"began": index}), flush=True)
            told = case(np.random.default_rng([options.seed, index]), good, memory)
            if told:
                wrong += 1
                print(json.dumps({"seed": options.seed, "case": index, "wrong": told}))
        os.chdir(home)
    print(json.dumps({"tried": options.count, "wrong": wrong}))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
