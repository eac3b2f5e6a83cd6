"""The golden model against plain Python integers, in every direction, and with a state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import floor

import numpy as np
import pytest

from cases import random_model
from lstm_sharp.model import Model
from lstm_sharp.model.model import GATES
from lstm_sharp.numerics import activation, golden, products, reference
from lstm_sharp.numerics.formats import C_BITS, Format
from lstm_sharp.numerics.quantize import quantize
from lstm_sharp.numerics.quantized import QuantLayer, QuantModel
from models import pytorch_like


def _cell_in_python(fmt: Format, q: QuantLayer, x: list, h: list, c: list) -> tuple[list, list]:
    """Run one sequence (time, X) by the letter of docs/arithmetic.md, in Python integers.

    Returns the h of every step, each with its step, and the last c.
    """
    base, slope = (table.tolist() for table in activation.table())

    def steps(z: int) -> int:
        z = max(-(1 << 19), min((1 << 19) - 1, z))
        u = ~z if z < 0 else z
        y = ((base[u >> 10] << 10) + slope[u >> 10] * (u & 1023)) >> 10
        return ~y if z < 0 else y

    size, a, c, out = q.hidden_size, fmt.activation_bits, list(c), []
    own = a - q.h_drop  # bits of h
    most = (1 << (own - 1)) - 1
    for x_t in x[::-1] if q.reverse else x:
        before, after = h, []
        for n in range(size):
            sums = []
            for gate in range(4):
                row = gate * size + n
                x_sum = int(q.b[row]) + sum(int(w) * v for w, v in zip(q.w_ih[row], x_t))
                h_sum = sum(int(w) * v for w, v in zip(q.w_hh[row], before))
                sums.append(((x_sum << int(q.x_shift[row])) + h_sum) * (4 + int(q.factor[row])))
            fracs = [a - 1 + int(q.frac[gate * size + n]) - 16 + 2 for gate in range(4)]
            z = [
                Fraction(s) / Fraction(2) ** (fracs[gate] + (gate != 2))
                for gate, s in enumerate(sums)
            ]
            if q.kind == "gru":
                n_h = max(-(1 << 22), min((1 << 22) - 1, floor(z[0])))
                n_x = max(-(1 << 23), min((1 << 23) - 1, floor(z[2])))
                r, keep = (65536 + steps(floor(z[gate])) for gate in (1, 3))
                t = 2 * steps((2 * r * (2 * n_h + 1) + (n_x << 18) + (1 << 17)) >> 18) + 1
                c[n] = (keep * (c[n] - (t << 5)) + (t << 22) + (1 << 16)) >> 17
                rounded = (c[n] + (1 << (22 - own))) >> (23 - own)
                after.append(max(-most - 1, min(most, rounded)) << q.h_drop)
                continue
            i, f, o = (65536 + steps(floor(z[gate])) for gate in (0, 1, 3))
            g = 2 * (steps(floor(z[2])) >> q.c_shift) + 1
            c[n] = (2 * f * c[n] + i * g + (1 << 17)) >> 18
            c[n] = max(-(1 << 23), min((1 << 23) - 1, c[n]))
            product = o * (2 * steps(c[n] << q.c_shift) + 1)
            down = 34 - (own - 1)
            after.append(min(most, (product + (1 << (down - 1))) >> down) << q.h_drop)
        h = after
        out.append(h)
    return out[::-1] if q.reverse else out, c


def _in_python(model: QuantModel, x: list, h: list, c: list) -> tuple[list, list, list]:
    """Run one sequence through all levels; h and c are a list a cell."""
    after_h, after_c = [], []
    for level in model.levels:
        sides = []
        for q in level:
            n, size = len(after_h), q.hidden_size
            steps, last = _cell_in_python(model.fmt, q, x, h[n][:size], c[n][:size])
            sides.append(steps)
            after_h.append(steps[0 if q.reverse else -1])
            after_c.append(last)
        x = [[v for part in parts for v in part] for parts in zip(*sides)]
    return x, after_h, after_c


STACKS = {  # levels, and X and their sizes
    "forward": [3, 4],
    "reverse": [3, 4],
    "both": [3, 4],
    "both both": [3, 4, 2],
    "both forward": [3, 2, 5],
    "forward both": [3, 5, 2],
    "reverse both reverse": [2, 3, 4, 2],
}


@pytest.mark.parametrize("fmt", ["W16A16", "W8A8", "W3A5", "W8A16,W8A2"])
@pytest.mark.parametrize("row_scales", [False, True])
@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("kinds", STACKS)
@pytest.mark.parametrize("cell", GATES)
def test_golden_is_what_the_text_says(
    fmt: str, extreme: bool, row_scales: bool, kinds: str, cell: str
) -> None:
    rng = np.random.default_rng(7)
    for _ in range(3):
        outline = Format.parse(fmt), kinds.split(), STACKS[kinds], 8
        model = random_model(rng, *outline, extreme, row_scales, cell)
        half, c_half = 1 << (model.fmt.activation_bits - 1), 1 << (C_BITS - 1)
        shape = (len(model.layers), 2, max(q.hidden_size for q in model.layers))
        x = rng.integers(-half, half, (2, 5, model.input_size))
        h, c = rng.integers(-half, half, shape), rng.integers(-c_half, c_half, shape)
        got, after = golden.run(model, x, golden.State(h, c))
        assert got.shape == (2, 5, model.hidden_size)
        for s in range(2):
            want, *ends = _in_python(model, x[s].tolist(), h[:, s].tolist(), c[:, s].tolist())
            assert got[s].tolist() == want
            for left, cells in zip((after.h, after.c), ends):
                for row, last in zip(left[:, s].tolist(), cells):
                    assert row == last + [0] * (shape[2] - len(last))


def _golden(model: Model, x: np.ndarray) -> Callable[..., tuple[np.ndarray, ...]]:
    quantized = quantize(model, Format.parse("W8A16"), x)

    def run(x: np.ndarray, state: tuple | None = None) -> tuple[np.ndarray, ...]:
        given = None if state is None else golden.State(*state)
        h, after = golden.run(quantized, quantized.quantize_input(x), given)
        return h, after.h, after.c

    return run


@pytest.mark.parametrize("backend", ["golden", "reference"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", GATES)
def test_state_carries_on(backend: str, reverse: bool, cell: str) -> None:
    model = pytorch_like(5, [3, 5, 4], cell=cell)
    model = Model(tuple(replace(cell, reverse=reverse) for cell in model.layers))
    x = np.random.default_rng(5).uniform(-1, 1, (2, 9, 3))
    run = _golden(model, x) if backend == "golden" else lambda *a: reference.run(model, *a)[:3]
    whole, *end = run(x)
    # A reverse stack meets the last steps first.
    parts = [x[:, 4:], x[:, :4]] if reverse else [x[:, :4], x[:, 4:]]
    first, *middle = run(parts[0])
    second, *last = run(parts[1], tuple(middle))
    joined = [second, first] if reverse else [first, second]
    # For integers this is equality; sums of floats may depend on the size of the matrix.
    np.testing.assert_allclose(np.concatenate(joined, axis=1), whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(last, end, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 17, 300])
@pytest.mark.parametrize(("width", "hidden"), [(3, 5), (33, 64), (129, 128), (70, 150), (513, 200)])
def test_products_in_pieces_are_whole(rows: int, width: int, hidden: int) -> None:
    rng = np.random.default_rng(rows)
    x = rng.integers(-9, 9, (rows, width)).astype(np.float64)
    gates = rng.integers(-9, 9, (4, width, hidden)).astype(np.float64)
    for batch in (1, rows):
        assert np.array_equal(products.product(x, gates, batch), np.einsum("rw,gwh->grh", x, gates))


@pytest.mark.parametrize(
    ("sizes", "shape"), [([32, 64], (64, 16)), ([128, 128], (1, 100)), ([40, 300], (3, 9))]
)
@pytest.mark.parametrize("backend", ["golden", "reference"])
def test_no_product_wakes_threads(
    backend: str, sizes: list[int], shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is one that OpenBLAS does alone: a busy machine would not show threads that spin."""
    model, matmul, seen = pytorch_like(5, sizes), np.matmul, []
    x = np.random.default_rng(5).uniform(-1, 1, (*shape, sizes[0]))
    run = _golden(model, x) if backend == "golden" else partial(reference.run, model)

    def spy(x: np.ndarray, gates: np.ndarray, **out: np.ndarray) -> np.ndarray:
        seen.append((len(x), len(x) * gates[0].size))
        return matmul(x, gates, **out)

    monkeypatch.setattr(np, "matmul", spy)
    run(x)
    assert len(seen) > shape[1]
    assert all(size <= 1 << 18 if rows > 1 else size < 9216 for rows, size in seen)
