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
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from lstm_sharp import cli, package, paths, terminal
from lstm_sharp.engine import boards as board
from lstm_sharp.engine import config
from lstm_sharp.flow.design import design
from lstm_sharp.flow.hwh import hwh
from models import pytorch_like, torch_names

Rng = np.random.Generator
MEMORY, SECONDS = 1 << 30, 10
"""Bounds of a case: what the process may take beside what it has once all is imported."""

_NO_MEMORY = (
    "MemoryError",
    "nable to allocate",
    "annot allocate",
    "bad_alloc",
    "not enough memory",
)
"""Words of who has asked for more: a size must be refused before."""

RUN = ["run", "m.npz", "--input", "x.npy", "--output", "y.npy", "--config", "tiny"]
FLOAT = [*RUN, "--backend", "float"]
MODEL = ["run", "--input", "x.npy", "--output", "y.npy", "--backend", "float", "--output-of"]
PACKAGE = ["package", "m.npz", "--config", "tiny", "-o", "q"]


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
    ("c.npy", _cli(*PACKAGE, "--calibration", "c.npy")),
    ("s.npz", _cli(*FLOAT, "--state", "s.npz")),
    ("m.npz", _cli(*FLOAT)),
    ("deflated.npz", _cli(MODEL[0], "deflated.npz", *MODEL[1:], "h")),
    ("m.safetensors", _cli("fit", "m.safetensors", "--board", "none", "--json", "-")),
    ("m.safetensors", _cli(MODEL[0], "m.safetensors", *MODEL[1:], "h")),
    ("m.onnx", _cli(MODEL[0], "m.onnx", *MODEL[1:], "h")),
    ("m.onnx", _cli(MODEL[0], "m.onnx", *MODEL[1:], "head")),
    ("outside.onnx", _cli(MODEL[0], "outside.onnx", *MODEL[1:], "head")),
    ("m.bin", _cli(MODEL[0], "outside.onnx", *MODEL[1:], "head")),
    ("c.json", _cli(*RUN[:-1], "c.json")),
    ("p/package.json", _call(lambda: package.read("p"))),
    ("p/package.json", _cli(*PACKAGE[:-1], "p")),
    ("p/model.npz", _call(lambda: package.read("p"))),
    ("p/vectors.npz", _call(lambda: package.read("p"))),
    ("overlays/pynq-z2/board.json", _call(lambda: [board.board("pynq-z2")])),
    ("overlays/pynq-z2/board.json", _call(lambda: board.system("pynq-z2"))),
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
    _safetensors(folder / "m.safetensors", torch_names(model))
    _onnx(folder)
    shutil.copy(paths.configs() / "tiny.json", folder / "c.json")
    shutil.copytree(paths.overlays(), folder / "overlays")
    tiny = config.load("tiny")
    (folder / "v.hwh").write_text(hwh(design(tiny, "pynq-z2")))
    (folder / "v.bit").write_bytes(b"a bitstream")
    package.write(model, tiny.of("hls"), folder / "p")


def _safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, data = {}, b""
    for name, value in tensors.items():
        end = len(data) + value.nbytes
        header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": [len(data), end]}
        data += value.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


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
    tensors["four"] = np.array([4])
    graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in tensors.items())
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, str(folder / "m.onnx"))
    onnx.save(
        model,
        str(folder / "outside.onnx"),
        save_as_external_data=True,
        size_threshold=0,
        location="m.bin",
    )


# What is done to a file


def _truncated(rng: Rng, data: bytes) -> bytes:
    return data[: int(rng.integers(0, max(len(data), 1)))]


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


def _spliced(rng: Rng, data: bytes) -> bytes:
    piece = _SPLICES[int(rng.integers(0, len(_SPLICES)))]
    begin = int(rng.integers(0, len(data) + 1))
    return data[:begin] + piece + data[begin + int(rng.integers(0, 2 * len(piece) + 2)) :]


def _moved(rng: Rng, data: bytes) -> bytes:
    """A piece twice, or a piece in place of another."""
    begin, end, to = sorted(int(n) for n in rng.integers(0, len(data) + 1, 3))
    return data[:to] + data[begin:end] + data[to if rng.integers(0, 2) else end :]


_VALUES: list[object] = [
    *(None, True, False, -1, 0, 1, 65535, 1 << 31, 1 << 63, 10**19, 1.5, 1e300, "", "x", [], {}),
    *("\x1b[2J\n\u202e", "../../etc/passwd", "a" * 100_000, "\ud800", "0x" + "f" * 999, [0] * 1000),
    *([[]], {"": {}}, "W8A16", "hls", -(10**19), [10**12, 10**12], "tiny"),
]


def _json_changed(rng: Rng, data: bytes) -> bytes:
    """A value somewhere in a document replaced, left out, or nested deep."""
    at = document = json.loads(data)
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return json.dumps(document).encode()
        key = keys[int(rng.integers(0, len(keys)))]
        if not isinstance(at[key], (dict, list)) or rng.integers(0, 3) == 0:
            break
        at = at[key]
    how = int(rng.integers(0, 8))
    if how == 0:
        del at[key]
    elif how == 1:
        deep = int(rng.choice([10, 70, 900, 100_000]))
        at[key] = "DEEP"
        nest = "[" * deep + "]" * deep
        return json.dumps(document).replace('"DEEP"', nest).encode()
    elif how == 2:
        at[key] = "DIGITS"
        return json.dumps(document).replace('"DIGITS"', "9" * 5000).encode()
    elif how == 3 and isinstance(at, dict):
        at["more\x1b[31m\n" * int(rng.choice([1, 10_000]))] = at[key]
    else:
        at[key] = _VALUES[int(rng.integers(0, len(_VALUES)))]
    return json.dumps(document, allow_nan=True).encode()


_DESCRS = [
    *("'<f4'", "'<f8'", "'>f4'", "'<f2'", "'<i8'", "'|u1'", "'|b1'", "'|O'", "'<U3'", "'|S9'"),
    *("'<M8[ns]'", "'<c8'", "'<c16'", "'|V8'", "[('a', '<f4')]", "'<f16'", "'f4'", "4", "''"),
    *("'<f4" + "4" * 9000 + "'", "'<i" + "9" * 30 + "'", "None", "'\\x00'", "('<f4', (2,))"),
]
_SHAPES = [
    *("()", "(2, 5, 3)", "(30,)", "(30)", "(-1, 5, 3)", "(True, 30)", "(2, 5, 3L)", "(2.0, 15)"),
    *("(99999999999,)", "(9223372036854775807,)", "(18446744073709551616, 0)", "(0, 10**9)"),
    *("(4294967296, 4294967296)", "(0, 9223372036854775807, 9223372036854775807)", "[30]", "30"),
    *("(" * 3000, "(" + "1, " * 40 + ")", "(" + "9" * 5000 + ",)", "(1,,30)", "(,)", "('30',)"),
    *("(" + "-" * 5000 + "1,)", "(lambda: 0,)", "(\u0663\u0660,)", "({}, 30)", "(2, 5, 3, 0)"),
]
_FORMS = [
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}",
    "{{'shape': {shape}, 'fortran_order': {order}, 'descr': {descr}}}",
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, 'more': 1}}",
    "{{'descr': {descr}, 'descr': {descr}, 'shape': {shape}}}",
    "{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, " + "[" * 4000,
    "{descr}",
    "",
]


def _npy_changed(rng: Rng, data: bytes) -> bytes:
    """Another header before the data of an array."""
    length = int.from_bytes(data[8:10], "little")
    wild = rng.integers(0, 3, 4) > 0

    def one(of: list[str], usual: str, drawn: bool) -> str:
        return of[int(rng.integers(0, len(of)))] if drawn else usual

    text = one(_FORMS, _FORMS[0], not wild[0]).format(
        descr=one(_DESCRS, "'<f4'", bool(wild[1])),
        order=one(["True", "False", "0", "None"], "False", not wild[2]),
        shape=one(_SHAPES, "(2, 5, 3)", bool(wild[3])),
    )
    version = int(rng.choice([1, 1, 1, 2, 3, 0, 9]))
    body = text.encode("utf-8") + b"\n"
    if not rng.integers(0, 4):
        body += b" " * int(rng.choice([1, 50_000]))
    told = len(body) if rng.integers(0, 5) else int(rng.choice([0, 9, 65535]))
    digits = 2 if version in (0, 1) else 4
    size = min(told, (1 << 8 * digits) - 1).to_bytes(digits, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + body + data[10 + length :]


def _npz_changed(rng: Rng, data: bytes) -> bytes:
    """An archive with a member that is changed, packed or called otherwise, or bigger than told."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    how = int(rng.integers(0, 9))
    name = list(members)[int(rng.integers(0, len(members)))]
    if how in (0, 1):
        members[name] = _npy_changed(rng, members[name])
    elif how == 2:
        zeros = np.lib.format.magic(1, 0) + b"v\0{'descr': '<f4', 'fortran_order': False, 'shape': "
        zeros += f"({(3 << 30) // 4},), }}".encode()
        members[name] = zeros.ljust(127) + b"\n" + bytes(60 << 20)
    elif how == 3:
        members[name + "\x1b[31m\n" * int(rng.choice([1, 5000]))] = b"not an array"
    elif how == 4:
        members[name] = members[name][:-5]
    method = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method[how % 4]) as archive:
        warnings.simplefilter("ignore")
        for key, value in members.items():
            archive.writestr(key, value)
            if how == 5 and key == name:
                archive.writestr(key, value)
    packed = bytearray(out.getvalue())
    if how >= 6:  # fields of a local header, or of the central directory
        mark = b"PK\1\2" if rng.integers(0, 2) else b"PK\3\4"
        at = packed.find(mark, int(rng.integers(0, len(packed))))
        at = at if at >= 0 else packed.find(mark)
        field = at + int(rng.choice([4, 6, 8, 10, 12, 16, 20, 24, 28, 30, 32, 42]))
        piece = [b"\1", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"\x09"][how * 7 % 5]
        packed[field : field + len(piece)] = piece
    return bytes(packed)


def _safetensors_changed(rng: Rng, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    text = _json_changed(rng, data[8 : 8 + length])
    told = len(text) if rng.integers(0, 5) else [0, 1, 1 << 20, 1 << 64][int(rng.integers(0, 4))]
    return min(told, (1 << 64) - 1).to_bytes(8, "little") + text + data[8 + length :]


def _onnx_changed(rng: Rng, data: bytes) -> bytes:
    """A field somewhere in the model set to something that is hard to take."""
    import onnx

    numbers = [-1, 0, 1, 2, 99, 1 << 31, (1 << 62), -(1 << 63), 10**9]
    model = at = onnx.ModelProto.FromString(data)
    marker = "BAD-UTF-8"
    for _ in range(int(rng.integers(2, 9))):
        fields = at.ListFields()
        if not fields:
            break
        field, value = fields[int(rng.integers(0, len(fields)))]
        many = not isinstance(value, (int, float, str, bytes)) and hasattr(value, "__len__")
        if field.type == field.TYPE_MESSAGE:
            if many and rng.integers(0, 4) == 0:
                del value[int(rng.integers(0, len(value)))]
                break
            at = value[int(rng.integers(0, len(value)))] if many else value
            continue
        drawn: object = numbers[int(rng.integers(0, len(numbers)))]
        if field.type == field.TYPE_STRING:
            names = ["x", "y", "", marker, "\x1b[31m\n" * 3000, "tm", "LSTM", "ConstantOfShape"]
            drawn = names[int(rng.integers(0, len(names)))]
        elif field.type == field.TYPE_BYTES:
            drawn = bytes(int(rng.choice([0, 3, 4, 4096])))
        with contextlib.suppress(ValueError, TypeError):
            if many:
                value[int(rng.integers(0, len(value)))] = drawn
            else:
                setattr(at, field.name, drawn)
        break
    return model.SerializeToString().replace(marker.encode(), b"BAD\xff\xfeUTF8")


_OWN = {
    "npy": _npy_changed,
    "npz": _npz_changed,
    "safetensors": _safetensors_changed,
    "onnx": _onnx_changed,
    "json": _json_changed,
}


def change(rng: Rng, name: str, data: bytes) -> bytes:
    """Break a file in one way, or by chance in two."""
    own = _OWN.get(name.rpartition(".")[2], _spliced)
    ways = [_truncated, _flipped, _spliced, _moved, own, own, own, own]
    data = ways[int(rng.integers(0, len(ways)))](rng, data)
    if rng.integers(0, 6) == 0:
        with contextlib.suppress(Exception):  # what is broken already may have no form to change
            data = ways[int(rng.integers(0, len(ways)))](rng, data)
    return data


def _mend_sum(name: str, data: bytes) -> None:
    """Make a package agree to a file of it that was changed: only then is the file looked into."""
    about = json.loads(Path("p/package.json").read_bytes())
    about["files"][name] = hashlib.sha256(data).hexdigest()
    Path("p/package.json").write_text(json.dumps(about))


def _seen(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.lstat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def case(seed: int, index: int, good: Path, folder: Path) -> str:
    """Try one file in the working folder; return what is wrong with how it was met."""
    rng = np.random.default_rng([seed, index])
    name, read = TARGETS[int(rng.integers(0, len(TARGETS)))]
    data = change(rng, name, (good / name).read_bytes())
    Path(name).write_bytes(data)
    if name in ("p/model.npz", "p/vectors.npz") and rng.integers(0, 5):
        _mend_sum(name[2:], data)
    before = _seen(folder)
    out, err = io.StringIO(), io.StringIO()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = read()
    except BaseException:
        return f"{name}: {traceback.format_exc()}"
    finally:
        signal.alarm(0)
    told = err.getvalue()
    wrong = ""
    if status == 2:
        lines = told.split("\n")[:-1]
        said = lines[-1] if lines else ""
        fit = len(lines) == 1 and len(said) <= 300 and said.isprintable()
        asked = any(word in said for word in _NO_MEMORY)
        fit &= not asked or "cannot be evaluated" in said
        if not fit or not said.startswith("lstm-sharp: ") or out.getvalue():
            wrong = f"{name}: {told[:1000]!r} {out.getvalue()[:100]!r}"
        if _seen(folder) != before:
            wrong = f"{name}: written for nothing: {set(_seen(folder)) ^ set(before)}"
    elif status != 0:
        wrong = f"{name}: status {status}: {told[:1000]!r}"
    _restore(good, folder, name)
    return wrong


def _restore(good: Path, folder: Path, name: str) -> None:
    for left in ("y.npy", "q"):
        path = folder / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.copy(good / name, folder / name)
    if name.startswith("p/"):
        shutil.rmtree(folder / "p")
        shutil.copytree(good / "p", folder / "p")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def main() -> int:
    """Try files; return 1 if any was met wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    warnings.simplefilter("error")
    wrong = 0
    with tempfile.TemporaryDirectory() as made:
        good, folder = Path(made, "good"), Path(made, "work")
        good.mkdir()
        make_good(good)
        shutil.copytree(good, folder)
        paths.overlays = lambda: folder / "overlays"  # type: ignore[assignment]
        with _inside(folder):
            for name, read in TARGETS:  # all that is imported late; and good files are good
                quiet = io.StringIO()
                with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                    assert read() == 0, (name, quiet.getvalue())
                _restore(good, folder, name)
            most = _memory() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            for index in range(options.first, options.first + options.count):
                print(json.dumps({"began": index}), flush=True)
                told = case(options.seed, index, good, folder)
                if told:
                    wrong += 1
                    print(json.dumps({"seed": options.seed, "case": index, "wrong": told}))
    print(json.dumps({"tried": options.count, "wrong": wrong}))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
