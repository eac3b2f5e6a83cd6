"""What an engine takes of its board, and whether the timing witness (witness.py) lets it pass.

``python -m workshop.resources [CONFIG...]`` counts with Yosys and prints a table for each,
by default for all shipped configs; it fails if one does not fit or does not pass. What it saw of
shipped configs goes to docs/results/resources.json. See docs/resources.md.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_sharp.engine import storage
from lstm_sharp.engine.boards import KINDS, Board, board
from lstm_sharp.engine.config import Config, resized
from lstm_sharp.errors import check_range
from lstm_sharp.flow import tools, verilate, yosys
from lstm_sharp.terminal import Parser
from workshop import netlist, results, witness
from workshop.netlist import Netlist
from workshop.witness import Verdict


def too_much(used: Mapping[str, float], made: Board | None) -> list[str]:
    """Name the resources of which there are not enough."""
    return [kind for kind in KINDS if made and used[kind] > made.free(kind)]


def table(used: Mapping[str, float], made: Board | None) -> str:
    """Lay out what is used beside what there is."""
    lines = [f"{'':8}{'engine':>9}" + (f"{'free':>9}{'board':>9}{'reserve':>9}" if made else "")]
    for kind in KINDS:
        line = f"{kind:8}{used[kind]:9g}"
        if made:
            line += f"{made.free(kind):9}{made.has[kind]:9}{made.reserve.get(kind, 0):9}"
            line += "  TOO MUCH" if used[kind] > made.free(kind) else ""
        lines.append(line)
    return "\n".join(lines)


def kernel(cfg: Config, made: Board | None) -> str:
    """Say what the C++ kernel's memories take, worked out by Vivado's rule."""
    memories = storage.kernel_memories(cfg.of("hls"))
    parts = (
        f"{storage.total(memories, kind):g}{f' of {made.free(kind)}' if made else ''} {kind}"
        for kind in ("bram36", "uram", "lutram")
    )
    return f"memories of the HLS kernel, worked out: {', '.join(parts)}"


def account(verdict: Verdict, most: int) -> str:
    """Say what the witness found: all that is wrong, else the longest paths."""
    if verdict.passes:
        lines = [f"witness: passes, {verdict.ends} pins that end paths; the longest are"]
        lines += [f"  {path}" for path in verdict.worst[:most]]
        return "\n".join(lines + [f"  {note}" for note in verdict.notes])
    lines = [
        f"witness: FAILS, {len(verdict.failing)} paths are longer than {netlist.MAX_LUTS} LUT "
        f"+ {witness.MAX_CHAINS} carry chain of {4 * witness.MAX_CARRY4} bits"
    ]
    lines += [f"  cycle through {name}" for name in verdict.cycles]
    lines += [f"  {fault}" for fault in verdict.faults]
    return "\n".join(lines + [f"  {path}" for path in verdict.failing])


def remedies(cfg: Config, verdict: Verdict) -> list[str]:
    """Say which knob shortens the paths that are too long, and to what to set it."""
    told, most = [], 4 * witness.MAX_CARRY4
    if any(path.carry4 > witness.MAX_CARRY4 for path in verdict.failing):
        bits = [_widest(resized(cfg, max_shift=shift)) for shift in range(cfg.max_shift + 1)]
        fits = sum(width <= most for width in bits)
        if bits[-1] > most:
            told.append(
                f"sums of {bits[-1]} bits make chains of more than {most}; "
                f"max_shift = {fits - 1} would do"
            )
    if any(path.luts > netlist.MAX_LUTS for path in verdict.failing):
        knob, value = ("chains", cfg.chains) if cfg.chains > 1 else ("max_hidden", cfg.max_hidden)
        told.append(
            f"memories of {cfg.chain_blocks // cfg.bands} stored sums and {cfg.groups} places of c "
            f"are chosen from by more LUTs than their half; {knob} = {value // 2} would halve them"
        )
    return told


def _widest(cfg: Config) -> int:
    return max(cfg.acc_bits, cfg.scaled_bits)


def tail(cfg: Config) -> str:
    """List the stages from a slot's issue to its last h being readable."""
    lines = [f"tail: {cfg.tail} cycles from a slot's issue to its last h being readable"]
    lines += [
        f"  {stage.cycles:2}  {stage.name:16}{stage.why}" for stage in cfg.stages if stage.cycles
    ]
    return "\n".join(lines)


def measure(cfg: Config) -> tuple[dict[str, Any], Verdict]:
    """Synthesise an engine; return what documentation shows of it, and what the witness found."""
    cells = Netlist.read(yosys.synthesise(cfg), verilate.TOP)
    verdict = witness.judge(cells)
    seen = {
        "identity": cfg.digest,
        "sources": tools.digest(verilate.synthesised(tools.build_folder(cfg))),
        "used": yosys.usage(cells.types),
        "witness": verdict.passes,
        "longest": str(verdict.worst[0]),
    }
    return seen, verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge configs."""
    parser = Parser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--paths", type=int, default=8, help="longest paths to show (default 8)")
    return results.of_each_config(parser, _fails, arguments)


def _fails(cfg: Config, options: Namespace) -> bool:
    check_range("paths", options.paths, 0, 1000)
    made = board(cfg.board)
    print(f"{cfg.name}: mapping with Yosys ...", file=sys.stderr)
    seen, verdict = measure(cfg)
    used = seen["used"]
    where = made.name if made else "no board"
    print(f"{cfg.name} on {where}: engine alone, Yosys mapping, not placed")
    print(table(used, made))
    print(account(verdict, options.paths))
    for remedy in remedies(cfg, verdict):
        print(f"  {remedy}")
    print(kernel(cfg, made))
    print(tail(cfg) + "\n")
    seen |= {"yosys": yosys.version(), "ends": verdict.ends, "board": made and made.name}
    seen["free"] = {kind: made.free(kind) for kind in KINDS} if made else None
    results.add("resources", cfg, seen)
    return bool(too_much(used, made)) or not verdict.passes


if __name__ == "__main__":
    sys.exit(main())
