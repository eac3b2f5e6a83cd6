"""A search from a model and a board to the engines that are worth having, and to one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError, check_range
from lstm_sharp.explore import candidates
from lstm_sharp.explore.cache import Cache, version
from lstm_sharp.explore.search import AXES, NOTHING, Found, Group, Lack, search, with_one
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.package.vectors import largest_error, typical
from lstm_sharp.runtime.deploy import Cells
from lstm_sharp.runtime.inputs import check_input

OWN = "own"
"""Name of an engine that is not shipped."""
MOST = 100_000
"""Engines that one search asks about."""
_WORSE = 2
"""An engine is chosen whose error is at most so many times the least, if nothing else is said."""

_ALIKE = 0.01
"""Part by which engines may differ on an axis and are alike there."""


@dataclass(frozen=True)
class Answer:
    """What a search found."""

    model: str
    board: str
    steps: int
    data: str  # where errors were measured
    asked: int  # engines
    held: int  # of them
    front: tuple[Found, ...]  # the fastest step first
    choice: str  # the axis of ``chosen``
    most_error: float  # that the chosen one has
    chosen: Found


def explore(
    model: Model,
    board: str,
    executor: Executor,
    cache: Cache,
    *,
    workers: int = 1,
    formats: Sequence[str] = (),
    calibration: np.ndarray | None = None,
    steps: int = 100,
    most: int = 1000,
    choice: str = AXES[0],
    most_error: float | None = None,
    told: Callable[[int, int], object] = lambda done, total: None,
) -> Answer:
    """Search for engines of a model on a board.

    Args:
        model: the float model, or one with an integer model, whose format is the one then.
        board: its name; there is a config for it.
        executor: where the models of cycles and resources are asked.
        cache: of what they have said before.
        workers: processes behind the executor.
        formats: number formats; by default those of the board's configs.
        calibration: x (batch, time, X) float that errors are measured on; None: it is drawn.
        steps: T, time steps of one call.
        most: engines to ask about; the board's own are beside them.
        choice: the axis that the chosen engine is best on.
        most_error: largest error of h that it may have; None: twice the least of all formats.
        told: is called with the engines done and all that will be.

    Raises:
        UsageError: unknown board or format, an impossible number, or nothing that holds the model;
            the text then says what came nearest.
        ToolError: a worker has ended, or has another version.
    """
    check(choice, most, most_error)
    check_range("steps", steps, 1, MAX_STEPS)
    shipped = config.of_board(board)
    if not shipped or board == "none":
        raise UsageError("an engine is searched for a board; name one with --board")
    own = model.quantized
    names = [str(own.fmt)] if own else formats or dict.fromkeys(cfg.format for cfg in shipped)
    bases = [_base(shipped[0], name, model) for name in names]
    cells = Cells.of(own or model)
    groups = list(_groups(bases, shipped, cells, steps, most))
    total, front, held, asked = sum(len(g.knobs) for g in groups), list[Found](), 0, 0
    x = data_of(model, calibration)
    errors: dict[tuple[str, bool], float] = {}
    nearest = NOTHING
    for answer in search(groups, executor, cache, workers, lambda done: told(done, total)):
        asked += 1
        if "lacks" in answer:
            nearest = min(nearest, Lack(answer["share"], answer["lacks"]))
            continue
        held += 1
        found = Found(**answer)
        cfg = found.config
        what = (cfg.format, cfg.packed > 1)
        if what not in errors:
            errors[what] = _error(model, cfg, x)
        front = with_one(front, replace(found, error=errors[what]))
    if not held:
        raise UsageError(
            f"nothing for {board} holds {model.name}: the nearest {nearest.what}; "
            "take a larger board, a format of fewer bits, or more --candidates"
        )
    limit = _WORSE * min(errors.values()) if most_error is None else most_error
    good = [one for one in front if one.error <= limit]
    if not good:
        raise UsageError(
            f"the least error of h is {min(errors.values()):.2g}, over {limit:g}; allow more with "
            "--max-error, or name a wider format"
        )
    return Answer(
        model=model.name,
        board=board,
        steps=steps,
        data="calibration data" if calibration is not None else "drawn data",
        asked=asked,
        held=held,
        front=tuple(sorted(front, key=lambda one: one.costs)),
        choice=choice,
        most_error=limit,
        chosen=best(good, choice)[0],
    )


def check(choice: str, most: int, most_error: float | None) -> None:
    """Refuse what no search takes, before any work.

    Raises:
        UsageError: an unknown axis, or a number out of its range.
    """
    if choice not in AXES:
        raise UsageError(f"axis {choice!r:.40} is unknown; choose one of {', '.join(AXES)}")
    check_range("candidates", most, 1, MOST)
    if most_error is not None and not most_error >= 0:
        raise UsageError(f"--max-error {most_error:g} is no error; give 0 or more")


def best(front: Sequence[Found], choice: str) -> list[Found]:
    """Sort engines by an axis; of those that are alike there, the ones with fewest LUTs first."""
    at = AXES.index(choice)
    ranked = sorted(front, key=lambda one: (one.costs[at], one.costs))
    most = ranked[0].costs[at] + _ALIKE * abs(ranked[0].costs[at])
    alike = [one for one in ranked if one.costs[at] <= most]
    return sorted(alike, key=lambda one: (one.lut, one.costs)) + ranked[len(alike) :]


def _base(shipped: Config, fmt: str, model: Model) -> Config:
    """Return what an engine has beside array and memories: of a board's config, and the format."""
    parsed = Format.parse(fmt)
    parsed.check_levels(len(model.levels), model.name)
    gru = int(any(cell.kind == "gru" for cell in model.layers))
    least = max(shipped.stream_bits, 1 << (parsed.bias_bits - 1).bit_length())
    return resized(shipped, name=OWN, format=fmt, gru=gru, packed=1, stream_bits=least)


def _groups(
    bases: Sequence[Config], shipped: Sequence[Config], cells: Cells, steps: int, most: int
) -> Iterator[Group]:
    """List what is asked: a board's configs as they are and cut to size, and one's own."""

    def group(engines: Sequence[Config], sized: bool = True) -> Group:
        return Group(version(), cells, steps, sized, tuple(cfg.knobs() for cfg in engines))

    formats = [base.format for base in bases]
    there = [cfg for cfg in shipped if cfg.format in formats]
    if there:
        yield group(there, sized=False)
        yield group([resized(cfg, name=OWN, gru=bases[0].gru) for cfg in there])
    left = most
    for engines in candidates.candidates(bases, cells):
        taken = engines[:left]
        left -= len(taken)
        yield group(taken)
        if not left:
            return


def data_of(model: Model, calibration: np.ndarray | None) -> np.ndarray:
    """Return what errors are measured on: calibration data, or drawn x, (batch, time, X) float."""
    if calibration is not None:
        return check_input(model, calibration, "calibration data")
    return typical(model)


def _error(model: Model, cfg: Config, x: np.ndarray) -> float:
    """Return the largest error of h in an engine's arithmetic, which many engines share."""
    made = model.quantized or quantize(model, cfg.fmt, x, **cfg.limits)
    return largest_error(model, made, x)
