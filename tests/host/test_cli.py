"""The command line: its files, its JSON, and one sentence with status 2 for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import cli
from lstm_sharp.engine import config
from lstm_sharp.engine.config import resized
from lstm_sharp.model import load
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from models import pytorch_like, torch_names

JSON_KEYS = {
    "backend",
    "engine",
    "config",
    "format",
    "schedule",
    "steps",
    "cycles",
    "predicted_cycles",
    "ideal_cycles",
    "utilization",
    "max_abs_error",
    "seconds",
    "load_cycles",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, an input and a state, which is also the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6, 4])))
    np.save("x.npy", rng.uniform(-1, 1, (2, 5, 3)).astype(np.float32))
    state = {name: rng.uniform(-1, 1, (2, 2, 6)).astype(np.float32) for name in "hc"}
    np.savez("s.npz", **state)
    return tmp_path


def _run(*more: str) -> int:
    return cli.main(["run", "m.npz", "--input", "x.npy", "--output", "y.npy", *more])


def test_golden_run_writes_h_and_json(folder: Path) -> None:
    assert _run("--json", "r.json", "--format", "W16A16") == 0
    x, y = np.load("x.npy"), np.load("y.npy")
    model = load("m.npz")
    quantized = quantize(model, Format.parse("W16A16"), x)
    h, _ = golden.run(quantized, quantized.quantize_input(x))
    assert y.dtype == np.float32
    assert (y == quantized.dequantize_h(h)).all()
    report = json.loads(Path("r.json").read_text())
    assert set(report) >= JSON_KEYS
    assert report["config"] == "tiny-w16a16"
    assert report["steps"] == 10
    assert report["cycles"] is None
    assert report["utilization"] == report["ideal_cycles"] / report["predicted_cycles"]
    assert report["max_abs_error"] == pytest.approx(np.abs(y - reference.run(model, x)[0]).max())


def test_float_run_is_the_reference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--backend", "float", "--json", "-") == 0
    assert np.allclose(np.load("y.npy"), reference.run(load("m.npz"), np.load("x.npy"))[0])
    assert json.loads(capsys.readouterr().out)["engine"] is None


@pytest.mark.parametrize("backend", ["golden", "csim"])
def test_state_carries_on(folder: Path, backend: str) -> None:
    x = np.load("x.npy")
    np.save("first.npy", x[:, :2])
    np.save("rest.npy", x[:, 2:])
    same = ("--calibration", "x.npy", "--backend", backend, "--format", "W16A16")
    assert _run("--state", "s.npz", *same) == 0
    whole = np.load("y.npy")
    assert _run("--input", "first.npy", "--state", "s.npz", "--state-out", "t.npz", *same) == 0
    first = np.load("y.npy")
    assert _run("--input", "rest.npy", "--state", "t.npz", *same) == 0
    assert (np.concatenate([first, np.load("y.npy")], axis=1) == whole).all()


@pytest.mark.parametrize("backend", ["float", "golden", "csim"])
def test_each_sequence_has_its_length(folder: Path, backend: str) -> None:
    np.save("lengths.npy", np.array([2, 5]))
    same = ("--calibration", "x.npy", "--backend", backend)
    assert _run(*same) == 0
    whole = np.load("y.npy")
    assert _run(*same, "--lengths", "lengths.npy", "--state-out", "s.npz", "--json", "r.json") == 0
    y = np.load("y.npy")
    assert (y[0, :2] == whole[0, :2]).all() and not y[0, 2:].any() and (y[1] == whole[1]).all()
    hidden = y.shape[2]
    h = np.load("s.npz")["h"][-1, :, :hidden]
    assert (h == np.stack([whole[0, 1], whole[1, 4]])).all()
    assert json.loads(Path("r.json").read_text())["steps"] == 7


def test_stack_runs_level_by_level_where_it_does_not_fit(folder: Path) -> None:
    for name, knobs in {"brief": {"sequence_words": 4}, "shallow": {"weight_tiles": 10}}.items():
        knobs = resized(config.load("tiny"), name=name, **knobs).knobs()
        Path(f"{name}.json").write_text(json.dumps(knobs))
    x = np.load("x.npy")
    np.save("x.npy", np.concatenate([x, x]))  # so many that chains are not for a wavefront
    same = ("--calibration", "x.npy", "--json", "r.json", "--backend", "csim")
    assert _run(*same) == 0
    whole, report = np.load("y.npy"), json.loads(Path("r.json").read_text())
    assert report["stages"] == 1 and report["break_even_batch"] is None
    for name in ("brief", "shallow"):
        assert _run(*same, "--config", f"{name}.json") == 0
        report = json.loads(Path("r.json").read_text())
        assert (np.load("y.npy") == whole).all()
        assert report["stages"] == 2 and report["break_even_batch"] >= 1


def test_model_too_large_for_any_engine_still_runs_in_integers(folder: Path) -> None:
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 800])))
    assert _run("--json", "r.json") == 0
    report = json.loads(Path("r.json").read_text())
    assert report["config"] is report["predicted_cycles"] is None
    assert report["max_abs_error"] < 3e-3


def test_long_stack_takes_the_config_that_holds_it(folder: Path) -> None:
    np.save("x.npy", np.random.default_rng(1).random((1, 70, 3), np.float32))
    assert _run("--json", "r.json") == 0
    assert json.loads(Path("r.json").read_text())["config"] == "pynq-z2"
    for sequences, stages in ((3, 2), (1, 1)):  # a wavefront needs no sequence buffer
        np.save("x.npy", np.random.default_rng(1).random((sequences, 9999, 3), np.float32))
        assert _run("--json", "r.json") == 0
        report = json.loads(Path("r.json").read_text())
        assert (report["config"], report["stages"]) == ("tiny", stages)


def test_float_needs_no_integers(folder: Path) -> None:
    np.save("x.npy", np.linspace(-1e30, 1e30, 6).reshape(1, 2, 3))
    assert _run("--backend", "float", "--json", "r.json") == 0
    assert "scale the input" in json.loads(Path("r.json").read_text())["notes"][0]
    assert _run() == 2


def test_devices_and_links_stay_what_they_are(folder: Path) -> None:
    Path("real.npy").write_bytes(b"")
    Path("link.npy").symlink_to("real.npy")
    assert _run("--output", "link.npy", "--json", "/dev/null") == 0
    assert Path("link.npy").is_symlink()
    assert np.load("real.npy").shape == (2, 5, 4)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("perf --chains 1000000000000", "chains 1000000000000 must be 1 to 64"),
        ("perf --chains -1", "chains -1 must be 1 to 64"),
        ("perf --tail 100000000000000000000000", "tail of more than 20 digits must be 1 to 4096"),
        ("perf --steps 0", "steps 0 must be 1 to 65536"),
        ("perf --steps nan", "invalid int value: 'nan'"),
        ("perf --steps 1e3", "invalid int value: '1e3'"),
        ("perf --input-size 99999999999", "input size 99999999999 must be 1 to 4096"),
        ("perf --hidden-size 0", "hidden size 0 must be 1 to 4096"),
        ("perf --macs 4194304", "MACs 4194304 must be 1 to 1048576"),
        ("perf --k -8", "K = -8 must be 4, 8, 16"),
        (f"perf --k {'9' * 5000}", "must be 4, 8, 16"),
        ("perf --k \u00b2", "must be 4, 8, 16"),
        (f"perf --chains {'9' * 5000}", "invalid int value"),
        ("fit m.npz --steps 10000000000000", "steps 10000000000000 must be 1 to 65536"),
        ("fit m.npz --max-memory 0", "'0' is no size; give one such as 512M or 8G"),
        ("fit m.npz --max-memory 1K", "m.npz takes 3878 bytes, at most 1024 are read"),
        (f"fit m.npz --max-memory {'9' * 99}G", "is no size"),
    ],
)
def test_numbers_have_a_range(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, said: str
) -> None:
    command, *more = arguments.split()
    sizes = ["--input-size", "8", "--hidden-size", "8", "--macs", "64"]
    try:
        status: object = cli.main([command, *(sizes if command == "perf" else []), *more])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and len(error) <= 301
    assert cli.main(["fit", "m.npz", "--max-memory", "4K"]) == 0


def test_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "m.npz"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--input, --output" in error


def test_render_writes_a_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["render", "--config", "tiny", "-o", "p", "m.npz"]) == 0
    for name in (
        "hls/top.cpp",
        "hls/config.hpp",
        "rtl/lstm_pkg.sv",
        "rtl/lstm_engine.sv",
        "vectors/job",
        "vectors/h.npy",
    ):
        assert Path("p", name).stat().st_size > 0, name
    tiny, out = config.load("tiny"), capsys.readouterr().out
    assert f"hls {tiny.of('hls').digest}, sv {tiny.digest}" in out
    about = json.loads(Path("p/vectors/vectors.json").read_text())
    assert (about["engine"], about["identity"]) == ("hls", tiny.of("hls").digest)


def test_render_leaves_vectors_of_a_user(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("vectors").mkdir()
    Path("vectors/x.npy").write_text("mine")
    assert cli.main(["render", "--config", "tiny", "-o", ".", "m.npz"]) == 2
    assert "vectors has no vectors.json" in capsys.readouterr().err
    assert Path("vectors/x.npy").read_text() == "mine"


def test_perf_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["perf", "--input-size", "64", "--hidden-size", "64", "--macs", "208"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["k"] * report["n"] == 208
    assert report["cycles_per_step"] == report["cycles"] / 100


def test_perf_of_an_engine_of_several_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["perf", "--input-size", "20", "--hidden-size", "20", "--macs", "256"]
    assert cli.main([*sizes, "--k-list", "8,16,32", "--k", "16", "--no-padding"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["k_list"], report["k"], list(report["tiles"])) == ([8, 16, 32], 16, ["16"])
    assert cli.main([*sizes, "--schedule", "sequential"]) == 0
    assert json.loads(capsys.readouterr().out)["schedule"] == "sequential"
    assert cli.main([*sizes, "--k-list", "8,24"]) == 2
    assert "must go on with 8 times 2, 4, 8" in capsys.readouterr().err


def _break(folder: Path, how: str) -> None:
    x = np.load("x.npy")
    makers = {
        "nan": lambda: np.save("x.npy", np.where(np.arange(3) == 1, np.nan, x)),
        "infinite": lambda: np.save("x.npy", np.where(np.arange(3) == 1, np.inf, x)),
        "features": lambda: np.save("x.npy", x[:, :, :2]),
        "flat": lambda: np.save("x.npy", x[0]),
        "no batch": lambda: np.save("x.npy", x[:0]),
        "no steps": lambda: np.save("x.npy", x[:, :0]),
        "text": lambda: np.save("x.npy", np.array([[["a"]]])),
        "no array": lambda: Path("x.npy").write_text("hello"),
        "empty": lambda: Path("x.npy").write_bytes(b""),
        "pickle": lambda: np.save("x.npy", np.array([{}], dtype=object), allow_pickle=True),
        "no input": lambda: Path("x.npy").unlink(),
        "no model": lambda: Path("m.npz").unlink(),
        "not a model": lambda: Path("m.npz").write_text("hello"),
        "no lstm": lambda: np.savez("m.npz", weight=np.zeros((2, 2))),
        "nan weights": lambda: np.savez(
            "m.npz",
            **{
                name: np.where(value == value.flat[0], np.nan, value)
                for name, value in torch_names(pytorch_like(0, [3, 4])).items()
            },
        ),
        "wide state": lambda: np.savez("s.npz", h=np.zeros((2, 2, 9)), c=np.zeros((2, 2, 6))),
        "large h": lambda: np.savez("s.npz", h=np.full((2, 2, 6), 1.5), c=np.zeros((2, 2, 6))),
        "large c": lambda: np.savez("s.npz", h=np.zeros((2, 2, 6)), c=np.full((2, 2, 6), -129.0)),
        "no c": lambda: np.savez("s.npz", h=np.zeros((2, 2, 6))),
        "nan state": lambda: np.savez("s.npz", h=np.full((2, 2, 6), np.nan), c=np.zeros((2, 2, 6))),
    }
    makers[how]()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("nan", "10 NaN or infinite of 30 values"),
        ("infinite", "10 NaN or infinite of 30 values"),
        ("features", "input has 2 features, m takes 3"),
        ("flat", "(batch, time, features) is expected"),
        ("no batch", "0 sequences of 5 steps"),
        ("no steps", "2 sequences of 0 steps"),
        ("text", "has type <U1"),
        ("no array", "x.npy is no .npy array"),
        ("empty", "x.npy is no .npy array"),
        ("pickle", "x.npy is no .npy array"),
        ("no input", "x.npy cannot be read (No such file"),
        ("no model", "m.npz cannot be read (No such file"),
        ("not a model", "m.npz"),
        ("no lstm", "no tensor named like weight_ih_l0"),
        ("nan weights", "NaN or infinite"),
        ("large h", "state h reaches 1.5, an engine holds 1; give"),
        ("large c", "state c reaches 129, an engine holds 128; give"),
        ("wide state", "state h has shape (2, 2, 9); (cells, batch, hidden) = (2, 2, 6)"),
        ("no c", "s.npz lacks c; it has h"),
        ("nan state", "state h has NaN"),
    ],
)
def test_bad_files(folder: Path, capsys: pytest.CaptureFixture[str], how: str, said: str) -> None:
    _break(folder, how)
    assert _run("--state", "s.npz", "--json", "r.json") == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert not Path("y.npy").exists()
    assert not Path("r.json").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backend", "gpu"], "backend 'gpu' is unknown; choose one of float, golden, csim, rtl"),
        (["--backend", "board", "--config", "tiny"], "there is no overlay of tiny at"),
        (["--config", "z3"], "config 'z3' not found; shipped are tiny, pynq-z2, zcu104"),
        (["--config", "broken.json"], "broken.json"),
        (["--format", "W4A4"], "format 'W4A4' is unknown"),
        (["--schedule", "fast"], "schedule 'fast' is unknown"),
        (["--config", "small.json"], "layer 0 has 6 units, small holds 5"),
        (["--config", "shallow.json"], "tiles of weights, shallow holds 2"),
        (["--config", "low.json"], "3 row blocks of bias, low holds 2"),
        (["--lengths", "x.npy"], "lengths have type float32"),
        (["--lengths", "short.npy"], "sequence 1 has a length of 0; 1 to the 5 steps"),
        (["--lengths", "long.npy"], "sequence 0 has a length of 6; 1 to the 5 steps"),
        (["--lengths", "three.npy"], "shape (3,); one whole number for each of 2 sequences"),
        (
            ["--output-of", "head"],
            "holds weights, and no graph; leave out --output-of head, or export",
        ),
        (["--output", "x.npy/y.npy"], "x.npy is no folder"),
        (["--output", "nowhere/y.npy"], "nowhere is no folder; make it first"),
        (["--output", "x.npy"], "x.npy would overwrite x.npy"),
        (["--json", "y.npy"], "y.npy would overwrite y.npy"),
        (["--state-out", "m.npz"], "m.npz would overwrite m.npz"),
        (["--output", ""], "'' is no name of a file"),
        (["--config", "named.json"], "name = 'a b' must be letters"),
        (["--prefix", "decoder"], "decoder"),
    ],
)
def test_bad_options(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    tiny = config.load("tiny")
    Path("broken.json").write_text("{")
    for name, knobs in {
        "small": {"max_hidden": 5},
        "shallow": {"weight_tiles": 2},
        "low": {"bias_blocks": 2},
    }.items():
        Path(f"{name}.json").write_text(json.dumps(resized(tiny, name=name, **knobs).knobs()))
    Path("named.json").write_text(json.dumps({**tiny.knobs(), "name": "a b"}))
    for name, lengths in {"short": [5, 0], "long": [6, 5], "three": [5, 5, 5]}.items():
        np.save(f"{name}.npy", np.array(lengths))
    assert _run(*options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not Path("y.npy").exists()
