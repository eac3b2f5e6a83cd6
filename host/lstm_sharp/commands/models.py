"""Commands that ask what a model gives and how near to float that is."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import arrays, files
from lstm_sharp.commands.shared import (
    ALLOW_HOST,
    WIDE,
    Command,
    note,
    one,
    option,
    read,
    takes_model,
    tell,
    tell_axes,
)
from lstm_sharp.engine import config
from lstm_sharp.errors import AccuracyError, UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.model import OF_NO_NOTE
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.formats import DEFAULT_FORMAT, USUAL, Format
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT, METHODS, quantize
from lstm_sharp.numerics.stored import load, load_model
from lstm_sharp.runtime import accuracy_report, answers, graph_files, overview
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.graphs import GraphSession, series
from lstm_sharp.runtime.inputs import check_input
from lstm_sharp.runtime.session import BACKENDS, CUT_REVERSE, OUTPUTS, Session
from lstm_sharp.terminal import Parser, Progress, ends, say, without_warnings

_ANY = {"max_shift": DEFAULT_MAX_SHIFT, "row_scales": True}
"""What an engine holds of scales, where no shipped config holds the model."""


def _add_run(run: Parser) -> None:
    smallest = f"default: the smallest for the format that fits, of {', '.join(config.shipped())}"
    y = "float32 (batch, time, hidden * directions), the last layer's h"
    s = "float32 (layers * directions, batch, hidden) each"
    x = "float32 (batch, time, features); each input of a graph: NAME=X.npy or NAME=NUMBER"
    option(run, "--input", required=True, metavar="X.npy", action="append", help=x)
    whole = "of a whole graph its output, or a folder/ or .npz for several"
    option(run, "--output", required=True, metavar="Y.npy", help=f"{y}; {whole}")
    option(run, "--allow-host", action="store_true", help=ALLOW_HOST)
    option(run, "--lengths", metavar="L.npy", help="whole numbers (batch,): steps of each")
    option(run, "--backend", default="golden", help=f"{', '.join(BACKENDS)}; default: golden")
    option(run, "--overlay", metavar="FILE.bit", help="for board; default: that of the config")
    option(run, "--config", help=f"name of a config or a board, or a file; {smallest}")
    option(run, "--schedule")
    x = "inputs that set the scale of x; default: the input itself"
    option(run, "--calibration", action="append", help=x)
    option(run, "--state", metavar="S.npz", help=f"h and c to begin with, {s}")
    option(run, "--state-out", metavar="S.npz", help="h and c after each sequence's last step")
    head = "write h, or what the model computes after the LSTM"
    option(run, "--output-of", choices=OUTPUTS, default="h", help=head)
    option(run, "--json")
    takes_model(run)


@without_warnings()
def _run(options: Namespace) -> None:
    """Run a trained network on an input, its recurrent layers on the engine.

    In float, in integers, on the HLS C++ kernel, on the cycle-accurate RTL engine, or on a board.
    """
    whole = graph_files.named(options.input, options.output) and not options.prefix
    model = load(options.model, options.prefix, whole=whole, allow_host=options.allow_host)
    if isinstance(model, Graph):
        return _run_graph(options, model)
    options.input = one("--input", options.input)
    options.calibration = one("--calibration", options.calibration)
    if options.output_of == "head" and model.head is None:
        raise UsageError(f"{options.model} {model.no_head}; leave out --output-of head")
    tell_axes(model)
    calibration = read(options.calibration)
    x = arrays.read_npy(options.input)
    lengths = read(options.lengths)
    state = arrays.read_state(options.state) if options.state else None
    files.check_outputs(
        (options.output, options.state_out, options.json),
        (options.model, options.input, options.lengths, options.calibration, options.state),
    )
    steps = np.shape(x)[1] if np.ndim(x) == 3 else 1
    with Session(model, **_how(options, calibration, steps)) as session:
        x = check_input(model, x, "input")
        give = options.state_out is not None
        found = session.run(x, state, give, lengths, options.output_of)
        y, after = found if give else (found, None)
        report, virtual = session.report, session.runs.virtual
    assert report is not None
    own, wide = report.signal_to_error, USUAL[0]
    # Of what is clipped another format is no cure.
    clipped = model.quantized is not None or report.saturated_x
    if own is not None and own < accuracy_report.LOW and report.format != wide and not clipped:
        with (
            suppress(UsageError),  # which is no reason not to give what has been computed
            Session(model, format=wide, calibration=calibration, compare=True) as other,
        ):
            other.run(x, state, False, lengths)
            found = other.ran and other.ran.signal_to_error
            told = accuracy_report.advice(
                report.format, {report.format: own, wide: found or np.inf}
            )
            report = replace(report, notes=(*report.notes, *filter(None, [told])))
    files.write_array(options.output, y)
    if after:
        files.write_state(options.state_out, *after)
    cut = (options.state or options.state_out) and model.reverse
    told_of_head = getattr(model.head, "note", "")
    if model.head is None and model.no_head not in OF_NO_NOTE:
        told_of_head = f"{options.model} {model.no_head}"
    if model.head and not told_of_head and options.output_of == "h":
        told_of_head = f"{options.output} has h; --output-of head gives what the model makes of it"
    note(*report.notes, *[CUT_REVERSE] * bool(cut), *filter(None, [told_of_head]))
    aside = any(map(files.is_stdout, (options.output, options.state_out)))
    lines = answers.of_run(report, virtual, options.config is None)
    tell(options.json, report.as_dict(), lines, sys.stderr if aside else sys.stdout)


def _how(options: Namespace, calibration: Any, steps: int) -> dict[str, Any]:
    """Return what a session of ``run`` is made with beside the model."""
    names = ("config", "backend", "format", "schedule", "overlay")
    asked = {name: getattr(options, name) for name in names}
    progress = Progress("simulating")
    return {
        **asked,
        "calibration": calibration,
        "steps": steps,
        "progress": progress,
        "compare": True,
    }


def _run_graph(options: Namespace, graph: Graph) -> None:
    """Run a whole graph, and write its outputs."""
    of_one = {
        "--lengths": options.lengths,
        "--state": options.state,
        "--state-out": options.state_out,
        "--output-of": options.output_of == "head",
    }
    for name, given in of_one.items():
        if given:
            raise UsageError(
                f"{name} is of a single stack, and {graph.source} is a whole graph: states and "
                "lengths are inputs and outputs of its own; see lstm-sharp inspect"
            )
    files.check_outputs(
        (options.json, *([] if graph_files.is_folder(options.output) else [options.output])),
        (options.model, *graph_files.paths([*options.input, *(options.calibration or [])])),
    )
    graph_files.check(graph, options.output)
    calls = list(series(graph, graph_files.read(graph, options.input)))
    steps = max((np.shape(v)[1] for v in calls[0].values() if np.ndim(v) > 1), default=1)
    data = options.calibration and graph_files.read(graph, options.calibration)
    how = {**_how(options, data, steps), "stateful": len(calls) > 1}
    with GraphSession(graph, **how) as session:
        found, report = session.run_series(calls)
    graph_files.write(options.output, found, [out for _, out in report.states])
    told = [f"{name}: {n}" for name, each in report.parts.items() for r in each for n in r.notes]
    note(*dict.fromkeys([*report.notes, *told]))
    aside = sys.stderr if files.is_stdout(options.output) else sys.stdout
    lines = answers.of_graph(report, options.config is None)
    tell(options.json, report.as_dict(), lines, aside)


def _add_compare(compare: Parser) -> None:
    x = "float32 (batch, time, features); each input of a graph: NAME=X.npy or NAME=NUMBER"
    option(compare, "--input", required=True, metavar="X.npy", action="append", help=x)
    y = "what is right, whole numbers (batch,), or one for each step"
    option(compare, "--labels", metavar="Y.npy", help=y)
    x = "inputs that set the scales; default: the input itself"
    option(compare, "--calibration", action="append", help=x)
    option(compare, "--config", help="whose limits count; default: the smallest that fits")
    option(compare, "--allow-host", action="store_true", help=ALLOW_HOST)
    option(compare, "--json")
    takes_model(compare)


def _compare(options: Namespace) -> None:
    """Hold float and each number format side by side: errors, labels, accuracy.

    What is compared is the model's own output, or h where it has no other. The golden model
    computes it, which has the engine's bits. --format gives one format alone.
    """
    files.check_outputs((options.json,), (options.model, options.labels))
    whole = graph_files.named(options.input, "") and not options.prefix
    model = load(options.model, options.prefix, whole=whole, allow_host=options.allow_host)
    labels = arrays.read_npy(options.labels, "fiub") if options.labels else None
    if isinstance(model, Graph):
        x: Any = graph_files.read(model, options.input)
        data: Any = options.calibration and graph_files.read(model, options.calibration)
    else:
        tell_axes(model)
        x = check_input(model, arrays.read_npy(one("--input", options.input) or ""), "input")
        data = read(one("--calibration", options.calibration))
    formats = (options.format,) if options.format else USUAL
    with without_warnings():
        found = answers.compare(model, x, labels, data, formats, options.config)
    tell(options.json, found, found.lines())
    if getattr(model, "quantized", None) is None:
        scales = "other inputs" if data is not None else "the input itself"
        note(f"scales are chosen on {scales}")


def _add_inspect(inspect: Parser) -> None:
    option(inspect, "--svg", metavar="FILE.svg", help="draw it")
    option(inspect, "--allow-host", action="store_true", help=ALLOW_HOST)
    option(inspect, "--json")
    takes_model(inspect)


def _inspect(options: Namespace) -> None:
    """Tell what is in a model.

    That is each recurrent part, its sizes, directions and initial states, which engine runs it, and
    what the host computes around it.
    """
    files.check_outputs((options.svg, options.json), (options.model,))
    whole = options.model.lower().endswith(".onnx") and not options.prefix
    model = load(options.model, options.prefix, whole=whole, allow_host=options.allow_host)
    found = overview.rows(model, options.format)
    if options.svg:
        files.write_text(options.svg, overview.svg(found))
    if not files.is_stdout(options.json):
        for line in overview.text(found):
            say(line, most=WIDE)
        note(*(model.notes if isinstance(model, Graph) else ()))
    if options.json:
        tell(options.json, {"source": str(options.model), "pieces": found})


def _add_quantize(quantize: Parser) -> None:
    x = "float32 (batch, time, features): what scales are chosen on"
    data = quantize.add_mutually_exclusive_group(required=True)
    option(data, "--calibration", help=x)
    told = "instead: the ends between which x lies; it is drawn, and the method is min-max"
    option(data, "--assume-range", metavar="A,B", type=ends, help=told)
    option(quantize, "-o", "--output", required=True, metavar="Q.npz", help="model file to write")
    option(quantize, "--config", help="whose limits count; default: the smallest that fits")
    option(quantize, "--method", help=f"how scales are chosen: {', '.join(METHODS)}")
    told = "other inputs, to measure on; default: those that scales are chosen on"
    option(quantize, "--evaluation", metavar="Y.npy", help=told)
    told = "exit status 6 if h is farther than this from that of the float model"
    option(quantize, "--max-error", type=float, metavar="E", help=told)
    told = f"write the report, by the suffix: {', '.join(accuracy_report.FORMS)}"
    option(quantize, "--report", metavar="FILE", help=told)
    takes_model(quantize)


def _quantize(options: Namespace) -> None:
    """Choose a model's scales on data, and tell how far from float it is and why.

    What is written is a model file with both models, for all other commands; see docs/accuracy.md.
    """
    out, most, told = options.output, options.max_error, options.report
    for name, suffixes in ((out, (".npz",)), (told, accuracy_report.FORMS)):
        if name is not None and Path(name).suffix not in suffixes:
            raise UsageError(f"{name} tells no kind of file; end it in {' or '.join(suffixes)}")
    if most is not None and not most >= 0:
        raise UsageError(f"--max-error {most:g} is no error; give 0 or more")
    files.check_outputs((out, told), (options.model, options.calibration, options.evaluation))
    model = replace(load_model(options.model, options.prefix), quantized=None)
    x, method = read(options.calibration), options.method or "error"
    if x is None:
        from lstm_sharp.package import vectors

        x, method = vectors.drawn(model, *options.assume_range), options.method or "min-max"
    x = y = check_input(model, x, "calibration data")
    if options.evaluation:
        y = check_input(model, arrays.read_npy(options.evaluation), "evaluation data")
    cfg = choose(model, options.config, options.format, required=False)
    fmt = cfg.fmt if cfg else Format.parse(options.format or DEFAULT_FORMAT)
    how: dict[str, Any] = {"calibration": x, "method": method, **(cfg.limits if cfg else _ANY)}

    def progress(next_one: str) -> None:
        if sys.stderr.isatty():
            say(f"{next_one} ...", sys.stderr)

    progress(f"choosing scales for {fmt}")
    made = quantize(model, fmt, **how)
    _, told_of_head = stored.with_head(model)
    note(*told_of_head)
    made = replace(made, notes=(*made.notes, *told_of_head))
    report = accuracy_report.measure(model, made, y, how, progress)
    if report.advice:
        advised = f"measured when it was quantised: {report.advice}"
        made = replace(made, notes=(*made.notes, advised))
    model = replace(model, quantized=made)
    stored.write(out, model, {"method": method, "figures": report.tables})
    if told is not None:
        files.write_text(told, report.laid_out(Path(told).suffix))
    for line in report.laid_out(accuracy_report.FORMS[0]).split("\n"):
        say(line, most=WIDE)
    if most is not None and report.worst > most:
        raise AccuracyError(f"the largest error of h is {report.worst:.3g}, over {most:g}")


COMMANDS = (
    Command("run", "run a model on an input", _run, _add_run),
    Command("compare", "hold the number formats against the float model", _compare, _add_compare),
    Command("inspect", "tell what is in a model, and draw it", _inspect, _add_inspect),
    Command(
        "quantize",
        "choose scales on data, and tell how far from float that is",
        _quantize,
        _add_quantize,
    ),
)
