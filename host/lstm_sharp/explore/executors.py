"""Where engines are asked about: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context

from lstm_sharp import cluster
from lstm_sharp.errors import ToolError


@contextmanager
def executor(scheduler: str | None = None) -> Iterator[tuple[Executor, int]]:
    """Give an executor, and how many workers it has.

    Args:
        scheduler: the address of a Dask scheduler; None: a process for each core of this machine.

    Raises:
        UsageError: what is given is no address.
        ToolError: no ``distributed``, no scheduler that answers, or one without workers.
    """
    if scheduler is not None:
        with cluster.connected(scheduler) as client:
            count = sum(client.nthreads().values())
            if not count:
                raise ToolError(
                    f"the scheduler at {scheduler} has no workers; start some: dask worker"
                )
            yield client.get_executor(), count
        return
    count = os.cpu_count() or 1
    pool = ProcessPoolExecutor(count, get_context("spawn"))
    try:
        with _no_interrupts():
            for _ in range(count):
                pool.submit(os.getpid)
        yield pool, count
    except KeyboardInterrupt:
        for child in active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C is the parent's: processes that begin here never hear of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
