"""The logic depth of the C++ kernel's loop-carried updates, by way of LLVM's intermediate form.

``python -m workshop.recurrence [CONFIG...]`` prints it, by default for all shipped configs, whose
figures go to docs/results/recurrences.json; exit status 1: an update is too deep. The updates are
functions of updates.cpp that call the kernel; clang compiles them with integers of any width.
What it makes of one becomes wires (datapath.py). From these comes Verilog, which Yosys maps and the
timing witness walks, and which a simulation holds against the compiled function. See
docs/recurrences.md.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lstm_sharp import files, paths
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.errors import ToolError
from lstm_sharp.flow import tools, verilate, yosys
from lstm_sharp.flow.render import render
from lstm_sharp.terminal import Parser
from workshop import datapath, libclang, results, witness
from workshop.datapath import Bits, Step, Wire, concatenated
from workshop.llvm_ir import Module, NotADatapath
from workshop.netlist import Netlist

STEPS = {  # function in updates.cpp: what it updates
    "fetch": "the next instruction, in two cycles",
    "dispatcher": "where the work stands, in no-op slots, rows and columns",
    "loader": "the tile, biases or state that are being gathered",
    "sums": "running sums",
    "turns": "the row block that the lanes take up",
    "packer": "the beat of h that is being filled",
}
MOST_LUTS = {"xc7": 6, "xcup": 4}
"""LUT levels of an update, by family: what 100 MHz leave on 7-series, 188 MHz on UltraScale+."""
MOST_CHAINS = 1
"""Carry chains in series."""
UNCERTAINTY = 0.27
"""Part of the clock period that an HLS tool is told to leave for routing (run_hls.tcl)."""

_SOURCE = Path(__file__).with_name("updates.cpp")
_CLANG = (
    *("-target", "x86_64-linux-musl", "-std=c++14", "-DLSTM_SHARP_VITIS", "-O2", "-g0"),
    # Everything inside one function, all loops unrolled, and no vectors
    *("-mllvm", "-inline-threshold=100000", "-mllvm", "-unroll-threshold=100000"),
    *("-fno-vectorize", "-fno-slp-vectorize", "-fno-jump-tables", "-fno-discard-value-names"),
    *("-fno-sanitize=all", "-Wno-bit-int-extension", "-Wno-unknown-pragmas"),
)


def registered(step: Step) -> str:
    """Return a module that holds the state in registers, to be measured.

    Inputs, what is read from memories, and all that is worked out from inputs alone come from
    registers; outputs are left out, and addresses end in registers.
    """
    becomes = {  # fields that a step may change
        wire: step.after[low // 8 : (low + wire.width) // 8]
        for wire, low in step.fields().items()
        if not wire.early
    }
    needed, left = set(), [bits.wire for after in becomes.values() for bits in after]
    while left:
        wire = left.pop()
        if wire is not None and wire not in needed:
            needed.add(wire)
            left += [bits.wire for bits in wire.operands]
    wires = [wire for wire in step.wires if wire in needed]
    late = {bits.wire for wire in wires if not wire.early for bits in wire.operands}
    late |= {bits.wire for bits in step.after}
    ends: dict[str, tuple[int, str]] = {}  # outputs: registers stay though nothing else uses them
    lines, given = [], 0
    for wire in wires:
        outside = wire.op in ("source", "read")
        if wire.op == "read" and not wire.early:
            (index,) = wire.operands
            ends[str(wire).replace("memories", "address")] = index.width, str(index)
        if wire in becomes:
            continue
        text = f"given[{given} +: {wire.width}]" if outside else wire.text
        given += wire.width if outside else 0
        if outside or (wire.early and wire in late):
            lines += [f"  reg [{wire.width - 1}:0] {wire};", _clocked(str(wire), text)]
        else:
            lines.append(f"  wire [{wire.width - 1}:0] {wire} = {text};")
    ends |= {str(wire): (wire.width, concatenated(after)) for wire, after in becomes.items()}
    lines += [_clocked(name, text) for name, (_, text) in ends.items()]
    ports = [f"  output reg [{width - 1}:0] {name}" for name, (width, _) in ends.items()]
    ports = ["  input clk", f"  input [{max(given, 1) - 1}:0] given", *ports]
    return "\n".join([f"module {step.name} (", ",\n".join(ports), ");", *lines, "endmodule", ""])


def _clocked(name: str, value: str) -> str:
    return f"  always @(posedge clk) {name} <= {value};"


_BENCH = """\
  import "DPI-C" function void {name}(inout bit [{state}:0] state, input bit [{in}:0] in,
    input bit [{memories}:0] memories, inout bit [{out}:0] out);
  function automatic void {name}_wires(input bit [{state}:0] state, input bit [{in}:0] in,
    input bit [{memories}:0] memories, output bit [{state}:0] next, output bit [{out}:0] gives);
{wires}
    next = {after};
    gives = {given};
  endfunction
  task automatic {name}_slots(int slots);
    bit [{state}:0] state, next;
    bit [{out}:0] out, gives;
    bit [{in}:0] in;
    bit [{memories}:0] memories;
    for (int slot = 0; slot < slots; slot++) begin
      state = {state_drawn};
      in = {in_drawn};
      memories = {memories_drawn};
      out = 0;
      {name}_wires(state, in, memories, next, gives);
      {name}(state, in, memories, out);
      if (((state ^ next) & {state_mask}) != 0 || ((out ^ gives) & {out_mask}) != 0) begin
        $display("error: {name}: slot %0d: its state or output differs", slot);
        $fatal;
      end
    end
    $display("{name}: %0d slots are the same", slots);
  endtask
"""
_COMMON = """\
  function automatic bit [{most}:0] drawn(int bits);
    bit sparse = 1'($urandom);  // mostly zeros: numbers are small, and equal
    for (int at = 0; at < bits; at += 32) begin
      drawn[at +: 32] = $urandom & (sparse ? $urandom & $urandom & $urandom : '1);
    end
  endfunction
  initial begin
    int slots;
    void'($value$plusargs("slots=%d", slots));
{calls}
  end
"""


def bench(steps: Sequence[Step]) -> str:
    """Return a module that compares each step's wires with its compiled function.

    Both are given the same random states, inputs and tables; of bytes that are no field nothing
    is said, and a bool is 0 or 1.
    """
    parts, most = [], 0
    for step in steps:
        of: dict[str, object] = {"name": step.name}
        for name, layout in step.layouts.items():
            width = 8 * layout.size
            most = max(most, width)
            fields = sum((1 << 8 * f.size) - 1 << 8 * f.offset for f in layout.fields)
            values = sum(
                (1 if f.is_bool else (1 << 8 * f.size) - 1) << 8 * f.offset for f in layout.fields
            )
            of[name] = width - 1
            of[f"{name}_mask"] = f"{width}'h{fields:x}"
            of[f"{name}_drawn"] = f"{width}'(drawn({width})) & {width}'h{values:x}"
        wires = (f"    bit [{wire.width - 1}:0] {wire} = {wire.text};" for wire in step.wires)
        of |= {"wires": "\n".join(wires)}
        of |= {"after": concatenated(step.after), "given": concatenated(step.out)}
        parts.append(_BENCH.format_map(of))
    calls = "\n".join(f"    {step.name}_slots(slots);" for step in steps)
    return "\n".join(
        ["module steps;", *parts, _COMMON.format(most=most + 31, calls=calls), "endmodule\n"]
    )


# Delays

_NARROW = 8
"""Bits up to which a comparison is narrow."""
_DELAYS = {  # ns, Vitis HLS 2021.2 and 2022.1 for UltraScale+ of speed grade 2
    **dict.fromkeys(("add", "sub"), 0.79),
    **dict.fromkeys(("shl", "lshr", "ashr"), 0.56),
    **dict.fromkeys(("select", "and", "or", "xor"), 0.29),
    **dict.fromkeys(("not", "concat", "extend"), 0.0),
    "mul": 3.42,
    "icmp": 0.86,
    "narrow icmp": 0.45,
    "register": 0.39,  # the choice between a loop's first value and its next
}


def longest(step: Step) -> float:
    """Return the longest path into the state or an address, in ns, for UltraScale+.

    A tool schedules operations, not LUTs: each has a delay for the part, and those that follow
    one another in a clock cycle are added.
    """
    arrival: dict[Wire | None, float] = {None: 0.0}
    ends = [0.0]
    for wire in step.wires:
        late = [arrival[bits.wire] for bits in wire.operands]
        ends += late if wire.op == "read" else []
        starts = wire.early or wire.op == "read"  # what is early waits in a register
        arrival[wire] = 0.0 if starts or not late else max(late) + _delay(wire)
    return max(ends + [arrival[bits.wire] + _DELAYS["register"] for bits in step.after])


def _delay(wire: Wire) -> float:
    constant = any(bits.wire is None for bits in wire.operands)
    if constant and wire.op in ("shl", "lshr", "ashr", "and", "or", "xor"):
        return 0.0
    if wire.op == "icmp" and min(map(_significant, wire.operands)) <= _NARROW:
        return _DELAYS["narrow icmp"]
    logic = wire.width == 1 and wire.op in ("and", "or", "xor", "select")
    return _DELAYS[wire.op] / (2 if logic else 1)  # every second one shares a LUT


def _significant(bits: Bits) -> int:
    """Bits of an operand without those that are only filled up, or of a constant."""
    if bits.wire is None:
        return bits.value.bit_length()
    return bits.wire.operands[0].width if bits.wire.op == "extend" else bits.width


# Configs


class Steps:
    """All updates of a config's kernel, as wires.

    Raises:
        ToolError: no clang, or it failed.
        NotADatapath: an update is more than logic between registers.
    """

    def __init__(self, cfg: Config, build_dir: Path | None = None) -> None:
        self.rendered = tools.build_folder(cfg, build_dir)
        render(cfg, self.rendered)
        self.folder = self.rendered / "recurrence"
        module = Module(self.clang("updates.ll", "-S", "-emit-llvm").read_text(encoding="utf-8"))
        unit = libclang.parse(_SOURCE, self.rendered / "hls", "-DLSTM_SHARP_VITIS")
        functions = (f for c in unit.cursor.get_children() for f in c.get_children())
        layouts = {
            f.spelling: {
                a.spelling: libclang.layout(a.type.get_pointee()) for a in f.get_arguments()
            }
            for f in functions
            if f.spelling in STEPS and libclang.kind(f) == "FUNCTION_DECL"
        }
        self.steps = [datapath.step(module, name, layouts[name]) for name in STEPS]

    def clang(self, target: str, *flags: str) -> Path:
        """Compile the updates."""
        if importlib.util.find_spec("ziglang") is None:
            raise ToolError("clang not found; install it with: pip install ziglang")
        # Whole paths, for zig takes what it has compiled before in another folder for the same.
        folders = (self.rendered / "hls", libclang.STUBS, paths.hardware() / "tb" / "vitis")
        self.folder.mkdir(parents=True, exist_ok=True)
        return tools.build(
            self.folder / target,
            [*sorted((self.rendered / "hls").rglob("*.hpp")), _SOURCE, *libclang.STUBS.glob("*.h")],
            [
                *(sys.executable, "-m", "ziglang", "c++", *_CLANG, *flags),
                *(f"-I{folder}" for folder in folders),
                *("-o", f"recurrence/{tools.fresh(target)}", _SOURCE),
            ],
            self.rendered,
        )

    def compare(self, slots: int, seed: int) -> list[str]:
        """Compare so many slots of each update's wires with its function; a line for each.

        Raises:
            ToolError: with the first slot that differs; a tool is missing.
        """
        updates = self.clang("updates.o", "-c")
        source, env = self.folder / "steps.sv", verilate.environment()
        files.write_text(str(source), bench(self.steps))
        command: list[str | Path] = [
            *(verilate.verilator_of(env), "--binary", "--no-timing", "-Wno-lint", "-j", "2"),
            *("--top-module", "steps", "-Mdir", "made", "--max-num-width", "1000000"),
            *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O1 OPT_GLOBAL=-O1"),
            *(source.name, updates, "-o", tools.fresh("steps")),
        ]
        target = self.folder / "made" / "steps"
        program = tools.build(target, [source, updates], command, self.folder, env)
        run: list[str | Path] = [program, f"+slots={slots}", f"+verilator+seed+{seed}"]
        log = tools.run(run, program.parent, program.with_name(f"steps-{seed}.log"))
        return [line for line in log.splitlines() if "slots are the same" in line]


class Depth(NamedTuple):
    """How deep an update is."""

    luts: int  # most LUT levels of all paths
    chains: int  # most carry chains in series
    most: int  # LUT levels allowed
    fails: bool
    ns: float | None  # as an HLS tool adds up operations; only for UltraScale+
    longest: str  # path
    made_from: str  # hash of the Verilog


def depth(folder: Path, family: str, step: Step) -> Depth:
    """Map a step with Yosys, and walk its paths.

    Each has a netlist of its own: mapping saves levels only on what is longest in it.

    Raises:
        ToolError: no Yosys, or it failed.
        NotADatapath: the step changes nothing.
    """
    rtl = source(folder, step)
    verdict = witness.judge(
        Netlist.read(yosys.map_rtl(folder, family, step.name, [rtl]), step.name)
    )
    routes = [route for route in verdict.worst if "." in route.end]  # fields, no stages before
    if not routes:
        raise NotADatapath(f"{step.name}: nothing of its state changes; is State the right type?")
    luts, chains = (max(getattr(r, figure) for r in routes) for figure in ("luts", "chains"))
    most, ns = MOST_LUTS[family], round(longest(step), 2) if family == "xcup" else None
    fails = luts > most or chains > MOST_CHAINS
    return Depth(luts, chains, most, fails, ns, str(routes[0]), tools.digest([rtl]))


def source(folder: Path, step: Step) -> Path:
    """Write the Verilog that is measured."""
    path = folder / "rtl" / f"{step.name}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(str(path), registered(step))
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = Parser(prog="workshop.recurrence", description=(__doc__ or "").split("\n\n")[0])
    return results.of_each_config(parser, _fails, arguments)


def _fails(cfg: Config, _: Namespace) -> bool:
    print(f"{cfg.name}: measuring updates of the C++ kernel ...", file=sys.stderr)
    steps = Steps(cfg)
    one = partial(depth, steps.folder, facts(board_of(cfg)).family)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        depths = dict(zip(STEPS, pool.map(one, steps.steps)))
    print("\n".join(_lines(cfg, depths)))
    own = {"identity": cfg.digest, "clock_mhz": cfg.clock_mhz, "yosys": yosys.version()}
    updates = {step: of._asdict() for step, of in depths.items()}
    results.add("recurrences", cfg, {**own, "updates": updates})
    return any(of.fails for of in depths.values())


def _lines(cfg: Config, depths: dict[str, Depth]) -> Iterator[str]:
    """Lay out the updates beside what is allowed."""
    budget = (1 - UNCERTAINTY) * 1000 / cfg.clock_mhz
    yield (
        f"{cfg.name}: loop-carried updates of the C++ kernel, Yosys mapping, not placed; at most "
        f"{max(of.most for of in depths.values())} LUT, {MOST_CHAINS} carry chain"
    )
    for name, of in depths.items():
        verdict = "FAILS" if of.fails else "passes"
        yield f"  {name:12}{verdict:8}{of.luts} LUT, {of.chains} carry; longest {of.longest}"
        if of.ns is not None:
            used = f"{of.ns:.2f} of {budget:.2f} ns (estimated)"
            yield f"{'':22}operations of an HLS tool: {used}"


if __name__ == "__main__":
    sys.exit(main())
