"""Engine configs by name or file; a board's name is that of a config, too."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from lstm_sharp import files, paths
from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import DEFAULT, board, boards, facts, own_folder
from lstm_sharp.engine.knobs import LIMITS as LIMITS
from lstm_sharp.engine.knobs import MEANINGS as MEANINGS
from lstm_sharp.engine.knobs import Config as Config
from lstm_sharp.engine.knobs import from_knobs as from_knobs
from lstm_sharp.engine.knobs import nearest, problems, works
from lstm_sharp.engine.knobs import resized as resized
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.formats import DEFAULT_FORMAT, Format

_LEAST = {
    "weight_tiles": 512,
    "max_hidden": 64,
    "chains": 1,
    "max_input": 64,
    "bias_blocks": 64,
    "sequence_words": 64,
    "stream_bits": 64,
    "min_tail": 64,
}
"""Knobs that give up memory when they shrink, and how far they are let."""


def load(name_or_path: str) -> Config:
    """Load a config by name, or any by path.

    A name is that of a file in the folder of one's own boards, of a shipped config, or of a board:
    one without a config has that of the board with its part, under its own name.

    Raises:
        UsageError: no such config, not JSON, impossible values, an unknown board, or memories that
            its board has not.
    """
    name, path = name_or_path, Path(name_or_path)
    if path.suffix != ".json":
        places = [place / f"{name}.json" for place in (*own_folder(), paths.configs())]
        path = next(filter(os.path.isfile, places), places[-1])
        if not path.is_file() and name in boards():
            return _of_part(name)
    if not os.path.isfile(path):
        raise UsageError(
            f"config {name!r} not found; there are {', '.join(names())}, or give the path of a "
            ".json file"
        )
    cfg = _read(path)
    for problem in board_problems(cfg):
        instead = works(cfg.knobs(), _smaller(cfg)) or "; choose a smaller config"
        raise UsageError(f"{path}: the engine {problem}{instead}")
    return cfg


def _of_part(name: str) -> Config:
    """Return the engine of a board that has no config: that of a shipped one with its part."""
    on, offers = facts(name), []
    for cfg in for_format(None):
        if cfg.board != "none" and (made := facts(cfg.board)).family == on.family:
            own = resized(cfg, name=name, board=name)
            if made.part == on.part:
                return own
            if fitting := _smaller(own):
                told = works(cfg.knobs(), fitting).removeprefix("; ")
                offers.append((fitting.macs, f"; {cfg.name} with {told}"))
    _, offer = max(offers, default=(0, "; see docs/adding-a-board.md"))
    raise UsageError(f"board {name!r} has no config: write {name}.json beside its folder{offer}")


def shipped() -> list[str]:
    """Names of the shipped configs, smallest first: by MACs, then by weights held."""
    return [cfg.name for cfg in _shipped()]


def _read(path: Path) -> Config:
    """Read a config, whatever its board."""
    knobs = files.read_json(path)
    if not isinstance(knobs, dict):
        raise UsageError(f"{path} must hold one JSON object of knobs, not a {type(knobs).__name__}")
    return from_knobs(knobs, str(path))


def _shipped() -> list[Config]:
    found = map(_read, paths.configs().glob("*.json"))
    return sorted(found, key=lambda cfg: (cfg.macs, cfg.macs * cfg.weight_tiles, cfg.name))


def names() -> list[str]:
    """All that ``load`` takes but paths: shipped configs, smallest first, and boards."""
    return list(dict.fromkeys([*shipped(), *boards()]))


def of_board(name: str) -> list[Config]:
    """Return the shipped configs made for a board, smallest first; none made: that of its name.

    Raises:
        UsageError: there is none, or no such board.
    """
    known = board(name)
    return [cfg for cfg in _shipped() if cfg.board == name] or ([load(name)] if known else [])


def board_of(cfg: Config) -> str:
    """Name the board that a config is synthesised for; a config without one takes the smallest."""
    return DEFAULT if cfg.board == "none" else cfg.board


def for_format(fmt: str | None, among: Sequence[Config] | None = None) -> list[Config]:
    """Return the configs to take for a number format, in their own ones, smallest first.

    Of each board those that are made for it; none made: its smallest that there is at it.

    Args:
        fmt: the format; None: the default one.
        among: configs to choose from; by default those that are shipped.

    Raises:
        UsageError: it is no format, or there is nothing at it.
    """
    asked, taken = str(Format.parse(fmt or DEFAULT_FORMAT)), []
    configs = _shipped() if among is None else among
    for name in dict.fromkeys(cfg.board for cfg in configs):
        there = [cfg for cfg in configs if cfg.board == name]
        made = [cfg for cfg in there if cfg.format == asked]
        taken += made or [cfg for cfg in there if cfg.takes(asked)][:1]
    if configs and not taken:
        names = ", ".join(f"{cfg.name} ({cfg.format}, packed {cfg.packed})" for cfg in configs)
        raise UsageError(f"there is no {asked} among {names}; choose another format")
    return taken


def counted_as(cfg: Config) -> Config:
    """Return the shipped config that is the same engine under its own name; itself if none is."""
    same = (one for one in _shipped() if replace(cfg, name=one.name, board=one.board) == one)
    return next(same, cfg)


def board_problems(cfg: Config) -> Iterator[str]:
    """What a config's board has too little of: DSPs, or memories for either engine.

    Raises:
        UsageError: there is no such board.
    """
    made = board(cfg.board)
    for kind, taken in {"dsp": cfg.dsps, **storage.most(cfg)}.items():
        if made and taken > made.free(kind):
            yield f"takes {taken:g} {kind.upper()}, the {made.name} has {made.free(kind)} for it"


def _smaller(cfg: Config) -> Config | None:
    """Find a config for the board of one that is too large for it.

    If one memory is enough it alone is made smaller, that of which most is left; else the tile is
    as large as the board has room for, and memories go with it.
    """
    alone = ((knob, _with_most(cfg, knob, getattr(cfg, knob))) for knob in _LEAST)
    if enough := {getattr(made, knob) / getattr(cfg, knob): made for knob, made in alone if made}:
        return enough[max(enough)]
    on = facts(cfg.board)
    urams = cfg.uram_columns if on.free("uram") else 0
    most = min(1.0, on.free("dsp") / cfg.dsps) ** 0.5
    for part in (most * 0.95**n for n in range(100)):
        tile: dict[str, Any] = {
            "rows": max(4, int(cfg.rows * part)),
            "columns": max(1, int(cfg.columns * part)),
            **{knob: min(size, getattr(cfg, knob)) for knob, size in _LEAST.items()},
        }
        small = nearest(replace(cfg, **tile, uram_columns=int(urams * part)))
        if small and not any(board_problems(small)):
            for knob in _LEAST:
                small = _with_most(small, knob, getattr(cfg, knob)) or small
            return small
    return None


def _with_most(cfg: Config, knob: str, most: int) -> Config | None:
    """Give a knob the largest round value, or ``most``, for which the board has room, if any."""
    sizes: set[Any] = {most, *(eighth << n for eighth in (4, 5, 6, 7) for n in range(14))}
    for size in sorted(sizes, reverse=True):
        if min(_LEAST[knob], most) <= size <= most:
            made = replace(cfg, **{knob: size})
            if not any(chain(problems(made), board_problems(made))):
                return made
    return None
