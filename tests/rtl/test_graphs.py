"""Drawn graphs on simulated engines: golden's bits, through all that stands around the layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graph_cases
from cases import ENGINES
from lstm_sharp.runtime.graphs import Session


@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("csim", "rtl")]
)
@pytest.mark.parametrize("name", graph_cases.KINDS)
def test_drawn(tmp_path: Path, name: str, backend: str) -> None:
    for seed in range(5):
        print(name, seed)
        case = graph_cases.draw(name, seed, steps=7)
        graph = case.load(tmp_path / "m.onnx")
        golden, simulated = (
            Session(graph, ENGINES["tiny"], one, calibration=case.feeds)
            for one in ("golden", backend)
        )
        found = simulated.run(case.feeds)
        for output, want in golden.run(case.feeds).items():
            np.testing.assert_array_equal(found[output], want)
        assert simulated.report.parts.keys() == golden.report.parts.keys()
        assert any(simulated.report.parts.values())
