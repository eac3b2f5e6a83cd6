"""What a report consists of, and the job that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lstm_sharp.compiler.plan import Plan
from lstm_sharp.engine.config import Config
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.report.drawings import Drawing
from lstm_sharp.runtime import deploy

MODELLED, GOLDEN, ESTIMATED, COUNTED = "modelled", "golden model", "estimated", "counted"
"""Kinds of figures: by the cycle model; by NumPy in the engine's integers; by a rule; by Yosys."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first of each is its head."""

    title: str
    kind: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A drawing with what it shows."""

    title: str
    kind: str
    drawing: Drawing


@dataclass(frozen=True)
class Outline:
    """The drawing of ``inspect``, an SVG text that is escaped already."""

    title: str
    svg: str


@dataclass(frozen=True)
class Card:
    """A figure of the verdict."""

    value: str
    what: str
    kind: str


Part = str | Table | Figure | Outline


@dataclass(frozen=True)
class Section:
    """A part of the page; ``name`` is its anchor."""

    name: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Contents:
    """All that a page says."""

    title: str
    runs: bool
    verdict: Sequence[str]
    cards: Sequence[Card]
    sections: Sequence[Section]


@dataclass(frozen=True)
class Job:
    """What is reported on."""

    model: Model
    made: QuantModel
    cfg: Config  # of the sv engine
    x: np.ndarray  # (B, T, X) float64
    calibration: np.ndarray | None
    data: str  # where x and the scales come from, in words

    @property
    def steps(self) -> int:
        """Time steps of a sequence."""
        return int(self.x.shape[1])

    @property
    def ideal(self) -> float:
        """Cycles of a step if every multiplier always worked for the model."""
        return self.made.macs_per_step / self.cfg.macs

    def plans(self, count: int, schedule: str = "best", engine: str = "sv") -> tuple[Plan, ...]:
        """Plan so many sequences side by side: the whole model, or each level."""
        cfg = self.cfg.of(engine)
        return deploy.plans(self.made, cfg, schedule, self.steps, count)
