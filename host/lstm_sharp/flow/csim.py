"""csim: the C++ kernel as a native program, compiled with g++ alone.

The same sources make other programs too, with clang and with the integers of Vitis HLS, see
``VARIANTS``: tests hold each against the golden model.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lstm_sharp import paths
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render

AP_TYPES = "LSTM_SHARP_AP_TYPES"
"""Environment variable: folder of the public ap_types headers, where hls4ml is not installed."""
FLAGS = (
    "-std=c++14",
    "-pedantic-errors",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Werror",
    "-Wno-unknown-pragmas",  # those of Vitis HLS
    "-Wno-unused-label",  # loops have names, for its reports
)
_CONVERSION = ("-Wconversion", "-Wno-sign-conversion")


def gcc() -> tuple[Path | str, ...]:
    """Find g++.

    Raises:
        ToolError: there is none.
    """
    return (tools.need("g++"),)


def clang() -> tuple[Path | str, ...]:
    """Find clang: the one of the ziglang wheel, else a clang++ on PATH.

    Raises:
        ToolError: there is neither.
    """
    if importlib.util.find_spec("ziglang"):
        return sys.executable, "-m", "ziglang", "c++"
    found = shutil.which("clang++")
    if found:
        return (Path(found),)
    raise ToolError(
        "no clang: pip install ziglang, as `make setup` does, or put a clang++ on PATH (sudo "
        "apt-get install clang)"
    )


def _no_headers() -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class Variant:
    """A way to compile csim."""

    name: str  # of the executable
    compiler: Callable[[], tuple[Path | str, ...]]  # raises ToolError
    flags: tuple[str, ...]
    headers: Callable[[], tuple[str, ...]] = _no_headers  # flags that find them; raises ToolError

    def command(self) -> tuple[Path | str, ...]:
        """Return the compiler and all its flags.

        Raises:
            ToolError: no compiler, or headers that are not there.
        """
        return *self.compiler(), *FLAGS, *self.flags, *self.headers()


def ap_types() -> Path:
    """Find the public ap_types headers, with which the kernel has the integers of Vitis HLS.

    Raises:
        ToolError: neither hls4ml is installed nor ``AP_TYPES`` names their folder.
    """
    spec = importlib.util.find_spec("hls4ml")  # its wheel has them; it is not imported
    inside = [Path(p, "templates", "vivado", "ap_types") for p in _places(spec)]
    named = [Path(os.environ[AP_TYPES])] if AP_TYPES in os.environ else []
    for folder in (*inside, *named):
        if (folder / "ap_int.h").is_file():
            return folder.resolve()
    raise ToolError(
        "no ap_types headers: pip install --no-deps hls4ml, as `make setup` does, or name a folder "
        f"that holds ap_int.h in {AP_TYPES}"
    )


def _places(spec: object) -> list[str]:
    return list(getattr(spec, "submodule_search_locations", None) or [])


_NO_COMPLEX = ("-D__AP_INT_SPECIAL_H__", "-D__AP_FIXED_SPECIAL_H__")
"""Leaves out the headers' std::complex, which they declare where libc++ does not."""


def _ap_headers() -> tuple[str, ...]:
    return "-I", str(paths.hardware() / "tb" / "vitis"), "-isystem", str(ap_types())


RELEASE = Variant("csim", gcc, ("-O3", "-march=native", *_CONVERSION))
VARIANTS = (
    RELEASE,
    Variant("csim-O0", gcc, ("-O0", *_CONVERSION)),
    # Optimised: without, the wheel's clang would put traps of its sanitizer in.
    Variant("csim-clang", clang, ("-O3", "-march=native", *_CONVERSION)),
    Variant(
        "csim-sanitized",
        gcc,
        ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *_CONVERSION),
    ),
    # A product or sum of these integers is an ap_int of its own width, and an int only by way of a
    # long long: g++ has one warning for that and for all else that narrows, so it has to go; clang
    # names it apart. g++ takes the constructors of the headers' integers for reads of them.
    Variant(
        "csim-ap-types",
        gcc,
        ("-O2", "-DLSTM_SHARP_VITIS", "-Wno-uninitialized", "-Wno-maybe-uninitialized"),
        _ap_headers,
    ),
    Variant(
        "csim-ap-types-clang",
        clang,
        ("-O2", "-DLSTM_SHARP_VITIS", *_CONVERSION, "-Wno-shorten-64-to-32", *_NO_COMPLEX),
        _ap_headers,
    ),
)


def build(cfg: Config, build_dir: Path, variant: Variant = RELEASE) -> Path:
    """Render a config and compile its csim where sources have changed.

    Args:
        cfg: the engine, hls.
        build_dir: gets a folder for each config.
        variant: how to compile it.

    Returns:
        The executable; ``run.engines.play`` runs it.

    Raises:
        UsageError: a config for another engine.
        ToolError: no compiler, no headers of ap_types, or it does not compile.
    """
    cfg.require("hls", "csim")
    command = variant.command()
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    units = ["hls/top.cpp", "hls/tb/csim_main.cpp"]
    headers = sorted((folder / "hls").rglob("*.hpp"))
    return tools.build(
        folder / variant.name,
        [*headers, *(folder / unit for unit in units)],
        [*command, "-I", "hls", *units, "-o", tools.fresh(variant.name)],
        folder,
    )
