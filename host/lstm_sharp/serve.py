"""Several boards behind one call: a Dask cluster whose workers own a board each (docs/fleet.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from lstm_sharp import cluster, package
from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.driver.proof import overlay_in
from lstm_sharp.errors import BoardError, ToolError, UsageError
from lstm_sharp.package import folder as folders
from lstm_sharp.runtime.session import CUT_REVERSE

LOOK_S = 2.0
"""Between two looks whether there is still a board that may answer."""
_AGAIN = 2
"""How often a piece is given to a board again after one has failed with it."""
_PIECES = 2
"""That each board is given of a call, so that a quick one takes more of them."""


def resource(of: str | Path) -> str:
    """Return the name by which a cluster knows boards with a package: of all that is in it.

    Raises:
        UsageError: it is no package.
    """
    held = Path(of) / folders.ABOUT  # which has the sums of all other files
    if not held.is_file():
        raise UsageError(f"{of} is no package; lstm-sharp package writes one")
    return f"lstm-sharp-{hashlib.sha256(held.read_bytes()).hexdigest()[:16]}"


def work(scheduler: str, of: str, overlay: str | None = None, told: Any = print) -> None:
    """Own a board, and answer for it until the scheduler ends.

    Args:
        scheduler: address.
        of: the package that is loaded.
        overlay: its .bit; None: the one in the package.
        told: called with a line once the board is ready.

    Raises:
        UsageError, ToolError, BoardError: as ``Accelerator`` and ``cluster.greet``; also
            ToolError when the scheduler has gone.
    """
    import asyncio

    name, bit = resource(of), overlay or overlay_in(of)
    cluster.greet(scheduler)
    from distributed import Worker

    with Accelerator(bit) as board:
        board.load(of)

        async def serve() -> None:
            async with Worker(scheduler, nthreads=1, resources={name: 1}) as worker:
                vars(worker)["lstm_sharp"] = board
                told(f"{worker.address}: {board.model.name} on {board.cfg.name}, for {scheduler}")
                await worker.finished()

        asyncio.run(serve())
    raise ToolError(f"the scheduler at {scheduler} has gone; start it, and this worker, again")


def _answer(x: Any, state: Any, lengths: Any, output_of: str) -> tuple[str, Any, Any]:
    """Run a piece on the board of the worker that this is; return who did, and what it gave."""
    from distributed import get_worker

    worker: Any = get_worker()
    board = worker.lstm_sharp
    try:
        found, after = board.run(x, state, True, lengths, output_of)
    except BoardError:
        board.reset()
        raise
    return worker.address, found, after


class Fleet:
    """All boards of a cluster that have a package, behind one call.

    A call's sequences go out in pieces, each to a board that is free. A piece whose worker dies
    goes to another; nothing is kept on boards, so that each sequence is answered once, and its
    state is that of its last answer.

    Args:
        scheduler: address, ``tcp://HOST:8786``.
        of: the package, as on the workers' machines.

    Raises:
        UsageError: no address, or no package.
        ToolError: no ``distributed``, no scheduler that answers, or no board with the package.

    Attributes:
        states: h and c by the names of sequences, (cells, widest H) each; yours to store, to
            change, or to clear.
        answered: how many sequences of the last call which worker has answered.
    """

    def __init__(self, scheduler: str, of: str | Path) -> None:
        held = package.read(of)
        self._resource, self._chains = resource(of), held.cfg.chains
        self._reverse, self._scheduler = held.model.reverse, scheduler
        self.states: dict[Hashable, tuple[np.ndarray, np.ndarray]] = {}
        self.answered: dict[str, int] = {}
        with ExitStack() as stack:
            self._client = stack.enter_context(cluster.connected(scheduler))
            if not self.boards:
                raise self._nobody()
            self._stack = stack.pop_all()

    @property
    def boards(self) -> list[str]:
        """The addresses of workers that have the package."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return [name for name, one in workers.items() if self._resource in one["resources"]]

    def run(
        self,
        x: np.ndarray | Sequence[np.ndarray],
        names: Sequence[Hashable] | None = None,
        lengths: Sequence[int] | np.ndarray | None = None,
        output_of: str = "h",
    ) -> Any:
        """Run sequences, each on some board.

        Args:
            x: (B, T, X), or a list of (T, X) of any lengths, as a session takes them.
            names: of the sequences, B: each goes on from the state that its name's last left
                behind, zeros for a new one. None: all begin with zeros.
            lengths: steps of each sequence of a batch, (B,).
            output_of: ``h`` or ``head``.

        Returns:
            What a session's ``run`` returns, in the order of x.

        Raises:
            UsageError: what is given does not fit, or a name twice.
            BoardError: boards failed with a piece, again and again.
            ToolError: no board is left, or each that took a piece has died.
        """
        names = None if names is None else list(names)
        if names is not None and (len(set(names)) < len(names) or len(names) != len(x)):
            raise UsageError(
                f"{len(names)} names, {len(set(names))} of them different, for {len(x)} sequences; "
                "give each a name of its own"
            )
        if names is not None and self._reverse:
            raise UsageError(f"{CUT_REVERSE}; give whole sequences, without names")
        if not len(x):
            raise UsageError("there are no sequences; give one or more")
        boards = max(1, len(self.boards))
        size = self._chains * ceil(len(x) / (boards * _PIECES * self._chains))
        pieces = [slice(first, first + size) for first in range(0, len(x), size)]
        futures = [
            self._client.submit(
                *(_answer, x[own], self._state(names and names[own])),
                *(None if lengths is None else np.asarray(lengths)[own], output_of),
                resources={self._resource: 1},
                retries=_AGAIN,
                pure=False,
            )
            for own in pieces
        ]
        try:
            with self._client.as_current():
                found = self._gathered(futures)
        finally:
            self._client.cancel(futures)
        self.answered = {}
        for own, (who, _, (h, c)) in zip(pieces, found):
            self.answered[who] = self.answered.get(who, 0) + h.shape[1]
            for place, name in enumerate(names[own] if names else ()):
                self.states[name] = h[:, place], c[:, place]
        parts = [part for _, part, _ in found]
        return np.concatenate(parts) if isinstance(x, np.ndarray) else list(chain(*parts))

    def close(self) -> None:
        """Let go of the cluster, which goes on."""
        self._stack.close()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _state(self, names: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray] | None:
        known = [name for name in names or () if name in self.states]
        if not known:
            return None
        zeros = tuple(map(np.zeros_like, self.states[known[0]]))
        pairs = [self.states.get(name, zeros) for name in names or ()]
        h, c = (np.stack(values, axis=1) for values in zip(*pairs))
        return h, c

    def _gathered(self, futures: Sequence[Any]) -> list[Any]:
        """Wait for all pieces, as long as somebody is there who may answer."""
        from distributed import KilledWorker, wait

        while waiting := [future for future in futures if not future.done()]:
            try:
                wait(waiting, timeout=LOOK_S, return_when="FIRST_COMPLETED")
            except TimeoutError:
                if not self.boards:
                    raise self._nobody() from None
            if any(future.status == "error" for future in futures):
                break
        try:
            failed = [future for future in futures if future.status == "error"]
            return [future.result() for future in failed or futures]
        except KilledWorker as error:
            raise ToolError(
                f"workers died of a piece of this call, the last at {error.last_worker.address}; "
                "their logs say why"
            ) from None

    def _nobody(self) -> ToolError:
        return ToolError(
            f"no board at {self._scheduler} has this package; on a board's machine run lstm-sharp "
            f"worker --scheduler {self._scheduler} --package DIR"
        )
