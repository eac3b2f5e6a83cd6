"""Whole ONNX graphs: what comes out in float is what ONNX Runtime computes."""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graph_cases
from graph_cases import onnx
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load, onnx_dynamic
from lstm_sharp.runtime.graphs import InFloat, Session
from models import INT8_SATURATES, float_h, pytorch_like, refused

PARTS = {"single": 1, "stack": 1, "between": 2, "side": 2, "attention": 2, "noise": 1, "ends": 1}
"""What an engine runs in one go, where it is always as many."""


@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn(tmp_path: Path, name: str) -> None:
    for seed in range(40):
        print(name, seed)
        case = graph_cases.draw(name, seed)
        graph = case.load(tmp_path / "m.onnx")
        assert len(graph.parts) == PARTS.get(name, len(graph.parts))
        case.check(Session(graph, backend="float").run(case.feeds))


@pytest.mark.parametrize("kind", ["double", "float16", "bfloat16"])
@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn_of_other_floats(tmp_path: Path, name: str, kind: str) -> None:
    for seed in range(4):
        print(name, seed)
        case = graph_cases.draw(name, seed, kind)
        graph = case.load(tmp_path / "m.onnx")
        assert len(graph.parts) == PARTS.get(name, len(graph.parts))
        case.check(graph.run(case.feeds, InFloat()))


OWN_TESTS = {
    "lstm_defaults": "",
    "lstm_with_initial_bias": "",
    "lstm_batchwise": "",
    "lstm_reverse": "",
    "lstm_bidirectional": "",
    "lstm_with_peepholes": "P of LSTM Y_h, the peepholes, is not zero",
    "gru_defaults": "linear_before_reset=0",
    "gru_with_initial_bias": "linear_before_reset=0",
    "gru_seq_length": "linear_before_reset=0",
    "gru_reverse": "linear_before_reset=0",
    "gru_bidirectional": "linear_before_reset=0",
    "gru_batchwise": "linear_before_reset=0",
    "simple_rnn_defaults": "RNN Y_h is another layer",
    "simple_rnn_with_initial_bias": "RNN Y_h is another layer",
    "simple_rnn_reverse": "RNN Y_h is another layer",
    "simple_rnn_bidirectional": "RNN Y_h is another layer",
    "simple_rnn_batchwise": "RNN Y is another layer",
    "rnn_seq_length": "RNN Y_h is another layer",
}
"""The tests that onnx has of its recurrent nodes, and why one is refused."""


def test_onnx_s_own(tmp_path: Path) -> None:
    """All are right or refused, and what is refused is right where the host may compute it."""
    from onnx.backend.test.case import node

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for op in ("lstm", "gru", "rnn"):  # of all ops they take 10 s to make
            import_module(f"{node.__name__}.{op}")
    tests = {
        test.name.removeprefix("test_"): test
        for test in node._NodeTestCases
        if re.match("test_(lstm|gru|rnn|simple_rnn)_", test.name)
    }
    assert tests.keys() == OWN_TESTS.keys()
    for name, said in OWN_TESTS.items():
        model, (given, wanted) = tests[name].model, tests[name].data_sets[0]
        path, feeds = (
            tmp_path / f"{name}.onnx",
            dict(zip([v.name for v in model.graph.input], given)),
        )
        weights = [n for i, n in enumerate(model.graph.node[0].input) if n and i in (1, 2, 3, 7)]
        make = onnx.numpy_helper.from_array
        model.graph.initializer.extend(make(feeds.pop(n), n) for n in weights)
        kept = [value for value in model.graph.input if value.name in feeds]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        onnx.save(model, path)
        if said:
            refused(path, said)
            graph = load(path, allow_host=True)
            assert any(said in note for note in graph.notes), name
        else:
            graph = load(path, whole=True)
        if said and "batchwise" in name:  # layout 1, which ONNX Runtime has not
            with pytest.raises(UsageError, match="Batchwise recurrent operations"):
                graph.run(feeds, InFloat())
            continue
        found = graph.run(feeds, InFloat())
        for got, want in zip(found.values(), wanted):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_golden_is_near(tmp_path: Path, name: str) -> None:
    """As near as weights of 8 and of 16 bits come where they are drawn up to 1."""
    errors = {"W16A16": [], "W8A16": []}
    for seed in (0, 1, 3):
        print(name, seed)
        case = graph_cases.draw(name, seed, steps=12)
        graph, wanted = case.load(tmp_path / "m.onnx"), case.expected()
        for form, shares in errors.items():
            found = Session(graph, format=form).run(case.feeds)
            shares += [
                np.abs(value - want.astype(float)).max(initial=0) / max(np.abs(want).max(), 0.1)
                for value, want in zip(found.values(), wanted)
            ]
    assert max(errors["W16A16"]) < 1e-3
    assert max(errors["W8A16"]) < 0.04


Told = dict[str, Any]
"""Attributes, inputs and outputs of a node by ONNX's names; arrays are inputs."""


def _plain(op: str) -> Told:
    rng, gates = np.random.default_rng(0), {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
    shapes = {"X": (5, 2, 3), "W": (1, 4 * gates, 3), "R": (1, 4 * gates, 4), "B": (1, 8 * gates)}
    told: Told = {name: rng.uniform(-1, 1, s).astype("f") for name, s in shapes.items()}
    return {**told, "hidden_size": 4, **({"linear_before_reset": 1} if op == "GRU" else {})}


def _one_node(op: str, opset: int, told: Told) -> tuple[Any, dict[str, np.ndarray]]:
    """Make a graph of one node, all but whose weights is input, and what to feed it."""
    schema = onnx.defs.get_schema(op, opset)
    names = [formal.name if formal.name in told else "" for formal in schema.inputs]
    helper, given = onnx.helper, {name: told[name] for name in filter(None, names)}
    attributes = {name: value for name, value in told.items() if name not in given}
    outputs = [formal.name for formal in schema.outputs]
    node = helper.make_node(op, names, outputs, "n", **attributes)
    held = {name: given.pop(name) for name in ("W", "R", "B", "P") if name in given}
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
        for n, v in given.items()
    ]
    ends = [onnx.ValueInfoProto(name=name) for name in outputs]
    make = onnx.numpy_helper.from_array
    graph = helper.make_graph([node], "g", inputs, ends, [make(v, n) for n, v in held.items()])
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), given


def _drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, shape).astype("f")


OF_ALL: Told = {
    "X": {"X": _drawn(5, 2, 3)},
    "sequence_lens": {"sequence_lens": np.array([5, 2], "i4")},
    "initial_h": {"initial_h": _drawn(1, 2, 4)},
    "direction": {"direction": "reverse"},
    "Y": {},
    "Y_h": {},
    "activation_alpha": {"activation_alpha": [0.5]},
    "activation_beta": {"activation_beta": [0.5]},
    "layout": {"layout": 1},
    "hidden_size": ({"hidden_size": 5}, "5 units take"),
    "clip": ({"clip": 0.25}, "clip=0.25 is not supported"),
}
"""How to change what a node is told; what is refused comes with what the refusal says."""
OF_LSTM: Told = {
    "W": {"W": _drawn(1, 16, 3)},
    "R": {"R": _drawn(1, 16, 4)},
    "B": {"B": _drawn(1, 32)},
    "initial_c": {"initial_c": _drawn(1, 2, 4)},
    "Y_c": {},
    "input_forget": {"input_forget": 1},
    "P": ({"P": _drawn(1, 12)}, "P of LSTM n, the peepholes, is not zero"),
    "activations": ({"activations": ["Relu"] * 3}, "activations=Relu,Relu,Relu is not"),
}
OF_GRU: Told = {
    "W": {"W": _drawn(1, 12, 3)},
    "R": {"R": _drawn(1, 12, 4)},
    "B": {"B": _drawn(1, 24)},
    "linear_before_reset": ({"linear_before_reset": 0}, "linear_before_reset=0"),
    "activations": ({"activations": ["Relu"] * 2}, "activations=Relu,Relu is not"),
}
CHANGES = {"LSTM": OF_ALL | OF_LSTM, "GRU": OF_ALL | OF_GRU}
WITHOUT_EFFECT = {"Y", "Y_h", "Y_c", "activation_alpha", "activation_beta", "layout"}


@pytest.mark.parametrize("opset", [7, 14, 22, graph_cases.NEWEST])
@pytest.mark.parametrize("op", CHANGES)
def test_all_that_a_node_can_be_told(tmp_path: Path, op: str, opset: int) -> None:
    """Each attribute and input is computed as ONNX Runtime does, or refused by name.

    What is refused is computed where the host may.
    """
    schema, path = onnx.defs.get_schema(op, opset), tmp_path / "m.onnx"
    known = {one.name for one in (*schema.inputs, *schema.outputs)} | schema.attributes.keys()
    assert known - CHANGES[op].keys() == set()
    plain = _plain(op)
    before = graph_cases.runtime(_one_node(op, opset, plain)[0]).run(None, {"X": plain["X"]})
    for name in sorted(known):
        change, said = CHANGES[op][name], None
        if isinstance(change, tuple):
            change, said = change
        model, feeds = _one_node(op, opset, {**plain, **change})
        if name == "layout":
            turned = plain["X"].swapaxes(0, 1).copy()
            model, feeds = _one_node(op, opset, {**plain, **change, "X": turned})
        onnx.save(model, path)
        if said:
            refused(path, said)
        if name == "hidden_size":  # which contradicts the weights
            continue
        found = list(load(path, whole=True, allow_host=bool(said)).run(feeds, InFloat()).values())
        if name == "layout":
            found = [found[0].transpose(1, 2, 0, 3), *(v.swapaxes(0, 1) for v in found[1:])]
            wanted = before
        else:
            wanted = graph_cases.runtime(model).run(None, feeds)
        for got, want in zip(found, wanted):
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-6, err_msg=name)
        differs = np.abs(found[0] - before[0]).max() > 0.01
        assert differs == (name not in WITHOUT_EFFECT), name


def test_rnn_is_refused_whatever_it_is_told(tmp_path: Path) -> None:
    model, _ = _one_node("RNN", 14, _plain("RNN"))
    onnx.save(model, tmp_path / "m.onnx")
    refused(tmp_path / "m.onnx", "RNN n is another layer")


def test_no_other_node_is_recurrent() -> None:
    """A new op, or a new version of one, wants a look at what it can be told."""
    versions = {
        (schema.name, schema.since_version)
        for schema in onnx.defs.get_all_schemas_with_history()
        if schema.name in ("LSTM", "GRU", "RNN") and not schema.domain and schema.since_version > 3
    }
    assert versions == {(op, v) for op in ("LSTM", "GRU", "RNN") for v in (7, 14, 22)}


@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_of_int8(tmp_path: Path, per_channel: bool) -> None:
    """ONNX Runtime's dynamic quantisation: its weights, not what it rounds of x and h."""
    stack = pytorch_like(0, [8, 16, 12], (2, 1))
    int8 = onnx_dynamic.dynamic_int8(onnx_dynamic.graph_of(stack), per_channel)
    if not per_channel:  # and unsigned, so that its zeros are at 128
        for tensor in int8.graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8:
                value = onnx.numpy_helper.to_array(tensor).astype(int) + 128
                unsigned = onnx.numpy_helper.from_array(value.astype(np.uint8), tensor.name)
                tensor.CopyFrom(unsigned)
    onnx.save(int8, tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")
    for read, exact in zip(model.layers, stack.layers, strict=True):
        for name in ("w_ih", "w_hh"):
            off = np.abs(getattr(read, name) - getattr(exact, name)).max()
            assert 0 < off < 0.6 * 2 * np.abs(getattr(exact, name)).max() / 255
    x = np.random.default_rng(0).uniform(-1, 1, (3, 9, 8)).astype("f")
    far = 0.1 if per_channel and INT8_SATURATES else 2e-3
    np.testing.assert_allclose(float_h(model, x), onnx_dynamic.run(int8, x), rtol=0, atol=far)
