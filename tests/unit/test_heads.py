"""What follows the recurrent layers: computed by NumPy, kept in files, run by whoever runs h."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstm_sharp import load, package
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Model
from lstm_sharp.model.host_graph import OPS, Head, HostGraph, Maker, from_arrays, to_arrays
from lstm_sharp.numerics import reference, stored
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.runtime.session import Session
from models import pytorch_like, torch_names

X, H, CLASSES = 3, 4, 2
ODD = {f"test_reduce_max_empty_set{end}" for end in ("", "_bool")}
ODD |= {f"test_identity_{kind}" for kind in ("sequence", "opt", "sequence_opt")}
"""Maxima of nothing, and lists of tensors."""


def array(value: Any) -> Any:
    """Give a tensor of onnx as an array."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def test_ops_hold_against_the_tests_of_onnx() -> None:
    node_tests = pytest.importorskip("onnx.backend.test.case.node")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = node_tests.collect_testcases(None)
    held = set()
    for case in cases:
        if case.model is None or case.name in ODD:
            continue
        names = [value.name for value in case.model.graph.input]
        graph = HostGraph.of_model(case.model, names)
        if graph.onnx:
            continue
        for tested in case.data_sets:
            given, right = ([*map(array, values)] for values in tested)
            for got, want in zip(graph(dict(zip(names, given))), right):
                assert (np.shape(got), got.dtype) == (want.shape, want.dtype), case.name
                np.testing.assert_allclose(got, want, 1e-3, 1e-5, err_msg=case.name)
            held.update(op.op for op in graph.ops)
    assert OPS.keys() - held <= {"LayerNormalization"}  # see the tests of Keras


def test_what_numpy_computes_otherwise_is_left_to_onnx_runtime() -> None:
    from onnx import parser

    for opset, body in (
        (11, "y = Softmax(x)"),  # over all axes from 1 on
        (14, "y = Hardmax(x)"),
        (14, "y, m = Dropout(x)"),
        (14, "y = Max(x, x, x)"),
        (14, "y = BatchNormalization<training_mode=1>(x, x, x, x, x)"),
        (19, "y = Cast<to=18>(x)"),
    ):
        text = f'<ir_version: 8, opset_import: ["": {opset}]> g (float[2] x) => (y) {{ {body} }}'
        made = HostGraph.of_model(parser.parse_model(text), ["x"])
        assert made.onnx and [op.told for op in made.ops] == [{}]


def classifier(**more: np.ndarray) -> dict[str, np.ndarray]:
    """A state dict: an LSTM and a Linear, and some more."""
    rng = np.random.default_rng(2)
    named = torch_names(pytorch_like(1, [X, H]))
    named = {f"lstm.{name}": value for name, value in named.items()}
    linear = {"fc.weight": rng.normal(size=(CLASSES, H)), "fc.bias": rng.normal(size=CLASSES)}
    return {**named, **linear, **more}


def saved(folder: Path, named: dict[str, np.ndarray]) -> Path:
    path = folder / "m.npz"
    np.savez(path, **{name: value.astype(np.float32) for name, value in named.items()})
    return path


def x_of(batch: int = 3, time: int = 7) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(batch, time, X)).astype(np.float32)


def test_a_linear_in_a_state_dict_is_the_head(tmp_path: Path) -> None:
    named = classifier()
    model = load(saved(tmp_path, named))
    assert isinstance(model, Model) and model.head is not None
    h = reference.run(model, x_of()).h
    want = h @ named["fc.weight"].T + named["fc.bias"]
    np.testing.assert_allclose(model.head(h), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"fc2.weight": (2, CLASSES)}, "fc.bias, fc.weight, fc2.weight"),
        ({"norm.weight": (H,)}, "norm.weight"),
        ({"fc.weight": (CLASSES, H + 1)}, "fc.bias, fc.weight"),
        ({"fc.bias": (CLASSES + 1,)}, "fc.bias, fc.weight"),
    ],
)
def test_what_names_do_not_tell_is_told(
    tmp_path: Path, more: dict[str, tuple[int, ...]], told: str
) -> None:
    named = classifier(**{name: np.ones(shape) for name, shape in more.items()})
    model = load(saved(tmp_path, named))
    assert isinstance(model, Model) and model.head is None
    assert told in model.no_head and "torch.onnx.export" in model.no_head
    made = package.write(model, config.load("tiny"), tmp_path / "package", calibration=x_of())
    assert any(told in note for note in made.model.notes)


def test_what_may_be_an_embedding_is_no_head(tmp_path: Path) -> None:
    named = torch_names(pytorch_like(1, [H, H]))
    path = saved(tmp_path, {**named, "tokens.weight": np.ones((9, H))})
    model = load(path)
    assert isinstance(model, Model) and model.head is None and "tokens.weight" in model.no_head


def test_packages_and_quantised_models_keep_the_head(tmp_path: Path) -> None:
    model = load(saved(tmp_path, classifier()))
    assert isinstance(model, Model)
    x = x_of(8)
    with Session(model, "tiny", calibration=x) as session:
        want = session.run(x, output_of="head")
    assert want.shape == (8, 7, CLASSES)

    held = package.write(model, config.load("tiny"), tmp_path / "package", calibration=x)
    again = package.read(tmp_path / "package")
    for found in (held, again):
        h = Session(model, "tiny", calibration=x).run(x)
        assert found.model.head is not None
        np.testing.assert_array_equal(found.model.head(h), want)
    (tmp_path / "package" / "head.npz").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"head.npz is not as it was written"):
        package.read(tmp_path / "package")

    quantised = tmp_path / "q.npz"
    stored.write(quantised, replace(model, quantized=quantize(model, "W8A16", x)), {})
    found_again = load(quantised)
    with Session(found_again, "tiny") as session:
        np.testing.assert_array_equal(session.run(x, output_of="head"), want)


def test_a_session_gives_the_head_in_each_form_of_x(tmp_path: Path) -> None:
    model = load(saved(tmp_path, classifier()))
    assert isinstance(model, Model)
    x = x_of(3, 7)
    with Session(model, "tiny", calibration=x) as session:
        whole = session.run(x, output_of="head")
        integers = session.quantized.quantize_input(x).astype(np.int16)
        with pytest.raises(UsageError, match="integers, which are taken as quantised already"):
            session.run(integers, output_of="head")
        for one, want in zip(session.run(list(x), output_of="head"), whole):
            np.testing.assert_array_equal(one, want[None])
        np.testing.assert_array_equal(session.run(x[0], output_of="head"), whole[:1])
        y, state = session.run(x, None, True, [7, 2, 5], output_of="head")
        np.testing.assert_array_equal(y[1], [*whole[1, :2], *np.zeros((5, CLASSES))])
        assert len(state) == 2
        with pytest.raises(UsageError, match="there is no output 'logits'; give h or head"):
            session.run(x, output_of="logits")
    bare = pytorch_like(1, [X, H])
    with Session(bare, "tiny", calibration=x) as session, pytest.raises(UsageError) as error:
        session.run(x, output_of="head")
    assert "take h, which is what it has" in str(error.value)


def broken(graphs: tuple[HostGraph, ...], **changes: Any) -> dict[str, Any]:
    """Arrays of a head whose JSON says something else."""
    held = to_arrays(graphs)
    (told,) = json.loads(held["graphs"].tobytes())
    text = json.dumps([{**told, **changes}]).encode()
    held["graphs"] = np.frombuffer(text, np.uint8)
    return {name: lambda value=value: value for name, value in held.items()}


def test_a_damaged_head_is_refused_and_what_does_not_fit_is_told() -> None:
    made = Maker()
    graph = made.graph(made.add("MatMul", "h", np.ones((4, 2), np.float32)))
    assert Head("m", from_arrays(broken((graph,))))(np.ones((1, 1, 4))).tolist() == [[[4, 4]]]
    with pytest.raises(ValueError, match="Eval is no op"):
        from_arrays(broken((graph,), ops=[["Eval", ["h"], ["y"], {}]]))
    with pytest.raises(UsageError, match=r"m: what .*\(MatMul\) cannot be .* h \(1, 2, 5\)"):
        Head("m", (graph,))(np.ones((1, 2, 5)))


def test_without_onnx_runtime_the_op_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnx import parser

    text = '<ir_version: 8, opset_import: ["": 14]> g (float[1,2,3] h) => (y) { y = Hardmax(h) }'
    head = Head("m", (HostGraph.of_model(parser.parse_model(text), ["h"]),))
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="Hardmax is computed by ONNX Runtime, which is not"):
        head(np.ones((1, 2, 3), np.float32))


NODES = {
    "the last of two": ("k = Gather<axis=0>(hs, last)", 0),
    "the last step of time first": ("k = Gather<axis=0>(s, last)", 0),
    "a shape of x": (
        "t = Shape(x)\n n = Slice(t, zero, one)\n m = Concat<axis=0>(n, minus)\n k = Reshape(s, m)",
        0,
    ),
}


@pytest.mark.parametrize("which", NODES)
@pytest.mark.parametrize("fixed", [False, True])
def test_a_stack_in_onnx_keeps_its_head(tmp_path: Path, which: str, fixed: bool) -> None:
    """Y_h of both levels is put together, as PyTorch's h_n is; of the lower none is taken."""
    onnx = pytest.importorskip("onnx")
    sizes = "5, 3" if fixed else "T, N"
    text = f"""
    <ir_version: 8, opset_import: ["": 17]>
    g (float[{sizes}, 3] x) => (y)
    <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] minus = {{-1}}, int64[1] last = {{-1}}>
    {{
      Y, Yh, Yc = LSTM<hidden_size=4>(x, W, R)
      s0 = Squeeze(Y, one)
      Z, Zh, Zc = LSTM<hidden_size=4>(s0, V, Q)
      hs = Concat<axis=0>(Yh, Zh)
      s = Squeeze(Z, one)
      {NODES[which][0]}
      y = Tanh(k)
    }}
    """
    graph, rng = onnx.parser.parse_model(text), np.random.default_rng(0)
    for name, shape in {"W": (1, 16, 3), "R": (1, 16, 4), "V": (1, 16, 4), "Q": (1, 16, 4)}.items():
        drawn = rng.uniform(-0.9, 0.9, shape).astype(np.float32)
        graph.graph.initializer.append(onnx.numpy_helper.from_array(drawn, name))
    onnx.save(graph, tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    assert isinstance(model, Model) and model.head is not None
    head, told = stored.with_head(model)
    assert head is not None and not told
    assert not any(one.onnx for one in head.graphs)
    h = rng.uniform(-1, 1, (3, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(head(h), model.head(h), rtol=0, atol=1e-6)
    if fixed:
        made = package.write(model, config.load("tiny"), tmp_path / "p", calibration=x_of(3, 5))
        kept = package.read(tmp_path / "p").model.head
        assert made.model.head is not None and kept is not None
        for other in (h[:2], h[:, :4]):
            with pytest.raises(UsageError, match=r"batch, time \(3, 5\) \(0 is any\) only"):
                kept(other)
