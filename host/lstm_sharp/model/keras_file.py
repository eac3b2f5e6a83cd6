"""Makes a model of the LSTM and GRU layers of a Keras file; Keras itself is not needed.

A file is a config and weights: ``config.json`` and ``model.weights.h5`` in the zip archive that a
``.keras`` is, an attribute and groups of arrays in a ``.h5``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.errors import UsageError
from lstm_sharp.files import refusing
from lstm_sharp.model.common import gru_layer, some
from lstm_sharp.model.hdf5 import Hdf5, read_hdf5
from lstm_sharp.model.host_graph import Head, Maker
from lstm_sharp.model.keras_config import EXPORT, PASSIVE, Entry, Layers, choose, read_layers
from lstm_sharp.model.keras_head import Tail
from lstm_sharp.model.model import NOTHING_AFTER, Layer, Model, level_width

Weights = Callable[[Entry], list[list[np.ndarray]]]
"""Gives the arrays of a layer, of any float type, those of each of its cells apart."""
_KINDS = ("kernel", "recurrent_kernel", "bias")
_CONFIG, _WEIGHTS, _ATTRIBUTE = "config.json", "model.weights.h5", "model_config"
_BYTES = 4 << 20
"""Of a config; one of 1,000 layers has 1 MB."""
_STEPS = 2
"""On which a head is tried, where the file does not say how many there are."""
_SAVE = "save the whole model: model.save('model.keras')"


def load_keras(file: Path, prefix: str = "") -> Model:
    """Read the LSTM or GRU layers that a Keras model begins with, or those that are named.

    Args:
        file: a ``.keras``, or a ``.h5`` of a whole model.
        prefix: beginning of the names of the wanted layers.

    Returns:
        A level for each layer, bottom first. Its head gives what the model gives or, of layers that
        are named, what the last of them does.

    Raises:
        ToolError: h5py is not installed.
        UsageError: a damaged file, no such layer, layers that are no one stack or are not fed by
            the model's input, or an option that the accelerator would not compute as Keras does.
    """
    what = file.name
    with refusing(f"{what} is not as Keras writes it", "save it again"):
        config, held = (_open_keras if file.suffix.lower() == ".keras" else _open_h5)(file)
        layers = read_layers(config, what)
        stack = choose(layers, prefix, what)
        weights = _weights_of(held, layers.entries)
        outputs = _levels(stack, weights, what)
        cells = tuple(cell for output in outputs for cell in output.cells)
        directions = tuple(len(output.cells) for output in outputs)
        if prefix:
            head, no_head = _own(outputs[-1], stack[-1], what)
            return Model(cells, file.stem, head, directions, no_head=no_head)
        sizes = _sizes(layers.first, cells[0].input_size, what)
        head, no_head = _head(outputs[-1], stack[-1], layers, weights, sizes[1], what)
        return Model(cells, file.stem, head, directions, sizes, no_head=no_head)


def _open_keras(file: Path) -> tuple[Any, Hdf5]:
    members = arrays.read_members(file, _CONFIG, _WEIGHTS)
    for name in (_CONFIG, _WEIGHTS):
        if name not in members:
            raise UsageError(f"{file.name} has no {name}; {_SAVE}")
    config = files.parse_json(members[_CONFIG], f"{file.name}: {_CONFIG}", _BYTES)
    return config, read_hdf5(members[_WEIGHTS], f"{file.name}: {_WEIGHTS}")


def _open_h5(file: Path) -> tuple[Any, Hdf5]:
    held = read_hdf5(files.read_bytes(file), file.name)
    texts = held.texts.get("", {})
    if _ATTRIBUTE not in texts:
        raise UsageError(f"{file.name} has no {_ATTRIBUTE}: its weights are of nothing; {_SAVE}")
    text = "".join(texts[_ATTRIBUTE])
    return files.parse_json(text.encode(), f"{file.name}: {_ATTRIBUTE}", _BYTES), held


def _weights_of(held: Hdf5, entries: Sequence[Entry]) -> Weights:
    """Return what finds the arrays of each layer of a file."""
    groups, used = {}, Counter[str]()
    for entry in entries:  # in a .keras they are called as their classes, and counted
        name = re.sub("(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", entry.kind).lower()
        groups[entry.name] = f"layers/{name}_{used[name]}".removesuffix("_0")
        used[name] += 1

    def paths(entry: Entry) -> list[list[str]]:
        parts = list(entry.sides) or ["/layer" if entry.kind == "TimeDistributed" else ""]
        listed = held.texts.get(f"model_weights/{entry.name}", {}).get("weight_names")
        if listed is None:
            group = groups[entry.name]
            named = held.texts.get(f"{group}/vars", {}).get("name", [entry.name])
            if named != [entry.name]:
                raise ValueError(f"{group} has the weights of {named}, not {entry.name}")
            each = (map(f"{group}{part}/vars/{{}}".format, count()) for part in parts)
            return [list(takewhile(held.arrays.__contains__, names)) for names in each]
        last = {name: name.rpartition("/")[2].partition(":")[0] for name in listed}
        cut: list[list[str]] = []
        for name in listed:
            if last[name] == _KINDS[0] or not cut:  # with it the weights of a cell begin
                cut.append([])
            if last[name] in _KINDS or not entry.sides:  # not the state of a generator
                cut[-1].append(name)
        kinds = [tuple(last[name] for name in names) for names in cut]
        if max(1, len(cut)) != len(parts) or (entry.sides and not {*kinds} <= {_KINDS, _KINDS[:2]}):
            raise ValueError(f"{entry.name} has the weights {', '.join(listed)}")
        return [[f"model_weights/{entry.name}/{name}" for name in names] for names in cut or [[]]]

    return lambda entry: [[held.arrays[path]() for path in each] for each in paths(entry)]


class _Output(NamedTuple):
    """What a layer gives, by what its cells do."""

    cells: tuple[Layer, ...]
    merge: str | None
    """What becomes of two cells' h: one of ``_MERGES``, or both are given."""
    all_steps: bool
    turned: bool
    """Whether the last step comes first."""

    def of(self, made: Maker) -> str:
        """Write what computes it from h (batch, time, width) of the cells, side by side."""
        sides = made.cells(len(self.cells), level_width(self.cells))
        if not self.all_steps:  # the last that the cell has taken
            sides = [made.step(h, 0 if c.reverse else -1) for h, c in zip(sides, self.cells)]
        elif self.turned:
            back = (np.array([at]) for at in (-1, -(1 << 31), 1, -1))
            sides = [made.add("Slice", h, *back) for h in sides]
        return _MERGES[self.merge](made, *sides)

    def rows(self, kernel: np.ndarray) -> np.ndarray:
        """Return the rows of the layer above that h of the cells, side by side, meets."""
        twice = {"sum": 1.0, "ave": 0.5}.get(self.merge or "")
        return np.concatenate([kernel.astype(np.float64) * twice] * 2) if twice else kernel


_HALF = np.array(0.5, np.float32)
_MERGES: dict[str | None, Callable[..., str]] = {
    "concat": lambda made, *sides: made.add("Concat", *sides, axis=-1),
    "sum": lambda made, *sides: made.add("Add", *sides),
    "ave": lambda made, *sides: made.add("Mul", made.add("Add", *sides), _HALF),
    "mul": lambda made, *sides: made.add("Mul", *sides),
}


def _levels(stack: Sequence[Entry], weights: Weights, what: str) -> list[_Output]:
    """Make the cells of each layer of a stack, bottom first."""
    outputs: list[_Output] = []
    for entry in stack:
        where = f"{what}: {entry.kind} {entry.name}"
        for part in (entry, *entry.sides.values()):
            part.check(what)
        below = outputs[-1] if outputs else _Output((), "concat", True, False)
        if not below.all_steps or below.merge not in ("concat", "sum", "ave"):
            raise UsageError(
                f"{where} is fed by a layer with return_sequences={below.all_steps} and merge_mode="
                f"{below.merge}, which is not supported; choose one layer by prefix, or {EXPORT}"
            )
        turned = [below.turned ^ side.flag("go_backwards") for side in entry.sides.values()]
        if len(turned) == 2 and turned[0]:
            raise UsageError(
                f"{where} begins with the last step, for go_backwards is true below it or in its "
                f"first layer, which is not supported; choose one layer by prefix, or {EXPORT}"
            )
        cells = tuple(
            _cell(side, own, below, reverse, where)
            for side, own, reverse in zip(entry.sides.values(), weights(entry), turned)
        )
        merge = entry.config.get("merge_mode", "concat")
        if merge not in (*_MERGES, None):
            raise ValueError(f"merge_mode is {merge!r:.40}")
        steps = {side.flag("return_sequences") for side in entry.sides.values()}
        outputs.append(_Output(cells, merge, steps == {True}, turned[0]))
    return outputs


def _sizes(first: Entry, inputs: int, what: str) -> tuple[int, int]:
    """Return the batch and time that the input of a model has, 0 where that is free."""
    if first.kind == "InputLayer":
        first.check(what)
    shape = first.config.get("batch_shape", first.config.get("batch_input_shape"))
    batch, time, width = shape or (None, None, inputs)
    if width not in (None, inputs):
        raise ValueError(f"its input has {width} features, its first weights take {inputs}")
    return batch or 0, time or 0


def _own(top: _Output, last: Entry, what: str) -> tuple[Head | None, str]:
    """Return what leads from h to a layer's own output, or why nothing does."""
    if top.merge is None:
        return None, f"gives two outputs of {last.name}, which lie side by side in h"
    if top.merge == "concat" and top.all_steps and not top.turned:
        return None, NOTHING_AFTER
    made = Maker()
    return Head(what, (made.graph(top.of(made)),)), ""


def _head(
    top: _Output, last: Entry, layers: Layers, weights: Weights, time: int, what: str
) -> tuple[Head | None, str]:
    """Return what leads from h of the last recurrent layer to the model's output, or why not."""
    tail = layers.path[layers.path.index(last) + 1 :]
    acting = [entry for entry in tail if entry.kind not in PASSIVE]
    if layers.outputs != [(layers.path[-1].name, 0, 0)]:
        return None, f"has more than one path from {last.name} to outputs; {EXPORT}"
    if not acting or top.merge is None:
        return _own(top, last, what)
    made = Maker()
    after = Tail(made, top.of(made), 3 if top.all_steps else 2)
    held = [(entry, weights(entry)[0]) for entry in acting]
    try:
        for entry, own in held:
            after.add(entry, own)
        head = Head(what, (made.graph(after.x),))
        head(np.zeros((1, time or _STEPS, level_width(top.cells)), np.float32))
    except (ValueError, UsageError) as error:
        return None, f"{error}; {EXPORT}"
    return head, ""


def _cell(
    side: Entry, own: Sequence[np.ndarray], below: _Output, reverse: bool, where: str
) -> Layer:
    """Make a cell of kernel (X, GH), recurrent_kernel (H, GH) and, if it has one, bias."""
    gates, units = {"LSTM": 4, "GRU": 3}[side.kind], side.config["units"]
    has, columns = [value.shape for value in own], gates * units
    biases = {"LSTM": (columns,), "GRU": (2, columns)}
    more = [(units, columns), *[biases[side.kind]] * side.flag("use_bias", True)]
    if has[1:] != more or len(has[0]) != 2 or has[0][1] != columns:
        raise UsageError(
            f"{where} has weights of shapes {some(has) or 'none'}; {units} units take (X, "
            f"{columns}), {some(more)}"
        )
    kernel, recurrent = below.rows(own[0]), own[1]
    bias = own[2].astype(np.float64) if len(own) > 2 else np.zeros(biases[side.kind])
    try:
        if side.kind == "LSTM":  # gates i, f, g, o
            return Layer(kernel.T, recurrent.T, bias, reverse)
        order = np.arange(columns).reshape(3, units)[[1, 0, 2]].ravel()  # z, r, n to r, z, n
        b_ih, b_hh = bias[:, order]
        return gru_layer(kernel.T[order], recurrent.T[order], b_ih, b_hh, reverse)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
