"""ONNX graphs: what is read is what the file means, and the rest is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.model import load
from lstm_sharp.run.session import Session
from models import H, X, float_h, refused, weights, x_of

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def write_onnx(
    path: Path, body: str, head: str = "(float[B,T,3] x) => (y)", opset: int = 17
) -> Path:
    """Writes a graph in the text form of onnx.

    W0, R0, B0 are of a layer of one direction that takes x, W1 ... of one that takes its h. W2 ...
    are of a bidirectional layer that takes x; W3 ... and W4 ... of one with two directions and
    one with one direction that take its h.
    """
    numbers = {"zero": 0, "one": 1, "two": 2, "four": 4}
    constants = "\n".join(f"{n} = Constant<value_ints=[{v}]>()" for n, v in numbers.items())
    shapes = {"beside": "[0,0,-1]", "mixed": "[0,-1,8]"}
    constants += "".join(f"\n{n} = Constant<value_ints={v}>()" for n, v in shapes.items())
    last = "\n".join(
        f"{n} = Constant<value_int={v}>()" for n, v in {"last": -1, "at0": 0, "at1": 1}.items()
    )
    graph = onnx.parser.parse_graph(f"g {head} {{ {constants}\n{last}\n{body} }}")
    tensors = {"half": np.full((1, 1, H), 0.5, "f"), "M": weights()["weight_hh_l0"][:H, :2]}
    tensors["M2"] = weights()["weight_hh_l0"][: 2 * H, :2]
    for index, (inputs, directions) in enumerate([(X, 1), (H, 1), (X, 2), (2 * H, 2), (2 * H, 1)]):
        cells = [weights(inputs, seed=index + 10 * n).values() for n in range(directions)]
        w_ih, w_hh, b_ih, b_hh = map(np.stack, zip(*cells))
        tensors |= {f"W{index}": w_ih, f"R{index}": w_hh}
        tensors[f"B{index}"] = np.concatenate([b_ih, b_hh], axis=1)
    graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in tensors.items())
    imports = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    made = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.save(made, path)
    return path


def check(got: np.ndarray, path: Path, x: np.ndarray, atol: float = 1e-6, index: int = 0) -> None:
    """Compares with what ONNX Runtime makes of the file, or onnx itself where that does not."""
    if "layout" in str(onnx.load(path)):  # of which ONNX Runtime knows nothing
        want = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    else:
        want = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert got.dtype == want[index].dtype or got.dtype == np.float64
    np.testing.assert_allclose(got, want[index], rtol=0, atol=atol)


IN = "tm = Transpose<perm=[1,0,2]>(x)"
LSTM0 = IN + "\nY, Yh, Yc = LSTM<hidden_size=4>(tm, W0, R0, B0)"
OUT = "s = Squeeze(Y, one)\ny = Transpose<perm=[1,0,2]>(s)"
ZEROS = """
sh = Shape(tm)
n = Gather(sh, one)
size = Concat<axis=0>(one, n, four)
none = Constant<value_floats=[0.0]>()
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

JOINED = """{0}f = Gather<axis=1>({0}, at0)
{0}b = Gather<axis=1>({0}, at1)
{0}r = Concat<axis=2>({0}f, {0}b)
"""


def lstm(inputs: str = "tm, W0, R0, B0", attribute: str = "hidden_size=4") -> str:
    return f"{IN}\nY, Yh = LSTM<{attribute}>({inputs})\n{OUT}"


SEQUENCES = {
    "batch_first": LSTM0 + OUT,
    "no bias": IN + "\nY = LSTM<hidden_size=4>(tm, W0, R0)" + OUT,
    "zero states": IN + ZEROS + OUT,
    "stack of layout=1": "Z = LSTM<layout=1>(x, W0, R0, B0)\na = Squeeze(Z, two)\n"
    "Z1 = LSTM<layout=1>(a, W1, R1, B1)\ny = Squeeze(Z1, two)",
    "computed weights": IN + "\nW = Identity(W0)\nR = Slice(R0, zero, one, zero)\n"
    "Y = LSTM<hidden_size=4>(tm, W, R, B0)\n" + OUT,
    "stack": LSTM0 + "\nd = Squeeze(Y, one)\na = Dropout(d)" + LAYER1 + OUT1,
    "reverse": IN + '\nY = LSTM<direction="reverse", hidden_size=4>(tm, W0, R0, B0)\n' + OUT,
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
    + 'Z = LSTM<direction="reverse", hidden_size=4>(Yr, W4, R4, B4)\n'
    + OUT.replace("Y", "Z"),
    "alphas that nothing uses": lstm(
        attribute="hidden_size=4, activation_alpha=[0.5], activation_beta=[2.0]"
    ),
    "clip beyond what a gate shows": lstm(attribute="hidden_size=4, clip=18.0"),
    "zero peepholes": "p = Constant<value_ints=[1,12]>()\nP = ConstantOfShape(p)\n"
    + lstm('tm, W0, R0, B0, "", "", "", P'),
    "lengths that are the time": "size = Shape(x)\nb = Gather(size, zero)\nt = Gather(size, one)\n"
    "t32 = Cast<to=6>(t)\nlens = Expand(t32, b)\n" + lstm("tm, W0, R0, B0, lens"),
    "one that nothing uses": LSTM0 + "\nQ = LSTM<hidden_size=4>(tm, W0, R0)\n" + OUT,
    # As Keras' Bidirectional is written: each direction cut out, both put side by side.
    "stack of both, cut and joined": f"{IN}\nY = LSTM<{BOTH}>(tm, W2, R2, B2)\n"
    + JOINED.format("Y")
    + f"Z = LSTM<{BOTH}>(Yr, W3, R3, B3)\n"
    + JOINED.format("Z")
    + "y = Transpose<perm=[1,0,2]>(Zr)",
    "stack of both, split and joined": f"{IN}\nY = LSTM<{BOTH}>(tm, W2, R2, B2)\n"
    "Yf, Yb = Split<axis=1>(Y)\nYc = Concat<axis=3>(Yf, Yb)\nYs = Squeeze(Yc, one)\n"
    f"Z = LSTM<{BOTH}>(Ys, W3, R3, B3)\n" + JOINED.format("Z") + "y = Transpose<perm=[1,0,2]>(Zr)",
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
    "h_n of reverse": IN + '\nY, Yh = LSTM<direction="reverse", hidden_size=4>(tm, W0, R0, B0)\n'
    "l = Gather(Yh, last)\ny = MatMul(l, M)",
    "sum of both": LSTM2 + "s = ReduceSum<keepdims=0>(Y, one)\ny = Relu(s)",
}


@pytest.mark.parametrize("name", HEADS)
def test_onnx_head(tmp_path: Path, name: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", HEADS[name])
    model = load(path)
    for x in (x_of(2, 7), x_of(1, 3)):
        check(model.head(float_h(model, x)), path, x)


NO_HEADS = {
    "its output y takes c of LSTM Y beside h, which is all": "y = ArgMax(Yc)",
    "its output y takes the input x beside h, which is all": "m = ReduceMean(x)\ny = Add(Y, m)",
    "its output y takes c of LSTM Y": "y = Identity(Yc)",
    "its output y is h or a state as it is": OUT,
}


@pytest.mark.parametrize("text", NO_HEADS)
def test_onnx_head_that_is_none(tmp_path: Path, text: str) -> None:
    """And why: h does not determine it, or there is nothing but h."""
    model = load(write_onnx(tmp_path / "m.onnx", f"{LSTM0}\n{NO_HEADS[text]}"))
    assert model.head is None and model.no_head.startswith(text)


def test_onnx_head_of_a_stack_that_takes_a_lower_h(tmp_path: Path) -> None:
    body = LSTM0 + "\na = Squeeze(Y, one)" + LAYER1 + "r = Add(Y, Y1)\ny = Relu(r)"
    model = load(write_onnx(tmp_path / "m.onnx", body))
    assert model.head is None and "takes h of LSTM Y beside h" in model.no_head


@pytest.mark.parametrize("first", ["h", "h, Yh, Yc", "Yc"])
def test_onnx_head_is_the_first_output_that_is_no_state(tmp_path: Path, first: str) -> None:
    body = LSTM0 + OUT.replace("y =", "h =") + "\nl = Gather(Yh, last)\ny = MatMul(l, M)"
    path = write_onnx(tmp_path / "m.onnx", body, f"(float[B,T,3] x) => ({first}, y)")
    model = load(path)
    check(model.head(float_h(model, x_of())), path, x_of(), index=first.count(",") + 1)


OLD = {
    "BatchNormalization": "t = Transpose<perm=[1,2,0]>(s)\nb = BatchNormalization(t, g, k, m, v)\n"
    "y = Identity(b)",
    **{
        f"{op}{attribute}": f"y = {op}{attribute}(s)"
        for op in ("Softmax", "LogSoftmax", "Hardmax")
        for attribute in ("", "<axis=0>", "<axis=1>")
    },
}


@pytest.mark.parametrize("opset", [9, 11, 12])
@pytest.mark.parametrize("name", OLD)
def test_onnx_heads_that_onnx_itself_computes_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, opset: int
) -> None:
    values = {"g": [1, 2, 3, 4], "k": [0, 1, 0, 1], "m": [0.1, 0.2, 0, 0], "v": [1, 2, 1, 0.5]}
    vectors = "".join(
        f"{n} = Constant<value = float[4] {{{','.join(map(str, v))}}}>()\n"
        for n, v in values.items()
    )
    body = vectors + LSTM0 + "\ns = Squeeze<axes=[1]>(Y)\n" + OLD[name]
    path = write_old(tmp_path / "m.onnx", body, opset)
    model = load(path)
    h = float_h(model, x_of())
    check(model.head(h), path, x_of())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        UsageError, match=f"needs {name.split('<')[0]} of opset {opset}, which only"
    ):
        load(path).head(h)
    last = write_old(tmp_path / "n.onnx", body.replace("axis=0", "axis=-1"), opset)
    if "axis=0" in name:
        monkeypatch.undo()
        check(load(last).head(h), last, x_of())
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        assert load(last).head(h).shape == (7, 2, 4)


def write_old(path: Path, body: str, opset: int) -> Path:
    """Writes a graph for an opset in which constants are tensors, and axes attributes."""
    path = write_onnx(path, body)
    made = onnx.load(path)
    kept = [n for n in made.graph.node if n.op_type != "Constant" or n.output[0] in "gkmv"]
    del made.graph.node[:]
    made.graph.node.extend(kept)
    made.opset_import[0].version = opset
    onnx.save(made, path)
    return path


@pytest.mark.parametrize("kind", ["float16", "double", "bfloat16"])
def test_onnx_head_of_another_float(tmp_path: Path, kind: str) -> None:
    body = HEADS["last step"]
    path = write_onnx(tmp_path / "m.onnx", body, f"({kind}[B,T,3] x) => (y)")
    made = onnx.load(path)
    number = getattr(onnx.TensorProto, kind.upper())
    dtype = onnx.helper.tensor_dtype_to_np_dtype(number)
    for tensor in made.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor).astype(dtype)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save(made, path)
    model = load(path)
    h = float_h(model, x_of())
    want = h[:, -1] @ onnx.numpy_helper.to_array(
        next(t for t in made.graph.initializer if t.name == "M")
    ).astype(float)
    got = model.head(h)
    np.testing.assert_allclose(
        got.astype(float), want, rtol=0, atol={"double": 1e-6}.get(kind, 0.02)
    )


def test_onnx_head_of_fixed_size_takes_no_other(tmp_path: Path) -> None:
    body = LSTM0 + "\nt = Transpose<perm=[2,0,1,3]>(Y)\nfixed = Constant<value_ints=[2,7,4]>()"
    body += "\nr = Reshape(t, fixed)\ny = Relu(r)"
    path = write_onnx(tmp_path / "m.onnx", body, "(float[2,7,3] x) => (y)")
    model = load(path)
    h = float_h(model, x_of())
    check(model.head(h), path, x_of())
    with pytest.raises(UsageError, match=r"\(2, 7\).*not \(7, 2\); export with dynamic axes"):
        model.head(h.reshape(7, 2, H))


def test_onnx_no_lstm_node(tmp_path: Path) -> None:
    body = "c = Constant<value_int=1>()\nb = Cast<to=9>(c)\ny = If(b) <then_branch = t () => (q) "
    body += "{ q = LSTM<hidden_size=4>(x, W0, R0) }, else_branch = e () => (r) { r = Relu(x) }>"
    refused(write_onnx(tmp_path / "m.onnx", body), "it lies in the body of If; export it outside")
    body = "y = com.microsoft.DynamicQuantizeLSTM(x, W0, R0)"
    refused(write_onnx(tmp_path / "m.onnx", body), "DynamicQuantizeLSTM is quantised already; give")
    body = "g = MatMul(x, M)\ns = Sigmoid(g)\nt = Tanh(g)\ny = Mul(s, t)"
    refused(write_onnx(tmp_path / "m.onnx", body), "a cell that was taken apart; export the layer")


def test_x_that_contradicts_the_file(tmp_path: Path) -> None:
    first = LSTM0 + "\n" + OUT
    flat = "Y = LSTM<hidden_size=4>(x, W0, R0, B0)\ny = Squeeze(Y, one)"
    cases = (
        ("float[20,1,3]", flat, (20, 1), r"\(time 20, batch 1, features 3\); swap its first two"),
        ("float[1,20,3]", first, (20, 1), r"\(batch 1, time 20, features 3\); swap its first two"),
        ("float[1,T,3]", first, (2, 20), r"\(batch 1, time any, features 3\); export"),
        ("float[B,20,3]", first, (2, 19), r"\(batch any, time 20, features 3\); export"),
    )
    for shape, body, wrong, said in cases:
        model = load(write_onnx(tmp_path / "m.onnx", body, f"({shape} x) => (y)"))
        session = Session(model, backend="float")
        for call in (session.run, lambda x, run=session.run_all: run([x])):
            told = rf"shape \({wrong[0]}, {wrong[1]}, 3\).*the file of m fixes {said}"
            with pytest.raises(UsageError, match=told):
                call(x_of(*wrong))
        x = x_of(model.sizes.batch or 2, 20)
        np.testing.assert_allclose(session.run(x), float_h(model, x), rtol=0, atol=1e-6)


SIDE_BY_SIDE = LSTM0 + "\n[dec] Y1 = LSTM<hidden_size=4>(tm, W0, R0, B0)\ny = Add(Y, Y1)"
ONNX_REFUSALS = {
    "direction=sideways is not supported": lstm(attribute='direction="sideways"'),
    "the first of size 2 for direction=bidirectional": lstm(attribute=BOTH),
    "the first of size 1 for direction=reverse": lstm("tm, W2, R2", 'direction="reverse"'),
    "activations=Relu,Tanh,Tanh are not": lstm(attribute='activations=["Relu", "Tanh", "Tanh"]'),
    "activations=Sigmoid,Tanh,Tanh,Sigmoid,Relu,Tanh are not": lstm(
        "tm, W2, R2", BOTH + ', activations=["Sigmoid","Tanh","Tanh","Sigmoid","Relu","Tanh"]'
    ),
    "clip=3.0 is not supported": lstm(attribute="clip=3.0"),
    "clip=nan is not supported": lstm(attribute="clip=nan"),
    "input_forget=1 is not supported": lstm(attribute="input_forget=1"),
    "hidden_size=5 but R for 4": lstm(attribute="hidden_size=5"),
    "sequence_lens of LSTM Y has shape (1,), not (2,)": lstm("tm, W0, R0, B0, one"),
    "P of LSTM Y has shape (1, 32), not (1, 12)": lstm('tm, W0, R0, B0, "", "", "", B0'),
    "P of LSTM Y is not zero but up to 3; peepholes": "p = Constant<value_ints=[1,12]>()\n"
    "three = Constant<value_floats=[3.0]>()\nP = Expand(three, p)\n"
    + lstm('tm, W0, R0, B0, "", "", "", P'),
    "sequence_lens of LSTM Y is not the 5 steps of x but up to 4; export": "tm0 = Shape(x)\n"
    "n = Gather(tm0, zero)\nfour32 = Cast<to=6>(four)\nlens = Expand(four32, n)\n"
    + lstm("tm, W0, R0, B0, lens"),
    "initial_h of LSTM Y has shape (1, 1, 3), not (1, 2, 4); a projection (proj_size)": "sh = "
    "Constant<value_ints=[1,1,3]>()\nz = ConstantOfShape(sh)\n" + lstm('tm, W0, R0, B0, "", z, z'),
    "initial_c of LSTM Y has shape (1, 1, 5), not (1, 2, 4)": "sh = "
    "Constant<value_ints=[1,1,5]>()\nz = ConstantOfShape(sh)\n" + lstm('tm, W0, R0, B0, "", "", z'),
    "initial_h of LSTM Y has shape (2, 1, 4), not (1, 2, 4)": "sh = "
    "Constant<value_ints=[2,1,4]>()\nz = ConstantOfShape(sh)\n" + lstm('tm, W0, R0, B0, "", z, ""'),
    "R of LSTM Y has shape (1, 16, 2), not (directions, 4H, H)": "two2 = "
    "Slice(R0, zero, two, two)\n" + lstm("tm, W0, two2, B0", "hidden_size=2"),
    "the ops Reshape between LSTM Y and LSTM Y1 do not pass on h step by step at batch 3": LSTM0
    + "\nd = Constant<value_ints=[-1,2,4]>()\na = Reshape(Y, d)"
    + LAYER1
    + OUT1,
    "the ops Transpose, Reshape before LSTM Y do not pass on x step by step at batch 3": "d = "
    "Constant<value_ints=[5,-1,3]>()\nt = Transpose<perm=[1,0,2]>(x)\nr = Reshape(t, d)\n"
    + "Y = LSTM<hidden_size=4>(r, W0, R0, B0)\n"
    + OUT,
    "initial_h of LSTM Y is not zero but up to 0.5": lstm('tm, W0, R0, B0, "", half, half'),
    "initial_c of LSTM Y is not zero but computed from the graph input x; export the model "
    "without it and give the state with --state": lstm('tm, W0, R0, B0, "", "", x'),
    "W of LSTM Y comes from the graph input x": lstm("tm, x, R0, B0"),
    "B of LSTM Y has shape (1, 1, 4); expected 2": lstm("tm, W0, R0, half"),
    "op Relu between LSTM nodes": LSTM0 + "\nr = Relu(Y)\na = Squeeze(r, one)" + LAYER1 + OUT1,
    "op Relu before the first LSTM": "r = Relu(x)\n" + (LSTM0 + OUT).replace("(x)", "(r)"),
    "do not pass on h step by step": LSTM0 + "\ns = Squeeze(Y, one)\n"
    "a = Transpose<perm=[1,0,2]>(s)" + LAYER1 + OUT1,
    "the ops Reshape between LSTM Y and LSTM Z do not pass on h step by step": LSTM2
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
    "the ops Cast, Transpose before LSTM Y do more than swap": "i = Cast<to=7>(x)\n"
    + (LSTM0 + OUT).replace("(x)", "(i)"),
    "LSTM Y1 takes Z, Y side by side": LSTM2.replace("tm, W2", "tm, W2")
    + "Z = LSTM<hidden_size=4>(Yr, W4, R4, B4)\nz = Squeeze(Z, one)\n"
    "a = Concat<axis=2>(z, Yr)\nY1 = LSTM<hidden_size=4>(a, W1, R1, B1)\n" + OUT1,
    "it has 2 GRU nodes": "a, b = GRU(x, W0, R0)\ny = GRU(a, W0, R0)",
    "no LSTM in m.onnx: its 11 nodes are Constant, Relu, Conv": "a = Relu(x)\ny = Conv(a, W0)",
    "no single stack but lie side by side; choose one by prefix: LSTM Y, LSTM dec": SIDE_BY_SIDE,
}


@pytest.mark.parametrize("text", ONNX_REFUSALS)
def test_onnx_refused(tmp_path: Path, text: str) -> None:
    refused(write_onnx(tmp_path / "m.onnx", ONNX_REFUSALS[text]), text)


def test_onnx_input_refused(tmp_path: Path) -> None:
    for kind, text in (("int64[B,T,3]", "is INT64"), ("float[T,3]", "shape [0, 3]")):
        refused(write_onnx(tmp_path / "m.onnx", LSTM0 + OUT, f"({kind} x) => (y)"), text)


def test_onnx_prefix(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "m.onnx", SIDE_BY_SIDE)
    assert load(path, "dec").head is None  # it adds the other's h
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
    "giant": (lambda m: m.graph.initializer[2].dims.__setitem__(0, 1 << 62), "bytes, but FLOAT of"),
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


def test_onnx_damaged(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"PK\3\4 and so on")
    refused(tmp_path / "m.onnx", "m.onnx cannot be read as ONNX")


def test_onnx_package_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(tmp_path / "m.onnx", "pip install 'lstm-sharp[onnx]'")
