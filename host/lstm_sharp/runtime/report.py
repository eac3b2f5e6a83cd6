"""What a call did, in figures: the JSON of the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Report:
    """What a call of ``Session.run`` did; the JSON of the command line.

    None stands where no shipped config holds the model, or nothing was counted.
    """

    backend: str
    engine: str | None
    format: str
    batch: int
    steps: int  # time steps of all sequences together
    max_abs_error: float | None  # against the float model, over all h; if that was asked for
    signal_to_error: float | None  # in dB, likewise; None also where nothing differs
    seconds: float
    largest: float | None = None  # abs h of the float model, if that was asked for
    clock_mhz: int | None = None  # that the config aims at
    config: str | None = None
    schedule: str | None = None
    stages: int | None = None  # 1: all resident; more: level by level, weights reloaded between
    programs: int | None = None
    cycles: int | None = None  # seen by the simulated engine's own counter, over all programs
    predicted_cycles: int | None = None  # of the sv engine, by the cycle model
    hls_cycles: int | None = None  # of the C++ kernel, predicted; seen on no tool yet
    lower_bound: int | None = None  # cycles that no order of the tiles goes under
    load_cycles: int | None = None
    predicted_load_cycles: int | None = None
    break_even_batch: int | None = None  # sequences that take as long as the reloads
    ideal_cycles: float | None = None
    utilization: float | None = None  # ideal / cycles, or / predicted_cycles where none were seen
    limited_by: str | None = None
    # How often x left its range; how often c and h did, of cell after cell, as the golden model
    # counts them; whether c did anywhere, as an engine tells; None where that is not known.
    saturated_x: int | None = None
    saturated_c: tuple[int, ...] | bool | None = None
    saturated_h: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()  # what integers do not hold

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)
