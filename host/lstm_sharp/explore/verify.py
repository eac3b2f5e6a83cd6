"""The best of a search, built: bits and cycles on Verilator, and what Yosys counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lstm_sharp.engine.resources import estimate
from lstm_sharp.errors import EngineError, check_range
from lstm_sharp.explore.search import Found
from lstm_sharp.flow import tools, verilate, yosys
from lstm_sharp.model.model import Model
from lstm_sharp.runtime.session import Session

MOST = 32
"""Engines that are verified in one go: each takes a minute, or several."""
_SEQUENCES = 2
_STEPS = 16
"""Of what is simulated: enough for each kind of step."""


@dataclass(frozen=True)
class Verified:
    """What was seen of an engine whose bits are the golden model's and whose cycles the model's."""

    engine: str  # its folder below build/
    cycles: int  # simulated, and predicted
    counted: dict[str, float]  # by Yosys
    estimated: dict[str, float]


def check(count: int) -> None:
    """Refuse to begin without what it takes.

    Raises:
        UsageError: more engines than ``MOST``.
        ToolError: Yosys or Verilator is missing; the text says how to get it.
    """
    check_range("verify", count, 0, MOST)
    if count:
        yosys.version()
        verilate.environment()


def verify(
    model: Model, engines: Sequence[Found], x: np.ndarray, told: Callable[[int, int], object]
) -> Iterator[Verified]:
    """Simulate and count engines, one after the other; each takes a minute or some.

    Args:
        model: the float model.
        engines: of a search.
        x: calibration data, (batch, time, X) float.
        told: is called with how many are done, and of how many.

    Raises:
        EngineError: bits or cycles differ.
        ToolError: a tool fails.
    """
    calibration = None if model.quantized else x
    for done, one in enumerate(engines):
        told(done, len(engines))
        cfg = one.config
        golden, rtl = (
            Session(model, cfg, backend, calibration=calibration) for backend in ("golden", "rtl")
        )
        some = x[:_SEQUENCES, :_STEPS]
        if not np.array_equal(golden.run(some), rtl.run(some)):
            raise EngineError(f"{cfg.digest}: h of the simulated engine is not the golden model's")
        report = rtl.report
        assert report is not None and report.cycles is not None
        if report.cycles != report.predicted_cycles:
            raise EngineError(
                f"{cfg.digest}: {report.cycles} cycles, {report.predicted_cycles} predicted"
            )
        used, estimated = yosys.count(cfg), estimate(cfg)
        yield Verified(
            tools.build_folder(cfg).name,
            report.cycles,
            {kind: used[kind] for kind in estimated},
            estimated,
        )
    told(len(engines), len(engines))
