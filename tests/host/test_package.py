"""Packages: what is written is what is read, bit for bit, and nothing else is read."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import package
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.compiler.launches import Call
from lstm_sharp.engine import config, knobs
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.engine.program import Program
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime.deploy import deploy, programs
from models import contents, package_cli, pytorch_like, torch_names

TINY = config.load("tiny")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, inputs, and the model's package."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6, 4])))
    np.save("x.npy", np.random.default_rng(0).uniform(-3, 3, (11, 9, 3)).astype(np.float32))
    assert package_cli("p") == 0
    return tmp_path


@pytest.mark.parametrize("fmt", ["W16A16", "W8A16", "W8A8"])
@pytest.mark.parametrize(
    ("sizes", "directions"),
    [([5, 7], None), ([3, 6, 4], None), ([3, 5], (2,)), ([3, 6, 4], (2, 1))],
)
def test_what_is_read_runs_to_the_same_bits(
    tmp_path: Path, sizes: list[int], directions: tuple[int, ...] | None, fmt: str
) -> None:
    model, cfg = pytorch_like(2, sizes, directions), TINY.with_format(fmt).of("hls")
    package.write(model, cfg, tmp_path / "p", schedule="unfolded", assume=(-1, 1))
    read = package.read(tmp_path / "p")
    made = read.vectors
    drawn = package.vectors.drawn(model, -1, 1)
    expected = quantize(model, cfg.fmt, drawn, cfg.max_shift, cfg.row_scales, "min-max")
    assert np.array_equal(read.model.x_scale, expected.x_scale)
    for layer, wanted in zip(read.model.layers, expected.layers):
        for name, value in vars(wanted).items():
            assert np.array_equal(getattr(layer, name), value), name
    assert (read.cfg, read.schedule) == (cfg, "unfolded")
    assert list(map(len, read.model.levels)) == list(map(len, expected.levels))
    assert np.array_equal(made.x, expected.quantize_input(drawn))
    h, end = golden.run(read.model, made.x, golden.State(made.h_start, made.c_start))
    assert np.array_equal(h, made.h)
    assert np.array_equal(end.h, made.h_end) and np.array_equal(end.c, made.c_end)
    assert not made.c_start[:, :4].any()
    assert np.array_equal(made.c_start[:, 4:], made.c_end[:, :4]) and made.c_end.any()


CYCLES: dict[str, Callable[[Config, Program], int]] = {
    "hls": hls_cycles,
    "sv": lambda cfg, program: cycles.predict(cfg, program).cycles,
}


@pytest.mark.parametrize("options", ["", "--engine hls", "--engine sv"])
def test_about_says_what_there_is(folder: Path, options: str) -> None:
    engine, w8a8 = options[-3:].strip() or "hls", TINY.with_format("W8A8")
    assert package_cli("q", *f"--calibration x.npy --format W8A8 {options}".split()) == 0
    about, read = json.loads(Path("q/package.json").read_text()), package.read("q")
    (stage,) = deploy(read.model, read.cfg, read.schedule)
    x, error = np.load("x.npy"), about["calibration"].pop("max_abs_error")
    h, _ = golden.run(read.model, read.model.quantize_input(x))
    assert error == np.abs(read.model.dequantize_h(h) - reference.run(load("m.npz"), x).h).max() > 0
    made = {
        "load": [stage.plan.load_program()],
        "from_zeros": programs(stage.plan, Call((9,) * 4, False, True)),
        "with_state": programs(stage.plan, Call((9,) * 4, True, True)),
    }
    for key, value in {
        "lstm_sharp_package": 3,
        "engine": engine,
        "identity": w8a8.of(engine).digest,
        "config": w8a8.knobs(),
        "calibration": {"source": "data", "shape": [11, 9, 3]},
        "vectors": {"sequences": 8, "steps": 9},
        "predicted_cycles": {
            name: sum(CYCLES[engine](read.cfg, program) for program in each)
            for name, each in made.items()
        },
        "directions": [1, 1],
    }.items():
        assert about[key] == value, key
    assert read.cfg == w8a8.of(engine)
    assert [(q["reverse"], q["c_shift"]) for q in about["layers"]] == [(False, 0)] * 2
    assert set(about["files"]) == {"model.npz", "vectors.npz", "run.py"}
    drawn = dict(package.read("p").about["calibration"])
    assert 0 < drawn.pop("max_abs_error") < 3e-3
    assert drawn == {"source": "assumed range", "range": [-1, 1], "seed": 1}
    with np.load("q/model.npz") as arrays:
        types = {name: str(value.dtype) for name, value in arrays.items()}
        assert all(value.flags.c_contiguous for value in arrays.values())
    assert types["w_ih_l0"] == types["w_hh_l1"] == "int8" and types["b_l1"] == "int32"


def test_vectors_are_the_data(folder: Path) -> None:
    x = np.load("x.npy")
    read = package.write(load("m.npz"), TINY, "q", calibration=x)
    assert np.array_equal(read.vectors.x, read.model.quantize_input(x[:8]))
    same = quantize(load("m.npz"), TINY.fmt, x, TINY.max_shift, TINY.row_scales).layers
    for name in ("x_shift", "frac", "factor"):
        assert np.array_equal(getattr(read.model.layers[0], name), getattr(same[0], name))
    assert read.model.layers[0].x_shift.max() > 0
    read = package.write(load("m.npz"), TINY, "q", calibration=x[:3])
    again = [0, 1, 2, 0, 1, 2, 0, 1]
    assert np.array_equal(read.vectors.x, read.model.quantize_input(x[again]))
    brief = resized(TINY, sequence_words=12)  # 2 words a step
    assert package.write(load("m.npz"), brief, "q", calibration=x).vectors.x.shape == (8, 6, 3)


@pytest.mark.parametrize("engine", ["hls", "sv"])
def test_identity_is_as_its_page_says(engine: str) -> None:
    facts = {**TINY.knobs(), "interface": knobs.INTERFACE_VERSION, "engine": engine}
    if engine == "sv":
        del facts["engine"], facts["min_tail"]
    text = json.dumps(facts, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:8] == TINY.of(engine).digest


def test_same_inputs_give_same_bytes(folder: Path) -> None:
    assert package_cli("q") == 0
    assert contents("p") == contents("q")
    for name in ("model.npz", "vectors.npz"):
        with zipfile.ZipFile(Path("p", name)) as archive:
            assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_reading_takes_numpy_alone(folder: Path) -> None:
    source = str(Path(package.__file__).parents[2])
    code = (
        f"import sys; sys.path.insert(0, {source!r}); before = set(sys.modules)\n"
        "import lstm_sharp; lstm_sharp.files.max_memory(1 << 20)\n"  # nothing else is imported yet
        "from lstm_sharp import package; package.read('p')\n"
        "print(*sorted({n.split('.')[0] for n in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split()) - {*sys.stdlib_module_names, "cython_runtime"}  # NumPy 1's
    assert {name for name in loaded if not name.startswith("_")} == {"lstm_sharp", "numpy"}


def test_package_is_replaced_whole_or_not_at_all(folder: Path) -> None:
    before = contents("p")
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 300])))
    assert package_cli("p") == 2
    assert contents("p") == before
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 5])))
    assert package_cli("p") == 0
    assert package.read("p").model.hidden_size == 5
    Path("empty").mkdir()
    assert package_cli("empty") == 0
    assert package_cli("new/deep") == 0
    assert not [path.name for path in folder.rglob(".*")]


def _list(*names: str) -> None:
    about = json.loads(Path("p/package.json").read_text())
    about["files"] = dict.fromkeys([*about["files"], *names], "")
    Path("p/package.json").write_text(json.dumps(about))


FOREIGN: dict[str, Callable[[Path], object]] = {
    "precious": lambda path: shutil.copytree("precious", path),
    "run.bit": lambda path: shutil.copytree("precious", path),
    "notes.txt": lambda path: path.write_text("mine"),
    "link.bit": lambda path: path.symlink_to(Path("x.bit").resolve()),
    "mine.bit": lambda path: path.write_text("a bitstream of mine, listed nowhere"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_a_file_lists_is_not_deleted(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Only names that a package can hold, only files, and only inside the folder."""
    Path("precious").mkdir()
    Path("precious/thesis.tex").write_text("years of work")
    Path("x.bit").write_text("mine")
    _list("precious", "../precious", "run.bit", "notes.txt", "link.bit", "a.bit")
    FOREIGN[name](Path("p", name))
    before = sorted(folder.rglob("*"))
    assert package_cli("p") == 2
    assert f"holds {name}, which is not of a package" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before
    Path("p", name).rename("away")
    Path("p/a.bit").write_text("an overlay's, listed")
    assert package_cli("p") == 0 and not Path("p/a.bit").exists()
    assert Path("precious/thesis.tex").read_text() == "years of work"
    assert not list(folder.rglob(".*"))


def test_a_link_to_a_package_stays(folder: Path) -> None:
    Path("link").symlink_to("p")
    Path("p").chmod(0o750)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 5])))
    assert package_cli("link") == 0
    assert Path("link").is_symlink() and package.read("p").model.hidden_size == 5
    assert Path("p").stat().st_mode & 0o777 == 0o750


def test_what_comes_while_a_package_is_made_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = package.read

    def slow(where: Path) -> package.Package:
        Path("p/notes.txt").write_text("mine")
        return read(where)

    monkeypatch.setattr(package, "read", slow)
    with pytest.raises(UsageError, match="holds notes.txt, which is not of a package"):
        package.write(load("m.npz"), TINY, "p", assume=(-1, 1))
    assert Path("p/notes.txt").read_text() == "mine" and read("p")
    assert not [path.name for path in folder.rglob(".*")]


def test_half_a_package_is_taken_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = contents("p"), Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "vectors.npz":
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UsageError, match="cannot be written .No space left"):
        package.write(load("m.npz"), TINY, "p", assume=(-1, 1))
    assert contents("p") == before
    assert not [path.name for path in folder.rglob(".*")]


Arrays = dict[str, Callable[[np.ndarray], Any]]


def _rewrite(change: Callable[[dict[str, Any]], object], arrays: Arrays) -> None:
    """Change package.json, and arrays of vectors.npz and model.npz, and mend their sums."""
    about = json.loads(Path("p/package.json").read_text())
    for name in ("vectors.npz", "model.npz"):
        with np.load(Path("p", name)) as archive:
            held = {key: arrays.get(key, lambda value: value)(archive[key]) for key in archive}
        np.savez(Path("p", name), **{k: v for k, v in held.items() if v is not None})
        about["files"][name] = hashlib.sha256(Path("p", name).read_bytes()).hexdigest()
    change(about)
    Path("p/package.json").write_text(json.dumps(about))


OLDER = "this is a reader of version 3; make the package again with this version"
NEWER = "this is a reader of version 3; use the version that made it, 'lstm-sharp 0.1"
WIDER: Arrays = {
    "w_ih_l0": lambda w: np.resize(w, (24, 33)),
    "x_scale": lambda v: np.resize(v, 33),
    "x": lambda x: np.resize(x, (8, 16, 33)),
}
DAMAGE: list[tuple[str, Callable[[dict[str, Any]], object], Arrays]] = [
    (f"version 4, {NEWER}", lambda a: a.update(lstm_sharp_package=4), {}),
    (f"version 2, {OLDER}", lambda a: a.update(lstm_sharp_package=2), {}),
    ("engine is one of hls, sv", lambda a: a.update(engine="vhdl"), {}),
    ("has the identity", lambda a: a.update(engine="sv"), {}),
    ("it lacks 'engine'", lambda a: a.pop("engine"), {}),
    ("'model.npz' is wrong", lambda a: a["files"].pop("model.npz"), {}),
    ("'../x' is wrong", lambda a: a["files"].update({"../x": ""}), {}),
    ("has the identity", lambda a: a["config"].update(max_input=31), {}),
    ("missing key 'rows'", lambda a: a["config"].pop("rows"), {}),
    ("is damaged (it lacks 'layers')", lambda a: a.pop("layers"), {}),
    ("c_shift is a whole", lambda a: a["layers"][0].update(c_shift="a"), {}),
    ("c_shift is 0 to 3", lambda a: a["layers"][0].update(c_shift=4), {}),
    ("x_shift is 0 to 15", dict, {"x_shift_l0": lambda v: v - 16}),
    ("frac is 0 to 15", dict, {"frac_l1": lambda v: v + 16}),
    ("factor is 0 to 3", dict, {"factor_l0": lambda v: v + 4}),
    ("x_scale is positive", dict, {"x_scale": lambda v: 0 * v}),
    ("x_scale is float64 (3,)", dict, {"x_scale": lambda v: v[:2]}),
    ("schedule is one of", lambda a: a.update(schedule="fast"), {}),
    ("w_ih_l0 is int8 (16, 6)", lambda a: a["layers"].reverse(), {}),
    (
        "layer 1 takes 5 inputs",
        lambda a: a["layers"][1].update(input_size=5),
        {"w_ih_l1": lambda w: w[:, :5]},
    ),
    ("is made of forward 3", lambda a: a.update(directions=[2]), {}),
    ("do not group 2 LSTM", lambda a: a.update(directions=[1]), {}),
    ("is damaged", lambda a: a.update(directions=None), {}),
    ("reverse is true or", lambda a: a["layers"][0].update(reverse=1), {}),
    ("no LSTM layer", lambda a: a.update(layers=[], directions=[]), {"x_scale": lambda v: v[:0]}),
    ("needs x_shift 9, tiny has 8", dict, {"x_shift_l0": lambda v: 0 * v + 9}),
    ("sequences is even", lambda a: a["vectors"].update(sequences=7), {}),
    ("has 33 inputs, tiny holds 32", lambda a: a["layers"][0].update(input_size=33), WIDER),
    ("x is int16 (8, 16, 3)", dict, {"x": lambda x: x[:, :, :2]}),
    ("h is int16 (8, 16, 4)", dict, {"h": lambda h: h.astype(float)}),
    ("c_end is within 24 bits", dict, {"c_end": lambda c: c + (1 << 23)}),
    ("it lacks", dict, {"b_l1": lambda b: None}),
    ("p/vectors.npz: tensor x cannot", dict, {"x": lambda x: x.astype(object)}),
]


@pytest.mark.parametrize(("said", "change", "arrays"), DAMAGE)
def test_damage_is_named(
    folder: Path, said: str, change: Callable[[dict[str, Any]], object], arrays: Arrays
) -> None:
    _rewrite(change, arrays)
    with pytest.raises(UsageError) as refused:
        package.read("p")
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_files_that_are_not_as_written_are_named(folder: Path) -> None:
    for name, data, said in (
        ("model.npz", b"", "model.npz is not as it was"),
        ("model.npz", None, "model.npz cannot be read (No such"),
        ("package.json", b"{", "package.json is not JSON"),
        ("package.json", b"[]", "is of something else"),
        ("package.json", b'"lstm_sharp_package"', "is of something else"),
        ("package.json", None, "package.json cannot be read (No such"),
    ):
        Path("p", name).unlink() if data is None else Path("p", name).write_bytes(data)
        with pytest.raises(UsageError) as refused:
            package.read("p")
        assert said in str(refused.value)


def test_more_files_and_keys_may_join(folder: Path) -> None:
    Path("p/more.py").write_text("print('PASS')\n")
    Path("p/unlisted.txt").write_text("")
    digest = hashlib.sha256(Path("p/more.py").read_bytes()).hexdigest()
    _rewrite(lambda a: a.update(more=1) or a["files"].update({"more.py": digest}), {})
    assert package.read("p").about["more"] == 1
    Path("p/run.py").write_text("print('FAIL')\n")
    with pytest.raises(UsageError, match="run.py is not as it was written"):
        package.read("p")


def test_packages_are_put_in_place_in_turns(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever else would put one into the folder finds it locked while one is moved."""
    rename, moved = Path.rename, []

    def locked(path: Path, target: Path) -> Path:
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, handle := os.open(folder, os.O_RDONLY))
            with pytest.raises(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        moved.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", locked)
    package.write(load("m.npz"), TINY, "p", assume=(-1, 1))
    assert len(moved) == 2


def test_the_current_folder_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    with pytest.raises(UsageError, match="is the current folder or above it; name another"):
        package.write(pytorch_like(0, [3, 6]), TINY.of("hls"), ".", assume=(-1, 1))
