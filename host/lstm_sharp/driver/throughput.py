"""Where the time of a call goes."""

from __future__ import annotations

from dataclasses import dataclass

from lstm_sharp.runtime.backends import PHASES


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
    virtual: bool = False  # whether the board is: then copy and compute are simulated

    @property
    def steps_per_second(self) -> float:
        """Time steps of all sequences a second, all phases one after the other."""
        return self.batch * self.steps / (self.pack + self.copy + self.compute + self.unpack)

    @property
    def overhead(self) -> float:
        """Pack and unpack over compute."""
        return (self.pack + self.unpack) / self.compute

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {1e3 * getattr(self, name):.3f} ms" for name in PHASES)
        kind = "measured"
        if self.virtual:
            kind = "virtual board, copy and compute simulated, pack and unpack by this computer"
        return (
            f"{kind}: {self.batch} x {self.steps} steps: {parts}; pack + unpack "
            f"{100 * self.overhead:.2f} % of compute; {self.steps_per_second:.0f} steps/s at "
            f"{self.clock_mhz:.1f} MHz; one sequence of {self.steps} steps: "
            f"{1e3 * self.latency:.3f} ms"
        )
