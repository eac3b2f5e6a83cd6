"""Whole ONNX graphs: what comes out in float is what ONNX Runtime computes."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import graph_cases
from graph_cases import onnx
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load
from lstm_sharp.runtime.graphs import InFloat, Session
from models import refused

PARTS = {"single": 1, "stack": 1, "between": 2, "side": 2, "attention": 2, "noise": 1, "ends": 1}
"""What an engine runs in one go, where it is always as many."""


@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn(tmp_path: Path, name: str) -> None:
    for seed in range(40):
        print(name, seed)
        case = graph_cases.draw(name, seed)
        graph = case.load(tmp_path / "m.onnx")
        assert len(graph.parts) == PARTS.get(name, len(graph.parts))
        session = None if seed % 4 else Session(graph, backend="float")
        case.check(session.run(case.feeds) if session else graph.run(case.feeds, InFloat()))


@pytest.mark.parametrize("kind", ["double", "float16", "bfloat16"])
@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn_of_other_floats(tmp_path: Path, name: str, kind: str) -> None:
    for seed in range(4):
        print(name, seed)
        case = graph_cases.draw(name, seed, kind)
        case.check(case.load(tmp_path / "m.onnx").run(case.feeds, InFloat()))


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
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = {
            test.name.removeprefix("test_"): test
            for test in load_model_tests(kind="node")
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
    for seed in range(2):
        print(name, seed)
        case = graph_cases.draw(name, seed, steps=12)
        graph, wanted = case.load(tmp_path / "m.onnx"), case.expected()
        for form, shares in errors.items():
            found = Session(graph, format=form, calibration=case.feeds).run(case.feeds)
            shares += [
                np.abs(value - want.astype(float)).max(initial=0) / max(np.abs(want).max(), 0.1)
                for value, want in zip(found.values(), wanted)
            ]
    assert max(errors["W16A16"]) < 1e-3
    assert max(errors["W8A16"]) < 0.04 and np.mean(errors["W8A16"]) < 0.01
