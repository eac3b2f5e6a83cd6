"""Figures that the documentation shows: seen again in Verilated runs, and as good as promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workshop import demo, figures, results

pytestmark = [pytest.mark.rtl, pytest.mark.sv]


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_documented_figures_are_those_of_this_engine(every: int) -> None:
    told = results.read("figures")["runs"]
    assert len(told) == len(figures.cases()), "run make figures"
    seen = [figures.run(*case) for case in figures.cases()[::every]]
    assert seen == told[::every], "run make figures"


def test_documented_demo_is_this_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "OUT", tmp_path)
    assert demo.main() == 0
    seen = figures.of_demo(json.loads((tmp_path / "demo.json").read_text()))
    assert seen == results.read("demo"), "run make figures"
    seen = json.loads((tmp_path / "pipeline.json").read_text())
    assert seen == results.read("pipeline"), "run make figures"


@pytest.mark.parametrize(
    ("name", "size", "chains", "schedule", "least"),
    [
        # 640 slots for 630.15 ideal cycles a step bound it at 0.9846: 128 columns fill 4.92 words
        ("pynq-z2", 128, 1, "unfolded", 0.98),
        ("zcu104", 256, 1, "elementwise", 0.995),
        ("zcu104", 64, 1, "elementwise", 0.78),
        ("zcu104", 64, 2, "elementwise", 0.985),
    ],
)
def test_promised_utilisation(
    name: str, size: int, chains: int, schedule: str, least: float
) -> None:
    assert _documented(name, size, chains)[schedule]["utilization"] >= least


def test_schedules_are_worth_their_step() -> None:
    for cfg, size, _, chains in figures.cases():
        of = _documented(cfg.name, size, chains)
        intergate, unfolded, elementwise = (
            of[s]["cycles"] for s in ("intergate", "unfolded", "elementwise")
        )
        assert of["elementwise"]["lower_bound"] <= elementwise <= unfolded <= intergate
        assert chains > 1 or unfolded < intergate
    small = _documented("zcu104", 64, 1)
    assert small["elementwise"]["cycles"] < 0.98 * small["unfolded"]["cycles"]


def _documented(name: str, size: int, chains: int) -> dict[str, dict[str, Any]]:
    runs = results.read("figures")["runs"]
    wanted = (name, size, chains)
    return {r["schedule"]: r for r in runs if (r["config"], r["size"], r["chains"]) == wanted}
