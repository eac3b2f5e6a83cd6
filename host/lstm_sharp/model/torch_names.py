"""Makes a model from tensors named as by ``torch.nn.LSTM``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, match_prefix, some
from lstm_sharp.model.model import Layer, Model

_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)
_REPARAMETRIZED = re.compile(
    r"(?:.*[./])?(?:parametrizations[./])?weight_(?:ih|hh)(?:_l\d+(?:_reverse)?)?"
    r"(?:_[gv]|[./]original\d)"
)
"""What weight norm makes of a weight: its length and direction, by either name that torch has."""


def from_torch_names(
    tensors: Mapping[str, np.ndarray], name: str = "model", prefix: str = ""
) -> Model:
    """Builds the stack of ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ...

    Names that end in ``_reverse`` make every layer bidirectional. ``weight_ih``, as of a
    ``torch.nn.LSTMCell``, stands for ``weight_ih_l0``. Both biases are summed and an
    absent one is zero. Other tensors, as of a linear head, are
    left unread: the accelerator's output is the last layer's h.

    Args:
        tensors: by name; ``weight_ih_l0`` is (4H, X), ``weight_hh_l0`` (4H, H), biases (4H,), of
            any float type.
        name: the model's name.
        prefix: what precedes the names of the wanted LSTM; may be empty when there is but one.

    Raises:
        UsageError: no LSTM, several of them, one that lacks a tensor, a GRU or a plain RNN,
            ``proj_size``, weight norm, or weights that are no floats.
    """
    found: dict[str, list[re.Match[str]]] = {}
    for tensor in tensors:
        if _REPARAMETRIZED.fullmatch(tensor):
            raise UsageError(
                f"{name}: {tensor} is part of a weight under weight norm; call remove_weight_norm, "
                "or parametrize.remove_parametrizations, before you save"
            )
        match = _NAME.fullmatch(tensor)
        if match:
            found.setdefault(match["prefix"], []).append(match)
    chosen = found[_choose(list(found), list(tensors), name, prefix)]
    _refuse_projection(chosen, name)
    names = {
        f"{match['kind']}_l{match['layer'] or 0}{match['reverse'] or ''}": match[0]
        for match in chosen
    }
    depth = 1 + max(int(match["layer"] or 0) for match in chosen)
    endings = ("", "_reverse") if any(match["reverse"] for match in chosen) else ("",)
    cells = [
        _cell(tensors, names, index, ending, name) for index in range(depth) for ending in endings
    ]
    return Model(tuple(cells), name, directions=(len(endings),) * depth)


def _choose(found: list[str], tensors: list[str], name: str, prefix: str) -> str:
    """Returns the one prefix that is meant."""
    if not found:
        raise UsageError(
            f"{name} has no tensor named like weight_ih_l0; its {len(tensors)} tensors are "
            f"{some(tensors) or 'none'}; save the state_dict of a torch.nn.LSTM"
        )
    chosen = match_prefix(found, prefix) if prefix else found
    if len(chosen) == 1:
        return chosen[0]
    listed = some(item or "." for item in chosen or found)
    if not chosen:
        raise UsageError(f"{name} has no LSTM under the prefix {prefix}; it has {listed}")
    raise UsageError(f"{name} holds {len(chosen)} LSTMs; choose one by prefix: {listed}")


def _refuse_projection(chosen: list[re.Match[str]], name: str) -> None:
    for match in chosen:
        if match["kind"] == "weight_hr":
            raise UsageError(
                f"{name}: {match[0]} stands for proj_size, which is not supported; "
                "train with proj_size=0"
            )


def _cell(
    tensors: Mapping[str, np.ndarray], names: dict[str, str], index: int, ending: str, name: str
) -> Layer:
    """Reads and checks one cell.

    Args:
        tensors: of the file.
        names: of the chosen LSTM, without their prefix, to those in the file.
        index: the layer.
        ending: ``_reverse`` or nothing.
        name: the model's.
    """
    cell, told = f"_l{index}{ending}", ending.replace("_", " ")

    def read(kind: str) -> np.ndarray:
        tensor = names.get(kind + cell)
        if tensor is None:
            raise UsageError(
                f"{name} lacks {kind}{cell} but has {some(sorted(names.values()))}; "
                "save the whole state_dict"
            )
        return as_float(tensors[tensor], f"{name}: {tensor}")

    w_ih, w_hh = read("weight_ih"), read("weight_hh")
    if w_ih.ndim != 2 or w_hh.ndim != 2:
        raise UsageError(
            f"{name}: weight_ih{cell} {w_ih.shape} and weight_hh{cell} {w_hh.shape} must "
            "have two dimensions, (4H, X) and (4H, H)"
        )
    rows, hidden = w_hh.shape
    other = {3 * hidden: "a GRU", hidden: "a plain RNN"}.get(rows)
    if other:
        raise UsageError(
            f"{name}: weight_hh{cell} has {rows} rows for {hidden} units, so it is of {other}; "
            f"an LSTM has {4 * hidden}"
        )
    bias = np.zeros(rows)
    for kind in ("bias_ih", "bias_hh"):
        # A bias that one direction has may not be missing in the other.
        if names.keys().isdisjoint(f"{kind}_l{index}{end}" for end in ("", "_reverse")):
            continue
        value = read(kind)
        if value.shape != (rows,):
            raise UsageError(
                f"{name}: a bias of layer {index}{told} has shape {value.shape}; expected ({rows},)"
            )
        bias = bias + value
    try:
        return Layer(w_ih, w_hh, bias, reverse=bool(ending))
    except UsageError as error:
        raise UsageError(f"{name}, layer {index}{told}: {error}") from error
