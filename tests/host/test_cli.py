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

JSON_KEYS = (
    "backend engine config format schedule steps cycles predicted_cycles ideal_cycles "
    "utilization max_abs_error seconds load_cycles"
)


@pytest.fixture
def folder(with_engines: Path) -> Path:
    """The working folder: a model, an input, a state, and the engines that tests have built."""
    rng = np.random.default_rng(0)
    np.savez("m.npz", **torch_names(pytorch_like(0, [3, 6, 4])))
    np.save("x.npy", rng.uniform(-1, 1, (2, 5, 3)).astype(np.float32))
    np.savez("s.npz", **{n: rng.uniform(-1, 1, (2, 2, 6)).astype(np.float32) for n in "hc"})
    return with_engines


def _run(*more: str, x: str = "x.npy") -> int:
    return cli.main(["run", "m.npz", "--input", x, "--output", "y.npy", *more])


def test_golden_run_writes_h_and_json(folder: Path) -> None:
    assert _run("--json", "r.json", "--format", "W16A16") == 0
    x, y = np.load("x.npy"), np.load("y.npy")
    model = load("m.npz")
    quantized = quantize(model, Format.parse("W16A16"), x)
    h, _ = golden.run(quantized, quantized.quantize_input(x))
    assert y.dtype == np.float32
    assert (y == quantized.dequantize_h(h)).all()
    report = json.loads(Path("r.json").read_text())
    assert set(report) >= set(JSON_KEYS.split())
    told = report["config"], report["steps"], report["cycles"]
    assert told == ("tiny-w16a16", 10, None)
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
    same = ("--calibration", "x.npy", "--backend", backend, "--config", "tiny")
    assert _run("--state", "s.npz", *same) == 0
    whole = np.load("y.npy")
    assert _run("--state", "s.npz", "--state-out", "t.npz", *same, x="first.npy") == 0
    first = np.load("y.npy")
    assert _run("--state", "t.npz", *same, x="rest.npy") == 0
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
        np.save("x.npy", np.random.default_rng(1).random((sequences, 2999, 3), np.float32))
        assert _run("--json", "r.json") == 0
        report = json.loads(Path("r.json").read_text())
        assert (report["config"], report["stages"]) == ("tiny", stages)


def test_render_writes_a_project(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["render", "--config", "tiny", "-o", "p", "m.npz"]) == 0
    made = "hls/top.cpp hls/config.hpp rtl/lstm_pkg.sv rtl/lstm_engine.sv vectors/job vectors/h.npy"
    assert all(Path("p", name).stat().st_size > 0 for name in made.split())
    tiny, out = config.load("tiny"), capsys.readouterr().out
    assert f"hls {tiny.of('hls').digest}, sv {tiny.digest}" in out
    about = json.loads(Path("p/vectors/vectors.json").read_text())
    assert (about["engine"], about["identity"]) == ("hls", tiny.of("hls").digest)


def test_perf_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    def perf(size: str, macs: str, *more: str) -> dict:
        sizes = ["--input-size", size, "--hidden-size", size, "--macs", macs]
        assert cli.main(["perf", *sizes, "--json", "-", *more]) == 0
        return json.loads(capsys.readouterr().out)

    report = perf("64", "208")
    assert report["k"] * report["n"] == 208
    assert report["cycles_per_step"] == report["cycles"] / 100
    report = perf("20", "256", "--k-list", "8,16,32", "--k", "16", "--no-padding")
    assert (report["k_list"], report["k"], list(report["tiles"])) == ([8, 16, 32], 16, ["16"])
    assert perf("20", "256", "--schedule", "sequential")["schedule"] == "sequential"
