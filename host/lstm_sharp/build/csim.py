"""csim: the C++ kernel as a native program, compiled with g++ alone."""

from __future__ import annotations

from pathlib import Path

from lstm_sharp.build import tools
from lstm_sharp.build.render import render
from lstm_sharp.engine.config import Config

FLAGS = (
    "-std=c++14",
    "-pedantic-errors",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",  # those of Vitis HLS
    "-Wno-unused-label",  # loops have names, for its reports
    "-O3",
    "-march=native",
)


def build(cfg: Config, build_dir: Path) -> Path:
    """Render a config and compile its csim where sources have changed.

    Args:
        cfg: the engine.
        build_dir: gets a folder for each config.

    Returns:
        The executable; ``run.engines.play`` runs it.

    Raises:
        UsageError: no g++.
        ToolError: it does not compile.
    """
    compiler = tools.need("g++")
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    units = ["hls/top.cpp", "hls/tb/csim_main.cpp"]
    headers = sorted((folder / "hls").rglob("*.hpp"))
    return tools.build(
        folder / "csim",
        [*headers, *(folder / unit for unit in units)],
        [compiler, *FLAGS, "-I", "hls", *units, "-o", "csim"],
        folder,
    )
