"""Packages of whole graphs, which a virtual board runs; and what commands tell of graphs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("pynq")
from driver_user import TINY, bit, device, quick
from lstm_sharp import Session, cli, load, package
from lstm_sharp.driver import GraphAccelerator
from lstm_sharp.errors import UsageError
from lstm_sharp.package import graphs

onnx: Any = pytest.importorskip("onnx")
__all__ = ["bit", "device", "quick"]  # fixtures

_TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[n, 3, t] x, float[2, n, 4] state, bool more)
=> (float y, float ends, float kept, float rest)
<int64[1] zero = {0}, int64[1] one = {1}, float half = {0.5}>
{
  small = Mul(x, half)
  a = Conv<pads=[1, 1]>(small, C)
  tm = Transpose<perm=[2, 0, 1]>(a)
  h0 = Slice(state, zero, one, zero)
  two = Add(one, one)
  c0 = Slice(state, one, two, zero)
  Y, Yh, Yc = LSTM<hidden_size=4>(tm, W, R, B, "", h0, c0)
  ends = Concat<axis=0>(Yh, Yc)
  s = Squeeze(Y, one)
  G = GRU<hidden_size=5, linear_before_reset=1>(s, V, Q)
  y = Sigmoid(G)
  kept = Identity(half)
  rest = If (more) <
    then_branch = many () => (float p) {
      p, ph = GRU<hidden_size=5, linear_before_reset=1>(s, V, Q)
    },
    else_branch = few () => (float q) { q = Neg(G) }
  >
}
"""
"""An LSTM whose state goes in and out, a GRU whose state does not, and one in a branch."""


def written(folder: Path, units: int = 5) -> Path:
    rng = np.random.default_rng(0)
    shapes = {"C": (6, 3, 3), "W": (1, 16, 6), "R": (1, 16, 4), "B": (1, 32)}
    shapes |= {"V": (1, 3 * units, 4), "Q": (1, 3 * units, units)}
    model = onnx.parser.parse_model(_TEXT.replace("hidden_size=5", f"hidden_size={units}"))
    for name, shape in shapes.items():
        value = rng.uniform(-0.6, 0.6, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path)


def calls(count: int, seed: int = 1, more: bool = False) -> dict[str, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-2, 2, (count, 2, 3, 7)).astype(np.float32)
    return {"x": x, "more": np.array(more)}


@pytest.mark.rtl
@pytest.mark.usefixtures("quick")
def test_on_a_board(path: Path, bit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """States go on from call to call as in a session; what did not run is not in it."""
    data, asked = calls(12), calls(3, 2)
    folder = path.parent / "p"
    graphs.write(load(path), TINY, folder, data, overlay=bit, stateful=True)
    from lstm_sharp.driver import graphs as driver

    assert driver.main(folder, []) == 0
    assert capsys.readouterr().out.count("PASS") == 2
    with Session(load(path), TINY, calibration=data, stateful=True) as session:
        session.run({"x": asked["x"][0], "more": asked["more"]})
        session.reset()
        wanted = [session.run({"x": x, "more": asked["more"]}) for x in asked["x"]]
    with GraphAccelerator(bit, folder) as accelerator:
        for x, want in zip(asked["x"], wanted):
            found = accelerator.run({"x": x, "more": asked["more"]})
            assert list(found) == ["y", "ends", "kept", "rest"]
            assert all(np.array_equal(found[name], want[name]) for name in want)
        assert accelerator.report.states == (("state", "ends"),)
        with pytest.raises(UsageError, match="p is not in the package; calibrate with inputs that"):
            accelerator.run({"x": asked["x"][0], "more": np.array(True)})
    assert not np.array_equal(wanted[0]["y"], wanted[1]["y"])
    with pytest.raises(UsageError, match="another.bit"):  # not the one that lies in the folder
        GraphAccelerator(folder / "another.bit", folder)


def test_reading_takes_no_onnx(path: Path) -> None:
    """The laptop's half: a function of the user's runs each part."""
    folder = path.parent / "p"
    graphs.write(load(path), TINY, folder, calls(12))
    code = (
        "import sys; sys.modules['onnx'] = None; import numpy as np\n"
        "from lstm_sharp.package import graphs\n"
        f"graph = graphs.read({str(folder)!r}).graph\n"
        "def call(part, x, state, lengths):\n"
        "    print(part.name, part.model.kind, x.shape, state is None)\n"
        "    h = np.zeros((*x.shape[:2], part.model.hidden_size))\n"
        "    return h, (h[:, 0][None], h[:, 0][None])\n"
        "x = {'x': np.ones((2, 3, 4)), 'state': np.ones((2, 2, 4)), 'more': np.array(False)}\n"
        "print(*(v.shape for v in graph.run(x, call).values()), sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "Y lstm (2, 4, 6) False",
        "G gru (2, 4, 4) True",
        *("(4, 1, 2, 5)", "(2, 2, 4)", "()", "(4, 1, 2, 5)"),
    ]


def test_where_there_is_no_onnx_runtime_numpy_computes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = graphs.write(load(path), TINY, path.parent / "p", calls(12))
    assert held.needs_runtime.startswith("Mul small, Conv a, Transpose tm")
    model = onnx.load(path)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    model.graph.node[1].CopyFrom(
        onnx.helper.make_node("Concat", ["small", "small"], conv.output, axis=1)
    )
    onnx.save(model, path)
    plain = graphs.write(load(path), TINY, path.parent / "q", calls(12))
    assert plain.needs_runtime == ""

    def zeros(part: Any, x: np.ndarray, state: Any, lengths: Any) -> Any:
        h = np.full((*x.shape[:2], part.model.hidden_size), 0.5)
        return h, (h[:, 0][None], h[:, 0][None])

    given = {"x": np.ones((2, 3, 4), np.float32), "state": np.ones((2, 2, 4), np.float32)}
    given["more"] = np.array(False)
    want = plain.graph.run(given, zeros)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(graphs, "find_spec", lambda name: None)
    found = graphs.read(path.parent / "q").graph.run(given, zeros)
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6)


def test_a_branch_that_is_taken(path: Path) -> None:
    folder, data = path.parent / "p", calls(12, more=True)
    made = graphs.write(load(path), TINY, folder, data)
    assert list(made.parts) == ["Y", "G", "p"]
    assert package.read(folder / "part2").model.kind == "gru"
    assert graphs.read(folder).parts.keys() == made.parts.keys()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: (p / "piece1.onnx").write_bytes(b"x"), "piece1.onnx has the SHA-256 it had"),
        (lambda p: (p / "piece0.onnx").unlink(), "piece0.onnx cannot be read"),
        (lambda p: (p / "part0" / "model.npz").unlink(), "model.npz cannot be read"),
        (lambda p: _told(p, sha256="0"), "graph.json is as it was written"),
        (lambda p: _told(p, body={**_body(p), "pieces": []}), "there is at least one part"),
        (lambda p: _told(p, lstm_sharp_graph=2), "or of another version than 1"),
        (lambda p: _told(p, body=[]), "is damaged"),
        (lambda p: _told(p, inputs={"x": 1}), "is damaged"),
        (lambda p: _piece(p, part="../part0"), "a part's folder has a plain name"),
        (lambda p: _piece(p, file="../net.onnx"), "a plain name"),
        (lambda p: _piece(p, op="Print"), "op is If, Loop or Scan"),
        (lambda p: (p / "graph.json").write_text("[" * 10**5), "is not JSON that can be read"),
    ],
)
def test_damaged(path: Path, change: Any, said: str) -> None:
    folder = path.parent / "p"
    graphs.write(load(path), TINY, folder, calls(8))
    change(folder)
    with pytest.raises(UsageError, match=said):
        graphs.read(folder)


def _told(folder: Path, **changes: Any) -> None:
    """Change graph.json, and its own sum with it."""
    about = {**json.loads((folder / "graph.json").read_text()), **changes}
    sums = {"sha256": graphs.digest(about), **changes}
    (folder / "graph.json").write_text(json.dumps({**about, "sha256": sums["sha256"]}))


def _body(folder: Path) -> Any:
    return json.loads((folder / "graph.json").read_text())["body"]


def _piece(folder: Path, **changes: Any) -> None:
    body = _body(folder)
    (key,) = changes
    for piece in body["pieces"]:
        if key in piece:
            piece.update(changes)
    _told(folder, body=body)


def test_folder_is_new(path: Path) -> None:
    folder = path.parent / "p"
    folder.mkdir()
    graphs.write(load(path), TINY, folder, calls(8))
    with pytest.raises(UsageError, match="is a package of a whole graph; driver.GraphAcc"):
        package.read(folder)
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        graphs.write(load(path), TINY, folder, calls(8))
    with pytest.raises(UsageError, match="needs the input more: bool"):
        graphs.write(load(path), TINY, path.parent / "q", {"x": calls(8)["x"]})
    assert sorted(p.name for p in path.parent.iterdir()) == ["net.onnx", "p"]


def test_parts_are_quantised_for_one_engine_though_none_is_needed(tmp_path: Path) -> None:
    graph = load(written(tmp_path, 40))
    with Session(graph, format="W8A8", calibration=calls(8)) as session:
        assert {part.cfg.name for part in session.sessions.values()} == {"pynq-z2-fast"}
    with Session(graph, format="W8A8", backend="float") as session:
        assert not session.sessions


def test_commands(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(path.parent)
    np.save("x.npy", calls(9)["x"])
    given = ["--calibration", "x=x.npy", "--calibration", "more=0"]
    assert (
        cli.main(["package", "net.onnx", "--config", "tiny", "-o", "p", "--virtual", *given]) == 0
    )
    told = capsys.readouterr().out
    assert "p: left out, it did not run" in told and "2 parts on it" in told
    assert {"tiny.bit", "tiny.hwh", "run.py", "graph.json"} < {p.name for p in Path("p").iterdir()}
    wrong = ["package", "net.onnx", "--config", "tiny", "-o", "q", "--assume-range=-1,1"]
    assert cli.main(wrong) == 2 and "give --calibration NAME=X.npy" in capsys.readouterr().err

    assert cli.main(["inspect", "net.onnx", "--svg", "net.svg", "--json", "net.json"]) == 0
    told = capsys.readouterr().out
    for line in (
        "input state: float32 (2, n, 4)",
        "LSTM 6 -> 4, forward, 160 weights",
        "initial states from h0, c0",
        "GRU 4 -> 5, forward",
        "on the engine, from config tiny on (W8A16)",
        "If of more",
        "output rest",
    ):
        assert line in told, line
    boxes = ElementTree.parse("net.svg").getroot().findall("{http://www.w3.org/2000/svg}rect")
    assert len(boxes) == len(json.loads(Path("net.json").read_text())["pieces"])

    assert cli.main(["fit", "net.onnx", "--json", "fit.json"]) == 0
    assert json.loads(Path("fit.json").read_text())["best"] == "pynq-z2"
    assert "pynq-z2 holds all parts of net.onnx" in capsys.readouterr().err

    asked = ["run", "net.onnx", "--input", "x=x.npy", "--input", "more=0", "--config", "tiny"]
    assert cli.main([*asked, *given, "--output", "y.npz", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 2 * 9 * 2 * 7 and told["config"] == "tiny"
    assert told["states"] == [["state", "ends"]] and 0 < told["max_abs_error"] < 0.1
    assert np.load("y.npz")["ends"].shape == (9, 2, 2, 4)
    assert cli.main([*asked, "--output", "y.npy"]) == 2
    assert "has 3 outputs, y, kept, rest; give --output a folder" in capsys.readouterr().err
    assert cli.main([*asked, "--output", "no/ne/"]) == 2
    assert "no/ne/ cannot be made" in capsys.readouterr().err
    assert cli.main([*asked, "--output", "out/"]) == 0
    assert sorted(p.name for p in Path("out").iterdir()) == [
        *("ends.npy", "kept.npy", "rest.npy", "y.npy")
    ]
    assert "scales were chosen on 14 steps of the first call" in capsys.readouterr().err
    assert (
        cli.main([*asked[:2], "--input", "x.npy", "--input", "more=2.5", "--output", "o.npz"]) == 2
    )
    assert (
        "input more is float64 (); its inputs are x: float32 (n, 3, t);" in capsys.readouterr().err
    )
