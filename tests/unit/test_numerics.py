"""Quantisation: errors against float, scales, what is refused; the golden model's speed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.model import Layer, Model
from lstm_sharp.numerics import accuracy, activation, golden, reference
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import quantize
from models import cell_h, float_h, pytorch_like


def _error(model: Model, fmt: str, sequences: int, seed: int) -> float:
    x = np.random.default_rng(seed).uniform(-1, 1, (sequences, 16, model.input_size))
    quantized = quantize(model, Format.parse(fmt), x)
    h, _ = golden.run(quantized, quantized.quantize_input(x))
    return float(np.abs(quantized.dequantize_h(h) - reference.run(model, x)[0]).max())


@pytest.mark.parametrize(
    ("cell", "fmt", "bound"),
    [
        ("lstm", "W16A16", 5e-4),
        ("lstm", "W8A16", 3e-3),
        ("lstm", "W8A8", 1e-2),
        ("gru", "W16A16", 5e-4),
        ("gru", "W8A16", 4e-3),
        ("gru", "W8A8", 1e-2),
    ],
)
def test_accuracy(cell: str, fmt: str, bound: float) -> None:
    models = [pytorch_like(seed, [32, 64], cell=cell) for seed in range(20)]
    worst = max(_error(model, fmt, 256, seed) for seed, model in enumerate(models))
    print(f"{cell} {fmt}: worst error {worst:.2e}, bound {bound}")
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


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_largest_c_is_that_of_all_cells_and_steps(cell: str) -> None:
    model = pytorch_like(1, [2, 3, 4], cell=cell)
    x = np.random.default_rng(0).uniform(-9, 9, (2, 5, 2))
    each = [np.abs(reference.run(model, x[:, :steps]).last_c).max() for steps in range(1, 6)]
    assert reference.run(model, x).peak_c == pytest.approx(max(each))


@pytest.mark.parametrize("directions", [(1, 1), (2, 2), (2, 1), (1, 2)])
def test_float_model_is_an_lstm(directions: tuple[int, ...]) -> None:
    model = pytorch_like(1, [2, 3, 4], directions)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 5, 2))
    h, last, *_ = reference.run(model, x)
    assert h.shape == (2, 5, model.hidden_size) and model.hidden_size == 4 * directions[1]
    np.testing.assert_allclose(h, float_h(model, x), rtol=0, atol=1e-12)
    bottom = [cell_h(c, x[:, ::-1] if c.reverse else x)[:, -1] for c in model.levels[0]]
    np.testing.assert_allclose(last[: directions[0], :, :3], bottom, rtol=0, atol=1e-12)


def test_decibels() -> None:
    h = np.array([[3.0, -4.0]])
    assert accuracy.decibels(h, h * 1.01) == pytest.approx(40)
    assert accuracy.decibels(h, h + [0, 0.5]) == pytest.approx(20)
    assert accuracy.decibels(h, h) == np.inf
    assert accuracy.decibels(0 * h, h) == -np.inf


def _layer(w_ih: float = 0.5, w_hh: float = 0.5, b: float = 0.0) -> Model:
    return Model((Layer(np.full((4, 1), w_ih), np.full((4, 1), w_hh), np.full(4, b)),))


def _around(peak: float) -> np.ndarray:
    """Make calibration data that reach a peak."""
    return np.array([[[-peak], [peak]]])


@pytest.mark.parametrize(
    ("model", "x", "said"),
    [
        (_layer(), 1e-7, r"x_shift holds 0 to 4 and a bias 23 bits: 3.\d dB"),
        (_layer(w_ih=1e-3, w_hh=0.5), 1e6, ""),  # the gates are saturated: it costs nothing
        (_layer(b=5000.0), 1.0, ""),
        (_layer(w_ih=0, w_hh=0), 1.0, ""),
    ],
)
def test_coarsening_is_reported(model: Model, x: float, said: str) -> None:
    quantized = quantize(model, Format.parse("W8A8"), _around(x), max_shift=4)
    assert bool(said) == bool(quantized.notes) and re.search(said, "".join(quantized.notes))
    assert quantized.layers[0].x_shift.min() >= 0 and quantized.layers[0].x_shift.max() <= 4
    h, _ = golden.run(quantized, quantized.quantize_input(np.zeros((1, 2, 1))))
    assert np.abs(quantized.dequantize_h(h)).max() <= 1


@pytest.mark.parametrize(
    ("model", "x", "said"),
    [
        (_layer(w_hh=224.5), 1.0, "recurrent weights reach 224.5, W8A16 holds less than 224"),
        (_layer(), np.nan, "NaN"),
        (_layer(w_hh=100.0), 1e9, "x and w_ih together reach .* scale the input or w_ih down"),
        (_layer(b=1e9), 1.0, r"the bias of 1e\+09 reaches .* scale the bias down"),
    ],
)
def test_what_cannot_be_quantised(model: Model, x: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        quantize(model, Format.parse("W8A16"), _around(x))


@pytest.mark.parametrize(("row_scales", "finest"), [(0, 1.0), (1, 1.75)])
def test_the_largest_bias_is_told_exactly(row_scales: int, finest: float) -> None:
    """That of a bias word, whose LSB is the coarsest that x_shift 3 allows for."""
    fmt = Format.parse("W8A16")
    most = finest * 2.0 ** (3 + fmt.bias_bits - 1 - fmt.h_frac - fmt.weight_frac_min)
    quantize(_layer(b=0.999 * most), fmt, _around(1.0), 3, row_scales)
    for factor, told in ((1.001, 1), (1.999, 1), (2.001, 2), (7.0, 3)):
        with pytest.raises(UsageError, match=rf"reaches 2\*\*{told} times more than x_shift 3 "):
            quantize(_layer(b=factor * most), fmt, _around(1.0), 3, row_scales)


def test_what_does_not_tell_a_scale() -> None:
    for x in (np.full((2, 3, 1), 0.25), np.zeros((4, 1)), np.ones((1, 1, 1))):
        with pytest.raises(UsageError, match=f"is {x.flat[0]:g} throughout"):
            quantize(_layer(), Format.parse("W8A16"), x)


def test_clipped_values_are_counted() -> None:
    quantized = quantize(_layer(), Format.parse("W8A8"), _around(2.0))
    x = np.array([2.0, -2.0, 1.99, 2.01, -2.01, 1e9, 0.0])
    assert quantized.clipped(x) == 3  # 2.0 saturates by one LSB: the scale allows for that
    reached = quantized.dequantize_input(quantized.quantize_input(x))
    assert np.abs(reached - x)[[0, 1, 2, 6]].max() <= quantized.x_scale


def test_bidirectional_accuracy() -> None:
    model = pytorch_like(2, [8, 16, 16], (2, 2))
    quantized = quantize(model, Format.parse("W8A16"), np.eye(8))
    assert quantized.macs_per_step == 2 * 4 * 16 * (8 + 16) + 2 * 4 * 16 * (32 + 16)
    assert _error(model, "W16A16", 64, 2) <= 5e-4


def _pair(*cells: Model) -> Model:
    forward, reverse = (model.layers[0] for model in cells)
    return Model((forward, replace(reverse, reverse=True)), directions=(2,))


def test_both_directions_share_the_scale_of_x() -> None:
    model = _pair(_layer(), _layer(w_ih=4.0))
    quantized = quantize(model, Format.parse("W16A16"), _around(0.5))
    w_ih = [float(q.w_ih[0, 0] * q.row_scale[0] * 2.0 ** q.x_shift[0]) for q in quantized.layers]
    assert w_ih[1] / w_ih[0] == pytest.approx(8, rel=1e-3)


CELL = pytorch_like(0, [2, 3]).layers[0]
BACK = replace(CELL, reverse=True)
WIDE = replace(pytorch_like(0, [4, 3]).layers[0], reverse=True)


@pytest.mark.parametrize(
    ("cells", "directions", "said"),
    [
        ((), None, "no LSTM layer"),
        ((CELL, BACK), (1,), r"directions \(1,\) do not group 2 LSTM cells"),
        ((CELL, BACK, BACK), (3,), r"directions \(3,\) do not group 3"),
        ((BACK, CELL), (2,), "layer 0 is made of reverse 2 -> 3 and forward 2 -> 3"),
        ((CELL, CELL), (2,), "forward 2 -> 3 and forward 2 -> 3; a bidirectional one is forward"),
        ((CELL, WIDE), (2,), "forward 2 -> 3 and reverse 4 -> 3"),
        ((CELL, BACK, WIDE), (2, 1), "layer 1 takes 4 inputs but layer 0 gives 6"),
    ],
)
def test_cells_that_make_no_stack(
    cells: tuple[Layer, ...], directions: tuple[int, ...] | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Model(cells, directions=directions)
