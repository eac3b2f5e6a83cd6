"""PyTorch modules that are handed over: taken as they act, or refused; torch is not needed."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import lstm_sharp
from lstm_sharp.errors import UsageError
from lstm_sharp.model.torch_modules import OPTIONS
from lstm_sharp.numerics import reference

TORCH = find_spec("torch") is not None
"""Whether the same is tried with PyTorch itself; it is no part of what tests need."""
X, H = 3, 4


class Tensor:
    """A stand-in for what is read of a tensor."""

    def __init__(self, value: np.ndarray) -> None:
        self.value, self.dtype = value, str(value.dtype)

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def is_floating_point(self) -> bool:
        return self.value.dtype.kind == "f"

    def double(self) -> Tensor:
        return Tensor(self.value.astype(float))

    def numpy(self) -> np.ndarray:
        return self.value


class Module:
    """A stand-in for torch.nn.Module."""

    __module__ = "torch.nn.modules.module"
    training = False

    def __init__(self, **inner: Any) -> None:
        self._forward_hooks: dict[int, Any] = {}
        self._forward_pre_hooks: dict[int, Any] = {}
        self._inner = inner

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        yield prefix, self
        for name, module in self._inner.items():
            yield from module.named_modules(f"{prefix}.{name}".strip("."))

    def forward(self) -> None: ...


def stand_in(name: str, home: str = "torch.nn.modules.rnn", **options: Any) -> Any:
    """Make a module of a class of this name, with weights drawn."""
    made = type(
        name,
        (Module,),
        {"__module__": home, "__constants__": sorted(OPTIONS), "forward": lambda s: 0},
    )()
    cell, gates = name.endswith("Cell"), {"L": 4, "G": 3, "R": 1}[name[0]]
    usual = {"input_size": X, "hidden_size": H, "bias": True}
    if not cell:
        usual |= {"num_layers": 1, "bidirectional": False, "proj_size": 0, "dropout": 0.0}
        usual |= {"batch_first": False, "mode": name}
    told = SimpleNamespace(**{**usual, **options})
    vars(made).update(vars(told))
    rng = np.random.default_rng(0)
    for layer in range(1 if cell else told.num_layers):
        sides = ("", "_reverse")[: 1 + (not cell and told.bidirectional)]
        width = X if layer == 0 else H * len(sides)
        for side in sides:
            place = "" if cell else f"_l{layer}{side}"
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (gates * H, width),
                "weight_hh": (gates * H, H),
            }
            if told.bias:
                shapes |= {"bias_ih": (gates * H,), "bias_hh": (gates * H,)}
            for kind, shape in shapes.items():
                setattr(made, kind + place, Tensor(rng.normal(size=shape).astype("f")))
    return made


CASES: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in ("LSTM", "GRU", "LSTMCell", "GRUCell")),
    *((kind, {"bias": False}) for kind in ("LSTM", "GRU", "LSTMCell", "GRUCell")),
    *((kind, {"num_layers": 2, "bidirectional": True}) for kind in ("LSTM", "GRU")),
    *((kind, {"num_layers": 3, "dropout": 0.5, "batch_first": True}) for kind in ("LSTM", "GRU")),
]
"""Layers, and arguments beside the sizes."""


def torch_h(kind: str, module: Any, x: np.ndarray) -> np.ndarray:
    """Compute h (batch, time, width) of a stand-in, as PyTorch's pages say."""
    if kind.endswith("Cell"):
        return steps(kind, {name: getattr(module, name, None) for name in NAMES}, x)
    for layer in range(module.num_layers):
        sides = []
        for side in ("", "_reverse")[: 1 + module.bidirectional]:
            own = {name: getattr(module, f"{name}_l{layer}{side}", None) for name in NAMES}
            turn = slice(None, None, -1 if side else 1)
            sides.append(steps(kind, own, x[:, turn])[:, turn])
        x = np.concatenate(sides, axis=2)
    return x


NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def steps(kind: str, own: dict[str, Any], x: np.ndarray) -> np.ndarray:
    w_ih, w_hh = (own[name].value.astype(float) for name in NAMES[:2])
    b_ih, b_hh = (0 if own[name] is None else own[name].value.astype(float) for name in NAMES[2:])
    h = c = np.zeros((len(x), H))
    found = []
    for x_t in x.swapaxes(0, 1):
        on_x, on_h = x_t @ w_ih.T + b_ih, h @ w_hh.T + b_hh
        if kind.startswith("LSTM"):
            i, f, g, o = np.split(on_x + on_h, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(v, 3, axis=1) for v in (on_x, on_h))
            z = sigmoid(x_z + h_z)
            h = (1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h
        found.append(h)
    return np.stack(found, axis=1)


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_modules_are_read(kind: str, options: dict[str, Any]) -> None:
    module = stand_in(kind, **options)
    model = lstm_sharp.load(module)
    assert (model.kind, model.name) == (kind.removesuffix("Cell").lower(), kind)
    x = np.random.default_rng(1).normal(size=(2, 6, X))
    want = torch_h(kind, module, x)
    np.testing.assert_allclose(reference.run(model, x).h, want, rtol=0, atol=1e-12)


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
    "LSTM has options peephole; use a torch": stand_in("LSTM", __constants__=["peephole"]),
    "LSTM has input_size=9, but its weights are of 3": stand_in("LSTM", input_size=9),
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
