"""Whole ONNX graphs: what comes out in float is what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_sharp.runtime.graphs import InFloat, Session

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import graph_cases

PARTS = {"single": 1, "stack": 1, "between": 2, "side": 2, "attention": 2, "noise": 1, "ends": 1}
"""What an engine runs in one go, where it is always as many."""


@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn(tmp_path: Path, name: str) -> None:
    for seed in range(40):
        print(name, seed)
        case = graph_cases.draw(name, seed)
        graph = case.load(tmp_path / "m.onnx")
        assert len(graph.parts) == PARTS.get(name, len(graph.parts))
        session = None if seed % 8 else Session(graph, backend="float")
        case.check(session.run(case.feeds) if session else graph.run(case.feeds, InFloat()))


@pytest.mark.parametrize("kind", ["double", "float16", "bfloat16"])
@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn_of_other_floats(tmp_path: Path, name: str, kind: str) -> None:
    for seed in range(4):
        print(name, seed)
        case = graph_cases.draw(name, seed, kind)
        case.check(case.load(tmp_path / "m.onnx").run(case.feeds, InFloat()))
