"""Packing of weights and biases into beats, uint8, little endian; see docs/slot-program.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lstm_sharp.compiler.layer import LayerPlan
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.compiler.tiling import Rect
from lstm_sharp.engine.beats import bytes_of, integers, with_scale
from lstm_sharp.engine.config import Config
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel


def weight_beats(model: QuantModel, plan: Plan) -> np.ndarray:
    """Pack weights and biases of all cells for ``plan.load_program()``."""
    tiles = [
        _tiles(plan.cfg, layer, matrix, rects)
        for q, layer in zip(model.layers, plan.layers)
        for matrix, rects in ((q.w_ih, layer.x), (q.w_hh, layer.h))
    ]
    biases = [
        _bias_beats(plan.cfg, model.fmt, q, layer) for q, layer in zip(model.layers, plan.layers)
    ]
    return np.concatenate(tiles + biases)


def _tiles(cfg: Config, layer: LayerPlan, matrix: np.ndarray, rects: Sequence[Rect]) -> np.ndarray:
    """Pack one part: rectangle after rectangle, rows outside, columns inside, then VS units, rows.

    A tile of gang g has for each of its bands the N columns, for each of these the K0 rows.
    """
    bands = max(layer.bands, *(r.row_end(cfg) for r in rects))
    segment = cfg.columns // cfg.bands
    columns = segment * max(r.col_end(cfg) for r in rects)
    padded = np.zeros((bands, cfg.rows, columns), matrix.dtype)
    padded[: layer.bands, :, : matrix.shape[1]] = _by_band(matrix, layer, cfg)
    parts = []
    for rect in rects:
        s = cfg.tile_shapes[rect.shape]
        first, col = rect.row_first, rect.col_first * segment
        part = padded[first : rect.row_end(cfg), :, col : rect.col_end(cfg) * segment]
        tiles = part.reshape(rect.rows, s.gang, cfg.rows, rect.cols, s.columns)
        beats = np.zeros(
            (rect.tiles, cfg.tile_beats * cfg.beat_weights), integers(cfg.fmt.weight_room)
        )
        beats[:, : cfg.macs] = tiles.transpose(0, 3, 1, 4, 2).reshape(rect.tiles, cfg.macs)
        parts.append(bytes_of(beats))
    return np.concatenate(parts)


def _bias_beats(cfg: Config, fmt: Format, q: QuantLayer, layer: LayerPlan) -> np.ndarray:
    rows = _by_band(_row_words(cfg, fmt, q)[:, None], layer, cfg)[..., 0]
    beats = np.zeros((layer.bands, cfg.rows, cfg.stream_bits // 64), np.int64)
    beats[..., 0] = rows
    return bytes_of(beats)


def _row_words(cfg: Config, fmt: Format, q: QuantLayer) -> np.ndarray:
    """Give the bias of each row, and above it the row's scale if the engine has some, (4H,)."""
    if not cfg.row_scales:
        return q.b
    act_shift = q.frac - fmt.weight_frac_min
    return with_scale(q.b, {"x_shift": q.x_shift, "act_shift": act_shift, "factor": q.factor})


def _by_band(matrix: np.ndarray, layer: LayerPlan, cfg: Config) -> np.ndarray:
    """Reorder gate rows (4H, X) to (bands, K0, X), zeros where H ends.

    A band holds the four gates of K0 / 4 neurons.
    """
    hidden, size = layer.shape.hidden_size, matrix.shape[1]
    padded = np.zeros((4, layer.bands * cfg.block, size), matrix.dtype)
    padded[:, :hidden] = matrix.reshape(4, hidden, size)
    return (
        padded.reshape(4, layer.bands, cfg.block, size)
        .transpose(1, 2, 0, 3)
        .reshape(layer.bands, cfg.rows, size)
    )
