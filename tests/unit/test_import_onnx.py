"""ONNX graphs: what is read is what the file means, and the rest is refused by name."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.files import max_memory
from lstm_sharp.model import load, onnx_cut, pieces
from lstm_sharp.model.graph import Graph
from lstm_sharp.runtime.graphs import Session
from models import H, X, float_h, refused, weights, x_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")


def write_onnx(
    path: Path,
    body: str,
    head: str = "(float[B,T,3] x) => (y)",
    opset: int = 17,
    kind: str = "float",
    **more: np.ndarray,
) -> Path:
    """Writes a graph in the text form of onnx.

    W0, R0, B0 are of a layer of one direction that takes x, W1 ... of one that takes its h. W2 ...
    are of a bidirectional layer that takes x; W3 ... and W4 ... of one with two directions and
    one with one direction that take its h.
    """
    graph = onnx.parser.parse_graph(f"g {head} {{ {body} }}")
    tensors = dict(CONSTANTS)
    for index, (inputs, directions) in enumerate([(X, 1), (H, 1), (X, 2), (2 * H, 2), (2 * H, 1)]):
        cells = [weights(inputs, seed=index + 10 * n).values() for n in range(directions)]
        w_ih, w_hh, b_ih, b_hh = map(np.stack, zip(*cells))
        tensors |= {f"W{index}": w_ih, f"R{index}": w_hh}
        tensors[f"B{index}"] = np.concatenate([b_ih, b_hh], axis=1)
    floats = onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, kind.upper()))
    for name, value in (tensors | more).items():
        value = value.astype(floats if value.dtype.kind == "f" else value.dtype)
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


SQUARE = weights()["weight_hh_l0"]
CONSTANTS = {name: np.array([n]) for name, n in {"zero": 0, "one": 1, "two": 2, "four": 4}.items()}
CONSTANTS |= {"last": np.array(-1), "beside": np.array([0, 0, -1]), "mixed": np.array([0, -1, 8])}
CONSTANTS |= {"half": np.full((1, 1, H), 0.5, "f"), "none": np.zeros(1, "f")}
CONSTANTS |= {"P": np.zeros((1, 3 * H), "f"), "V": np.linspace(0.5, 2, H, dtype="f")}
CONSTANTS |= {"M": SQUARE[:H, :2], "M2": SQUARE[: 2 * H, :2]}


def check(got: np.ndarray, path: Path, x: np.ndarray) -> None:
    """Compares with the file's last output: of ONNX Runtime, which has no LSTM of layout=1."""
    batchwise = any(a.name == "layout" for n in onnx.load(path).graph.node for a in n.attribute)
    of = onnx.reference.ReferenceEvaluator if batchwise else onnxruntime.InferenceSession
    want = of(str(path)).run(None, {"x": x})[-1]
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


def _graphs() -> dict[str, dict[str, str]]:
    """Graphs of graphs.txt by kind and name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for case in Path(__file__).with_name("graphs.txt").read_text().split("\n== ")[1:]:
        title, body = case.split("\n", 1)
        kind, name = title.split(": ", 1)
        found[kind][name] = body
    return found


GRAPHS = _graphs()
IN = "tm = Transpose<perm=[1,0,2]>(x)"
LSTM0 = IN + "\nY, Yh, Yc = LSTM<hidden_size=4>(tm, W0, R0, B0)"
OUT = "s = Squeeze(Y, one)\ny = Transpose<perm=[1,0,2]>(s)"
LAYER1 = "\nY1, Yh1 = LSTM<hidden_size=4>(a, W1, R1, B1)\n"
OUT1 = "s1 = Squeeze(Y1, one)\ny = Transpose<perm=[1,0,2]>(s1)"


@pytest.mark.parametrize("name", GRAPHS["sequence"])
def test_onnx_sequence(tmp_path: Path, name: str) -> None:
    model = load(write_onnx(tmp_path / "m.onnx", GRAPHS["sequence"][name]))
    assert model.head is None and len(model.levels) == (2 if "stack" in name else 1)
    assert len(model.levels[0]) == (2 if "both" in name else 1)
    check(float_h(model, x_of()), tmp_path / "m.onnx", x_of())


@pytest.mark.parametrize("name", GRAPHS["head"])
def test_onnx_head(tmp_path: Path, name: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["head"][name])
    model = load(path)
    for x in (x_of(2, 11), x_of(1, 3)):
        check(model.head(float_h(model, x)), path, x)


@pytest.mark.parametrize("kind", ["float", "bfloat16"])
@pytest.mark.parametrize("body", ["Identity(Yc)", "Add(Y, m)", "Concat<axis=0>(Y, Z)"])
def test_onnx_output_that_takes_more_than_h(tmp_path: Path, body: str, kind: str) -> None:
    tail = "\nm = ReduceMean(x)\nZ = Unsqueeze(Yc, zero)\ny = " + body
    path, x = tmp_path / "m.onnx", x_of()
    want = write_onnx(path, LSTM0 + tail)
    answer = onnxruntime.InferenceSession(str(want)).run(None, {"x": x})[0]
    graph = load(write_onnx(path, LSTM0 + tail, f"({kind}[B,T,3] x) => (y)", kind=kind))
    assert isinstance(graph, Graph)
    got = Session(graph, backend="float").run(x)
    np.testing.assert_allclose(got.astype(float), answer, atol=1e-6 if kind == "float" else 0.03)
    assert load(path, "W0").no_head == "is a part of a graph, which takes more than its h"


def test_onnx_head_is_what_is_computed(tmp_path: Path) -> None:
    """States are none; where there is more than one output of the kind, the graph is run whole."""
    body = LSTM0 + OUT + "\nc = Identity(Yc)\nl = Gather(Yh, last)\nz = MatMul(l, M)"
    body += '\nw = Relu(z)\nq = Constant<value_strings=["a"]>()'
    path = write_onnx(tmp_path / "m.onnx", body, "(float[B,T,3] x) => (y, Yh, c, z)")
    model = load(path)
    check(model.head(float_h(model, x_of())), path, x_of())
    assert load(write_onnx(path, body, "(float[B,T,3] x) => (y, Yh, c)")).head is None
    for outputs in ("z, w", "y, z, w", "c, y", "q, w, y"):
        graph = load(write_onnx(path, body, f"(float[B,T,3] x) => ({outputs})"))
        assert isinstance(graph, Graph)
        check(Session(graph, backend="float").run({"x": x_of()})[outputs[-1]], path, x_of())


GRU = {"G": np.linspace(-1, 1, 36).reshape(1, 9, 4), "U": np.linspace(-2, 1, 27).reshape(1, 9, 3)}


@pytest.mark.parametrize("text", GRAPHS["wrong"])
def test_onnx_head_that_the_reference_evaluator_gets_wrong(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opset = int(text.split()[-1])
    more = GRU | {"last0": np.array(0)}
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["wrong"][text], opset=opset, **more)
    x = x_of()
    model = load(path, "W0")
    h = float_h(model, x)
    check(model.head(h), path, x)
    # It is wrong or fails, so there is a reason to refuse it.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        wrong = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
        if wrong.shape == model.head(h).shape and np.abs(wrong - model.head(h)).max() <= 1e-3:
            pytest.fail("it is right")  # which is no Exception
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="not installed; run pip install onnxruntime") as error:
        load(path, "W0").head(h)
    assert text in str(error.value)


@pytest.mark.parametrize("kind", ["float", "double", "float16", "bfloat16"])
@pytest.mark.parametrize("runtime", [True, False])
def test_onnx_head_of_other_floats(
    tmp_path: Path, kind: str, runtime: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole graph in one type, and its head computed in that type."""
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    body = LSTM0 + "\nl = Gather(Yh, last)\nm = MatMul(l, M)\ny = Softmax(m)"
    path = write_onnx(tmp_path / "m.onnx", body, f"({kind}[B,T,3] x) => (y)", kind=kind)
    model = load(path)
    h = float_h(model, x_of())
    y = model.head(h)
    e = np.exp(h[:, -1] @ weights()["weight_hh_l0"][:H, :2])
    assert y.dtype == {"double": np.float64, "float16": np.float16}.get(kind, np.float32)
    tolerance = {"float16": 2e-3, "bfloat16": 1e-2}.get(kind, 1e-6)
    np.testing.assert_allclose(y, e / e.sum(axis=1, keepdims=True), rtol=0, atol=tolerance)


def test_onnx_heads_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    softmax = f"{LSTM0}\ns = Squeeze(Y, one)\ny = Softmax<axis=-1>(s)"
    for index, body in enumerate((*GRAPHS["head"].values(), softmax)):
        path = write_onnx(tmp_path / f"m{index}.onnx", body)
        model = load(path)
        h = float_h(model, x_of())
        want = model.head(h)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "onnxruntime", None)
            np.testing.assert_allclose(load(path).head(h), want, rtol=0, atol=1e-6)


def test_onnx_head_of_fixed_size_takes_no_other(tmp_path: Path) -> None:
    body = LSTM0 + "\nt = Transpose<perm=[2,0,1,3]>(Y)\nfixed = Constant<value_ints=[2,7,4]>()"
    body += "\nr = Reshape(t, fixed)\ny = Relu(r)"
    path = write_onnx(tmp_path / "m.onnx", body, "(float[2,7,3] x) => (y)")
    model = load(path)
    h = float_h(model, x_of())
    check(model.head(h), path, x_of())
    with pytest.raises(UsageError, match=r"\(2, 7\).*not \(7, 2\); export with dynamic axes"):
        model.head(h.reshape(7, 2, H))


STEPS_FIRST = LSTM0.replace(IN, "tm = Identity(x)") + "\ny = Squeeze(Y, one)"
BY20 = LSTM0.replace(IN, "r = Reshape(x, by20)\n" + IN.replace("x", "r")) + OUT
FIXED = {  # the file's x; how it is laid out; x that is right, and x that is not
    "(20, 1, 3), time first, so here (batch, time, features) = (1, 20, 3)": (
        ("float[20,1,3]", STEPS_FIRST, [(1, 20, 3)], [(20, 1, 3), (1, 19, 3), (2, 20, 3)])
    ),
    "x as (batch, time, features) = (1, 20, 3)": (
        ("float[1,20,3]", LSTM0 + OUT, [(1, 20, 3)], [(20, 1, 3), (16, 20, 3)])
    ),
    "x as (batch, time, features) = (any, 20, 3)": (
        ("float[B,20,3]", BY20, [(1, 20, 3), (5, 20, 3)], [(20, 5, 3)])
    ),
}


@pytest.mark.parametrize("text", FIXED)
def test_x_that_contradicts_the_sizes_in_the_file(tmp_path: Path, text: str) -> None:
    kind, body, right, wrong = FIXED[text]
    more = {"by20": np.array([-1, 20, 3])}
    path = write_onnx(tmp_path / "m.onnx", body, f"({kind} x) => (y)", **more)
    session = Session(load(path), backend="float")
    axes = (1, 0, 2) if body == STEPS_FIRST else (0, 1, 2)
    for shape in right:
        x = x_of(*shape[:2])
        check(session.run(x).transpose(axes), path, x.transpose(axes))
    for shape in wrong:
        for run in (session.run, lambda x: session.run(list(x))):
            with pytest.raises(UsageError) as error:
                run(np.ones(shape))
            assert f"has shape {shape}, but the file of m declares {text}" in str(error.value)


ODD = {"by2": np.array([-1, 2, 3]), "of2": np.array([2, -1, 1, H]), "none0": np.array([0])}
ODD |= {"six": np.array([6]), "five": np.array([5], "i4"), "narrow": np.zeros((1, 1, 2))}
ODD |= {"three": np.zeros((1, 3, H))}


@pytest.mark.parametrize("name", GRAPHS["graph"])
def test_onnx_graph(tmp_path: Path, name: str) -> None:
    """More than a stack stands there: it is run whole."""
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["graph"][name], **ODD)
    graph = load(path)
    assert isinstance(graph, Graph)
    check(Session(graph, backend="float").run(x_of()), path, x_of())


@pytest.mark.parametrize("text", GRAPHS["run"])
def test_onnx_run_refused(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "_MOST_TURNS", 64)
    session = Session(load(write_onnx(tmp_path / "m.onnx", GRAPHS["run"][text], **ODD)))
    with pytest.raises(UsageError, match=re.escape(text)):
        session.run(x_of())


@pytest.mark.parametrize("text", GRAPHS["refused"])
def test_onnx_refused(tmp_path: Path, text: str) -> None:
    refused(write_onnx(tmp_path / "m.onnx", GRAPHS["refused"][text], **ODD), text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int64[B,T,3]", "Y: its x is int64 (7, 2, 3); floats (time, batch, 3)"),
        ("float[T,3]", "input x is float32 (2, 7, 3); its inputs are x: float32 (T, 3)"),
        ("float[2,7,4]", "input x is float32 (2, 7, 3); its inputs are x: float32 (2, 7, 4)"),
        ("float[2,9999999999,3]", "its inputs are x: float32 (2, 9999999999, 3)"),
        ("int64[5,T,3]", "input x is float32 (2, 7, 3); its inputs are x: int64 (5, T, 3)"),
    ],
)
def test_onnx_input_refused(tmp_path: Path, kind: str, text: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + OUT, f"({kind} x) => (y)")
    x = x_of().astype(int) if text.startswith("Y") else x_of()
    with pytest.raises(UsageError, match=re.escape(text)):
        Session(load(path), backend="float").run(x)


def test_onnx_inputs_by_name(tmp_path: Path) -> None:
    body = LSTM0 + OUT + "\nw = Cast<to=1>(n)\nq = Mul(y, w)"
    path = write_onnx(tmp_path / "m.onnx", body, "(float[B,T,3] x, int64[1] n) => (q)")
    session = Session(load(path), backend="float")
    told = "its inputs are x: float32 (B, T, 3); n: int64 (1)"
    for given, said in (
        ({"x": x_of(), "m": [1]}, "needs the input n: int64 (1)"),
        ({"x": x_of(), "n": [1], "m": [1]}, f"has no input m; {told}"),
        ({"n": [1]}, "needs the input x"),
        ({"x": x_of(), "n": [1.5]}, f"input n is float64 (1,); {told}"),
        ({"x": x_of(), "n": [[1]]}, f"input n is int64 (1, 1); {told}"),
        ({"x": np.full((2, 7, 3), "a"), "n": [1]}, f"input x is <U1 (2, 7, 3); {told}"),
        ({"x": x_of() * np.nan, "n": [1]}, "input x has NaN, or values beyond float32"),
    ):
        with pytest.raises(UsageError) as error:
            session.run(given)
        assert said in str(error.value)


def test_onnx_prefix(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["graph"]["side by side"])
    assert load(path, "dec").head is None  # what follows adds the other's h
    refused(path, "no LSTM or GRU under the prefix enc; it has LSTM Y, LSTM dec", "enc")
    refused(path, "Y, dec is no single stack; choose one by prefix", "W0")
    body = LSTM0 + "\na = Squeeze(Y, one)" + LAYER1 + OUT1
    upper, lower = load(write_onnx(path, body), "W1"), load(path, "W0")
    assert upper.input_size == H and upper.head is None and len(load(path).levels) == 2
    check(lower.head(float_h(lower, x_of())), path, x_of())


def _tensor(model: onnx.ModelProto, name: str = "W0") -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _point(**told: str) -> Callable[[onnx.ModelProto], object]:
    """Let W0 lie in another file."""

    def change(model: onnx.ModelProto) -> None:
        tensor = _tensor(model)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in {"location": "m.bin", **told}.items():
            tensor.external_data.add(key=key, value=value)

    return change


def _function(model: onnx.ModelProto, name: str, *calls: str) -> None:
    made = model.functions.add(name=name, domain="own", input=["a"], output=["b"])
    made.opset_import.add(domain="own", version=1)
    for number, call in enumerate(calls):
        made.node.add(op_type=call, domain="own", input=["a"], output=[f"b{number}"])
    if name == "f0":
        model.opset_import.add(domain="own", version=1)
        model.graph.node.add(op_type="f0", domain="own", input=["x"], output=["more"])


def _so() -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(np.ones(1, "f"), "so")


def _axis(size: int) -> Callable[[onnx.ModelProto], object]:
    return lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", size)


HOSTILE: list[tuple[str, Callable[[onnx.ModelProto], object]]] = [
    ("W of LSTM Y cannot be evaluated", lambda m: setattr(_tensor(m), "data_type", 999)),
    ("W of LSTM Y cannot be evaluated", lambda m: setattr(_tensor(m), "data_type", 0)),
    ("W of LSTM Y cannot be evaluated", lambda m: setattr(_tensor(m), "raw_data", bytes(191))),
    ("bytes for shape [-1, 16, 3]", lambda m: _tensor(m).dims.__setitem__(0, -1)),
    ("for shape [4611686018427387904]", lambda m: _tensor(m, "one").dims.__setitem__(0, 1 << 62)),
    ("input x has the shape (-5, 'T', 3)", _axis(-5)),
    ("is not UTF-8", lambda m: setattr(m.graph.node[-1], "name", "NOTUTF8")),
    ("is not UTF-8", lambda m: m.graph.node[-1].input.append("NOTUTF8")),
    ("LSTM Y reads Y, which nothing", lambda m: m.graph.node[1].input.__setitem__(0, "Y")),
    ("an output reads z, which nothing has made", lambda m: m.graph.output.add(name="z")),
    ("so is sparse, which", lambda m: m.graph.sparse_initializer.add().values.MergeFrom(_so())),
    ("reads z, which nothing has made", lambda m: m.graph.node[-1].input.append("z")),
    ("outside of the folder", _point(location="../up.bin")),
    ("outside of the folder", _point(location="/etc/passwd")),
    ("outside of the folder", _point(location="link.bin")),
    ("Is a directory", _point(location=".")),
    ("Is a directory", _point(location="")),
    ("Is a directory", _point(location="deep")),
    ("No such file", _point(location="none.bin")),
    ("m.bin has 192 bytes, not 192 from 1 on", _point(offset="1", length="192")),
    ("m.bin has 192 bytes, not 193 from -1 on", _point(offset="-1")),
    ("m.bin has 192 bytes, not -8 from 200 on", _point(offset="200")),
    ("W of LSTM Y cannot be evaluated", _point(length="9")),
    ("invalid literal for int", _point(offset="a")),
    ("maximum recursion depth exceeded", lambda m: _function(m, "f0", "f0")),
    (
        "make more than 1048576 nodes",
        lambda m: [_function(m, f"f{n}", f"f{n + 1}", f"f{n + 1}") for n in range(40)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change"), HOSTILE)
def test_onnx_hostile(
    tmp_path: Path, said: str, change: Callable[[onnx.ModelProto], object]
) -> None:
    (tmp_path / "up.bin").write_bytes(bytes(192))
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "m.bin").write_bytes(bytes(192))
    (folder / "link.bin").symlink_to(tmp_path / "up.bin")
    refused(_changed(write_onnx(folder / "m.onnx", LSTM0 + OUT), change), said)


def test_onnx_more_nodes_than_any_model_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_cut, "_MOST_NODES", 1)
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["graph"]["side by side"])
    refused(path, "m.onnx has 2 LSTMs and GRUs, 1 at most are read")


def test_onnx_input_too_large_for_a_state(tmp_path: Path) -> None:
    head = "(float[B,T,3] x, float[1099511627776] r) => (y, w)"
    graph = load(write_onnx(tmp_path / "m.onnx", LSTM0 + OUT + "\nw = Relu(r)", head))
    with pytest.raises(UsageError, match="needs the input r: float32 .1099511627776."):
        Session(graph, backend="float").run({"x": x_of()})


def _changed(path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    graph = onnx.load(path, load_external_data=False)
    change(graph)
    path.write_bytes(graph.SerializeToString().replace(b"NOTUTF8", b"N\xff\xfeUTF8"))
    return path


def test_onnx_external_data(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + OUT)
    want, graph = load(path).layers[0], onnx.load(path)
    data = _tensor(graph).raw_data
    onnx.save(graph, str(path), save_as_external_data=True, size_threshold=0, location="m.bin")
    np.testing.assert_array_equal(load(path).layers[0].w_hh, want.w_hh)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.bin").write_bytes(b"1234" + data)
    write_onnx(path, LSTM0 + OUT)
    _changed(path, _point(location="deep/w.bin", offset="4", checksum="unread"))
    np.testing.assert_array_equal(load(path).layers[0].w_ih, want.w_ih)
    (tmp_path / "deep" / "w.bin").write_bytes(bytes(4000))
    with max_memory(9000), pytest.raises(UsageError, match="external data takes 11988 bytes"):
        load(_changed(path, lambda m: m.graph.initializer.extend([_tensor(m)] * 2)))


@pytest.mark.parametrize("place", GRAPHS["cut"])
def test_onnx_slice_that_cuts_a_longer_run(tmp_path: Path, place: str) -> None:
    """It is harmless at the sizes tried at import."""
    path = write_onnx(tmp_path / "m.onnx", GRAPHS["cut"][place])
    session = Session(load(path), backend="float")
    session.run(x_of(2, 8))
    with pytest.raises(UsageError, match="step by step at batch 2, time 9.*load.path, whole=True"):
        session.run(x_of(2, 9))
    check(Session(load(path, whole=True), backend="float").run(x_of(2, 9)), path, x_of(2, 9))


def test_onnx_output_that_is_no_tensor(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + "\ny = SplitToSequence<axis=0>(Y)")
    model = load(path)
    Session(model, backend="float").run(x_of())
    with pytest.raises(UsageError, match="output y"):
        model.head(float_h(model, x_of()))


def test_onnx_damaged(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "m.onnx", "m.onnx cannot be read as ONNX")
    (tmp_path / "m.onnx").write_bytes(b"")
    refused(tmp_path / "m.onnx", "m.onnx cannot be read as ONNX (it is empty)")


def test_onnx_package_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ToolError, match=re.escape("pip install 'lstm-sharp[graph]'")):
        load(tmp_path / "m.onnx")
