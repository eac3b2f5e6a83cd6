"""Models from Keras files: each option is right or refused, and so is each file."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import os
import re
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_files as kf
from keras_files import (
    LSTM,
    Config,
    X,
    both,
    call,
    cell,
    entry,
    functional,
    save,
    sequential,
    weights,
)
from lstm_sharp import cli
from lstm_sharp.model import Model, hdf5, load
from lstm_sharp.model.hdf5_contents import contents
from lstm_sharp.model.keras_config import OPTIONS
from lstm_sharp.numerics import reference
from models import refused

GRU = cell("GRU", "a", 4)
SUFFIXES = pytest.mark.parametrize("suffix", [".keras", ".h5"])


KERAS = find_spec("keras") is not None
"""Whether results are held against Keras itself, too; it is no part of what tests need."""


def the_keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    return pytest.importorskip("keras")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare most tests the process in which HDF5 files are listed."""
    monkeypatch.setattr(hdf5, "_listed", lambda data: json.dumps(contents(data)).encode())


def x_of(width: int = X) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(2, 6, width))


def head_of(model: Model, x: np.ndarray) -> np.ndarray:
    h = reference.run(model, x).h
    return h if model.head is None else model.head(h)


def check(folder: Path, *layers: Config, suffix: str = ".keras") -> None:
    """Check that the model's head gives what the layers give, one after the other."""
    want = x_of()
    for layer, drawn in zip(layers, weights(*layers).values()):
        want = kf.output(layer, drawn, want)
    got = head_of(load(save(folder, *layers, suffix=suffix)), x_of())
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


FLAGS = list(itertools.product((True, False), repeat=3))


@SUFFIXES
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(("steps", "back", "bias"), FLAGS)
def test_one_layer(
    tmp_path: Path, kind: str, suffix: str, steps: bool, back: bool, bias: bool
) -> None:
    told = {"return_sequences": steps, "go_backwards": back, "use_bias": bias}
    check(tmp_path, cell(kind, "a", 4, **told), suffix=suffix)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize(("below", "back", "steps"), FLAGS)
def test_each_layer_may_go_backwards(
    tmp_path: Path, kind: str, below: bool, back: bool, steps: bool
) -> None:
    one = cell(kind, "a", 4, return_sequences=True, go_backwards=below)
    check(tmp_path, one, cell(kind, "b", 5, return_sequences=steps, go_backwards=back))


@SUFFIXES
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("steps", [True, False])
@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul"])
def test_bidirectional(tmp_path: Path, kind: str, suffix: str, steps: bool, merge: str) -> None:
    ahead = cell(kind, "f", 4, return_sequences=steps)
    check(tmp_path, both("a", ahead, merge), suffix=suffix)
    check(tmp_path, both("a", ahead, merge, use_bias=False), suffix=suffix)
    if steps and merge != "mul":
        check(tmp_path, both("a", ahead, merge), cell(kind, "b", 3), suffix=suffix)


def test_backward_layer_of_old_files_is_the_forward_one_turned(tmp_path: Path) -> None:
    layer = both("a", cell("LSTM", "f", 4))
    drawn = weights(layer)
    want = head_of(load(kf.write(tmp_path / "m.keras", sequential(layer), drawn)), x_of())
    old = {**layer, "config": {**layer["config"], "backward_layer": None}}
    np.testing.assert_array_equal(
        head_of(load(kf.write(tmp_path / "o.keras", sequential(old), drawn)), x_of()), want
    )


def test_layers_that_act_in_training_alone_are_passed(tmp_path: Path) -> None:
    one, two = cell("LSTM", "a", 4, return_sequences=True), cell("LSTM", "b", 5)
    drop = [entry("Dropout", f"d{n}", rate=0.5, seed=None, noise_shape=None) for n in range(3)]
    whole = [drop[0], one, drop[1], two, drop[2]]
    drawn = weights(one, two)
    model = load(kf.write(tmp_path / "m.keras", sequential(*whole), drawn))
    want = kf.output(two, drawn["b"], kf.output(one, drawn["a"], x_of()))
    np.testing.assert_allclose(head_of(model, x_of()), want, rtol=0, atol=1e-12)
    assert (model.name, model.directions) == ("m", (1, 1))


def test_sizes_that_the_file_fixes(tmp_path: Path) -> None:
    assert load(save(tmp_path, LSTM)).sizes == (0, 0)
    assert load(save(tmp_path, LSTM, shape=(2, 6, X))).sizes == (2, 6)
    first = {**LSTM, "config": {**LSTM["config"], "batch_input_shape": [None, 5, X]}}
    old = {"class_name": "Sequential", "config": [first]}  # as Keras 2.1 writes it
    kept = kf.write(tmp_path / "m.h5", {**old, "config": {"layers": [first]}}, weights(LSTM))
    assert load(kept).sizes == (0, 5)


# Which layers are taken


def graph(end: Any, *layers: tuple[Config, Any], inputs: Any = None) -> Config:
    return functional(*layers, outputs=end, inputs=inputs)


SEQUENCE = cell("LSTM", "a", 4, return_sequences=True, return_state=True)
ABOVE = cell("LSTM", "b", 5)


@pytest.mark.parametrize(
    "nodes",
    [
        (call(("x", 0, 0)), call(("a", 0, 0))),
        ([[["x", 0, 0, {}]]], [[["a", 0, 0, {"training": None}]]]),  # Keras 2
    ],
)
def test_functional(tmp_path: Path, nodes: Any) -> None:
    config = graph(["b", 0, 0], (SEQUENCE, nodes[0]), (ABOVE, nodes[1]))
    drawn = weights(SEQUENCE, ABOVE)
    want = kf.output(ABOVE, drawn["b"], kf.output(SEQUENCE, drawn["a"], x_of()))
    for suffix in (".keras", ".h5"):
        model = load(kf.write(tmp_path / f"m{suffix}", config, drawn))
        np.testing.assert_allclose(head_of(model, x_of()), want, rtol=0, atol=1e-12)


def test_layers_by_prefix(tmp_path: Path) -> None:
    embed = entry("Embedding", "e", input_dim=9, output_dim=X, mask_zero=True)
    two = cell("LSTM", "deep", 5, return_sequences=True)
    top = cell("GRU", "gru", 2)
    layers = [embed, SEQUENCE, two, top]
    drawn = weights(*layers)
    path = kf.write(tmp_path / "m.keras", sequential(*layers), drawn)
    refused(path, "m.keras: a is called on e, not on the one input or an LSTM or GRU")
    refused(
        path,
        "choose by prefix a, deep, gru, or export it whole, after a call: model(x); model.export",
    )
    refused(path, "no LSTM or GRU under the prefix z; it has a, deep, gru", "z")
    assert [cell.hidden_size for cell in load(path, "deep").layers] == [5]
    assert load(path, "gru").kind == "gru" and load(path, "gru").input_size == 5
    other = sequential(SEQUENCE, two, top)
    refused(kf.write(tmp_path / "o.keras", other, drawn), "a stack of LSTM and GRU layers")


HEADS = {
    "a state": (graph(["a", 0, 2], (SEQUENCE, call(("x", 0, 0)))), "more than one path from a"),
    "two": (graph([["a", 0, 0], ["a", 0, 1]], (SEQUENCE, call(("x", 0, 0)))), "more than one path"),
    "a branch": (
        graph(
            ["d", 0, 0],
            (SEQUENCE, call(("x", 0, 0))),
            (entry("Dense", "c", units=4), call(("a", 0, 0))),
            (entry("Add", "d"), call(("a", 0, 0), ("c", 0, 0))),
        ),
        "has more than one path from a to outputs; export it whole, after a call",
    ),
    "None": (
        sequential(both("a", cell("LSTM", "f", 4), None)),
        "gives two outputs of a, which lie side by side in h",
    ),
    "code": (
        sequential(SEQUENCE, entry("Lambda", "l", function="4wEAAAAA")),
        "is followed by Lambda l, which is not computed here; export it whole",
    ),
    "code inside": (
        sequential(SEQUENCE, entry("TimeDistributed", "t", layer=entry("Lambda", "l"))),
        "is followed by Lambda t, which is not computed here",
    ),
    "nothing": (sequential(SEQUENCE), "gives h itself, with nothing after it"),
}


@pytest.mark.parametrize("which", HEADS)
def test_why_there_is_no_head(tmp_path: Path, which: str) -> None:
    config = HEADS[which][0]
    model = load(kf.write(tmp_path / "m.keras", config, weights(config["config"]["layers"][1])))
    assert model.head is None and HEADS[which][1] in model.no_head


REFUSED_GRAPHS = {
    "a is called on x, not on the one input or an LSTM or GRU alone": graph(  # b is, too
        ["b", 0, 0],
        (SEQUENCE, call(("x", 0, 0))),
        (ABOVE, [[["x", 0, 0, {"initial_state": [["a", 0, 1], ["a", 0, 2]]}]]]),
    ),
    "b is called on a, not on": graph(
        ["b", 0, 0], (SEQUENCE, call(("x", 0, 0))), (ABOVE, call(("a", 0, 1)))
    ),
    "b is called on a, c, not on": graph(
        ["b", 0, 0],
        (SEQUENCE, call(("x", 0, 0))),
        (ABOVE, call(("a", 0, 0), initial_state=call(("c", 0, 0))[0]["args"])),
    ),
    "a is called on x, True, not on": graph(
        ["a", 0, 0], (SEQUENCE, call(("x", 0, 0), training=True))
    ),
    "a is called on x, not on": graph(
        ["a", 0, 0], (SEQUENCE, call(("x", 0, 0))), inputs=[["x", 0, 0], ["z", 0, 0]]
    ),
    "a is called on x, not": graph(  # twice
        ["a", 1, 0], (SEQUENCE, call(("x", 0, 0)) + call(("x", 0, 0)))
    ),
    "b is called on m, not on the one input": sequential(SEQUENCE, entry("Masking", "m"), ABOVE),
    "m.keras has no LSTM or GRU layer; its layers are SimpleRNN, Dense": sequential(
        entry("SimpleRNN", "a"), entry("Dense", "b")
    ),
    "LSTM b is fed by a layer with return_sequences=False and": sequential(LSTM, ABOVE),
    "LSTM b is fed by a layer with return_sequences=True and merge_mode=mul": sequential(
        both("a", cell("LSTM", "f", 4, return_sequences=True), "mul"), ABOVE
    ),
    "Bidirectional b begins with the last step, for go_backwards": sequential(
        cell("LSTM", "a", 4, return_sequences=True, go_backwards=True),
        both("b", cell("LSTM", "f", 4)),
    ),
}


def test_graphs_refused(tmp_path: Path) -> None:
    for text, config in REFUSED_GRAPHS.items():
        drawn = weights(*config["config"]["layers"])
        refused(kf.write(tmp_path / "m.keras", config, drawn), text)


# What follows


def dense(name: str, units: int, **options: Any) -> Config:
    zeros = {"module": "keras.initializers", "class_name": "Zeros", "config": {}}
    usual = {"units": units, "activation": "linear", "use_bias": True, "kernel_initializer": zeros}
    return entry("Dense", name, **usual | options)


def with_dense(folder: Path, *tail: Config, suffix: str = ".keras", steps: bool = True) -> Path:
    layer = cell("LSTM", "a", 4, return_sequences=steps)
    rng = np.random.default_rng(5)
    drawn = {**weights(layer), "d": [[rng.normal(size=(4, 2)), rng.normal(size=2)]]}
    return kf.write(folder / f"m{suffix}", sequential(layer, *tail), drawn)


@SUFFIXES
def test_what_follows_is_computed(tmp_path: Path, suffix: str) -> None:
    one, two = (entry("Dropout", name, rate=0.5) for name in "op")
    spread = entry("TimeDistributed", "d", layer=dense("inner", 2))
    for steps, tail in ((True, dense("d", 2)), (False, dense("d", 2)), (True, spread)):
        model = load(with_dense(tmp_path, one, tail, two, suffix=suffix, steps=steps))
        h = np.random.default_rng(6).normal(size=(2, 5, 4))
        rng = np.random.default_rng(5)
        kernel, bias = rng.normal(size=(4, 2)), rng.normal(size=2)
        assert model.head is not None
        np.testing.assert_array_equal(model.head(h), (h if steps else h[:, -1]) @ kernel + bias)


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf)(x)


def spread_of(x: np.ndarray) -> np.ndarray:
    """Take the mean away and divide by the deviation, over the last axis."""
    off = x - x.mean(-1, keepdims=True)
    return off / np.sqrt((off**2).mean(-1, keepdims=True) + 1e-3)


MEAN, VARIANCE, GAMMA, BETA = (np.array(v) for v in np.arange(1.0, 17).reshape(4, 4) / 8)
NORMAL = {"momentum": 0.9, "renorm": False, "renorm_momentum": 0.99, "epsilon": 0.01}
FOLLOWS: dict[str, tuple[Config, list[np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "relu": (
        entry("ReLU", "d", max_value=0.5, negative_slope=0.1, threshold=0.0),
        [],
        lambda h: np.minimum(np.where(h < 0, h / 10, h), 0.5),
    ),
    "leaky": (entry("LeakyReLU", "d"), [], lambda h: np.where(h < 0, 0.3 * h, h)),
    "old leaky": (entry("LeakyReLU", "d", alpha=0.2), [], lambda h: np.where(h < 0, h / 5, h)),
    "silu": (entry("Activation", "d", activation="silu"), [], lambda h: h / (1 + np.exp(-h))),
    "gelu": (
        entry("Activation", "d", activation="gelu"),
        [],
        lambda h: h * (1 + erf(h / np.sqrt(2))) / 2,
    ),
    "elu": (
        entry("Activation", "d", activation="elu"),
        [],
        lambda h: np.where(h < 0, np.exp(h) - 1, h),
    ),
    "batch": (
        entry("BatchNormalization", "d", axis=[2], center=True, scale=True, **NORMAL),
        [GAMMA, BETA, MEAN, VARIANCE],
        lambda h: (h - MEAN) / np.sqrt(VARIANCE + 0.01) * GAMMA + BETA,
    ),
    "batch alone": (
        entry("BatchNormalization", "d", axis=-1, center=False, scale=False, **NORMAL),
        [MEAN, VARIANCE],
        lambda h: (h - MEAN) / np.sqrt(VARIANCE + 0.01),
    ),
    "layer": (entry("LayerNormalization", "d", scale=False), [BETA], lambda h: spread_of(h) + BETA),
    "layer alone": (entry("LayerNormalization", "d", center=False, scale=False), [], spread_of),
    "mean": (entry("GlobalAveragePooling1D", "d"), [], lambda h: h.mean(1)),
    "largest": (
        entry("GlobalMaxPooling1D", "d", keepdims=True, data_format="channels_last"),
        [],
        lambda h: h.max(1, keepdims=True),
    ),
    "flat": (entry("Flatten", "d"), [], lambda h: h.reshape(len(h), -1)),
    "reshape": (entry("Reshape", "d", target_shape=[-1, 2]), [], lambda h: h.reshape(2, -1, 2)),
}


@pytest.mark.parametrize("which", FOLLOWS)
def test_layers_that_follow(tmp_path: Path, which: str) -> None:
    layer, held, right = FOLLOWS[which]
    drawn = {**weights(SEQUENCE), "d": [held]}
    if held:
        short = load(kf.write(tmp_path / "s.keras", sequential(SEQUENCE, layer), weights(SEQUENCE)))
        assert short.head is None and f"0 weights for {len(held)}" in short.no_head
    head = load(kf.write(tmp_path / "m.keras", sequential(SEQUENCE, layer), drawn)).head
    h = np.random.default_rng(7).normal(size=(2, 5, 4))
    assert head is not None
    np.testing.assert_allclose(head(h), right(h), rtol=0, atol=1e-6)


def test_what_is_not_computed(tmp_path: Path) -> None:
    code = {"module": "mine", "class_name": "function", "config": "f"}
    ends = entry("Softmax", "d", axis=1)
    for layer, told in (
        (dense("d", 10**9), "Dense d, which is not computed here: 1000000000 units, weights of"),
        (dense("d", 2, activation=code), "Dense d with activation, which is not computed"),
        (dense("d", 2, lora={"rank": 1}), "Dense d with lora, which is not computed"),
        (dense("d", 2, lora_rank=4), "Dense d with lora_rank, which is not computed"),
        (dense("d", 2, activation="hard_sigmoid"), "Dense d, which is not computed here: 'hard"),
        (entry("ReLU", "d", threshold=1.0), "not computed here: threshold=1.0"),
        (ends, "not computed here: axis=[1] of 3"),
        (entry("Reshape", "d", target_shape=[3]), "cannot be computed of h (1, 2, 4)"),
    ):
        model = load(with_dense(tmp_path, layer))
        assert model.head is None and told in model.no_head
        assert model.no_head.endswith("model.export('model.onnx', format='onnx')")


def test_what_is_left_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with_dense(tmp_path, entry("Lambda", "l"))
    np.save("x.npy", x_of().astype("f"))
    run = ["run", "m.keras", "--input", "x.npy", "--output", "y.npy", "--backend", "float"]
    told = "m.keras is followed by Lambda l, which is not computed here; export it whole"
    assert cli.main(run) == 0 and f"note: {told}" in capsys.readouterr().err
    assert cli.main([*run, "--output-of", "head"]) == 2
    assert f"lstm-sharp: {told}" in capsys.readouterr().err


# Options: what each does, when it is given this instead of the usual

_ZEROS = {"module": "keras.initializers", "class_name": "Ones", "config": {}}
HARMLESS = {
    **{f"{weight}_initializer": _ZEROS for weight in ("kernel", "recurrent", "bias")},
    **{f"{weight}_regularizer": {"l1": 0.1} for weight in ("kernel", "recurrent", "bias")},
    **{f"{weight}_constraint": {"max": 1} for weight in ("kernel", "recurrent", "bias")},
    "activity_regularizer": {"l2": 0.1},
    "trainable": False,
    "unit_forget_bias": False,
    "dropout": 0.5,
    "recurrent_dropout": 0.5,
    "seed": 3,
    "implementation": 1,
    "unroll": True,
    "zero_output_for_mask": True,
}
REFUSED: dict[str, tuple[Any, ...]] = {
    "activation": ("relu", None, "linear", {"class_name": "function", "config": "tanh"}),
    "recurrent_activation": ("hard_sigmoid", None, "tanh"),
    "reset_after": (False, None, 1),
    "time_major": (True,),
    "stateful": (True,),
    "dtype": ("int8", "int8_from_float32", {"class_name": "QuantizedDTypePolicy"}),
}
HONOURED = {
    # Each has a test above.
    *("units", "use_bias", "return_sequences", "return_state", "go_backwards", "name"),
    *("merge_mode", "layer", "backward_layer", "batch_input_shape", "batch_shape"),
}
NOT_STORED = {"self", "kwargs", "use_cudnn", "weights", "cell"}
"""Arguments of constructors that no config has."""
RECURRENT = ("LSTM", "GRU", "Bidirectional")


def test_every_option_has_a_test() -> None:
    tested = HONOURED | HARMLESS.keys() | REFUSED.keys()
    for kind in RECURRENT:
        assert OPTIONS[kind].keys() <= tested, kind
    if not KERAS:
        return
    keras = the_keras()
    for kind in RECURRENT:
        made = getattr(keras.layers, kind)
        layer = made(keras.layers.LSTM(2)) if kind == "Bidirectional" else made(2)
        named = {n for c in made.__mro__ for n in inspect.signature(c.__init__).parameters}
        named &= {*inspect.signature(made.__init__).parameters} | OPTIONS[kind].keys()
        assert named | layer.get_config().keys() <= OPTIONS[kind].keys() | NOT_STORED, kind


def test_every_option_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    for kind in ("LSTM", "GRU", "Bidirectional", "InputLayer"):
        for option in OPTIONS[kind]:
            end = re.sub(".*(?=_(initializer|regularizer|constraint)$)", "", option)
            assert f"`{end}`" in page, option


def test_harmless_options_change_nothing(tmp_path: Path) -> None:
    for layer in (LSTM, GRU):
        known = OPTIONS[layer["class_name"]].keys()
        config = {**layer["config"], **{k: v for k, v in HARMLESS.items() if k in known}}
        want = load(save(tmp_path, layer))
        got = load(
            kf.write(tmp_path / "n.keras", sequential({**layer, "config": config}), weights(layer))
        )
        np.testing.assert_array_equal(head_of(got, x_of()), head_of(want, x_of()))


TYPES = ("float64", "bfloat16", "mixed_float16", None)
POLICY = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}


def test_types_that_layers_and_weights_may_have(tmp_path: Path) -> None:
    ((kernel, *rest),) = weights(LSTM)["a"]
    for policy in (*TYPES, POLICY):
        layer = {**LSTM, "config": {**LSTM["config"], "dtype": policy}}
        for kind in ("f2", "f8"):
            kept = {"a": [[kernel.astype(kind), *rest]]}
            model = load(kf.write(tmp_path / "m.h5", sequential(layer), kept))
            np.testing.assert_array_equal(model.layers[0].w_ih, kernel.astype(kind).T)
    bits = (kernel.view("u4") >> 16).astype("u2")
    path, place = save(tmp_path, LSTM, suffix=".h5"), "model_weights/a/a/part_0/kernel:0"
    with kf.h5py.File(path, "a") as file:
        del file[place]
        file[place] = bits.view("V2")  # as h5py takes bfloat16
        file[place].attrs["dtype"] = "bfloat16"
    np.testing.assert_array_equal(load(path).layers[0].w_ih, (bits.astype("u4") << 16).view("f4").T)


@pytest.mark.parametrize("option", REFUSED)
def test_options_refused_by_name(tmp_path: Path, option: str) -> None:
    for layer, value in itertools.product((LSTM, GRU), REFUSED[option]):
        if option not in OPTIONS[layer["class_name"]]:
            continue
        config = {**layer["config"], option: value}
        for whole in ({**layer, "config": config}, both("a", {**layer, "config": config})):
            refused(
                kf.write(tmp_path / "m.keras", sequential(whole), weights(whole)), f" has {option}="
            )
    del config[option]
    if option in (
        "activation",
        "recurrent_activation",
        "reset_after",
    ):  # whose absence means another
        whole = {**layer, "config": config}
        refused(
            kf.write(tmp_path / "m.keras", sequential(whole), weights(layer)), f" has {option}=None"
        )


def test_weights_are_those_of_the_layer(tmp_path: Path) -> None:
    path = save(tmp_path, LSTM, suffix=".h5")
    want = load(path).layers[0].w_ih
    with kf.h5py.File(path, "a") as file:
        group = file["model_weights/a"]
        names = [str(name).encode() for name in group.attrs["weight_names"].astype(str)]
        names.append(b"a/seed_generator/seed_generator_state")
        group.attrs["weight_names"] = names  # of dropout
    np.testing.assert_array_equal(load(path).layers[0].w_ih, want)
    with kf.h5py.File(path, "a") as file:
        file["model_weights/a"].attrs["weight_names"] = names[1::-1]
    refused(path, "a has the weights a/part_0/recurrent_kernel:0, a/part_0/kernel:0")
    other = kf.write(
        tmp_path / "m.keras", sequential(cell("LSTM", "b", 4)), {"b": weights(LSTM)["a"]}
    )
    with zipfile.ZipFile(other) as archive:
        held = archive.read("model.weights.h5")
    members = {"config.json": json.dumps(sequential(LSTM)).encode(), "model.weights.h5": held}
    refused(kf.zipped(other, members), "layers/lstm has the weights of ['b'], not a")


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    def wrong(text: str, config: Config) -> None:
        refused(kf.write(tmp_path / "m.keras", config, weights(LSTM)), text)

    for layer in (LSTM, GRU, both("a", LSTM)):
        odd = {**layer, "config": {**layer["config"], "peephole": True}}
        text = f"{layer['class_name']} a has options that are not known: peephole; export"
        refused(kf.write(tmp_path / "m.keras", sequential(odd), weights(layer)), text)
    wrong("LSTM has keys that are not known: lora", sequential({**LSTM, "lora": 1}))
    wrong(
        "mine>LSTM of None is no",
        sequential({**LSTM, "registered_name": "mine>LSTM", "module": None}),
    )
    wrong(
        "LSTM of kerasy.layers is no layer of Keras",
        sequential({**LSTM, "module": "kerasy.layers"}),
    )
    wrong("a model of a kind that is not known: Mine", {**sequential(LSTM), "class_name": "Mine"})
    config = sequential(LSTM)
    config["config"]["masks"] = 1
    wrong("a model of a kind that is not known: Sequential, masks", config)
    for option, value in (("sparse", True), ("ragged", True), ("dtype", "int32"), ("x", 1)):
        config = sequential(LSTM)
        config["config"]["layers"][0] = kf.given(**{option: value})
        wrong(f"InputLayer x has {option}=" if option != "x" else "not known: x", config)


# Against Keras itself

if KERAS:

    def compare(folder: Path, model: Any) -> None:
        rng = np.random.default_rng(0)
        model.set_weights([np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
        x = rng.normal(size=(2, 6, X)).astype("f")
        want = np.asarray(model(x))
        for suffix in ("keras", "h5"):
            model.save(folder / f"m.{suffix}")
            got = load(folder / f"m.{suffix}")
            np.testing.assert_allclose(head_of(got, x), want, rtol=0, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # that .h5 is an old format, and of backends
    @pytest.mark.parametrize("kind", ["LSTM", "GRU"])
    def test_models_of_keras_itself(tmp_path: Path, kind: str) -> None:
        keras = the_keras()
        made, k = getattr(keras.layers, kind), keras.layers

        def stack(*layers: Any) -> None:
            compare(tmp_path, keras.Sequential([keras.Input((6, X)), *layers]))

        for steps, back, bias in FLAGS:
            told = {"return_sequences": steps, "go_backwards": back, "use_bias": bias}
            stack(
                made(4, return_sequences=True, go_backwards=True), k.Dropout(0.2), made(3, **told)
            )
        for merge, steps in itertools.product(("concat", "sum", "ave", "mul"), (True, False)):
            stack(k.Bidirectional(made(4, return_sequences=steps), merge_mode=merge))
            upper = made(2, return_sequences=True, go_backwards=True, use_bias=False)
            lower = made(4, return_sequences=True)
            if merge != "mul":
                stack(
                    k.Bidirectional(
                        lower, merge, backward_layer=made(4, **{**BACK, "use_bias": steps})
                    ),
                    upper,
                )
        stack(
            made(4), k.Dense(3), k.BatchNormalization(), k.ReLU(), k.Dense(2, activation="softmax")
        )
        many = made(4, return_sequences=True), k.TimeDistributed(k.Dense(3, activation="tanh"))
        stack(
            *many,
            k.LayerNormalization(),
            k.GlobalAveragePooling1D(),
            k.Reshape((3, 1)),
            k.Flatten(),
        )

    BACK = {"return_sequences": True, "go_backwards": True}
