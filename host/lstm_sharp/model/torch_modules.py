"""Takes nn.LSTM, nn.GRU and their cells out of a PyTorch module; torch itself is never imported."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing
from lstm_sharp.model.common import match_prefix, some
from lstm_sharp.model.model import Model
from lstm_sharp.model.torch_names import EXPORT, from_torch_names

_MODULE = "torch.nn.modules.module.Module"
_HOME = "torch.nn.modules.rnn."
_TAKEN = {f"{_HOME}{kind}{cell}": kind.lower() for kind in ("LSTM", "GRU") for cell in ("", "Cell")}
_RECURRENT = {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"}
"""Names of classes that are looked for, in torch's own modules; some of them are refused."""
_REWEIGHTING = {
    "torch.nn.utils.weight_norm.WeightNorm",
    "torch.nn.utils.spectral_norm.SpectralNorm",
}
"""Hooks that do no more than set a weight before each call."""
OPTIONS = {
    *("mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
    *("bidirectional", "proj_size"),
}
"""What torch lists as the constants of such a module: each is honoured or refused."""


def from_module(module: Any, prefix: str = "") -> Model:
    """Read the weights of an nn.LSTM, nn.GRU, nn.LSTMCell or nn.GRUCell as they act in eval mode.

    x of the model is (batch, time, X), whatever ``batch_first`` is.

    Args:
        module: one of these, or with ``prefix`` any module that has one in it.
        prefix: the beginning of its name there, as ``named_modules`` has it.

    Raises:
        UsageError: no module, one that does more than such a layer, a layer that is quantised, has
            ``proj_size`` or hooks, or would drop values by chance.
    """
    if _MODULE not in _ancestors(module):
        raise UsageError(
            f"a model is loaded from a file's name or a torch.nn.Module, not from "
            f"{type(module).__name__}; one of Keras by model.save('model.keras')"
        )
    whole = type(module).__name__
    found = {path: layer for path, layer in module.named_modules() if _class_of(layer)}
    chosen = match_prefix(found, prefix) if prefix else [path for path in found if not path]
    if not found:
        raise UsageError(f"{whole} has no nn.LSTM or nn.GRU in it; give a module that has")
    if not chosen and not prefix:
        raise UsageError(
            f"{whole} is more than its {some(found)}; choose a layer by prefix, or export the "
            f"whole: {EXPORT}"
        )
    if len(chosen) != 1:
        raise UsageError(
            f"the prefix {prefix} fits {len(chosen)} layers of {whole}; it has {some(found)}"
        )
    return _read(found[chosen[0]], chosen[0] or whole)


def _ancestors(value: object) -> list[str]:
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__]


def _class_of(module: object) -> str:
    """Return the torch class that makes a module a recurrent layer, or nothing."""
    for name in _ancestors(module):
        if name.startswith("torch.") and name.rpartition(".")[2] in _RECURRENT:
            return name
    return ""


def _read(layer: Any, name: str) -> Model:
    """Read one layer, which errors call by ``name``."""
    which = _class_of(layer)
    if which not in _TAKEN:
        quantised = "quantiz" in which
        remedy = "the float module, quantisation comes after" if quantised else "an LSTM or a GRU"
        raise UsageError(f"{name} is a {which}, which is not supported; give {remedy}")
    told: dict[str, Any] = {option: getattr(layer, option, None) for option in OPTIONS}
    own: Any = next(
        cls for cls in type(layer).__mro__ if f"{cls.__module__}.{cls.__qualname__}" == which
    )
    hooks = list(layer._forward_pre_hooks.values())
    for wrong, what, remedy in (
        (
            set(layer.__constants__) - OPTIONS,
            f"options {some(sorted(set(layer.__constants__) - OPTIONS))}",
            "use a torch that does not have them",
        ),
        (
            type(layer).forward is not own.forward or "forward" in vars(layer),
            "a forward of its own",
            f"give the nn.{own.__name__} itself",
        ),
        (
            layer._forward_hooks or not _REWEIGHTING.issuperset(_ancestors(h)[0] for h in hooks),
            "forward hooks, which may change what it computes",
            "remove them",
        ),
        (
            layer.training and told["dropout"] and told["num_layers"] > 1,
            f"dropout={told['dropout']} in training mode",
            "call its eval() first",
        ),
    ):
        if wrong:
            raise UsageError(f"{name} has {what}; {remedy}")
    with refusing(f"the weight norm of {name} cannot be computed", "remove it"):
        for hook in hooks:  # the weight that is there may be of before the last change
            hook(layer, ())
    kinds = ["weight_ih", "weight_hh"]
    kinds += ["bias_ih", "bias_hh"] if told["bias"] else []
    kinds += ["weight_hr"] if told["proj_size"] else []
    places = [""]
    if told["num_layers"]:  # a cell has none
        sides = ("", "_reverse") if told["bidirectional"] else ("",)
        places = [f"_l{index}{side}" for index in range(told["num_layers"]) for side in sides]
    names = [kind + place for place in places for kind in kinds]
    model = from_torch_names({n: partial(_array, layer, n) for n in names}, name)
    told["mode"] = told["mode"] or _TAKEN[which].upper()  # a cell has none
    for option, value in (
        ("mode", model.kind.upper()),
        ("input_size", model.input_size),
        ("hidden_size", model.layers[0].hidden_size),
    ):
        if told[option] != value:
            raise UsageError(
                f"{name} has {option}={told[option]}, but its weights are of {value}; make it anew"
            )
    return model


def _array(layer: Any, name: str) -> np.ndarray:
    with refusing(f"{name} of the module cannot be read", "save its float weights"):
        value = getattr(layer, name).detach()
        if not value.is_floating_point():
            raise ValueError(f"it is {value.dtype}, not float")
        return np.asarray(value.cpu().double().numpy())
