"""What a search found, for people: a table of 80 columns, and a drawing."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError, lacking, printable
from lstm_sharp.explore.search import Found
from lstm_sharp.explore.session import OWN, Answer
from lstm_sharp.explore.verify import Verified

_WIDTH = 80
_SHOWN = 16
"""Engines of a front that are listed."""
_HEAD = ("us/step", "steps/s", "LUT", "DSP", "BRAM", "URAM", "error", "engine")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SUFFIXES = (".svg", ".png")
"""Of drawings."""


def lines(answer: Answer) -> Iterator[str]:
    """Lay the answer out: the chosen engine, then the front."""
    on, chosen = facts(answer.board), answer.chosen
    told = (
        f"{printable(answer.model)} on {on.name}: {chosen.latency_us:.3g} us a step with "
        f"{name(chosen.config)}, the best {answer.choice} of {len(answer.front)} engines that no "
        f"other is better than, with an error up to {answer.most_error:.2g}; {answer.held:,} of "
        f"{answer.asked:,} that were asked about hold the model."
    )
    if chosen.runs != "whole":
        told += " Its weights do not go in together: each call loads those of each level anew."
    yield from textwrap.wrap(told, _WIDTH)
    yield ""
    shown = _spread(answer)
    left_out = () if on.free("uram") else (_HEAD.index("URAM"),)
    rows = [
        [cell for at, cell in enumerate(row) if at not in left_out]
        for row in (_HEAD, *map(_row, shown))
    ]
    wide = [max(map(len, column)) for column in zip(*rows)][:-1]
    marks = ["  ", *("* " if one == chosen else "  " for one in shown)]
    for mark, row in zip(marks, rows):
        yield mark + "  ".join([*map(str.rjust, row, wide), row[-1]])
    if left := len(answer.front) - len(shown):
        yield f"  and {left} more, all of them with --json and in the drawing"
    yield ""
    yield f"Modelled: cycles, at the clock of {chosen.config.clock_mhz} MHz that is aimed at."
    yield "Estimated: what an engine takes; nothing has been placed, no board has seen it."
    yield f"Error: largest of h against float, golden model, on {answer.data}."


def of_verified(engines: Sequence[Verified]) -> Iterator[str]:
    """Say what was seen of engines that have been built."""
    yield "Built: bits of the golden model and predicted cycles, simulated on Verilator."
    for one in engines:
        yield f"  build/{one.engine}: {one.cycles:,} cycles"
        for kind, counted in one.counted.items():
            if counted or one.estimated[kind]:
                estimated = f"{one.estimated[kind]:,.0f} estimated"
                yield f"    {kind.upper():7}{counted:>9,g} by Yosys, {estimated}"


def name(cfg: Config) -> str:
    """Say in a few words which array an engine has, or its own name if it is a shipped one."""
    k = "/".join(map(str, cfg.k_list or (cfg.rows,)))
    array = f"{cfg.format} {k}x{cfg.columns} L{cfg.lanes} C{cfg.chains}"
    return array if cfg.name == OWN else cfg.name


def _row(one: Found) -> tuple[str, ...]:
    latency, error = (f"{figure:.3g}" for figure in (one.latency_us, one.error))
    whole = (f"{figure:.0f}" for figure in (one.throughput, one.lut, one.dsp))
    return latency, *whole, f"{one.bram36:g}", f"{one.uram:g}", error, name(one.config)


def _spread(answer: Answer) -> list[Found]:
    """Take some of the front, from the fastest to the slowest, and the chosen one."""
    front = answer.front
    step = max(1.0, (len(front) - 1) / (_SHOWN - 1))
    places = {round(step * n) for n in range(min(_SHOWN, len(front)))}
    return [one for at, one in enumerate(front) if at in places or one == answer.chosen]


def check_drawing(path: str | None) -> None:
    """Refuse a drawing that cannot be made, before any work.

    Raises:
        UsageError: a suffix of no drawing.
        ToolError: matplotlib is missing.
    """
    if path is None:
        return
    if Path(path).suffix not in SUFFIXES:
        raise UsageError(f"{path} tells no kind of drawing; end it in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise lacking("matplotlib", "a drawing") from None


def draw(answer: Answer, path: str) -> None:
    """Draw the front: latency over LUTs, throughput over DSPs."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 4.6), layout="constrained")
    panes = drawing.subplots(1, 2)
    on, formats = facts(answer.board), dict.fromkeys(one.config.format for one in answer.front)
    of = (
        ("lut", "LUT, estimated", "latency_us", "µs a step, one sequence, modelled"),
        ("dsp", "DSP", "throughput", "steps a second, sequences side by side, modelled"),
    )
    for pane, (x, x_told, y, y_told) in zip(panes, of):
        for fmt, colour in zip(formats, _COLOURS * len(formats)):
            own = [one for one in answer.front if one.config.format == fmt]
            pane.plot(
                [getattr(one, x) for one in own],
                [getattr(one, y) for one in own],
                "o",
                ms=4,
                alpha=0.7,
                color=colour,
                label=f"{fmt}, error {own[0].error:.2g}",
            )
        at = getattr(answer.chosen, x), getattr(answer.chosen, y)
        pane.plot(*at, "*", ms=16, mfc="none", mec="black", label="chosen")
        pane.axvline(on.free(x), color="#777777", ls=":", label=f"{on.name} has {on.free(x):,}")
        pane.set(xlabel=x_told, ylabel=y_told, yscale="log")
        pane.grid(alpha=0.3, which="both")
    panes[0].legend(fontsize="small")
    drawing.suptitle(
        f"{printable(answer.model, 40)} on {on.name}: {len(answer.front)} engines "
        "that no other is better than"
    )
    made = io.BytesIO()
    kind = Path(path).suffix[1:]
    drawing.savefig(made, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {})
    files.write_bytes(path, made.getbuffer())
