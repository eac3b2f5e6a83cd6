"""Commands about engines: which holds a model, what would be better, what one consists of."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.commands.shared import (
    OPTIONS,
    WIDE,
    Command,
    check_config_file,
    note,
    option,
    read,
    takes_model,
    tell,
    write_config,
)
from lstm_sharp.compiler import by_gate
from lstm_sharp.compiler.schedule import SCHEDULES
from lstm_sharp.engine import config
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import UsageError
from lstm_sharp.model.graph import Graph
from lstm_sharp.numerics import stored
from lstm_sharp.numerics.stored import load, load_model
from lstm_sharp.runtime import answers
from lstm_sharp.terminal import Parser, Progress, say


def _add_fit(fit: Parser) -> None:
    option(fit, "--board", metavar="NAME", help="this board's configs alone; none: no board")
    option(fit, "--steps")
    option(fit, "--json", help="write the answer; - for stdout, no table then")
    told = "write the config to take, for --config and make; where none fits, one that would"
    option(fit, "--write-config", metavar="FILE.json", help=told)
    takes_model(fit)


def _fit(options: Namespace) -> None:
    """Which shipped config holds a model, what that takes and how fast it is.

    If none for a board does (of the board, with --board), what would, and exit status 2. All
    figures are modelled.
    """
    from lstm_sharp.fit import best_of, fit, own_config, parts_of, table

    check_config_file(options.write_config)
    files.check_outputs((options.json, options.write_config), (options.model,))
    model = load(options.model, options.prefix)
    if isinstance(model, Graph):
        fmt, notes = options.format, model.notes
    else:
        fmt, made = stored.own_format(model, options.format), model.quantized
        notes = made.notes if made else ()
    found = [fit(part, options.board, fmt, options.steps) for part in parts_of(model)]
    if not any(map(files.is_stdout, (options.json, options.write_config))):
        for line in "\n\n".join(map(table, found)).split("\n"):
            say(line, most=WIDE)
    best = best_of(found)
    if isinstance(model, Graph):
        say(f"{best or 'no one config'} holds all parts of {model.source}", sys.stderr)
    if options.json:
        tell(options.json, {"best": best, "parts": found} if isinstance(model, Graph) else found[0])
    note(*notes)
    if options.write_config:
        write_config(options.write_config, own_config(found, best))
    if best is None:
        where = "for any board" if options.board is None else f"for board {options.board}"
        sys.stdout.flush()
        raise UsageError(f"no shipped config {where} holds {model.name}")


def _add_explore(explore: Parser) -> None:
    from lstm_sharp.explore.search import AXES

    option(explore, "--board", required=True, metavar="NAME", help="that the engine is for")
    told = f"{OPTIONS['--format']['help'].split(':')[0]}; as often as wanted"
    option(explore, "--format", action="append", default=[], help=told)
    option(explore, "--steps")
    option(explore, "--calibration", help="measure errors on it; default: x is drawn")
    told = "engines to ask about; default 1000"
    option(explore, "--candidates", type=int, default=1000, metavar="N", help=told)
    told = f"what the chosen one is best at: {', '.join(AXES)}; default {AXES[0]}"
    option(explore, "--choose", default=AXES[0], metavar="AXIS", help=told)
    told = "of h, that the chosen one may have; default: twice the least"
    option(explore, "--max-error", type=float, metavar="E", help=told)
    option(explore, "-o", "--output", metavar="FILE.json", help="write the chosen config")
    option(explore, "--svg", metavar="FILE", help="draw the front, as .svg or .png")
    told = "build the best N: bits and cycles on Verilator, counts by Yosys"
    option(explore, "--verify", type=int, default=0, metavar="N", help=told)
    told = "address of a Dask scheduler; default: processes here"
    option(explore, "--scheduler", metavar="ADDRESS", help=told)
    told = "keeps what has been asked; default: lstm-sharp/explore.sqlite among your caches"
    option(explore, "--cache", metavar="FILE", help=told)
    option(explore, "--json")
    takes_model(explore, one_format=False)


def _explore(options: Namespace) -> None:
    """Search for an engine of one's own, for a model on a board.

    Held against each other by latency, throughput, what they take of the board, and error; none of
    the front is better than another in all. All figures are modelled; see docs/explore.md.
    """
    from lstm_sharp.explore import cache, executors, front, verify
    from lstm_sharp.explore.session import best, check, data_of, explore

    outputs = (options.json, options.output, options.svg)
    inputs = (options.model, options.calibration)
    check_config_file(options.output)
    files.check_outputs((*outputs, options.cache), inputs)
    front.check_drawing(options.svg)
    check(options.choose, options.candidates, options.max_error)
    verify.check(options.verify)
    model = load_model(options.model, options.prefix)
    stored.own_format(model, options.format[0] if options.format else None)
    x, place = read(options.calibration), options.cache
    with (
        cache.opened(Path(place) if place else None) as kept,
        executors.executor(options.scheduler) as (executor, workers),
    ):
        if kept.others:
            note(f"{kept.others:,} answers of other versions in the cache")
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
        write_config(options.output, found.chosen.config)
    if options.svg:
        front.draw(found, options.svg)
    told, lines = asdict(found), list(front.lines(found))
    if options.verify:
        of = best(found.front, found.choice)[: options.verify]
        seen = list(verify.verify(model, of, data_of(model, x), Progress("building engines")))
        told["verified"] = seen
        lines += ["", *front.of_verified(seen)]
    tell(options.json, told, lines)


def _add_render(render: Parser) -> None:
    option(render, "--config", required=True)
    option(render, "-o", "--output", required=True, metavar="DIR", help="folder to write")
    takes_model(render, nargs="?")


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
    option(perf, "--input-size", type=int, required=True, metavar="X")
    option(perf, "--hidden-size", type=int, required=True, metavar="H")
    option(perf, "--macs", type=int, required=True, metavar="M", help="K * N")
    option(perf, "--k", default="best", help="rows of a tile, one of the list's, or best")
    option(perf, "--k-list", metavar="K,...", help="K's of a tile that changes its shape")
    option(perf, "--no-padding", dest="padding", action="store_false", help="one K a part")
    option(perf, "--schedule", help=", ".join(every))
    option(perf, "--chains", type=int, default=1, help="sequences side by side")
    option(perf, "--steps")
    option(perf, "--tail", type=int, metavar="L", help="instead of the engine's own tail")
    option(perf, "--json")


def _perf(options: Namespace) -> None:
    """What the cycle model says of one layer on any engine: modelled, not measured."""
    from lstm_sharp.compiler.perf import perf

    files.check_outputs((options.json,), ())
    given = {k: v for k, v in vars(options).items() if k not in ("command", "json")}
    found = perf(**given)
    tell(options.json, found, answers.of_perf(found))


def _add_paper(paper: Parser) -> None:
    told = "folder for README.md, pictures and JSON"
    option(paper, "-o", "--output", required=True, metavar="DIR", help=told)


def _paper(options: Namespace) -> None:
    """Redo the paper's tables and figures, from a checkout: docs/paper/ into a folder."""
    try:  # by name, for the product does not know the workshop
        made = import_module("workshop.paper.__main__").make
        import_module("matplotlib")
    except ImportError as error:
        raise UsageError(
            f"the paper's figures are made in a checkout, after make setup ({error}); an installed "
            "package has not what makes them"
        ) from None
    made(Path(options.output))


COMMANDS = (
    Command("fit", "ask which engine holds a model", _fit, _add_fit),
    Command("explore", "search for an engine of one's own", _explore, _add_explore),
    Command("render", "write HLS project and RTL of a config", _render, _add_render),
    Command("perf", "ask the cycle model", _perf, _add_perf),
    Command("paper", "redo the paper's figures", _paper, _add_paper),
)
