"""The ops that the reference evaluator of onnx gets wrong are those that are told of it."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.model.onnx_run import make_evaluator

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

OPSETS = (7, 9, 11, 12, 13, 17, 20, 21)
RANDOM = {"Bernoulli", "Dropout"}
ROUGH = {"Attention", "DFT"}
"""Infinities that differ in a score that no head reads; differences of 4e-4 in sums of 1e3."""


def parts(test: Any) -> Iterator[tuple[Any, dict[str, np.ndarray]]]:
    """Yields a node test of onnx at each opset, inputs moved to attributes where they were such."""
    model, (given, _) = test.model, test.data_sets[0]
    feeds = {value.name: np.asarray(data) for value, data in zip(model.graph.input, given)}
    node = model.graph.node[0]
    schema = onnx.defs.get_schema(node.op_type, model.opset_import[0].version)
    names = {tensor: formal.name for tensor, formal in zip(node.input, schema.inputs)}
    for opset in OPSETS:
        if not onnx.defs.has(node.op_type, opset):
            continue
        old = onnx.defs.get_schema(node.op_type, opset)
        part = onnx.ModelProto()
        part.CopyFrom(model)
        part.ir_version, part.opset_import[0].version = 8, opset
        (inner,) = part.graph.node
        for tensor, name in names.items():
            if name in old.attributes and name not in schema.attributes and tensor in feeds:
                kind = old.attributes[name].type.value
                value = feeds[tensor].tolist()
                with contextlib.suppress(TypeError):  # of another type then: not of this opset
                    inner.attribute.append(onnx.helper.make_attribute(name, value, None, kind))
                    inner.input.remove(tensor)
        kept = [value for value in part.graph.input if value.name in inner.input]
        del part.graph.input[:], part.graph.output[:]
        part.graph.input.extend(kept)
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner.output if name)
        yield part, {name: feeds[name] for name in inner.input if name in feeds}


def node_tests() -> list[Any]:
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests = [test for test in load_model_tests(kind="node") if test.model is not None]
    return [
        test
        for test in tests
        if len(test.model.graph.node) == 1
        and test.model.graph.node[0].domain == ""
        and test.model.graph.node[0].op_type not in RANDOM | ROUGH
        and all(value.type.HasField("tensor_type") for value in test.model.graph.input)
        and all(isinstance(data, np.ndarray | np.generic) for data in test.data_sets[0][0])
    ]


def differ(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return False
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind not in "fiub":
        return a.shape != b.shape
    return not np.allclose(a.astype(float), b.astype(float), rtol=1e-3, atol=1e-4, equal_nan=True)


@pytest.mark.slow
def test_reference_evaluator_is_right_where_it_is_let(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, held = [], 0
    for test in node_tests():
        for part, feeds in parts(test):
            try:
                want = make_evaluator(part)(feeds)
                with monkeypatch.context() as patch:
                    patch.setitem(sys.modules, "onnxruntime", None)
                    found = make_evaluator(part)(feeds)
            except UsageError:  # told to be wrong
                continue
            except Exception:  # not of this opset, or not there
                continue
            held += 1
            if any(map(differ, want, found)):
                wrong.append(f"{test.name} at opset {part.opset_import[0].version}")
    assert not wrong
    assert held > 2000
