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
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from lstm_sharp import files
from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import STRIDE
from lstm_sharp.errors import ToolError
from lstm_sharp.flow.render import board_of
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
_MESSAGE = re.compile(r"(INFO|WARNING|CRITICAL WARNING|ERROR): \[\S+ (\d+-\d+)\] (.*)")
_MODULE = re.compile(r"-- Implementing module '(?:[^']+_Pipeline_)?([^']+)'")
_PIPELINING = re.compile(r"Pipelining loop '([^']+)'")
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

    def __str__(self) -> str:
        text = _WHERE.sub("", self.text).rstrip(".")
        if len(text) > _SHOWN:  # arrays and times stand at the end
            text = f"{text[: _SHOWN // 2]} ... {text[-_SHOWN // 2 :]}"
        return f"[{self.number}] {text}"


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
        clock = self.clock_ns
        lines = [
            f"{self.config} ({self.identity}) by Vitis HLS {self.tool} for {self.part}",
            f"clock: {clock['estimated']} ns estimated, {clock['target']} ns wanted, "
            f"{clock['uncertainty']} ns of them for routing",
            f"{'loop':24}{'II':>6}{'wanted':>8}{'depth':>7}  module",
        ]
        for loop in self.loops:
            ii, wanted, depth = (
                "-" if value is None else value for value in (loop.ii, loop.wanted_ii, loop.depth)
            )
            lines.append(f"{loop.label:24}{ii:>6}{wanted:>8}{depth:>7}  {loop.module}")
        for memory in self.memories:
            parts = ", ".join(f"{count} {found}" for found, count in memory.found.items())
            lines.append(f"memory {memory.name:17}{memory.asked} wanted, {parts or 'none'} found")
        distance = self.distance
        lines.append(f"distance D: {distance['D']}, least for this depth: {distance['least']}")
        for kind, row in self.resources.items():
            lines.append(f"{kind:8}{row['used']:>10g} of {row['free']:g}")
        for what, seen in self.cycles.items():
            lines.append(f"cycles {what}: {seen[0]} to {seen[1]}")
        return "\n".join(lines + [f"note: {note}" for note in self.notes])

    def write(self, out: Path) -> None:
        """Write ``report.json`` and ``report.txt``."""
        text = json.dumps(asdict(self), indent=2)
        (out / "report.json").write_text(text + "\n", encoding="utf-8")
        (out / "report.txt").write_text(self.table() + "\n", encoding="utf-8")


def read(cfg: Config, out: Path, stamp: Mapping[str, object]) -> Report:
    """Read the reports below a folder of Vitis HLS's.

    Args:
        cfg: the engine.
        out: from ``vitis.run``.
        stamp: of that run.

    Raises:
        ToolError: no report, or one that lacks a field; the text says which.
    """
    xml = one(out, "syn/report/csynth.xml")
    source = _Source(xml, _parsed(xml))
    log = out / "vitis.log"
    said = list(messages(log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""))
    kernel = out.parent / "hls"
    loops = list(_loops(source.root, pipelines(kernel)))
    depth = max((loop.depth or 0 for loop in loops if loop.label == SLOTS), default=0)
    least = depth + cfg.most_passes - 1  # a row block's last lane turn begins P - 1 slots later
    clock = {name: source.number(field) for name, field in _CLOCK.items()}
    memories = bound(source.root, bindings(kernel))
    resources = _resources(cfg, source)
    failures = list(_missed(source, loops, pipelines(kernel), by_loop(said)))
    if least > cfg.tail:
        failures.append(
            f"the pipeline of {SLOTS} is {depth} deep and needs D = {least}, the slot compiler "
            f'keeps {cfg.tail}: put "min_tail": {least} into the config\'s file'
        )
    failures += [*_slow(clock, cfg.clock_mhz), *_elsewhere(memories)]
    failures += [
        f"a pragma was not honoured, {what}; {_ASK}" for what in _refused(source.root, said)
    ]
    programs = [np.array(words) for words in stamp["programs"]]  # type: ignore[attr-defined]
    predicted = [hls_cycles(cfg, words) for words in programs]
    cycles = {"predicted": [min(predicted), max(predicted)]} if predicted else {}
    if "cosim" in stamp["stages"]:  # type: ignore[operator]
        cycles["of cosim"] = cosim_cycles(one(out, "sim/report/*_cosim.rpt"))
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
        list(_notes(resources, memories)),
        failures,
    )


def pipelines(kernel: Path) -> dict[str, int]:
    """Read from the rendered kernel which labelled loops are pipelines, and their II."""
    return {
        label: STRIDE if ii[1] == "kStride" else int(ii[1])
        for text in _sources(kernel)
        for label, pragmas in _LOOP.findall(text)
        if (ii := _II.search(pragmas))
    }


def bindings(kernel: Path) -> dict[str, str]:
    """Read from the rendered kernel what each array is bound to, as ``ram_s2p in bram``."""
    pragmas = [dict(_WORD.findall(p)) for text in _sources(kernel) for p in _BIND.findall(text)]
    return {p["variable"]: f"{p['type']} in {p['impl']}".lower() for p in pragmas}


def _sources(kernel: Path) -> Iterator[str]:
    """Yield the kernel's headers as the tool sees them: what is in no #ifdef of another macro."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(kernel.rglob("*.hpp"))]
    macros = {*_SEEN, *re.findall(r"^#define (\w+)", "\n".join(texts), re.MULTILINE)}
    for text in texts:
        lines, taken = [], [True]
        for line in text.splitlines(keepends=True):
            words = line.split()
            if line.startswith("#if"):
                known = words[0] in ("#ifdef", "#ifndef")
                taken.append(not known or (words[1] in macros) == (words[0] == "#ifdef"))
            elif line.startswith("#else"):
                taken[-1] = not taken[-1]
            elif line.startswith("#endif"):
                taken.pop()
            elif all(taken):
                lines.append(line)
        yield "".join(lines)


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
    for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *cells = [cell.strip() for cell in line.strip("| \n").split("|")]
        if kind == "Verilog" and cells:
            if cells[0] != "Pass":
                raise ToolError(f"cosimulation says {cells[0]!r}, not Pass, in {report}")
            if len(cells) >= 4 and cells[1].isdigit() and cells[3].isdigit():
                return [int(cells[1]), int(cells[3])]
    raise ToolError(f"{report} lacks the latencies of Verilog; the release may write another form")


def messages(log: str) -> Iterator[Message]:
    """Yield the messages of a log."""
    begun: list[str] = []
    for line in [*log.splitlines(), ""]:
        if begun and line[:1].isspace():
            begun.append(line)
            continue
        found = _MESSAGE.match(" ".join(begun[:1]))
        if found:
            text = " ".join(" ".join([found[3], *begun[1:]]).split())
            yield Message(found[1], found[2], text)
        begun = [line]


def by_loop(said: Sequence[Message]) -> dict[str, dict[str, Message]]:
    """Collect for each loop its messages on the schedule, the first of each number.

    One that names no loop is on the one that was being pipelined, or that its module was made for.
    """
    told: dict[str, dict[str, Message]] = {}
    loop = ""
    for message in said:
        begins = _MODULE.search(message.text) or _PIPELINING.search(message.text)
        loop = begins[1] if begins else loop
        if message.number in _SCHEDULE:
            named = _NAMED.search(message.text)
            told.setdefault(named[1] if named else loop, {}).setdefault(message.number, message)
    return told


class _Source(NamedTuple):
    """A report's fields, which must be there."""

    path: Path
    root: Element

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


def _parsed(xml: Path) -> Element:
    try:
        return ElementTree.fromstring(files.read_bytes(xml))
    except ElementTree.ParseError as error:
        raise ToolError(f"{xml} is no whole XML ({error}); run `make hls` again") from None


def _loops(root: Element, wanted: Mapping[str, int]) -> Iterator[Loop]:
    """Yield each loop of each module, nested ones too; tags may be there twice."""
    top = root.findtext("UserAssignments/TopModelName", "top")
    for module, home in [(top, root), *((m.findtext("Name", "?"), m) for m in root.iter("Module"))]:
        for summary in home.findall("PerformanceEstimates/SummaryOfLoopLatency"):
            for loop in summary.iter():
                if loop.find("TripCount") is not None or loop.find("PipelineII") is not None:
                    depth = _int(loop, "PipelineDepth") or _int(loop, "IterationLatency")
                    name = _name(loop)
                    yield Loop(module, name, _int(loop, "PipelineII"), depth, wanted.get(name))


def _resources(cfg: Config, source: _Source) -> dict[str, dict[str, float]]:
    has = board(board_of(cfg))
    assert has is not None
    rows = {}
    for kind, tag in _KINDS.items():
        blocks = 2 if kind == "bram36" else 1  # a BRAM of 36 Kbit is two of 18
        used = source.number(f"AreaEstimates/Resources/{tag}") / blocks
        rows[kind] = {"used": used, "free": has.free(kind)}
    return rows


def _missed(
    source: _Source,
    loops: Sequence[Loop],
    wanted: Mapping[str, int],
    said: Mapping[str, Mapping[str, Message]],
) -> Iterator[str]:
    """Tell of loops that missed their II, and what the log has on the loop over slots."""
    why = {}
    for loop in source.root.iterfind(".//SummaryOfLoopViolations/*"):
        issue, kind, where = (
            loop.findtext(tag, "-").strip()
            for tag in ("IssueType", "ViolationType", "SourceLocation")
        )
        if issue not in ("", "-"):
            why[_name(loop)] = f"{issue}, {kind} at {where}"
    for label, ii in wanted.items():
        found = [loop for loop in loops if loop.label == label]
        if not any(loop.ii is not None and loop.depth is not None for loop in found):
            raise ToolError(f"{source.path} lacks PipelineII or PipelineDepth of the loop {label}")
        worst = max(loop.ii or 0 for loop in found)
        if worst > ii:
            yield (
                f"loop {label} has II = {worst}, not {ii}: "
                f"{why.get(label, 'the log may say why')}; {_ASK}"
            )
        if worst > ii or label == SLOTS:
            for number, message in said.get(label, {}).items():
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
            if not any(full.startswith(words) for words in told):
                told.append(full)
                yield str(message)


def _notes(resources: dict[str, dict[str, float]], memories: Sequence[Memory]) -> Iterator[str]:
    """Tell what may fail in Vivado, whose figures count, and what could not be looked at."""
    for kind, row in resources.items():
        if row["used"] > row["free"]:
            yield f"{row['used']:g} {kind} are more than the {row['free']:g} that the board leaves"
    for memory in memories:
        if not memory.found:
            yield f"no memory of the report bears the name {memory.name}: it has become registers"


def _name(loop: Element) -> str:
    return (loop.findtext("Name") or loop.tag).strip()


def _int(loop: Element, tag: str) -> int | None:
    text = loop.findtext(tag, "").strip()
    return int(text) if text.isdigit() else None
