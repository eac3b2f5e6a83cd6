"""PyTorch modules that are handed over: taken as they act, or refused; torch is not needed."""

from __future__ import annotations

import inspect
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_sharp
from lstm_sharp.errors import UsageError
from lstm_sharp.model.torch_modules import OPTIONS
from lstm_sharp.numerics import reference
from torch_stand_ins import H, Module, Tensor, X, stand_in, torch_h

TORCH = find_spec("torch") is not None
"""Whether the same is tried with PyTorch itself; it is no part of what tests need."""


CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in ("LSTM", "GRU", "LSTMCell", "GRUCell")),
    *((kind, {"bias": False}) for kind in ("LSTM", "GRU", "LSTMCell", "GRUCell")),
    *((kind, {"num_layers": 2, "bidirectional": True}) for kind in ("LSTM", "GRU")),
    *((kind, {"num_layers": 3, "dropout": 0.5, "batch_first": True}) for kind in ("LSTM", "GRU")),
]
"""Layers, and arguments beside the sizes."""


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_modules_are_read(kind: str, options: dict[str, Any]) -> None:
    module = stand_in(kind, **options)
    model = lstm_sharp.load(module)
    assert (model.kind, model.name) == (kind.removesuffix("Cell").lower(), kind)
    x = np.random.default_rng(1).normal(size=(2, 6, X))
    want = torch_h(kind, module, x)
    np.testing.assert_allclose(reference.run(model, x).h, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "GRUCell"])
def test_files_hold_the_same(tmp_path: Path, kind: str) -> None:
    module = stand_in(
        kind, **({} if kind == "GRUCell" else {"num_layers": 2, "bidirectional": True})
    )
    held = {name: value.value for name, value in vars(module).items() if isinstance(value, Tensor)}
    np.savez(tmp_path / "m.npz", **{f"net.rnn.{name}": value for name, value in held.items()})
    got, want = lstm_sharp.load(tmp_path / "m.npz", "net"), lstm_sharp.load(module)
    for one, other in zip(got.layers, want.layers, strict=True):
        assert (one.kind, one.reverse) == (other.kind, other.reverse)
        np.testing.assert_array_equal(one.w_hh, other.w_hh)
        np.testing.assert_array_equal(one.b, other.b)


def test_every_argument_is_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    assert not [
        name for name in (OPTIONS | {"device", "dtype"}) - {"mode"} if f"`{name}`" not in page
    ]


def test_weights_are_copied_and_of_any_float() -> None:
    for dtype in ("f2", "f4", "f8"):
        module = stand_in("LSTM")
        module.weight_hh_l0 = Tensor(module.weight_hh_l0.value.astype(dtype))
        (layer,) = lstm_sharp.load(module).layers
        want = module.weight_hh_l0.value.astype(float)
        module.weight_hh_l0.value *= 0
        np.testing.assert_array_equal(layer.w_hh, want)
    module.weight_hh_l0 = Tensor(np.ones((16, 4), np.int8))
    refused("weight_hh_l0 of the module cannot be read (it is int8, not float); save", module)


def test_a_layer_by_prefix() -> None:
    whole = Module(enc=Module(rnn=stand_in("LSTM")), dec=stand_in("GRU"), fc=Module())
    model = lstm_sharp.load(whole, "enc")
    assert (model.kind, model.name) == ("lstm", "enc.rnn")
    assert lstm_sharp.load(whole, "dec").kind == "gru"
    # What a module does with its layers, and which of their outputs it takes, is not looked into.
    refused("Module is more than its enc.rnn, dec; choose a layer by prefix, or export", whole)
    refused("torch.onnx.export(model.eval(), (x,), 'model.onnx')", Module(a=stand_in("LSTM")))
    refused("the prefix x fits 0 layers of Module; it has enc.rnn, dec", whole, "x")
    two = Module(a=Module(x=stand_in("LSTM"), y=stand_in("LSTM")))
    refused("the prefix a fits 2 layers of Module; it has a.x, a.y", two, "a")
    refused("Module has no nn.LSTM or nn.GRU in it", Module(a=Module()))


def subclass() -> Any:
    module = stand_in("LSTM")
    made = type("Mine", (type(module),), {"forward": lambda self: 1})()
    vars(made).update(vars(module))
    return made


def mixed(kind: str, other: str) -> Any:
    """Make a module with the weights of another."""
    module = stand_in(kind)
    vars(module).update(vars(stand_in(other)))
    return module


def hooked(**hooks: Any) -> Any:
    module = stand_in("LSTM")
    vars(module).update({name: {0: hook} for name, hook in hooks.items()})
    return module


REFUSED: dict[str, Any] = {
    "is a torch.nn.modules.rnn.RNN, which is not supported; give an LSTM or a GRU": stand_in("RNN"),
    "is a torch.nn.modules.rnn.RNNCell, which is not": stand_in("RNNCell"),
    "LSTM is a torch.ao.nn.quantized.dynamic.modules.rnn.LSTM, which is not supported; give the "
    "float module": stand_in("LSTM", "torch.ao.nn.quantized.dynamic.modules.rnn"),
    "LSTM has dropout=0.5 in training mode; call its eval()": stand_in(
        "LSTM", num_layers=2, dropout=0.5, training=True
    ),
    "LSTM has forward hooks, which may change": hooked(_forward_hooks=print),
    "LSTM has forward hooks": hooked(_forward_pre_hooks=print),
    "LSTM has a forward of its own; give the nn.LSTM itself": stand_in("LSTM", forward=print),
    "Mine has a forward of its own; give the nn.LSTM itself": subclass(),
    "LSTM has options peephole; use a torch": stand_in("LSTM", __constants__=["peephole"]),
    "LSTM has input_size=9, but its weights are of 3": stand_in("LSTM", input_size=9),
    "GRUCell has mode=GRU, but its weights are of LSTM": mixed("GRUCell", "LSTMCell"),
    "GRU has mode=LSTM, but its weights are of GRU": stand_in("GRU", mode="LSTM"),
    "a torch.nn.Module, not from dict; one of Keras by model.save('model.keras')": {},
    "not from bytes": b"model.npz",
}


@pytest.mark.parametrize("text", REFUSED)
def test_modules_refused(text: str) -> None:
    refused(text, REFUSED[text])


def test_projections_are_refused() -> None:
    module = stand_in("LSTM", proj_size=2)
    module.weight_hr_l0 = Tensor(np.ones((2, H)))
    refused("LSTM: weight_hr_l0 stands for proj_size, which projects h before", module)


def test_a_weight_norm_makes_the_weight_anew() -> None:
    module = stand_in("LSTM")
    want = 2 * module.weight_hh_l0.value
    home = {"__module__": "torch.nn.utils.weight_norm"}

    def renew(self: Any, layer: Any, _: Any) -> None:
        layer.weight_hh_l0 = Tensor(want)

    hook = type("WeightNorm", (), {**home, "__call__": renew})()
    module._forward_pre_hooks = {0: hook}
    np.testing.assert_array_equal(lstm_sharp.load(module).layers[0].w_hh, want.astype(float))


def refused(text: str, module: Any, prefix: str = "") -> None:
    with pytest.raises(UsageError) as error:
        lstm_sharp.load(module, prefix)
    assert text in str(error.value) and "\n" not in str(error.value), str(error.value)


if TORCH:
    import torch

    @pytest.mark.parametrize(("kind", "options"), CASES)
    def test_modules_of_torch_itself(kind: str, options: dict[str, Any]) -> None:
        module = getattr(torch.nn, kind)(X, H, **options).double().eval()
        x = torch.randn(2, 6, X, dtype=torch.double)
        if kind.endswith("Cell"):
            state, found = None, []
            for step in x.swapaxes(0, 1):
                state = module(step, state)
                found.append(state[0] if kind == "LSTMCell" else state)
            want = torch.stack(found, 1)
        else:
            want = module(x if module.batch_first else x.swapaxes(0, 1))[0]
            want = want if module.batch_first else want.swapaxes(0, 1)
        got = reference.run(lstm_sharp.load(module), x.numpy()).h
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=0, atol=1e-12)
        named = {*inspect.signature(getattr(torch.nn, kind)).parameters, *module.__constants__}
        assert named - {"args", "kwargs"} <= OPTIONS | {"device", "dtype"}, "each has a test here"

    def test_weight_norms_of_torch_itself() -> None:
        x = torch.randn(2, 5, X, dtype=torch.double)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of the ways is deprecated
            for norm in (
                torch.nn.utils.weight_norm,
                torch.nn.utils.spectral_norm,
                torch.nn.utils.parametrizations.weight_norm,
                torch.nn.utils.parametrizations.spectral_norm,
            ):
                module = norm(torch.nn.LSTM(X, H, batch_first=True).double(), "weight_hh_l0").eval()
                with torch.no_grad():
                    for parameter in module.parameters():
                        parameter.mul_(1.5)
                got = reference.run(lstm_sharp.load(module), x.numpy()).h
                np.testing.assert_allclose(got, module(x)[0].detach().numpy(), rtol=0, atol=1e-12)

    def test_what_torch_itself_makes_else() -> None:
        bf16 = torch.nn.GRU(X, H).bfloat16()
        want = bf16.weight_hh_l0.detach().double().numpy()
        np.testing.assert_array_equal(lstm_sharp.load(bf16).layers[0].w_hh[4:8], want[:4])
        refused("weight_hr_l0 stands for proj_size", torch.nn.LSTM(X, H, proj_size=2))
        refused("cannot be read (Cannot copy out of meta", torch.nn.LSTM(X, H, device="meta"))
        refused("is more than its 0; choose", torch.nn.Sequential(torch.nn.LSTM(X, H)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dynamic = torch.ao.quantization.quantize_dynamic(
                torch.nn.Sequential(torch.nn.LSTM(X, H))
            )
        refused("quantized.dynamic.modules.rnn.LSTM, which is not supported", dynamic, "0")
