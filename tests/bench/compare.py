"""The bench itself: which simulation is timed when, and what is worked out from it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from bench.case import Case, Subject
from lstm_sharp.errors import UsageError
from workshop import bench_table as report

Key = tuple[str, str]  # tool and setting
Runs = dict[Key, list[float]]


def figures(
    rounds: Iterable[Sequence[Subject]],
    runs: int,
    step: Callable[[str], None] = lambda doing: None,
) -> list[dict[str, Any]]:
    """Build and run all subjects, round after round, and compare what they give.

    Args:
        rounds: the same subjects in each round, of another model each.
        runs: how often each is run in a round.
        step: told what is done next.

    Returns:
        The figures of a case, see ``report.bench_table``.

    Raises:
        UsageError: csim and the golden model differ, or a subject cannot be built.
    """
    builds, speeds, last, every = (defaultdict[Key, list[float]](list) for _ in range(4))
    for subjects in rounds:
        for subject in subjects:
            if subject.tool != report.GOLDEN:
                step(f"build {subject.tool} {subject.setting}")
                builds[_key(subject)].append(_timed(subject.build)[0])
        h: dict[Key, np.ndarray] = {}
        for _ in range(runs):
            for subject in subjects:
                step(f"run {subject.tool} {subject.setting}")
                took, h[_key(subject)] = _timed(subject.run)
                speeds[_key(subject)].append(subject.sequences / took)
        _check_bits(h)
        _add_errors(subjects[0].case, h, last, every)
    return report.sort(
        [
            *_rows(report.SPEED, "sequences/s", speeds),
            *_ratios(report.SPEED_RATIO, speeds, lambda mine, others: mine / max(others)),
            *_rows(report.BUILD, "s", builds),
            *_ratios(report.BUILD_RATIO, builds, lambda mine, others: min(others) / mine),
            *_rows(report.ERROR_LAST, "1", last),
            *_rows(report.ERROR_ALL, "1", every),
        ]
    )


def _key(subject: Subject) -> Key:
    return subject.tool, subject.setting


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def _rows(what: str, unit: str, runs: Runs) -> Iterator[dict[str, Any]]:
    for (tool, setting), seen in runs.items():
        yield report.figure(what, tool, setting, unit, seen)


def _ratios(
    what: str, runs: Runs, ratio: Callable[[float, Sequence[float]], float]
) -> Iterator[dict[str, Any]]:
    """Compare each csim with the best of hls4ml's settings, run by run."""
    others = list(zip(*(seen for (tool, _), seen in runs.items() if tool == report.HLS4ML)))
    for (tool, setting), seen in runs.items():
        if tool == report.CSIM:
            yield report.figure(what, tool, setting, "1", list(map(ratio, seen, others)))


def _add_errors(case: Case, h: dict[Key, np.ndarray], last: Runs, every: Runs) -> None:
    """Compare with the float reference, on the sequences that all have run."""
    for key, seen in h.items():
        few = seen[: case.few]
        if key[0] != report.GOLDEN:  # the same bits as csim's
            last[key].append(float(np.abs(few[:, -1] - case.h[:, -1]).max()))
        if key[0] == report.CSIM:
            every[key].append(float(np.abs(few - case.h).max()))


def _check_bits(h: dict[Key, np.ndarray]) -> None:
    for (tool, setting), seen in h.items():
        if tool == report.GOLDEN and not np.array_equal(seen, h[report.CSIM, setting]):
            raise UsageError(f"csim and the golden model differ at {setting}; run make csim")
