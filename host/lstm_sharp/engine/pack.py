"""Packing: weights, inputs and states into beats, and beats of h and states back into arrays.

Streams are uint8 arrays of whole beats, little endian. Where a column or a neuron lies in a beat,
and what follows what, is said in docs/slot-program.md. Inputs, lengths and states are those of a
whole batch; a group says which sequences of it are meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.group import Group
from lstm_sharp.engine.layer import LayerPlan
from lstm_sharp.engine.schedule import Plan
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.quantize import QuantLayer, QuantModel


def weight_beats(model: QuantModel, plan: Plan) -> np.ndarray:
    """Pack weights and biases of all cells for ``plan.load_program()``."""
    tiles = [
        _tiles(plan.cfg, layer, matrix, widths)
        for q, layer in zip(model.layers, plan.layers)
        for matrix, widths in ((q.w_ih, (layer.x_columns,)), (q.w_hh, layer.h_cuts))
    ]
    biases = [_bias_beats(plan.cfg, q, layer) for q, layer in zip(model.layers, plan.layers)]
    return np.concatenate(tiles + biases)


def x_beats(x: Sequence[np.ndarray], plan: Plan, group: Group) -> np.ndarray:
    """Pack integer inputs, each (T, X): each vector in words of N elements, padded to beats.

    Group after group, step after step, chain after chain; a reverse cell takes its steps from the
    last one on.
    """
    cfg = plan.cfg
    lane, direction, step = _vectors(plan, group)
    lengths = np.array(group.lengths)
    step = np.where(direction == 1, lengths[lane] - 1 - step, step)
    place = (np.cumsum(lengths) - lengths)[lane] + step
    size = plan.layers[0].shape.input_size
    columns = plan.layers[0].x_columns
    words = np.zeros(
        (group.repeats, len(place), columns * cfg.columns), _dtype(cfg.fmt.activation_bits)
    )
    for repeat, indices in enumerate(group.indices):
        words[repeat, :, :size] = np.concatenate([x[index] for index in indices])[place]
    beats = np.zeros((*words.shape[:2], columns, cfg.word_beats * cfg.beat_elements), words.dtype)
    beats[..., : cfg.columns] = words.reshape(*words.shape[:2], columns, cfg.columns)
    return _bytes(beats)


def state_beats(state: State, plan: Plan, group: Group) -> np.ndarray:
    """Pack h and c of a plan's cells: a beat a neuron, h in its low and c in its high 32 bits.

    Group after group, level after level, chain after chain, as the LOAD_STATE take them.
    """
    cfg, parts = plan.cfg, []
    for first, cells in enumerate(plan.levels):
        hidden, neurons = cells[0].shape.hidden_size, cells[0].rows * cfg.block
        own = slice(first * plan.directions, (first + 1) * plan.directions)
        shape = (group.repeats, len(group.lengths), plan.directions)
        pairs = np.zeros((*shape, neurons, cfg.stream_bits // 32), np.int32)
        for half, values in enumerate((state.h, state.c)):
            taken = values[own, np.array(group.indices), :hidden]
            pairs[..., :hidden, half] = np.moveaxis(taken, 0, 2)
        parts.append(pairs.reshape(group.repeats, -1))
    return _bytes(np.concatenate(parts, axis=1))


def h_beats(plan: Plan, group: Group, give_state: bool = False) -> int:
    """Beats that the h stream gives."""
    return group.repeats * _h_stream(plan, group, give_state).beats


def unpack_h(
    beats: np.ndarray, plan: Plan, group: Group, give_state: bool = False
) -> tuple[list[np.ndarray], State | None]:
    """Unpack the h stream.

    Returns:
        The top level's h for each of ``group.sequences``, (T, H * directions) int64, forward first.
        And, if states were given, h and c of the plan's cells, (cells, sequences, H) int64 each,
        with the sequences in the same order and H the widest cell's.
    """
    stream = _h_stream(plan, group, give_state)
    return _unpack_vectors(beats, plan, group, stream), (
        _unpack_states(beats, plan, group, stream) if give_state else None
    )


def _unpack_vectors(
    beats: np.ndarray, plan: Plan, group: Group, stream: _HStream
) -> list[np.ndarray]:
    cell, bits = plan.layers[-1], plan.cfg.fmt.activation_bits
    places = stream.vectors[:, None] + np.arange(vector_beats(cell, plan.cfg))
    vectors = _elements(beats, bits, plan, group)[:, places].reshape(group.repeats, len(places), -1)
    vectors = vectors[..., : cell.shape.hidden_size].astype(np.int64)
    lane, direction, _ = _vectors(plan, group)
    found = []
    for n in range(len(group.lengths)):
        sides = [vectors[:, (lane == n) & (direction == d)] for d in range(plan.directions)]
        sides[1:] = [side[:, ::-1] for side in sides[1:]]  # reverse cells give the last step first
        found.append(np.concatenate(sides, axis=2))
    return [h[repeat] for repeat in range(group.repeats) for h in found]


def _unpack_states(beats: np.ndarray, plan: Plan, group: Group, stream: _HStream) -> State:
    pairs = _elements(beats, 32, plan, group)[..., :2]
    cells, widest = len(plan.layers), max(shape.hidden_size for shape in plan.shapes)
    found = np.zeros((2, cells, group.repeats, len(group.lengths), widest), np.int64)
    for (cell, lane), first in np.ndenumerate(stream.states):
        hidden = plan.layers[cell].shape.hidden_size
        found[:, cell, :, lane, :hidden] = np.moveaxis(pairs[:, first : first + hidden], 2, 0)
    h, c = found.reshape(2, cells, -1, widest)
    return State(h, c)


def vector_beats(layer: LayerPlan, cfg: Config) -> int:
    """Beats of one step's h."""
    return ceil(layer.rows * cfg.block / cfg.beat_elements)


@dataclass(frozen=True)
class _HStream:
    """Where things lie in what one repeat of a group gives."""

    beats: int
    vectors: np.ndarray  # first beat of each h, in the order of _vectors
    states: np.ndarray  # (cells, lanes): first beat of each state


def _h_stream(plan: Plan, group: Group, give_state: bool) -> _HStream:
    """A level's states leave chain after chain where sequences end; h is the last level's."""
    lengths = np.array(group.lengths)
    lane, _, step = _vectors(plan, group)
    states = np.zeros((len(plan.layers), len(lengths)), np.int64)
    vectors = np.zeros(len(lane), np.int64)
    beats = 0
    for index, cells in enumerate(plan.levels):
        top = index == len(plan.levels) - 1
        of_vector = vector_beats(cells[0], plan.cfg) if top else 0
        of_state = cells[0].rows * plan.cfg.block if give_state else 0
        first = beats
        ended = (lengths <= step[:, None]).sum(axis=1) * len(cells)  # chains before each vector
        vectors = first + np.arange(len(lane)) * of_vector + ended * of_state
        for at, n in enumerate(np.lexsort((np.arange(len(lengths)), lengths))):
            before = int((step < lengths[n]).sum()) * of_vector
            for direction in range(len(cells)):
                place = first + before + (at * len(cells) + direction) * of_state
                states[index * len(cells) + direction, n] = place
        beats = first + len(lane) * of_vector + len(lengths) * len(cells) * of_state
    return _HStream(beats, vectors, states)


def _vectors(plan: Plan, group: Group) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lane, direction and step of each vector of x and h, in the order of dispatch."""
    lengths = np.array(group.lengths)
    step, lane = np.nonzero(np.arange(lengths.max())[:, None] < lengths)
    both = plan.directions
    return np.repeat(lane, both), np.tile(np.arange(both), len(lane)), np.repeat(step, both)


def _tiles(
    cfg: Config, layer: LayerPlan, matrix: np.ndarray, widths: tuple[int, ...]
) -> np.ndarray:
    """Pack one part: rectangle after rectangle, rows outside, columns inside, VS units, rows."""
    columns = sum(widths)
    padded = np.zeros((layer.rows, cfg.block, 4, columns * cfg.columns), matrix.dtype)
    padded[..., : matrix.shape[1]] = _by_block(matrix, layer, cfg)
    tiles = padded.reshape(layer.rows, cfg.rows, columns, cfg.columns).transpose(0, 2, 3, 1)
    beats = np.zeros(
        (layer.rows, columns, cfg.tile_beats * cfg.beat_weights), _dtype(cfg.fmt.weight_bits)
    )
    beats[..., : cfg.macs] = tiles.reshape(layer.rows, columns, cfg.macs)
    ends = np.cumsum(widths)
    return np.concatenate([_bytes(beats[:, end - w : end]) for w, end in zip(widths, ends)])


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


def _elements(beats: np.ndarray, bits: int, plan: Plan, group: Group) -> np.ndarray:
    """See the h stream as integers: (repeats, beats of each, integers of a beat)."""
    seen = np.ascontiguousarray(beats).view(_dtype(bits))
    return seen.reshape(group.repeats, -1, plan.cfg.stream_bits // bits)


def _dtype(bits: int) -> np.dtype:
    return np.dtype(f"<i{bits // 8}")


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)
