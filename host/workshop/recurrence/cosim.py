"""Holds the Verilog of the updates against the updates themselves, as clang compiles them.

Both start from the same state and are given the same random slots; the next state and the outputs
of every slot must be the same. See hls/lint/steps/steps_main.cpp.
"""

from __future__ import annotations

import os
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.flow import tools, verilate
from workshop.libclang import Layout
from workshop.recurrence import Steps, verilog
from workshop.recurrence.dataflow import Step


def build(steps: Steps) -> Path:
    """Build the program that compares: ``steps SLOTS SEED``.

    Raises:
        ToolError: a tool is missing.
        ToolError: it does not compile.
    """
    tools.need("g++")
    folder = steps.folder / "cosim"
    folder.mkdir(parents=True, exist_ok=True)
    updates = steps.clang("updates.o", "-c", "-DLSTM_SHARP_BENCH")
    rtl, rigs = folder / "steps.v", folder / "rigs.hpp"
    ports = {name: verilog.ports(step) for name, step in steps.steps.items()}
    logic = [verilog.logic(step) for step in steps.steps.values()]
    files.write_text(str(rtl), "\n".join([*logic, _top(ports)]))
    made = [_rig(step, steps.layouts[name]) for name, step in steps.steps.items()]
    files.write_text(str(rigs), f"#define RIGS(top) {', '.join(made)}\n")
    main = next(path for path in steps.sources if path.name == "steps_main.cpp")
    env = verilate.environment()
    command: list[str | Path] = [
        *(verilate.verilator_of(env), "--cc", "--exe", "--build", "-j", "2", "-O3", "--no-timing"),
        *("-Wno-lint", "--top-module", "steps", "--prefix", "Vsteps", "-Mdir", "made"),
        *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O1 OPT_GLOBAL=-O1"),
        *("-CFLAGS", f"-O1 -I{main.parent} -I{folder}"),
        *(rtl.name, os.path.relpath(main, folder), updates, "-o", tools.fresh("steps")),
    ]
    return tools.build(
        folder / "made" / "steps", [rtl, rigs, updates, *steps.sources], command, folder, env
    )


def run(program: Path, slots: int, seed: int) -> list[str]:
    """Compare so many slots of each update, and return a line for each.

    Raises:
        ToolError: with the first field that differs.
    """
    log = program.with_name(f"steps-{seed}.log")
    return tools.run([program, str(slots), str(seed)], program.parent, log).splitlines()


def _top(updates: dict[str, dict[str, tuple[str, int]]]) -> str:
    """One module of all updates, each with ports of its own."""
    lines = [
        f"  {way} [{max(width, 1) - 1}:0] {name}_{port}"
        for name, ports in updates.items()
        for port, (way, width) in ports.items()
    ]
    units = []
    for name, ports in updates.items():
        wires = ", ".join(f".{port}({name}_{port})" for port, (_, width) in ports.items() if width)
        units.append(f"  {name}_logic {name} ({wires});")
    return "\n".join(["module steps (", ",\n".join(lines), ");", *units, "endmodule", ""])


def _rig(step: Step, layouts: dict[str, Layout]) -> str:
    """C++ of a ``Rig``: ports, what is compared, reads."""
    ports = ", ".join(f"&top.{step.name}_{port}" for port in verilog.ports(step))
    state, out = (
        ", ".join(f'{{"{name}", {at}, {size}}}' for name, at, size in layouts[which].fields)
        for which in ("state", "out")
    )
    reads = ", ".join(str(read.width // 8) for read in step.reads)
    return f"{{{ports}, {{{state}}}, {{{out}}}, {{{reads}}}}}"
