"""Utilisation by multipliers, size, schedule and K, and what each idea adds, *modelled*.

All figures come from the cycle model, of engines that are not built: layers with X = H, one
sequence unless said.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain, combinations
from multiprocessing import get_context
from typing import Any, NamedTuple

from rich.progress import track

from lstm_sharp.compiler import by_gate
from lstm_sharp.compiler.perf import perf
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.errors import UsageError

BUDGETS = (1024, 4096, 16384, 65536)
"""Multipliers."""
SIZES = (128, 256, 340, 512, 1024)
"""X = H."""
STEPS = 100
CHAINS = 4
"""Sequences side by side, where there is more than one."""


class Setting(NamedTuple):
    """What one row of the study asks, at every size."""

    macs: int
    k: str = "best"
    schedule: str = "best"
    chains: int = 1
    k_list: tuple[int, ...] = ()
    padding: bool = True


class Seen(NamedTuple):
    """What the cycle model says of a setting, a place for each size."""

    k: tuple[int, ...]
    n: tuple[int, ...]
    utilization: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean utilisation over the sizes; none where a size has no engine."""
        return sum(self.utilization) / len(SIZES) if self.utilization else -1.0


def ask(of: Setting, sizes: Iterable[int] = SIZES) -> Seen:
    """Ask the cycle model; an empty answer if some size has no such engine or program."""
    k_list = ",".join(map(str, of.k_list)) or None
    knobs: Any = (of.macs, of.k, of.schedule, of.chains, STEPS, None, k_list, of.padding)
    try:
        reports = [perf(size, size, *knobs) for size in sizes]
    except UsageError:
        return Seen((), (), ())
    k, n, utilization = (
        tuple[Any, ...](r[key] for r in reports) for key in ("k", "n", "utilization")
    )
    return Seen(k, n, tuple(round(u, 4) for u in utilization))


def ks(macs: int) -> list[int]:
    """List the K's that are tried: tiles of at least four columns and at most 256, K 16 to 2048."""
    return [k for k in (16 << i for i in range(8)) if max(16, macs // 256) <= k <= macs // 4]


def study() -> dict[str, Any]:
    """Ask all that documentation shows.

    The list of a budget is the one of four K's with the highest mean utilisation over the sizes, of
    all lists that ``ks`` has; of equal ones that with the smallest K's. For several sequences only
    those lists are tried that are the ten best for one.
    """
    singles = [
        Setting(macs, str(k), schedule)
        for macs in BUDGETS
        for k in ks(macs)
        for schedule in (*by_gate.SCHEDULES, *SCHEDULES, "best")
    ]
    lists = {m: [Setting(m, k_list=four) for four in combinations(ks(m), 4)] for m in BUDGETS}
    free = [Setting(macs) for macs in BUDGETS]
    seen = _ask_all(singles + list(chain(*lists.values())) + free, "one sequence")
    chosen = [_best(seen, found) for found in lists.values()]
    several = {
        macs: [s._replace(chains=CHAINS) for s in sorted(found, key=lambda s: -seen[s].mean)[:10]]
        for macs, found in lists.items()
    }
    more = list(chain(*several.values()))
    more += [s._replace(chains=CHAINS) for s in singles if s.schedule == "best"]
    seen |= _ask_all(more, f"{CHAINS} sequences")
    chosen += [_best(seen, found) for found in several.values()]
    seen |= _ask_all([s._replace(padding=False) for s in chosen], "without padding")
    return {
        "kind": "modelled by us",
        "steps": STEPS,
        "sizes": SIZES,
        "chains": CHAINS,
        "best_k": [{"macs": s.macs, **seen[s]._asdict()} for s in free],
        "reconfiguration": [_reconfiguration(seen, setting) for setting in chosen],
        "ladder": [{"macs": s.macs, "rungs": _ladder(seen, s)} for s in chosen if s.chains == 1],
    }


def _ask_all(settings: list[Setting], what: str) -> dict[Setting, Seen]:
    """Ask on all cores, the slowest settings first."""
    order = sorted(settings, key=lambda s: (s.k != "best", s.macs))
    with get_context("spawn").Pool(min(4, os.cpu_count() or 1)) as pool:
        answers = track(pool.imap(ask, order), f"modelling {what}", total=len(order))
        return {setting: seen for seen, setting in zip(answers, order)}


def _best(seen: dict[Setting, Seen], settings: Iterable[Setting]) -> Setting:
    """Choose the setting of the highest mean."""
    return max(settings, key=lambda s: round(seen[s].mean, 4))


def _single(seen: dict[Setting, Seen], macs: int, schedule: str, chains: int) -> Setting:
    """Choose the one K that is best over the sizes."""
    return _best(seen, (Setting(macs, str(k), schedule, chains) for k in ks(macs)))


def _reconfiguration(seen: dict[Setting, Seen], chosen: Setting) -> dict[str, Any]:
    """Set a list beside each of its K's alone, and beside the best of all single K's."""
    single = _single(seen, chosen.macs, "best", chosen.chains)
    alone = {k: seen[Setting(chosen.macs, str(k), "best", chosen.chains)] for k in chosen.k_list}
    return {
        "macs": chosen.macs,
        "chains": chosen.chains,
        "k_list": chosen.k_list,
        "padding": seen[chosen].utilization,
        "no_padding": seen[chosen._replace(padding=False)].utilization,
        "single": {"k": int(single.k), "utilization": seen[single].utilization},
        "alone": {str(k): answer.utilization for k, answer in alone.items()},
    }


def _ladder(seen: dict[Setting, Seen], chosen: Setting) -> list[dict[str, Any]]:
    """One thing more on each rung; schedules each on an engine of the one K that suits it best."""
    steps = [(s, _single(seen, chosen.macs, s, 1)) for s in (*by_gate.SCHEDULES, *SCHEDULES)]
    steps += [
        ("run-time K", chosen._replace(padding=False)),
        ("padding", chosen),
        (f"{CHAINS} sequences", chosen._replace(chains=CHAINS)),
    ]
    return [
        {
            "name": name,
            "k": setting.k_list or (int(setting.k),),
            "utilization": seen[setting].utilization,
        }
        for name, setting in steps
    ]
