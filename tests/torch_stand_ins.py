"""Stand-ins for PyTorch's modules, and what they compute, written out from its pages."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from lstm_sharp.model.torch_modules import OPTIONS

X, H = 3, 4
"""Sizes."""


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
