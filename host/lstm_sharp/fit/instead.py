"""What would hold a model that no shipped config of the boards in question holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lstm_sharp.compiler.limits import bias_blocks, sequence_stride, weight_tiles
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.errors import UsageError
from lstm_sharp.fit.assess import MEMORIES, Fit, assess, best, check_board, tile_bytes
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import SUPPORTED
from lstm_sharp.runtime.deploy import level_shapes

_IN_BLOCK_MEMORY = ("weight_tiles", "bias_blocks", "sequence_words")
"""Knobs that give up block memory when they shrink."""
_SIZES = ("max_input", "max_hidden", *_IN_BLOCK_MEMORY, "uram_columns")
"""Knobs that may differ in a config of one's own; the rest would be another engine."""
_TILES_STEP = 512
"""How finely the room for weights is found: the depth of the shallowest BRAM."""
_MOST_TILES = 65536


@dataclass(frozen=True)
class Option:
    """One way out, or what is missing."""

    how: str  # format, board, config or nothing
    text: str
    config: str | None = None  # a shipped config
    format: str | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)  # to change in a config of your own


def options(
    model: Model,
    here: Sequence[Config],
    elsewhere: Sequence[Config],
    fmt: str,
    steps: int,
) -> Iterator[Option]:
    """Yield what would hold the model, least trouble first.

    Args:
        model: the float model.
        here: the shipped configs in question, smallest first, in formats of their own.
        elsewhere: shipped configs of other boards.
        fmt: the number format in question.
        steps: T, time steps of one call.
    """
    formats = SUPPORTED[SUPPORTED.index(fmt) :]
    found = [
        *_shipped("format", model, here, formats[1:], steps),
        *_shipped("board", model, elsewhere, (fmt,), steps),
        *(own for cfg in here for own in _own(model, cfg, formats, steps)),
    ]
    yield from found
    if not found:
        yield _missing(model, here[-1].with_format(formats[-1]), steps)


def _shipped(
    how: str,
    model: Model,
    configs: Sequence[Config],
    formats: Sequence[str],
    steps: int,
) -> Iterator[Option]:
    """Yield the smallest shipped config that holds the model, in the widest format."""
    for fmt in formats:
        fit = best(assess(model, cfg.with_format(fmt), steps, cfg.name) for cfg in configs)
        if fit:
            yield Option(how, f"{fmt} on {fit.config}: {_figures(fit)}", fit.config, fmt)
            return


def _own(model: Model, cfg: Config, formats: Sequence[str], steps: int) -> Iterator[Option]:
    """Yield a config with memories of other sizes, in the widest format that allows one."""
    for fmt in formats:
        for own in _resized(model, cfg.with_format(fmt), steps):
            fit = assess(model, own, steps)
            old, new = cfg.knobs(), own.knobs()
            knobs = {k: int(getattr(own, k)) for k in _SIZES if old[k] != new[k]}
            if fit.runs != "no" and knobs:
                changed = ", ".join(f"{name} {old[name]} -> {knobs[name]}" for name in knobs)
                text = f"{fmt} on a config of your own, {cfg.name} with {changed}: {_figures(fit)}"
                yield Option("config", text, cfg.name, fmt, knobs)
            return


def _resized(model: Model, cfg: Config, steps: int) -> Iterator[Config]:
    """Yield the config with sizes that hold the model, where the board has the memory for it.

    First for the whole model, then for its largest level. Within each first larger sizes alone,
    then memories that are larger than the model needs made smaller.
    """
    for whole in (True, False):
        need = _need(model, cfg, steps, whole)
        for shrunk in ((), ("weight_tiles",), _IN_BLOCK_MEMORY):
            knobs = {n: v if n in shrunk else max(v, getattr(cfg, n)) for n, v in need.items()}
            for columns in _uram_columns(cfg):
                try:
                    own = resized(cfg, **knobs, uram_columns=columns)
                    check_board(own)
                except UsageError:
                    continue
                yield own


def _need(model: Model, cfg: Config, steps: int, whole: bool) -> dict[str, int]:
    """Work out the least knobs that hold the model whole, if it can be, or level by level."""
    levels = level_shapes(model)
    cells = [cell for level in levels for cell in level]
    stack = whole and len(cells) == len(levels)
    parts = [cells] if stack else levels
    return {
        "max_input": max(s.input_size for s in cells),
        "max_hidden": max(s.hidden_size for s in cells),
        "weight_tiles": max(2, *(weight_tiles(part, cfg) for part in parts)),
        "bias_blocks": max(bias_blocks(part, cfg) for part in parts),
        "sequence_words": max(2, steps * sequence_stride(cells, cfg) if stack else 0),
    }


def _uram_columns(cfg: Config) -> list[int]:
    """Ways to part the weights between BRAM and UltraRAM, the config's own first."""
    if not cfg.uram_columns:
        return [0]
    return sorted(range(cfg.columns + 1), key=lambda n: abs(n - cfg.uram_columns))


def _missing(model: Model, cfg: Config, steps: int) -> Option:
    """Say by how much the weights are too many for the board, or what else is too much."""
    need = _need(model, cfg, steps, whole=False)
    wanted, room = (tile_bytes(cfg) * n for n in (need["weight_tiles"], _room(cfg, need)))
    if wanted > room:
        text = (
            f"the weights of its largest layer take {wanted:,} bytes in tiles of {cfg.name} at "
            f"{cfg.format}, its board has room for {room:,}: {wanted - room:,} too many"
        )
    else:
        try:
            text = str(assess(model, resized(cfg, **need), steps).reason)
        except UsageError as error:
            text = str(error).removeprefix("config: ")
    return Option("nothing", f"nothing holds it: {text}", format=cfg.format)


def _room(cfg: Config, need: Mapping[str, int]) -> int:
    """Find the most tiles of weights that the board has room for beside the rest."""
    rest = {name: need[name] for name in ("bias_blocks", "sequence_words")}
    for count in range(_MOST_TILES, 0, -_TILES_STEP):
        for columns in _uram_columns(cfg):
            try:
                check_board(resized(cfg, weight_tiles=count, uram_columns=columns, **rest))
            except UsageError:
                continue
            return count
    return 0


def _figures(fit: Fit) -> str:
    """Put what it takes in a few words."""
    assert fit.alone is not None
    parts = [
        *(["level by level"] if fit.runs == "by levels" else []),
        f"{fit.tiles} of {fit.weight_tiles} tiles",
    ]
    for kind, free in (fit.free or {}).items():
        if free:
            parts.append(f"{fit.used[kind]:g} of {free} {MEMORIES[kind]}")
    return ", ".join([*parts, f"{fit.alone.steps_per_second:,.0f} steps/s"])
