"""Asking about many engines, on any executor, and keeping those that no other is better than.

A better one is no worse on any axis. Nothing here is measured: cycles are the cycle model's, and
what an engine takes is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.knobs import from_knobs
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.explore import candidates
from lstm_sharp.explore.cache import Cache, key_of, version
from lstm_sharp.fit import speed
from lstm_sharp.runtime.deploy import Cells

AXES = ("latency_us", "throughput", "lut", "dsp", "bram36", "uram", "error")
"""What engines are held against each other by; of throughput more is better, of all else less."""
_AHEAD = 4
"""Groups that are handed to each worker before it asks for more."""


@dataclass(frozen=True)
class Found:
    """An engine that holds the model."""

    knobs: Mapping[str, Any]
    runs: str  # whole, or by levels
    latency_us: float  # of a step of one sequence, reloads with it
    throughput: float  # steps a second of as many sequences as run side by side
    lut: float
    dsp: float
    bram36: float
    uram: float
    error: float = 0.0  # largest of h on the calibration data

    @property
    def config(self) -> Config:
        """The config of it."""
        return from_knobs(dict(self.knobs))

    @property
    def costs(self) -> tuple[float, ...]:
        """What it costs on each axis; less is better."""
        return tuple(
            -value if axis == "throughput" else value
            for axis in AXES
            for value in [getattr(self, axis)]
        )


class Lack(NamedTuple):
    """What an engine has too little of."""

    share: float  # of what there is
    what: str


NOTHING = Lack(float("inf"), "has memories as large as knobs allow, which are too small")
"""Of an array that no knobs make hold a model."""


class Group(NamedTuple):
    """Engines that a worker is asked about in one go."""

    version: str
    cells: Cells
    steps: int
    sized: bool  # memories are made as large as the model needs them
    knobs: tuple[Mapping[str, Any], ...]


def judge(group: Group) -> list[dict[str, Any]]:
    """Say of each engine of a group what it takes and how fast it is, or what it lacks.

    Raises:
        ToolError: this worker's sources are not those of whom it works for.
    """
    if group.version != version():
        raise ToolError("a worker has another version of lstm-sharp; install the same on all")
    return [_judge(from_knobs(dict(knobs)), group) for knobs in group.knobs]


def _judge(cfg: Config, group: Group) -> dict[str, Any]:
    on, lack = facts(cfg.board), NOTHING
    holding = candidates.holding(cfg, group.cells, group.steps) if group.sized else [cfg]
    for large in holding:
        made = candidates.parted(large) if group.sized else large
        shares = candidates.shares(made or large, on)
        kind, share = max(shares.items(), key=lambda one: one[1])
        if made is None or share > 1:
            need = candidates.taken(made or large)[kind]
            told = f"takes {need:,.0f} {kind.upper()}, {on.name} has {on.free(kind):,} for it"
            lack = min(lack, Lack(share, told))
            continue
        try:
            speeds = _speeds(group.cells, _paced(made), group.steps)
        except UsageError as error:  # such as a program longer than its window
            if group.sized:
                lack = min(lack, Lack(1.0, f"is refused: {error}"))
            continue
        used = {kind: round(value, 1) for kind, value in candidates.taken(made).items()}
        knobs = {k: list(v) if isinstance(v, tuple) else v for k, v in made.knobs().items()}
        return {"knobs": knobs, **speeds, **used}  # as it comes back from the cache
    return {"lacks": lack.what, "share": lack.share}


def _paced(cfg: Config) -> Config:
    """Leave out of a config what the cycle model does not ask for, so that alike ones are one."""
    fmt = cfg.fmt
    if not fmt.levels:
        cfg = replace(cfg, format=f"W{fmt.weight_room}A{fmt.activation_room}")
    return replace(cfg, name="paced", packed=min(cfg.packed, 2), lut_columns=0, uram_columns=0)


@lru_cache(maxsize=64)
def _speeds(cells: Cells, cfg: Config, steps: int) -> dict[str, Any]:
    alone = speed(cells, cfg, steps, 1)
    beside = alone if cfg.chains == 1 else speed(cells, cfg, steps, cfg.chains)
    return {
        "runs": "whole" if len(alone.schedules) == 1 else "by levels",
        "latency_us": 1e6 / alone.steps_per_second,
        "throughput": beside.steps_per_second,
    }


def search(
    groups: Iterable[Group],
    executor: Executor,
    cache: Cache,
    workers: int,
    told: Callable[[int], object] = lambda done: None,
) -> Iterator[dict[str, Any]]:
    """Judge groups of engines, as they come, and give what is said of each engine.

    What the cache has is not asked again; what is new is in it before it is given. No more groups
    are on their way than keep the workers busy.

    Args:
        groups: what to ask.
        executor: where.
        cache: of earlier answers.
        workers: processes behind the executor.
        told: is called with the number of engines that are done.

    Raises:
        ToolError: a worker has ended, or has other sources.
    """
    under_way: dict[Future[list[dict[str, Any]]], tuple[str, ...]] = {}
    coming, done = iter(groups), 0
    try:
        while True:
            while len(under_way) < _AHEAD * workers and (group := next(coming, None)):
                about = group.cells, group.steps, group.sized
                keys = [key_of(knobs, *about) for knobs in group.knobs]
                known = cache.get(keys)
                done += len(known)
                yield from known.values()
                if new := {k: knobs for k, knobs in zip(keys, group.knobs) if k not in known}:
                    asked = group._replace(knobs=tuple(new.values()))
                    under_way[executor.submit(judge, asked)] = tuple(new)
            told(done)
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                answers = dict(zip(under_way.pop(future), future.result()))
                cache.put(answers)
                done += len(answers)
                yield from answers.values()
    except BrokenExecutor:
        raise ToolError("a worker has ended; run it again, what is done is in the cache") from None
    finally:
        for future in under_way:
            future.cancel()


def with_one(front: list[Found], one: Found) -> list[Found]:
    """Take an engine among those that no other is better than; of those alike the first stays."""
    costs = one.costs
    if any(_no_worse(other.costs, costs) for other in front):
        return front
    return [*(other for other in front if not _no_worse(costs, other.costs)), one]


def _no_worse(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other))
