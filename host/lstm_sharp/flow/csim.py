"""csim: the C++ kernel as a native program, compiled with g++ alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lstm_sharp.engine.config import Config
from lstm_sharp.flow import tools
from lstm_sharp.flow.render import render

Command = tuple[Path | str, ...]
FLAGS = (
    *("-std=c++14", "-pedantic-errors", "-Wall", "-Wextra", "-Wshadow", "-Werror"),
    "-Wno-unknown-pragmas",  # those of Vitis HLS
    "-Wno-unused-label",  # loops have names, for its reports
)
CONVERSION = ("-Wconversion", "-Wno-sign-conversion")


def gcc() -> Command:
    """Find g++.

    Raises:
        ToolError: there is none.
    """
    return (tools.need("g++"),)


class Variant(NamedTuple):
    """A way to compile csim: there is one, and tests have more."""

    name: str  # of the executable
    compiler: Callable[[], Command]  # raises ToolError
    flags: tuple[str, ...]  # beside FLAGS


RELEASE = Variant("csim", gcc, ("-O3", "-march=native", *CONVERSION))


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
        ToolError: no compiler, or it does not compile.
    """
    cfg.require("hls", "csim")
    command = (*variant.compiler(), *FLAGS, *variant.flags)
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    units = ["hls/top.cpp", "hls/tb/csim_main.cpp"]
    headers = sorted((folder / "hls").rglob("*.hpp"))
    return tools.build(
        folder / variant.name,
        [*headers, *(folder / unit for unit in units)],
        [*command, "-I", "hls", *units, "-o", tools.fresh(variant.name)],
        folder,
        seconds=5,
    )
