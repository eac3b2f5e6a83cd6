"""Files: bounds of what is read, where what is written goes, and how messages are printed."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import arrays, files, paths
from lstm_sharp.errors import BoardError, EngineError, ToolError, UsageError, printable
from lstm_sharp.flow import tools
from lstm_sharp.terminal import ended

HOST = Path(arrays.__file__).parent


def test_nothing_else_reads_files() -> None:
    """Data of a user's is read in three modules, and names out of it are printed in one."""
    reads = re.compile(
        r"\bnp\.load\b|numpy\.load|json\.loads?\b|onnx\.load|\bfromfile\b|np\.lib|"
        r"ZipFile\((?!whole)|ElementTree\.parse|import pickle|pickle\.|literal_eval|\byaml\b"
    )
    found = {
        path.relative_to(HOST).as_posix()
        for path in HOST.rglob("*.py")
        if reads.search(path.read_text())
    }
    assert found == {"arrays.py", "files.py", "model/torch_file.py"}
    parsers = [p.name for p in HOST.rglob("*.py") if "ArgumentParser(" in p.read_text()]
    assert not parsers, "terminal.Parser tells in one line what is wrong"
    printed = [p for p in HOST.glob("commands/*.py") if "print(" in p.read_text()]
    assert [p.name for p in printed] == ["shared.py"]  # JSON, which escapes


def npy(text: str, data: bytes = bytes(120), version: int = 1, told: int | None = None) -> bytes:
    header = text.encode() + b"\n"
    size = (len(header) if told is None else told).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + data


def head(descr: str = "'<f4'", shape: str = "(2, 5, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def archive(*members: bytes, method: int = zipfile.ZIP_STORED, **fields: bytes) -> bytes:
    """An archive of a.npy, b.npy, ...; of the first one's central entry fields are replaced."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as into:
        for name, data in zip("ab", members):
            into.writestr(f"{name}.npy", data)
    out = bytearray(whole.getvalue())
    for name, value in fields.items():
        at = out.find(b"PK\1\2") + {"flags": 8, "packed_by": 10, "whole": 24}[name]
        out[at : at + len(value)] = value
    return bytes(out)


def safetensors(header: object, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(64)


def entry(shape: object = (16,), offsets: object = (0, 64), dtype: object = "F32") -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def read_safetensors(path: Path) -> np.ndarray:
    with arrays.open_safetensors(path) as tensors:
        return tensors["a"]()


READ: dict[str, Callable[[Path], object]] = {
    "npy": arrays.read_npy,
    "npz": arrays.read_npz,
    "safetensors": read_safetensors,
    "json": files.read_json,
}
GOOD = npy(head())
BOMB = npy(head(shape=f"({3 << 28},)"), bytes(1 << 24))
HUGE = "(0, 9223372036854775807, 9223372036854775807)"
HOSTILE: list[tuple[str, bytes, str]] = [
    ("npy", b"", "is no .npy array"),
    *(("npy", npy(head(f"'{k}'")), "it has type") for k in ("|O", "<M8[ns]", "<c8", "|b1", "<f16")),
    ("npy", npy(head("[('a', '<f4')]")), "it has type"),
    ("npy", npy(head("'<f4444'")), "its header is not that of an array"),
    ("npy", npy(head(shape="(-2, 5, 3)")), "120 bytes, but float32 of shape (-2, 5, 3)"),
    ("npy", npy(head(shape="(-2, -5, 3)")), "is no .npy array"),
    ("npy", npy(head(shape="(True, 5, 3)")), "120 bytes, but float32 of shape (True, 5, 3)"),
    ("npy", npy(head(shape="(2L, 5, 3)")), "is no .npy array"),
    ("npy", npy(head(shape="(2.0, 5, 3)")), "its header is not that of an array"),
    ("npy", npy(head(shape=f"({'9' * 5000},)")), "is no .npy array"),
    ("npy", npy(head(shape=f"({'1, ' * 65})"), bytes(4)), "is no .npy array"),
    ("npy", npy(head(shape=HUGE), b""), "is no .npy array"),
    ("npy", npy(head(shape="(99999999999,)")), "120 bytes, but float32 of shape (99999999999,)"),
    ("npy", npy(head(), bytes(119)), "119 bytes, but float32 of shape (2, 5, 3) takes 120"),
    ("npy", npy(head(), bytes(121)), "121 bytes, but float32 of shape (2, 5, 3) takes 120"),
    ("npy", npy("(" * 3000), "is no .npy array"),
    ("npy", npy("-" * 9000 + "1"), "is no .npy array"),
    ("npy", npy(head().ljust(20_000)), "its header is not that of an array"),
    ("npy", npy(head(), version=9), "it has version 9, 1 to 3 are read"),
    ("npy", npy(head(), told=65_535), "its header is not that of an array"),
    ("npz", archive(GOOD, flags=b"\1"), "is encrypted"),
    ("npz", archive(GOOD, method=zipfile.ZIP_LZMA), "packed by method 14"),
    ("npz", archive(GOOD).replace(GOOD, GOOD[:-1] + b"\1"), "Bad CRC-32"),
    ("npz", archive(GOOD, packed_by=b"\x08"), "tensor a cannot be read"),
    ("npz", archive(GOOD, method=8, whole=b"\0\0\0\x40"), "is to make 1073741824 bytes of"),
    ("npz", archive(GOOD, GOOD).replace(b"b.npy", b"a.npy"), "2 members have the name a.npy"),
    ("npz", archive(GOOD + bytes(9000), method=8, whole=b"\xc8\0\0\0"), "tensor a cannot be"),
    ("npz", archive(BOMB, method=8), "takes 3221225472"),
    ("npz", b"PK\3\4 and so on", "cannot be read as .npz"),
    ("safetensors", safetensors(b"[" * 100_000), "its header is not JSON"),
    ("safetensors", safetensors({}, length=1 << 63), "a header of 9223372036854775808 bytes"),
    ("safetensors", safetensors({}, length=1), "a header of 1 bytes"),
    ("safetensors", safetensors([]), "cannot be read as .safetensors"),
    ("safetensors", safetensors({"a": 1}), "a has no shape and range of bytes"),
    ("safetensors", safetensors({"a": entry((-16,))}), "64 bytes are not F32 of shape [-16]"),
    ("safetensors", safetensors({"a": entry((-4, -4))}), "a cannot be read"),
    ("safetensors", safetensors({"a": entry(dtype=[])}), "a cannot be read"),
    ("safetensors", safetensors({"a": entry(offsets=(0, 65))}), "a lies in bytes 0 to 65"),
    ("safetensors", safetensors({"a": entry(offsets=(64, 0))}), "a lies in bytes 64 to 0"),
    (
        "safetensors",
        safetensors({"a": entry(offsets=(0.0, 64.0))}),
        "a has no shape and range of bytes",
    ),
    (
        "safetensors",
        safetensors({"a": entry(), "b": entry(offsets=(60, 64))}),
        "b lies in bytes 60",
    ),
    ("safetensors", safetensors({"a": entry((10**18,))}), "64 bytes are not F32"),
    ("safetensors", safetensors({"a": entry((0, 1 << 62, 1 << 62), (0, 0))}), "a cannot be read"),
    ("safetensors", safetensors({"a": entry(dtype="C64")}), "it is C64, not one of F64"),
    ("json", b"[" * 100_000, "is not JSON that can be read"),
    ("json", b"[" * 70 + b"]" * 70, "nested more than 64 deep"),
    ("json", b'{"a": ' * 70 + b"1" + b"}" * 70, "nested more than 64 deep"),
    ("json", b"9" * 5000, "a number of 5000 digits"),
    ("json", b"NaN", "NaN is no number"),
    ("json", b'{"a": 1, "a": 2}', "a key stands twice"),
    ("json", b"\xff", "is not JSON that can be read"),
    ("json", b'"' + b"a" * (files.JSON_BYTES + 1) + b'"', "bytes, at most"),
]


@pytest.mark.filterwarnings("ignore")  # as a user's Python does
@pytest.mark.parametrize(("kind", "data", "said"), HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_hostile(tmp_path: Path, kind: str, data: bytes, said: str) -> None:
    path = tmp_path / f"x.{kind}"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        READ[kind](path)
    assert said in str(refused.value) and "x." in str(refused.value)


def test_json_of_some_depth_is_read() -> None:
    assert files.parse_json(b"[" * 60 + b"1" + b"]" * 60, "it")


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2", "|i1", "<i8", ">u2"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 5), (2, 3, 4)])
def test_arrays_come_back(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    drawn = np.random.default_rng(0).uniform(0, 9, shape).astype(kind)
    for value in (drawn, np.asfortranarray(drawn), drawn.T):
        np.save(tmp_path / "a.npy", value)
        np.savez_compressed(tmp_path / "a.npz", a=value, b=drawn)
        for read in (arrays.read_npy(tmp_path / "a.npy"), arrays.read_npz(tmp_path / "a.npz")["a"]):
            assert read.dtype == value.dtype and read.flags.writeable
            np.testing.assert_array_equal(read, value)
    for version in ((1, 0), (2, 0), (3, 0)):
        whole = io.BytesIO()
        np.lib.format.write_array(whole, drawn, version)
        (tmp_path / "a.npy").write_bytes(whole.getvalue())
        np.testing.assert_array_equal(arrays.read_npy(tmp_path / "a.npy"), drawn)


def test_bound_can_be_raised(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(4000, np.float32))
    np.save(tmp_path / "a.npy", np.zeros(4000, np.float32))
    for kind in ("npz", "npy"):
        with files.max_memory(8000):
            with pytest.raises(UsageError, match="at most 8000 are read; raise that with"):
                READ[kind](tmp_path / f"a.{kind}")
            with files.max_memory(20_000):
                READ[kind](tmp_path / f"a.{kind}")
        READ[kind](tmp_path / f"a.{kind}")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to("/dev/zero"), "is a device or a pipe"),
        (os.mkfifo, "is a device or a pipe"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (Path.mkdir, "Is a directory"),
        (lambda path: path.write_bytes(b"") or os.truncate(path, 5 << 30), "takes 5368709120"),
    ],
)
def test_only_regular_files_of_some_size(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "x.npy")
    for read in (*READ.values(), arrays.read_state):
        with pytest.raises(UsageError, match=said):
            read(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "a" * 300])
def test_names_that_are_none(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for refuse in (files.read_bytes, lambda name: files.write_text(name, "a")):
        with pytest.raises(UsageError):
            refuse(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\u2028\x85\x00\x7f", r"\u2028\x85\x00\x7f"),
        ("Größe 日本", "Größe 日本"),
    ],
)
def test_messages_are_printable(text: str, shown: str) -> None:
    assert printable(text) == str(UsageError(text)) == shown


def test_messages_are_short() -> None:
    for text in ("a" * 10**6, "\n" * 10**6, "\U000e0001" * 400, f"{'x' * 200}\n{'y' * 200}"):
        told = str(UsageError(f"begin {text} end"))
        assert len(told) <= 300 and told.isprintable()
        assert told.startswith("begin ") and told.endswith(" end") and " ... " in told
    assert str(UsageError("a" * 300)) == "a" * 300


def test_whatever_is_raised_ends_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: BaseException) -> Callable[[], int]:
        def command() -> int:
            raise error

        return command

    for error in (UsageError("x" * 999), OSError(28, "No space left", "a\nb"), MemoryError()):
        assert ended(fail(error), "lstm-sharp: ") == 2
        told = capsys.readouterr().err
        assert told.startswith("lstm-sharp: ") and told.count("\n") == 1 and len(told) <= 301
    assert ended(fail(KeyboardInterrupt())) == 130
    for error, status in ((ToolError("t"), 3), (EngineError("e"), 4), (BoardError("b"), 5)):
        assert ended(fail(error)) == status and capsys.readouterr().err == f"{error}\n"


def test_a_fault_inside_is_told_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended(lambda: 1 // 0) == 4
    assert re.fullmatch(
        "a fault inside, ZeroDivisionError: .*; .*report it\n", capsys.readouterr().err
    )
    monkeypatch.setenv("LSTM_SHARP_TRACE", "1")
    with pytest.raises(ZeroDivisionError):
        ended(lambda: 1 // 0)


# Outputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_keeps_its_permissions_and_its_links(folder: Path) -> None:
    Path("real").write_text("old")
    Path("real").chmod(0o640)
    Path("link").symlink_to("real")
    Path("dangling").symlink_to("new")
    files.write_text("link", "new")
    assert Path("link").is_symlink() and Path("real").read_text() == "new"
    assert stat.S_IMODE(Path("real").stat().st_mode) == 0o640
    files.write_text("dangling", "new")
    assert Path("dangling").is_symlink() and Path("new").read_text() == "new"
    files.write_text("a" * 255, "a name as long as can be")
    left = {path.name for path in folder.iterdir()}
    assert left == {"real", "link", "dangling", "new", "a" * 255}


def test_a_pipe_is_written_into(folder: Path) -> None:
    os.mkfifo("pipe")
    got: list[bytes] = []
    three = np.arange(3)
    for write, given in ((files.write_array, [three]), (files.write_state, [three, three])):
        reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
        reader.start()
        write("pipe", *given)
        reader.join()
    array, state = (np.load(io.BytesIO(data)) for data in got)
    assert (array == three).all() and (state["c"] == three).all()
    assert [path.name for path in folder.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_device_is_told() -> None:
    with pytest.raises(UsageError, match="/dev/full cannot be written .No space left"):
        files.write_array("/dev/full", np.arange(3))
    files.check_outputs(["/dev/null", "/dev/null"], [])
    files.write_array("/dev/null", np.arange(3))
    assert Path("/dev/null").is_char_device()
    code = "from lstm_sharp import files; files.check_outputs(['/dev/null'] * 2, [])"
    assert _python(code, "> /dev/null").returncode == 0


def _python(code: str, shell: str = "", **more: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "PYTHONPATH": str(HOST.parent), "CODE": code, "PY": sys.executable, **more}
    return subprocess.run(
        ["bash", "-c", f'"$PY" -W error -c "$CODE" {shell}'], env=env, capture_output=True
    )


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("shell", ["", "| cat", "> out; cat out"])
def test_standard_output_is_written_into(folder: Path, name: str, shell: str) -> None:
    """Also where it is a file: what was printed before and after is there, too."""
    code = (
        "import sys, numpy; from lstm_sharp import files; print('before')\n"
        f"files.write_array({name!r}, numpy.arange(3)); print('after')\n"
    )
    done = _python(code, shell)
    assert done.stderr == b""
    assert done.stdout.startswith(b"before\n") and done.stdout.endswith(b"after\n")
    assert (np.load(io.BytesIO(done.stdout[7:])) == np.arange(3)).all()


PERF = (
    "import sys; from lstm_sharp import cli\n"
    "sys.exit(cli.main('perf --input-size 8 --hidden-size 8 --macs 64'.split()))"
)


@pytest.mark.parametrize(("shell", "said"), [("> /dev/full", b"No space"), ("| :", b"Broken pipe")])
def test_output_that_cannot_be_written(folder: Path, shell: str, said: bytes) -> None:
    done = _python(PERF, shell)
    lines = done.stderr.splitlines()
    assert len(lines) <= 1 and all(line.startswith(b"lstm-sharp: output: ") for line in lines)
    assert "full" not in shell or (said in lines[0] and done.returncode == 2)


@pytest.mark.parametrize("code", ["utf-8", "ascii", "latin-1"])
def test_any_name_is_printed_in_any_encoding(folder: Path, code: str) -> None:
    say = "import sys; from lstm_sharp import cli, terminal; terminal.say(sys.argv[1])\n"
    say += "sys.exit(cli.main(['fit', sys.argv[1] + '.npz']))"
    done = _python(say, "$'m\\xff\\n\\xe2\\x80\\xae\\xc3\\xa4'", PYTHONIOENCODING=code)
    assert done.returncode == 2
    assert b"cannot be read (No such file" in done.stderr and done.stderr.count(b"\n") == 1
    assert done.stdout.count(b"\n") == 1


def test_outputs_that_share_a_place(folder: Path) -> None:
    Path("x").write_text("")
    Path("y").symlink_to("x")
    for outputs in (["-", "-"], ["x", "y"], ["x", "./x"]):
        with pytest.raises(UsageError, match="would overwrite"):
            files.check_outputs(outputs, [])
    with pytest.raises(UsageError, match="y would overwrite x"):
        files.check_outputs(["y"], ["x"])
    Path("loop").symlink_to("loop")
    with pytest.raises(UsageError, match="loop is a link that leads to itself"):
        files.check_outputs(["loop"], [])
    files.check_outputs(["x", "z", None], ["-"])


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_a_folder_of_no_tool_is_not_cleared(folder: Path, there: str) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    Path("mark").write_text("")
    make = {"file": "mine/thesis.tex", "link": "link", "folder": "mine"}[there]
    Path("link").symlink_to("mine")
    with pytest.raises(UsageError, match="is no folder of a tool's"):
        tools.clear(Path(make), Path("nowhere" if there == "folder" else "mark"))
    assert Path("mine/thesis.tex").read_text() == "years of work"
    tools.clear(Path("absent"), Path("nowhere"))
    tools.clear(Path("mine"), Path("mark"))
    assert not Path("mine").exists()


def test_shipped_files_are_read_by_it(folder: Path) -> None:
    for path in (*paths.configs().glob("*.json"), *paths.overlays().glob("*/board.json")):
        assert files.read_json(path) == json.loads(path.read_text())
