"""Covers of a layer's parts: each weight in one tile, tiles where the hardware takes them."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_sharp.compiler.layer import LayerPlan, LayerShape
from lstm_sharp.compiler.tiling import Rect, TileChoice, fewest_slots, tilings
from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError

TINY = config.load("tiny")
ENGINES = [
    config.resized(TINY, rows=rows, columns=columns, lanes=lanes, k_list=k_list)
    for rows, columns, lanes, k_list in (
        (8, 4, 1, ()),
        (4, 8, 1, (4, 8, 16)),
        (8, 48, 2, (8, 16, 64)),
        (16, 64, 4, (16, 32, 64, 128)),
        (16, 64, 4, (16, 64, 256)),
    )
]


def counts(cfg: Config, rects: tuple[Rect, ...], bands: int, segments: int) -> np.ndarray:
    """Count how often each band meets each segment; check that tiles lie where they can."""
    seen = np.zeros((1000, 4000), int)
    for rect in rects:
        shape = cfg.tile_shapes[rect.shape]
        assert rect.row_first % shape.gang == 0
        assert rect.col_first % shape.step == 0
        seen[rect.row_first : rect.row_end(cfg), rect.col_first : rect.col_end(cfg)] += 1
    return seen[:bands, :segments]


@settings(max_examples=300, deadline=None)
@given(
    cfg=st.sampled_from(ENGINES),
    bands=st.integers(1, 90),
    segments=st.integers(1, 200),
    finishing=st.booleans(),
    least=st.sampled_from([2, 4, 8]),
)
def test_each_weight_is_in_one_tile(
    cfg: Config, bands: int, segments: int, finishing: bool, least: int
) -> None:
    rects = fewest_slots(cfg.tile_shapes, bands, segments, finishing, least)
    assert (counts(cfg, rects, bands, segments) == 1).all()
    slots = sum(max(least, rect.tiles) for rect in rects)
    whole = [ceil(bands / s.gang) * ceil(segments / s.step) for s in cfg.tile_shapes]
    if finishing:  # each band's last rectangle finishes it, once, and no band has none
        plan = LayerPlan(LayerShape(1, 1), (), rects, bands, 0, 0)
        ends = np.zeros(1000, int)
        for rect in plan.finishing(cfg):
            ends[rect.row_first : rect.row_end(cfg)] += 1
        assert (ends[:bands] == 1).all()
        assert all(
            [r for r in rects if r.row_first <= b < r.row_end(cfg)][-1] in plan.finishing(cfg)
            for b in range(bands)
        )
    else:
        assert slots <= min(max(least, tiles) for tiles in whole)


def test_one_shape_has_one_cover() -> None:
    assert tilings(ENGINES[0], 7, 3, 2, TileChoice()) == tilings(
        ENGINES[0], 7, 3, 2, TileChoice(8, False)
    )
    assert len(tilings(ENGINES[0], 7, 3, 2, TileChoice())) == 1


def test_padding_takes_the_columns_that_are_left() -> None:
    """X = H = 340 on 16 x 64: 85 x 5 words of 64, then 20 columns in three of 8."""
    rects = fewest_slots(ENGINES[3].tile_shapes, 85, ceil(340 / 8), False, 2)
    assert rects == (Rect(0, 0, 85, 0, 5), Rect(3, 0, 11, 40, 3))


def test_a_k_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="K = 32 is none of tiny's, which are 16, 64, 256"):
        tilings(ENGINES[4], 4, 4, 4, TileChoice(32))
