"""Figures that the documentation promises, seen in Verilated runs of the board config."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_sharp.run.report import Report
from lstm_sharp.run.session import Session
from models import pytorch_like

pytestmark = pytest.mark.rtl


def _report(size: int, schedule: str) -> Report:
    model = pytorch_like(0, [size, size])
    x = np.random.default_rng(1).uniform(-1, 1, (1, 64, size))
    session = Session(model, "pynq-z2", "rtl", schedule=schedule)
    session.run(x)
    assert session.report is not None
    assert session.report.cycles == session.report.predicted_cycles
    return session.report


def test_unfolded_keeps_the_array_busy() -> None:
    # 640 slots for 630.15 ideal cycles a step bound it at 0.9846: 128 columns fill 4.92 words
    assert 0.98 <= _report(128, "unfolded").utilization <= 0.9846


def test_schedules_are_worth_their_step() -> None:
    intergate, unfolded, elementwise = (
        _report(32, name).cycles for name in ("intergate", "unfolded", "elementwise")
    )
    assert elementwise < unfolded < 0.8 * intergate
