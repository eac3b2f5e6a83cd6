"""Packing: models, inputs and states into beats, and beats of h back into arrays.

Streams are uint8 arrays of whole beats, little endian. Where a column or a neuron lies in a beat
is said in docs/slot-program.md.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.layer import Columns, LayerPlan
from lstm_sharp.engine.schedule import Plan
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel


def weight_beats(model: QuantModel, plan: Plan) -> np.ndarray:
    """Pack weights and biases of all layers for ``plan.load_program()``."""
    tiles = [
        _tiles(plan.cfg, layer, matrix, cuts)
        for q, layer in zip(model.layers, plan.layers)
        for matrix, cuts in ((q.w_ih, layer.x_cuts), (q.w_hh, layer.h_cuts))
    ]
    biases = [_bias_beats(plan.cfg, q, layer) for q, layer in zip(model.layers, plan.layers)]
    return np.concatenate(tiles + biases)


def state_beats(model: QuantModel, plan: Plan, state: State) -> np.ndarray:
    """Pack h and c: a beat a neuron, h in its low and c in its high 32 bits.

    Sequence after sequence, layer after layer within it, as the program's LOAD_STATE take them.
    """
    cfg, batch = plan.cfg, state.h.shape[1]
    parts = []
    for index, layer in enumerate(plan.layers):
        hidden = layer.shape.hidden_size
        neurons = layer.rows * cfg.block
        pairs = np.zeros((batch, neurons, cfg.stream_bits // 32), np.int32)
        pairs[:, :hidden, 0] = state.h[index, :, :hidden]
        pairs[:, :hidden, 1] = state.c[index, :, :hidden]
        parts.append(pairs)
    return _bytes(np.concatenate(parts, axis=1))


def x_beats(x: np.ndarray, cfg: Config) -> np.ndarray:
    """Pack integer x (batch, time, X): each vector in words of N elements, padded to beats."""
    batch, time, size = x.shape
    columns = ceil(size / cfg.columns)
    words = np.zeros((batch, time, columns * cfg.columns), _dtype(cfg.fmt.activation_bits))
    words[:, :, :size] = x
    beats = np.zeros((batch, time, columns, cfg.word_beats * cfg.beat_elements), words.dtype)
    beats[..., : cfg.columns] = words.reshape(batch, time, columns, cfg.columns)
    return _bytes(beats)


def vector_beats(layer: LayerPlan, cfg: Config) -> int:
    """Beats of one step's h."""
    return ceil(layer.rows * cfg.block / cfg.beat_elements)


def unpack_h(beats: np.ndarray, plan: Plan, sequences: int, steps: int) -> np.ndarray:
    """Unpack the h stream into (sequences, steps, H) int64."""
    cfg, layer = plan.cfg, plan.layers[-1]
    elements = np.ascontiguousarray(beats).view(_dtype(cfg.fmt.activation_bits))
    vectors = elements.reshape(sequences, steps, vector_beats(layer, cfg) * cfg.beat_elements)
    return vectors[:, :, : layer.shape.hidden_size].astype(np.int64)


def _tiles(
    cfg: Config, layer: LayerPlan, matrix: np.ndarray, cuts: tuple[Columns, ...]
) -> np.ndarray:
    """Pack one part: rectangle after rectangle, rows outside, columns inside, VS units, rows."""
    columns = sum(cut.width for cut in cuts)
    padded = np.zeros((layer.rows, cfg.block, 4, columns * cfg.columns), matrix.dtype)
    padded[..., : matrix.shape[1]] = _by_block(matrix, layer, cfg)
    tiles = padded.reshape(layer.rows, cfg.rows, columns, cfg.columns).transpose(0, 2, 3, 1)
    beats = np.zeros(
        (layer.rows, columns, cfg.tile_beats * cfg.beat_weights), _dtype(cfg.fmt.weight_bits)
    )
    beats[..., : cfg.macs] = tiles.reshape(layer.rows, columns, cfg.macs)
    return np.concatenate([_bytes(beats[:, cut.first : cut.first + cut.width]) for cut in cuts])


def _bias_beats(cfg: Config, q: QuantLayer, layer: LayerPlan) -> np.ndarray:
    rows = _by_block(q.b[:, None], layer, cfg).reshape(layer.rows, cfg.rows)
    beats = np.zeros((layer.rows, cfg.rows, cfg.stream_bits // 64), np.int64)
    beats[..., 0] = rows
    return _bytes(beats)


def _by_block(matrix: np.ndarray, layer: LayerPlan, cfg: Config) -> np.ndarray:
    """Reorder gate rows (4H, X) to (row blocks, neurons, gates, X), zeros where H ends."""
    hidden, size = layer.shape.hidden_size, matrix.shape[1]
    padded = np.zeros((4, layer.rows * cfg.block, size), matrix.dtype)
    padded[:, :hidden] = matrix.reshape(4, hidden, size)
    return padded.reshape(4, layer.rows, cfg.block, size).transpose(1, 2, 0, 3)


def _dtype(bits: int) -> np.dtype:
    return np.dtype(f"<i{bits // 8}")


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
