"""Energy of an operation and GFLOPS/W by budget, *modelled*: sums of constants, never measured.

The constants are those of Horowitz, ISSCC 2014, at 45 nm and 0.9 V, *recalled*. Of each the model
takes a low and a high value where the engine may be built either way, and gives both ends.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any, NamedTuple

from workshop.paper.utilisation import BUDGETS, SIZES


class Constant(NamedTuple):
    """What an operation takes, in pJ at 45 nm, or a factor: the least and the most."""

    low: float
    high: float
    unit: str
    source: str


_HOROWITZ = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"
CONSTANTS = {
    "multiply FP16": Constant(1.1, 1.1, "pJ", _HOROWITZ),
    "add FP16 to FP32": Constant(0.4, 0.9, "pJ", f"{_HOROWITZ}: FP16 to FP32"),
    "weight read, 16 bits": Constant(
        2.5, 5.0, "pJ", f"{_HOROWITZ}: 10 pJ for 64 bits of 8 KB, 20 pJ of 32 KB"
    ),
    "registers and clock": Constant(
        0.1, 0.5, "pJ", "assumed: two to three pipeline registers a product"
    ),
    "scalar read, 16 bits": Constant(
        5.0, 25.0, "pJ", f"{_HOROWITZ}: a quarter of 64 bits of 32 KB to 1 MB; shared by K rows"
    ),
    "activation and cell": Constant(
        50, 200, "pJ", "assumed: some 20 to 60 FP operations and a read and write of c a neuron"
    ),
    "45 nm to 32 nm": Constant(
        0.5, 0.75, "times", "assumed: between the square and the first power of 32 / 45"
    ),
    "idle": Constant(
        0.1, 0.3, "times", "assumed: leakage and clock, of the power of all MACs at work"
    ),
}
"""All that the model is made of; the low ends together give the most GFLOPS/W."""
DRAM_PJ = (1300, 2600)
"""Of 64 bits, Horowitz; weights stay on chip, so that it is told for what reading them would be."""


def picojoules(k: int, hidden_size: int, utilization: float, end: str) -> dict[str, float]:
    """Energy of a product in pJ, part by part.

    Args:
        k: rows of a tile, which share a scalar.
        hidden_size: H, with X = H: a neuron has 8 H products a step.
        utilization: of the multipliers.
        end: ``low`` or ``high``.
    """
    of = {name: getattr(constant, end) for name, constant in CONSTANTS.items()}
    scale = of["45 nm to 32 nm"]
    parts = {
        "multiply and add": scale * (of["multiply FP16"] + of["add FP16 to FP32"]),
        "weights": scale * of["weight read, 16 bits"],
        "x and h": scale * of["scalar read, 16 bits"] / k,
        "registers": scale * of["registers and clock"],
        "activation": scale * of["activation and cell"] / (8 * hidden_size),
    }
    parts["idle"] = of["idle"] * sum(parts.values()) / utilization
    return parts


def study(best_k: list[dict[str, Any]]) -> dict[str, Any]:
    """Work out GFLOPS/W by budget, the mean over layers of each end.

    Args:
        best_k: of each budget K and utilisation by size, as ``utilisation.study`` finds them.
    """
    rows = []
    for row in best_k:
        ends: dict[str, Any] = {"macs": row["macs"]}
        for end in ("low", "high"):
            parts = [
                picojoules(k, size, u, end)
                for k, size, u in zip(row["k"], SIZES, row["utilization"])
            ]
            ends[end] = {
                "gflops_per_watt": round(fmean(2e3 / sum(each.values()) for each in parts), 1),
                "pj": {name: round(fmean(each[name] for each in parts), 3) for name in parts[0]},
            }
        rows.append(ends)
    assert [row["macs"] for row in rows] == list(BUDGETS)
    return {
        "kind": "modelled by us",
        "constants": {name: constant._asdict() for name, constant in CONSTANTS.items()},
        "dram_pj": DRAM_PJ,
        "budgets": rows,
    }
