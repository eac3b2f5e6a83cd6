"""What Vitis HLS reports of a kernel beside what was predicted: csynth.xml, log, cosimulation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from lstm_sharp import files
from lstm_sharp.compiler.hls import hls_cycles
from lstm_sharp.engine.boards import board
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.program import STRIDE
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.render import board_of
from lstm_sharp.vendor import hls_log

SLOTS = "Slots"
"""Label of the loop over slots."""
_KINDS = {"lut": "LUT", "ff": "FF", "bram36": "BRAM_18K", "uram": "URAM", "dsp": "DSP"}
_CLOCK = {
    "target": "UserAssignments/TargetClockPeriod",
    "uncertainty": "UserAssignments/ClockUncertainty",
    "estimated": "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
}
_REMEDY = {
    "200-871": "name a slower clock_mhz in the config's file",
    "200-880": "if it is a memory, raise min_tail in the config's file; else clock_mhz is too high",
    "200-885": "docs/kernel.md has the accesses that this memory was written for",
    "200-1016": "name a slower clock_mhz in the config's file",
}
"""By the number of a message; for others, and where these do not help, docs/first-run.md."""
_ASK = "docs/first-run.md says what to do"
_BIND = re.compile(r"^ *#pragma HLS BIND_STORAGE (.*)", re.MULTILINE)
_WORD = re.compile(r"(\w+) *= *(\w+)")
_SEEN = ("__SYNTHESIS__", "LSTM_SHARP_VITIS")
"""Macros that Vitis HLS, and our script for it, define."""
_LOOP = re.compile(r"^(\w+):\n *(?:for|while) \(.*\{\n((?: *(?://|#pragma).*\n)*)", re.MULTILINE)
_II = re.compile(r"#pragma HLS PIPELINE.*?\bII = (\w+)")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Loop:
    """A loop as the tool made it; None stands for what it does not say, or calls undefined."""

    module: str
    label: str
    ii: int | None
    depth: int | None  # cycles of an iteration where the loop is no pipeline
    latency: str
    trips: str
    wanted_ii: int | None  # of its pragma; None: no pipeline, or no loop of ours


@dataclass(frozen=True)
class Memory:
    """An array that the kernel binds, as type and implementation; ``found`` counts its parts."""

    name: str
    asked: str  # as "ram_s2p in bram"
    found: dict[str, int]


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
            f"{'loop':24}{'II':>6}{'wanted':>8}{'depth':>7}{'latency':>18}{'trips':>14}  module",
        ]
        for loop in self.loops:
            ii, wanted, depth = (_shown(v) for v in (loop.ii, loop.wanted_ii, loop.depth))
            lines.append(
                f"{loop.label:24}{ii:>6}{wanted:>8}{depth:>7}{loop.latency:>18}{loop.trips:>14}"
                f"  {loop.module}"
            )
        for memory in self.memories:
            parts = ", ".join(f"{count} {found}" for found, count in memory.found.items())
            lines.append(f"memory {memory.name:17}{memory.asked} wanted, {parts or 'none'} found")
        lines.append(f"distance D: {self.distance['D']}, least for this depth: "
                     f"{self.distance['least']}")  # fmt: skip
        lines += [
            f"{kind:8}{row['used']:>10g} of {row['free']:g}" for kind, row in self.resources.items()
        ]
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
        UsageError: no report, or one that lacks a field; the text says which.
    """
    xml = one(out, "syn/report/csynth.xml")
    try:
        root = ElementTree.fromstring(files.read_bytes(xml))
    except ElementTree.ParseError as error:
        raise UsageError(f"{xml} is no whole XML ({error}); run `make hls` again") from None
    source = _Source(xml, root)
    log = out / "vitis.log"
    messages = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    wanted = pipelines(out.parent / "hls")
    loops = [
        Loop(
            module,
            _name(loop),
            _int(loop.findtext("PipelineII")),
            _int(loop.findtext("PipelineDepth") or loop.findtext("IterationLatency")),
            _range(loop.find("Latency")),
            _range(loop.find("TripCount")),
            wanted.get(_name(loop)),
        )
        for module, loop in _loops(root)
    ]
    said = hls_log.by_loop(messages)
    failures = list(_missed(loops, wanted, xml, _violations(root), said))
    depth = max((loop.depth or 0 for loop in loops if loop.label == SLOTS), default=0)
    least = depth + cfg.most_passes - 1  # a row block's last lane turn begins P - 1 slots later
    if least > cfg.tail:
        failures.append(
            f"the pipeline of {SLOTS} is {depth} deep and needs D = {least}, the slot compiler "
            f'keeps {cfg.tail}: put "min_tail": {least} into the config\'s file'
        )
    resources = _resources(cfg, source)
    clock = {name: source.number(field) for name, field in _CLOCK.items()}
    memories = bound(root, bindings(out.parent / "hls"))
    failures += [*_slow(clock, cfg.clock_mhz), *_elsewhere(memories)]
    failures += [
        f"a pragma was not honoured, {what}; {_ASK}"
        for what in hls_log.refused_pragmas(root, messages)
    ]
    notes = list(_notes(resources, memories))
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
        notes,
        failures,
    )


def one(out: Path, name: str) -> Path:
    """Find the one file of a name below a folder.

    Raises:
        UsageError: there is none, or several.
    """
    found = sorted(out.glob(f"**/{name}"))
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} files {name} below {out}; run `make hls` again and see its log"
        )
    return found[0]


def pipelines(kernel: Path) -> dict[str, int]:
    """Read from the rendered kernel which labelled loops are pipelines, and their II."""
    found = {}
    for text in _sources(kernel):
        for label, pragmas in _LOOP.findall(text):
            ii = _II.search(pragmas)
            if ii:
                found[label] = STRIDE if ii[1] == "kStride" else int(ii[1])
    return found


def bindings(kernel: Path) -> dict[str, str]:
    """Read from the rendered kernel what each array is bound to, as ``ram_s2p in bram``."""
    found = {}
    for text in _sources(kernel):
        for pragma in _BIND.findall(text):
            words = {key.lower(): value.lower() for key, value in _WORD.findall(pragma)}
            name = dict(_WORD.findall(pragma))["variable"]
            found[name] = f"{words['type']} in {words['impl']}"
    return found


def bound(root: Element, asked: Mapping[str, str]) -> list[Memory]:
    """Read from csynth.xml what arrays have become.

    The tool names the parts of an array after it, a static one's behind the name of its function:
    ``h_buffer_3``, ``p_ZZN4lstm7computeE12bram_weights_0``.
    """
    found: dict[str, dict[str, int]] = {name: {} for name in asked}
    for node in root.iter("BindNode"):
        kind, place = (node.get(key, "").lower() for key in ("OPTYPE", "IMPL"))
        variable = node.get("VARIABLE") or node.get("RTLNAME", "").removesuffix("_U")
        if kind.startswith(("ram", "rom", "fifo")):
            named = [n for n in asked if re.search(rf"(?<![A-Za-z]){n}(?![A-Za-z0-9])", variable)]
            if named:
                parts = found[max(named, key=len)]
                parts[f"{kind} in {place}"] = parts.get(f"{kind} in {place}", 0) + 1
    return [Memory(name, asked[name], parts) for name, parts in found.items()]


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


def cosim_cycles(report: Path) -> list[int]:
    """Read least and most latency of the runs from a cosimulation's report.

    Raises:
        UsageError: it did not pass, or the report has another form.
    """
    for line in report.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *cells = [cell.strip() for cell in line.strip("| \n").split("|")]
        if kind == "Verilog" and cells:
            if cells[0] != "Pass":
                raise UsageError(f"cosimulation says {cells[0]!r}, not Pass, in {report}")
            if len(cells) >= 4 and cells[1].isdigit() and cells[3].isdigit():
                return [int(cells[1]), int(cells[3])]
    raise UsageError(f"{report} lacks the latencies of Verilog; the release may write another form")


@dataclass(frozen=True)
class _Source:
    """A report's fields, which must be there."""

    path: Path
    root: Element

    def text(self, field: str) -> str:
        found = self.root.findtext(field, "").strip()
        if not found:
            raise UsageError(f"{self.path} lacks {field}; run `make hls` again, or report its form")
        return found

    def number(self, field: str) -> float:
        said = self.text(field)
        try:
            return float(said)
        except ValueError:
            raise UsageError(f"{self.path} has {said!r} for {field}, not a number") from None


def _resources(cfg: Config, source: _Source) -> dict[str, dict[str, float]]:
    has = board(board_of(cfg))
    assert has is not None
    rows = {}
    for kind, tag in _KINDS.items():
        blocks = 2 if kind == "bram36" else 1  # a BRAM of 36 Kbit is two of 18
        used = source.number(f"AreaEstimates/Resources/{tag}") / blocks
        rows[kind] = {"used": used, "free": has.free(kind)}
    return rows


def _notes(resources: dict[str, dict[str, float]], memories: Sequence[Memory]) -> Iterator[str]:
    """Tell what may fail in Vivado, whose figures count, and what could not be looked at."""
    for kind, row in resources.items():
        if row["used"] > row["free"]:
            yield f"{row['used']:g} {kind} are more than the {row['free']:g} that the board leaves"
    for memory in memories:
        if not memory.found:
            yield f"no memory of the report bears the name {memory.name}: it has become registers"


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
        kind, _, place = memory.asked.partition(" in ")
        # A memory of which one port is used is called single.
        fine = (memory.asked, f"ram_1p in {place}" if kind.startswith("ram") else memory.asked)
        for found, count in memory.found.items():
            if found not in fine:
                yield (
                    f"{count} of {sum(memory.found.values())} memories of {memory.name} are "
                    f"{found}, not {memory.asked} as its BIND_STORAGE asks; {_ASK}"
                )


def _loops(root: Element) -> Iterator[tuple[str, Element]]:
    """Yield module and element of each loop, nested ones too; tags may be there twice."""
    top = root.findtext("UserAssignments/TopModelName", "top")
    homes = [(top, root), *((m.findtext("Name", "?"), m) for m in root.iter("Module"))]
    for module, home in homes:
        for summary in home.findall("PerformanceEstimates/SummaryOfLoopLatency"):
            for loop in summary.iter():
                if loop.find("TripCount") is not None or loop.find("PipelineII") is not None:
                    yield module, loop


def _violations(root: Element) -> dict[str, str]:
    """Tell by label what the report says of a loop that missed its II."""
    said = {}
    for summary in root.iter("SummaryOfLoopViolations"):
        for loop in summary:
            facts = [loop.findtext(tag, "-").strip() for tag in ("IssueType", "ViolationType")]
            if facts[0] not in ("", "-"):
                where = loop.findtext("SourceLocation", "-").strip()
                said[_name(loop)] = f"{facts[0]}, {facts[1]} at {where}"
    return said


def _missed(
    loops: Sequence[Loop],
    wanted: Mapping[str, int],
    xml: Path,
    violations: Mapping[str, str],
    said: Mapping[str, Sequence[hls_log.Message]],
) -> Iterator[str]:
    """Tell of loops that missed their II, and what the log has on the loop over slots."""
    for label, ii in wanted.items():
        found = [loop for loop in loops if loop.label == label]
        if not any(loop.ii is not None and loop.depth is not None for loop in found):
            raise UsageError(f"{xml} lacks PipelineII or PipelineDepth of the loop {label}")
        worst = max(loop.ii or 0 for loop in found)
        told = said.get(label, [])
        if worst > ii:
            why = violations.get(label, "the log may say why")
            yield f"loop {label} has II = {worst}, not {ii}: {why}; {_ASK}"
        if worst > ii or label == SLOTS:
            for message in told:
                yield f"loop {label}, {message}; {_REMEDY.get(message.number, _ASK)}"


def _name(loop: Element) -> str:
    return (loop.findtext("Name") or loop.tag).strip()


def _int(text: str | None) -> int | None:
    found = _NUMBER.fullmatch((text or "").strip())
    return int(found[0]) if found else None


def _range(field: Element | None) -> str:
    """Show a number, a range as text or as elements, or undef."""
    words = [] if field is None else [t.strip() for t in field.itertext() if t.strip()]
    return " ~ ".join(dict.fromkeys(words)) or "-"


def _shown(value: int | None) -> str:
    return "-" if value is None else str(value)
