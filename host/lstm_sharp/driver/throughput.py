"""Where the time of a call goes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lstm_sharp.driver.accelerator import Accelerator

NAMES = ("pack", "copy", "compute", "unpack")


class Phases:
    """Seconds of each phase of a call.

    Pack and unpack are by the host's clock, which this class reads; copy and compute are not.
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self._since = time.perf_counter()

    def begin(self) -> None:
        """Begin a phase of the host."""
        self._since = time.perf_counter()

    def pause(self, name: str) -> None:
        """End the phase that has begun, under a name, and begin the next."""
        now = time.perf_counter()
        self.seconds[name] += now - self._since
        self._since = now

    def add(self, name: str, seconds: float) -> None:
        """Add what another clock has taken."""
        self.seconds[name] += seconds


@dataclass(frozen=True)
class Throughput:
    """Median seconds of the phases of a call.

    pack: integers into beats. copy: caches, program and start of the transfers. compute: from
    start to the last byte of h. unpack: beats into arrays. A virtual board has a clock of its own
    for copy and compute: simulated seconds.
    """

    batch: int
    steps: int
    pack: float
    copy: float
    compute: float
    unpack: float
    latency: float  # of a call with a single sequence, all phases
    cycles: int  # counted by the engine
    clock_mhz: float  # seen

    @property
    def steps_per_second(self) -> float:
        """Time steps of all sequences a second, all phases one after the other."""
        return self.batch * self.steps / (self.pack + self.copy + self.compute + self.unpack)

    @property
    def overhead(self) -> float:
        """Pack and unpack over compute."""
        return (self.pack + self.unpack) / self.compute

    def as_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return {
            **asdict(self),
            "steps_per_second": self.steps_per_second,
            "overhead": self.overhead,
        }

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {1e3 * getattr(self, name):.3f} ms" for name in NAMES)
        return (
            f"{self.batch} x {self.steps} steps: {parts}; pack + unpack "
            f"{100 * self.overhead:.2f} % of compute; {self.steps_per_second:.0f} steps/s at "
            f"{self.clock_mhz:.1f} MHz; one sequence of {self.steps} steps: "
            f"{1e3 * self.latency:.3f} ms"
        )


def measure(
    accelerator: Accelerator, batch: int, steps: int, repeats: int, clock_mhz: float
) -> Throughput:
    """Run random integers; see ``Accelerator.throughput_test``."""
    model = accelerator.model
    bits = model.fmt.activation_bits
    most = 1 << (bits - 1)
    x = np.random.default_rng(1).integers(-most, most, (batch, steps, model.input_size))
    x = x.astype(f"i{bits // 8}")
    seen = []
    for _ in range(1 + repeats):  # the first call makes programs and takes memory
        accelerator.run(x)
        seen.append(list(accelerator.phases.seconds.values()))
    cycles = accelerator.cycles
    alone = []
    for _ in range(1 + repeats):
        accelerator.run(x[0])
        alone.append(sum(accelerator.phases.seconds.values()))
    pack, copy, compute, unpack = np.median(seen[1:], axis=0).tolist()
    latency = float(np.median(alone[1:]))
    return Throughput(batch, steps, pack, copy, compute, unpack, latency, cycles, clock_mhz)
