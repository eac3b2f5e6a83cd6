"""csim by more compilers, and with AMD's integers: each is held against the golden model."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from lstm_sharp import paths
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import tools
from lstm_sharp.flow.csim import CONVERSION, RELEASE, Command, Variant, gcc

AP_TYPES = "LSTM_SHARP_AP_TYPES"
"""Environment variable: folder of the public ap_types headers, where hls4ml is not installed."""


def clang() -> Command:
    """Find clang: the one of the ziglang wheel, else a clang++ on PATH; with g++'s C++ library.

    Raises:
        ToolError: there is neither.
    """
    if importlib.util.find_spec("ziglang"):
        return sys.executable, "-m", "ziglang", "c++", *_gcc_library()
    found = shutil.which("clang++")
    if found:
        return (Path(found),)
    raise ToolError(
        "no clang: pip install ziglang, as `make setup` does, or put a clang++ on PATH (sudo "
        "apt-get install clang)"
    )


@cache
def _gcc_library() -> tuple[str, ...]:
    """Flags for g++'s C++ library, which a clang++ takes too: the wheel would compile its own."""

    def told(*arguments: str) -> subprocess.CompletedProcess[str]:
        command: Command = tools.need("g++"), *arguments
        return subprocess.run(command, capture_output=True, text=True, check=True)

    found = told("-E", "-v", "-x", "c++", os.devnull).stderr
    headers = [line.strip() for line in found.splitlines() if re.match(r" /.*c\+\+", line)]
    libraries = [f"-print-file-name={name}" for name in ("libstdc++.so.6", "libgcc_s.so.1")]
    return (
        *("-nostdinc++", *(f"-I{folder}" for folder in headers)),
        *("-nostdlib++", *(told(library).stdout.strip() for library in libraries)),
    )


def ap_types() -> Path:
    """Find the public ap_types headers, with which the kernel has the integers of Vitis HLS.

    Raises:
        ToolError: neither hls4ml is installed nor ``AP_TYPES`` names their folder.
    """
    spec = importlib.util.find_spec("hls4ml")  # its wheel has them; it is not imported
    inside = list(spec.submodule_search_locations or []) if spec else []
    folders = [Path(path, "templates", "vivado", "ap_types") for path in inside]
    for folder in (*folders, Path(os.environ.get(AP_TYPES, os.devnull))):
        if (folder / "ap_int.h").is_file():
            return folder.resolve()
    raise ToolError(
        "no ap_types headers: pip install --no-deps hls4ml, as `make setup` does, or name a folder "
        f"that holds ap_int.h in {AP_TYPES}"
    )


def with_public(compiler: Command) -> Command:
    """Give a compiler the public headers, and the few that they lack."""
    return *compiler, "-I", str(paths.hardware() / "tb" / "vitis"), "-isystem", str(ap_types())


VARIANTS = (
    RELEASE,
    Variant("csim-O0", gcc, ("-O0", *CONVERSION)),
    # Optimised: without, the wheel's clang would put traps of its sanitizer in.
    Variant("csim-clang", clang, ("-O3", "-march=native", *CONVERSION)),
    Variant(
        "csim-sanitized",
        gcc,
        ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *CONVERSION),
    ),
    # A product or sum of these integers is an ap_int of its own width, and an int only by way of a
    # long long: g++ has one warning for that and for all else that narrows, so it has to go; clang
    # names it apart. g++ takes the constructors of the headers' integers for reads of them.
    Variant(
        "csim-ap-types",
        lambda: with_public(gcc()),
        ("-O2", "-DLSTM_SHARP_VITIS", "-Wno-uninitialized", "-Wno-maybe-uninitialized"),
    ),
    Variant(
        "csim-ap-types-clang",
        lambda: with_public(clang()),
        ("-O2", "-DLSTM_SHARP_VITIS", *CONVERSION, "-Wno-shorten-64-to-32"),
    ),
)
