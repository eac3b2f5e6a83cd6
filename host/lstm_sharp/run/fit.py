"""Which shipped config holds a model, what that takes and how fast it is; if none, what would."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from lstm_sharp.engine import config
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.run.assess import MEMORIES, Fit, assess
from lstm_sharp.run.choose import float_shapes
from lstm_sharp.run.instead import Option, options

_COLUMNS = ("config", "board", "format", "holds", "tiles", *MEMORIES.values())
_SPEED_COLUMNS = ("steps/s", "cycles/step", "utilisation", "limited by", "load cycles")


@dataclass(frozen=True)
class Answer:
    """What ``fit`` found."""

    model: str
    layers: tuple[tuple[int, int], ...]  # X and H of each
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
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"{steps} steps must be 1 to {MAX_STEPS}, what one program runs")
    shipped = [config.load(name) for name in config.shipped()]
    known = sorted({cfg.board for cfg in shipped})
    if on is not None and on not in known:
        raise UsageError(f"board {on!r} has no config; choose one of {', '.join(known)}")
    shapes = float_shapes(model)
    shown = [cfg for cfg in shipped if on in (None, cfg.board)]
    fits = tuple(assess(shapes, cfg.with_format(fmt), steps, cfg.name) for cfg in shown)
    here = [cfg for cfg in shown if on is not None or cfg.board != "none"]
    names = [cfg.name for cfg in here]
    best = next((found.config for found in fits if found.holds and found.config in names), None)
    instead: tuple[Option, ...] = ()
    if best is None:
        elsewhere = [cfg for cfg in shipped if cfg not in shown and cfg.board != "none"]
        instead = tuple(options(shapes, here, elsewhere, fmt or here[0].format, steps))
    weights = sum(4 * s.hidden_size * (s.input_size + s.hidden_size) for s in shapes)
    return Answer(
        model=model.name,
        layers=tuple((s.input_size, s.hidden_size) for s in shapes),
        weights=weights,
        weight_bytes=weights * here[0].with_format(fmt).fmt.weight_bits // 8,
        steps=steps,
        board=on,
        configs=fits,
        best=best,
        instead=instead,
    )


def table(answer: Answer) -> str:
    """Lay the answer out for people."""
    sizes = [str(answer.layers[0][0]), *(str(hidden) for _, hidden in answer.layers)]
    if len(sizes) > 6:
        sizes[3:-1] = ["..."]
    rows = [_COLUMNS + _SPEED_COLUMNS, *(_row(found) for found in answer.configs)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        f"{answer.model}: {' -> '.join(sizes)}, {answer.weights:,} weights in "
        f"{answer.weight_bytes:,} bytes, {answer.steps} steps",
        "",
        *("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in rows),
        "modelled, not measured; the clock is the one aimed at, not one that was met",
        "",
    ]
    lines += [f"{found.config}: {found.reason}" for found in answer.configs if found.reason]
    if answer.best:
        taken = next(found for found in answer.configs if found.config == answer.best)
        lines.append(f"take {taken.config} at {taken.format}, the smallest that holds it")
    elif answer.instead:
        lines += ["what would hold it:", *(f"  {option.text}" for option in answer.instead)]
    return "\n".join(lines)


def _row(found: Fit) -> tuple[str, ...]:
    memories = [
        f"{found.used[kind]:g}" + (f"/{found.free[kind]}" if found.free else "")
        for kind in MEMORIES
    ]
    share = f"{found.tiles}/{found.weight_tiles} = {found.tiles / found.weight_tiles:.0%}"
    row = (
        found.config,
        found.board,
        found.format,
        "yes" if found.holds else "no",
        share,
        *memories,
    )
    if found.speed is None:
        return row + ("",) * len(_SPEED_COLUMNS)
    return row + (
        f"{found.speed.steps_per_second:,.0f}",
        f"{found.speed.cycles_per_step:,.1f}",
        f"{found.speed.utilization:.3f}",
        found.speed.limited_by,
        f"{found.speed.load_cycles:,}",
    )
