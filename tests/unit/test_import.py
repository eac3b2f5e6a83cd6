"""Models from files: what is read is what the file means, and the rest is refused by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model, load

onnx = pytest.importorskip("onnx")
X, H = 3, 4


def weights(inputs: int = X, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors of one layer, named as torch does."""
    rng = np.random.default_rng(seed)
    shapes = {"weight_ih_l0": (4 * H, inputs), "weight_hh_l0": (4 * H, H)}
    shapes |= {"bias_ih_l0": (4 * H,), "bias_hh_l0": (4 * H,)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def x_of(batch: int = 2, time: int = 7) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(batch, time, X)).astype(np.float32)


def float_h(model: Model, x: np.ndarray) -> np.ndarray:
    """The h of the last layer, (batch, time, hidden), from the arrays of the model alone."""
    for layer in model.layers:
        h = c = np.zeros((len(x), layer.hidden_size))
        steps = []
        for x_t in x.swapaxes(0, 1):
            i, f, g, o = np.split(x_t @ layer.w_ih.T + h @ layer.w_hh.T + layer.b, 4, axis=1)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            steps.append(h)
        x = np.stack(steps, axis=1)
    return x


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> Path:
    header, data = {}, b""
    for name, (dtype, value) in tensors.items():
        end = len(data) + value.nbytes
        header[name] = {"dtype": dtype, "shape": value.shape, "data_offsets": [len(data), end]}
        data += value.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize("dtype", ["F16", "F32", "F64", "BF16"])
def test_safetensors_keeps_rows_and_sums_biases(tmp_path: Path, dtype: str) -> None:
    kind = {"F16": np.float16, "F64": np.float64}.get(dtype, np.float32)
    want = stored = {name: value.astype(kind) for name, value in weights().items()}
    if dtype == "BF16":  # the upper half of a float32
        stored = {name: (v.view("u4") >> 16).astype("u2") for name, v in want.items()}
        want = {name: (v.astype("u4") << 16).view("f4") for name, v in stored.items()}
    tensors = {"net.lstm." + name: (dtype, value) for name, value in stored.items()}
    tensors["head.weight"] = ("I64", np.zeros((2, H), np.int64))  # unread, so not refused
    (layer,) = load(write_safetensors(tmp_path / "m.safetensors", tensors)).layers
    np.testing.assert_array_equal(layer.w_ih, want["weight_ih_l0"])
    np.testing.assert_array_equal(layer.w_hh, want["weight_hh_l0"])
    np.testing.assert_array_equal(layer.b, want["bias_ih_l0"] + want["bias_hh_l0"].astype(float))


def test_safetensors_of_the_package_itself(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    pytest.importorskip("safetensors.numpy").save_file(weights(), path, metadata={"a": "b"})
    np.testing.assert_array_equal(load(path).layers[0].w_ih, weights()["weight_ih_l0"])


def two_lstms() -> dict[str, np.ndarray]:
    below = {f"lstm.{name}": value for name, value in weights().items() if "bias" not in name}
    above = {f"lstm.{n[:-1]}1": value for n, value in weights(H, seed=1).items()}
    other = {f"lstm2.{name}": value for name, value in weights(seed=2).items()}
    return {**below, **above, **other}


def test_prefix_chooses_a_stack_and_absent_biases_are_zero(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", **two_lstms())
    model = load(tmp_path / "m.npz", prefix="lstm")
    assert [layer.input_size for layer in model.layers] == [X, H]
    assert not model.layers[0].b.any() and model.layers[1].b.any()
    assert (model.name, model.head) == ("m", None)
    assert len(load(tmp_path / "m.npz", prefix="lstm2.").layers) == 1


TORCH_REFUSALS = {
    "holds 2 LSTMs; choose one by prefix: lstm., lstm2.": two_lstms(),
    "no tensor named like weight_ih_l0; its 1 tensors are conv.w": {"conv.w": np.ones(3)},
    "direction=bidirectional is not supported yet": {"a.weight_ih_l0_reverse": np.ones(1)},
    "weight_hr_l0 stands for proj_size": weights() | {"weight_hr_l0": np.ones((2, H))},
    "lacks weight_hh_l0": {"weight_ih_l0": np.ones((4 * H, X))},
    "lacks weight_ih_l1": weights() | {"weight_ih_l2": np.ones((4 * H, H))},
    "12 rows for 4 units, so it is of a GRU": weights() | {"weight_hh_l0": np.ones((3 * H, H))},
    "so it is of a plain RNN": weights() | {"weight_hh_l0": np.ones((H, H))},
    "weight_ih_l0 is int8, not float": weights() | {"weight_ih_l0": np.ones((16, X), np.int8)},
    "must have two dimensions": weights() | {"weight_hh_l0": np.ones(16)},
    "a bias of layer 0 has shape (3,)": weights() | {"bias_hh_l0": np.ones(3)},
    "layer 0: b has 16 NaN": weights() | {"bias_hh_l0": np.full(4 * H, np.nan)},
    "weight_ih_l0 cannot be read": weights() | {"weight_ih_l0": np.array([{}], object)},
}


@pytest.mark.parametrize("text", TORCH_REFUSALS)
def test_torch_names_refused(tmp_path: Path, text: str) -> None:
    np.savez(tmp_path / "m.npz", **TORCH_REFUSALS[text])
    refused(tmp_path / "m.npz", text)


def refused(path: Path, text: str, prefix: str = "") -> None:
    with pytest.raises(UsageError) as error:
        load(path, prefix)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_files_refused(tmp_path: Path) -> None:
    refused(tmp_path, "is a directory")
    refused(tmp_path / "no.npz", "cannot be opened (No such file or directory)")
    refused(tmp_path / "m.keras", ".keras is not supported yet; export it as ONNX")
    refused(tmp_path / "m.pt", "the suffix .pt is unknown; give .onnx, .safetensors, .npz")
    for suffix in ("npz", "safetensors", "onnx"):
        (tmp_path / f"m.{suffix}").write_bytes(b"PK\3\4 and so on")
        refused(tmp_path / f"m.{suffix}", f"m.{suffix} cannot be read as ")
    np.save(tmp_path / "a.npy", np.ones(3))
    refused((tmp_path / "a.npy").rename(tmp_path / "a.npz"), "save the tensors by name")
    np.savez(tmp_path / "m.npz", **two_lstms())
    refused(tmp_path / "m.npz", "no LSTM under the prefix x; it has lstm., lstm2.", prefix="x")
    path = tmp_path / "m.safetensors"
    write_safetensors(path, {"weight_ih_l0": ("F32", np.ones(9, "f"))})
    path.write_bytes(path.read_bytes()[:-1])
    refused(path, "weight_ih_l0 has 35 bytes, but F32 of shape [9] takes 36")
    refused(write_safetensors(path, {"weight_ih_l0": ("F8_E5M2", np.ones(1, "b"))}), "is F8_E5M2")


def write_onnx(path: Path, body: str, head: str = "(float[B,T,3] x) => (y)") -> Path:
    """Writes a graph in the text form of onnx; W0, R0, B0 are of layer 0, W1 ... of layer 1."""
    numbers = {"zero": 0, "one": 1, "two": 2, "four": 4}
    constants = "\n".join(f"{n} = Constant<value_ints=[{v}]>()" for n, v in numbers.items())
    last = "last = Constant<value_int=-1>()"
    graph = onnx.parser.parse_graph(f"g {head} {{ {constants}\n{last}\n{body} }}")
    tensors = {"half": np.full((1, 1, H), 0.5, "f"), "M": weights()["weight_hh_l0"][:H, :2]}
    for index, inputs in ((0, X), (1, H)):
        w_ih, w_hh, b_ih, b_hh = weights(inputs, seed=index).values()
        tensors |= {f"W{index}": w_ih[None], f"R{index}": w_hh[None]}
        tensors[f"B{index}"] = np.concatenate([b_ih, b_hh])[None]
    graph.initializer.extend(onnx.numpy_helper.from_array(v, n) for n, v in tensors.items())
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset]), path)
    return path


def check(got: np.ndarray, path: Path, x: np.ndarray) -> None:
    """Compares with what onnx itself makes of the file."""
    (want,) = onnx.reference.ReferenceEvaluator(str(path)).run(None, {"x": x})
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)


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

SEQUENCES = {
    "batch_first": LSTM0 + OUT,
    "no bias": IN + "\nY = LSTM<hidden_size=4>(tm, W0, R0)" + OUT,
    "zero states": IN + ZEROS + OUT,
    "stack of layout=1": "Z = LSTM<layout=1>(x, W0, R0, B0)\na = Squeeze(Z, two)\n"
    "Z1 = LSTM<layout=1>(a, W1, R1, B1)\ny = Squeeze(Z1, two)",
    "computed weights": IN + "\nW = Identity(W0)\nR = Slice(R0, zero, one, zero)\n"
    "Y = LSTM<hidden_size=4>(tm, W, R, B0)\n" + OUT,
    "stack": LSTM0 + "\nd = Squeeze(Y, one)\na = Dropout(d)" + LAYER1 + OUT1,
    "stack through batch first": LSTM0 + "\nt = Transpose<perm=[2,0,1,3]>(Y)\n"
    "b = Squeeze(t, two)\na = Transpose<perm=[1,0,2]>(b)" + LAYER1 + OUT1,
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_onnx_sequence(tmp_path: Path, name: str) -> None:
    model = load(write_onnx(tmp_path / "m.onnx", SEQUENCES[name]))
    assert model.head is None and len(model.layers) == (2 if "stack" in name else 1)
    check(float_h(model, x_of()), tmp_path / "m.onnx", x_of())


HEADS = {
    "last step": OUT.replace("y =", "q =") + "\nl = Gather<axis=1>(q, last)\ny = MatMul(l, M)",
    "h_n": "l = Gather(Yh, last)\ny = MatMul(l, M)",
    "h_n of two": "a = Squeeze(Y, one)" + LAYER1 + "both = Concat<axis=0>(Yh, Yh1)"
    "\nl = Gather(both, last)\ny = MatMul(l, M)",
    "mean": "s = Squeeze(Y, one)\nl = ReduceMean<axes=[0], keepdims=0>(s)\ny = MatMul(l, M)",
    "scale": OUT.replace("y =", "q =") + "\nk = Constant<value_floats=[1.004]>()\ny = Mul(q, k)",
}


@pytest.mark.parametrize("name", HEADS)
def test_onnx_head(tmp_path: Path, name: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + "\n" + HEADS[name])
    model = load(path)
    for x in (x_of(2, 7), x_of(1, 3)):
        check(model.head(float_h(model, x)), path, x)


@pytest.mark.parametrize("body", ["Identity(Yc)", "ArgMax(Yc)", "Add(Y, mean)"])
def test_onnx_head_that_needs_more_than_h_is_none(tmp_path: Path, body: str) -> None:
    path = write_onnx(tmp_path / "m.onnx", LSTM0 + "\nmean = ReduceMean(x)\ny = " + body)
    assert load(path).head is None


def test_onnx_head_of_fixed_size_takes_no_other(tmp_path: Path) -> None:
    body = LSTM0 + "\nt = Transpose<perm=[2,0,1,3]>(Y)\nfixed = Constant<value_ints=[2,7,4]>()"
    body += "\nr = Reshape(t, fixed)\ny = Relu(r)"
    path = write_onnx(tmp_path / "m.onnx", body, "(float[2,7,3] x) => (y)")
    model = load(path)
    h = float_h(model, x_of())
    check(model.head(h), path, x_of())
    with pytest.raises(UsageError, match=r"\(2, 7\).*not \(7, 2\); export with dynamic axes"):
        model.head(h.reshape(7, 2, H))


def lstm(inputs: str = "tm, W0, R0, B0", attribute: str = "hidden_size=4") -> str:
    return f"{IN}\nY, Yh = LSTM<{attribute}>({inputs})\n{OUT}"


SIDE_BY_SIDE = LSTM0 + "\n[dec] Y1 = LSTM<hidden_size=4>(tm, W0, R0, B0)\ny = Add(Y, Y1)"
ONNX_REFUSALS = {
    "direction=bidirectional is not supported yet": lstm(attribute='direction="bidirectional"'),
    "direction=reverse is not supported yet": lstm(attribute='direction="reverse"'),
    "activations=Relu,Tanh,Tanh are not": lstm(attribute='activations=["Relu", "Tanh", "Tanh"]'),
    "activation_alpha=[0.5] is not": lstm(attribute="activation_alpha=[0.5]"),
    "clip=3.0 is not supported": lstm(attribute="clip=3.0"),
    "input_forget=1 is not supported": lstm(attribute="input_forget=1"),
    "hidden_size=5 but R for 4": lstm(attribute="hidden_size=5"),
    "sequence_lens (one) is not": lstm("tm, W0, R0, B0, one"),
    "P (B0), the peepholes, is not": lstm('tm, W0, R0, B0, "", "", "", B0'),
    "initial_h of LSTM Y is not zero but up to 0.5": lstm('tm, W0, R0, B0, "", half, half'),
    "initial_c of LSTM Y is not zero but computed from the graph input x; export the model "
    "without it and give the state with --state": lstm('tm, W0, R0, B0, "", "", x'),
    "W of LSTM Y comes from the graph input x": lstm("tm, x, R0, B0"),
    "B of LSTM Y has shape (1, 1, 4); expected 2": lstm("tm, W0, R0, half"),
    "op Relu between LSTM nodes": LSTM0 + "\nr = Relu(Y)\na = Squeeze(r, one)" + LAYER1 + OUT1,
    "op Relu before the first LSTM": "r = Relu(x)\n" + (LSTM0 + OUT).replace("(x)", "(r)"),
    "do not pass on h step by step": LSTM0 + "\ns = Squeeze(Y, one)\n"
    "a = Transpose<perm=[1,0,2]>(s)" + LAYER1 + OUT1,
    "takes Y_h of LSTM Y": LSTM0 + "\na = Identity(Yh)" + LAYER1 + OUT1,
    "the ops Cast, Transpose before LSTM Y do more than swap": "i = Cast<to=7>(x)\n"
    + (LSTM0 + OUT).replace("(x)", "(i)"),
    "it has 2 GRU nodes": "a, b = GRU(x, W0, R0)\ny = GRU(a, W0, R0)",
    "no LSTM in m.onnx: its 7 nodes are Constant, Relu, Conv": "a = Relu(x)\ny = Conv(a, W0)",
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
    refused(path, "cannot be read as ONNX")


def test_onnx_package_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(tmp_path / "m.onnx", "pip install 'lstm-sharp[onnx]'")
