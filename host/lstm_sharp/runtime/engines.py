"""The simulated engines as executables that play jobs: csim and the Verilated harness."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import describe
from lstm_sharp.errors import EngineError
from lstm_sharp.flow import csim, hls_rtl, jobs, tools, verilate
from lstm_sharp.runtime.deploy import Play, Stage

_BUILDERS: dict[str, Callable[[Config, Path], Path]] = {"csim": csim.build, "rtl": verilate.build}


def kind(backend: str) -> str:
    """Name the engine that a backend simulates: the RTL's is chosen by the environment.

    Args:
        backend: ``csim`` or ``rtl``.

    Raises:
        UsageError: no such RTL, see flow/hls_rtl.py.
    """
    return "hls" if backend == "csim" else hls_rtl.engine()


def build(backend: str, cfg: Config, build_dir: Path | None = None) -> Path:
    """Build the backend's executable for a config, unless it is up to date.

    Args:
        backend: ``csim`` or ``rtl``.
        cfg: the engine, the backend's ``kind``.
        build_dir: gets a folder for each config; ``build`` by default.

    Raises:
        ToolError: a tool is missing or fails.
        UsageError: the config is for another engine.
    """
    return _BUILDERS[backend](cfg, build_dir or Path("build"))


_DONE = re.compile(r"run (\d+)/\d+$")
"""What a simulated engine says of its progress."""


def play(
    executable: Path,
    runs: Sequence[jobs.Run],
    progress: Callable[[int, int], None] | None = None,
    options: Sequence[str] = (),
) -> list[jobs.Result]:
    """Play runs one after the other in one process; memories keep what they hold between them.

    Args:
        executable: from ``build``.
        runs: the job; the first loads the weights.
        progress: called with (runs done, runs in all), the first run left out.
        options: more of the command line, see hls/tb/rtl_main.cpp.

    Raises:
        EngineError: the simulation failed, by an assertion of the engine for example.
    """
    executable = executable.resolve()

    def each(line: str) -> None:
        done = _DONE.match(line)
        if progress and done and int(done[1]) > 1:
            progress(int(done[1]) - 1, len(runs) - 1)

    with tempfile.TemporaryDirectory(prefix="lstm-sharp-") as name:
        folder = Path(name)
        jobs.write_job(folder / "job", runs)
        status, said = tools.follow(
            [executable, folder / "job", folder / "result", *options],
            executable.parent,  # where the data of HLS RTL lies
            folder / "log",
            {**os.environ, "LSTM_SHARP_PROGRESS": "1"},
            each=each,
        )
        if status:
            lines = [line for line in said.splitlines() if line and not _DONE.match(line)]
            raise EngineError(
                f"{executable.name} stopped with status {status}: {' / '.join(lines[:3])}"
            )
        return jobs.read_results(folder / "result")


def player(
    executable: Path,
    cfg: Config,
    progress: Callable[[int, int], None] | None = None,
    options: Sequence[str] = (),
) -> Play:
    """Make what ``deploy.run`` plays on: loads a stage's weights, plays and checks its runs.

    Arguments and errors are those of ``play`` and ``check``.
    """

    def play_stage(stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        runs = [stage.load(), *runs]
        results = play(executable, runs, progress, options)
        for run, result in zip(runs, results):
            check(cfg, run, result)
        return results

    return play_stage


def check(cfg: Config, run: jobs.Run, result: jobs.Result) -> None:
    """Refuse a result that does not belong to its run.

    Raises:
        EngineError: error status, another engine, a wrong number of beats, a misplaced TLAST.
    """
    if result.status & 0xFF:
        raise EngineError(f"the engine refused its program: {describe(result.status)}")
    if result.identity != cfg.identity:
        raise EngineError(
            f"the engine is {result.identity:08x}, {cfg.name} is {cfg.digest}; build it again"
        )
    if len(result.h_bytes) != run.h_bytes or not result.last_ok:
        raise EngineError(
            f"the engine sent {len(result.h_bytes)} bytes of h, {run.h_bytes} were expected, "
            "or TLAST was not at their end"
        )
