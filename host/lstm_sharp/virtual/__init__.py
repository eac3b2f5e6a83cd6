"""The virtual board: import it, and it is the device that pynq works on (docs/board.md).

``device`` is the ``VirtualDevice``, of the board that the environment variable LSTM_SHARP_VIRTUAL
names, or a PYNQ-Z2. Without pynq there is none, but overlays can be written.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lstm_sharp.engine.boards import DEFAULT, VIRTUAL, VIRTUAL_NEEDS
from lstm_sharp.errors import lacking
from lstm_sharp.virtual.faults import Fault

if TYPE_CHECKING:
    from lstm_sharp.virtual.device import VirtualDevice

__all__ = ["Fault", "activate"]


def activate(board: str) -> VirtualDevice:
    """Make a virtual board, and pynq's active device of it.

    Args:
        board: a folder of overlays/.

    Raises:
        ToolError: pynq is missing.
        UsageError: there is no such board.
    """
    for module in VIRTUAL_NEEDS:
        if find_spec(module) is None:
            raise lacking(module, "a virtual board")
    from lstm_sharp.virtual.device import VirtualDevice

    made = VirtualDevice(board)
    made.activate()
    globals()["device"] = made  # in place of the module of this name
    return made


def __getattr__(name: str) -> Any:
    if name == "device":
        return activate(os.environ.get(VIRTUAL) or DEFAULT)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if all(map(find_spec, VIRTUAL_NEEDS)):
    activate(os.environ.get(VIRTUAL) or DEFAULT)
