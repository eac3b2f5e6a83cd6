"""How scales are chosen from data: on weights like trained ones, and on data that tell little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lstm_sharp.errors import UsageError
from lstm_sharp.model import Layer, Model, onnx_dynamic
from lstm_sharp.numerics import golden, reference
from lstm_sharp.numerics.accuracy import decibels
from lstm_sharp.numerics.formats import C_LIMIT, USUAL, Format
from lstm_sharp.numerics.quantize import METHODS, quantize
from lstm_sharp.numerics.quantized import QuantModel
from models import pytorch_like, trained_like, uneven_x

W8A16 = Format.parse("W8A16")


def _decibels(model: Model, quantized: QuantModel, x: np.ndarray) -> float:
    h, _ = golden.run(quantized, quantized.quantize_input(x))
    return decibels(reference.run(model, x).h, quantized.dequantize_h(h))


@pytest.mark.parametrize("spread", [2.0, 8.0, 36.0])
def test_rows_of_trained_weights(spread: float) -> None:
    """As good as ONNX Runtime's dynamic int8 with a scale a row, and better than without rows."""
    model = trained_like(3, [24, 32, 32], None, spread)
    calibration, x = (uneven_x(3, 8, 40, 24, draw) for draw in (1, 2))
    found = {fmt: quantize(model, Format.parse(fmt), calibration) for fmt in USUAL}
    figures = {fmt: _decibels(model, quantized, x) for fmt, quantized in found.items()}
    dynamic = onnx_dynamic.dynamic_int8(onnx_dynamic.graph_of(model), per_channel=True)
    figures["ORT"] = decibels(reference.run(model, x).h, onnx_dynamic.run(dynamic, x))
    plain = quantize(model, W8A16, calibration, row_scales=False, method="min-max")
    figures["no rows"] = _decibels(model, plain, x)
    print(f"spread {spread:g}, dB:", {name: round(figure, 1) for name, figure in figures.items()})
    assert figures["W8A16"] >= max(figures["ORT"], 36)
    assert figures["W8A16"] > figures["no rows"] + 6
    assert figures["W16A16"] >= 40 and figures["W8A8"] >= 24


def test_features_that_differ_have_scales_of_their_own() -> None:
    """x of 1 to 1000 in scale, which the weights make up for: one scale would drown the small."""
    scale = np.geomspace(1, 1000, 12)
    flat = pytorch_like(1, [12, 24])
    model = Model((replace(flat.layers[0], w_ih=flat.layers[0].w_ih / scale),))
    calibration, x = (np.random.default_rng(s).uniform(-1, 1, (8, 20, 12)) * scale for s in (1, 2))
    quantized = quantize(model, W8A16, calibration)
    assert 30 < quantized.x_scale[-1] / quantized.x_scale[0] < 3000
    assert (
        _decibels(model, quantized, x) > _decibels(flat, quantize(flat, W8A16, calibration), x) + 3
    )
    assert (
        np.abs(quantized.dequantize_input(quantized.quantize_input(x)) - x) < scale / 2**13
    ).all()


def test_what_was_rounded_together_is_taken_only_if_it_holds() -> None:
    """The held-out half is of another kind, on which the nearest integers do better."""
    model = trained_like(1, [16, 24], None, 4.0)
    one, other = uneven_x(1, 4, 30, 16), np.random.default_rng(1).normal(size=(4, 30, 16))
    mixed = np.stack([one, other], axis=1).reshape(8, 30, 16)  # even: to choose by; odd: held out
    made = {method: quantize(model, W8A16, mixed, method=method) for method in ("error", "min-max")}
    error, nearest = (_decibels(model, quantized, mixed[1::2]) for quantized in made.values())
    assert error >= nearest


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row_scales", [False, True])
def test_rows_and_features_of_zeros(method: str, row_scales: bool) -> None:
    cell = pytorch_like(0, [5, 6]).layers[0]
    w_ih, w_hh, b = cell.w_ih.copy(), cell.w_hh.copy(), cell.b.copy()
    w_ih[3], w_hh[3], b[3], w_ih[:, 1] = 0, 0, 0, 0
    model = Model((Layer(w_ih, w_hh, b),))
    x = np.random.default_rng(0).uniform(-1, 1, (4, 9, 5))
    x[..., 2] = 0
    quantized = quantize(model, W8A16, x, 8, row_scales, method)
    x[..., 2] = 0.5  # it comes to life
    assert quantized.clipped(x) == 0 and _decibels(model, quantized, x) > 30


def test_c_has_the_range_that_the_data_need() -> None:
    only_g = np.array([[0.0], [0.0], [1.0], [0.0]])
    counter = Model((Layer(9 * only_g, 0.05 * only_g, 20 * (1 - only_g[:, 0])),))
    for steps, shift in ((30, 0), (100, 1), (270, 3), (900, 3)):
        x = np.repeat([[[1.0]], [[-1.0]]], steps, axis=1)
        quantized = quantize(counter, W8A16, x)
        assert quantized.layers[0].c_shift == shift
        assert quantized.c_reach.item() == C_LIMIT << shift
        assert quantize(counter, W8A16, x, row_scales=False).layers[0].c_shift == 0
        seen: list[golden.Saturated] = []
        golden.run(quantized, quantized.quantize_input(x), saturated=seen)
        assert seen[0].c == 0
    told = quantize(counter, W8A16, np.repeat([[[1.0]], [[-1.0]]], 1100, axis=1)).notes
    assert told and told[0].startswith("layer 0: c reaches 1100 on the calibration data and")


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros((0, 5, 3)), "empty"),
        (np.full((2, 5, 3), np.inf), "NaN or infinity"),
        (np.ones((2, 5, 3)), "is 1 throughout"),
        (np.ones((2, 5, 4)), r"has shape \(2, 5, 4\), model takes \(batch, time, 3\)"),
        (np.ones(3), r"has shape \(3,\)"),
        (1e200 * np.eye(3), "reach 1e.200, which is not from 1e-30 to 1e.30; scale the input"),
        (1e-200 * np.eye(3), "reach 1e-200"),
    ],
)
def test_data_that_tell_nothing(x: np.ndarray, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        quantize(pytorch_like(0, [3, 4]), W8A16, x)
    with pytest.raises(UsageError, match="method 'best' is unknown; choose one of error, min-max"):
        quantize(pytorch_like(0, [3, 4]), W8A16, np.eye(3), method="best")


@pytest.mark.parametrize("x", [np.eye(3)[:1], np.eye(3), np.eye(3)[None].repeat(2, 0)])
def test_little_data_will_do(x: np.ndarray) -> None:
    """A step, a sequence, two that are alike."""
    model = pytorch_like(0, [3, 4])
    assert _decibels(model, quantize(model, W8A16, x), np.eye(3)[None]) > 25


def test_percentile_leaves_wild_values_out() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2000, 3))
    x[0, 0, 0] = 1e4
    model = pytorch_like(0, [3, 4])
    reach = quantize(model, W8A16, x, method="percentile").x_reach
    assert reach.max() < 3 and quantize(model, W8A16, x, method="min-max").x_reach.max() >= 1e4
