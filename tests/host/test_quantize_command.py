"""`lstm-sharp quantize`: the file that it writes, who takes it, and what its report says."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import published
from lstm_sharp import Session, cli, package
from lstm_sharp import load as load_any
from lstm_sharp.engine import config
from lstm_sharp.engine.config import resized
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model, load
from lstm_sharp.numerics import activation, golden, reference, stored
from lstm_sharp.numerics.accuracy import decibels
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.package import vectors
from lstm_sharp.runtime import accuracy_report
from models import pytorch_like, torch_names, trained_like, uneven_x

SIZES, DIRECTIONS = [5, 8, 6], (1, 1)
Held = dict[str, np.ndarray]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a model, two sets of inputs, and the model quantised on the first."""
    monkeypatch.chdir(tmp_path)
    np.savez("m.npz", **torch_names(trained_like(0, SIZES, DIRECTIONS)))
    for name in ("x", "y"):
        np.save(f"{name}.npy", uneven_x(0, 6, 9, 5, draw="xy".index(name)).astype(np.float32))
    assert _quantize() == 0
    return tmp_path


def _quantize(*more: str, data: tuple[str, ...] = ("--calibration", "x.npy")) -> int:
    return cli.main(["quantize", "m.npz", "-o", "q.npz", *data, *more])


def _same(one: QuantModel, other: QuantModel) -> None:
    arrays = [stored.arrays_of(model)[0] for model in (one, other)]
    assert arrays[0].keys() == arrays[1].keys()
    for name, value in arrays[0].items():
        np.testing.assert_array_equal(value, arrays[1][name])
    assert stored.facts_of(one) == stored.facts_of(other) and one.fmt == other.fmt


@pytest.mark.parametrize("directions", [(1, 1), (2, 2), (2, 1), (1, 2)])
@pytest.mark.parametrize("fmt", ["W16A16", "W8A16", "W8A8"])
def test_both_models_come_back(tmp_path: Path, directions: tuple[int, ...], fmt: str) -> None:
    """Also where torch has no name for the stack, and where float32 does not hold the weights."""
    model = trained_like(1, SIZES, directions)
    if directions == (1, 2):
        model = replace(model, layers=(replace(model.layers[0], reverse=True), *model.layers[1:]))
    made = quantize(model, Format.parse(fmt), uneven_x(1, 4, 9, 5))
    made = replace(made, notes=("one", "two"))
    stored.write(tmp_path / "q.npz", replace(model, quantized=made), {"more": 1})
    found = load_any(tmp_path / "q.npz")
    _same(found.quantized, made)
    assert found.directions == directions
    for cell, same in zip(found.layers, model.layers):
        for name in ("w_ih", "w_hh", "b", "reverse"):
            np.testing.assert_array_equal(getattr(cell, name), getattr(same, name))


def test_a_gru_comes_back(tmp_path: Path) -> None:
    model = pytorch_like(1, SIZES, cell="gru")
    made = quantize(model, Format.parse("W8A16"), uneven_x(1, 4, 9, 5))
    stored.write(tmp_path / "q.npz", replace(model, quantized=made), {})
    found = load_any(tmp_path / "q.npz")
    _same(found.quantized, made)
    assert found.kind == found.quantized.kind == "gru"


def test_it_is_a_model_file_as_others(folder: Path) -> None:
    for plain, one in zip(load("m.npz").layers, load("q.npz").layers):
        assert (plain.w_ih == one.w_ih).all() and (plain.b == one.b).all()
    assert load("m.npz").quantized is load("q.npz").quantized is load_any("m.npz").quantized is None
    assert _quantize("--format", "W8A8", data=("--calibration", "y.npy")) == 0
    again = ["quantize", "q.npz", "-o", "r.npz", "--calibration", "x.npy"]
    assert cli.main(again) == 0  # from its float weights
    made = quantize(load("m.npz"), Format.parse("W8A16"), np.load("x.npy"))
    _same(load_any("r.npz").quantized, replace(made, name="q"))


@pytest.mark.parametrize(
    ("options", "fmt", "limits", "method"),
    [
        ("", "W8A16", (), "error"),
        ("--format W8A8 --method percentile", "W8A8", (), "percentile"),
        ("--method min-max --config narrow.json", "W8A16", (1, False), "min-max"),
    ],
)
def test_options(folder: Path, options: str, fmt: str, limits: tuple, method: str) -> None:
    narrow = resized(config.load("tiny"), name="narrow", max_shift=1, row_scales=0)
    Path("narrow.json").write_text(json.dumps(narrow.knobs()))
    assert _quantize(*options.split()) == 0
    x = np.load("x.npy")
    _same(
        load_any("q.npz").quantized,
        quantize(load("m.npz"), Format.parse(fmt), x, *limits, method=method),
    )


def test_a_range_instead_of_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _quantize(data=("--assume-range", "-1.5,2")) == 0
    assert "method min-max, 8 x 16 steps" in capsys.readouterr().out
    x = vectors.drawn(load("m.npz"), -1.5, 2)
    made = quantize(load("m.npz"), Format.parse("W8A16"), x, method="min-max")
    _same(load_any("q.npz").quantized, made)


def test_sessions_run_the_integers(folder: Path) -> None:
    x, model = np.load("y.npy"), load_any("q.npz")
    made = quantize(load("m.npz"), Format.parse("W8A16"), np.load("x.npy"))
    h, _ = golden.run(made, made.quantize_input(x))
    with Session(model) as session:
        _same(session.quantized, made)
        assert (session.run(x) == made.dequantize_h(h)).all()
    common = ["run", "q.npz", "--input", "y.npy", "--output", "h.npy"]
    for options in ([], ["--format", "W8A16"], ["--config", "pynq-z2"]):
        assert cli.main([*common, *options, "--json", "r.json"]) == 0
        assert (np.load("h.npy") == made.dequantize_h(h)).all()
        assert json.loads(Path("r.json").read_text())["format"] == "W8A16"
    assert cli.main([*common, "--backend", "float"]) == 0
    np.testing.assert_allclose(np.load("h.npy"), reference.run(model, x).h, atol=1e-6)


def test_fit_and_package_take_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _quantize("--format", "W8A8") == 0
    made = load_any("q.npz").quantized
    assert cli.main(["fit", "q.npz", "--json", "f.json"]) == 0
    assert {one["format"] for one in json.loads(Path("f.json").read_text())["configs"]} == {"W8A8"}
    assert cli.main(["package", "q.npz", "--config", "tiny", "-o", "p"]) == 0
    read = package.read("p")
    _same(read.model, made)
    assert read.about["calibration"]["source"] == "model file"
    assert read.cfg.format == "W8A8"
    most = np.abs(read.vectors.x).max(axis=(0, 1))
    assert (most > 100).all()  # of 127: the whole range of each feature is tested
    assert cli.main(["render", "q.npz", "--config", "tiny", "-o", "v"]) == 0
    assert json.loads(Path("v/vectors/vectors.json").read_text())["format"] == "W8A8"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("run {} --calibration x.npy", "q is quantised already, at W8A16; leave out calibration"),
        ("package {} --config tiny -o p --calibration x.npy", "q is quantised already"),
        ("run {} --format W8A8", "q is quantised already, at W8A16; leave out calibration"),
        ("package {} --config tiny -o p --format W16A16", "already, at W8A16"),
        ("fit {} --format W16A16", "already, at W8A16"),
        ("render {} --config tiny -o v --format W16A16", "already, at W8A16"),
        ("run {} --config narrow.json", "narrow has neither (row_scales 0); quantise for this"),
        ("package {} --config narrow.json -o p", "quantise for this config"),
        ("quantize m.npz -o r.npz", "one of the arguments --calibration --assume-range is requ"),
        ("quantize m.npz -o r.npz --calibration x.npy --assume-range 0,1", "not allowed with"),
        ("quantize m.npz -o r.npz --assume-range 1", "'1' is no range; give one such as -1,1"),
        ("quantize m.npz -o r.npz --assume-range 2,1", "x from 2 to 1 is no range"),
        ("quantize m.npz -o r.npz --assume-range 0,nan", "x from 0 to nan is no range"),
        (
            "quantize m.npz -o r --calibration x.npy",
            "r tells no kind of file; end it in .npz",
        ),
        ("quantize m.npz -o x.npz --calibration x.npz", "would overwrite"),
        (
            "quantize m.npz -o r.npz --calibration x.npy --report r.pdf",
            "end it in .md or .html",
        ),
        (
            "quantize m.npz -o r.npz --calibration x.npy --report r",
            "end it in .md or .html",
        ),
        ("quantize m.npz -o r.npz --calibration x.npy --max-error nan", "nan is no error"),
        ("quantize m.npz -o r.npz --calibration x.npy --max-error -1", "-1 is no error"),
        ("quantize m.npz -o r.npz --calibration x.npy --method best", "method 'best' is unknown"),
        ("quantize m.npz -o r.npz --calibration wide.npy", "calibration data is float64 (2, 4, 6)"),
        ("quantize m.npz -o r.npz --calibration ones.npy", "does not tell the scale"),
        ("quantize m.npz -o r.npz --calibration none.npy", "calibration data is float64 (0, 4, 5)"),
        ("quantize m.npz -o r.npz --calibration x.npy --evaluation nan.npy", "40 NaN or infinite"),
    ],
)
def test_what_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    narrow = resized(config.load("tiny"), name="narrow", row_scales=0)
    Path("narrow.json").write_text(json.dumps(narrow.knobs()))
    for name, shape in {"wide": (2, 4, 6), "none": (0, 4, 5)}.items():
        np.save(f"{name}.npy", np.zeros(shape))
    np.save("ones.npy", np.ones((2, 4, 5)))
    np.save("nan.npy", np.full((2, 4, 5), np.nan))
    Path("x.npz").write_bytes(b"")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    arguments = command.format("q.npz").split()
    if arguments[0] == "run":
        arguments += ["--input", "x.npy", "--output", "h.npy"]
    capsys.readouterr()
    try:
        status: object = cli.main(arguments)
    except SystemExit as ended:
        status = ended.code
    shown = capsys.readouterr()
    assert status == 2 and shown.out == ""
    assert said in shown.err and shown.err.count("\n") == 1 and len(shown.err) <= 301
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def _shorter(held: Held, about: dict[str, Any]) -> None:
    held["weight_hh_l1"] = held["weight_hh_l1"][:, :-1]


def _set(key: str, value: object) -> Callable[[Held, dict[str, Any]], None]:
    def change(held: Held, about: dict[str, Any]) -> None:
        if key in held:
            held[key] = held[key].copy()
            held[key].flat[0] = value
        else:
            *path, last = (int(name) if name.isdigit() else name for name in key.split("/"))
            inner: Any = about
            for name in path:
                inner = inner[name]
            inner[last] = value

    return change


DAMAGE: list[tuple[Callable[[Held, dict[str, Any]], object], str]] = [
    (_set("version", 2), "its version is 1, not 2"),
    (_set("version", "x" * 999), "its version is 1, not"),
    (_set("format", "W17A9"), "format 'W17A9' is unknown"),
    (_set("format", "W16A16"), "w_ih_l0 is int16"),
    (_set("layers", []), "is damaged"),
    (_set("layers/0", None), "is damaged"),
    (_set("layers/0/input_size", 6), "w_ih_l0 is int8 (32, 6)"),
    (_set("layers/0/hidden_size", -8), "hidden_size is a whole number"),
    (_set("layers/0/reverse", 1), "reverse is true or false"),
    (_set("layers/0/c_shift", 4), "c_shift is 0 to 3"),
    (_set("directions", [2]), "layer 0 is made of forward"),
    (_set("directions", [1]), "directions (1,) do not group 2"),
    (_set("notes", 3), "is damaged"),
    (_set("factor_l0", 4), "factor is 0 to 3"),
    (_set("frac_l1", 127), "frac is 0 to 15"),
    (_set("x_shift_l1", -1), "x_shift is 0 to 15"),
    (_set("b_l1", 1 << 30), "b_l1 is within 31 bits"),
    (_set("x_scale", 0), "x_scale is positive"),
    (lambda held, about: about["layers"][0].update(kind="rnn"), "kind is lstm or gru"),
    (lambda held, about: about["layers"][0].update(kind="gru", c_shift=1), "c_shift is 0 to 0"),
    (_set("weight_ih_l0", np.nan), "w_ih has 1 NaN"),
    (_shorter, "float weights have the shapes of the integers"),
    (lambda held, about: held.pop("weight_ih_l0"), "it lacks 'weight_ih_l0'"),
    (lambda held, about: held.pop("w_hh_l1"), "it lacks 'w_hh_l1'"),
    (lambda held, about: about.pop("sha256"), "is damaged"),
]


@pytest.mark.parametrize(("change", "said"), DAMAGE, ids=map(str, range(len(DAMAGE))))
def test_damaged(folder: Path, change: Callable[[Held, dict[str, Any]], object], said: str) -> None:
    held = dict(np.load("q.npz"))
    about = json.loads(held.pop(stored.MARK).tobytes())
    about["sha256"] = 0
    change(held, about)
    if "sha256" in about:
        about["sha256"] = stored._digest(held)
    held[stored.MARK] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez("q.npz", **held)
    with pytest.raises(UsageError) as refused:
        load_any("q.npz")
    assert said in str(refused.value), refused.value


@pytest.mark.parametrize("name", ["w_hh_l1", "weight_hh_l1"])
def test_what_was_changed_is_refused(folder: Path, name: str) -> None:
    """Float weights that were trained further, say, beside integers of before."""
    held = dict(np.load("q.npz"))
    held[name] = held[name] ^ 1 if held[name].dtype.kind == "i" else held[name] * 0.99
    np.savez("q.npz", **held)
    with pytest.raises(UsageError, match="its arrays have the SHA-256 they had"):
        load_any("q.npz")


# The report


def _figures() -> dict[str, dict[str, list[float]]]:
    """The figures in q.npz: dB and worst error."""
    with np.load("q.npz") as held:
        tables = json.loads(held[stored.MARK].tobytes())["figures"]
    return {
        table: {name: [10 * np.log10(row[0] / row[1]), row[2]] for name, row in rows.items()}
        for table, rows in tables.items()
    }


def _near(found: list[float], right: np.ndarray, h: np.ndarray) -> None:
    assert found == pytest.approx([decibels(right, h), np.abs(h - right).max()], rel=1e-4)


@pytest.mark.parametrize("directions", [(1, 1), (2, 1)])
def test_figures(folder: Path, monkeypatch: pytest.MonkeyPatch, directions: tuple) -> None:
    """Each against its definition, computed here in another way; in three batches as in one."""
    monkeypatch.setattr(accuracy_report, "MOST_VECTORS", 20)
    np.savez("m.npz", **torch_names(trained_like(0, SIZES, directions)))
    model = trained_like(0, SIZES, directions)
    if directions == (2, 1):  # which torch's names do not tell
        made = quantize(model, Format(8, 16), np.load("x.npy"))
        stored.write("m.npz", replace(model, quantized=made), {})
    assert _quantize("--evaluation", "y.npy") == 0
    model, y, found = replace(load_any("m.npz"), quantized=None), np.load("y.npy"), _figures()
    made = load_any("q.npz").quantized
    right, x = reference.run(model, y).h, made.quantize_input(y)
    h = made.dequantize_h(golden.run(made, x)[0])
    _near(found["h"]["all"], right, h)
    for part in range(4):
        rows = np.array_split(np.arange(9), 4)[part]
        _near(found["h over time"][f"part {part + 1} of 4"], right[:, rows], h[:, rows])
    count = directions[0]
    below = Model(model.layers[:count], directions=(count,))
    ours = QuantModel(made.fmt, made.layers[:count], directions=(count,), x_scale=made.x_scale)
    low, low_h = reference.run(below, y).h, made.dequantize_h(golden.run(ours, x)[0])
    _near(found["h of layers"]["layer 0"], low, low_h)
    _near(found["h of layers"]["layer 1"], right, h)
    _gates(found["activations of gates"], model, made, y)
    causes, weights = found["h in float but for one thing"], made.in_float()
    _near(causes["weights of all layers"], right, reference.run(weights, y).h)
    mixed = (*weights.layers[:count], *model.layers[count:])
    layer_0 = reference.run(replace(model, layers=mixed), y).h
    _near(causes["weights of layer 0"], right, layer_0)
    rounded = made.dequantize_input(made.quantize_input(y))
    _near(causes["x"], right, reference.run(model, rounded).h)
    _near(causes["rounding of h"], right, _by_hand(model, y, np.tanh, 2.0**15))
    _near(causes["tables of sigma and tanh"], right, _by_hand(model, y, activation.tanh, 2.0**60))
    others = found["h of other choices"]
    for name, fmt, method in (("W8A8", "W8A8", "error"), ("method min-max", "W8A16", "min-max")):
        other = quantize(model, Format.parse(fmt), np.load("x.npy"), method=method)
        _near(
            others[name],
            right,
            other.dequantize_h(golden.run(other, other.quantize_input(y))[0]),
        )
    assert list(others) == [
        *("W16A16", "W8A8", "method min-max", "method percentile"),
        *("ONNX Runtime dynamic int8 per tensor", "ONNX Runtime dynamic int8 per channel"),
    ]
    assert others["ONNX Runtime dynamic int8 per channel"][0] > 10


def _by_hand(
    model: Model, x: np.ndarray, tanh: Callable[[np.ndarray], np.ndarray], one: float
) -> np.ndarray:
    """Run a model by a tanh, h being rounded to so many parts of one."""
    for level in model.levels:
        outputs = []
        for cell in level:
            order = slice(None, None, -1 if cell.reverse else 1)
            h = c = np.zeros((len(x), cell.hidden_size))
            steps = []
            for x_t in x[:, order].swapaxes(0, 1):
                z = np.split(x_t @ cell.w_ih.T + h @ cell.w_hh.T + cell.b, 4, axis=1)
                i, f, o = ((1 + tanh(z[gate] / 2)) / 2 for gate in (0, 1, 3))
                c = f * c + i * tanh(z[2])
                h = np.floor(o * tanh(c) * one + 0.5) / one
                steps.append(h)
            outputs.append(np.stack(steps, axis=1)[:, order])
        x = np.concatenate(outputs, axis=2)
    return x


def _gates(found: dict[str, list[float]], model: Model, made: QuantModel, y: np.ndarray) -> None:
    """Hold gates against those of runs that go step after step, by the golden model's state."""
    acts: dict[str, list[list[np.ndarray]]] = {gate: [[], []] for gate in "ifgo"}
    ours = made.dequantize_input(made.quantize_input(y))
    for side, stack, x in ((0, model, y), (1, made.in_float(), ours)):
        unit: Any = made.x_scale
        for level, ints in zip(stack.levels, made.levels):
            outputs = []
            for cell, q in zip(level, ints):
                if side:
                    bits = np.rint(x / unit).astype(int)
                    h = golden.run(QuantModel(made.fmt, (q,)), bits)[0] * 2.0**-15
                else:
                    h = reference.run(Model((cell,)), x).h
                times = range(x.shape[1])
                for t in reversed(times) if cell.reverse else times:
                    last = t + 1 if cell.reverse else t - 1
                    before = h[:, last] if last in times else np.zeros_like(h[:, 0])
                    z = x[:, t] @ cell.w_ih.T + before @ cell.w_hh.T + cell.b
                    for gate, own_z in zip("ifgo", np.split(z, 4, axis=1)):
                        act = np.tanh(own_z) if gate == "g" else 1 / (1 + np.exp(-own_z))
                        acts[gate][side].append(act.ravel())
                outputs.append(h)
            x, unit = np.concatenate(outputs, axis=2), 2.0**-15
    for gate, both in acts.items():
        _near(found[gate], *(np.concatenate(side) for side in both))


@pytest.mark.parametrize("directions", [(1, 1), (2, 2)])
@pytest.mark.parametrize("row_scales", [True, False])
def test_floats_that_integers_stand_for(directions: tuple[int, ...], row_scales: bool) -> None:
    model, x = trained_like(3, SIZES, directions), uneven_x(3, 4, 9, 5)
    made = quantize(model, Format(8, 16), x, row_scales=row_scales)
    h, _ = golden.run(made, made.quantize_input(x))
    error = np.abs(made.dequantize_h(h) - reference.run(made.in_float(), x).h).max()
    assert error < 1e-3 < 3 * np.abs(made.dequantize_h(h) - reference.run(model, x).h).max()


def test_tanh_of_the_table() -> None:
    z = np.linspace(-9, 9, 9999)
    error = np.abs(activation.tanh(z) - np.tanh(np.clip(z, -8, 8)))
    assert 1e-5 < error.max() < activation.MAX_ERROR + 2.0**-16


def test_max_error_is_a_gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worst = _figures()["h"]["all"][1]
    Path("q.npz").unlink()
    assert _quantize("--max-error", f"{worst * 1.01}") == 0
    Path("q.npz").unlink()
    capsys.readouterr()
    assert _quantize("--max-error", f"{worst * 0.99}") == 6
    shown = capsys.readouterr()
    assert shown.err.startswith("lstm-sharp: the largest error of h is") and "| all " in shown.out
    assert load_any("q.npz").quantized is not None


def test_reports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a<b>&c.npz"
    Path("m.npz").rename(name)
    own = ["quantize", name, "-o", "q.npz", "--calibration", "x.npy", "--report"]
    for report in ("r.md", "r.html"):
        capsys.readouterr()
        assert cli.main([*own, report]) == 0
    text, page = capsys.readouterr().out, Path("r.html").read_text()
    assert text.rstrip() == Path("r.md").read_text().rstrip()
    tables = _figures()
    lines = [line.split("|")[1:-1] for line in text.split("\n") if line.startswith("| ")]
    printed = [[cell.strip() for cell in line] for line in lines]
    for name, rows in tables.items():
        assert [name, "signal to error, dB", "worst error"] in printed and f"<th>{name}<th>" in page
        for row, (dB, worst) in rows.items():
            cells = [row, f"{dB:.1f}", f"{worst:.2g}"]
            assert cells in printed and f"<tr><td>{'<td>'.join(cells)}\n" in page
    assert len(printed) == sum(1 + len(rows) for rows in tables.values())
    assert "0 of 270 values of x are beyond its reach" in page and "0 of 270 values" in text
    assert html.escape("a<b>&c at W8A16") in page
    assert "<b>" not in page and "<script" not in page and "http" not in page


def test_what_saturates_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.load("x.npy")
    np.save("y.npy", 100 * x)
    tensors = torch_names(trained_like(0, SIZES, DIRECTIONS))
    np.savez("m.npz", **{k: v + 20 * k.startswith("bias_ih") for k, v in tensors.items()})
    capsys.readouterr()
    assert _quantize("--evaluation", "y.npy") == 0
    made, out = load_any("q.npz").quantized, capsys.readouterr().out
    counts: list[golden.Saturated] = []
    golden.run(made, made.quantize_input(100 * x), None, counts)
    assert f"{made.clipped(100 * x)} of 270 values of x" in out and made.clipped(100 * x) > 0
    for index, (h, c) in enumerate(counts):
        if h or c:
            assert f"layer {index}: {h} values of h and {c} of c" in out
    assert all(h for h, _ in counts)  # c grows by one a step


def _noisy(row_scales: int) -> str:
    """A model whose one weight takes all bits, where rows have no scales of their own."""
    cfg = resized(config.load("tiny"), name="narrow", row_scales=row_scales)
    Path("narrow.json").write_text(json.dumps(cfg.knobs()))
    tensors = torch_names(trained_like(0, SIZES, DIRECTIONS))
    for name, value in tensors.items():
        if name.startswith("weight"):
            value[1, 1] = 120.0
    np.savez("m.npz", **tensors)
    return "narrow.json"


def test_another_format_is_advised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = _noisy(0)
    capsys.readouterr()
    assert _quantize("--config", narrow) == 0
    found, shown = _figures(), capsys.readouterr().out
    own, wide = found["h"]["all"][0], found["h of other choices"]["W16A16"][0]
    told = f"h has {own:.1f} dB of signal to error at W8A16; W16A16 would have {wide:.1f}: take"
    assert own < 20 < wide and told in shown
    assert found["h of other choices"]["a scale a row"][0] > own + 10
    assert cli.main(["fit", "q.npz", "--board", "none"]) == 0
    assert f"note: measured when it was quantised: {told}" in capsys.readouterr().err
    for model in ("q.npz", "m.npz"):
        run = ["run", model, "--input", "x.npy", "--output", "h.npy", "--config", narrow]
        assert cli.main([*run, "--json", "r.json"]) == 0
        report = json.loads(Path("r.json").read_text())
        assert report["signal_to_error"] == pytest.approx(own, abs=1)
        told = f"h has {report['signal_to_error']:.1f} dB of signal to error at W8A16; W16A16 would"
        assert told in report["notes"][-1] and told in capsys.readouterr().err
    assert cli.main([*run[:6], "--format", "W16A16"]) == 0
    assert "take --format" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("own", "wide", "advised"), [(5, 7.9, False), (5, 8, True), (19.9, 40, True), (20, 40, False)]
)
def test_advice_is_for_large_errors_and_for_a_gain(own: float, wide: float, advised: bool) -> None:
    told = accuracy_report.advice("W8A8", {"W8A8": own, "W8A16": own, "W16A16": wide})
    assert (told is not None and told.endswith("take --format W16A16")) == advised


def test_without_onnx_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    capsys.readouterr()
    assert _quantize() == 0
    assert "ONNX Runtime's int8 needs onnx; run pip" in capsys.readouterr().out
    assert not any("ONNX" in row for row in _figures()["h of other choices"])


def test_a_published_model(folder: Path) -> None:
    try:
        trained = published.uzmorph_nn()
    except published.PackageNotFoundError as error:
        pytest.skip(f"{error.name} is not installed: make setup")
    np.savez("m.npz", **torch_names(trained.model))
    np.save("x.npy", trained.calibration)
    np.save("y.npy", trained.evaluation)
    assert _quantize("--evaluation", "y.npy", "--max-error", "0.3") == 0
    found = _figures()
    others = found["h of other choices"]
    assert found["h"]["all"][0] > others["ONNX Runtime dynamic int8 per channel"][0]
    assert others["W16A16"][0] > found["h"]["all"][0] > others["W8A8"][0]
