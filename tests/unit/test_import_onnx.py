"""ONNX graphs: what is read is what the file means, and the rest is refused by name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.model import load
from lstm_sharp.runtime.session import Session
from models import H, X, float_h, refused, weights, x_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.reference")
onnxruntime = pytest.importorskip("onnxruntime")


def write_onnx(
    path: Path,
    body: str,
    head: str = "(float[B,T,3] x) => (y)",
    opset: int = 17,
    kind: str = "float32",
    **more: np.ndarray,
) -> Path:
    """Writes a graph in the text form of onnx.

    W0, R0, B0 are of a layer of one direction that takes x, W1 ... of one that takes its h. W2 ...
    are of a bidirectional layer that takes x; W3 ... and W4 ... of one with two directions and
    one with one direction that take its h.
    """
    numbers = {"zero": 0, "one": 1, "two": 2, "four": 4}
    graph = onnx.parser.parse_graph(f"g {head} {{ {body} }}")
    tensors = {name: np.array([number]) for name, number in numbers.items()}
    tensors |= {"last": np.array(-1), "beside": np.array([0, 0, -1]), "mixed": np.array([0, -1, 8])}
    tensors |= {"half": np.full((1, 1, H), 0.5, "f"), "M": weights()["weight_hh_l0"][:H, :2]}
    tensors |= {"P": np.zeros((1, 3 * H), "f"), "V": np.linspace(0.5, 2, H, dtype="f")}
    tensors |= {"none": np.zeros(1, "f")}
    tensors["M2"] = weights()["weight_hh_l0"][: 2 * H, :2]
    for index, (inputs, directions) in enumerate([(X, 1), (H, 1), (X, 2), (2 * H, 2), (2 * H, 1)]):
        cells = [weights(inputs, seed=index + 10 * n).values() for n in range(directions)]
        w_ih, w_hh, b_ih, b_hh = map(np.stack, zip(*cells))
        tensors |= {f"W{index}": w_ih, f"R{index}": w_hh}
        tensors[f"B{index}"] = np.concatenate([b_ih, b_hh], axis=1)
    kinds = {"f": onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, KINDS[kind]))}
    for name, value in (tensors | more).items():
        value = value.astype(kinds.get(value.dtype.kind, value.dtype))
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


KINDS = {"float32": "FLOAT", "double": "DOUBLE", "float16": "FLOAT16", "bfloat16": "BFLOAT16"}


def check(got: np.ndarray, path: Path, x: np.ndarray) -> None:
    """Compares with the file's last output: of ONNX Runtime, which has no LSTM of layout=1."""
    batchwise = any(a.name == "layout" for n in onnx.load(path).graph.node for a in n.attribute)
    of = onnx.reference.ReferenceEvaluator if batchwise else onnxruntime.InferenceSession
    want = of(str(path)).run(None, {"x": x})[-1]
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


IN = "tm = Transpose<perm=[1,0,2]>(x)"
LSTM0 = IN + "\nY, Yh, Yc = LSTM<hidden_size=4>(tm, W0, R0, B0)"
OUT = "s = Squeeze(Y, one)\ny = Transpose<perm=[1,0,2]>(s)"
ZEROS = """
sh = Shape(tm)
n = Gather(sh, one)
size = Concat<axis=0>(one, n, four)
z = Expand(none, size)
c = ConstantOfShape(size)
Y = LSTM<hidden_size=4>(tm, W0, R0, B0, "", z, c)
"""
LAYER1 = "\nY1, Yh1 = LSTM<hidden_size=4>(a, W1, R1, B1)\n"
OUT1 = "s1 = Squeeze(Y1, one)\ny = Transpose<perm=[1,0,2]>(s1)"

# As torch.onnx.export writes it: (time, 2, batch, H) to (time, batch, 2 H).
BESIDE = "{0}t = Transpose<perm=[0,2,1,3]>({0})\n{0}r = Reshape({0}t, beside)\n"
BOTH = 'hidden_size=4, direction="bidirectional"'
LSTM2 = f"{IN}\nY, Yh = LSTM<{BOTH}>(tm, W2, R2, B2)\n" + BESIDE.format("Y")

# Keras's Bidirectional: apart, to batch first, side by side.
KERAS_BOTH = f"""
{{2}}x = Transpose<perm=[1,0,2]>({{0}})
{{2}} = LSTM<{BOTH}>({{2}}x, {{1}})
{{2}}f, {{2}}b = Split<axis=1>({{2}})
{{2}}g = Squeeze({{2}}f, one)
{{2}}i = Squeeze({{2}}b, one)
{{2}}h = Transpose<perm=[1,0,2]>({{2}}g)
{{2}}j = Transpose<perm=[1,0,2]>({{2}}i)
{{2}}c = Concat<axis=2>({{2}}h, {{2}}j)
"""

SEQUENCES = {
    "batch_first": LSTM0 + OUT,
    "no bias": IN + "\nY = LSTM<hidden_size=4>(tm, W0, R0)" + OUT,
    "zero states": IN + ZEROS + OUT,
    "stack of layout=1": "Z = LSTM<layout=1>(x, W0, R0, B0)\na = Squeeze(Z, two)\n"
    "Z1 = LSTM<layout=1>(a, W1, R1, B1)\ny = Squeeze(Z1, two)",
    "computed weights": IN + "\nW = Identity(W0)\nR = Slice(R0, zero, one, zero)\n"
    "Y = LSTM<hidden_size=4>(tm, W, R, B0)\n" + OUT,
    "stack": LSTM0 + "\nd = Squeeze(Y, one)\na = Dropout(d)" + LAYER1 + OUT1,
    "reverse": IN + '\nY = LSTM<hidden_size=4, direction="reverse">(tm, W0, R0, B0)\n' + OUT,
    "usual activations": IN
    + '\nY = LSTM<hidden_size=4, activations=["sigmoid", "Tanh", "tanh"]>(tm, W0, R0, B0)\n'
    + OUT,
    "usual activations of both": LSTM2.replace(
        BOTH, BOTH + f", activations={['Sigmoid', 'Tanh', 'Tanh'] * 2}".replace("'", '"')
    )
    + "y = Transpose<perm=[1,0,2]>(Yr)",
    "both": LSTM2 + "y = Transpose<perm=[1,0,2]>(Yr)",
    "both of layout=1": f"Y = LSTM<{BOTH}, layout=1>(x, W2, R2, B2)\ny = Reshape(Y, beside)",
    "stack of both": LSTM2
    + f"Z = LSTM<{BOTH}>(Yr, W3, R3, B3)\n"
    + BESIDE.format("Z")
    + "y = Transpose<perm=[1,0,2]>(Zr)",
    "stack of both and reverse": LSTM2
    + 'Z = LSTM<hidden_size=4, direction="reverse">(Yr, W4, R4, B4)\n'
    + OUT.replace("Y", "Z"),
    "sequence_lens of all steps": IN + "\nsh = Shape(tm)\nn = Gather(sh, one)\n"
    "t = Gather(sh, zero)\nl = Expand(t, n)\nlens = Cast<to=6>(l)\n"
    "Y = LSTM<hidden_size=4>(tm, W0, R0, B0, lens)" + OUT,
    "no peepholes": IN + '\nY = LSTM<hidden_size=4>(tm, W0, R0, B0, "", "", "", P)' + OUT,
    "clip that never acts": IN + "\nY = LSTM<hidden_size=4, clip=50.0>(tm, W0, R0, B0)" + OUT,
    "alpha that nothing takes": IN
    + "\nY = LSTM<hidden_size=4, activation_alpha=[0.5]>(tm, W0, R0, B0)"
    + OUT,
    "one that nothing uses": LSTM0 + "\nY1 = LSTM<hidden_size=4>(tm, W0, R0, B0)\n" + OUT,
    "stack of both, as tf2onnx writes it": KERAS_BOTH.format("x", "W2, R2, B2", "Y")
    + KERAS_BOTH.format("Yc", "W3, R3, B3", "Z")
    + "y = Identity(Zc)",
    "stack through batch first": LSTM0 + "\nt = Transpose<perm=[2,0,1,3]>(Y)\n"
    "b = Squeeze(t, two)\na = Transpose<perm=[1,0,2]>(b)" + LAYER1 + OUT1,
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_onnx_sequence(tmp_path: Path, name: str) -> None:
    model = load(write_onnx(tmp_path / "m.onnx", SEQUENCES[name]))
    assert model.head is None and len(model.levels) == (2 if "stack" in name else 1)
    assert len(model.levels[0]) == (2 if "both" in name else 1)
    check(float_h(model, x_of()), tmp_path / "m.onnx", x_of())


HEADS = {
    "last step": OUT.replace("y =", "q =") + "\nl = Gather<axis=1>(q, last)\ny = MatMul(l, M)",
    "h_n": "l = Gather(Yh, last)\ny = MatMul(l, M)",
    "h_n of two": "a = Squeeze(Y, one)" + LAYER1 + "both = Concat<axis=0>(Yh, Yh1)"
    "\nl = Gather(both, last)\ny = MatMul(l, M)",
    "mean": "s = Squeeze(Y, one)\nl = ReduceMean<axes=[0], keepdims=0>(s)\ny = MatMul(l, M)",
    "scale": OUT.replace("y =", "q =") + "\nk = Constant<value_floats=[1.004]>()\ny = Mul(q, k)",
}

HEADS = {name: f"{LSTM0}\n{body}" for name, body in HEADS.items()} | {
    "h_n of both": LSTM2
    + "t = Transpose<perm=[1,0,2]>(Yh)\nl = Flatten<axis=1>(t)\ny = MatMul(l, M2)",
    "last step of both": LSTM2 + "l = Gather<axis=0>(Yr, last)\ny = MatMul(l, M2)",
    "h_n of both in layout=1": f"Y, Yh = LSTM<{BOTH}, layout=1>(x, W2, R2, B2)\n"
    "l = Flatten<axis=1>(Yh)\ny = MatMul(l, M2)",
    "h_n of reverse": IN + '\nY, Yh = LSTM<hidden_size=4, direction="reverse">(tm, W0, R0, B0)\n'
    "l = Gather(Yh, last)\ny = MatMul(l, M)",
    "sum of both": LSTM2 + "s = ReduceSum<keepdims=0>(Y, one)\ny = Relu(s)",
}


@pytest.mark.parametrize("name", HEADS)
def test_onnx_head(tmp_path: Path, name: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", HEADS[name])
    model = load(path)
    for x in (x_of(2, 7), x_of(1, 3)):
        check(model.head(float_h(model, x)), path, x)


NEEDS = {"Identity(Yc)": "Yc", "ArgMax(Yc)": "Yc", "Add(Y, m)": "x", "Concat<axis=0>(Y, Z)": "Yc"}


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("body", NEEDS)
def test_onnx_head_tells_what_it_needs_beside_h(tmp_path: Path, body: str, kind: str) -> None:
    tail = "\nm = ReduceMean(x)\nZ = Unsqueeze(Yc, zero)\ny = " + body
    head = f"({kind}[B,T,3] x) => (y)".replace("float32", "float")
    model = load(write_onnx(tmp_path / "m.onnx", LSTM0 + tail, head, kind=kind))
    with pytest.raises(UsageError, match=f"output y depends on {NEEDS[body]} beside the h of the"):
        model.head(float_h(model, x_of()))


def test_onnx_head_is_the_first_output_that_is_computed(tmp_path: Path) -> None:
    body = LSTM0 + OUT + "\nc = Identity(Yc)\nl = Gather(Yh, last)\nz = MatMul(l, M)"
    path = write_onnx(tmp_path / "m.onnx", body, "(float[B,T,3] x) => (y, Yh, c, z)")
    model = load(path)
    check(model.head(float_h(model, x_of())), path, x_of())
    assert load(write_onnx(path, body, "(float[B,T,3] x) => (y, Yh, c)")).head is None


NORM = "n = Transpose<perm=[1,2,0]>(s)\ny = BatchNormalization(n, V, V, V, V)"
NORM = f"{LSTM0}\ns = Squeeze<axes=[1]>(Y)\n{NORM}"
PLAIN = f"{LSTM0}\ns = Squeeze<axes=[1]>(Y)\ny = {{}}(s)"
WRONG = {  # bodies, opsets, types of what the reference evaluator gets wrong
    "BatchNormalization y at opset 9": (NORM, 9),
    "BatchNormalization y at opset 13": (NORM.replace("<axes=[1]>(Y)", "(Y, one)"), 13),
    "Softmax y at opset 11": (PLAIN.format("Softmax"), 11),
    "LogSoftmax y at opset 12": (PLAIN.format("LogSoftmax<axis=1>"), 12),
    "Hardmax y at opset 9": (PLAIN.format("Hardmax"), 9),
    "LpNormalization y at opset 11": (PLAIN.format("LpNormalization<p=1>"), 11),
    "MaxPool y at opset 11": (PLAIN.format("MaxPool<kernel_shape=[2], pads=[0,1]>"), 11),
    "GRU y at opset 11": (
        f"{LSTM0}\ns = Squeeze<axes=[1]>(Y)\ny = GRU<hidden_size=3, clip=0.2>(s, G, U)",
        11,
    ),
    "Loop h at opset 17": (
        LSTM0
        + """
sh = Shape(Y)
n = Gather(sh, last0)
c = Constant<value = bool {1}>()
h, Z = Loop(n, c, Yh) <body = b (int64 i, bool k, float[D,B,4] h0) => (k1, h1, z) {
  k1 = Identity(k)
  t = Gather(Y, i)
  a = Add(h0, t)
  h1 = Tanh(a)
  z = Identity(h1) }>
y = Relu(Z)""",
        17,
    ),
}
GRU = {"G": np.linspace(-1, 1, 36).reshape(1, 9, 4), "U": np.linspace(-2, 1, 27).reshape(1, 9, 3)}
GRU |= {"last0": np.array(0)}


@pytest.mark.parametrize("text", WRONG)
def test_onnx_head_that_the_reference_evaluator_gets_wrong(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, opset = WRONG[text]
    path = write_onnx(tmp_path / "m.onnx", body, opset=opset, **GRU)
    x = x_of()
    model = load(path)
    h = float_h(model, x)
    check(model.head(h), path, x)
    # It is wrong or fails, so there is a reason to refuse it.
    try:
        with np.errstate(all="ignore"):
            wrong = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
    except Exception:
        pass
    else:
        assert wrong.shape != model.head(h).shape or np.abs(wrong - model.head(h)).max() > 1e-3
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="not installed; run pip install onnxruntime") as error:
        load(path).head(h)
    assert text in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("runtime", [True, False])
def test_onnx_head_of_other_floats(
    tmp_path: Path, kind: str, runtime: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole graph in one type, and its head computed in that type."""
    if not runtime:
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    body = LSTM0 + "\nl = Gather(Yh, last)\nm = MatMul(l, M)\ny = Softmax(m)"
    head = f"({kind}[B,T,3] x) => (y)".replace("float32", "float")
    path = write_onnx(tmp_path / "m.onnx", body, head, kind=kind)
    model = load(path)
    h = float_h(model, x_of())
    y = model.head(h)
    e = np.exp(h[:, -1] @ weights()["weight_hh_l0"][:H, :2])
    assert y.dtype == np.dtype(kind if kind != "bfloat16" else "float32")
    tolerance = {"float16": 2e-3, "bfloat16": 1e-2}.get(kind, 1e-6)
    np.testing.assert_allclose(y, e / e.sum(axis=1, keepdims=True), rtol=0, atol=tolerance)


def test_onnx_heads_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, body in enumerate((*HEADS.values(), PLAIN.format("Softmax<axis=-1>"))):
        path = write_onnx(tmp_path / f"m{index}.onnx", body, opset=12 if "axes=[1]" in body else 17)
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


FIXED = {  # the file's x; how it is laid out; x that is right, and x that is not
    "(20, 1, 3), time first, so here (batch, time, features) = (1, 20, 3)": (
        ("float[20,1,3]", LSTM0.replace(IN, "tm = Identity(x)") + "\ny = Squeeze(Y, one)"),
        [(1, 20, 3)],
        [(20, 1, 3), (1, 19, 3), (2, 20, 3)],
    ),
    "x as (batch, time, features) = (1, 20, 3)": (
        ("float[1,20,3]", LSTM0 + OUT),
        [(1, 20, 3)],
        [(20, 1, 3), (16, 20, 3)],
    ),
    "x as (batch, time, features) = (any, 20, 3)": (
        ("float[B,20,3]", LSTM0.replace(IN, "r = Reshape(x, by20)\n" + IN.replace("x", "r")) + OUT),
        [(1, 20, 3), (5, 20, 3)],
        [(20, 5, 3)],
    ),
}


@pytest.mark.parametrize("text", FIXED)
def test_x_that_contradicts_the_sizes_in_the_file(tmp_path: Path, text: str) -> None:
    (kind, body), right, wrong = FIXED[text]
    more = {"by20": np.array([-1, 20, 3])}
    path = write_onnx(tmp_path / "m.onnx", body, f"({kind} x) => (y)", **more)
    session = Session(load(path), backend="float")
    swap = text.startswith("(20")
    for shape in right:
        x = x_of(*shape[:2])
        h = session.run(x)
        check(h.swapaxes(0, 1) if swap else h, path, x.swapaxes(0, 1) if swap else x)
    for shape in wrong:
        for run in (session.run, lambda x: session.run(list(x))):
            with pytest.raises(UsageError) as error:
                run(np.ones(shape))
            assert f"has shape {shape}, but the file of m declares {text}" in str(error.value)


def lstm(inputs: str = "tm, W0, R0, B0", attribute: str = "hidden_size=4") -> str:
    return f"{IN}\nY, Yh = LSTM<{attribute}>({inputs})\n{OUT}"


SIDE_BY_SIDE = LSTM0 + "\n[dec] Y1 = LSTM<hidden_size=4>(tm, W0, R0, B0)\ny = Add(Y, Y1)"
ONNX_REFUSALS = {
    "direction=sideways is not supported": lstm(attribute='direction="sideways"'),
    "W of LSTM Y has shape (1, 16, 3), but direction=bidirectional and 4 units take (2, 16": lstm(
        attribute=BOTH
    ),
    "W of LSTM Y has shape (2, 16, 3), but direction=reverse and 4 units take (1, 16, 3)": lstm(
        "tm, W2, R2", 'direction="reverse"'
    ),
    "activations=Relu,Tanh,Tanh are not": lstm(attribute='activations=["Relu", "Tanh", "Tanh"]'),
    "activations=Sigmoid,Tanh,Tanh,Sigmoid,Relu,Tanh are not": lstm(
        "tm, W2, R2", BOTH + ', activations=["Sigmoid","Tanh","Tanh","Sigmoid","Relu","Tanh"]'
    ),
    "clip=3 is not supported": lstm(attribute="clip=3.0"),
    "clip=0 is not supported": lstm(attribute="clip=0.0"),
    "input_forget=1 is not supported": lstm(attribute="input_forget=1"),
    "W of LSTM Y has shape (1, 16, 3), but direction=forward and 5 units take (1, 20, 3)": lstm(
        attribute="hidden_size=5"
    ),
    "R of LSTM Y has shape (1, 16, 2), but direction=forward and 4 units take (1, 16, 4); export "
    "it again, without proj_size": f"R9 = Slice(R0, none0, two, two)\n{lstm('tm, W0, R9, B0')}",
    "sequence_lens of LSTM Y has shape (1,), but (2,) belongs to 2": lstm("tm, W0, R0, B0, one"),
    "sequence_lens of LSTM Y has 5; it must be all steps": lstm("tm, W0, R0, B0, lens").replace(
        IN, f"{IN}\nsh = Shape(x)\nn = Gather(sh, zero)\nlens = Expand(five, n)"
    ),
    "P of LSTM Y has shape (1, 32), but direction=forward and 4 units take (1, 12)": lstm(
        'tm, W0, R0, B0, "", "", "", B0'
    ),
    "P of LSTM Y, the peepholes, is not zero": "P9 = Exp(P)\n"
    + lstm('tm, W0, R0, B0, "", "", "", P9'),
    "initial_h of LSTM Y has 0.5; it must be zero: export the model without it and give the state "
    "with --state": lstm('tm, W0, R0, B0, "", half, half'),
    "initial_h of LSTM Y has shape (1, 1, 2), but (1, 2, 4) belongs to 2 sequences": lstm(
        'tm, W0, R0, B0, "", narrow, narrow'
    ),
    "initial_c of LSTM Y has shape (1, 3, 4), but (1, 2, 4) belongs to 2 sequences": lstm(
        'tm, W0, R0, B0, "", "", three'
    ),
    "initial_c of LSTM Y depends on x; it must be zero: export the model "
    "without it and give the state with --state": lstm('tm, W0, R0, B0, "", "", x'),
    "W of LSTM Y comes from the graph input x": lstm("tm, x, R0, B0"),
    "B of LSTM Y has shape (1, 1, 4), but direction=forward and 4 units take (1, 32)": lstm(
        "tm, W0, R0, half"
    ),
    "op Relu between LSTM nodes": LSTM0 + "\nr = Relu(Y)\na = Squeeze(r, one)" + LAYER1 + OUT1,
    "op Relu before the first LSTM": "r = Relu(x)\n" + (LSTM0 + OUT).replace("(x)", "(r)"),
    "do not pass on h step by step": LSTM0 + "\ns = Squeeze(Y, one)\n"
    "a = Transpose<perm=[1,0,2]>(s)" + LAYER1 + OUT1,
    "the ops Reshape a between LSTM Y and LSTM Z do not pass on h step by step": LSTM2
    + f"a = Reshape(Y, mixed)\nZ = LSTM<{BOTH}>(a, W3, R3, B3)\n"
    "y = Relu(Z)",
    "layer 1 takes 4 inputs but layer 0 gives 8": LSTM2
    + "Y1 = LSTM<hidden_size=4>(Yr, W1, R1, B1)\n"
    + OUT1,
    "op ReduceSum between LSTM nodes": LSTM2
    + "a = ReduceSum<keepdims=0>(Y, one)\n"
    + LAYER1
    + OUT1,
    "takes Y_h of LSTM Y": LSTM0 + "\na = Identity(Yh)" + LAYER1 + OUT1,
    "the ops Cast i, Transpose tm before LSTM Y do more than swap": "i = Cast<to=7>(x)\n"
    + (LSTM0 + OUT).replace("(x)", "(i)"),
    "the ops Reshape tm before LSTM Y do more than swap batch and time of x (3, 7, 3) (cannot be "
    "evaluated (": (LSTM0 + OUT).replace("Transpose<perm=[1,0,2]>(x)", "Reshape(x, by5)"),
    "the ops Transpose b, Reshape r, Squeeze q, Transpose a between LSTM Y and LSTM Y1 do not pass "
    "on h step by step at batch 3, time 7": LSTM0 + "\nb = Transpose<perm=[2,0,1,3]>(Y)\n"
    "r = Reshape(b, of2)\nq = Squeeze(r, two)\na = Transpose<perm=[1,0,2]>(q)" + LAYER1 + OUT1,
    "at batch 1, time 4": LSTM0 + "\na = Squeeze(Y)" + LAYER1 + OUT1,
    "(depends on x)": LSTM0 + "\ns = Squeeze(Y, one)\n"
    "q = Concat<axis=2>(s, tm)\na = Slice(q, two, six, two)" + LAYER1 + OUT1,
    "it has 2 GRU nodes": "a, b = GRU(x, W0, R0)\ny = GRU(a, W0, R0)",
    "no LSTM in m.onnx: its 2 nodes are Relu, Conv; export": "a = Relu(x)\ny = Conv(a, W0)",
    "no LSTM in m.onnx: If y has one in its body, which": "c = Constant<value = bool {1}>()\n"
    "y = If(c) <then_branch = a () => (u) { u, v = LSTM<hidden_size=4>(x, W0, R0) },"
    " else_branch = b () => (w) { w = Identity(x) }>",
    "its recurrent layer is written out as the body of Scan": "h, y = Scan<num_scan_inputs=1, body"
    " = b (float[B,4] h0, float[B,3] xt) => (h1, z) { h1 = Tanh(h0)\n z = Identity(h1) }>(half, x)",
    "DynamicQuantizeLSTM y is quantised already; give the float model": "y = com.microsoft."
    "DynamicQuantizeLSTM(x, W0, R0)",
    "its 3 Sigmoid and 2 Tanh look like cells that are called step by step; export the": "m = "
    "MatMul(x, M)\ni = Sigmoid(m)\nf = Sigmoid(m)\no = Sigmoid(m)\ng = Tanh(m)\nc = Mul(i, g)\n"
    "d = Tanh(c)\ny = Mul(o, d)",
    "no single stack but lie side by side; choose one by prefix: LSTM Y, LSTM dec": SIDE_BY_SIDE,
}


@pytest.mark.parametrize("text", ONNX_REFUSALS)
def test_onnx_refused(tmp_path: Path, text: str) -> None:
    more = {"by5": np.array([-1, 5, 3]), "of2": np.array([2, -1, 1, H]), "none0": np.array([0])}
    more |= {
        "six": np.array([6]),
        "five": np.array([5], "i4"),
        "narrow": np.zeros((1, 1, 2)),
        "three": np.zeros((1, 3, H)),
    }
    refused(write_onnx(tmp_path / "m.onnx", ONNX_REFUSALS[text], **more), text)


def test_onnx_input_refused(tmp_path: Path) -> None:
    for kind, text in (
        ("int64[B,T,3]", "is INT64"),
        ("float[T,3]", "shape [0, 3]"),
        ("float[5,9999999999,3]", "x has 67108864 elements and more"),
    ):
        refused(write_onnx(tmp_path / "m.onnx", LSTM0 + OUT, f"({kind} x) => (y)"), text)


def test_onnx_prefix(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", SIDE_BY_SIDE)
    with pytest.raises(UsageError, match="output y depends on x"):  # it adds the other's h
        load(path, "dec").head(float_h(load(path, "dec"), x_of()))
    refused(path, "no LSTM under the prefix enc; it has LSTM Y, LSTM dec", "enc")
    body = LSTM0 + "\na = Squeeze(Y, one)" + LAYER1 + OUT1
    refused(write_onnx(path, body), "take the output of LSTM Y, which is not among them", "W1")
    lower = load(path, "W0")
    check(lower.head(float_h(lower, x_of())), path, x_of())


def test_onnx_external_data(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + OUT)
    want, graph = load(path).layers[0].w_hh, onnx.load(path)
    onnx.save(graph, str(path), save_as_external_data=True, size_threshold=0, location="m.bin")
    np.testing.assert_array_equal(load(path).layers[0].w_hh, want)
    (tmp_path / "m.bin").unlink()
    refused(path, "m.bin cannot be read (No such file or directory)")


def _changed(path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    graph = onnx.load(path, load_external_data=False)
    change(graph)
    path.write_bytes(graph.SerializeToString().replace(b"NOTUTF8", b"N\xff\xfeUTF8"))
    return path


def _point(model: onnx.ModelProto, **told: str) -> None:
    """Let W0 lie in another file."""
    tensor = next(t for t in model.graph.initializer if t.name == "W0")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": "m.bin", **told}.items():
        tensor.external_data.add(key=key, value=value)


def _function(model: onnx.ModelProto, name: str, *calls: str) -> None:
    made = model.functions.add(name=name, domain="own", input=["a"], output=["b"])
    made.opset_import.add(domain="own", version=1)
    for number, call in enumerate(calls):
        made.node.add(op_type=call, domain="own", input=["a"], output=[f"b{number}"])
    if name == "f0":
        model.opset_import.add(domain="own", version=1)
        model.graph.node.add(op_type="f0", domain="own", input=["x"], output=["more"])


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "type": (lambda m: setattr(m.graph.initializer[0], "data_type", 999), "type number 999"),
    "no type": (lambda m: setattr(m.graph.initializer[0], "data_type", 0), "type number 0"),
    "negative": (lambda m: m.graph.initializer[2].dims.__setitem__(0, -1), "has the size -1"),
    "giant": (
        lambda m: m.graph.initializer[2].dims.__setitem__(0, 1 << 62),
        "takes 36893488147419103232",
    ),
    "input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 1 << 40),
        "x has 67108864 elements and more",
    ),
    "negative input": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", -5),
        "a shape has the size -5",
    ),
    "text": (lambda m: setattr(m.graph.node[-1], "name", "NOTUTF8"), "is not UTF-8"),
    "input's text": (lambda m: m.graph.node[-1].input.append("NOTUTF8"), "is not UTF-8"),
    "ring": (
        lambda m: m.graph.node.add(op_type="Identity", input=["r"], output=["r"]),
        "Identity reads r, which nothing has made before it",
    ),
    "elsewhere": (lambda m: _point(m, location="../up.bin"), "outside of the folder"),
    "absolute": (lambda m: _point(m, location="/etc/passwd"), "outside of the folder"),
    "a link out": (lambda m: _point(m, location="link.bin"), "outside of the folder"),
    "the folder": (lambda m: _point(m, location="."), "outside of the folder"),
    "nowhere": (lambda m: _point(m, location=""), "outside of the folder"),
    "a folder": (lambda m: _point(m, location="deep"), "Is a directory"),
    "short": (lambda m: _point(m, offset="1"), "m.bin has 192 bytes, not 192 from 1 on"),
    "before": (lambda m: _point(m, offset="-1"), "m.bin has 192 bytes, not 192 from -1 on"),
    "length": (lambda m: _point(m, length="9"), "takes 192 bytes, not 9"),
    "no number": (lambda m: _point(m, offset="a"), "invalid literal for int"),
    "function of itself": (lambda m: _function(m, "f0", "f0"), "function f0 calls itself"),
    "functions of functions": (
        lambda m: [_function(m, f"f{n}", f"f{n + 1}", f"f{n + 1}") for n in range(40)],
        "make more than 1048576 nodes",
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_onnx_hostile(tmp_path: Path, how: str) -> None:
    change, said = HOSTILE[how]
    (tmp_path / "up.bin").write_bytes(bytes(192))
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "m.bin").write_bytes(bytes(192))
    (folder / "link.bin").symlink_to(tmp_path / "up.bin")
    refused(_changed(write_onnx(folder / "m.onnx", LSTM0 + OUT), change), said)


def test_onnx_external_data_below_its_folder(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + OUT)
    want = load(path).layers[0].w_ih
    (weights,) = [t.raw_data for t in onnx.load(path).graph.initializer if t.name == "W0"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.bin").write_bytes(b"1234" + weights)
    _changed(path, lambda m: _point(m, location="deep/w.bin", offset="4", checksum="unread"))
    np.testing.assert_array_equal(load(path).layers[0].w_ih, want)


CUTS = {  # harmless at the sizes tried at import
    "before": "c = Slice(x, zero, eight, one)\ntm = Transpose<perm=[1,0,2]>(c)\n"
    "Y = LSTM<hidden_size=4>(tm, W0, R0, B0)\n" + OUT,
    "between": LSTM0 + "\ns = Squeeze(Y, one)\na = Slice(s, zero, eight, zero)" + LAYER1 + OUT1,
}


@pytest.mark.parametrize("place", CUTS)
def test_onnx_slice_that_cuts_a_longer_run(tmp_path: Path, place: str) -> None:
    body = "eight = Constant<value_ints=[8]>()\n" + CUTS[place]
    model = load(write_onnx(tmp_path / "m.onnx", body))
    session = Session(model, backend="float")
    session.run(x_of(2, 8))
    with pytest.raises(UsageError, match="step by step at batch 2, time 9"):
        session.run(x_of(2, 9))


def test_onnx_head_that_is_h_where_it_is_short(tmp_path: Path) -> None:
    body = "eight = Constant<value_ints=[8]>()\n" + LSTM0 + OUT.replace("y =", "q =")
    path = write_onnx(tmp_path / "m.onnx", body + "\ny = Slice(q, zero, eight, one)")
    model = load(path)
    check(model.head(float_h(model, x_of(2, 11))), path, x_of(2, 11))


def test_onnx_output_that_is_no_tensor(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + "\ny = SplitToSequence<axis=0>(Y)")
    model = load(path)
    Session(model, backend="float").run(x_of())
    with pytest.raises(UsageError, match="output y"):
        model.head(float_h(model, x_of()))


def test_onnx_damaged(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "m.onnx", "m.onnx cannot be read as ONNX")


def test_onnx_package_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ToolError, match=re.escape("pip install 'lstm-sharp[onnx]'")):
        load(tmp_path / "m.onnx")
