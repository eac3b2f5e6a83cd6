"""What Vitis HLS reports of a kernel beside what was predicted: csynth.xml and cosimulation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from lstm_sharp.board import board
from lstm_sharp.build.render import board_of
from lstm_sharp.engine.config import Config
from lstm_sharp.engine.hls import hls_cycles
from lstm_sharp.engine.program import STRIDE
from lstm_sharp.errors import UsageError

SLOTS = "Slots"
"""Label of the loop over slots."""
_KINDS = {"lut": "LUT", "ff": "FF", "bram36": "BRAM_18K", "uram": "URAM", "dsp": "DSP"}
_CLOCK = {
    "target": "UserAssignments/TargetClockPeriod",
    "uncertainty": "UserAssignments/ClockUncertainty",
    "estimated": "PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod",
}
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
class Report:
    """All that is looked at; cycles are least and most of the runs of the test bench."""

    config: str
    identity: str
    tool: str
    part: str
    clock_ns: dict[str, float]  # target, uncertainty, estimated
    loops: list[Loop]
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
        root = ElementTree.parse(xml).getroot()
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
    failures = list(_missed(loops, wanted, xml, _reasons(root, messages)))
    depth = max((loop.depth or 0 for loop in loops if loop.label == SLOTS), default=0)
    least = depth + cfg.most_passes - 1  # a row block's last lane turn begins P - 1 slots later
    if least > cfg.tail:
        failures.append(
            f"the pipeline of {SLOTS} is {depth} deep and needs D = {least}, the slot compiler "
            f'keeps {cfg.tail}: put "min_tail": {least} into the config\'s file'
        )
    resources = _resources(cfg, source)
    clock = {name: source.number(field) for name, field in _CLOCK.items()}
    notes = list(_notes(clock, resources))
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
    for path in sorted(kernel.rglob("*.hpp")):
        for label, pragmas in _LOOP.findall(path.read_text(encoding="utf-8")):
            ii = _II.search(pragmas)
            if ii:
                found[label] = STRIDE if ii[1] == "kStride" else int(ii[1])
    return found


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


def _notes(clock: dict[str, float], resources: dict[str, dict[str, float]]) -> Iterator[str]:
    """Tell what may fail in Vivado, whose figures count; these are estimates."""
    for kind, row in resources.items():
        if row["used"] > row["free"]:
            yield f"{row['used']:g} {kind} are more than the {row['free']:g} that the board leaves"
    if clock["estimated"] > clock["target"] - clock["uncertainty"]:
        yield "the estimated clock eats into what is kept for routing"


def _loops(root: Element) -> Iterator[tuple[str, Element]]:
    """Yield module and element of each loop, nested ones too; tags may be there twice."""
    top = root.findtext("UserAssignments/TopModelName", "top")
    homes = [(top, root), *((m.findtext("Name", "?"), m) for m in root.iter("Module"))]
    for module, home in homes:
        for summary in home.findall("PerformanceEstimates/SummaryOfLoopLatency"):
            for loop in summary.iter():
                if loop.find("TripCount") is not None or loop.find("PipelineII") is not None:
                    yield module, loop


def _reasons(root: Element, log: str) -> dict[str, str]:
    """Tell by label what the tool says of a loop that missed its II."""
    said = {}
    for summary in root.iter("SummaryOfLoopViolations"):
        for loop in summary:
            facts = [loop.findtext(tag, "-").strip() for tag in ("IssueType", "ViolationType")]
            if facts[0] not in ("", "-"):
                where = loop.findtext("SourceLocation", "-").strip()
                said[_name(loop)] = f"{facts[0]}, {facts[1]} at {where}"
    for line in log.splitlines():
        loop_ = re.search(r"II Violation.*\(loop '(\w+)'\)", line)
        if loop_:
            said[loop_[1]] = line.strip()
    return said


def _missed(
    loops: Sequence[Loop], wanted: Mapping[str, int], xml: Path, reasons: Mapping[str, str]
) -> Iterator[str]:
    for label, ii in wanted.items():
        found = [loop for loop in loops if loop.label == label]
        if not any(loop.ii is not None and loop.depth is not None for loop in found):
            raise UsageError(f"{xml} lacks PipelineII or PipelineDepth of the loop {label}")
        worst = max(loop.ii or 0 for loop in found)
        if worst > ii:
            why = reasons.get(label, f"{xml} gives no reason, its log may")
            yield f"loop {label} has II = {worst}, not {ii}: {why}"


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
