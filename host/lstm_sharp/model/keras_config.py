"""The layers of a Keras model as its config describes them: what feeds them, their options.

Every key and every option is known: honoured, harmless, or refused by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple

from lstm_sharp.errors import UsageError
from lstm_sharp.model.common import match_prefix, some

CELLS = ("LSTM", "GRU")
PASSIVE = {
    *("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
    "ActivityRegularization",
}
"""Layers that do nothing but in training."""
EXPORT = "export it whole, after a call: model(x); model.export('model.onnx', format='onnx')"


class Only(NamedTuple):
    """An option that is taken with one value alone."""

    value: Any
    absent: Any
    """What it means that it is not there."""
    remedy: str


HONOURED, HARMLESS = "honoured", "harmless"
_LAYER: dict[str, str | Only] = {
    **dict.fromkeys(("name", "dtype", "batch_input_shape", "batch_shape"), HONOURED),
    **dict.fromkeys(("trainable", "activity_regularizer"), HARMLESS),
}
_CELL: dict[str, str | Only] = {
    **_LAYER,
    **dict.fromkeys(("units", "use_bias", "return_sequences", "go_backwards"), HONOURED),
    "return_state": HONOURED,  # only h may be read
    "activation": Only("tanh", None, "train with activation='tanh'"),
    "recurrent_activation": Only("sigmoid", None, "train with recurrent_activation='sigmoid'"),
    "time_major": Only(False, False, "save it with time_major=False"),
    "stateful": Only(False, False, "save it with stateful=False and take a stateful Session"),
    **{
        f"{weight}_{what}": HARMLESS
        for weight in ("kernel", "recurrent", "bias")
        for what in ("initializer", "regularizer", "constraint")
    },
    **dict.fromkeys(("dropout", "recurrent_dropout", "seed"), HARMLESS),  # act in training alone
    **dict.fromkeys(("implementation", "unroll"), HARMLESS),  # say how it is computed
    "zero_output_for_mask": HARMLESS,  # no layer that makes a mask is taken
}
OPTIONS: dict[str, dict[str, str | Only]] = {
    "LSTM": {**_CELL, "unit_forget_bias": HARMLESS},
    "GRU": {
        **_CELL,
        "reset_after": Only(True, None, "train with reset_after=True: r multiplies a product"),
    },
    "Bidirectional": {
        **_LAYER,
        **dict.fromkeys(("merge_mode", "layer", "backward_layer"), HONOURED),
    },
    "InputLayer": {
        **_LAYER,
        "sparse": Only(False, False, "give it dense inputs"),
        "ragged": Only(False, False, "give it dense inputs"),
        "optional": HARMLESS,
    },
}
"""Of each class that is read, all that its config may have."""
_FLOATS = {"float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"}
_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "Policy")
_ENTRY = {
    *("class_name", "config", "name", "module", "registered_name", "inbound_nodes"),
    *("build_config", "compile_config", "shared_object_id", "keras_version", "backend"),
}
_HOMES = ("keras", "tf_keras")
_MODEL = {
    *("name", "trainable", "dtype", "layers", "build_input_shape", "input_layers", "output_layers"),
}

Tensor = tuple[str, int, int]
"""A layer's name, which of its calls, and which of its outputs."""


@dataclass(frozen=True)
class Entry:
    """A layer as the file describes it."""

    kind: str
    config: Mapping[str, Any]
    feeds: tuple[Any, ...] = ()
    """What it is called on: tensors, and other arguments as they are."""

    @property
    def name(self) -> str:
        """Its name, which no other layer of the model has."""
        return str(self.config["name"])

    @property
    def sides(self) -> dict[str, Entry]:
        """The LSTM or GRU layers it is made of, forward first, by where their weights lie in it."""
        if self.kind in CELLS:
            return {"/cell": self}
        if self.kind != "Bidirectional":
            return {}
        ahead, told = read_entry(self.config["layer"]), self.config.get("backward_layer")
        turned = {**ahead.config, "go_backwards": not ahead.flag("go_backwards")}
        back = read_entry(told) if told else Entry(ahead.kind, turned)
        both = {"/forward_layer/cell": ahead, "/backward_layer/cell": back}
        return both if {ahead.kind, back.kind} <= {*CELLS} else {}

    def flag(self, option: str, absent: bool = False) -> bool:
        """Return an option that is true or false."""
        value = self.config.get(option, absent)
        if not isinstance(value, bool):
            raise ValueError(f"{option} of {self.name} is {value!r:.40}")
        return value

    def check(self, what: str) -> None:
        """Refuse by name the options that are not taken, in a file called ``what``."""
        known, where = OPTIONS[self.kind], f"{what}: {self.kind} {self.name}"
        unknown = sorted(self.config.keys() - known)
        if unknown:
            raise UsageError(f"{where} has options that are not known: {some(unknown)}; {EXPORT}")
        for option, rule in known.items():
            if isinstance(rule, Only):
                value = self.config.get(option, rule.absent)
                if type(value) is not type(rule.value) or value != rule.value:
                    raise UsageError(
                        f"{where} has {option}={value!r:.40}, which is not supported; {rule.remedy}"
                    )
        policy = self.config.get("dtype", "float32")
        if isinstance(policy, dict) and policy.get("class_name") in _POLICIES:
            policy = policy["config"]["name"]
        if policy is not None and (not isinstance(policy, str) or policy not in _FLOATS):
            raise UsageError(f"{where} has dtype={policy!r:.80}; save it as float32")


class Layers(NamedTuple):
    """The layers of a model."""

    entries: list[Entry]
    """All but the input of a Sequential, in the order in which the file lists them."""
    path: list[Entry]
    """From the input on: each is called once, on what the one before gives and nothing else."""
    outputs: list[Tensor]
    first: Entry
    """What says how large x is."""


def read_layers(told: Any, what: str) -> Layers:
    """Read the config of a model.

    Raises:
        UsageError: it is of a class of its own, or has keys that are not known.
        Exception: it is not as Keras writes it.
    """
    root = read_entry(told)
    config: Any = root.config
    if isinstance(config, list):  # of a Sequential, long ago
        config = {"layers": config}
    if root.kind not in ("Sequential", "Functional", "Model") or config.keys() - _MODEL:
        odd = some([root.kind, *sorted(config.keys() - _MODEL)])
        raise UsageError(f"{what} is a model of a kind that is not known: {odd}; {EXPORT}")
    entries = [read_entry(layer) for layer in config["layers"]]
    if len({entry.name for entry in entries}) < len(entries):
        raise ValueError("two layers of one name")
    if root.kind == "Sequential":
        path = [entry for entry in entries if entry.kind != "InputLayer"]
        fed = [entries[0].name, *(entry.name for entry in path)]
        path = [Entry(e.kind, e.config, ((name, 0, 0),)) for e, name in zip(path, fed)]
        return Layers(path, path, [(path[-1].name, 0, 0)], entries[0])
    readers = defaultdict(list)
    for entry in entries:
        for name in {feed[0] for feed in entry.feeds if isinstance(feed, tuple)}:
            readers[name].append(entry)
    inputs, path = _ends(config["input_layers"]), []
    at = inputs[0]
    for _ in entries:
        found = readers[at[0]]
        if len(inputs) > 1 or len(found) != 1 or found[0].feeds != (at,):
            break
        path += found
        at = (found[0].name, 0, 0)
    first = next(entry for entry in entries if entry.name == inputs[0][0])
    return Layers(entries, path, _ends(config["output_layers"]), first)


def choose(layers: Layers, prefix: str, what: str) -> list[Entry]:
    """Return the recurrent layers that are wanted, bottom first.

    Args:
        layers: of the model.
        prefix: the beginning of their names; empty for all, which are to be one stack that begins
            at the input.
        what: how an error calls the file.

    Raises:
        UsageError: there are none, or they are no such stack.
    """
    every = [entry for entry in layers.entries if entry.sides]
    if not every:
        kinds = some(entry.kind for entry in layers.entries)
        raise UsageError(f"{what} has no LSTM or GRU layer; its layers are {kinds}")
    names = [entry.name for entry in every]
    chosen = {*match_prefix(names, prefix)}
    if not chosen:
        raise UsageError(
            f"{what} has no LSTM or GRU under the prefix {prefix}; it has {some(names)}"
        )
    path = layers.path
    if prefix:
        single = [entry for entry in every if entry.name in chosen][:1]
        place = [entry.name in chosen for entry in path]
        path = single if len(chosen) == 1 else path[place.index(True) if True in place else 0 :]
    stack = [
        entry
        for entry in takewhile(lambda e: e.kind in PASSIVE or e.sides, path)
        if entry.name in chosen
    ]
    missed = chosen - {entry.name for entry in stack}
    left = [entry for entry in every if entry.name in missed]
    if left:
        feeds = some(f[0] if isinstance(f, tuple) else f for f in left[0].feeds)
        raise UsageError(
            f"{what}: {left[0].name} is called on {feeds}, not on the one input or an LSTM or GRU "
            f"alone that feeds nothing else; choose by prefix {some(names)}, or {EXPORT}"
        )
    if len({side.kind for entry in stack for side in entry.sides.values()}) > 1:
        raise UsageError(
            f"{what} is a stack of LSTM and GRU layers, which no engine runs in one; choose those "
            f"of one kind by prefix: {some(names)}"
        )
    return stack


def read_entry(told: Any) -> Entry:
    """Read a layer, or a model.

    Raises:
        UsageError: its class is not one of Keras's own, or it has keys that are not known.
        Exception: it is not as Keras writes it.
    """
    kind, home, registered = (told.get(k) for k in ("class_name", "module", "registered_name"))
    if {*told} - _ENTRY:
        raise UsageError(f"{kind} has keys that are not known: {some({*told} - _ENTRY)}; {EXPORT}")
    if registered not in (None, kind) or str(home or "keras").split(".")[0] not in _HOMES:
        raise UsageError(f"{registered or kind} of {home} is no layer of Keras itself; {EXPORT}")
    feeds = [feed for node in told.get("inbound_nodes", []) for feed in _feeds(node)]
    return Entry(str(kind), told["config"], tuple(feeds))


def _feeds(value: Any) -> Iterator[Any]:
    """Yield the tensors and other arguments of a call, as Keras 3 or Keras 2 writes them."""
    if isinstance(value, list) and value and isinstance(value[0], str):  # Keras 2
        yield tuple(value[:3])
        yield from _feeds(list(value[3].values()) if value[3:] else [])
    elif isinstance(value, list):
        for inner in value:
            yield from _feeds(inner)
    elif isinstance(value, dict) and "keras_history" in value.get("config", {}):
        yield tuple(value["config"]["keras_history"])
    elif isinstance(value, dict) and value.keys() == {"args", "kwargs"}:
        yield from _feeds([value["args"], *value["kwargs"].values()])
    elif value is not None and value is not False:  # no mask, not training
        yield value


def _ends(value: Any) -> list[Tensor]:
    """Return the tensors that a model begins or ends with: one, or a list or dictionary of them."""
    values = list(value.values()) if isinstance(value, dict) else value
    return [tuple(end) for end in ([values] if isinstance(values[0], str) else values)]
