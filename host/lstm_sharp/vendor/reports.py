"""What Vitis HLS reports of a kernel beside what was predicted: csynth.xml, log, cosimulation.

Forms are as in published logs and reports of 2022.2 to 2025.1; docs/vitis.md names them, and has
the table of what fails.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from lstm_sharp import files
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.engine.boards import facts
from lstm_sharp.engine.config import Config, board_of
from lstm_sharp.engine.program import STRIDE
from lstm_sharp.errors import ToolError, printable
from lstm_sharp.flow.xilinx import one

SLOTS = "Slots"
"""Label of the loop over slots."""
_KINDS = {"lut": "LUT", "ff": "FF", "bram36": "BRAM_18K", "uram": "URAM", "dsp": "DSP"}
_CLOCK = {
    "target": "UserAssignments/TargetClockPeriod",
    "uncertainty": "UserAssignments/ClockUncertainty",
    "estimated": "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
}
_ASK = "docs/first-run.md says what to do"
_SLOWER = "name a slower clock_mhz in the config's file"
_SCHEDULE = {
    "200-871": _SLOWER,
    "200-875": _ASK,
    "200-878": _ASK,
    "200-880": "if it is a memory, raise min_tail in the config's file; else clock_mhz is too high",
    "200-885": "docs/kernel.md has the accesses that this memory was written for",
    "200-1016": _SLOWER,
}
"""Numbers of messages on a schedule that is not what was asked for, and the remedy."""

# The kernel
_BIND = re.compile(r"^ *#pragma HLS BIND_STORAGE (.*)", re.MULTILINE)
_WORD = re.compile(r"(\w+) *= *(\w+)")
_SEEN = ("__SYNTHESIS__", "LSTM_SHARP_VITIS")
"""Macros that Vitis HLS, and our script for it, define."""
_LOOP = re.compile(r"^(\w+):\n *(?:for|while) \(.*\{\n((?: *(?://|#pragma).*\n)*)", re.MULTILINE)
_II = re.compile(r"#pragma HLS PIPELINE.*?\bII = (\w+)")

# The log
_MESSAGE = re.compile(r"(INFO|WARNING|CRITICAL WARNING|ERROR): \[\S+ (\d+-\d+)\] (.*)", re.DOTALL)
_BEGINS = re.compile(
    r"-- Implementing module '(?:[^']+_Pipeline_)?([^']+)'|Pipelining loop '([^']+)'"
)
_NAMED = re.compile(r"\(loop '([^']+)'\)")
_WHERE = re.compile(r"The II Violation in module '[^']*'(?: \(loop '[^']*'\))?: ")
_REFUSED = re.compile(
    r"ignor|unsupported|not supported|cannot|invalid|unexpected pragma|missing argument|conflict"
    r"|has been removed|assuming false|can only be applied|only .* support",
    re.IGNORECASE,
)
_PRAGMA = re.compile(r"pragma|directive|array_|dependence", re.IGNORECASE)
_SHOWN = 160


@dataclass(frozen=True)
class Loop:
    """A loop as the tool made it; None stands for what it does not say, or calls undefined."""

    module: str
    label: str
    ii: int | None
    depth: int | None  # cycles of an iteration where the loop is no pipeline
    wanted_ii: int | None  # of its pragma; None: no pipeline, or no loop of ours


@dataclass(frozen=True)
class Memory:
    """An array that the kernel binds, as type and implementation; ``found`` counts its parts."""

    name: str
    asked: str  # as "ram_s2p in bram"
    found: dict[str, int]


class Message(NamedTuple):
    """A message of the log; what is indented below it is part of its text."""

    severity: str  # INFO, WARNING, CRITICAL WARNING, ERROR
    number: str  # as 200-880
    text: str
    loop: str  # that it names, or that was being pipelined, or that its module was made for

    def __str__(self) -> str:
        text = printable(_WHERE.sub("", self.text).rstrip("."), _SHOWN)
        return f"[{self.number}] {text}"  # in the middle of a long one stands little


@dataclass(frozen=True)
class Report:
    """All that is looked at; cycles are least and most of the runs of the test bench."""

    config: str
    identity: str
    tool: str
    part: str
    clock_ns: dict[str, float]  # target, uncertainty, estimated
    loops: list[Loop]
    memories: list[Memory]
    resources: dict[str, dict[str, float]]  # used; free: what the board leaves
    distance: dict[str, int]  # D, and the least D for this depth
    cycles: dict[str, list[int]]  # predicted, and seen in cosimulation
    notes: list[str]
    failures: list[str]

    def table(self) -> str:
        """Show it."""

        def parts(memory: Memory) -> str:
            return ", ".join(f"{n} {found}" for found, n in memory.found.items()) or "none"

        clock, row = self.clock_ns, "{:24}{:>6}{:>8}{:>7}  {}".format
        loops = [(x.label, x.ii, x.wanted_ii, x.depth, x.module) for x in self.loops]
        lines = [
            f"{self.config} ({self.identity}) by Vitis HLS {self.tool} for {self.part}",
            f"clock: {clock['estimated']} ns estimated, {clock['target']} ns wanted, "
            f"{clock['uncertainty']} ns of them for routing",
            row("loop", "II", "wanted", "depth", "module"),
            *(row(*("-" if value is None else value for value in loop)) for loop in loops),
            *(f"memory {m.name:17}{m.asked} wanted, {parts(m)} found" for m in self.memories),
            f"distance D: {self.distance['D']}, least for this depth: {self.distance['least']}",
            *(f"{k:8}{r['used']:>10g} of {r['free']:g}" for k, r in self.resources.items()),
            *(f"cycles {what}: {seen[0]} to {seen[1]}" for what, seen in self.cycles.items()),
            *(f"note: {note}" for note in self.notes),
        ]
        return "\n".join(lines)

    def write(self, out: Path) -> None:
        """Write ``report.json`` and ``report.txt``."""
        files.write_text(out / "report.json", json.dumps(asdict(self), indent=2) + "\n")
        files.write_text(out / "report.txt", self.table() + "\n")


def read(cfg: Config, out: Path, stamp: Mapping[str, Any]) -> Report:
    """Read the reports below a folder of Vitis HLS's.

    Args:
        cfg: the engine.
        out: from ``vitis.run``.
        stamp: of that run.

    Raises:
        ToolError: no report, or one that lacks a field; the text says which.
    """
    source = _Source(one(out, "syn/report/csynth.xml"))
    log = out / "vitis.log"
    said = list(messages(log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""))
    kernel = out.parent / "hls"
    wanted = pipelines(kernel)
    loops = list(_loops(source.root, wanted))
    depth = max((loop.depth or 0 for loop in loops if loop.label == SLOTS), default=0)
    least = depth + cfg.most_passes - 1  # a row block's last lane turn begins P - 1 slots later
    clock = {name: source.number(field) for name, field in _CLOCK.items()}
    memories = bound(source.root, bindings(kernel))
    has = facts(board_of(cfg))
    resources = {}
    for kind, tag in _KINDS.items():
        blocks = 2 if kind == "bram36" else 1  # a BRAM of 36 Kbit is two of 18
        used = source.number(f"AreaEstimates/Resources/{tag}") / blocks
        resources[kind] = {"used": used, "free": has.free(kind)}
    predicted = [hls_cycles(cfg, np.array(words)) for words in stamp["programs"]]
    cycles = {"predicted": [min(predicted), max(predicted)]} if predicted else {}
    if "cosim" in stamp["stages"]:
        cycles["of cosim"] = cosim_cycles(one(out, "sim/report/*_cosim.rpt"))
    failures = list(_missed(source, loops, wanted, said))
    if least > cfg.tail:
        failures.append(
            f"the pipeline of {SLOTS} is {depth} deep and needs D = {least}, the slot compiler "
            f'keeps {cfg.tail}: put "min_tail": {least} into the config\'s file'
        )
    failures += [*_slow(clock, cfg.clock_mhz), *_elsewhere(memories)]
    failures += [
        f"a pragma was not honoured, {what}; {_ASK}" for what in _refused(source.root, said)
    ]
    return Report(
        cfg.name,
        cfg.digest,
        str(stamp["tool"]),
        source.text("UserAssignments/Part"),
        clock,
        loops,
        memories,
        resources,
        {"D": cfg.tail, "least": least},
        cycles,
        [
            *(
                f"{row['used']:g} {kind} are more than the {row['free']:g} that the board leaves"
                for kind, row in resources.items()  # Vivado's figures count
                if row["used"] > row["free"]
            ),
            *(
                f"no memory of the report bears the name {m.name}: it has become registers"
                for m in memories
                if not m.found
            ),
        ],
        failures,
    )


def pipelines(kernel: Path) -> dict[str, int]:
    """Read from the rendered kernel which labelled loops are pipelines, and their II."""
    return {
        label: STRIDE if ii[1] == "kStride" else int(ii[1])
        for label, pragmas in _LOOP.findall(_seen(kernel))
        if (ii := _II.search(pragmas))
    }


def bindings(kernel: Path) -> dict[str, str]:
    """Read from the rendered kernel what each array is bound to, as ``ram_s2p in bram``."""
    pragmas = [dict(_WORD.findall(pragma)) for pragma in _BIND.findall(_seen(kernel))]
    return {p["variable"]: f"{p['type']} in {p['impl']}".lower() for p in pragmas}


def _seen(kernel: Path) -> str:
    """Return the kernel's headers as the tool sees them: what is in no #ifdef of another macro."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(kernel.rglob("*.hpp")))
    macros = {*_SEEN, *re.findall(r"^#define (\w+)", text, re.MULTILINE)}
    lines, taken = [], [True]
    for line in text.splitlines(keepends=True):
        word, *rest = line.split() or [""]
        if word.startswith("#if"):
            known = word in ("#ifdef", "#ifndef")
            taken.append(not known or (rest[0] in macros) == (word == "#ifdef"))
        elif word == "#else":
            taken[-1] = not taken[-1]
        elif word == "#endif":
            taken.pop()
        elif all(taken):
            lines.append(line)
    return "".join(lines)


def bound(root: Element, asked: Mapping[str, str]) -> list[Memory]:
    """Read from csynth.xml what arrays have become.

    The tool names the parts of an array after it, a static one's behind the name of its function:
    ``h_buffer_3``, ``p_ZZN4lstm7computeE12bram_weights_0``.
    """
    found: dict[str, Counter[str]] = {name: Counter() for name in asked}
    for node in root.iter("BindNode"):
        kind, place = (node.get(key, "").lower() for key in ("OPTYPE", "IMPL"))
        variable = node.get("VARIABLE") or node.get("RTLNAME", "").removesuffix("_U")
        if kind.startswith(("ram", "rom", "fifo")):
            named = [n for n in asked if re.search(rf"(?<![A-Za-z]){n}(?![A-Za-z0-9])", variable)]
            if named:
                found[max(named, key=len)][f"{kind} in {place}"] += 1
    return [Memory(name, asked[name], dict(parts)) for name, parts in found.items()]


def cosim_cycles(report: Path) -> list[int]:
    """Read least and most latency of the runs from a cosimulation's report.

    Raises:
        ToolError: it did not pass, or the report has another form.
    """
    text = report.read_text(encoding="utf-8", errors="replace")
    found = re.search(
        r"^\|\s*Verilog\s*\|\s*(\w+)\s*\|(?:\s*(\d+)\s*\|.*?\|\s*(\d+)\s*\|)?", text, re.M
    )
    if found and found[1] != "Pass":
        raise ToolError(f"cosimulation says {found[1]!r}, not Pass, in {report}")
    if not found or not found[2]:
        raise ToolError(
            f"{report} lacks the latencies of Verilog; the release may write another form"
        )
    return [int(found[2]), int(found[3])]


def messages(log: str) -> Iterator[Message]:
    """Yield the messages of a log."""
    loop = ""
    for lines in re.split(r"\n(?!\s)", log):
        found = _MESSAGE.match(lines)
        if found:
            text = " ".join(found[3].split())
            begins, named = _BEGINS.search(text), _NAMED.search(text)
            loop = begins[1] or begins[2] if begins else loop
            yield Message(found[1], found[2], text, named[1] if named else loop)


class _Source:
    """csynth.xml and its fields, which must be there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.root = ElementTree.fromstring(files.read_bytes(path))
        except ElementTree.ParseError as error:
            raise ToolError(f"{path} is no whole XML ({error}); run `make hls` again") from None

    def text(self, field: str) -> str:
        found = self.root.findtext(field, "").strip()
        if not found:
            raise ToolError(f"{self.path} lacks {field}; run `make hls` again, or report its form")
        return found

    def number(self, field: str) -> float:
        said = self.text(field)
        try:
            return float(said)
        except ValueError:
            raise ToolError(f"{self.path} has {said!r} for {field}, not a number") from None


def _loops(root: Element, wanted: Mapping[str, int]) -> Iterator[Loop]:
    """Yield each loop of each module, nested ones too; tags may be there twice."""

    def number(loop: Element, tag: str) -> int | None:
        text = loop.findtext(tag, "").strip()
        return int(text) if text.isdigit() else None

    top = root.findtext("UserAssignments/TopModelName", "top")
    for module, home in [(top, root), *((m.findtext("Name", "?"), m) for m in root.iter("Module"))]:
        for summary in home.findall("PerformanceEstimates/SummaryOfLoopLatency"):
            for loop in summary.iter():
                if loop.find("TripCount") is not None or loop.find("PipelineII") is not None:
                    depth = number(loop, "PipelineDepth") or number(loop, "IterationLatency")
                    name = _name(loop)
                    yield Loop(module, name, number(loop, "PipelineII"), depth, wanted.get(name))


def _missed(
    source: _Source, loops: Sequence[Loop], wanted: Mapping[str, int], said: Sequence[Message]
) -> Iterator[str]:
    """Tell of loops that missed their II, and what the log has on the loop over slots."""
    why = {}
    for loop in source.root.iterfind(".//SummaryOfLoopViolations/*"):
        tags = ("IssueType", "ViolationType", "SourceLocation")
        issue, kind, where = (loop.findtext(tag, "-").strip() for tag in tags)
        if issue not in ("", "-"):
            why[_name(loop)] = f"{issue}, {kind} at {where}"
    for label, ii in wanted.items():
        found = [loop for loop in loops if loop.label == label]
        if not any(loop.ii is not None and loop.depth is not None for loop in found):
            raise ToolError(f"{source.path} lacks PipelineII or PipelineDepth of the loop {label}")
        worst = max(loop.ii or 0 for loop in found)
        if worst > ii:
            reason = why.get(label, "the log may say why")
            yield f"loop {label} has II = {worst}, not {ii}: {reason}; {_ASK}"
        if worst > ii or label == SLOTS:
            first: dict[str, Message] = {}  # of each number
            for message in said:
                if message.loop == label and message.number in _SCHEDULE:
                    first.setdefault(message.number, message)
            for number, message in first.items():
                yield f"loop {label}, {message}; {_SCHEDULE[number]}"


def _slow(clock: dict[str, float], mhz: int) -> Iterator[str]:
    left = round(clock["target"] - clock["uncertainty"], 3)
    if clock["estimated"] > left:
        slower = int(mhz * left / clock["estimated"])
        yield (
            f"the estimated clock is {clock['estimated']:g} ns, above the {left:g} that are left "
            f"of {clock['target']:g} without {clock['uncertainty']:g} for routing: put "
            f'"clock_mhz": {slower} into the config\'s file'
        )


def _elsewhere(memories: Sequence[Memory]) -> Iterator[str]:
    for memory in memories:
        # A memory of which one port is used is called single.
        fine = (memory.asked, re.sub(r"^ram\w+", "ram_1p", memory.asked))
        for found, count in memory.found.items():
            if found not in fine:
                yield (
                    f"{count} of {sum(memory.found.values())} memories of {memory.name} are "
                    f"{found}, not {memory.asked} as its BIND_STORAGE asks; {_ASK}"
                )


def _refused(root: Element, said: Sequence[Message]) -> Iterator[str]:
    """Say of each pragma that the tool ignored or could not honour which, and in what words.

    The PragmaReport of csynth.xml judges each; the log tells of those that were refused later than
    it looks, and in releases without one.
    """
    told: list[str] = []
    for pragma in root.iter("Pragma"):
        words = [
            f"[{its.get('msg_id')}] {its.get('msg_body')}"
            for its in pragma.iter("Msg")
            if its.get("msg_severity") != "INFO" and _REFUSED.search(its.get("msg_body", ""))
        ]
        if pragma.get("status") == "invalid" or words:
            told += words
            what = f"{pragma.get('type')} {pragma.get('options') or pragma.get('variable')}".strip()
            yield f"{what} at {pragma.get('location')}: {[*words, '[invalid] no reason given'][0]}"
    for message in said:
        on_pragma = message.number.startswith("214-") or _PRAGMA.search(message.text)
        if message.severity != "INFO" and on_pragma and _REFUSED.search(message.text):
            full = f"[{message.number}] {message.text}"
            if not full.startswith(tuple(told)):
                told.append(full)
                yield str(message)


def _name(loop: Element) -> str:
    return (loop.findtext("Name") or loop.tag).strip()
