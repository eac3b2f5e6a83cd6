"""Jobs: how Python hands runs to a simulated engine and gets its results back.

csim and the Verilated harness are programs that are called as ``PROGRAM JOB RESULT``: two files, or
two pipes that carry one job after the other. Numbers are little endian; a count is a uint64.
hls/tb/job.hpp is the other half of this module.

A job is the 8 bytes ``LSTMJOB2``, the count of its runs, and for each run

- five counts: program words, bytes of the weight stream, bytes of the x stream, bytes of h that
  the run is expected to give, and the most cycles that it may take (0: as many as it likes; csim
  knows of none),
- the program's uint32 words, the weight stream and the x stream, one after the other.

A result is the 8 bytes ``LSTMRES1``, the count of runs, and for each run

- five counts: status, identity, cycles, 1 if TLAST came with the last beat and with no other,
  bytes of h,
- the bytes of h.

The runs of all jobs share one engine, in order: what one run loads, the next ones find. A result is
written before the next run is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from lstm_sharp.engine.program import C_SATURATED
from lstm_sharp.errors import EngineError

_JOB = b"LSTMJOB2"
_RESULT = b"LSTMRES1"


def nothing() -> np.ndarray:
    """Return a stream without a beat."""
    return np.zeros(0, np.uint8)


class JobError(EngineError):
    """Results are not what a simulated engine writes, or end too early."""


@dataclass(frozen=True)
class Run:
    """One ap_start: a program and what its streams carry."""

    program: np.ndarray  # uint32
    weights: np.ndarray = field(default_factory=nothing)  # uint8, whole beats
    x: np.ndarray = field(default_factory=nothing)
    h_bytes: int = 0
    cycles: int = 0  # most that it may take, 0: as many as it likes


@dataclass(frozen=True)
class Result:
    """What one run gave."""

    status: int  # the register: how it ended in bits 7:0, see engine/program.py
    identity: int
    cycles: int
    h_bytes: np.ndarray  # uint8
    last_ok: bool

    @property
    def c_saturated(self) -> bool:
        """Whether some c saturated, on an engine with row scales; no other tells."""
        return bool(self.status >> C_SATURATED & 1)


def write_job(path: Path, runs: Sequence[Run]) -> None:
    """Write runs as a job file."""
    with path.open("wb") as file:
        begin_job(file, len(runs))
        for run in runs:
            write_run(file, run)


def begin_job(file: IO[bytes], runs: int) -> None:
    """Write what a job of so many runs begins with."""
    file.write(_JOB + _counts(runs))


def write_run(file: IO[bytes], run: Run) -> None:
    """Write a run of a job, and have it on its way."""
    program = np.ascontiguousarray(run.program, "<u4")
    weights, x = (np.ascontiguousarray(s, np.uint8) for s in (run.weights, run.x))
    file.write(_counts(program.size, weights.size, x.size, run.h_bytes, run.cycles))
    for part in (program, weights, x):
        file.write(part.data)
    file.flush()


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as a file, as a simulated engine does."""
    with path.open("wb") as file:
        file.write(_RESULT + _counts(len(results)))
        for r in results:
            file.write(_counts(r.status, r.identity, r.cycles, r.last_ok, r.h_bytes.size))
            file.write(r.h_bytes.data)


def begin_results(file: IO[bytes]) -> int:
    """Read what results begin with, and return how many there will be; errors as below."""
    head = file.read(16)
    if head[:8] != _RESULT or len(head) < 16:
        raise JobError(f"{file.name} is not a result file")
    return int.from_bytes(head[8:], "little")


def read_result(file: IO[bytes]) -> Result:
    """Read the next result.

    Raises:
        JobError: there is none.
    """
    head = file.read(40)
    status, identity, cycles, last_ok, size = np.frombuffer(head.ljust(40, b"\0"), "<u8").tolist()
    h_bytes = file.read(size)
    if len(head) < 40 or len(h_bytes) < size:
        raise JobError(f"{file.name} ends too early")
    return Result(status, identity, cycles, np.frombuffer(h_bytes, np.uint8), bool(last_ok))


def _counts(*counts: int) -> bytes:
    return np.array(counts, "<u8").tobytes()
