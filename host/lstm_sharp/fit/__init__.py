"""Which shipped config holds a model, what that takes and how fast it is; if none, what would."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lstm_sharp.engine import config
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError, check_range, printable
from lstm_sharp.fit.assess import MEMORIES, Fit, assess, best
from lstm_sharp.fit.instead import Option, options
from lstm_sharp.model.model import Model

_COLUMNS = ("config", "board", "format", "runs", "tiles", *MEMORIES.values())
_SPEED_COLUMNS = ("steps/s", "all chains", "utilised", "limit", "load cycles", "break-even")
_NOTE = """\
modelled, not measured; the clock is the one aimed at, not one that was met
steps/s: of one sequence; the next three columns: of one sequence a chain
"""
_RELOADS = """\
by levels: each call loads the weights of each level anew, and steps/s include that
break-even: the least batch that takes as long to run as to load
"""


@dataclass(frozen=True)
class Answer:
    """What ``fit`` found."""

    model: str
    layers: tuple[tuple[int, int, int], ...]  # X, H and directions of each
    weights: int
    weight_bytes: int  # in the first config's format, without the zeros that fill tiles
    steps: int
    board: str | None  # None for all
    configs: tuple[Fit, ...]
    best: str | None  # the shipped config to take
    instead: tuple[Option, ...]  # what would hold the model, if none does

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


def fit(model: Model, on: str | None = None, fmt: str | None = None, steps: int = 100) -> Answer:
    """Hold a model against the shipped configs.

    Args:
        model: the float model.
        on: a board, or ``none`` for the configs without one; by default all configs are
            shown, and those for boards count.
        fmt: a number format instead of the configs' own.
        steps: T, time steps of one call.

    Raises:
        UsageError: unknown board or format, or steps that no program runs.
    """
    check_range("steps", steps, 1, MAX_STEPS)
    shipped = [config.load(name) for name in config.shipped()]
    known = sorted({cfg.board for cfg in shipped})
    if on is not None and on not in known:
        raise UsageError(f"board {on!r} has no config; choose one of {', '.join(known)}")
    shown = [cfg for cfg in shipped if on in (None, cfg.board)]
    fits = tuple(assess(model, cfg.with_format(fmt), steps, cfg.name) for cfg in shown)
    here = [cfg for cfg in shown if on is not None or cfg.board != "none"]
    names = [cfg.name for cfg in here]
    taken = best(found for found in fits if found.config in names)
    instead: tuple[Option, ...] = ()
    if taken is None:
        elsewhere = [cfg for cfg in shipped if cfg not in shown and cfg.board != "none"]
        instead = tuple(options(model, here, elsewhere, fmt or here[0].format, steps))
    weights = sum(cell.w_ih.size + cell.w_hh.size for cell in model.layers)
    return Answer(
        model=model.name,
        layers=tuple((q[0].input_size, q[0].hidden_size, len(q)) for q in model.levels),
        weights=weights,
        weight_bytes=weights * here[0].with_format(fmt).fmt.weight_bits // 8,
        steps=steps,
        board=on,
        configs=fits,
        best=taken.config if taken else None,
        instead=instead,
    )


def table(answer: Answer) -> str:
    """Lay the answer out for people."""
    sizes = [str(answer.layers[0][0]), *(" + ".join([str(h)] * n) for _, h, n in answer.layers)]
    if len(sizes) > 6:
        sizes[3:-1] = ["..."]
    rows = [_COLUMNS + _SPEED_COLUMNS, *(_row(found) for found in answer.configs)]
    widest = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        f"{printable(answer.model)}: {' -> '.join(sizes)}, {answer.weights:,} weights in "
        f"{answer.weight_bytes:,} bytes, {answer.steps} steps",
        "",
        *("  ".join(cell.ljust(w) for cell, w in zip(row, widest)).rstrip() for row in rows),
        _NOTE + (_RELOADS if any(found.runs == "by levels" for found in answer.configs) else ""),
    ]
    lines += [f"{found.config}: {found.reason}" for found in answer.configs if found.reason]
    if answer.best:
        taken = next(found for found in answer.configs if found.config == answer.best)
        how = "whole" if taken.runs == "whole" else "level by level, none whole"
        lines.append(f"take {taken.config} at {taken.format}, the smallest that holds it {how}")
    elif answer.instead:
        lines += ["what would hold it:", *(f"  {option.text}" for option in answer.instead)]
    return "\n".join(lines)


def _row(found: Fit) -> tuple[str, ...]:
    memories = [
        f"{found.used[kind]:g}" + (f"/{found.free[kind]}" if found.free else "")
        for kind in MEMORIES
    ]
    tiles = f"{found.tiles}/{found.weight_tiles}"
    row = (found.config, found.board, found.format, found.runs, tiles, *memories)
    if found.alone is None or found.beside is None:
        return row + ("",) * len(_SPEED_COLUMNS)
    return row + (
        f"{found.alone.steps_per_second:,.0f}",
        f"{found.beside.steps_per_second:,.0f}",
        f"{found.beside.utilization:.3f}",
        found.beside.limited_by,
        f"{found.beside.load_cycles:,}",
        str(found.beside.break_even_batch or ""),
    )
