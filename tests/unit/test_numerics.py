"""The golden model: against float, against plain Python integers, and its speed."""

from __future__ import annotations

import time
from math import floor

import numpy as np
import pytest

from cases import random_model
from lstm_sharp.errors import UsageError
from lstm_sharp.model import Layer, Model
from lstm_sharp.numerics import activation, golden, reference
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import QuantModel, quantize
from models import pytorch_like


def _step_in_python(model: QuantModel, x: np.ndarray) -> list[list[int]]:
    """Run one sequence (time, X) by the letter of docs/arithmetic.md, in Python integers."""
    base, slope = (table.tolist() for table in activation.table())

    def steps(z: int) -> int:
        z = max(-(1 << 19), min((1 << 19) - 1, z))
        u = ~z if z < 0 else z
        y = ((base[u >> 10] << 10) + slope[u >> 10] * (u & 1023)) >> 10
        return ~y if z < 0 else y

    (q,) = model.layers
    size, a = q.hidden_size, model.fmt.activation_bits
    h, c, out = [0] * size, [0] * size, []
    for x_t in x.tolist():
        before, after = h, []
        for n in range(size):
            sums = []
            for gate in range(4):
                row = gate * size + n
                x_sum = int(q.b[row]) + sum(int(w) * v for w, v in zip(q.w_ih[row], x_t))
                h_sum = sum(int(w) * v for w, v in zip(q.w_hh[row], before))
                sums.append((x_sum << q.x_shift) + h_sum)
            shift = a - 1 + q.w_hh_frac - 16
            z = [
                s * 2 ** -(shift + 1) if gate != 2 else s * 2**-shift for gate, s in enumerate(sums)
            ]  # exact: powers of two
            i, f, o = (65536 + steps(floor(z[gate])) for gate in (0, 1, 3))
            g = 2 * steps(floor(z[2])) + 1
            c[n] = (2 * f * c[n] + i * g + (1 << 17)) >> 18
            c[n] = max(-(1 << 23), min((1 << 23) - 1, c[n]))
            product = o * (2 * steps(c[n]) + 1)
            down = 34 - (a - 1)
            after.append(min((1 << (a - 1)) - 1, (product + (1 << (down - 1))) >> down))
        h = after
        out.append(h)
    return out


@pytest.mark.parametrize("fmt", ["W16A16", "W8A16", "W8A8"])
@pytest.mark.parametrize("extreme", [False, True])
def test_golden_is_what_the_text_says(fmt: str, extreme: bool) -> None:
    rng = np.random.default_rng(7)
    model = random_model(rng, Format.parse(fmt), [3, 4], 8, extreme)
    half = 1 << (model.fmt.activation_bits - 1)
    x = rng.integers(-half, half, (1, 5, 3))
    assert golden.run(model, x)[0][0].tolist() == _step_in_python(model, x[0])


@pytest.mark.parametrize(("fmt", "bound"), [("W16A16", 5e-4), ("W8A16", 3e-3), ("W8A8", 1e-2)])
def test_accuracy(fmt: str, bound: float) -> None:
    worst = 0.0
    for seed in range(20):
        model = pytorch_like(seed, [32, 64])
        x = np.random.default_rng(seed).uniform(-1, 1, (256, 16, 32))
        quantized = quantize(model, Format.parse(fmt), x)
        h, _ = golden.run(quantized, quantized.quantize_input(x))
        error = np.abs(quantized.dequantize_h(h) - reference.run(model, x)[0]).max()
        worst = max(worst, float(error))
    print(f"{fmt}: worst error {worst:.2e}, bound {bound}")
    assert worst <= bound


def test_activation_error_over_the_whole_range() -> None:
    half = 1 << (activation.Z_BITS - 1)
    z = np.arange(-half, half)
    y = activation.tanh_steps(z)
    centre = (z + 0.5) * 0.5**activation.Z_FRAC
    assert np.abs((2 * y + 1) * 0.5**17 - np.tanh(centre)).max() <= activation.MAX_ERROR
    sigma = (65536 + y) * 0.5**17
    assert np.abs(sigma - 1 / (1 + np.exp(-2 * centre))).max() <= activation.MAX_ERROR / 2 + 0.5**17
    assert (np.diff(y) >= 0).all()  # monotonic, as sigma and tanh are
    assert (y[::-1] == ~y).all()  # odd


def test_state_carries_on_bit_for_bit() -> None:
    rng = np.random.default_rng(5)
    model = random_model(rng, Format.parse("W8A16"), [3, 5, 4], 8, False)
    x = rng.integers(-30000, 30000, (2, 9, 3))
    whole, end = golden.run(model, x)
    first, middle = golden.run(model, x[:, :4])
    second, last = golden.run(model, x[:, 4:], middle)
    assert (np.concatenate([first, second], axis=1) == whole).all()
    assert (last.h == end.h).all()
    assert (last.c == end.c).all()


def test_float_model_is_an_lstm() -> None:
    model = pytorch_like(1, [2, 3])
    x = np.random.default_rng(0).uniform(-1, 1, (1, 3, 2))
    (layer,), h, c = model.layers, np.zeros(3), np.zeros(3)
    for x_t in x[0]:
        i, f, g, o = (layer.w_ih @ x_t + layer.w_hh @ h + layer.b).reshape(4, 3)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
    assert np.allclose(reference.run(model, x)[0][0, -1], h, atol=1e-12)


def test_golden_speed() -> None:
    model = pytorch_like(0, [32, 64])
    x = np.random.default_rng(0).uniform(-1, 1, (64, 16, 32))
    quantized = quantize(model, Format.parse("W8A16"), x)
    x = quantized.quantize_input(x)
    golden.run(quantized, x)
    best = min(_seconds(lambda: golden.run(quantized, x)) for _ in range(10))
    print(f"golden: {64 / best:.0f} sequences/s")
    assert 64 / best >= 5000


def _seconds(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


def _layer(w_ih: float = 0.5, w_hh: float = 0.5, b: float = 0.0) -> Model:
    return Model((Layer(np.full((4, 1), w_ih), np.full((4, 1), w_hh), np.full(4, b)),))


@pytest.mark.parametrize(
    ("model", "x", "said"),
    [
        (_layer(), 1e-7, "x coarsened"),
        (_layer(w_ih=1e-3, w_hh=0.5), 1e4, "w_hh coarsened"),
        (_layer(b=500.0), 1.0, "w_ih coarsened"),
    ],
)
def test_coarsening_is_reported(model: Model, x: float, said: str) -> None:
    quantized = quantize(model, Format.parse("W8A8"), np.full((1, 1, 1), x), max_shift=4)
    assert any(said in note for note in quantized.notes), quantized.notes
    assert 0 <= quantized.layers[0].x_shift <= 4


def test_zero_weights_and_zero_input_quantise() -> None:
    model = Model((Layer(np.zeros((4, 1)), np.zeros((4, 1)), np.zeros(4)),))
    quantized = quantize(model, Format.parse("W8A16"), np.zeros((1, 2, 1)))
    h, _ = golden.run(quantized, quantized.quantize_input(np.zeros((1, 2, 1))))
    assert np.abs(h).max() <= 1


@pytest.mark.parametrize(
    ("model", "x", "said"),
    [
        (_layer(w_hh=128.5), 1.0, "recurrent weights reach 128.5"),
        (_layer(), np.nan, "NaN"),
        (_layer(w_hh=100.0), 1e9, "scale the input or w_ih down"),
    ],
)
def test_what_cannot_be_quantised(model: Model, x: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        quantize(model, Format.parse("W8A16"), np.full((1, 1, 1), x))


def test_unknown_format() -> None:
    with pytest.raises(UsageError, match="W8A16"):
        Format.parse("W4A4")
