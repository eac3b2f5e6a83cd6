"""Choosing config and format for a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.deploy import check_levels, plans


def choose(
    models: Model | QuantModel | Sequence[Model],
    named: str | Config | None,
    fmt: str | None,
    required: bool,
    steps: int = 1,
    engine: str = "sv",
) -> Config | None:
    """Return the named config, or the smallest of a format that holds the model, or each of them.

    Whole before level by level: a larger config without reloads is taken before a smaller one.

    Args:
        models: the float model, or the integer model, whose scales count, too; or several, which
            take turns.
        named: a config, a shipped config's name or the path of a config file; None to choose.
        fmt: a number format that replaces the config's own; None to keep it, or for the default.
        required: whether it is an error that no shipped config holds the model.
        steps: time steps that it should hold in one call.
        engine: which the config is for.

    Raises:
        UsageError: nothing holds the model, or the named config does not even level by level.
    """
    every = (models,) if isinstance(models, Model | QuantModel) else models
    if named is not None:
        cfg = named if isinstance(named, Config) else config.load(named)
        cfg = cfg.with_format(fmt).of(engine)
        for model in every:
            with suggesting(model, cfg):
                check_levels(model, cfg)
        return cfg
    by_levels: Config | None = None
    reason: UsageError | None = None
    for own in config.for_format(fmt):
        cfg = own.with_format(fmt).of(engine)
        try:
            if all(len(plans(model, cfg, steps=steps)) == 1 for model in every):
                return cfg
        except UsageError as error:
            reason = error
        else:
            by_levels = by_levels or cfg
    if required and by_levels is None:
        names = ", ".join(model.name for model in every)
        raise UsageError(f"no shipped config holds {names}: {reason}")
    return by_levels


@contextmanager
def suggesting(model: Model | QuantModel, cfg: Config) -> Iterator[None]:
    """Add to why ``cfg`` does not hold a model which shipped config would, at the same format."""
    try:
        yield
    except UsageError as reason:
        found = []
        for own in config.for_format(cfg.format):
            with suppress(UsageError):
                check_levels(model, own.with_format(cfg.format))
                found.append(own.name)
        would = f"{found[0]} would hold it" if found else "no shipped config holds it"
        raise UsageError(f"{reason}; at {cfg.format} {would}") from None
