"""Sessions of whole graphs: names, states, types of inputs, and outputs as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import Session, cli, load
from lstm_sharp.errors import UsageError

onnx: Any = pytest.importorskip("onnx")

_SHAPES = {"W": (1, 16, 4), "R": (1, 16, 4), "V": (1, 16, 4), "Q": (1, 16, 4)}


def made(folder: Path, io: str, body: str) -> Path:
    """Write a graph with the weights of two LSTMs 4 -> 4."""
    opset = '<ir_version: 8, opset_import: ["" : 17]>'
    model = onnx.parser.parse_model(f"{opset} g ({io.replace('->', ') => (')}) {{ {body} }}")
    rng = np.random.default_rng(0)
    for name, shape in _SHAPES.items():
        value = rng.uniform(-0.8, 0.8, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    onnx.save(model, folder / "m.onnx")
    return folder / "m.onnx"


def x_of(steps: int = 7, batch: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, batch, 4)).astype(np.float32)


def run(path: Path, inputs: dict[str, Any], backend: str = "golden", **how: Any) -> Any:
    with Session(load(path, whole=True), "tiny", backend, format="W16A16", **how) as session:
        return session.run(inputs)


def near(path: Path, inputs: dict[str, Any]) -> None:
    found, exact = run(path, inputs), run(path, inputs, "float")
    assert all(np.abs(found[name] - exact[name]).max() < 2e-3 for name in exact)


@pytest.mark.parametrize("taken", [True, False])
def test_parts_of_one_name_are_two(tmp_path: Path, taken: bool) -> None:
    """Bodies may use a name again, and a node without one is called as its output."""
    path = made(
        tmp_path,
        "float[t, n, 4] x, bool c -> float y, float z",
        """y = If (c) < then_branch = a () => (float o) { o, p = LSTM<hidden_size=4>(x, W, R) },
                        else_branch = b () => (float o) { o, q = LSTM<hidden_size=4>(x, V, Q) } >
           z, zh = LSTM<hidden_size=4>(x, V, Q)""",
    )
    assert [part.name for part in load(path).parts] == ["z", "o", "o (2)"]
    near(path, {"x": x_of(), "c": np.array(taken)})


def test_a_kept_state_is_the_session_s_own(tmp_path: Path) -> None:
    path = made(
        tmp_path,
        "float[t, n, 4] x, float[1, n, 4] h, float[1, n, 4] c -> float hn, float cn",
        'y, hn, cn = LSTM<hidden_size=4>(x, W, R, "", "", h, c)',
    )
    for backend in ("float", "golden"):
        ends = []
        for spoil in (False, True):
            with Session(load(path), backend=backend, stateful=True) as session:
                first = session.run({"x": x_of()})
                for value in first.values() if spoil else ():
                    value *= 0
                ends.append(session.run({"x": x_of(seed=1)}))
                assert session.report.states == (("c", "cn"), ("h", "hn"))
                if backend == "float":
                    with pytest.raises(UsageError, match="is float32"):
                        session.run({"x": x_of(batch=3)})
        assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_part_s_state_is_of_so_many_sequences(tmp_path: Path) -> None:
    path = made(tmp_path, "float[t, n, 4] x -> float y", "y = LSTM<hidden_size=4>(x, W, R)")
    for backend in ("float", "golden"):
        with Session(load(path, whole=True), backend=backend, stateful=True) as session:
            session.run({"x": x_of()})
            with pytest.raises(UsageError, match=r"goes on with 2 sequences, 3 were given.*reset"):
                session.run({"x": x_of(batch=3)})
            session.reset()
            session.run({"x": x_of(batch=3)})


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_x_that_never_changes(tmp_path: Path, value: float) -> None:
    """As a decoder's first symbol is: no data would tell the scale of it."""
    path = made(
        tmp_path,
        "float[t, n, 4] x -> float y",
        f"""s = Sub(x, x)  k = Constant<value_float = {value}>()  z = Add(s, k)
            a, h, c = LSTM<hidden_size=4>(x, W, R)
            y = LSTM<hidden_size=4>(z, V, Q, "", "", h, c)""",
    )
    near(path, {"x": x_of(1)})
    near(path, {"x": x_of()})


_TYPES = "float[t, n, 4] x, uint8[n] u, float16[n] f -> float y, uint8 v, float16 w"
_OF_TYPES = "y = LSTM<hidden_size=4>(x, W, R)  v = Identity(u)  w = Identity(f)"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"u": np.array([1, 300])}, "input u has 1 to 300, which uint8 does not hold"),
        ({"u": np.array([1, -1])}, "input u has -1 to 1, which uint8 does not hold"),
        ({"f": np.array([1.0, 7e4])}, "input f has NaN, or values beyond float16"),
        ({"x": x_of() * np.nan}, "input x has NaN, or values beyond float32"),
        ({"x": np.full((7, 2, 4), 1e300)}, "input x has NaN, or values beyond float32"),
        ({"x": np.zeros((0, 2, 4), np.float32)}, "input x has no values"),
        ({"u": np.array(["a", "b"])}, "input u is <U1 (2,); its inputs are x: float32 (t, n, 4)"),
    ],
)
def test_types_of_inputs(tmp_path: Path, inputs: dict[str, Any], said: str) -> None:
    path = made(tmp_path, _TYPES, _OF_TYPES)
    good = {"x": x_of(), "u": np.array([1, 255]), "f": np.array([-np.inf, 6e4])}
    assert np.array_equal(run(path, good)["w"], np.array([-np.inf, 6e4], np.float16))
    with pytest.raises(UsageError) as error:
        run(path, {**good, **inputs})
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"schedule": "bogus"}, "bogus"),
        ({"format": "W99"}, "W99"),
        ({"calibration": {"nope": x_of()}}, "needs the input x|has no input nope"),
        ({"calibration": {"x": np.zeros((0, 7, 2, 4))}}, "a series of 0 calls"),
        ({"overlay": "a.bit"}, "takes no overlay"),
    ],
)
@pytest.mark.parametrize("backend", ["float", "golden"])
def test_options(tmp_path: Path, how: dict[str, Any], said: str, backend: str) -> None:
    path = made(tmp_path, "float[t, n, 4] x -> float y", "y = LSTM<hidden_size=4>(x, W, R)")
    with pytest.raises(UsageError, match=said):
        Session(load(path, whole=True), backend=backend, **how)
    with pytest.raises(TypeError, match="nonsense"):
        Session(load(path, whole=True), backend=backend, nonsense=1)
    Session(load(path, whole=True), backend=backend, calibration=x_of())  # of the first input


@pytest.mark.parametrize(
    "asked",
    [
        "run m.onnx --node y --input x.npy --input x.npy --output y.npy",
        "run m.onnx --node y --input x.npy --calibration x.npy --calibration x.npy --output y.npy",
        "package m.onnx --node y --config tiny --calibration x.npy --calibration x.npy -o p",
    ],
)
def test_a_stack_has_one_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, "float[t, n, 4] x -> float y", "y = LSTM<hidden_size=4>(x, W, R)")
    np.save("x.npy", x_of())
    assert cli.main(asked.split()) == 2
    assert "is given 2 times; one stack has one input: give it once" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "x.npy"]


def test_outputs_as_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = made(
        tmp_path,
        "float[t, n, 4] x, bool c -> float y, int64 z, float two_y",
        """y = LSTM<hidden_size=4>(x, W, R)  n = Not(c)  f = Cast<to=1>(c)
           u = Mul(y, f)  z = NonZero(u)  two_y = Add(y, y)""",
    )
    model = onnx.load(path)
    model.graph.output[2].name = model.graph.node[-1].output[0] = "two/y"
    onnx.save(model, path)
    x = np.stack([x_of(), x_of(seed=1)])
    np.save("x.npy", x)
    np.save("one.npy", x[0])
    np.save("c.npy", np.array([True, False]))
    asked = ["run", "m.onnx", "--backend", "float"]
    assert cli.main([*asked, "--input", "one.npy", "--input", "c=true", "--output", "o/"]) == 0
    assert {p.name for p in Path("o").iterdir()} == {"y.npy", "z.npy", "two_y.npy"}
    assert cli.main([*asked, "--input", "x.npy", "--input", "c=c.npy", "--output", "o.npz"]) == 2
    assert "output z has shapes" in capsys.readouterr().err
    model.graph.output[2].name = model.graph.node[-1].output[0] = "two_y"
    model.graph.output[0].name = model.graph.node[0].output[0] = "two/y"
    for node in model.graph.node:
        node.input[:] = ["two/y" if name == "y" else name for name in node.input]
    onnx.save(model, path)
    assert cli.main([*asked, "--input", "one.npy", "--input", "c=1", "--output", "p/"]) == 2
    assert "two outputs of the graph would be two_y.npy" in capsys.readouterr().err
    assert not Path("p").exists() and not Path("o.npz").exists()
