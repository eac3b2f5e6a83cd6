"""The command line ``lstm-sharp``."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lstm_sharp import __version__, arrays, files
from lstm_sharp.compiler import by_gate
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.boards import looking_in
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import AccuracyError, UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.model.model import OF_NO_NOTE, Model
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.formats import DEFAULT_FORMAT, KNOWN, USUAL, Format
from lstm_sharp.numerics.quantize import DEFAULT_MAX_SHIFT, METHODS, quantize
from lstm_sharp.numerics.stored import load, load_model
from lstm_sharp.runtime import accuracy_report, answers, graph_files, overview
from lstm_sharp.runtime.choose import choose
from lstm_sharp.runtime.graphs import GraphReport, GraphSession, series, stacked
from lstm_sharp.runtime.inputs import check_input
from lstm_sharp.runtime.session import BACKENDS, OUTPUTS, Session
from lstm_sharp.terminal import Parser, Progress, ended, ends, say, size

_ANY = {"max_shift": DEFAULT_MAX_SHIFT, "row_scales": True}
"""What an engine holds of scales, where no shipped config holds the model."""
_ALLOW_HOST = "let the host compute, in float, recurrent nodes that no engine does"
_WIDE = 10_000
"""Characters of a line of figures."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"metavar": "MODEL", "help": ".onnx, .keras, .h5, .safetensors or .npz"},
    "--prefix": {"default": "", "dest": "prefix", "help": "one LSTM of those in the file"},
    "--config": {"help": "name of a config or a board, or a file"},
    "--format": {"help": f"number format instead of the config's: {KNOWN}"},
    "--schedule": {"default": "best", "help": f"{', '.join(SCHEDULES)} or best"},
    "--calibration": {"metavar": "X.npy"},
    "--steps": {"type": int, "default": 100, "metavar": "T", "help": "of one call; default 100"},
    "--json": {"metavar": "FILE", "help": "write what was seen; - for stdout"},
    "--board-dir": {"metavar": "DIR", "help": "with boards of your own: DIR/BOARD/board.json"},
    "--max-memory": {"type": size, "metavar": "SIZE", "help": "of a file read; default 2G"},
}
"""What the commands' options of these names have in common."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, 2 for what the user can mend."""
    options = parser().parse_args(arguments)
    given = vars(options)

    def act() -> None:
        with looking_in(given.pop("board_dir")), files.max_memory(given.pop("max_memory", None)):
            options.command(options)

    return ended(act, "lstm-sharp: ")


def parser() -> Parser:
    """Make the parser of all commands."""
    parser = Parser(
        prog="lstm-sharp",
        description="LSTM inference on FPGAs, from a trained model to a board.",
        epilog="Exit status: 0 done; 2 bad input; 3 a tool is missing or fails; 4 a fault of the "
        "engine or inside; 5 the board's; 6 an error over --max-error.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for run, told, add in (
        (_run, "run a model on an input", _add_run),
        (_compare, "hold the number formats against the float model", _add_compare),
        (_inspect, "tell what is in a model, and draw it", _add_inspect),
        (_fit, "ask which engine holds a model", _add_fit),
        (_explore, "search for an engine of one's own", _add_explore),
        (_report, "write a page of a model on an engine, with drawings", _add_report),
        (_quantize, "choose scales on data, and tell how far from float that is", _add_quantize),
        (_package, "write what goes to the board", _add_package),
        (_render, "write HLS project and RTL of a config", _add_render),
        (_perf, "ask the cycle model", _add_perf),
        (_paper, "redo the paper's figures", _add_paper),
    ):
        command = commands.add_parser(run.__name__[1:], help=told, description=run.__doc__)
        command.set_defaults(command=run)
        add(command)
        _option(command, "--board-dir")
        if run not in (_perf, _paper):
            _option(command, "model", nargs="?" if run is _render else None)
            if run is not _explore:
                _option(command, "--format")
            _option(command, "--node", "--prefix")
            _option(command, "--max-memory")
    return parser


def _option(to: Any, *names: str, **own: Any) -> None:
    """Add an option to a command, with what is its own beside what all of the name have."""
    to.add_argument(*names, **{**_OPTIONS.get(names[-1], {}), **own})


def _add_run(run: Parser) -> None:
    smallest = f"default: the smallest for the format that fits, of {', '.join(config.shipped())}"
    y = "float32 (batch, time, hidden * directions), the last layer's h"
    s = "float32 (layers * directions, batch, hidden) each"
    x = "float32 (batch, time, features); each input of a graph: NAME=X.npy or NAME=NUMBER"
    _option(run, "--input", required=True, metavar="X.npy", action="append", help=x)
    whole = "of a whole graph its output, or a folder/ or .npz for several"
    _option(run, "--output", required=True, metavar="Y.npy", help=f"{y}; {whole}")
    _option(run, "--allow-host", action="store_true", help=_ALLOW_HOST)
    _option(run, "--lengths", metavar="L.npy", help="whole numbers (batch,): steps of each")
    _option(run, "--backend", default="golden", help=f"{', '.join(BACKENDS)}; default: golden")
    _option(run, "--overlay", metavar="FILE.bit", help="for board; default: that of the config")
    _option(run, "--config", help=f"name of a config or a board, or a file; {smallest}")
    _option(run, "--schedule")
    x = "inputs that set the scale of x; default: the input itself"
    _option(run, "--calibration", action="append", help=x)
    _option(run, "--state", metavar="S.npz", help=f"h and c to begin with, {s}")
    _option(run, "--state-out", metavar="S.npz", help="h and c after each sequence's last step")
    head = "write h, or what the model computes after the LSTM"
    _option(run, "--output-of", choices=OUTPUTS, default="h", help=head)
    _option(run, "--json")


def _run(options: Namespace) -> None:
    """Run a trained network on an input, its recurrent layers on the engine.

    In float, in integers, on the HLS C++ kernel, on the cycle-accurate RTL engine, or on a board.
    """
    whole = graph_files.named(options.input, options.output) and not options.prefix
    model = load(options.model, options.prefix, whole=whole, allow_host=options.allow_host)
    if isinstance(model, Graph):
        return _run_graph(options, model)
    options.input = _one("--input", options.input)
    options.calibration = _one("--calibration", options.calibration)
    if options.output_of == "head" and model.head is None:
        raise UsageError(f"{options.model} {model.no_head}; leave out --output-of head")
    _tell_axes(model)
    calibration = _read(options.calibration)
    x = arrays.read_npy(options.input)
    lengths = _read(options.lengths)
    state = arrays.read_state(options.state) if options.state else None
    files.check_outputs(
        (options.output, options.state_out, options.json),
        (options.model, options.input, options.lengths, options.calibration, options.state),
    )
    with (
        warnings.catch_warnings(),
        Session(
            model,
            options.config,
            options.backend,
            format=options.format,
            schedule=options.schedule,
            calibration=calibration,
            steps=np.shape(x)[1] if np.ndim(x) == 3 else 1,
            overlay=options.overlay,
            progress=Progress("simulating"),
            compare=True,
        ) as session,
    ):
        warnings.simplefilter("ignore")  # the report's notes say the same
        x = check_input(model, x, "input")
        give = options.state_out is not None
        found = session.run(x, state, give, lengths, options.output_of)
        y, after = found if give else (found, None)
        report, virtual = session.report, session.runs.virtual
    assert report is not None
    own, wide = report.signal_to_error, USUAL[0]
    clipped = (
        model.quantized is not None or report.saturated_x
    )  # which another format is no cure of
    if own is not None and own < accuracy_report.LOW and report.format != wide and not clipped:
        with (
            warnings.catch_warnings(),
            suppress(UsageError),  # which is no reason not to give what has been computed
            Session(model, format=wide, calibration=calibration, compare=True) as other,
        ):
            warnings.simplefilter("ignore")
            other.run(x, state, False, lengths)
            found = other.ran and other.ran.signal_to_error
            told = accuracy_report.advice(
                report.format, {report.format: own, wide: found or np.inf}
            )
            report = replace(report, notes=(*report.notes, *filter(None, [told])))
    files.write_array(options.output, y)
    if after:
        files.write_state(options.state_out, *after)
    for note in report.notes:
        say(f"note: {note}", sys.stderr)
    told_of_head = getattr(model.head, "note", "")
    if model.head is None and model.no_head not in OF_NO_NOTE:
        told_of_head = f"{options.model} {model.no_head}"
    if told_of_head:
        say(f"note: {told_of_head}", sys.stderr)
    aside = any(map(files.is_stdout, (options.output, options.state_out)))
    lines = answers.of_run(report, virtual, options.config is None)
    _tell(options.json, report.as_dict(), lines, sys.stderr if aside else sys.stdout)


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
    with (
        warnings.catch_warnings(),
        GraphSession(
            graph,
            options.config,
            options.backend,
            format=options.format,
            schedule=options.schedule,
            steps=steps,
            overlay=options.overlay,
            progress=Progress("simulating"),
            calibration=data,
            stateful=len(calls) > 1,
            compare=True,
        ) as session,
    ):
        warnings.simplefilter("ignore")  # the report's notes say the same
        outputs, reports = [], []
        for call in calls:
            outputs.append(session.run(call))
            reports += [session.report] if session.report else []
    report, found = GraphReport.of(reports), outputs[0]
    if len(calls) > 1:
        found = stacked(outputs)
    graph_files.write(options.output, found, [out for _, out in report.states])
    told = [f"{name}: {n}" for name, each in report.parts.items() for r in each for n in r.notes]
    for note in dict.fromkeys([*report.notes, *told]):
        say(f"note: {note}", sys.stderr)
    aside = sys.stderr if files.is_stdout(options.output) else sys.stdout
    lines = answers.of_graph(report, options.config is None)
    _tell(options.json, report.as_dict(), lines, aside)


def _add_compare(compare: Parser) -> None:
    x = "float32 (batch, time, features); each input of a graph: NAME=X.npy or NAME=NUMBER"
    _option(compare, "--input", required=True, metavar="X.npy", action="append", help=x)
    y = "what is right, whole numbers (batch,), or one for each step"
    _option(compare, "--labels", metavar="Y.npy", help=y)
    x = "inputs that set the scales; default: the input itself"
    _option(compare, "--calibration", action="append", help=x)
    _option(compare, "--config", help="whose limits count; default: the smallest that fits")
    _option(compare, "--allow-host", action="store_true", help=_ALLOW_HOST)
    _option(compare, "--json")


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
        _tell_axes(model)
        x = check_input(model, arrays.read_npy(_one("--input", options.input) or ""), "input")
        data = _read(_one("--calibration", options.calibration))
    formats = (options.format,) if options.format else USUAL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = answers.compare(model, x, labels, data, formats, options.config)
    _tell(options.json, found.as_dict(), found.lines())
    if getattr(model, "quantized", None) is None:
        scales = "other inputs" if data is not None else "the input itself"
        say(f"note: scales are chosen on {scales}", sys.stderr)


def _add_inspect(inspect: Parser) -> None:
    _option(inspect, "--svg", metavar="FILE.svg", help="draw it")
    _option(inspect, "--allow-host", action="store_true", help=_ALLOW_HOST)
    _option(inspect, "--json")


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
            say(line, most=_WIDE)
        for note in model.notes if isinstance(model, Graph) else ():
            say(f"note: {note}", sys.stderr)
    if options.json:
        _tell(options.json, {"source": str(options.model), "pieces": overview.as_dicts(found)})


def _add_fit(fit: Parser) -> None:
    _option(fit, "--board", metavar="NAME", help="this board's configs alone; none: no board")
    _option(fit, "--steps")
    _option(fit, "--json", help="write the answer; - for stdout, no table then")
    told = "write the config to take, for --config and make; where none fits, one that would"
    _option(fit, "--write-config", metavar="FILE.json", help=told)


def _fit(options: Namespace) -> None:
    """Which shipped config holds a model, what that takes and how fast it is.

    If none for a board does (of the board, with --board), what would, and exit status 2. All
    figures are modelled.
    """
    from lstm_sharp.fit import best_of, fit, own_config, table
    from lstm_sharp.runtime.deploy import Cells

    _check_config_file(options.write_config)
    files.check_outputs((options.json, options.write_config), (options.model,))
    model = load(options.model, options.prefix)
    if isinstance(model, Graph):
        parts = list({Cells.of(p.model): p.model for p in model.parts}.values())
        fmt, notes = options.format, model.notes
    else:
        fmt, made = stored.own_format(model, options.format), model.quantized
        parts, notes = [made or model], made.notes if made else ()
    found = [fit(part, options.board, fmt, options.steps) for part in parts]
    if not any(map(files.is_stdout, (options.json, options.write_config))):
        for line in "\n\n".join(map(table, found)).split("\n"):
            say(line, most=_WIDE)
    best = best_of(found)
    if isinstance(model, Graph):
        say(f"{best or 'no one config'} holds all parts of {model.source}", sys.stderr)
    if options.json:
        told = found[0].as_dict()
        if isinstance(model, Graph):
            told = {"best": best, "parts": [answer.as_dict() for answer in found]}
        _tell(options.json, told)
    for note in notes:
        say(f"note: {note}", sys.stderr)
    if options.write_config:
        _write_config(options.write_config, own_config(found, best))
    if best is None:
        where = "for any board" if options.board is None else f"for board {options.board}"
        sys.stdout.flush()
        raise UsageError(f"no shipped config {where} holds {model.name}")


def _add_report(report: Parser) -> None:
    x = "float32 (batch, time, features): errors are measured on it; default: the calibration data"
    _option(report, "--config", required=True)
    _option(report, "--input", metavar="X.npy", help=x)
    x = "inputs that set the scales; default: the input; with neither, x is drawn from -1 to 1"
    _option(report, "--calibration", help=x)
    _option(report, "-o", "--output", required=True, metavar="R.html", help="page to write")


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
    fmt = stored.own_format(model, options.format, _read(data))
    cfg = config.load(options.config).with_format(fmt)
    told = page(model, cfg, _read(x), _read(data), Progress("working out the page"))
    files.write_text(out, told.text)
    for sentence in told.verdict:
        say(sentence)


def _add_explore(explore: Parser) -> None:
    from lstm_sharp.explore.search import AXES

    _option(explore, "--board", required=True, metavar="NAME", help="that the engine is for")
    told = f"{_OPTIONS['--format']['help'].split(':')[0]}; as often as wanted"
    _option(explore, "--format", action="append", default=[], help=told)
    _option(explore, "--steps")
    _option(explore, "--calibration", help="measure errors on it; default: x is drawn")
    told = "engines to ask about; default 1000"
    _option(explore, "--candidates", type=int, default=1000, metavar="N", help=told)
    told = f"what the chosen one is best at: {', '.join(AXES)}; default {AXES[0]}"
    _option(explore, "--choose", default=AXES[0], metavar="AXIS", help=told)
    told = "of h, that the chosen one may have; default: twice the least"
    _option(explore, "--max-error", type=float, metavar="E", help=told)
    _option(explore, "-o", "--output", metavar="FILE.json", help="write the chosen config")
    _option(explore, "--svg", metavar="FILE", help="draw the front, as .svg or .png")
    told = "build the best N: bits and cycles on Verilator, counts by Yosys"
    _option(explore, "--verify", type=int, default=0, metavar="N", help=told)
    told = "address of a Dask scheduler; default: processes here"
    _option(explore, "--scheduler", metavar="ADDRESS", help=told)
    told = "keeps what has been asked; default: lstm-sharp/explore.sqlite among your caches"
    _option(explore, "--cache", metavar="FILE", help=told)
    _option(explore, "--json")


def _explore(options: Namespace) -> None:
    """Search for an engine of one's own, for a model on a board.

    Held against each other by latency, throughput, what they take of the board, and error; none of
    the front is better than another in all. All figures are modelled; see docs/explore.md.
    """
    from lstm_sharp.explore import cache, executors, front, verify
    from lstm_sharp.explore.session import best, check, data_of, explore

    outputs = (options.json, options.output, options.svg)
    inputs = (options.model, options.calibration)
    _check_config_file(options.output)
    files.check_outputs((*outputs, options.cache), inputs)
    front.check_drawing(options.svg)
    check(options.choose, options.candidates, options.max_error)
    verify.check(options.verify)
    model = load_model(options.model, options.prefix)
    stored.own_format(model, options.format[0] if options.format else None)
    x, place = _read(options.calibration), options.cache
    with (
        cache.opened(Path(place) if place else None) as kept,
        executors.executor(options.scheduler) as (executor, workers),
    ):
        if kept.others:
            say(f"note: {kept.others:,} answers of other versions in the cache", sys.stderr)
        try:
            found = explore(
                model,
                options.board,
                executor,
                kept,
                workers=workers,
                formats=options.format,
                calibration=x,
                steps=options.steps,
                most=options.candidates,
                choice=options.choose,
                most_error=options.max_error,
                told=Progress("asking about engines"),
            )
        except KeyboardInterrupt:
            say("interrupted; the same command goes on with what is in the cache", sys.stderr)
            raise
    if options.output:
        _write_config(options.output, found.chosen.config)
    if options.svg:
        front.draw(found, options.svg)
    told, lines = found.as_dict(), list(front.lines(found))
    if options.verify:
        of = best(found.front, found.choice)[: options.verify]
        seen = list(verify.verify(model, of, data_of(model, x), Progress("building engines")))
        told["verified"] = [one.as_dict() for one in seen]
        lines += ["", *front.of_verified(seen)]
    _tell(options.json, told, lines)


def _check_config_file(path: str | None) -> None:
    """Refuse a name by which no command would take a config."""
    if path and not files.is_stdout(path) and Path(path).suffix != ".json":
        raise UsageError(f"{path} is no name of a config; end it in .json")


def _write_config(path: str, cfg: config.Config) -> None:
    """Write a config under the name of its file."""
    out = Path(path)
    named = replace(cfg, name=re.sub("[^A-Za-z0-9_-]+|^-$", "own", out.stem))
    files.write_text(path, json.dumps(named.knobs(), indent=2) + "\n")
    line = f"{out}: {named.macs} multipliers, {named.format}, for {named.board}"
    say(line, sys.stderr if files.is_stdout(path) else sys.stdout)


def _add_quantize(quantize: Parser) -> None:
    x = "float32 (batch, time, features): what scales are chosen on"
    data = quantize.add_mutually_exclusive_group(required=True)
    _option(data, "--calibration", help=x)
    told = "instead: the ends between which x lies; it is drawn, and the method is min-max"
    _option(data, "--assume-range", metavar="A,B", type=ends, help=told)
    _option(quantize, "-o", "--output", required=True, metavar="Q.npz", help="model file to write")
    _option(quantize, "--config", help="whose limits count; default: the smallest that fits")
    _option(quantize, "--method", help=f"how scales are chosen: {', '.join(METHODS)}")
    told = "other inputs, to measure on; default: those that scales are chosen on"
    _option(quantize, "--evaluation", metavar="Y.npy", help=told)
    told = "exit status 6 if h is farther than this from that of the float model"
    _option(quantize, "--max-error", type=float, metavar="E", help=told)
    told = f"write the report, by the suffix: {', '.join(accuracy_report.FORMS)}"
    _option(quantize, "--report", metavar="FILE", help=told)


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
    x, method = _read(options.calibration), options.method or "error"
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
    for note in told_of_head:
        say(f"note: {note}", sys.stderr)
    made = replace(made, notes=(*made.notes, *told_of_head))
    report = accuracy_report.measure(model, made, y, how, progress)
    if report.advice:
        note = f"measured when it was quantised: {report.advice}"
        made = replace(made, notes=(*made.notes, note))
    model = replace(model, quantized=made)
    stored.write(out, model, {"method": method, "figures": report.tables})
    if told is not None:
        files.write_text(told, report.laid_out(Path(told).suffix))
    for line in report.laid_out(accuracy_report.FORMS[0]).split("\n"):
        say(line, most=_WIDE)
    if most is not None and report.worst > most:
        raise AccuracyError(f"the largest error of h is {report.worst:.3g}, over {most:g}")


def _add_package(package: Parser) -> None:
    x = "float32 (batch, time, features): sets the scale of x, its first eight are the test"
    bit = "copy it and its .hwh; default: overlays/BOARD/CONFIG.bit, if it has been built"
    engine = "engine to compile for; default: the overlay's, hls if there is none"
    folder = "folder to write, new or a package"
    overlay = package.add_mutually_exclusive_group()
    _option(package, "--config", required=True)
    _option(package, "-o", "--output", required=True, metavar="DIR", help=folder)
    _option(package, "--schedule")
    data = package.add_mutually_exclusive_group()
    told = f"{x}; needed unless the model is quantised; of a graph NAME=X.npy for each input"
    _option(data, "--calibration", action="append", help=told)
    _option(package, "--allow-host", action="store_true", help=_ALLOW_HOST)
    told = "instead: the ends between which x lies"
    _option(data, "--assume-range", metavar="A,B", type=ends, help=told)
    _option(overlay, "--overlay", metavar="FILE.bit", help=bit)
    _option(package, "--engine", choices=sorted(ENGINE_VLNVS), help=engine)
    _option(overlay, "--virtual", action="store_true", help="an overlay for the virtual board")


def _package(options: Namespace) -> None:
    """Write a folder with a quantised model, and what tests it on a board.

    That is eight test sequences with the bits they must give, the script that runs them, and the
    overlay; see docs/package.md.
    """
    from lstm_sharp import package

    model = load(options.model, options.prefix, allow_host=options.allow_host)
    if isinstance(model, Graph):
        return _package_graph(options, model)
    _tell_axes(model)
    calibration = _read(_one("--calibration", options.calibration))
    assume = options.assume_range
    fmt = stored.own_format(model, options.format, assume if calibration is None else calibration)
    cfg = config.load(options.config).with_format(fmt)
    with _overlay_for(options, cfg) as (cfg, overlay):
        out, schedule = options.output, options.schedule
        made = package.write(model, cfg, out, schedule, calibration, overlay, assume=assume)
    for note in made.model.notes:
        say(f"note: {note}", sys.stderr)
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


def _add_render(render: Parser) -> None:
    _option(render, "--config", required=True)
    _option(render, "-o", "--output", required=True, metavar="DIR", help="folder to write")


def _render(options: Namespace) -> None:
    """Write the HLS project and the SystemVerilog engine of a config.

    The engine's folder stands alone: its README says how to simulate and integrate it. With a model
    the simulation plays its test vectors, and there is a job for the HLS kernel too.
    """
    from lstm_sharp.flow.render import check_target, render
    from lstm_sharp.vendor import standalone
    from lstm_sharp.vendor.vectors import write_vectors

    model = load_model(options.model, options.prefix) if options.model else None
    fmt = stored.own_format(model, options.format) if model else options.format
    cfg = config.load(options.config).with_format(fmt)
    if not options.output:
        raise UsageError("'' is no folder to write to; name one")
    out = Path(options.output)
    check_target(out)
    standalone.check_target(out)
    if model is not None:
        write_vectors(model, cfg.of("hls"), out)
    render(cfg, out)
    standalone.write(model, cfg, out)
    both = ", ".join(f"{engine} {cfg.of(engine).digest}" for engine in ENGINE_VLNVS)
    say(f"{out}: {cfg.name} ({both}); simulate it: make -C {out / 'sim'}")


def _add_perf(perf: Parser) -> None:
    every = (*by_gate.SCHEDULES, *SCHEDULES, "best")
    _option(perf, "--input-size", type=int, required=True, metavar="X")
    _option(perf, "--hidden-size", type=int, required=True, metavar="H")
    _option(perf, "--macs", type=int, required=True, metavar="M", help="K * N")
    _option(perf, "--k", default="best", help="rows of a tile, one of the list's, or best")
    _option(perf, "--k-list", metavar="K,...", help="K's of a tile that changes its shape")
    _option(perf, "--no-padding", dest="padding", action="store_false", help="one K a part")
    _option(perf, "--schedule", help=", ".join(every))
    _option(perf, "--chains", type=int, default=1, help="sequences side by side")
    _option(perf, "--steps")
    _option(perf, "--tail", type=int, metavar="L", help="instead of the engine's own tail")
    _option(perf, "--json")


def _perf(options: Namespace) -> None:
    """What the cycle model says of one layer on any engine: modelled, not measured."""
    from lstm_sharp.compiler.perf import perf

    files.check_outputs((options.json,), ())
    given = {k: v for k, v in vars(options).items() if k not in ("command", "json")}
    found = perf(**given)
    _tell(options.json, found, answers.of_perf(found))


def _add_paper(paper: Parser) -> None:
    told = "folder for README.md, pictures and JSON"
    _option(paper, "-o", "--output", required=True, metavar="DIR", help=told)


def _paper(options: Namespace) -> None:
    """Redo the paper's tables and figures, from a checkout: docs/paper/ into a folder."""
    try:  # by name, for the product does not know the workshop
        import_module("matplotlib")
        made = import_module("workshop.paper.__main__").make
    except ImportError as error:
        raise UsageError(
            f"the paper's figures are made in a checkout, after make setup ({error}); an installed "
            "package has not what makes them"
        ) from None
    made(Path(options.output))


def _tell_axes(model: Model) -> None:
    """Say so where a file takes x in another order of axes than is taken here."""
    if model.time_first:
        told = "x as (time, batch, features); here it is (batch, time, features)"
        say(f"note: the file of {model.name} takes {told}", sys.stderr)


def _one(option: str, given: Sequence[str] | None) -> str | None:
    """Return what a stack takes of an option that a graph takes for each of its inputs."""
    if given and len(given) > 1:
        raise UsageError(
            f"{option} is given {len(given)} times; one stack has one input: give it once"
        )
    return given[0] if given else None


def _read(path: str | None) -> np.ndarray | None:
    """Read the array of an option that may be left out."""
    return arrays.read_npy(path) if path else None


def _tell(
    where: str | None,
    report: dict[str, object],
    lines: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Write a report as JSON where it is asked for, and lines for people but beside JSON."""
    text = json.dumps(report, indent=2)
    if files.is_stdout(where):
        print(text)
        return
    if where:
        files.write_text(where, text + "\n")
    for line in lines:
        say(line, stream, _WIDE)
