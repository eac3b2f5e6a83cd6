"""Which shipped config holds a model, what that takes and how fast it is; if none, what would.

All figures are modelled: storage.py counts memories, cycles.py cycles, and the clock is the one
that a config aims at.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from lstm_sharp.compiler.launches import Call
from lstm_sharp.compiler.limits import bias_blocks, sequence_stride, weight_tiles
from lstm_sharp.engine import config, storage
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config, board_problems, resized
from lstm_sharp.engine.program import MAX_STEPS
from lstm_sharp.errors import UsageError, check_range, printable
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.model import Model
from lstm_sharp.numerics.formats import USUAL, Format
from lstm_sharp.numerics.quantized import QuantModel
from lstm_sharp.runtime.answers import limit
from lstm_sharp.runtime.deploy import AnyModel, Cells, break_even, plans, predict_plans

MEMORIES = {"bram36": "BRAM36", "uram": "URAM"}
"""Kinds of block memory, and what people call them."""
Runs = Literal["whole", "by levels", "no"]
"""How an engine runs a model: all weights resident, reloaded for each level of a call, not."""

_IN_BLOCK_MEMORY = ("weight_tiles", "bias_blocks", "sequence_words")
"""Knobs that give up block memory when they shrink."""
_SIZES = ("max_input", "max_hidden", *_IN_BLOCK_MEMORY, "uram_columns")
"""Knobs that may differ in a config of one's own; the rest would be another engine."""
_TILES_STEP = 512
"""How finely the room for weights is found: the depth of the shallowest BRAM."""
_MOST_TILES = 65536

_COUNTED = {"lut": "LUT", "dsp": "DSP"}
"""What Yosys has counted of shipped configs beside block memories, and what people call it."""
_WIDTH = 80
_NOTE = """\
Modelled: cycles by the cycle model, at the clock that the config aims at; LUT
and DSP as Yosys counts them, not placed. No board or vendor tool has seen it.
An engine made for this model alone: lstm-sharp explore.
"""


@dataclass(frozen=True)
class Speed:
    """How fast an engine runs one call of sequences of equal length."""

    sequences: int
    schedules: tuple[str, ...]  # of the whole, or of each level
    cycles: int  # without loads
    load_cycles: int  # of all weights and biases: once, or level by level in each call
    break_even_batch: int | None  # sequences that take as long to run as the reloads
    cycles_per_step: float  # of each sequence's steps
    steps_per_second: float  # of all sequences; level by level with the call's reloads
    utilization: float  # ideal / cycles
    limited_by: str


@dataclass(frozen=True)
class Fit:
    """What one config makes of a model."""

    config: str  # without the format that replaces its own
    board: str
    format: str
    macs: int
    runs: Runs
    reason: str | None  # why it does not run
    tiles: int  # of the weights that are resident together; of the largest level if it does not run
    weight_tiles: int  # that the config holds
    weight_bytes: int  # of these tiles, with the zeros that fill them
    used: Mapping[str, float]  # memories of the engine with more of them, by kind
    free: Mapping[str, int] | None  # memories of the board, None without one
    clock_mhz: int
    identity: str  # of the sv engine, with the format
    alone: Speed | None  # one sequence; None if it does not run
    beside: Speed | None  # as many sequences as the engine has chains

    @property
    def speeds(self) -> tuple[Speed, Speed]:
        """Both, of a model that runs."""
        assert self.alone and self.beside
        return self.alone, self.beside

    @property
    def ms(self) -> float:
        """Milliseconds of one sequence, with reloads, at the clock that the config aims at."""
        one, _ = self.speeds
        return (one.cycles + (self.runs == "by levels") * one.load_cycles) / self.clock_mhz / 1e3


@dataclass(frozen=True)
class Option:
    """One way out, or what is missing."""

    how: str  # format, board, config or nothing
    text: str
    config: str | None = None  # a shipped config
    format: str | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)  # to change in a config of your own


@dataclass(frozen=True)
class Answer:
    """What ``fit`` found."""

    model: str
    layers: tuple[tuple[int, int, int], ...]  # X, H and directions of each
    weights: int
    weight_bytes: int  # in the first config's format, without the zeros that fill tiles
    steps: int
    board: str | None  # None for all
    configs: tuple[Fit, ...]
    best: str | None  # the shipped config to take
    instead: tuple[Option, ...]  # what would hold the model, if none does


def fit(
    model: Model | QuantModel, on: str | None = None, fmt: str | None = None, steps: int = 100
) -> Answer:
    """Hold a model against the shipped configs.

    Args:
        model: the float model, or the integer model, whose scales count, too.
        on: a board, or ``none`` for the configs without one; by default all configs are
            shown, and those for boards count.
        fmt: a number format instead of the configs' own; without one all are shown, and those
            at the smallest one's count.
        steps: T, time steps of one call.

    Raises:
        UsageError: unknown board or format, or steps that no program runs.
    """
    check_range("steps", steps, 1, MAX_STEPS)
    if fmt:
        Format.parse(fmt).check_levels(len(model.levels), model.name)
    shipped = [config.load(name) for name in config.shipped()]
    there = shipped if on is None else config.of_board(on)
    shown = config.for_format(fmt, there) if fmt else there
    offered = [cfg for cfg in there if on is not None or cfg.board != "none"]
    asked = fmt or offered[0].format
    here = config.for_format(asked, offered)
    elsewhere = [cfg for cfg in shipped if cfg.board not in ("none", *(c.board for c in there))]
    fits = tuple(assess(model, cfg.with_format(fmt), steps, cfg.name) for cfg in shown)
    taken = _best(found for cfg, found in zip(shown, fits) if cfg in here)
    instead = [] if taken else _instead(model, offered, elsewhere, asked, steps)
    return Answer(
        model=model.name,
        layers=tuple((q[0].input_size, q[0].hidden_size, len(q)) for q in model.levels),
        weights=model.macs_per_step,
        weight_bytes=model.macs_per_step * here[0].with_format(fmt).fmt.weight_bits // 8,
        steps=steps,
        board=on,
        configs=fits,
        best=taken.config if taken else None,
        instead=tuple(instead),
    )


def parts_of(model: Model | Graph) -> list[Model | QuantModel]:
    """Return what of a model takes turns on one engine: itself, or a graph's parts that differ."""
    if isinstance(model, Graph):
        return list({Cells.of(part.model): part.model for part in model.parts}.values())
    return [model.quantized or model]


def best_of(answers: Sequence[Answer]) -> str | None:
    """Return the config to take for several models that take turns on one engine, if one does."""
    if len(answers) == 1:
        return answers[0].best
    needs = [answer.best for answer in answers]
    for index, found in enumerate(answers[0].configs):
        every = [answer.configs[index] for answer in answers]
        if found.config in needs and all(one.runs != "no" for one in every):
            return found.config
    return None


def own_config(answers: Sequence[Answer], best: str | None) -> Config:
    """Return a config to take: the best, or else what would hold it.

    Raises:
        UsageError: no config would, or there are several models and no best.
    """
    shipped = {found.config: found for found in answers[0].configs}
    if best is not None:
        return config.load(best).with_format(shipped[best].format)
    options = answers[0].instead if len(answers) == 1 else ()
    for option in sorted(options, key=lambda option: option.how != "config"):  # the board's own
        if option.config is not None:
            made = config.load(option.config).with_format(option.format)
            return resized(made, **option.knobs)
    raise UsageError("no config would hold it, so there is none to write")


def table(answer: Answer) -> str:
    """Lay the answer out for people: the verdict first, then what it rests on."""
    taken = next((found for found in answer.configs if found.config == answer.best), None)
    others = [found for found in answer.configs if found.config != answer.best]
    lines = []
    if taken:
        lines += [_verdict(taken, answer.steps), *_told_of(taken, answer.steps)]
    else:
        where = {None: "no shipped config", "none": "no config without a board"}.get(
            answer.board, f"no config for {answer.board}"
        )
        lines.append(f"{where} holds it")
        if answer.instead:
            lines += ["what would:", *(f"- {option.text}" for option in answer.instead)]
    also = [found for found in others if found.runs != "no"]
    lines += ["", *(f"also: {_verdict(found, answer.steps)}" for found in also)] if also else []
    no = [f"{_name(f)} does not hold it: {f.reason}" for f in others if f.runs == "no"]
    lines += ["", *no] if no else []
    wrapped = [
        textwrap.fill(line, _WIDTH, subsequent_indent="  " * bool(line[:1].strip()))
        for line in [_what(answer), "", *lines, ""]
    ]
    return "\n".join([*wrapped, _NOTE.rstrip()])


def _what(answer: Answer) -> str:
    """Say what the model is."""
    sizes = [str(answer.layers[0][0]), *(" + ".join([str(h)] * n) for _, h, n in answer.layers)]
    if len(sizes) > 6:
        sizes[3:-1] = ["..."]
    return (
        f"{printable(answer.model)}: {' -> '.join(sizes)}, {answer.weights:,} weights, "
        f"{answer.steps} steps"
    )


def _name(found: Fit) -> str:
    """Name a config, and its board as that one's maker does."""
    made = board(found.board)
    return f"{made.name if made else 'an engine for tests'} ({found.config}, {found.format})"


def _verdict(found: Fit, steps: int) -> str:
    """Say in one sentence that it fits, and how fast it is."""
    when = f"for {steps} steps at {found.clock_mhz} MHz, modelled"
    return f"fits {_name(found)}: {found.ms:.3g} ms {when}"


def _told_of(found: Fit, steps: int) -> Iterator[str]:
    """Say what the verdict rests on."""
    one, every = found.speeds
    made = board(found.board)
    used = [
        f"{found.used[kind]:g} of {found.free[kind]} {MEMORIES[kind]}"
        for kind in MEMORIES
        if found.free and found.free[kind]
    ]
    counted = storage.counted(found.identity)
    if made and counted:
        used += [f"{counted[k]:,} of {made.free(k):,} {name}" for k, name in _COUNTED.items()]
    if used:
        yield f"- takes {', '.join(used)} that the board has beside DMA and interconnect"
    yield f"- weights take {found.tiles:,} of {found.weight_tiles:,} tiles of its memory"
    if found.runs == "by levels":
        batch = one.break_even_batch
        many = f"{batch} sequence" + "s" * ((batch or 0) > 1)
        outweighed = f", which {many} side by side would outweigh" if batch else ""
        yield (
            "- levels run one after the other (their weights or their directions do not go "
            "together): each call loads those of each anew, "
            f"{one.load_cycles:,} cycles{outweighed}"
        )
    yield (
        f"- one sequence: {one.steps_per_second:,.0f} steps a second, "
        f"{one.utilization:.0%} of the multipliers' time used; limited by "
        f"{limit(one.limited_by, one.utilization)}"
    )
    if every.sequences > 1:
        yield (
            f"- {every.sequences} sequences side by side: {every.steps_per_second:,.0f} steps a "
            f"second, {every.utilization:.0%} used"
        )


def assess(model: AnyModel, cfg: Config, steps: int, name: str | None = None) -> Fit:
    """Hold a model against a config.

    Args:
        model: the float model, or the integer model, whose scales count, too.
        cfg: the engine.
        steps: T, time steps of one call.
        name: what to call the config, if not by its own name.
    """
    runs: Runs = "no"
    made, reason, alone, beside = board(cfg.board), None, None, None
    tiles = max(weight_tiles(level, cfg) for level in Cells.of(model).levels)
    try:
        for problem in board_problems(cfg):  # another format can do that
            raise UsageError(f"{cfg.name} {problem}")
        held = plans(model, cfg, steps=steps)
        alone, beside = (speed(model, cfg, steps, count) for count in (1, cfg.chains))
        tiles = max(plan.tiles for plan in held)
        runs = "whole" if len(held) == 1 else "by levels"
    except UsageError as error:
        reason = str(error)
    return Fit(
        config=name or cfg.name,
        board=cfg.board,
        format=cfg.format,
        macs=cfg.macs,
        runs=runs,
        reason=reason,
        tiles=tiles,
        weight_tiles=cfg.weight_tiles,
        weight_bytes=tiles * _tile_bytes(cfg),
        used=storage.most(cfg),
        free={kind: made.free(kind) for kind in MEMORIES} if made else None,
        clock_mhz=cfg.clock_mhz,
        identity=config.counted_as(cfg).digest,
        alone=alone,
        beside=beside,
    )


def speed(model: AnyModel, cfg: Config, steps: int, sequences: int) -> Speed:
    """Ask the cycle model for a call of so many sequences."""
    held = plans(model, cfg, "best", steps, sequences)
    run, loads = predict_plans(held, Call((steps,) * sequences))  # may be too many for a program
    weights = sum(cell.weights for level in Cells.of(model).levels for cell in level)
    done = sequences * steps
    return Speed(
        sequences=sequences,
        schedules=tuple(plan.schedule for plan in held),
        cycles=run.cycles,
        load_cycles=loads,
        break_even_batch=break_even(held, loads, run.cycles, sequences),
        cycles_per_step=run.cycles / done,
        steps_per_second=cfg.clock_mhz * 1e6 * done / (run.cycles + (len(held) > 1) * loads),
        utilization=weights / cfg.macs * done / run.cycles,
        limited_by=run.limited_by,
    )


def _best(fits: Iterable[Fit]) -> Fit | None:
    """Return the first that holds the model whole; if none does, the first level by level."""
    running = [found for found in fits if found.runs != "no"]
    return min(running, key=lambda found: found.runs != "whole", default=None)


def _tile_bytes(cfg: Config) -> int:
    """Bytes of one tile in the weight memory."""
    return cfg.macs * cfg.fmt.weight_bits // 8


def _instead(
    model: AnyModel, offered: Sequence[Config], elsewhere: Sequence[Config], fmt: str, steps: int
) -> list[Option]:
    """Return what would hold a model that no config in question holds, least trouble first.

    Args:
        model: the float model, or the integer model, whose scales count, too.
        offered: configs of the boards in question, smallest first, in formats of their own.
        elsewhere: shipped configs of other boards.
        fmt: the number format in question.
        steps: T, time steps of one call.
    """
    here, own = config.for_format(fmt, offered), Format.parse(fmt)
    formats = [fmt, *(str(other) for other in map(Format.parse, USUAL) if other.narrower(own))]
    return [
        *_shipped("format", model, offered, formats[1:], steps),
        *_shipped("board", model, elsewhere, (fmt,), steps),
        *(own for cfg in here for own in _own(model, cfg, formats, steps)),
    ] or [_missing(model, here[-1].with_format(formats[-1]), steps)]


def _shipped(
    how: str, model: AnyModel, configs: Sequence[Config], formats: Sequence[str], steps: int
) -> Iterator[Option]:
    """Yield the smallest shipped config that holds the model, in the widest format."""
    for fmt in formats:
        taking = config.for_format(fmt, configs)
        found = _best(assess(model, cfg.with_format(fmt), steps, cfg.name) for cfg in taking)
        if found:
            text = f"{fmt} on {found.config}: {_figures(found)}"
            yield Option(how, text, found.config, fmt)
            return


def _own(model: AnyModel, cfg: Config, formats: Sequence[str], steps: int) -> Iterator[Option]:
    """Yield a config with memories of other sizes, in the widest format that allows one."""
    for fmt in filter(cfg.takes, formats):
        for own in _resized(model, cfg.with_format(fmt), steps):
            found = assess(model, own, steps)
            old, new = cfg.knobs(), own.knobs()
            knobs = {k: int(getattr(own, k)) for k in _SIZES if old[k] != new[k]}
            if found.runs != "no" and knobs:
                changed = ", ".join(f"{name} {old[name]} -> {knobs[name]}" for name in knobs)
                how = f"{fmt} on a config of your own, {cfg.name} with {changed}"
                yield Option("config", f"{how}: {_figures(found)}", cfg.name, fmt, knobs)
            return


def _resized(model: AnyModel, cfg: Config, steps: int) -> Iterator[Config]:
    """Yield the config with sizes that hold the model, where the board has the memory for it.

    First for the whole model, then for its largest level. Within each first larger sizes alone,
    then memories that are larger than the model needs made smaller.
    """
    for whole in (True, False):
        needs = need(model, cfg, steps, whole)
        for shrunk in ((), ("weight_tiles",), _IN_BLOCK_MEMORY):
            knobs = {n: v if n in shrunk else max(v, getattr(cfg, n)) for n, v in needs.items()}
            yield from _possible(cfg, knobs)


def _possible(cfg: Config, knobs: Mapping[str, int]) -> Iterator[Config]:
    """Yield the config with other sizes in each way for which its board has the memory.

    The ways differ in how weights are parted between BRAM and UltraRAM, the config's own first.
    """
    ways = range(cfg.columns + 1) if cfg.uram_columns else (0,)
    for columns in sorted(ways, key=lambda n: abs(n - cfg.uram_columns)):
        with suppress(UsageError):
            own = resized(cfg, **knobs, uram_columns=columns)
            if not any(board_problems(own)):
                yield own


def need(model: AnyModel, cfg: Config, steps: int, whole: bool) -> dict[str, int]:
    """Work out the least knobs that hold the model whole, if it can be, or level by level."""
    levels = Cells.of(model).levels
    cells = [cell for level in levels for cell in level]
    stack = whole and len(cells) == len(levels)
    parts = [cells] if stack else levels
    return {
        "max_input": max(s.input_size for s in cells),
        "max_hidden": max(s.hidden_size for s in cells),
        "weight_tiles": max(2, *(weight_tiles(part, cfg) for part in parts)),
        "bias_blocks": max(bias_blocks(part, cfg) for part in parts),
        "sequence_words": max(2, steps * sequence_stride(cells, cfg) if stack else 0),
    }


def _missing(model: AnyModel, cfg: Config, steps: int) -> Option:
    """Say by how much the weights are too many for the board, or what else is too much."""
    needs = need(model, cfg, steps, whole=False)
    rest = {name: needs[name] for name in ("bias_blocks", "sequence_words")}
    counts = range(_MOST_TILES, 0, -_TILES_STEP)
    most = next((n for n in counts if any(_possible(cfg, {**rest, "weight_tiles": n}))), 0)
    wanted, room = (_tile_bytes(cfg) * n for n in (needs["weight_tiles"], most))
    if wanted > room:
        text = (
            f"the weights of its largest layer take {wanted:,} bytes in tiles of {cfg.name} at "
            f"{cfg.format}, its board has room for {room:,}: {wanted - room:,} too many"
        )
    else:
        try:
            text = str(assess(model, resized(cfg, **needs), steps).reason)
        except UsageError as error:
            text = str(error).removeprefix("config: ")
    return Option("nothing", f"nothing holds it: {text}", format=cfg.format)


def _figures(found: Fit) -> str:
    """Put what it takes in a few words."""
    memories = {kind: free for kind, free in (found.free or {}).items() if free}
    return ", ".join(
        [
            *(["level by level"] if found.runs == "by levels" else []),
            f"{found.tiles} of {found.weight_tiles} tiles",
            *(f"{found.used[k]:g} of {free} {MEMORIES[k]}" for k, free in memories.items()),
            f"{found.speeds[0].steps_per_second:,.0f} steps/s",
        ]
    )
