"""The pipeline of a slot, stage by stage: the one place that knows its latencies.

The SystemVerilog engine is built to these numbers and its tests fail if it is not; the cycle
model and the compiler's distances are sums over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Stage(NamedTuple):
    """Consecutive register stages with one job."""

    name: str
    cycles: int
    why: str


SPANS = {
    "SumEdge": ("read", "accumulate"),  # from the issue registers to the running sums
    "HEdge": ("scale", "write h"),  # from the sums that the lanes take to their h,
    "CReadEdge": ("scale", "gate slope"),  # to what c is read beside,
    "CellEdge": ("scale", "cell table"),  # and to c of an LSTM, saturated
    "OutputWait": ("cell", "output operands"),  # for which o waits
}
"""Constants of the hardware: first and last of the stages whose cycles each counts."""


def span(stages: Sequence[Stage], first: str, last: str) -> int:
    """Cycles from the beginning of one stage to the end of another."""
    names = [stage.name for stage in stages]
    return sum(stage.cycles for stage in stages[names.index(first) : names.index(last) + 1])


def tail_stages(reduce_levels: int, passes: int, tapped: bool, scaled: bool) -> tuple[Stage, ...]:
    """List the stages from a slot's issue registers to its last h being readable.

    Args:
        reduce_levels: registered levels of the adder tree.
        passes: turns in which the lanes take up the largest row block.
        tapped: whether the tile has several shapes.
        scaled: whether rows have scales of their own.
    """
    return (
        Stage("read", 1, "weight memory latches its word; x, h or sequence word is read"),
        Stage("select", 1, "weight memory's output register; one of the vector sources is taken"),
        Stage("operands", 1, "input registers of the DSPs"),
        Stage("multiply", 1, "M registers"),
        Stage("product", 1, "P registers"),
        Stage("reduce", reduce_levels, "adder tree over the N VS units, four to one a level"),
        Stage("accumulate", 1, "last sums of the tree and the running sum"),
        Stage("hand over", int(tapped), "all finished sums to the MFU's registers"),
        Stage("passes", passes - 1, "the lanes take up a row block's neurons in turns"),
        Stage("scale", int(scaled), "accumulator times 4 to 7 quarters, by one sum"),
        Stage("shift", 1, "accumulator to the scale of tanh's argument"),
        Stage("gate table", 1, "table of tanh in LUTs, into the DSPs' input registers"),
        Stage("gate slope", 2, "slope times position, plus the segment's first value (M, P)"),
        Stage("gate operands", 1, "sign and offset of sigma and tanh, DSP input registers"),
        Stage("cell", 3, "f * c (M, P) and i * g added in the second DSP (P)"),
        Stage("cell shift", int(scaled), "c to the scale of tanh's argument"),
        Stage("cell table", 1, "c saturates; table of tanh(c) in parallel"),
        Stage("cell slope", 2, "as for the gates"),
        Stage("output operands", 1, "DSP input registers of o * tanh(c)"),
        Stage("output", 2, "M, P"),
        Stage("write h", 1, "saturate and write the h buffer"),
    )
