"""Where engines are asked about: processes of this machine, or a Dask cluster."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context

from lstm_sharp.errors import ToolError, UsageError, lacking

ANSWER_S = 10
"""In which a scheduler has to answer."""


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
        with _cluster(scheduler) as found:
            yield found
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


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client
        from distributed.comm.core import connect
    except ImportError:
        raise lacking("distributed", "a cluster") from None
    if not re.fullmatch(r"\w+://\S+:\d+", address):
        raise UsageError(f"{address!r:.80} is no address of a scheduler; give tcp://HOST:8786")

    async def greet() -> None:
        comm = await connect(address, timeout=ANSWER_S)
        await comm.close()

    try:  # first, since a client that gets no answer takes its time to end
        with ThreadPoolExecutor(1) as aside:  # where no event loop runs, as one does in a notebook
            aside.submit(lambda: asyncio.run(asyncio.wait_for(greet(), ANSWER_S))).result()
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except Exception as error:  # of sockets, of tornado, of addresses that nothing reads
        raise ToolError(
            f"no Dask scheduler answers at {address} within {ANSWER_S} s "
            f"({type(error).__name__}); start one with dask scheduler, and workers"
        ) from None
    with client:
        count = sum(client.nthreads().values())
        if not count:
            raise ToolError(f"the scheduler at {address} has no workers; start some: dask worker")
        yield client.get_executor(), count
