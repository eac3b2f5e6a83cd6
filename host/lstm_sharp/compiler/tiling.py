"""Which rectangles of tiles make up a part of a layer's weights, and of which shapes.

A part is a matrix of gate rows, in bands, by columns, in segments (docs/shapes.md). With one shape
it is one rectangle, its last row block and column partly filled. Padding reconfiguration cuts it
where that happens: the rows, or the columns, that do not fill a tile take another shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from math import ceil, inf
from typing import NamedTuple

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.tile import TileShape
from lstm_sharp.errors import UsageError


class Rect(NamedTuple):
    """A rectangle of tiles of one shape in a part of a layer."""

    shape: int
    row_first: int  # band
    rows: int  # row blocks
    col_first: int  # segment
    cols: int  # columns of tiles

    @property
    def tiles(self) -> int:
        """Tiles, as many slots."""
        return self.rows * self.cols

    def row_end(self, cfg: Config) -> int:
        """Band behind the last one."""
        return self.row_first + self.rows * cfg.tile_shapes[self.shape].gang

    def shares_rows(self, other: Rect, cfg: Config) -> bool:
        """Whether some band is in both, whatever the columns."""
        return self.row_first < other.row_end(cfg) and other.row_first < self.row_end(cfg)

    def col_end(self, cfg: Config) -> int:
        """Segment behind the last one."""
        return self.col_first + self.cols * cfg.tile_shapes[self.shape].step


def uniform(cfg: Config, bands: int, segments: int, shape: int) -> tuple[Rect, ...]:
    """Cover a part with one rectangle."""
    s = cfg.tile_shapes[shape]
    return (Rect(shape, 0, ceil(bands / s.gang), 0, ceil(segments / s.step)),)


@lru_cache(maxsize=4096)
def fewest_slots(
    shapes: tuple[TileShape, ...], bands: int, segments: int, finishing: bool, least: int
) -> tuple[Rect, ...]:
    """Cover a part in fewest slots, with as few rectangles as that takes.

    A rectangle is covered in one piece, or cut in two along the largest whole number of tiles, and
    each half again.

    Args:
        shapes: of the engine's tile.
        bands: of the part's rows.
        segments: of its columns.
        finishing: an h-part, whose rows end with the MFU taking them up: a row has no fewer slots
            than that takes.
        least: slots that a rectangle counts at least: two for fetch, more where the next one would
            wait for its sums.

    Returns:
        The rectangles in the order in which they run. Those of an x-part take the columns as they
        come. Those of an h-part have the widest, which finish, at the end of their rows.
    """

    @cache
    def best(row: int, col: int, height: int, width: int, ends: bool) -> _Found:
        found = ways(row, col, height, width, ends)
        return min(found, key=lambda each: (each.slots, len(each.rects)), default=_NONE)

    def ways(row: int, col: int, height: int, width: int, ends: bool) -> Iterator[_Found]:
        for number, s in enumerate(shapes):
            if row % s.gang or col % s.step:
                continue
            # What lies beside the rectangle belongs to others, unless the part ends there.
            over_rows, over_columns = height % s.gang, width % s.step
            if (not over_rows or row + height == bands) and (
                not over_columns or col + width == segments
            ):
                rect = Rect(number, row, -(-height // s.gang), col, -(-width // s.step))
                slots = rect.rows * max(rect.cols, s.passes if ends else 1)
                yield _Found(max(least, slots), (rect,))
            if over_rows and height > s.gang:
                cut = height - over_rows
                rest = best(row + cut, col, over_rows, width, ends)
                yield best(row, col, cut, width, ends).then(rest)
            if over_columns and width > s.step:
                cut = width - over_columns
                main = best(row, col, height, cut, ends)
                rest = best(row, col + cut, height, over_columns, False)
                yield rest.then(main) if finishing else main.then(rest)

    return best(0, 0, bands, segments, finishing).rects


class _Found(NamedTuple):
    slots: float
    rects: tuple[Rect, ...]

    def then(self, other: _Found) -> _Found:
        """Both, one after the other."""
        return _Found(self.slots + other.slots, self.rects + other.rects)


_NONE = _Found(inf, ())
"""No cover: only part of a tile would be wanted where others' rows or columns follow."""


class TileChoice(NamedTuple):
    """Which shapes the tiles of a layer may take; by default what the cycle model finds fastest."""

    k: int | None = None  # this K for all; None: any
    padding: bool = True  # several shapes in a part, where rows or columns do not fill tiles


ANY = TileChoice()
"""The cycle model chooses."""


class Tiling(NamedTuple):
    """The rectangles of a layer's x-part and h-part."""

    x: tuple[Rect, ...]
    h: tuple[Rect, ...]

    @property
    def tiles(self) -> int:
        """Tiles of both."""
        return sum(rect.tiles for rect in self.x + self.h)


def tilings(
    cfg: Config, bands: int, x_segments: int, h_segments: int, choice: TileChoice
) -> list[Tiling]:
    """List the ways to cover a layer that are worth a look: each K alone, the best of each part.

    Raises:
        UsageError: a K that the engine has not.
    """
    shapes = cfg.tile_shapes
    numbers: Sequence[int] = range(len(shapes))
    if choice.k is not None:
        numbers = [number for number in numbers if shapes[number].rows == choice.k]
        if not numbers:
            have = ", ".join(str(s.rows) for s in shapes)
            raise UsageError(f"K = {choice.k} is none of {cfg.name}'s, which are {have}")
    x = [uniform(cfg, bands, x_segments, number) for number in numbers]
    h = [uniform(cfg, bands, h_segments, number) for number in numbers]
    found = [Tiling(*pair) for pair in zip(x, h)]
    found.append(Tiling(min(x, key=_slots), min(h, key=lambda rects: _filled(cfg, rects))))
    if choice.padding and choice.k is None:
        padded = [
            Tiling(
                fewest_slots(shapes, bands, x_segments, finishing=False, least=n),
                fewest_slots(shapes, bands, h_segments, finishing=True, least=n),
            )
            for n in (2, cfg.acc_distance, 2 * cfg.acc_distance)
        ]
        found += [*padded, *(Tiling(padded[0].x, rects) for rects in h)]
    return list(dict.fromkeys(found))


def _slots(rects: tuple[Rect, ...]) -> int:
    return sum(rect.tiles for rect in rects)


def _filled(cfg: Config, rects: tuple[Rect, ...]) -> int:
    """Slots of a part that finishes."""
    return sum(r.rows * max(r.cols, cfg.tile_shapes[r.shape].passes) for r in rects)
