"""What a call did, in figures: the JSON of the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Report:
    """What a call of ``Session.run`` did; the JSON of the command line."""

    backend: str
    engine: str | None
    config: str | None  # None and the figures below too: no shipped config holds the model
    format: str
    schedule: str | None
    batch: int
    steps: int  # time steps of all sequences together
    cycles: int | None  # seen by the simulated engine's own counter
    predicted_cycles: int | None  # of the sv engine, by the cycle model
    load_cycles: int | None
    predicted_load_cycles: int | None
    ideal_cycles: float | None
    utilization: float | None  # ideal / cycles, or / predicted_cycles where none were seen
    limited_by: str | None
    max_abs_error: float  # against the float model, over all h
    seconds: float
    notes: tuple[str, ...]  # what quantisation coarsened

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)
