"""Commands that write what is handed on: a page, a package for a board."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.commands.shared import (
    ALLOW_HOST,
    Command,
    note,
    one,
    option,
    read,
    takes_model,
    tell_axes,
)
from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.stored import load, load_model
from lstm_sharp.runtime import graph_files
from lstm_sharp.terminal import Parser, Progress, ends, say


def _add_report(report: Parser) -> None:
    x = "float32 (batch, time, features): errors are measured on it; default: the calibration data"
    option(report, "--config", required=True)
    option(report, "--input", metavar="X.npy", help=x)
    x = "inputs that set the scales; default: the input; with neither, x is drawn from -1 to 1"
    option(report, "--calibration", help=x)
    option(report, "-o", "--output", required=True, metavar="R.html", help="page to write")
    takes_model(report)


def _report(options: Namespace) -> None:
    """Write a page: what a model is on an engine, how near to float, how fast, and why.

    It is one HTML file that fetches nothing. Cycles are modelled, errors the golden model's; a
    model that the engine does not hold is told of as well, with what would. See docs/report.md.
    """
    from lstm_sharp.report import page

    out, x, data = options.output, options.input, options.calibration
    if Path(out).suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{out} tells no kind of file; end it in .html")
    files.check_outputs((out,), (options.model, x, data))
    model = load_model(options.model, options.prefix)
    fmt = stored.own_format(model, options.format, read(data))
    cfg = config.load(options.config).with_format(fmt)
    told = page(model, cfg, read(x), read(data), Progress("working out the page"))
    files.write_text(out, told.text)
    for sentence in told.verdict:
        say(sentence)


def _add_package(package: Parser) -> None:
    x = "float32 (batch, time, features): sets the scale of x, its first eight are the test"
    bit = "copy it and its .hwh; default: overlays/BOARD/CONFIG.bit, if it has been built"
    engine = "engine to compile for; default: the overlay's, hls if there is none"
    folder = "folder to write, new or a package"
    overlay = package.add_mutually_exclusive_group()
    option(package, "--config", required=True)
    option(package, "-o", "--output", required=True, metavar="DIR", help=folder)
    option(package, "--schedule")
    data = package.add_mutually_exclusive_group()
    told = f"{x}; needed unless the model is quantised; of a graph NAME=X.npy for each input"
    option(data, "--calibration", action="append", help=told)
    option(package, "--allow-host", action="store_true", help=ALLOW_HOST)
    told = "instead: the ends between which x lies"
    option(data, "--assume-range", metavar="A,B", type=ends, help=told)
    option(overlay, "--overlay", metavar="FILE.bit", help=bit)
    option(package, "--engine", choices=sorted(ENGINE_VLNVS), help=engine)
    option(overlay, "--virtual", action="store_true", help="an overlay for the virtual board")
    takes_model(package)


def _package(options: Namespace) -> None:
    """Write a folder with a quantised model, and what tests it on a board.

    That is eight test sequences with the bits they must give, the script that runs them, and the
    overlay; see docs/package.md.
    """
    from lstm_sharp import package

    model = load(options.model, options.prefix, allow_host=options.allow_host)
    if isinstance(model, Graph):
        return _package_graph(options, model)
    tell_axes(model)
    calibration = read(one("--calibration", options.calibration))
    assume = options.assume_range
    fmt = stored.own_format(model, options.format, assume if calibration is None else calibration)
    cfg = config.load(options.config).with_format(fmt)
    with _overlay_for(options, cfg) as (cfg, overlay):
        out, schedule = options.output, options.schedule
        made = package.write(model, cfg, out, schedule, calibration, overlay, assume=assume)
    note(*made.model.notes)
    data = "the calibration data" if model.quantized is None else "x drawn to its reach"
    if assume:
        data = f"x drawn from {assume[0]:g} to {assume[1]:g}"
    error = made.about["calibration"]["max_abs_error"]
    say(f"largest error of h on {data}, against the float model: {error:.2g}")
    count, steps = made.vectors.x.shape[:2]
    size = f"{count} x {steps} steps, {'with' if overlay else 'without'} an overlay"
    engine = f"{cfg.name}, engine {cfg.engine} ({cfg.digest})"
    say(f"{options.output}: {model.name} for {engine}, {size}")


def _package_graph(options: Namespace, graph: Graph) -> None:
    """Write a package of a whole graph."""
    from lstm_sharp.package import graphs

    if options.assume_range or not options.calibration:
        raise UsageError(
            f"{graph.source} is a whole graph, whose parts are calibrated with its inputs: give "
            "--calibration NAME=X.npy for each"
        )
    values = graph_files.read(graph, options.calibration)
    cfg = config.load(options.config).with_format(options.format)
    with _overlay_for(options, cfg) as (cfg, overlay):
        out, schedule = options.output, options.schedule
        made = graphs.write(graph, cfg, out, values, schedule, overlay)
    for part in graph.parts:
        held = made.parts.get(part.name)
        error = held and held.about["calibration"]["max_abs_error"]
        told = f"largest error of h {error:.2g}" if held else "left out, it did not run"
        say(f"{part.name}: {told}")
    engine = f"{cfg.name}, engine {cfg.engine} ({cfg.digest})"
    say(f"{options.output}: {graph.source} for {engine}, {len(made.parts)} parts on it")
    runtime = made.needs_runtime
    by = f"ONNX Runtime ({runtime}), which 32-bit boards lack" if runtime else "NumPy"
    say(f"what lies around them is computed by {by}")


@contextmanager
def _overlay_for(
    options: Namespace, cfg: config.Config
) -> Iterator[tuple[config.Config, str | Path | None]]:
    """Take the config for the engine that a package is made for, and its overlay."""
    from lstm_sharp import package

    with tempfile.TemporaryDirectory(prefix="lstm-sharp-") as beside:
        overlay = options.overlay
        if options.virtual:
            if options.engine == "hls":
                raise UsageError("the virtual board has the sv engine; leave out --engine hls")
            from lstm_sharp.virtual.overlay import virtual_overlay

            overlay = virtual_overlay(cfg, beside)
        cfg, overlay = package.for_overlay(cfg, overlay)
        yield cfg.of(options.engine or cfg.engine), overlay


COMMANDS = (
    Command("report", "write a page of a model on an engine, with drawings", _report, _add_report),
    Command("package", "write what goes to the board", _package, _add_package),
)
