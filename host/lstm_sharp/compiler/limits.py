"""What an engine holds: the limits of a config, and what is refused beyond them."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from lstm_sharp.compiler.layer import LayerShape
from lstm_sharp.compiler.tiling import ANY, TileChoice, Tiling, tilings
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError


def check_fit(
    shapes: Sequence[LayerShape],
    cfg: Config,
    directions: int = 1,
    level: int | None = None,
) -> None:
    """Refuse cells that the engine does not hold together.

    Args:
        shapes: the cells.
        cfg: the engine.
        directions: cells of a level.
        level: which of a stack's levels the cells are, where each is to be held alone.

    Raises:
        UsageError: with what is needed and what there is.
    """
    if directions > 1 and len(shapes) > directions:
        raise UsageError(
            f"{len(shapes)} cells with bidirectional layers among them are not resident together; "
            "run them level by level"
        )
    if directions > cfg.chains:
        raise UsageError(
            f"a bidirectional layer takes {directions} chains, {cfg.name} has {cfg.chains}; "
            "choose a config with more chains"
        )
    if not cfg.gru and any(shape.kind == "gru" for shape in shapes):
        raise UsageError(f"{cfg.name} runs no GRU (its knob gru is 0); choose a config with gru 1")
    whose = "the model" if level is None else f"layer {level} alone"
    for index, shape in enumerate(shapes):
        layer = index if level is None else level
        for what, size, most in (
            ("inputs", shape.input_size, cfg.max_input),
            ("units", shape.hidden_size, cfg.max_hidden),
        ):
            if size > most:
                raise UsageError(
                    f"layer {layer} has {size} {what}, {cfg.name} holds {most}; "
                    "choose a larger config"
                )
        if shape.x_shift > cfg.max_shift:
            raise UsageError(
                f"layer {layer} needs x_shift {shape.x_shift}, {cfg.name} has {cfg.max_shift}; "
                "quantise for this config"
            )
        if not (cfg.row_scales or (shape.even and shape.c_shift == 0)):
            raise UsageError(
                f"layer {layer} has a scale a row or one of c, {cfg.name} has neither "
                "(row_scales 0); quantise for this config"
            )
        if shape.h_drop and not cfg.mixed:
            raise UsageError(
                f"h of layer {layer} has {shape.h_drop} bits fewer than others, {cfg.name} has "
                f"{cfg.format} for all; give it the model's format"
            )
        if cfg.packed > 1 and not shape.symmetric:
            raise UsageError(
                f"layer {layer} has weights of -{cfg.fmt.most_weight + 1}, which {cfg.name} does "
                f"not take (packed {cfg.packed}); quantise for this config"
            )
    for what, need, have in (
        ("tiles of weights", weight_tiles(shapes, cfg), cfg.weight_tiles),
        (
            "bands of bias" if cfg.bands > 1 else "row blocks of bias",
            bias_blocks(shapes, cfg),
            cfg.bias_blocks,
        ),
    ):
        if need > have:
            raise UsageError(
                f"{whose} needs {need} {what}, {cfg.name} holds {have}; choose a larger "
                "config, fewer weight bits or a smaller model"
            )


def weight_tiles(shapes: Sequence[LayerShape], cfg: Config) -> int:
    """Least tiles that the weights of some layers make, of the shapes that the engine has."""
    return sum(min(tiling.tiles for tiling in tilings_of(s, cfg)) for s in shapes)


def tilings_of(shape: LayerShape, cfg: Config, choice: TileChoice = ANY) -> list[Tiling]:
    """List how a cell may be covered with tiles."""
    x, h = (segments(size, cfg) for size in (shape.input_size, shape.hidden_size))
    return tilings(cfg, bands(shape, cfg), x, h, choice)


def bands(shape: LayerShape, cfg: Config) -> int:
    """Bands of a cell's rows."""
    return ceil(shape.hidden_size / cfg.block)


def segments(size: int, cfg: Config) -> int:
    """Segments of a vector."""
    return ceil(size * cfg.bands / cfg.columns)


def bias_blocks(shapes: Sequence[LayerShape], cfg: Config) -> int:
    """Bands that the biases of some layers take: each fills tiles of any shape."""
    return sum(places(s, cfg) for s in shapes)


def places(shape: LayerShape, cfg: Config) -> int:
    """Bands that a cell's sums and biases take, a multiple of those of the largest tile."""
    return cfg.bands * ceil(bands(shape, cfg) / cfg.bands)


def largest_square(cfg: Config) -> int:
    """Return the largest X = H of a layer that the engine holds."""
    for size in range(min(cfg.max_input, cfg.max_hidden), 1, -1):
        try:
            check_fit([LayerShape(size, size)], cfg)
        except UsageError:
            continue
        return size
    return 1


def h_words(shape: LayerShape, cfg: Config) -> int:
    """Words that a cell's h takes, with the neurons that fill its last row block."""
    return ceil(places(shape, cfg) * cfg.block / cfg.columns)


def sequence_stride(shapes: Sequence[LayerShape], cfg: Config, chains: int = 1) -> int:
    """Words that a step of all chains' h takes between stacked layers."""
    words = [h_words(shape, cfg) for shape in shapes]
    return (chains - 1) * max(words) + max(words[:-1]) if len(words) > 1 else 0


def check_lengths(lengths: Sequence[int], cfg: Config, directions: int = 1) -> None:
    """Refuse sequences that do not run side by side.

    Raises:
        UsageError: with how many run, or the length that does not.
    """
    most = cfg.chains // directions
    if not 1 <= len(lengths) <= most:
        raise UsageError(
            f"{len(lengths)} sequences do not run side by side, {cfg.name} takes 1 to {most}; "
            "make more groups"
        )
    if min(lengths) < 1:
        raise UsageError(f"a sequence of {min(lengths)} steps cannot run; give 1 or more")
    if list(lengths) != sorted(lengths, reverse=True):
        raise UsageError(f"lengths {tuple(lengths)} must descend; sort the sequences")


def check_steps(cfg: Config, steps: int, stride: int) -> None:
    """Refuse more steps than the sequence buffer holds, of so many words, between stacked layers.

    Raises:
        UsageError: with the most steps of one call.
    """
    if steps * stride > cfg.sequence_words:
        raise UsageError(
            f"{steps} steps of a stack need {steps * stride} words between its layers, {cfg.name} "
            f"holds {cfg.sequence_words}; run at most {cfg.sequence_words // stride} steps in one "
            "call and carry the state over, or take a larger config"
        )
