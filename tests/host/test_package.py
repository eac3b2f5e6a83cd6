"""Packages: what is written is what is read, bit for bit, and nothing else is read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import package
from lstm_sharp.compiler import cycles
from lstm_sharp.compiler.hls import hls_cycles
from lstm_sharp.engine import config, knobs
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.engine.program import Program
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime.deploy import deploy
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


MODELS: list[tuple[list[int], tuple[int, ...] | None]] = [
    ([5, 7], None),
    ([3, 6, 4], None),
    ([3, 5], (2,)),
    ([3, 6, 4], (2, 1)),
]
"""Sizes and directions."""


@pytest.mark.parametrize("fmt", ["W16A16", "W8A16", "W8A8"])
@pytest.mark.parametrize(("sizes", "directions"), MODELS)
def test_what_is_read_runs_to_the_same_bits(
    tmp_path: Path, sizes: list[int], directions: tuple[int, ...] | None, fmt: str
) -> None:
    model, cfg = pytorch_like(2, sizes, directions), TINY.with_format(fmt).of("hls")
    package.write(model, cfg, tmp_path / "p", schedule="unfolded")
    read = package.read(tmp_path / "p")
    made = read.vectors
    drawn = np.random.default_rng(1).uniform(-1, 1, (8, 16, sizes[0]))
    expected = quantize(model, cfg.fmt, drawn, cfg.max_shift)
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


def _sv_cycles(cfg: Config, program: Program) -> int:
    return cycles.predict(cfg, program).cycles


@pytest.mark.parametrize(
    ("options", "engine", "cycles_of"),
    [((), "hls", hls_cycles), (("--engine", "hls"), "hls", hls_cycles),
     (("--engine", "sv"), "sv", _sv_cycles)],
)  # fmt: skip
def test_about_says_what_there_is(
    folder: Path, options: Sequence[str], engine: str, cycles_of: Callable[[Config, Program], int]
) -> None:
    assert package_cli("q", "--calibration", "x.npy", "--format", "W8A8", *options) == 0
    about, read = json.loads(Path("q/package.json").read_text()), package.read("q")
    (stage,) = deploy(read.model, read.cfg, read.schedule)
    assert about["lstm_sharp_package"] == 2
    assert about["engine"] == read.cfg.engine == engine
    assert about["identity"] == TINY.with_format("W8A8").of(engine).digest
    assert about["config"] == TINY.with_format("W8A8").knobs()
    error = about["calibration"].pop("max_abs_error")
    assert about["calibration"] == {"source": "data", "shape": [11, 9, 3]}
    x = np.load("x.npy")
    h, _ = golden.run(read.model, read.model.quantize_input(x))
    assert error == np.abs(read.model.dequantize_h(h) - reference.run(load("m.npz"), x).h).max() > 0
    assert about["vectors"] == {"sequences": 8, "steps": 9}
    assert about["predicted_cycles"] == {
        name: sum(cycles_of(read.cfg, program) for program in programs)
        for name, programs in {
            "load": [stage.plan.load_program()],
            "from_zeros": stage.programs([9] * 4, False, True),
            "with_state": stage.programs([9] * 4, True, True),
        }.items()
    }
    assert about["directions"] == [1, 1]
    assert [q["reverse"] for q in about["layers"]] == [False, False]
    assert [q["x_frac"] for q in about["layers"]] == [5, 7]
    assert set(about["files"]) == {"model.npz", "vectors.npz", "run.py"}
    drawn = dict(package.read("p").about["calibration"])
    assert 0 < drawn.pop("max_abs_error") < 3e-3
    assert drawn == {"source": "U(-1, 1)", "seed": 1}
    with np.load("q/model.npz") as arrays:
        types = {name: str(value.dtype) for name, value in arrays.items()}
    assert types["w_ih_l0"] == types["w_hh_l1"] == "int8" and types["b_l1"] == "int32"


def test_vectors_are_the_data(folder: Path) -> None:
    x = np.load("x.npy")
    read = package.write(load("m.npz"), TINY, "q", calibration=x)
    assert np.array_equal(read.vectors.x, read.model.quantize_input(x[:8]))
    shifts = [q.x_shift for q in quantize(load("m.npz"), TINY.fmt, x, TINY.max_shift).layers]
    assert [q.x_shift for q in read.model.layers] == shifts and shifts[0] > 0
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


def test_what_a_file_lists_is_not_deleted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only names that a package can hold, only files, and only inside the folder."""
    Path("precious").mkdir()
    Path("precious/thesis.tex").write_text("years of work")
    Path("x.bit").write_text("mine")

    def listing(*names: str) -> None:
        about = json.loads(Path("p/package.json").read_text())
        about["files"] = dict.fromkeys([*about["files"], *names], "")
        Path("p/package.json").write_text(json.dumps(about))

    def is_kept(what: str) -> None:
        before = sorted(str(p) for p in folder.rglob("*"))
        assert package_cli("p") == 2
        assert f"holds {what}, which is not of a package" in capsys.readouterr().err
        assert sorted(str(p) for p in folder.rglob("*")) == before
        assert Path("precious/thesis.tex").read_text() == "years of work"

    listing("precious", "../precious", "run.bit", "notes.txt", "link.bit", "a.bit")
    assert package_cli("p") == 0 and Path("precious/thesis.tex").exists()
    listing("precious", "../precious", "run.bit", "notes.txt", "link.bit", "a.bit")
    for name in ("precious", "run.bit"):
        (folder / "precious").rename(folder / "p" / name)
        before = sorted(str(p) for p in folder.rglob("*"))
        assert package_cli("p") == 2
        assert f"holds {name}, which is not" in capsys.readouterr().err
        assert sorted(str(p) for p in folder.rglob("*")) == before
        (folder / "p" / name).rename(folder / "precious")
    Path("p/notes.txt").write_text("mine")
    is_kept("notes.txt")
    Path("p/notes.txt").unlink()
    Path("p/link.bit").symlink_to(folder / "x.bit")
    is_kept("link.bit")
    Path("p/link.bit").unlink()
    Path("p/mine.bit").write_text("a bitstream of mine, listed nowhere")
    is_kept("mine.bit")
    Path("p/mine.bit").rename("p/a.bit")
    assert package_cli("p") == 0 and not Path("p/a.bit").exists()
    assert not [path.name for path in folder.rglob(".*")]


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
        package.write(load("m.npz"), TINY, "p")
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
        package.write(load("m.npz"), TINY, "p")
    assert contents("p") == before
    assert not [path.name for path in folder.rglob(".*")]


def _rewrite(change: Callable[[dict[str, Any]], object], **arrays: Callable[[Any], Any]) -> None:
    """Change package.json, and arrays of vectors.npz and model.npz, and mend their sums."""
    about = json.loads(Path("p/package.json").read_text())
    for name in ("vectors.npz", "model.npz"):
        with np.load(Path("p", name)) as archive:
            held = {key: arrays.get(key, lambda value: value)(archive[key]) for key in archive}
        np.savez(Path("p", name), **{k: v for k, v in held.items() if v is not None})
        about["files"][name] = hashlib.sha256(Path("p", name).read_bytes()).hexdigest()
    change(about)
    Path("p/package.json").write_text(json.dumps(about))


A_WORD = '"lstm_sharp_package"'
DAMAGE: dict[str, tuple[Callable[[], object], str]] = {
    "no folder": (lambda: Path("p").rename("elsewhere"), "package.json cannot be read (No such"),
    "no array file": (lambda: Path("p/model.npz").unlink(), "model.npz cannot be read (No such"),
    "not JSON": (lambda: Path("p/package.json").write_text("{"), "package.json is not JSON"),
    "other JSON": (lambda: Path("p/package.json").write_text("[]"), "is of something else"),
    "a word": (lambda: Path("p/package.json").write_text(A_WORD), "is of something else"),
    "version": (
        lambda: _rewrite(lambda a: a.update(lstm_sharp_package=3)),
        "version 3, this is a reader of version 2; use the version that made it, 'lstm-sharp 0.1",
    ),
    "older": (
        lambda: _rewrite(lambda a: a.update(lstm_sharp_package=1)),
        "version 1, this is a reader of version 2; make the package again with this version",
    ),
    "engine": (lambda: _rewrite(lambda a: a.update(engine="vhdl")), "engine is one of hls, sv"),
    "other engine": (lambda: _rewrite(lambda a: a.update(engine="sv")), "has the identity"),
    "no engine": (lambda: _rewrite(lambda a: a.pop("engine")), "it lacks 'engine'"),
    "changed file": (lambda: Path("p/model.npz").write_bytes(b""), "model.npz is not as it was"),
    "unlisted": (lambda: _rewrite(lambda a: a["files"].pop("model.npz")), "'model.npz' is wrong"),
    "outside": (lambda: _rewrite(lambda a: a["files"].update({"../x": ""})), "'../x' is wrong"),
    "knobs": (lambda: _rewrite(lambda a: a["config"].update(max_input=31)), "has the identity"),
    "config": (lambda: _rewrite(lambda a: a["config"].pop("rows")), "missing key 'rows'"),
    "lacks": (lambda: _rewrite(lambda a: a.pop("layers")), "is damaged (it lacks 'layers')"),
    "scale": (lambda: _rewrite(lambda a: a["layers"][0].update(x_frac="a")), "x_frac is a whole"),
    "shift": (lambda: _rewrite(lambda a: a["layers"][0].update(x_shift=3)), "x_shift is"),
    "act_shift": (lambda: _rewrite(lambda a: a["layers"][0].update(w_hh_frac=99)), "w_hh_frac is"),
    "schedule": (lambda: _rewrite(lambda a: a.update(schedule="fast")), "schedule is one of"),
    "layer sizes": (lambda: _rewrite(lambda a: a["layers"].reverse()), "w_ih_l0 is int8 (16, 6)"),
    "no h below": (
        lambda: _rewrite(lambda a: a["layers"][1].update(x_frac=14, w_ih_frac=9)),
        "x_frac of level 1 is 15",
    ),
    "not chained": (
        lambda: _rewrite(lambda a: a["layers"][1].update(input_size=5), w_ih_l1=lambda w: w[:, :5]),
        "layer 1 takes 5 inputs but layer 0 gives 6",
    ),
    "direction": (lambda: _rewrite(lambda a: a.update(directions=[2])), "is made of forward 3"),
    "directions": (lambda: _rewrite(lambda a: a.update(directions=[1])), "do not group 2 LSTM"),
    "no directions": (lambda: _rewrite(lambda a: a.update(directions=None)), "is damaged"),
    "reverse": (lambda: _rewrite(lambda a: a["layers"][0].update(reverse=1)), "reverse is true or"),
    "no layer": (lambda: _rewrite(lambda a: a.update(layers=[], directions=[])), "no LSTM layer"),
    "max_shift": (
        lambda: _rewrite(lambda a: a["layers"][0].update(x_frac=6, x_shift=9)),
        "layer 0 needs x_shift 9, tiny has 8",
    ),
    "odd": (lambda: _rewrite(lambda a: a["vectors"].update(sequences=7)), "sequences is even"),
    "too large": (
        lambda: _rewrite(
            lambda a: a["layers"][0].update(input_size=33),
            w_ih_l0=lambda w: np.resize(w, (24, 33)),
            x=lambda x: np.resize(x, (8, 16, 33)),
        ),
        "layer 0 has 33 inputs, tiny holds 32",
    ),
    "shape": (lambda: _rewrite(dict, x=lambda x: x[:, :, :2]), "x is int16 (8, 16, 3)"),
    "type": (lambda: _rewrite(dict, h=lambda h: h.astype(float)), "h is int16 (8, 16, 4)"),
    "range": (lambda: _rewrite(dict, c_end=lambda c: c + (1 << 23)), "c_end is within 24 bits"),
    "no array": (lambda: _rewrite(dict, b_l1=lambda b: None), "it lacks"),
    "pickle": (
        lambda: _rewrite(dict, x=lambda x: x.astype(object)),
        "p/vectors.npz: tensor x cannot",
    ),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_named(folder: Path, how: str) -> None:
    break_it, said = DAMAGE[how]
    break_it()
    with pytest.raises(UsageError) as refused:
        package.read("p")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_more_files_and_keys_may_join(folder: Path) -> None:
    Path("p/more.py").write_text("print('PASS')\n")
    Path("p/unlisted.txt").write_text("")
    digest = hashlib.sha256(Path("p/more.py").read_bytes()).hexdigest()
    _rewrite(lambda a: a.update(more=1) or a["files"].update({"more.py": digest}))
    assert package.read("p").about["more"] == 1
    Path("p/run.py").write_text("print('FAIL')\n")
    with pytest.raises(UsageError, match="run.py is not as it was written"):
        package.read("p")


WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from lstm_sharp.engine import config, knobs
from lstm_sharp import package
from models import pytorch_like
cfg, model = config.load("tiny").of("hls"), pytorch_like(0, [3, 6])
for _ in range(8):
    package.write(model, cfg, "p")
"""


def test_processes_that_write_one_package_take_turns(folder: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parents[1])]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=300)[1] for process in writers]
    assert [process.returncode for process in writers] == [0] * 3, said
    assert package.read("p").model.hidden_size == 6
    assert not list(folder.glob(".lstm-sharp-*"))


def test_the_current_folder_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    with pytest.raises(UsageError, match="is the current folder or above it; name another"):
        package.write(pytorch_like(0, [3, 6]), TINY.of("hls"), ".")
