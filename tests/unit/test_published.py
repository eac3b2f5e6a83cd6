"""Trained LSTMs of published packages: that they are read right, and how near each format comes."""

from __future__ import annotations

from collections.abc import Callable
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np
import pytest

import published
from lstm_sharp.model import Model, onnx_dynamic
from lstm_sharp.numerics import reference
from models import trained_like, uneven_x
from published import PUBLISHED, Published


@pytest.fixture(params=PUBLISHED, ids=lambda make: make.__name__)
def trained(request: pytest.FixtureRequest) -> Published:
    return request.param()


def test_float_is_that_of_onnxruntime(trained: Published) -> None:
    h = reference.run(trained.model, trained.evaluation).h
    found = onnx_dynamic.run(onnx_dynamic.graph_of(trained.model), trained.evaluation)
    np.testing.assert_allclose(found, h, rtol=0, atol=1e-5)


@lru_cache
def _answers(make: Callable[[], Published]) -> dict[str, np.ndarray]:
    return published.answers(make())


def _rows() -> dict[str, dict[str, float]]:
    return {make.__name__: published.figures(_answers(make)) for make in PUBLISHED}


def test_as_good_as_dynamic_int8_of_a_scale_a_row() -> None:
    for name, row in _rows().items():
        print(f"{name}, dB:", ", ".join(f"{of} {figure:.1f}" for of, figure in row.items()))
        assert row["W8A16"] >= row["ORT channel"] + 2, name
        assert row["W16A16"] >= 40, name
    mean = {of: np.mean([row[of] for row in _rows().values()]) for of in ("W8A16", "W8A8")}
    assert mean["W8A16"] >= 39 and mean["W8A8"] >= 32, mean


def test_speakers_are_told_apart() -> None:
    trained = published.resemblyzer()
    cosine = published.least_cosine(trained.model, _answers(published.resemblyzer))
    assert cosine["W8A16"] >= 0.97 and cosine["W16A16"] >= 0.999, cosine


def test_sets_are_disjoint_and_alike(trained: Published) -> None:
    calibration, evaluation = trained.calibration, trained.evaluation
    rows = np.concatenate([calibration, evaluation]).reshape(len(calibration) + len(evaluation), -1)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert 0.5 < np.abs(evaluation).max() / np.abs(calibration).max() < 2


def _answer(trained: Published) -> np.ndarray:
    assert trained.model.head is not None
    return trained.model.head(reference.run(trained.model, trained.evaluation).h)


def test_speech_is_heard() -> None:
    heard = _answer(published.silero_vad())
    assert np.median(heard) > 0.9, np.quantile(heard, [0.1, 0.5, 0.9])


def test_text_is_read() -> None:
    scores = _answer(published.nano_ocr())
    for seed, best in enumerate(scores.argmax(axis=2), start=len(scores)):
        kept = best[(best > 0) & (best != np.roll(best, 1))]
        found = "".join(published.OCR_CHARACTERS[n - 1] for n in kept)
        text = published.line_of_text(seed).replace(" ", "")[: len(found)]
        print(f"{text}\n{found}\n")
        assert SequenceMatcher(None, text.lower(), found.lower(), False).ratio() > 0.5


def _unevenness(model: Model) -> dict[str, list[float]]:
    """Measure w_ih and w_hh of all cells, without their dead rows."""
    told: dict[str, list[float]] = {"row spread": [], "tail": [], "column spread": [], "size": []}
    for weights in (w for cell in model.layers for w in (cell.w_ih, cell.w_hh)):
        live = weights[weights.any(axis=1)]
        most = np.abs(live).max(axis=1, keepdims=True)
        columns = np.sqrt(np.mean((live / most) ** 2, axis=0))
        told["row spread"].append(most.max() / np.median(most))
        told["tail"].append(np.median(most[:, 0] / np.sqrt(np.mean(live**2, axis=1))))
        told["column spread"].append(columns.max() / columns.min())
        told["size"].append(np.sqrt(np.mean(weights**2) * weights.shape[1]))
    return told


@pytest.mark.parametrize("spread", [2, 36])
def test_drawn_weights_are_as_uneven_as_trained_ones(spread: float) -> None:
    trained = [_unevenness(make().model) for make in PUBLISHED]
    for kind, drawn in _unevenness(trained_like(0, [40, 256, 128], (2, 1), spread)).items():
        known = [value for each in trained for value in each[kind]]
        print(f"{kind}: trained {min(known):.1f} to {max(known):.1f}, drawn", np.round(drawn, 1))
        assert min(known) / 1.5 < min(drawn) and max(drawn) < 1.5 * max(known)


def test_drawn_x_is_as_uneven_as_that_of_trained_models() -> None:
    x = uneven_x(0, 4, 100, 40)
    loud = np.sort(np.abs(x).max(axis=(0, 1)))
    assert loud[0] == 0 and 300 < loud[-1] / loud[1] < 3000
    assert not np.array_equal(x, uneven_x(0, 4, 100, 40, draw=1))
