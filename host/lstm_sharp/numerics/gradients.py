"""Gradients of the golden model, straight through its roundings.

A run notes what its cells meet. Going back, a rounding passes a gradient on as it is, a number that
was held to the ends of its range passes none, and sigma and tanh have their own slopes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lstm_sharp.numerics import golden
from lstm_sharp.numerics.activation import Z_FRAC
from lstm_sharp.numerics.formats import C_LIMIT
from lstm_sharp.numerics.golden import State
from lstm_sharp.numerics.products import product
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel, at_limit

_Slopes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""What gradients of a step are times: its sums' by that of c after it, (time, batch, 4, H); then,
(time, batch, H), o's sum's by that of h, that of c by that of h, and that of c before by c's."""


Of = tuple[np.ndarray, ...]
"""Gradients of a cell's w_ih (4H, X), w_hh (4H, H) and b (4H,)."""


class Noted(NamedTuple):
    """What a cell met, its steps in its own order, integers but for z."""

    lengths: np.ndarray  # (batch,)
    order: np.ndarray  # (batch, time): the step of x that each of them takes
    x: np.ndarray  # (batch, time, X)
    h: np.ndarray  # (batch, time, H), before each
    z: np.ndarray  # (time, 4, batch, H), sums in units of z
    c: np.ndarray  # (1 + time, batch, H), before the first and after each


class Gradients(NamedTuple):
    """By what a run was given, in real numbers."""

    x: np.ndarray  # (batch, time, X)
    h: np.ndarray  # (cells, batch, H)
    c: np.ndarray
    cells: list[Of]  # of ``QuantModel.in_float``


def run(
    model: QuantModel, x: np.ndarray, state: State, lengths: np.ndarray
) -> tuple[np.ndarray, State, list[Noted]]:
    """Run the golden model on sequences of any lengths, and note what its cells meet.

    Args:
        model: the integer model.
        x: (batch, time, X) integers, whatever they are after the last step of a sequence.
        state: before the first steps.
        lengths: (batch,) steps of each sequence, at least one.

    Returns:
        The last level's h (batch, time, hidden) int64, zeros after the last step of a sequence; the
        state after it; and what the cells met.
    """
    steps, ends = np.arange(x.shape[1]), lengths[:, None]
    forward = np.broadcast_to(steps, x.shape[:2])
    backward = ends - 1 - steps  # negative, from the end, where a sequence has no step
    after, noted, each = State.zeros(model, len(x)), list[Noted](), np.arange(len(x))
    for level in model.levels:
        outputs = []
        for cell in level:
            own = len(noted), slice(None), slice(cell.hidden_size)
            order = backward if cell.reverse else forward
            own_x, before = _in_order(x, order), state.h[own]
            zs, cs = list[np.ndarray](), [state.c[own]]

            def watch(z: np.ndarray, c: np.ndarray, zs: list = zs, cs: list = cs) -> None:
                zs.append(z)
                cs.append(c)

            h, _ = golden.run_cell(model.fmt, None, cell, own_x, before, cs[0], watch)
            z, c = np.stack(zs), np.stack(cs)
            after.h[own], after.c[own] = h[each, lengths - 1], c[lengths, each]
            befores = np.concatenate([before[:, None], h[:, :-1]], axis=1)
            noted.append(Noted(lengths, order, own_x, befores, z, c))
            outputs.append(_in_order(h, order))
        x = np.concatenate(outputs, axis=2)
    return np.where((steps < ends)[..., None], x, 0), after, noted


def back(model: QuantModel, noted: list[Noted], of_h: np.ndarray, of_state: State) -> Gradients:
    """Go back through a run.

    Args:
        model: that was run.
        noted: what ``run`` noted.
        of_h: gradient of the last level's h, (batch, time, hidden).
        of_state: of the state after the last steps, in real numbers.
    """
    lengths, each = noted[0].lengths, np.arange(len(of_h))
    before = State(*map(np.zeros_like, of_state))
    of_h = np.where((np.arange(of_h.shape[1]) < lengths[:, None])[..., None], of_h, 0.0)
    of_cells, index = list[Of](), len(noted)
    for level, floats in reversed([*zip(model.levels, model.in_float().levels)]):
        index -= len(level)
        unit = 0.5**model.fmt.h_frac
        x_unit = unit if index else model.x_scale
        of_x, found = np.zeros(noted[index].x.shape), list[Of]()
        ends = np.cumsum([cell.hidden_size for cell in level[:-1]])
        for n, of_own in enumerate(np.split(of_h, ends, axis=2)):
            met, own = noted[index + n], (index + n, slice(None), slice(level[n].hidden_size))
            of_own = _in_order(of_own, met.order)
            of_own[each, lengths - 1] += of_state.h[own]
            cell, w_ih, w_hh = level[n], floats[n].w_ih, floats[n].w_hh
            of_z, *start = _cell(cell, w_hh, met, of_own, of_state.c[own])
            before.h[own], before.c[own] = start
            flat = of_z.reshape(-1, of_z.shape[2])
            below = product(flat, w_ih[None], len(of_own)).reshape(*of_z.shape[:2], -1)
            of_x += _in_order(below.swapaxes(0, 1), met.order)
            of_w = (_summed(flat, v) for v in (met.x * x_unit, met.h * unit))
            found.append((*of_w, flat.sum(axis=0)))
        of_cells[:0], of_h = found, of_x
    return Gradients(of_h, *before, of_cells)


def _cell(
    q: QuantLayer, w_hh: np.ndarray, met: Noted, of_h: np.ndarray, of_c: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Go back through the steps of a cell.

    Returns:
        Gradients of its sums, (time, batch, 4H), and of h and c before the first step.
    """
    slopes_of = _gru_slopes if q.kind == "gru" else _lstm_slopes
    by_c, o_by_h, c_by_h, keep = slopes_of(met, met.c * 0.5**q.c_frac)
    of_z, dh, dc = np.empty_like(by_c), np.zeros_like(of_c), np.zeros_like(of_c)
    for t in reversed(range(len(by_c))):
        dh = dh + of_h[:, t]
        dc = dc + dh * c_by_h[t] + np.where((met.lengths == t + 1)[:, None], of_c, 0.0)
        of_z[t] = by_c[t] * dc[:, None]
        of_z[t, :, 3] += o_by_h[t] * dh
        dc = dc * keep[t]
        dh = product(of_z[t].reshape(len(dh), -1), w_hh[None], len(dh))[0]
    return of_z.reshape(*of_z.shape[:2], -1), dh, dc


def _lstm_slopes(met: Noted, c: np.ndarray) -> _Slopes:
    y, t = np.tanh(met.z * 0.5**Z_FRAC), np.tanh(c[1:])
    (i, f, _, o), g = (1 + y.swapaxes(0, 1)) / 2, y[:, 2]
    free = ~at_limit(met.c[1:])
    by_c = g * i * (1 - i), c[:-1] * f * (1 - f), i * (1 - g**2), np.zeros_like(o)
    slopes = np.stack(by_c, axis=2) * free[:, :, None]
    return slopes, t * o * (1 - o), o * (1 - t**2), f * free


def _gru_slopes(met: Noted, c: np.ndarray) -> _Slopes:
    y = np.tanh(met.z * 0.5**Z_FRAC)
    r, keep = (1 + y[:, 1]) / 2, (1 + y[:, 3]) / 2
    n_h, n_x = met.z[:, 0] * 0.5 ** (Z_FRAC - 1), met.z[:, 2] * 0.5**Z_FRAC
    free_h, free_x = np.abs(n_h) < C_LIMIT, np.abs(n_x) < C_LIMIT
    n = np.tanh(n_x + r * n_h)
    by_n = (1 - keep) * (1 - n**2)
    by_c = by_n * r * free_h, by_n * n_h * r * (1 - r), by_n * free_x
    slopes = np.stack([*by_c, (c[:-1] - n) * keep * (1 - keep)], axis=2)
    return slopes, np.zeros_like(r), np.ones_like(r), keep


def _in_order(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    return np.take_along_axis(values, order[..., None], axis=1)


def _summed(of_z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Sum products of gradients (time * batch, 4H) and v (batch, time, n) over all steps."""
    steps = v.swapaxes(0, 1).reshape(1, -1, v.shape[2])
    return product(of_z.T, steps, 1)[0]
