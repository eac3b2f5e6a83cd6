"""Soak: cases over everything, drawn one after the other until the time is over (``make soak``).

A number names a case: engine, model, sequences, states, schedule and stalls. Golden model, csim,
RTL and virtual board must agree on each in every bit, and the RTL takes the model's cycles. A run
goes on where the last one ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import any_program
from cases import ENGINES, Case, draw
from lstm_sharp import files
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import LstmSharpError
from lstm_sharp.runtime import deploy, engines
from lstm_sharp.terminal import Parser, ended
from rtl.test_formats import drawn
from workshop import results

PER_ENGINE = 40
"""Cases on an engine before the next is compiled."""
PROGRAMS = ("tiny", "wide", "shapes")
"""Engines whose last case is of programs that nobody would write."""
STATE = Path("build/soak.json")


@dataclass
class Totals:
    """What was played, in all runs together."""

    next: int = 0  # number of the case that is played next
    sequences: int = 0
    steps: int = 0
    cycles: int = 0  # of the RTL
    slots: int = 0  # of csim
    stalled: int = 0
    boards: int = 0  # cases on the virtual board
    programs: int = 0
    engines: int = 0
    seconds: float = 0.0


class Differs(Exception):
    """A case does not come out alike everywhere."""


def engine_of(number: int) -> Config:
    """Return the engine of a case: in turn one of the tests' and a drawn one."""
    turn, other = divmod(number // PER_ENGINE, 2)
    return drawn(turn) if other else list(ENGINES.values())[turn % len(ENGINES)]


@lru_cache(maxsize=4)
def built(backend: str, cfg: Config) -> Path:
    """Build a backend of an engine."""
    return engines.build(backend, cfg)


def play(number: int, totals: Totals) -> None:
    """Play a case on all, and count it.

    Raises:
        Differs: it does not come out alike.
    """
    cfg, at = engine_of(number), number % PER_ENGINE
    stall = ["--stall", str(number)] if at % 4 == 3 else []
    try:
        if cfg.name in PROGRAMS and at == PER_ENGINE - 1:
            any_program.try_all(cfg, built("rtl", cfg), number, 40, stall)
            totals.programs += 40
        else:
            _play(number, cfg, stall, at % 8 == 5, totals)
    except (AssertionError, LstmSharpError) as error:
        raise Differs(f"{type(error).__name__}: {error}") from error
    totals.engines += at == 0
    totals.stalled += bool(stall)
    totals.next = number + 1


def _play(number: int, cfg: Config, stall: list[str], board: bool, totals: Totals) -> None:
    case = draw(cfg, number)
    differs, cycles = case.play(built("rtl", cfg), stall)
    assert not differs, f"rtl, {differs}"
    differs, slots = draw(cfg.of("hls"), number).play(built("csim", cfg.of("hls")))
    assert not differs, f"csim, {differs}"
    if board:
        on_board(case)
    totals.boards += board
    totals.sequences += len(case.xs)
    totals.steps += sum(case.lengths)
    totals.cycles += sum(cycles)
    totals.slots += sum(slots)


@lru_cache(maxsize=1)
def accelerator(cfg: Config) -> Any:
    """Open the virtual board with an engine."""
    from lstm_sharp.driver import Accelerator
    from lstm_sharp.virtual.device import VirtualDevice
    from lstm_sharp.virtual.overlay import virtual_overlay

    VirtualDevice("pynq-z2" if cfg.board == "none" else cfg.board).activate()
    return Accelerator(virtual_overlay(cfg, Path("build", "soak")), take_over=True)


def on_board(case: Case) -> None:
    """Hold what the driver gives on the virtual board against golden and the cycle model."""
    on = accelerator(case.cfg)
    on.load_model(case.model, case.cfg, case.schedule)
    bits = case.cfg.fmt.activation_bits
    given = [x.astype(np.int8 if bits <= 8 else np.int16) for x in case.xs]
    found = on.run(given, case.state, case.give)
    h, after = found if case.give else (found, case.after)
    same = [*map(np.array_equal, h, case.h), *map(np.array_equal, after, case.after)]
    assert all(same), f"board differs: {case}"
    plans = [s.plan for s in on.stages(max(case.lengths), len(case.lengths))]
    told, _ = deploy.predict_plans(plans, case.call._replace(host=on.host))
    assert on.cycles == told.cycles, f"board, cycles {on.cycles}, model {told.cycles}: {case}"


def soak(seconds: float, totals: Totals, keep: Callable[[Totals], None]) -> None:
    """Play case after case for so long, and keep the totals after each.

    Raises:
        Differs: at the first case that does not come out alike, ``totals.next``.
    """
    before, done, began = totals.seconds, totals.next, time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("soak", total=seconds)
        while (took := time.monotonic() - began) < seconds:
            rate = (totals.next - done) / took if took else 0.0
            what = f"case {totals.next} on {engine_of(totals.next).name}, {rate:.1f} cases/s"
            progress.update(task, description=what, completed=took)
            play(totals.next, totals)
            totals.seconds = before + time.monotonic() - began
            keep(totals)


def told(totals: Totals) -> str:
    """Say what all runs together have played."""
    hours, rate = totals.seconds / 3600, totals.next / (totals.seconds or 1)
    return (
        f"{totals.next:,} cases alike in {hours:.2f} h, {rate:.1f} a second, on {totals.engines} "
        f"engines:\n{totals.sequences:,} sequences, {totals.steps:,} steps, {totals.cycles:,} "
        f"cycles of RTL, {totals.slots:,} slots of csim,\n{totals.stalled:,} cases with stalls, "
        f"{totals.boards:,} on the virtual board too, {totals.programs:,} programs by chance"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, or play one case again."""
    parser = Parser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=0.1, help="how long, default %(default)s")
    parser.add_argument("--seed", type=int, metavar="N", help="play case N alone")
    parser.add_argument("--fresh", action="store_true", help="begin with case 0")
    parser.add_argument("--write", action="store_true", help="write docs/results/soak.json")
    asked = parser.parse_args(arguments)

    def run() -> int:
        kept = files.read_json(STATE) if STATE.is_file() and not asked.fresh else {}
        totals = Totals(next=asked.seed) if asked.seed is not None else Totals(**kept)
        STATE.parent.mkdir(exist_ok=True)
        try:
            if asked.seed is not None:
                play(asked.seed, totals)
                print(f"case {asked.seed} comes out alike on {engine_of(asked.seed).name}")
                return 0
            soak(3600 * asked.hours, totals, _keep)
        except Differs as wrong:
            print(f"case {totals.next} differs: {wrong}", file=sys.stderr)
            print(f"again: make soak SEED={totals.next}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted; the next run goes on from here", file=sys.stderr)
        print(told(totals))
        if asked.write:
            results.write("soak", asdict(totals))
        return 0

    return ended(run)


def _keep(totals: Totals) -> None:
    files.write_text(str(STATE), json.dumps(asdict(totals), indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
