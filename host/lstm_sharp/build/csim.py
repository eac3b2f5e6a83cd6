"""csim: the C++ kernel as a native program, compiled with g++ alone."""

from __future__ import annotations

import os
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
        The program; ``run.jobs.play`` runs it.

    Raises:
        UsageError: no g++.
        ToolError: it does not compile.
    """
    root = (build_dir / f"{cfg.name}-{cfg.digest}").resolve()
    render(cfg, root)
    program, log = root / "csim", root / "csim.log"
    sources = [path for path in (root / "hls").rglob("*") if path.is_file()]
    command = [tools.need("g++"), *FLAGS, "-I", "hls", "hls/top.cpp", "hls/tb/csim_main.cpp", "-o"]
    first_line = " ".join(str(part) for part in command)
    if _is_fresh(program, sources) and log.is_file() and log.read_text().startswith(first_line):
        return program
    unfinished = root / f"csim.{os.getpid()}"  # two builds at once do not meet
    tools.run([*command, unfinished], root, log)
    os.replace(unfinished, program)
    return program


def _is_fresh(target: Path, sources: list[Path]) -> bool:
    if not target.is_file():
        return False
    made = target.stat().st_mtime_ns
    return all(source.stat().st_mtime_ns < made for source in sources)
