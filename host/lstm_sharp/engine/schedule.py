"""The compiler: from layer shapes and a schedule to slot programs.

A step of a layer is a few rectangles over its x-part and its h-part. A schedule says in which
order they go and how they are cut; the no-op slots that keep the distances D and D_acc are worked
out here, never by the hardware. See docs/schedules.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from lstm_sharp.engine import cycles
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.distances import keep_distances
from lstm_sharp.engine.layer import Columns, LayerPlan, LayerProgram, LayerShape
from lstm_sharp.engine.program import Instruction, Op, Program
from lstm_sharp.errors import UsageError
from lstm_sharp.numerics.quantize import QuantModel

SCHEDULES = ("intergate", "unfolded", "elementwise")
"""Dispatch orders, the paper's first; ``best`` chooses among them by the cycle model."""


@dataclass(frozen=True)
class Plan:
    """A model's layers on an engine under one schedule; makes a program for any run length."""

    cfg: Config
    schedule: str
    layers: tuple[LayerPlan, ...]

    @property
    def tiles(self) -> int:
        """Tiles of all layers' weights."""
        return sum(layer.tiles for layer in self.layers)

    @property
    def bias_blocks(self) -> int:
        """Row blocks of all layers' biases."""
        return sum(layer.rows for layer in self.layers)

    def load_program(self) -> Program:
        """Make the program that loads all weights and biases."""
        return Program(
            (
                Instruction(op=Op.LOAD_WEIGHTS, rows=self.tiles),
                Instruction(op=Op.LOAD_BIAS, rows=self.bias_blocks),
            )
        )

    def program(self, steps: int, sequences: int, with_state: bool = False) -> Program:
        """Make the program that runs sequences of the same length one after the other.

        Args:
            steps: T.
            sequences: how many.
            with_state: each layer of each sequence begins with h and c from the weight stream.

        Raises:
            UsageError: T over what the sequence buffer holds between stacked layers.
        """
        shapes = [layer.shape for layer in self.layers]
        check_steps(shapes, self.cfg, steps)
        stride = sequence_stride(shapes, self.cfg)
        instructions: list[Instruction] = []
        for index, layer in enumerate(self.layers):
            part = LayerProgram(
                self.cfg, layer, self.schedule, bottom=index == 0, top=layer is self.layers[-1]
            )
            instructions += part.instructions(steps, with_state)
        kept = keep_distances(self.cfg, instructions, self.schedule)
        return Program(tuple(kept), sequences, stride)


def shapes_of(model: QuantModel) -> tuple[LayerShape, ...]:
    """Shapes of a quantised model's layers."""
    return tuple(
        LayerShape(q.input_size, q.hidden_size, q.x_shift, q.w_hh_frac - model.fmt.weight_frac_min)
        for q in model.layers
    )


def make_plan(shapes: Sequence[LayerShape], cfg: Config, schedule: str = "best") -> Plan:
    """Lay out the weights of a model and choose how its steps are cut.

    Args:
        shapes: the layers, bottom first.
        cfg: the engine.
        schedule: one of ``SCHEDULES``, or ``best``.

    Raises:
        UsageError: unknown schedule, or a model that the engine does not hold.
    """
    check_schedule(schedule)
    check_fit(shapes, cfg)
    if schedule == "best":
        plans = [make_plan(shapes, cfg, name) for name in SCHEDULES]
        return min(plans, key=lambda plan: sum(_cost(cfg, la, plan.schedule) for la in plan.layers))
    layers: list[LayerPlan] = []
    tile = bias = 0
    for shape in shapes:
        uncut = LayerPlan(
            shape,
            ceil(shape.hidden_size / cfg.block),
            (Columns(0, ceil(shape.input_size / cfg.columns)),),
            (Columns(0, ceil(shape.hidden_size / cfg.columns)),),
            tile,
            bias,
        )
        layers.append(_best_cut(cfg, uncut) if schedule == "elementwise" else uncut)
        tile, bias = tile + uncut.tiles, bias + uncut.rows
    return Plan(cfg, schedule, tuple(layers))


def check_schedule(schedule: str) -> None:
    """Refuse a schedule that there is not.

    Raises:
        UsageError: with the names that there are.
    """
    if schedule not in (*SCHEDULES, "best"):
        raise UsageError(
            f"schedule {schedule!r} is unknown; choose one of {', '.join(SCHEDULES)} or best"
        )


def check_fit(shapes: Sequence[LayerShape], cfg: Config) -> None:
    """Refuse a model that the engine does not hold.

    Raises:
        UsageError: with what is needed and what there is.
    """
    for index, shape in enumerate(shapes):
        for what, size, most in (
            ("inputs", shape.input_size, cfg.max_input),
            ("units", shape.hidden_size, cfg.max_hidden),
        ):
            if size > most:
                raise UsageError(
                    f"layer {index} has {size} {what}, {cfg.name} holds {most}; "
                    "choose a larger config"
                )
        if shape.x_shift > cfg.max_shift:
            raise UsageError(
                f"layer {index} needs x_shift {shape.x_shift}, {cfg.name} has {cfg.max_shift}; "
                "quantise for this config"
            )
    for what, need, have in (
        ("tiles of weights", weight_tiles(shapes, cfg), cfg.weight_tiles),
        ("row blocks of bias", bias_blocks(shapes, cfg), cfg.bias_blocks),
    ):
        if need > have:
            raise UsageError(
                f"the model needs {need} {what}, {cfg.name} holds {have}; choose a larger "
                "config, fewer weight bits or a smaller model"
            )


def weight_tiles(shapes: Sequence[LayerShape], cfg: Config) -> int:
    """Tiles that the weights of some layers make."""
    return sum(
        ceil(s.hidden_size / cfg.block)
        * (ceil(s.input_size / cfg.columns) + ceil(s.hidden_size / cfg.columns))
        for s in shapes
    )


def bias_blocks(shapes: Sequence[LayerShape], cfg: Config) -> int:
    """Row blocks that the biases of some layers make."""
    return sum(ceil(s.hidden_size / cfg.block) for s in shapes)


def largest_square(cfg: Config) -> int:
    """Return the largest X = H of a layer that the engine holds."""
    for size in range(min(cfg.max_input, cfg.max_hidden), 1, -1):
        try:
            check_fit([LayerShape(size, size)], cfg)
        except UsageError:
            continue
        return size
    return 1


def sequence_stride(shapes: Sequence[LayerShape], cfg: Config) -> int:
    """Words that a step of h takes between stacked layers, the widest layer's."""
    blocks = [ceil(shape.hidden_size / cfg.block) for shape in shapes[:-1]]
    return max((ceil(count * cfg.block / cfg.columns) for count in blocks), default=0)


def check_steps(shapes: Sequence[LayerShape], cfg: Config, steps: int) -> None:
    """Refuse more steps than the sequence buffer holds between stacked layers.

    Raises:
        UsageError: with the most steps of one call.
    """
    stride = sequence_stride(shapes, cfg)
    if steps * stride > cfg.sequence_words:
        raise UsageError(
            f"{steps} steps of a stack need {steps * stride} words between its layers, {cfg.name} "
            f"holds {cfg.sequence_words}; run at most {cfg.sequence_words // stride} steps in one "
            "call and carry the state over, or take a larger config"
        )


def _best_cut(cfg: Config, uncut: LayerPlan) -> LayerPlan:
    """Cut x- and h-part where the cycle model says so; never slower than uncut."""
    best, best_cost = uncut, _cost(cfg, uncut, "elementwise")
    short_runs = [(steps, _cost(cfg, uncut, "elementwise", steps)) for steps in (1, 2)]
    for x_cuts in _cuts(uncut.x_columns, range(1, min(2, uncut.x_columns))):
        for h_cuts in _cuts(uncut.h_columns, range(1, uncut.h_columns)):
            plan = replace(uncut, x_cuts=x_cuts, h_cuts=h_cuts)
            cost = _cost(cfg, plan, "elementwise")
            if cost < best_cost and all(
                _cost(cfg, plan, "elementwise", steps) <= limit for steps, limit in short_runs
            ):
                best, best_cost = plan, cost
    return best


def _cuts(columns: int, where: range) -> list[tuple[Columns, ...]]:
    """Return the part in one rectangle, and in two for each place to cut."""
    whole: list[tuple[Columns, ...]] = [(Columns(0, columns),)]
    return whole + [(Columns(0, at), Columns(at, columns - at)) for at in where]


def _cost(cfg: Config, layer: LayerPlan, schedule: str, steps: int = 16) -> int:
    """Cycles of one layer alone over a typical number of steps."""
    alone = replace(layer, weight_base=0, bias_base=0)
    return cycles.predict(cfg, Plan(cfg, schedule, (alone,)).program(steps, 1)).cycles
