"""A Dask cluster: other machines, behind the address of their scheduler."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lstm_sharp.errors import ToolError, UsageError, lacking

if TYPE_CHECKING:
    from distributed import Client

ANSWER_S = 10
"""In which a scheduler has to answer."""


def greet(address: str) -> None:
    """See that a scheduler answers; a client or a worker that gets no answer takes its time to end.

    Raises:
        UsageError: what is given is no address.
        ToolError: no ``distributed``, or no scheduler that answers.
    """
    try:
        from distributed.comm.core import connect
    except ImportError:
        raise lacking("distributed", "a cluster") from None
    if not re.fullmatch(r"\w+://\S+:\d+", address):
        raise UsageError(f"{address!r:.80} is no address of a scheduler; give tcp://HOST:8786")

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised

    async def call() -> None:
        comm = await connect(address, timeout=ANSWER_S)
        await comm.close()

    try:
        with ThreadPoolExecutor(1) as aside:  # where no event loop runs, as one does in a notebook
            aside.submit(lambda: asyncio.run(asyncio.wait_for(call(), ANSWER_S))).result()
    except Exception as error:  # of sockets, of tornado, of addresses that nothing reads
        raise _silent(address, error) from None


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Give a client of a scheduler; errors are those of ``greet``."""
    greet(address)
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except Exception as error:
        raise _silent(address, error) from None
    with client:
        yield client


def _silent(address: str, error: Exception) -> ToolError:
    return ToolError(
        f"no Dask scheduler answers at {address} within {ANSWER_S} s "
        f"({type(error).__name__}); start one with dask scheduler, and workers"
    )
