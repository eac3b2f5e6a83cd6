"""A whole graph on a board: recurrent parts on the engine, the rest on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstm_sharp.driver.accelerator import Accelerator
from lstm_sharp.driver.proof import overlay_asked, overlay_in, prove
from lstm_sharp.package import graphs
from lstm_sharp.package.graphs import GraphPackage
from lstm_sharp.runtime.graphs import GraphSession
from lstm_sharp.terminal import ended, say


class GraphAccelerator(GraphSession):
    """Runs a package of a graph; what lies around its parts takes ONNX Runtime on this machine.

    Where that cannot be installed, a laptop computes the pieces: ``package.graphs.read(folder)``
    gives the graph there, whose ``run`` calls a function for each recurrent part; on the board each
    part is a package of its own, for an ``Accelerator``.

    Args:
        overlay: path of a ``.bit`` with its ``.hwh`` beside it; None: the package's own.
        source: the package, or its folder.
        stateful: states go on from call to call, until ``reset``; by default as the package says.
        take_over: as ``Accelerator``.

    Raises:
        BoardError, ToolError, UsageError: as ``Accelerator`` and its ``load``.
    """

    def __init__(
        self,
        overlay: str | Path | Any,
        source: str | Path | GraphPackage,
        stateful: bool | None = None,
        take_over: bool = False,
    ) -> None:
        held = source if isinstance(source, GraphPackage) else graphs.read(source)
        folder = "." if isinstance(source, GraphPackage) else source
        goes_on = held.stateful if stateful is None else stateful
        first: Accelerator | None = None
        sessions: dict[str, Any] = {}
        try:
            for part in held.graph.parts:
                if first is None:
                    first = one = Accelerator(overlay or overlay_in(folder), take_over)
                else:
                    one = Accelerator.__new__(Accelerator)
                    one.runs = first.runs
                one.stateful = goes_on and part.keeps_state
                one.load(held.parts[part.name])
                sessions[part.name] = one
        except BaseException:
            if first:
                first.close()
            raise
        self._begin(held.graph, "board", goes_on, sessions)


def main(folder: str | Path, arguments: Sequence[str] | None = None) -> int:
    """Run the vectors of all parts, as ``proof.main`` does of one."""
    named = overlay_asked(arguments)

    def test() -> int:
        held, failed = graphs.read(folder), False
        with Accelerator(named or overlay_in(folder)) as accelerator:
            for name, part in held.parts.items():
                accelerator.load(part)
                wrong, cycles = prove(accelerator, part)
                failed |= bool(wrong)
                say(f"{name}: {wrong or 'PASS'}; {cycles} cycles")
        return int(failed)

    return ended(test)
