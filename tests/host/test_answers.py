"""What commands tell people: a run's few lines, formats side by side, one layer of an engine."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import keras_files
from lstm_sharp import cli, load, terminal
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.accuracy import decibels
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime.answers import compare, limit
from models import pytorch_like, torch_names

CLASSES = 3


@pytest.fixture
def folder(with_engines: Path) -> Path:
    """A working folder: a classifier, inputs, and the engines that tests have built."""
    rng = np.random.default_rng(0)
    named = {f"lstm.{n}": v for n, v in torch_names(pytorch_like(0, [3, 6])).items()}
    named |= {"fc.weight": rng.normal(size=(CLASSES, 6)), "fc.bias": np.zeros(CLASSES)}
    np.savez("m.npz", **{name: value.astype(np.float32) for name, value in named.items()})
    np.savez("h.npz", **torch_names(pytorch_like(0, [3, 6])))
    np.save("x.npy", rng.uniform(-1, 1, (8, 5, 3)).astype(np.float32))
    return with_engines


def test_formats_side_by_side(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, x = load("m.npz"), np.load("x.npy")
    assert isinstance(model, Model) and model.head is not None
    right = model.head(reference.run(model, x).h.astype(np.float32))
    labels = right[:, -1].argmax(-1)
    labels[:2] = (labels[:2] + 1) % CLASSES
    np.save("y.npy", labels)
    words = ["compare", "m.npz", "--input", "x.npy", "--labels", "y.npy", "--json", "c.json"]
    assert cli.main(words) == 0
    told, found = capsys.readouterr().out, json.loads(Path("c.json").read_text())
    assert [row["format"] for row in found["rows"]] == ["float", "W16A16", "W8A16", "W8A8"]
    for row in found["rows"][1:]:
        made = quantize(model, row["format"], x)
        h, _ = golden.run(made, made.quantize_input(x))
        y = model.head(made.dequantize_h(h).astype(np.float32))
        assert row["signal_to_error"] == pytest.approx(decibels(right, y))
        assert row["max_abs_error"] == pytest.approx(np.abs(y - right).max())
        picked = y[:, -1].argmax(-1)
        assert row["changed"] == (picked != right[:, -1].argmax(-1)).sum()
        assert row["accuracy"] == (picked == labels).mean()
        assert f"{row['signal_to_error']:.1f} dB" in told
    assert found["rows"][0]["accuracy"] == 0.75 and "75.00%" in told
    assert max(map(len, told.splitlines())) <= 80


def test_what_follows_h_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever writes h of a model that makes something of it is told so."""
    keras_files.save(
        folder, keras_files.LSTM, keras_files.entry("Activation", "b", activation="relu")
    )
    words = ["run", "m.keras", "--input", "x.npy", "--output", "y.npy", "--backend", "float"]
    for more, told in (
        ([], "note: y.npy has h; --output-of head gives what the model makes of it\n"),
        (["--output-of", "head"], ""),
    ):
        assert cli.main([*words, *more]) == 0
        assert capsys.readouterr().err == told


def test_labels_of_every_step_and_of_one_number(folder: Path) -> None:
    model, x = load("m.npz"), np.load("x.npy")
    steps = compare(model, x, np.zeros((8, 5), int), formats=["W8A16"])
    assert steps.count == 40 and steps.rows[1].accuracy is not None
    assert compare(model, x).count == 40
    for shift, share in ((0.0, 0), (0.5, 1)):  # a number above 0, or a share above 0.5
        weights = dict(np.load("m.npz"))
        weights |= {"fc.weight": np.zeros((1, 6)) + share * 1e-3, "fc.bias": np.array([shift])}
        np.savez("one.npz", **{name: v.astype(np.float32) for name, v in weights.items()})
        one = load("one.npz")
        assert isinstance(one, Model) and one.head is not None
        y = one.head(reference.run(one, x).h.astype(np.float32))[:, -1, 0]
        found = compare(one, x, (y > shift).astype(int), formats=["W16A16"])
        assert found.rows[0].accuracy == 1


@pytest.mark.parametrize(
    ("model", "labels", "told"),
    [
        ("h.npz", np.zeros(8, int), "labels are compared with what follows h, and h holds weights"),
        ("m.npz", np.zeros(7, int), r"labels have shape \(7,\), \(8, 5\) is what the output tells"),
        ("m.npz", np.zeros(8), "labels are float64; whole numbers are expected"),
    ],
)
def test_labels_that_do_not_fit(folder: Path, model: str, labels: np.ndarray, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        compare(load(model), np.load("x.npy"), labels)


def test_h_is_compared_where_nothing_follows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", "h.npz", "--input", "x.npy", "--format", "W8A8"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("h of the last layer, (8, 5, 6); largest value 0.")
    assert "labels" not in said.out and said.out.count("W") == 1
    assert said.err == "note: scales are chosen on the input itself\n"


def test_a_quantised_model_has_its_own_format(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quantize", "m.npz", "--calibration", "x.npy", "-o", "q.npz", "--format", "W8A8"]
    assert cli.main(words) == 0
    capsys.readouterr()
    assert cli.main(["compare", "q.npz", "--input", "x.npy"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[3:]] == [
        "float",
        "W8A8",
    ]


def test_a_graph_is_compared_by_its_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[T, 1, 3] x, float gain) => (float[T, 1, 1, 6] y) {
      louder = Mul(x, gain)
      h, last, c = LSTM<hidden_size=6>(louder, W, R)
      y = Tanh(h)
    }
    """
    graph, rng = onnx.parser.parse_model(text), np.random.default_rng(0)
    for name, shape in (("W", (1, 24, 3)), ("R", (1, 24, 6))):
        drawn = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
        graph.graph.initializer.append(onnx.numpy_helper.from_array(drawn, name))
    onnx.save(graph, "g.onnx")
    np.save("x.npy", rng.uniform(-1, 1, (9, 1, 3)).astype(np.float32))
    assert cli.main(["compare", "g.onnx", "--input", "x=x.npy", "--input", "gain=2.0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the model's output, (9, 1, 1, 6)")
    levels = [float(line.split()[1]) for line in lines[4:]]
    assert levels == sorted(levels, reverse=True) and levels[0] > 60


@pytest.mark.parametrize("backend", ["golden", "csim", "rtl", "float"])
def test_a_run_in_a_few_lines(
    folder: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "m.npz", "--input", "x.npy", "--output", "y.npy", "--backend", backend]
    assert cli.main([*words, "--json", "r.json"]) == 0
    lines, report = capsys.readouterr().out.splitlines(), json.loads(Path("r.json").read_text())
    assert lines[0].startswith("ran on ")
    if backend == "float":
        assert len(lines) == 1
        return
    kind = "simulated" if backend == "rtl" else "modelled"
    name = {"golden": "predicted_cycles", "csim": "hls_cycles", "rtl": "cycles"}[backend]
    us = report[name] / report["clock_mhz"]
    assert f"{us / 40:.3g} us a step at 100 MHz; cycles {kind}" in lines[2]
    assert "tiny, the smallest that holds the model; --config NAME takes another" in lines[1]
    assert f"{report['signal_to_error']:.1f} dB below h" in lines[3]
    assert f"where h reaches {report['largest']:.3g}" in lines[3]
    assert len(lines) == (5 if backend == "rtl" else 4)


def test_what_limits_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert limit("macs", 0.99).startswith("the multipliers")
    assert limit("macs", 0.73) == "padding: the layer's sizes fill 73% of the tiles' places"
    assert limit("recurrence", 0.5).startswith("the recurrence")
    assert cli.main(["perf", "--input-size", "64", "--hidden-size", "64", "--macs", "208"]) == 0
    told = capsys.readouterr().out
    assert "208 multipliers: K x N = 8 x 26" in told and "modelled, not measured" in told


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_long_work_tells_how_far_it_is_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    for stream, told in (
        (Screen(), "\rsimulating: 0 of 8\rsimulating: 2 of 8, about 15 s left\r" + " " * 35 + "\r"),
        (io.StringIO(), ""),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        now[0] = 0
        progress = terminal.Progress("simulating")
        for second, done in ((0, 0), (5, 2), (20, 8)):
            now[0] = second
            progress(done, 8)
        assert stream.getvalue() == told


def test_work_that_tells_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds are those of a clock that the test moves: each look at it is a second later."""
    screen, seconds = Screen(), iter(range(100))
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(seconds))
    waits = iter([False, False, False, True])
    event = SimpleNamespace(wait=lambda timeout: next(waits), set=lambda: None)

    def thread(target: Callable[[], None], daemon: bool) -> SimpleNamespace:
        return SimpleNamespace(start=target, join=lambda: None)

    threads = SimpleNamespace(Event=lambda: event, Thread=thread)
    monkeypatch.setattr(terminal, "threading", threads)
    with terminal.Progress("compiling").expecting(3):
        pass
    told = screen.getvalue().split("\r")
    assert told[1].startswith("compiling: 1 s, about 2 s left")
    assert told[3].startswith("compiling: 3 s, nearly done")
