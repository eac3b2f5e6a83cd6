"""The simulated engines as executables that play jobs: csim and the Verilated harness."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lstm_sharp.build import csim, tools, verilate
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import UsageError
from lstm_sharp.run import jobs

_BUILDERS: dict[str, Callable[[Config, Path], Path]] = {"csim": csim.build, "rtl": verilate.build}


def build(backend: str, cfg: Config, folder: Path | None = None) -> Path:
    """Build the backend's executable for a config, unless it is up to date.

    Raises:
        UsageError: a tool is missing or fails.
    """
    return _BUILDERS[backend](cfg, folder or tools.build_folder(cfg))


def play(
    executable: Path, runs: Sequence[jobs.Run],
    progress: Callable[[int, int], None] | None = None, options: Sequence[str] = (),
) -> list[jobs.Result]:
    """Play runs one after the other in one process; memories keep what they hold between them.

    Args:
        executable: from ``build``.
        runs: the job; the first loads the weights.
        progress: called with (runs done, runs in all), the first run left out.
        options: more of the command line, see hls/tb/rtl_main.cpp.

    Raises:
        UsageError: the simulation failed, an assertion of the engine for example.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-sharp-") as folder:
        job, answer = Path(folder, "job"), Path(folder, "result")
        jobs.write_job(job, runs)
        process = subprocess.Popen(
            [str(executable.resolve()), str(job), str(answer), *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        said = []
        assert process.stdout is not None
        for line in process.stdout:
            done = jobs.progress_of(line)
            if done is None:
                said.append(line.strip())
            elif progress and done > 1:
                progress(done - 1, len(runs) - 1)
        if process.wait() != 0:
            raise UsageError(
                f"{executable.name} stopped with status {process.returncode}: "
                + " / ".join(said[-3:])
            )
        return jobs.read_results(answer)


def check(cfg: Config, run: jobs.Run, result: jobs.Result) -> None:
    """Refuse a result that does not belong to its run.

    Raises:
        UsageError: error status, another engine, a wrong number of beats, a misplaced TLAST.
    """
    if result.status & 0xFF:
        raise UsageError(
            f"the engine refused its program: status {result.status & 0xFF}, instruction "
            f"{result.status >> 8 & 0xFF} (docs/engine.md)"
        )
    if result.identity != cfg.identity:
        raise UsageError(
            f"the engine is {result.identity:08x}, {cfg.name} is {cfg.digest}; build it again"
        )
    if len(result.h) != run.h_bytes or not result.last_ok:
        raise UsageError(
            f"the engine sent {len(result.h)} bytes of h, {run.h_bytes} were expected, or TLAST "
            "was not at their end"
        )
