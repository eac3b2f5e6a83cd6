"""The paper's networks and DeepBench's LSTMs on ours and on the rivals, *modelled*.

A floating-point operation is counted as there: 2 for a multiplication and its addition, of both
matrices of an LSTM, 8 H (X + H) a step, which is 16 H^2 where X = H.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lstm_sharp.compiler.layer import LayerShape
from workshop.paper.rivals import (
    BESIDE,
    SCALINGS,
    UNITS,
    BrainWave,
    brainwave,
    epur,
    ours,
    speedup,
)
from workshop.paper.utilisation import BUDGETS

CLOCK_MHZ = 500
"""The paper's, at its budgets."""


def flop(input_size: int, hidden_size: int) -> int:
    """Floating-point operations of a step of an LSTM, both matrices."""
    return 8 * hidden_size * (input_size + hidden_size)


def layers(network: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield X and how many layers have it; the first one's X is taken to be H."""
    size, directions = network["hidden"], network["directions"]
    yield from Counter([size] + [directions * size] * (network["layers"] - 1)).items()


def study(published: dict[str, Any], chain: int) -> dict[str, Any]:
    """Model the networks at each budget, and DeepBench's sizes at BrainWave's and the largest.

    Args:
        published: what docs/paper/published.json holds.
        chain: BrainWave's, in cycles.
    """
    found = [
        _network(network, macs, chain) for network in published["networks"] for macs in BUDGETS
    ]
    means = {
        rival: {
            name: speedup([row[rival][name] for row in found], [row["in_turn"] for row in found])
            for name in found[0][rival]
        }
        for rival in ("epur", "brainwave")
    }
    clock = published["brainwave"]["clock_mhz"]
    return {
        "kind": "modelled by us",
        "clock_mhz": CLOCK_MHZ,
        "networks": found,
        "speedup": means,
        "deepbench": [_deepbench(row, chain, clock) for row in published["deepbench"]["lstm"]],
    }


def _network(network: dict[str, Any], macs: int, chain: int) -> dict[str, Any]:
    """Model a network, layer after layer.

    The directions of a layer run side by side, which ``cycles`` is of; ``in_turn`` is of one after
    the other, as the rivals are taken to run them.
    """
    size, steps, beside = network["hidden"], network["steps"], network["directions"]
    taken = in_turn = work = 0
    epurs, waves = Counter[str](), Counter[str]()
    for x, count in layers(network):
        shape = LayerShape(x, size)
        taken += count * ours(x, size, macs, chains=beside, steps=steps)["cycles"]
        in_turn += count * beside * ours(x, size, macs, steps=steps)["cycles"]
        work += count * beside * steps * flop(x, size)
        for name, width in UNITS.items():
            epurs[name] += count * beside * epur(shape, macs, steps, width)
        for name, of in SCALINGS.items():
            waves[name] += count * beside * brainwave(shape, of(macs), steps, chain).cycles
    return {
        "name": network["name"],
        "macs": macs,
        "cycles": taken,
        "in_turn": in_turn,
        "ms": round(taken / CLOCK_MHZ / 1e3, 4),
        "utilization": round(work / 2 / macs / taken, 4),
        "tflops": round(work * CLOCK_MHZ / taken / 1e6, 3),
        "epur": dict(epurs),
        "brainwave": dict(waves),
    }


def _deepbench(row: dict[str, Any], chain: int, clock: int) -> dict[str, Any]:
    """Model an LSTM of X = H at BrainWave's multipliers and clock, and at the paper's largest."""
    size, steps = row["hidden"], row["steps"]
    theirs = brainwave(LayerShape(size, size), BrainWave(), steps, chain).cycles
    work = steps * flop(size, size)
    found = {
        "hidden": size,
        "steps": steps,
        "brainwave_ms": round(theirs / clock / 1e3, 4),
        "brainwave_utilization": round(work / 2 / BrainWave().macs / theirs, 4),
    }
    for name, macs, mhz in (("beside", BESIDE, clock), ("largest", BUDGETS[-1], CLOCK_MHZ)):
        cycles = ours(size, size, macs, steps=steps)["cycles"]
        found[name] = {
            "macs": macs,
            "clock_mhz": mhz,
            "ms": round(cycles / mhz / 1e3, 5),
            "utilization": round(work / 2 / macs / cycles, 4),
            "tflops": round(work * mhz / cycles / 1e6, 3),
        }
    return found
