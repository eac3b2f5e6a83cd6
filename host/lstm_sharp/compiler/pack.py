"""Packing: inputs and states into beats, and beats of h and states back into arrays.

Streams are uint8 arrays of whole beats, little endian. Where a column or a neuron lies in a beat,
and what follows what, is said in docs/slot-program.md. Inputs, h and states are those of a whole
batch; the groups of a launch say which sequences of it are meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil, prod
from typing import NamedTuple

import numpy as np

from lstm_sharp.compiler.group import Group, Launch
from lstm_sharp.compiler.layer import LayerPlan
from lstm_sharp.compiler.plan import Plan
from lstm_sharp.engine.beats import bytes_of, integers
from lstm_sharp.engine.config import Config
from lstm_sharp.numerics.golden import State

Batch = np.ndarray | Sequence[np.ndarray]
"""Sequences of integers: an array (B, T, width), or (T, width) of each."""
Allocate = Callable[[int], np.ndarray]
"""Gives memory of so many bytes, uint8; what is in it does not matter."""


def zeros(size: int) -> np.ndarray:
    """Give zero bytes."""
    return np.zeros(size, np.uint8)


def x_beats(x: Batch, plan: Plan, launch: Launch, allocate: Allocate = zeros) -> np.ndarray:
    """Pack inputs: each vector in words of N elements, each word in whole beats.

    Group after group, step after step, chain after chain; a reverse cell takes its steps from the
    last one on. Steps after a sequence's end, empty sequences and what fills up words are left as
    ``allocate`` gives them: they meet zero weights, or nobody looks at what comes of them.

    Args:
        x: the batch, X wide; integers of any type.
        plan: what runs it.
        launch: its groups.
        allocate: where to pack.

    Returns:
        What ``allocate`` gave.
    """
    cfg = plan.cfg
    word = cfg.word_beats * cfg.beat_elements
    vector = (plan.directions, ceil(plan.layers[0].shape.input_size / cfg.columns), word)
    dtype = integers(cfg.fmt.activation_room)
    beats = allocate(sum(g.steps for g in launch) * prod(vector) * dtype.itemsize)
    vectors = beats.view(dtype).reshape(-1, *vector)[..., : cfg.columns]
    for g in launch:
        own, vectors = vectors[: g.steps], vectors[g.steps :]
        rounds = own.reshape(g.repeats, -1, *own.shape[1:])
        at = 0
        for begin, end, lanes in _phases(g.lengths):
            block = rounds[:, at : at + (end - begin) * lanes]
            block = block.reshape(g.repeats, end - begin, lanes, *own.shape[1:])
            for words, _, values in _sides(block, x, g, begin):
                _fill(words, values)
            at += (end - begin) * lanes
    return beats


def state_beats(state: State, plan: Plan, launch: Launch) -> np.ndarray:
    """Pack h and c of a plan's cells: a beat a neuron, h in its low and c in its high 32 bits.

    Group after group, level after level, chain after chain, as the LOAD_STATE take them. An empty
    sequence, -1, gets the last one's: any will do.
    """
    cfg, parts = plan.cfg, []
    for g in launch:
        levels = []
        for first, cells in enumerate(plan.levels):
            hidden, neurons = cells[0].shape.hidden_size, cells[0].neurons(cfg)
            own = slice(first * plan.directions, (first + 1) * plan.directions)
            shape = (g.repeats, len(g.lengths), plan.directions)
            pairs = np.zeros((*shape, neurons, cfg.stream_bits // 32), np.int32)
            for half, values in enumerate(state):
                taken = values[own, np.array(g.indices), :hidden]
                pairs[..., :hidden, half] = np.moveaxis(taken, 0, 2)
            levels.append(pairs.reshape(g.repeats, -1))
        parts.append(bytes_of(np.concatenate(levels, axis=1)))
    return np.concatenate(parts)


def h_beats(plan: Plan, launch: Launch, give_state: bool = False) -> int:
    """Beats that the h stream gives."""
    vector = plan.directions * vector_beats(plan.layers[-1], plan.cfg)
    states = sum(cell.neurons(plan.cfg) for cell in plan.layers) if give_state else 0
    return sum(g.steps * vector + g.repeats * len(g.lengths) * states for g in launch)


def empty_h(plan: Plan, lengths: Sequence[int]) -> Batch:
    """Make room for h of a batch, of the format's own type; one array if lengths are the same."""
    width = plan.directions * plan.shapes[-1].hidden_size
    dtype = integers(plan.cfg.fmt.activation_room)
    if len(set(lengths)) == 1:
        return np.empty((len(lengths), lengths[0], width), dtype)
    return [np.empty((steps, width), dtype) for steps in lengths]


def unpack_h(
    beats: np.ndarray,
    plan: Plan,
    launch: Launch,
    h: Batch,
    after: State | None = None,
    back: bool = False,
) -> None:
    """Unpack the h stream of a launch.

    Args:
        beats: uint8, contiguous; stays as it is.
        plan: what ran.
        launch: its groups.
        h: gets the top level's h, forward first, of the sequences that ran; see ``empty_h``. What
            was run after a sequence's end is dropped.
        after: gets their h and c of the plan's cells, (cells, B, at least H) each; None if the
            program gave no states.
        back: the other way round: ``beats`` get what lies in ``h`` and ``after``.
    """
    for g in launch:
        size = h_beats(plan, (g,), after is not None) * plan.cfg.stream_bits // 8
        own, beats = beats[:size], beats[size:]
        _walk_group(own, plan, g, h, after, back)


def pack_h(h: Batch, plan: Plan, launch: Launch, after: State | None = None) -> np.ndarray:
    """Pack what the h stream of a launch must give, uint8: ``unpack_h`` the other way round.

    Where no h and no state lies, as in neurons that fill up a row block, it is 0.
    """
    beats = zeros(h_beats(plan, launch, after is not None) * plan.cfg.stream_bits // 8)
    unpack_h(beats, plan, launch, h, after, back=True)
    return beats


def _walk_group(
    beats: np.ndarray, plan: Plan, g: Group, h: Batch, after: State | None, back: bool
) -> None:
    """Level after level vectors, of the top alone, and states leave where sequences end."""
    vectors = _elements(beats, plan.cfg.fmt.activation_room, plan, g)
    pairs = _elements(beats, 32, plan, g)
    top = plan.levels[-1]
    at = 0
    for item in leaving(plan, g.lengths):
        if isinstance(item, Vectors):
            hidden, steps = top[0].shape.hidden_size, item.end - item.begin
            count = steps * item.lanes * len(top) * vector_beats(top[0], plan.cfg)
            shape = (g.repeats, steps, item.lanes, len(top), -1)
            block = vectors[:, at : at + count].reshape(shape)[..., :hidden]
            for found, side, values in _sides(block, h, g, item.begin):
                own = values[..., side * hidden : (side + 1) * hidden]
                np.copyto(*((found, own) if back else (own, found)), casting="unsafe")
        elif after is None:
            continue
        else:
            count = _walk_states(pairs[:, at:], plan, g, item, after, back)
        at += count


def _walk_states(
    pairs: np.ndarray, plan: Plan, g: Group, item: States, after: State, back: bool
) -> int:
    """Take h and c of the cells of a level after the last steps of some sequences, or put them."""
    cells = plan.levels[item.level]
    hidden, neurons = cells[0].shape.hidden_size, cells[0].neurons(plan.cfg)
    rows = np.array(g.indices)[:, item.lanes]
    count = rows.shape[1] * len(cells) * neurons
    block = pairs[:, :count].reshape(*rows.shape, len(cells), neurons, -1)
    for cell in range(len(cells)):
        for half, values in enumerate(after):
            own = values[item.level * len(cells) + cell]
            if back:
                block[rows >= 0, cell, :hidden, half] = own[rows[rows >= 0], :hidden]
            else:
                own[rows[rows >= 0], :hidden] = block[rows >= 0, cell, :hidden, half]
    return count


class Vectors(NamedTuple):
    """Steps of the first sequences of a group whose top h leaves."""

    begin: int
    end: int
    lanes: int


class States(NamedTuple):
    """Sequences of a group whose states leave, of a level."""

    level: int
    lanes: slice


def leaving(plan: Plan, lengths: Sequence[int]) -> Iterator[Vectors | States]:
    """Yield what leaves through the h stream, in order, for sequences side by side.

    Level after level, of the top one h, and states where sequences end. In a wavefront each level
    ends a step after the one below.
    """
    every = range(len(plan.levels))
    for levels in [every] if plan.wavefront else [[level] for level in every]:
        done = 0  # steps of the highest
        for at in sorted({steps + late for steps in lengths for late in range(len(levels))}):
            end = at - len(levels) + 1
            if levels[-1] == every[-1] and end > done:
                yield Vectors(done, end, sum(steps > done for steps in lengths))
                done = end
            for late, level in enumerate(levels):
                if count := lengths.count(at - late):
                    lanes = sum(steps >= at - late for steps in lengths)
                    yield States(level, slice(lanes - count, lanes))


def vector_beats(layer: LayerPlan, cfg: Config) -> int:
    """Beats of one step's h."""
    return ceil(layer.neurons(cfg) / cfg.beat_elements)


def _phases(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the steps from end to end of a sequence: begin, end, sequences that are left."""
    begin = 0
    for end in sorted(set(lengths)):
        yield begin, end, sum(steps >= end for steps in lengths)
        begin = end


def _sides(
    block: np.ndarray, batch: Batch, g: Group, begin: int
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Pair vectors in a stream with those of the batch, chain by chain, as views.

    Args:
        block: (repeats, steps, lanes, directions, ...), a phase.
        batch: the whole.
        g: which of it these are.
        begin: first step of the phase.

    Yields:
        (repeats, steps, ...) of the stream, the direction, and (repeats, steps, width) of the
        batch in this direction's order of steps, for as long as the sequence is.
    """
    steps, lanes, directions = block.shape[1:4]
    for lane in range(lanes):
        for repeats, own in _of_lane(batch, [row[lane] for row in g.indices]):
            for direction, turned in enumerate((own, own[:, ::-1])[:directions]):
                part = turned[:, begin : begin + steps]
                yield block[repeats, : part.shape[1], lane, direction], direction, part


def _of_lane(batch: Batch, indices: list[int]) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield which repeats, and their sequences as one view; empty ones, at the end, left out."""
    own = [index for index in indices if index >= 0]
    apart = own[1] - own[0] if len(own) > 1 else 0
    regular = apart > 0 and own == [*range(own[0], own[-1] + 1, apart)]
    if regular and isinstance(batch, np.ndarray):
        yield slice(0, len(own)), batch[own[0] : own[-1] + 1 : apart]
        return
    for repeat, index in enumerate(own):
        yield slice(repeat, repeat + 1), batch[index][None]


def _fill(words: np.ndarray, values: np.ndarray) -> None:
    """Write vectors (repeats, steps, X) into their words (repeats, steps, columns, N)."""
    size = words.shape[-1]
    whole, rest = divmod(values.shape[-1], size)
    full = values[..., : whole * size]
    words[..., :whole, :] = full.reshape(*values.shape[:2], whole, size)
    if rest:
        words[..., whole, :rest] = values[..., whole * size :]


def _elements(beats: np.ndarray, bits: int, plan: Plan, g: Group) -> np.ndarray:
    """See the h stream of a group as integers: (repeats, beats of each, integers of a beat)."""
    return beats.view(integers(bits)).reshape(g.repeats, -1, plan.cfg.stream_bits // bits)
