"""Makes a model from tensors named as by ``torch.nn.LSTM`` or ``torch.nn.LSTMCell``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, match_prefix, some
from lstm_sharp.model.model import Layer, Model

_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?P<place>_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)

_REPARAMETRIZED = re.compile(r"weight_[ih]h(_l\d+(_reverse)?)?(_g|_v|_orig|\.original[01]?)")
"""What weight norm and spectral norm leave instead of a weight."""


def from_torch_names(
    tensors: Mapping[str, np.ndarray], name: str = "model", prefix: str = ""
) -> Model:
    """Builds the stack of ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ...

    Names that end in ``_reverse`` make every layer bidirectional; without ``_l0`` they are of a
    single cell. Both biases are summed and an
    absent one is zero. Other tensors, as of a linear head, are
    left unread: the accelerator's output is the last layer's h.

    Args:
        tensors: by name; ``weight_ih_l0`` is (4H, X), ``weight_hh_l0`` (4H, H), biases (4H,), of
            any float type.
        name: the model's name.
        prefix: what precedes the names of the wanted LSTM; may be empty when there is but one.

    Raises:
        UsageError: no LSTM, several of them, one that lacks a tensor, a GRU or a plain RNN,
            ``proj_size``, or weights that are no floats.
    """
    found: dict[str, list[re.Match[str]]] = {}
    for tensor in tensors:
        match = _NAME.fullmatch(tensor)
        if match:
            found.setdefault(match["prefix"], []).append(match)
    chosen = found[_choose(list(found), list(tensors), name, prefix)]
    _refuse_projection(chosen, name)
    names = {match[0].removeprefix(match["prefix"]): match[0] for match in chosen}
    if not any(match["place"] for match in chosen):
        return Model((_cell(tensors, names, [""], "", name),), name)
    depth = 1 + max(int(match["layer"] or 0) for match in chosen)
    endings = ("", "_reverse") if any(match["reverse"] for match in chosen) else ("",)
    cells = []
    for index in range(depth):
        places = [f"_l{index}{ending}" for ending in endings]
        cells += [_cell(tensors, names, places, place, name) for place in places]
    return Model(tuple(cells), name, directions=(len(endings),) * depth)


def _choose(found: list[str], tensors: list[str], name: str, prefix: str) -> str:
    """Returns the one prefix that is meant."""
    if not found:
        remedy = _remedy(tensors, "save the state_dict of a torch.nn.LSTM")
        raise UsageError(
            f"{name} has no tensor named like weight_ih_l0; its {len(tensors)} tensors are "
            f"{some(tensors) or 'none'}; {remedy}"
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


def _remedy(tensors: Iterable[str], usual: str) -> str:
    """Returns what to do about missing weights."""
    if any(map(_REPARAMETRIZED.search, tensors)):
        return (
            "undo the weight norm before you save: torch.nn.utils.remove_weight_norm, or "
            "parametrize.remove_parametrizations"
        )
    return usual


def _cell(
    tensors: Mapping[str, np.ndarray],
    names: dict[str, str],
    places: list[str],
    place: str,
    name: str,
) -> Layer:
    """Reads and checks one cell.

    Args:
        tensors: of the file.
        names: of the chosen LSTM, without their prefix, to those in the file.
        places: how the names of the layer's cells end: ``_l0``, ``_l0_reverse``, or nothing.
        place: that of this cell.
        name: the model's.
    """
    told = place.replace("_l", "layer ").replace("_", " ") or "the cell"

    def read(kind: str) -> np.ndarray:
        tensor = names.get(kind + place)
        if tensor is None:
            raise UsageError(
                f"{name} lacks {kind}{place} but has {some(sorted(names.values()))}; "
                f"{_remedy(tensors, 'save the whole state_dict')}"
            )
        return as_float(tensors[tensor], f"{name}: {tensor}")

    w_ih, w_hh = read("weight_ih"), read("weight_hh")
    if w_ih.ndim != 2 or w_hh.ndim != 2:
        raise UsageError(
            f"{name}: weight_ih{place} {w_ih.shape} and weight_hh{place} {w_hh.shape} must "
            "have two dimensions, (4H, X) and (4H, H)"
        )
    rows, hidden = w_hh.shape
    other = {3 * hidden: "a GRU", hidden: "a plain RNN"}.get(rows)
    if other:
        raise UsageError(
            f"{name}: weight_hh{place} has {rows} rows for {hidden} units, so it is of {other}; "
            f"an LSTM has {4 * hidden}"
        )
    bias = np.zeros(rows)
    for kind in ("bias_ih", "bias_hh"):
        # A bias that one direction has may not be missing in the other.
        if names.keys().isdisjoint(kind + each for each in places):
            continue
        value = read(kind)
        if value.shape != (rows,):
            raise UsageError(
                f"{name}: a bias of {told} has shape {value.shape}; expected ({rows},)"
            )
        bias = bias + value
    try:
        return Layer(w_ih, w_hh, bias, reverse=place.endswith("_reverse"))
    except UsageError as error:
        raise UsageError(f"{name}, {told}: {error}") from error
