"""What is run by both sides: sizes, models and inputs, all from printed seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lstm_sharp.model import Model
from lstm_sharp.numerics import reference
from models import pytorch_like


@dataclass(frozen=True)
class Case:
    """One LSTM layer and its input; csim and golden run all sequences, hls4ml the first few."""

    input_size: int
    hidden_size: int
    steps: int
    config: str  # ours
    reuse: int  # hls4ml's: products that share a multiplier
    sequences: int
    few: int
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.input_size} -> {self.hidden_size}, T = {self.steps}"

    @cached_property
    def model(self) -> Model:
        """Initialised as PyTorch does by default."""
        return pytorch_like(self.seed, [self.input_size, self.hidden_size])

    @cached_property
    def x(self) -> np.ndarray:
        """(sequences, time, X) float32, U(-1, 1)."""
        return self._draw(self.sequences, 1)

    @cached_property
    def calibration(self) -> np.ndarray:
        """Other sequences of the same kind, which set the scale of our x."""
        return self._draw(64, 2)

    @cached_property
    def h(self) -> np.ndarray:
        """Float h of the first few sequences, (few, time, H)."""
        return reference.run(self.model, self.x[: self.few])[0]

    def _draw(self, sequences: int, stream: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, stream])
        size = (sequences, self.steps, self.input_size)
        return rng.uniform(-1, 1, size).astype(np.float32)


CASES = (
    Case(32, 64, 16, "pynq-z2", reuse=64, sequences=4096, few=128),
    Case(256, 256, 16, "pynq-z2", reuse=128, sequences=512, few=16),
    Case(512, 512, 8, "zcu104", reuse=256, sequences=512, few=8),
)


class Subject(Protocol):
    """One simulation at one setting, float x to float h."""

    case: Case
    tool: str
    setting: str
    sequences: int

    def build(self) -> None:
        """Make it anew from the float model; what is timed as ``build``."""

    def run(self) -> np.ndarray:
        """Run it; h (sequences, steps, H), where ``steps`` are all or the last alone."""
