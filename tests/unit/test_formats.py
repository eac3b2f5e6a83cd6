"""Formats of any widths and of each layer: what is read, chosen, quantised, stored and refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp import Session, paths
from lstm_sharp.engine import config
from lstm_sharp.errors import UsageError
from lstm_sharp.fit import fit
from lstm_sharp.model.model import Model
from lstm_sharp.numerics import golden, stored
from lstm_sharp.numerics.formats import Format
from lstm_sharp.numerics.quantize import METHODS, quantize
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.deploy import deploy
from models import float_h, pytorch_like

TINY = config.load("tiny")
MIXED = "W8A16,W4A8"


@pytest.fixture(scope="module")
def model() -> Model:
    return pytorch_like(5, [6, 9, 7], (2, 1))


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(5).uniform(-1, 1, (4, 9, 6))


def test_a_mixture_is_as_wide_as_its_widest() -> None:
    fmt = Format.parse("W4A16,W8A6,W2A16")
    assert (fmt.weight_bits, fmt.activation_bits, str(fmt)) == (8, 16, "W4A16,W8A6,W2A16")
    assert [fmt.h_drop(level) for level in range(3)] == [0, 10, 0] and fmt.mixed
    assert not Format.parse("W4A16,W8A16").mixed and not Format.parse("W4A16").mixed
    for text in (
        "W8A16,",
        ",W8A16",
        "W8A16, W4A8",
        "W08A8",
        "w8a8",
        "W1A8",
        "W8A17",
        "W8",
        "W1\u0662A8",
    ):
        with pytest.raises(UsageError, match="is unknown; choose one of W2 to W16 with A2 to A16"):
            Format.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "narrower"),
    [
        *(("W8A8", "W8A16", True), ("W4A16", "W8A16", True), ("W8A16", "W8A16", False)),
        *(("W4A16", "W8A8", False), ("W8A8", "W4A16", False), ("W8A16", "W8A8", False)),
    ],
)
def test_a_narrower_format_has_no_larger_width(one: str, other: str, narrower: bool) -> None:
    assert Format.parse(one).narrower(Format.parse(other)) == narrower


def test_an_engine_serves_all_mixtures_of_its_widths() -> None:
    one, other, plain = map(TINY.with_format, (MIXED, "W4A8,W8A16,W8A9", "W4A16,W8A16"))
    assert one.identity == other.identity != TINY.identity == plain.identity
    assert (one.mixed, plain.mixed, plain.name) == (1, 0, "tiny")
    assert one.name == other.name == "tiny-mixed"
    assert config.resized(TINY, format=MIXED).identity != TINY.identity
    assert TINY.with_format("W2A4,W4A2").name == "tiny-w4a4-mixed"
    assert one.acc_bits == TINY.acc_bits and one.tail == TINY.tail


def test_of_a_board_the_config_of_a_format_is_taken() -> None:
    names = {fmt: [c.name for c in config.for_format(fmt)] for fmt in ("W8A8", "W4A8", "W16A16")}
    assert names["W8A8"] == ["tiny", "pynq-z2-fast", "ultra96-v2", "kv260-fast", "zcu104-fast"]
    assert names["W4A8"] == ["tiny", "pynq-z2-small", "ultra96-v2", "kv260-small", "zcu104-small"]
    assert names["W16A16"] == [cfg.name for cfg in config.for_format(None)]
    with pytest.raises(UsageError, match="no W16A16 among pynq-z2-fast .W8A8, packed 2.; choose"):
        config.for_format("W16A16", [config.load("pynq-z2-fast")])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fmt", ["W8A8", "W4A4", "W2A2", "W3A11"])
def test_symmetric_weights_lack_the_least(
    model: Model, x: np.ndarray, fmt: str, method: str
) -> None:
    most = Format.parse(fmt).most_weight
    seen = {}
    for symmetric in (False, True):
        made = quantize(model, fmt, x, method=method, symmetric=symmetric)
        seen[symmetric] = min(min(q.w_ih.min(), q.w_hh.min()) for q in made.layers)
        assert max(max(q.w_ih.max(), q.w_hh.max()) for q in made.layers) == most
    assert -most <= seen[True] and -most - 1 <= seen[False]
    if method == "error":
        assert seen[False] == -most - 1


def test_packed_engines_refuse_the_least_weight(model: Model, x: np.ndarray) -> None:
    made = quantize(model, "W8A8", x)
    q = made.layers[0]
    w = q.w_ih.copy()
    w[3, 2] = -128
    cfg = config.resized(TINY.with_format("W8A8"), packed=2)
    wrong = replace(model, quantized=replace(made, layers=(replace(q, w_ih=w), *made.layers[1:])))
    with pytest.raises(UsageError, match=r"layer 0 has weights of -128, .*packed 2.; quantise for"):
        Session(wrong, cfg, "csim")
    right = Session(model, cfg, "golden", calibration=x)
    right.run(x)
    assert min(q.w_hh.min() for q in right.quantized.layers) >= -127


def test_h_of_a_narrower_layer_has_its_bits(model: Model, x: np.ndarray) -> None:
    made = quantize(model, "W8A6,W4A16", x)
    assert [q.h_drop for q in made.layers] == [10, 10, 0]
    assert abs(made.layers[2].w_hh).max() == 7 and (made.quantize_input(x) % 1024 == 0).all()
    lowest = QuantModel(made.fmt, made.layers[:2], directions=(2,), x_scale=made.x_scale)
    h, after = golden.run(lowest, lowest.quantize_input(x * 9))
    assert (h % 1024 == 0).all() and abs(h).max() < 1 << 15 and (after.h % 1024 == 0).all()
    error = abs(made.dequantize_h(golden.run(made, made.quantize_input(x))[0]) - float_h(model, x))
    assert error.max() < 0.1


def test_a_mixture_is_stored_and_run_as_it_is(model: Model, x: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "q.npz"
    made = quantize(model, MIXED, x)
    stored.write(path, replace(model, quantized=made), {})
    read = stored.load_model(path)
    assert read.quantized.fmt == made.fmt
    assert [q.h_drop for q in read.quantized.layers] == [0, 0, 8]
    for other in ("W8A16,W4A9", "W8A16,W2A8", "W8A16", "W8A16,W4A8,W4A8"):
        about = {"model": "m", **stored.facts_of(made)}
        with np.load(path) as held:
            tensors = {name: partial(held.__getitem__, name) for name in held}
            with pytest.raises(ValueError, match="format|within"):
                stored.read_model(about, Format.parse(other), tensors)
    given = made.quantize_input(x)
    assert np.array_equal(golden.run(read.quantized, given)[0], golden.run(made, given)[0])
    with Session(read, backend="golden", compare=True) as session:
        session.run(x)
        assert session.report.format == MIXED
    with pytest.raises(UsageError, match=f"is quantised already, at {MIXED}"):
        Session(read, "tiny", "golden", format="W8A16")
    with Session(read, TINY, "golden") as session:
        session.run(x)
    with pytest.raises(
        UsageError, match="h of layer 1 has 8 bits fewer than others, tiny has W8A1"
    ):
        deploy(made, TINY, "best")


def test_what_is_not_quantised_is_read_as_the_float_model_that_it_is(tmp_path: Path) -> None:
    read = stored.load(paths.examples() / "vowels" / "vowels.onnx")
    assert isinstance(read, Model) and read.quantized is None
    with pytest.raises(UsageError, match="nothing.npz"):
        stored.load(tmp_path / "nothing.npz")


def test_there_is_a_format_for_each_layer(model: Model, x: np.ndarray) -> None:
    with pytest.raises(UsageError, match="names the formats of 3 layers, model has 2; give one"):
        quantize(model, "W8A8,W8A8,W8A8", x)
    with pytest.raises(UsageError, match="names the formats of 3 layers, model has 2; give one"):
        fit(model, fmt="W8A8,W8A8,W8A8")
