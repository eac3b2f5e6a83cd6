"""One layer on the engine: where its weights lie, how its step is cut, and its instructions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import Instruction, Op, Source, Start


class Columns(NamedTuple):
    """Column tiles of one rectangle; it covers all row blocks of its layer."""

    first: int
    width: int


@dataclass(frozen=True)
class LayerShape:
    """What the compiler needs to know of a layer."""

    input_size: int
    hidden_size: int
    x_shift: int = 0
    act_shift: int = 0


@dataclass(frozen=True)
class LayerPlan:
    """Where a layer's weights lie and how its step is cut; the same for every run length."""

    shape: LayerShape
    rows: int  # row blocks
    x_cuts: tuple[Columns, ...]
    h_cuts: tuple[Columns, ...]
    weight_base: int
    bias_base: int

    @property
    def x_columns(self) -> int:
        """Column tiles of the x-part."""
        return sum(cut.width for cut in self.x_cuts)

    @property
    def h_columns(self) -> int:
        """Column tiles of the h-part."""
        return sum(cut.width for cut in self.h_cuts)

    @property
    def tiles(self) -> int:
        """Tiles of the layer's weights."""
        return self.rows * (self.x_columns + self.h_columns)


@dataclass(frozen=True)
class LayerProgram:
    """Writes one layer's instructions."""

    cfg: Config
    layer: LayerPlan
    schedule: str
    bottom: bool
    top: bool

    def instructions(self, steps: int, with_state: bool) -> list[Instruction]:
        """All steps: the first apart (it may take zero for h and c), then a loop."""
        x, h = self._x_part(), self._h_part()
        first_h = h if with_state else [replace(i, source=Source.ZERO, c_zero=True) for i in h]
        start = [self._load_state()] if with_state else []
        start += [replace(x[0], layer=True), *x[1:]]
        if self.schedule == "intergate":
            return start + first_h + _loop(x + h, steps - 1)
        if steps == 1:
            return start + first_h
        return start + first_h + x + _loop(h + x, steps - 2) + h

    def _x_part(self) -> list[Instruction]:
        """W_ih x: sums start from the bias and are stored."""
        rectangles: list[Instruction] = []
        tile = self.layer.weight_base
        for cut in self.layer.x_cuts:
            rectangles.append(
                Instruction(
                    source=Source.X if self.bottom else Source.SEQUENCE,
                    start=Start.STORED if rectangles else Start.BIAS,
                    pull=self.bottom,
                    weight_base=tile,
                    **self._common(cut),
                )
            )
            tile += self.layer.rows * cut.width
        rectangles[-1] = replace(rectangles[-1], pop=True)
        return rectangles

    def _h_part(self) -> list[Instruction]:
        """W_hh h: takes up the x sums; the last rectangle finishes and ends the step."""
        rectangles: list[Instruction] = []
        tile = self.layer.weight_base + self.layer.rows * self.layer.x_columns
        for cut in self.layer.h_cuts:
            rectangles.append(
                Instruction(
                    source=Source.H,
                    start=Start.STORED if rectangles else Start.STORED_SHIFTED,
                    weight_base=tile,
                    **self._common(cut),
                )
            )
            tile += self.layer.rows * cut.width
        rectangles[-1] = replace(
            rectangles[-1], finish=True, step=True, emit=self.top, keep=not self.top
        )
        return rectangles

    def _common(self, cut: Columns) -> dict[str, Any]:
        return {
            "rows": self.layer.rows,
            "col_first": cut.first,
            "cols": cut.width,
            "bias_base": self.layer.bias_base,
            "x_shift": self.layer.shape.x_shift,
            "act_shift": self.layer.shape.act_shift,
        }

    def _load_state(self) -> Instruction:
        groups = self.layer.rows * self.cfg.block // self.cfg.lanes
        return Instruction(op=Op.LOAD_STATE, rows=groups)


def _loop(body: list[Instruction], times: int) -> list[Instruction]:
    """Repeat body; nothing at all for zero times."""
    if times < 1:
        return []
    last = replace(body[-1], repeats=times, loop_back=len(body) - 1) if times > 1 else body[-1]
    return [*body[:-1], last]
