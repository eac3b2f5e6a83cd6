"""Where engines are asked about: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from lstm_sharp.errors import ToolError

ANSWER_S = 10
"""In which a scheduler has to answer."""


@contextmanager
def executor(scheduler: str | None = None) -> Iterator[tuple[Executor, int]]:
    """Give an executor, and how many workers it has.

    Args:
        scheduler: the address of a Dask scheduler; None: a process for each core of this machine.

    Raises:
        ToolError: no ``distributed``, no scheduler that answers, or one without workers.
    """
    if scheduler is not None:
        with _cluster(scheduler) as found:
            yield found
        return
    count = os.cpu_count() or 1
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_leave_interrupts)
    try:
        yield pool, count
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C is the parent's: it lets workers end what they are at."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
    except ImportError:
        raise ToolError("a cluster takes Dask: pip install 'lstm-sharp[cluster]'") from None
    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ToolError(
            f"no Dask scheduler answers at {address} within {ANSWER_S} s "
            f"({type(error).__name__}); start one with dask scheduler, and workers"
        ) from None
    with client:
        count = sum(client.nthreads().values())
        if not count:
            raise ToolError(f"the scheduler at {address} has no workers; start some: dask worker")
        yield client.get_executor(), count
