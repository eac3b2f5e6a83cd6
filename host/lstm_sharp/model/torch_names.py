"""Makes a model from tensors named as by ``torch.nn.LSTM``, ``nn.GRU`` or a cell of these."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from lstm_sharp.arrays import Tensors
from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import as_float, gru_layer, is_float, match_prefix, some
from lstm_sharp.model.host_graph import Head, Maker
from lstm_sharp.model.model import WEIGHTS_ALONE, Layer, Model

_NAME = re.compile(
    r"(?P<prefix>(?:.*[./])?)(?P<kind>weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)"
    r"(?P<place>_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)

EXPORT = "torch.onnx.export(model.eval(), (x,), 'model.onnx')"
_REPARAMETRIZED = re.compile(r"weight_[ih]h(_l\d+(_reverse)?)?(_g|_v|_orig|\.original[01]?)")
"""What weight norm and spectral norm leave instead of a weight."""


def from_torch_names(tensors: Tensors, name: str = "model", prefix: str = "") -> Model:
    """Build the stack of ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0``, ``bias_hh_l0``, ...

    Names that end in ``_reverse`` make every layer bidirectional; without ``_l0`` they are of a
    single cell. An absent bias is zero. What else a file holds is the head, computed at each step,
    if it is one Linear that takes h; of anything else names do not tell what becomes of h.

    Args:
        tensors: by name; of an LSTM ``weight_ih_l0`` is (4H, X), ``weight_hh_l0`` (4H, H), biases
            (4H,), of a GRU 3H instead; of any float type.
        name: the model's name.
        prefix: what precedes the names of the wanted layer; may be empty when there is but one.

    Raises:
        UsageError: no LSTM or GRU, several of them, one that lacks a tensor, a plain RNN,
            ``proj_size``, or weights that are no floats.
    """
    found = [match for match in map(_NAME.fullmatch, tensors) if match]
    chosen = _choose(list(dict.fromkeys(match["prefix"] for match in found)), tensors, name, prefix)
    found = [match for match in found if match["prefix"] == chosen]
    for match in found:
        if match["kind"] == "weight_hr":
            raise UsageError(
                f"{name}: {match[0]} stands for proj_size, which projects h before it "
                "goes back; train with proj_size=0"
            )
    own = {match[0].removeprefix(chosen): match[0] for match in found}
    levels = [[""]]  # how the names of each level's cells end
    if any(match["place"] for match in found):
        sides = ("", "_reverse") if any(match["reverse"] for match in found) else ("",)
        depth = 1 + max(int(match["layer"] or 0) for match in found)
        levels = [[f"_l{index}{side}" for side in sides] for index in range(depth)]
    cells = [_cell(tensors, own, level, place, name) for level in levels for place in level]
    model = Model(tuple(cells), name, directions=tuple(map(len, levels)))
    head, no_head = _head(tensors, own.values(), model)
    return replace(model, head=head, no_head=no_head)


def _head(tensors: Tensors, own: Collection[str], model: Model) -> tuple[Head | None, str]:
    """Return what a Linear beside the recurrent layers makes of h, or why there is no head."""
    rest = sorted(tensors.keys() - {*own})
    if not rest:
        return None, WEIGHTS_ALONE
    found: dict[str, np.ndarray] = {}
    with suppress(UsageError):  # one of another type does no harm
        found = {name.rpartition(".")[2]: tensors[name]() for name in rest[:2]}
    weight, bias = found.get("weight"), found.get("bias")
    if (
        weight is not None
        and len(rest) == len(found) == 1 + (bias is not None)
        and len({name.rpartition(".")[0] for name in rest}) == 1
        and (weight.ndim, weight.shape[-1:]) == (2, (model.hidden_size,))
        and (bias is not None or model.hidden_size != model.input_size)  # it may be an Embedding's
        and (bias is None or bias.shape == weight.shape[:1])
        and all(is_float(value.dtype) for value in found.values())
    ):
        what = f"{rest[-1]} is taken for a Linear on h at each step; --output-of head gives that"
        return linear_head(model.name, weight, bias, f"{model.name}: {what}"), ""
    what = f"holds {some(rest)} too, and no word of what they do to x or h"
    return None, f"{what}; export it whole: {EXPORT}"


def linear_head(name: str, weight: np.ndarray, bias: np.ndarray | None, note: str = "") -> Head:
    """Make a head of a Linear on h at each step, weight (outputs, hidden) and bias (outputs,)."""
    made = Maker()
    y = made.add("MatMul", "h", np.ascontiguousarray(weight.T, np.float32))
    y = y if bias is None else made.add("Add", y, bias.astype(np.float32))
    return Head(name, (made.graph(y),), note=note)


def _choose(found: list[str], tensors: Tensors, name: str, prefix: str) -> str:
    """Return the one prefix that is meant."""
    if not found:
        raise UsageError(
            f"{name} has no tensor named like weight_ih_l0; its {len(tensors)} tensors are "
            f"{some(tensors) or 'none'}; "
            f"{_remedy(tensors, 'save the state_dict of a torch.nn.LSTM or GRU')}"
        )
    chosen = match_prefix(found, prefix) if prefix else found
    if len(chosen) == 1:
        return chosen[0]
    listed = some(item or "." for item in chosen or found)
    if not chosen:
        raise UsageError(f"{name} has no LSTM or GRU under the prefix {prefix}; it has {listed}")
    raise UsageError(f"{name} holds {len(chosen)} recurrent layers; choose one by prefix: {listed}")


def _remedy(tensors: Tensors, usual: str) -> str:
    """Return what to do about missing weights."""
    if any(map(_REPARAMETRIZED.search, tensors)):
        return (
            "undo the weight norm before you save: torch.nn.utils.remove_weight_norm, or "
            "parametrize.remove_parametrizations"
        )
    return usual


def _cell(
    tensors: Tensors, own: Mapping[str, str], level: Sequence[str], place: str, name: str
) -> Layer:
    """Read and check one cell.

    Args:
        tensors: of the file.
        own: names of the chosen LSTM, without their prefix, to those in the file.
        level: how the names of the level's cells end: ``_l0``, ``_l0_reverse``, or nothing.
        place: that of this cell.
        name: the model's.
    """

    def read(kind: str, *shape: int) -> np.ndarray:
        if kind + place not in own:
            raise UsageError(
                f"{name} lacks {kind}{place} but has {some(sorted(own))}; "
                f"{_remedy(tensors, 'save the whole state_dict')}"
            )
        value = as_float(tensors[own[kind + place]](), f"{name}: {own[kind + place]}")
        if value.shape != shape if shape else value.ndim != 2:
            raise UsageError(
                f"{name}: {kind}{place} has shape {value.shape}; weight_ih is (4H, X), weight_hh "
                f"(4H, H), and a bias {shape or '(4H,)'}; of a GRU 3H"
            )
        return value

    w_ih, w_hh = read("weight_ih"), read("weight_hh")
    rows, hidden = w_hh.shape
    if rows == hidden:
        raise UsageError(
            f"{name}: weight_hh{place} has {rows} rows for {hidden} units, so it is of a plain "
            "RNN; train an LSTM or a GRU"
        )
    # A bias that one direction has may not be missing in the other.
    b_ih, b_hh = (
        read(kind, rows) if any(kind + each in own for each in level) else np.zeros(rows)
        for kind in ("bias_ih", "bias_hh")
    )
    reverse = place.endswith("_reverse")
    try:
        if rows == 3 * hidden:
            return gru_layer(w_ih, w_hh, b_ih, b_hh, reverse)
        return Layer(w_ih, w_hh, b_ih + b_hh, reverse)
    except UsageError as error:
        told = place.replace("_l", "layer ").replace("_", " ") or "the cell"
        raise UsageError(f"{name}, {told}: {error}") from error
