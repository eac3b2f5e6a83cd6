"""The simulated engines as executables that play jobs: csim and the Verilated harness."""

from __future__ import annotations

import os
import subprocess
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import describe
from lstm_sharp.errors import EngineError
from lstm_sharp.flow import csim, hls_rtl, jobs, verilate
from lstm_sharp.runtime.deploy import Play, Stage


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
    make = csim.build if backend == "csim" else verilate.build
    return make(cfg, build_dir or Path("build"))


class Process:
    """A simulated engine as a process that plays job after job, until it is closed or collected.

    Its memories keep what they hold between jobs. It is of use to the process that has started it,
    and not to what is forked from that.

    Args:
        executable: from ``build``.
        options: more of the command line, see hls/tb/rtl_main.cpp.

    Attributes:
        pid: of the process.
    """

    def __init__(self, executable: Path, options: Sequence[str] = ()) -> None:
        executable = executable.resolve()
        self._name, self._log = executable.name, tempfile.TemporaryFile()  # noqa: SIM115
        ours, its = os.pipe()  # for results: a simulator prints what it likes on standard output
        self._results = open(ours, "rb")  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                [executable, "/dev/stdin", f"/dev/fd/{its}", *options],
                cwd=executable.parent,  # where the data of HLS RTL lies
                pass_fds=[its],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
            )
        finally:
            os.close(its)
        assert self._process.stdin
        self._job: IO[bytes] = self._process.stdin
        self.pid, self._owner = self._process.pid, os.getpid()
        files = self._job, self._results, self._log
        self.close = weakref.finalize(self, _close, self._owner, self._process, *files)

    @property
    def lives(self) -> bool:
        """Whether it has not been closed, and is this process's own."""
        return self.close.alive and self._owner == os.getpid()

    def play(self, runs: Sequence[jobs.Run]) -> Iterator[jobs.Result]:
        """Play the runs of a job one after the other, and yield the result of each.

        Raises:
            EngineError: the simulation failed, by an assertion of the engine for example. It is
                closed then, as it is where it is left half done.
        """
        begun = os.fstat(self._log.fileno()).st_size
        try:
            jobs.begin_job(self._job, len(runs))
            for number, run in enumerate(runs):
                jobs.write_run(self._job, run)
                if number == 0:
                    jobs.begin_results(self._results)
                yield jobs.read_result(self._results)
        except (BrokenPipeError, jobs.JobError):
            raise self._failure(begun) from None
        except BaseException:
            self.close()
            raise

    def end(self) -> None:
        """Wait for its end, now that there are no more jobs.

        Raises:
            EngineError: it ended otherwise than well.
        """
        self._job.close()
        if self._process.wait():
            raise self._failure()

    def _failure(self, begun: int = 0) -> EngineError:
        """Tell how it ended, and what it has said since its log was so long."""
        status = self._process.wait()
        said = os.pread(self._log.fileno(), 1 << 16, begun).decode(errors="replace")
        lines = [line for line in said.splitlines() if line] or ["it said nothing; run again"]
        self.close()
        return EngineError(f"{self._name} stopped with status {status}: {' / '.join(lines[:3])}")


def _close(owner: int, process: subprocess.Popen[bytes], *files: IO[bytes]) -> None:
    """End a process; one that is forked from its owner leaves it alone."""
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    for file in files:
        with suppress(BrokenPipeError):  # what it has not read
            file.close()


def play(
    executable: Path, runs: Sequence[jobs.Run], options: Sequence[str] = ()
) -> list[jobs.Result]:
    """Play runs one after the other in a process of their own; arguments and errors are its."""
    engine = Process(executable, options)
    try:
        results = list(engine.play(runs))
        engine.end()
    finally:
        engine.close()
    return results


def player(executable: Path, cfg: Config, options: Sequence[str] = ()) -> Play:
    """Make what ``deploy.run`` plays on: loads a stage's weights, plays and checks its runs.

    Arguments and errors are those of ``play`` and ``check``.
    """

    def play_stage(stage: Stage, runs: Sequence[jobs.Run]) -> list[jobs.Result]:
        runs = [stage.load(), *runs]
        results = play(executable, runs, options)
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
