"""The command line ``lstm-sharp``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from lstm_sharp import __version__, arrays, files
from lstm_sharp.compiler import by_gate
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model import load
from lstm_sharp.numerics.formats import SUPPORTED
from lstm_sharp.runtime.batch import head_by_length
from lstm_sharp.runtime.inputs import check_input
from lstm_sharp.runtime.session import BACKENDS, Session
from lstm_sharp.terminal import Parser, ended, say, size

_WIDE = 10_000
"""Characters of a line of figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, 2 for what the user can mend."""
    parser = Parser(
        prog="lstm-sharp",
        description="LSTM inference on FPGAs, from a trained model to a board.",
        epilog="Exit status: 0 done; 2 bad input; 3 a tool is missing or fails; 4 a fault of the "
        "engine or inside; 5 the board's.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands)
    _add_fit(commands)
    _add_package(commands)
    _add_render(commands)
    _add_perf(commands)
    options = parser.parse_args(arguments)
    with files.max_memory(vars(options).pop("max_memory", None)):
        return ended(lambda: options.command(options), "lstm-sharp: ")


def _add_max_memory(command: Parser) -> None:
    command.add_argument(
        "--max-memory", type=size, metavar="SIZE", help="of a file that is read; default 2G"
    )


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    run = commands.add_parser(
        "run",
        help="run a model on an input",
        description="Run a trained LSTM on an input, in float, in integers, on the HLS C++ "
        "kernel, on the cycle-accurate RTL engine, or on a board.",
    )
    run.add_argument("model", metavar="MODEL", help=".onnx, .safetensors or .npz")
    run.add_argument(
        "--input", required=True, metavar="X.npy", help="float32 (batch, time, features)"
    )
    run.add_argument(
        "--output",
        required=True,
        metavar="Y.npy",
        help="float32 (batch, time, hidden * directions), the last layer's h",
    )
    run.add_argument(
        "--lengths", metavar="L.npy", help="whole numbers (batch,): steps of each sequence"
    )
    run.add_argument("--backend", default="golden", help=", ".join(BACKENDS))
    run.add_argument("--overlay", metavar="FILE.bit", help="for board; default: that of the config")
    run.add_argument(
        "--format", help=f"number format instead of the config's: {', '.join(SUPPORTED)}"
    )
    run.add_argument(
        "--config",
        help="a config's name or file; default: the smallest that fits "
        f"of {', '.join(config.shipped())}",
    )
    run.add_argument("--schedule", default="best", help=f"{', '.join(SCHEDULES)} or best")
    run.add_argument(
        "--calibration",
        metavar="X.npy",
        help="inputs that set the scale of x; default: the input itself",
    )
    run.add_argument(
        "--state",
        metavar="S.npz",
        help="h and c to begin with, float32 (layers * directions, batch, hidden) each",
    )
    run.add_argument(
        "--state-out", metavar="S.npz", help="h and c after the last step of each sequence"
    )
    run.add_argument("--prefix", default="", help="which LSTM, if the file holds several")
    run.add_argument(
        "--output-of",
        choices=("h", "head"),
        default="h",
        help="write h, or what the model computes after the LSTM",
    )
    run.add_argument("--json", metavar="FILE", help="write what was seen; - for stdout")
    _add_max_memory(run)
    run.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> None:
    model = load(options.model, options.prefix)
    if options.output_of == "head" and model.head is None:
        onnx = options.model.lower().endswith(".onnx")
        what = "gives h itself, with nothing after it" if onnx else "holds weights, and no graph"
        remedy = "leave out --output-of head" + ("" if onnx else ", or export the model as ONNX")
        raise UsageError(f"{options.model} {what}; {remedy}")
    calibration = arrays.read_npy(options.calibration) if options.calibration else None
    x = arrays.read_npy(options.input)
    lengths = arrays.read_npy(options.lengths) if options.lengths else None
    state = arrays.read_state(options.state) if options.state else None
    files.check_outputs(
        (options.output, options.state_out, options.json),
        (options.model, options.input, options.lengths, options.calibration, options.state),
    )
    with Session(
        model,
        options.config,
        options.backend,
        format=options.format,
        schedule=options.schedule,
        calibration=calibration,
        steps=np.shape(x)[1] if np.ndim(x) == 3 else 1,
        overlay=options.overlay,
        compare=True,
    ) as session:
        x = check_input(model, x, "input")
        if options.state_out:
            y, after = session.run(x, state, True, lengths)
            files.write_state(options.state_out, *after)
        else:
            y = session.run(x, state, False, lengths)
        report = session.report
    assert report is not None
    if options.output_of == "head" and model.head is not None:
        y = model.head(y) if lengths is None else head_by_length(model.head, y, lengths)
    files.write_array(options.output, y)
    for note in report.notes:
        say(f"note: {note}", sys.stderr)
    aside = any(map(files.is_stdout, (options.output, options.state_out)))
    _tell(options.json, report.as_dict(), sys.stderr if aside else sys.stdout)


def _add_fit(commands: argparse._SubParsersAction[Parser]) -> None:
    fit = commands.add_parser(
        "fit",
        help="ask which engine holds a model",
        description="Which shipped config holds a model, what that takes and how fast it is; if "
        "none for a board does (of the board, with --board), what would, and exit status 2. All "
        "figures are modelled.",
    )
    fit.add_argument("model", metavar="MODEL", help=".onnx, .safetensors or .npz")
    fit.add_argument("--board", metavar="NAME", help="this board's configs alone; none: no board")
    fit.add_argument("--format", help=f"instead of the configs' own: {', '.join(SUPPORTED)}")
    fit.add_argument("--steps", type=int, default=100, metavar="T", help="of one call; default 100")
    fit.add_argument("--prefix", default="", help="which LSTM, if the file holds several")
    fit.add_argument("--json", metavar="FILE", help="write the answer; - for stdout, no table then")
    _add_max_memory(fit)
    fit.set_defaults(command=_fit)


def _fit(options: argparse.Namespace) -> None:
    from lstm_sharp.fit import fit, table

    files.check_outputs((options.json,), (options.model,))
    model = load(options.model, options.prefix)
    answer = fit(model, options.board, options.format, options.steps)
    if not files.is_stdout(options.json):
        for line in table(answer).split("\n"):
            say(line, most=_WIDE)
    if options.json:
        _tell(options.json, answer.as_dict())
    if answer.best is None:
        where = "for any board" if options.board is None else f"for board {options.board}"
        sys.stdout.flush()
        raise UsageError(f"no shipped config {where} holds {model.name}")


def _add_package(commands: argparse._SubParsersAction[Parser]) -> None:
    package = commands.add_parser(
        "package",
        help="write what goes to the board",
        description="Write a folder with the quantised model, eight test sequences with the bits "
        "they must give, the script that runs them, and the overlay; see docs/package.md.",
    )
    package.add_argument("model", metavar="MODEL", help=".onnx, .safetensors or .npz")
    package.add_argument("--config", required=True, help="a config's name or file")
    package.add_argument(
        "-o", "--output", required=True, metavar="DIR", help="folder to write, new or a package"
    )
    package.add_argument("--format", help=f"instead of the config's: {', '.join(SUPPORTED)}")
    package.add_argument("--schedule", default="best", help=f"{', '.join(SCHEDULES)} or best")
    package.add_argument(
        "--calibration",
        metavar="X.npy",
        help="float32 (batch, time, features): sets the scale of x, its first eight sequences "
        "become the test; default: U(-1, 1)",
    )
    package.add_argument("--prefix", default="", help="which LSTM, if the file holds several")
    overlay = package.add_mutually_exclusive_group()
    overlay.add_argument(
        "--overlay",
        metavar="FILE.bit",
        help="copy it and its .hwh; default: overlays/BOARD/CONFIG.bit, if it has been built",
    )
    package.add_argument(
        "--engine",
        choices=sorted(ENGINE_VLNVS),
        help="engine to compile for; default: the overlay's, hls if there is none",
    )
    overlay.add_argument("--virtual", action="store_true", help="an overlay for the virtual board")
    _add_max_memory(package)
    package.set_defaults(command=_package)


def _package(options: argparse.Namespace) -> None:
    from lstm_sharp import package
    from lstm_sharp.package.folder import overlay_engine

    cfg = config.load(options.config).with_format(options.format)
    calibration = arrays.read_npy(options.calibration) if options.calibration else None
    model = load(options.model, options.prefix)
    with tempfile.TemporaryDirectory(prefix="lstm-sharp-") as beside:
        overlay = options.overlay or package.built_overlay(cfg)
        if options.virtual:
            from lstm_sharp.virtual.overlay import virtual_overlay

            overlay = virtual_overlay(cfg, beside)
        has = overlay_engine(overlay) if overlay else "hls"
        cfg = cfg.of(options.engine or has)
        made = package.write(model, cfg, options.output, options.schedule, calibration, overlay)
    for note in made.model.notes:
        say(f"note: {note}", sys.stderr)
    data = "the calibration data"
    if calibration is None:
        say("no --calibration: x is scaled for U(-1, 1), and so is the test", sys.stderr)
        data = "U(-1, 1)"
    error = made.about["calibration"]["max_abs_error"]
    say(f"largest error of h on {data}, against the float model: {error:.2g}")
    count, steps = made.vectors.x.shape[:2]
    size = f"{count} x {steps} steps, {'with' if overlay else 'without'} an overlay"
    engine = f"{cfg.name}, engine {cfg.engine} ({cfg.digest})"
    say(f"{options.output}: {model.name} for {engine}, {size}")


def _add_render(commands: argparse._SubParsersAction[Parser]) -> None:
    render = commands.add_parser(
        "render",
        help="write HLS project and RTL of a config",
        description="Write the HLS project and the SystemVerilog engine of a config; with a model "
        "also a job for the HLS kernel with its packed weights and test vectors.",
    )
    render.add_argument("model", metavar="MODEL", nargs="?", help=".onnx, .safetensors or .npz")
    render.add_argument("--config", required=True, help="a config's name or file")
    render.add_argument("--prefix", default="", help="which LSTM, if the file holds several")
    render.add_argument("--format", help=f"instead of the config's: {', '.join(SUPPORTED)}")
    render.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write")
    _add_max_memory(render)
    render.set_defaults(command=_render)


def _render(options: argparse.Namespace) -> None:
    from lstm_sharp.flow.render import check_target, render
    from lstm_sharp.vendor.vectors import write_vectors

    cfg = config.load(options.config).with_format(options.format)
    model = load(options.model, options.prefix) if options.model else None
    if not options.output:
        raise UsageError("'' is no folder to write to; name one")
    out = Path(options.output)
    check_target(out)
    if model is not None:
        write_vectors(model, cfg.of("hls"), out)
    render(cfg, out)
    both = ", ".join(f"{engine} {cfg.of(engine).digest}" for engine in ENGINE_VLNVS)
    say(f"{out}: {cfg.name} ({both})")


def _add_perf(commands: argparse._SubParsersAction[Parser]) -> None:
    perf = commands.add_parser(
        "perf",
        help="ask the cycle model",
        description="What the cycle model says of one layer on any engine: modelled, not measured.",
    )
    perf.add_argument("--input-size", type=int, required=True, metavar="X")
    perf.add_argument("--hidden-size", type=int, required=True, metavar="H")
    perf.add_argument("--macs", type=int, required=True, metavar="M", help="K * N")
    perf.add_argument("--k", default="best", help="rows of a tile, one of the list's, or best")
    perf.add_argument("--k-list", metavar="K,...", help="K's of a tile that changes its shape")
    perf.add_argument("--no-padding", dest="padding", action="store_false", help="one K a part")
    every = (*by_gate.SCHEDULES, *SCHEDULES, "best")
    perf.add_argument("--schedule", default="best", help=", ".join(every))
    perf.add_argument("--chains", type=int, default=1, help="sequences side by side")
    perf.add_argument("--steps", type=int, default=100, metavar="T")
    perf.add_argument("--tail", type=int, metavar="L", help="instead of the engine's own tail")
    perf.add_argument("--json", metavar="FILE", default="-", help="default: - for stdout")
    perf.set_defaults(command=_perf)


def _perf(options: argparse.Namespace) -> None:
    from lstm_sharp.compiler.perf import perf

    files.check_outputs((options.json,), ())
    given = {k: v for k, v in vars(options).items() if k not in ("command", "json")}
    _tell(options.json, perf(**given))


def _tell(where: str | None, report: dict[str, object], stream: TextIO | None = None) -> None:
    """Write a report as JSON; a few of its figures to the terminal where no file takes it."""
    text = json.dumps(report, indent=2)
    if files.is_stdout(where):
        print(text)
    elif where:
        files.write_text(where, text + "\n")
    else:
        told = (f"{k} {v}" for k, v in report.items() if v not in (None, ()) and k != "notes")
        say(", ".join(told), stream, _WIDE)
