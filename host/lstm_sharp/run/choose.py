"""Choosing config and format for a model."""

from __future__ import annotations

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.layer import LayerShape
from lstm_sharp.engine.schedule import check_fit, check_steps
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model

DEFAULT_FORMAT = "W8A16"
"""Number format where neither a config nor the user says otherwise."""


def float_shapes(model: Model) -> list[LayerShape]:
    """Shapes of a float model's layers; scales are not known before quantisation."""
    return [LayerShape(layer.input_size, layer.hidden_size) for layer in model.layers]


def choose(
    model: Model, named: str | Config | None, fmt: str | None, required: bool, steps: int = 1
) -> Config | None:
    """Return the named config, or the smallest shipped one that holds the model.

    Args:
        model: the float model.
        named: a config, a shipped config's name or the path of a config file; None to choose.
        fmt: a number format that replaces the config's own; None to keep it.
        required: whether it is an error that no shipped config holds the model.
        steps: time steps that it should hold in one call.

    Raises:
        UsageError: nothing holds the model, or the named config does not.
    """
    if named is not None:
        cfg = (named if isinstance(named, Config) else config.load(named)).with_format(fmt)
        check_fit(float_shapes(model), cfg)
        return cfg
    reason: UsageError | None = None
    for candidate in config.shipped():
        cfg = config.load(candidate).with_format(fmt)
        try:
            check_fit(float_shapes(model), cfg)
            check_steps(float_shapes(model), cfg, steps)
        except UsageError as error:
            reason = error
        else:
            return cfg
    if required:
        raise UsageError(f"no shipped config holds {model.name}: {reason}")
    return None
