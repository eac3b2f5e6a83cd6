"""Programs that every engine must refuse or break off: what is wrong, and how a run of one ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import MAX_INSTRUCTIONS, Instruction, Op, Source, Start

HEADERS: tuple[dict[str, int], ...] = (
    {"magic": 0x4C54},
    {"magic": 0},
    {"instructions": MAX_INSTRUCTIONS + 1},
    {"instructions": 0xFFFF},
    {"sequences": 0},
)
"""What is wrong with a header: status 1."""


def out_of_range(cfg: Config) -> Iterator[dict[str, Any]]:
    """What is wrong with an instruction whatever else is in it: status 2."""
    most_x, most_h = (words * cfg.bands for words in (cfg.x_columns, cfg.h_words))
    yield from (
        {"rows": 0},
        {"rows": cfg.chain_blocks + 1},
        {"row_first": cfg.chain_blocks},
        {"row_first": 0xFFFF, "rows": 0xFFFF},
        {"cols": 0},
        {"source": Source.X, "cols": cfg.x_columns + 1},
        {"source": Source.X, "col_first": most_x},
        {"source": Source.SEQUENCE, "col_first": most_h},
        {"source": Source.H, "cols": cfg.h_words + 1},
        {"source": Source.ZERO, "col_first": 0xFFFF},
        {"start": 3},
        {"x_shift": cfg.max_shift + 1},
        {"h_word": cfg.h_words},
        {"h_lane": cfg.columns},
        {"shape": len(cfg.tile_shapes) - 1, "h_lane": cfg.tile_shapes[-1].block // 2},
        {"start": Start.BIAS, "bias_base": cfg.bias_blocks},
        {"op": Op.LOAD_WEIGHTS, "rows": cfg.weight_tiles + 1, "weight_base": 0},
        {"op": Op.LOAD_WEIGHTS, "rows": 1, "weight_base": cfg.weight_tiles},
        {"op": Op.LOAD_BIAS, "rows": cfg.bias_blocks, "bias_base": 1},
        {"op": Op.LOAD_BIAS, "rows": 1, "bias_base": cfg.bias_blocks},
        {"op": Op.LOAD_BIAS, "rows": 0},
        {"op": Op.LOAD_STATE, "rows": cfg.groups + 1},
        {"op": Op.LOAD_STATE, "rows": 1, "h_word": cfg.h_words},
        {"op": Op.GIVE_STATE, "rows": 1, "row_first": cfg.chain_blocks},
        {"op": Op.GIVE_STATE, "rows": cfg.passes + 1, "row_first": cfg.chain_blocks - 1},
        *({"op": op, "rows": 1} for op in range(max(Op) + 1, 8)),
        {"loop_back": 255},
        {"shape": len(cfg.tile_shapes)},
    )
    if cfg.row_scales:  # scales lie where biases do
        yield {"start": Start.STORED, "bias_base": cfg.bias_blocks}
    if cfg.bands > 1:  # of shapes of 1, 2 and 4 bands
        yield from (
            {"shape": 1, "row_first": 1, "bias_base": 1},
            {"shape": 1, "row_first": 3, "bias_base": 3},
            {"shape": 2, "row_first": 2, "bias_base": 2},
            {"start": Start.BIAS, "bias_base": 1},
            {"shape": 1, "col_first": 1},
            {"shape": 0, "col_first": 2},
            {"shape": 2, "rows": cfg.chain_blocks // 4 + 1},
            {"shape": 2, "rows": cfg.chain_blocks // 4, "row_first": 4},
            {"shape": 2, "rows": 2, "bias_base": cfg.bias_blocks - 4, "start": Start.BIAS},
            {"shape": 1, "source": Source.H, "cols": most_h // 2 + 1},
            {"shape": 1, "source": Source.H, "col_first": most_h - 4, "cols": 3},
            {"shape": 2, "source": Source.H, "col_first": most_h - 3, "cols": 4},
        )


def just_in_range(cfg: Config) -> Iterator[dict[str, Any]]:
    """What is still right: status 0."""
    most = cfg.h_words * cfg.bands
    last = len(cfg.tile_shapes) - 1
    gang = cfg.tile_shapes[last].gang
    blocks = min(cfg.chain_blocks, cfg.bias_blocks) if cfg.row_scales else cfg.chain_blocks
    yield from (
        {"shape": last, "rows": blocks // gang, "start": Start.STORED},
        {"shape": last, "bias_base": cfg.bias_blocks - gang},
        {"shape": last, "source": Source.H, "col_first": most - gang, "cols": gang},
        {"x_shift": cfg.max_shift, "h_word": cfg.h_words - 1},
    )
    if cfg.bands > 1:
        yield from ({"shape": 1, "row_first": 2, "bias_base": 2}, {"shape": 1, "col_first": 2})


@dataclass(frozen=True)
class Broken:
    """A program, and how its run ends."""

    instructions: tuple[Instruction, ...]
    status: int
    header: dict[str, int] = field(default_factory=dict)
    hls: int | None = None  # where the kernel's differs


ROW = Instruction(source=Source.ZERO, rows=1, cols=1)
_ENDS = replace(ROW, cols=4, finish=True, emit=True)
_PULLS = Instruction(rows=1, cols=2, pull=True, pop=True)


def broken(cfg: Config) -> dict[str, Broken]:
    """All of them, by what is wrong."""
    lost = replace(ROW, weight_base=cfg.weight_tiles)
    far, whole = 0x104, min(8, cfg.x_columns)
    gang = cfg.tile_shapes[-1].gang
    wide = replace(_ENDS, shape=len(cfg.tile_shapes) - 1)
    found = {
        "nothing": Broken((), 0),
        "loops that nest": Broken(
            (ROW, replace(ROW, repeats=2), replace(ROW, repeats=3, loop_back=2)), 0x202
        ),
        "loops that overlap": Broken(
            (replace(ROW, repeats=2), replace(ROW, repeats=2, loop_back=1)), 0x102
        ),
        "loops apart": Broken((replace(ROW, repeats=2), replace(ROW, repeats=2)), 0),
        "the second and the third": Broken((ROW, *[replace(ROW, rows=0)] * 2), 0x102),
        "x that is not used up": Broken((replace(_PULLS, cols=whole, pop=False),) * 9, 3),
        "x that is not pulled": Broken((replace(_PULLS, pull=False),), 3),
        "x told too little": Broken((_PULLS,), 3, {"x_words": 1}),
        "x told too much": Broken((_PULLS,), 3, {"x_words": 3}),
        "x and weights that are not there": Broken((replace(lost, source=Source.X),), 3),
        "weights far away": Broken((replace(ROW, weight_base=0x8000),), 4),
        "weights in part": Broken((replace(lost, weight_base=lost.weight_base - 1, cols=2),), 4),
        "a load behind them": Broken((ROW, lost, Instruction(op=Op.LOAD_WEIGHTS, rows=64)), far),
        "a state behind them": Broken((ROW, lost, Instruction(op=Op.GIVE_STATE, rows=64)), far),
        "lanes that are busy": Broken(
            (wide, replace(wide, row_first=gang, bias_base=gang, cols=1)), 0x105, hls=0
        ),
        "a sum too early": Broken((ROW, replace(ROW, start=Start.STORED)), 0x105, hls=5),
        "a state too early": Broken((_ENDS, Instruction(op=Op.GIVE_STATE, rows=1)), 0x105, hls=5),
        "h too early": Broken(
            (replace(_ENDS, step=True), replace(ROW, source=Source.H, row_first=4)), 0x105, hls=5
        ),
        "the sequence too early": Broken(
            (replace(_ENDS, keep=True), replace(ROW, source=Source.SEQUENCE)), 0x105, hls=5
        ),
    }
    bias, early = Instruction(op=Op.LOAD_BIAS, rows=1), 5 * cfg.row_scales
    found |= {
        "x_shift too early": Broken(
            (bias, replace(ROW, start=Start.STORED_SHIFTED, cols=2)), 0, hls=early
        ),
        "scales too early": Broken((bias, replace(_ENDS, start=Start.STORED)), 0, hls=early),
    }
    found |= {f"header {told}": Broken((ROW,), 1, told) for told in HEADERS}
    found |= {f"{n} slots": Broken((_ENDS,), 0, {"slots": n}, hls=3) for n in range(4)}
    found |= {str(what): Broken((replace(ROW, **what),), 2) for what in out_of_range(cfg)}
    return found | {str(what): Broken((replace(ROW, **what),), 0) for what in just_in_range(cfg)}
