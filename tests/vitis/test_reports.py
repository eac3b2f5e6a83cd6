"""Reports of Vitis HLS, written by hand, read back: what is seen, what fails, what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lstm_sharp.compiler.cycles import hls_cycles
from lstm_sharp.engine import config
from lstm_sharp.engine.program import HEADER
from lstm_sharp.errors import ToolError
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import reports
from lstm_sharp.vendor.reports import Report
from vitis import hls_reports, text_cases

CFG = config.load("tiny").of("hls")
PROGRAM = np.zeros(16, np.uint32)
PROGRAM[HEADER["slots"].word] = 100
STAMP = {"tool": "2024.1", "stages": ["csynth", "cosim"], "programs": [PROGRAM.tolist()]}
II = "<PipelineII>1</PipelineII><PipelineDepth>{}</PipelineDepth>"
"""Of the loop over slots, in its own module."""
Read = Callable[..., Report]
CASES = dict(text_cases.read("reports.txt"))


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the reports with some of their text replaced."""
    render(CFG, tmp_path)
    out = tmp_path / "vitis"

    def read(*changes: tuple[str, str], log: str = "", cfg: config.Config = CFG) -> Report:
        made = hls_reports.make(CFG, tmp_path, *changes)
        for name, place in (("csynth.xml", "syn"), ("lstm_sharp_cosim.rpt", "sim")):
            path = out / "project" / "solution1" / place / "report" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((made / name).read_text())
        (out / "vitis.log").write_text((made / "csynth.log").read_text() + log)
        return reports.read(cfg, out, STAMP)

    return read


def test_everything_is_seen_beside_its_prediction(read: Read, tmp_path: Path) -> None:
    report = read()
    assert report.failures == [] and report.notes == []
    seen = [(loop.module, loop.label, loop.ii, loop.depth, loop.wanted_ii) for loop in report.loops]
    assert seen == [
        ("lstm_sharp", "Outer", None, 12, None),
        ("lstm_sharp", "Inner", None, 2, None),
        ("read_program_Pipeline_Instructions", "Instructions", 8, 10, 8),
        ("load_x", "X_Beats", 1, 3, 1),
        ("fetch", "Works", 2, 4, 2),
        ("store_h", "H_Beats", 1, 2, 1),
        ("compute", "Slots", None, None, 1),
        *[("compute", "Leave_Words", None, 1, None)] * 2,
        ("compute_Pipeline_Slots", "Slots", 1, 20, 1),
    ]
    assert report.resources["bram36"] == {"used": 7.5, "free": 132}
    assert report.resources["lut"] == {"used": 12400, "free": 43200}
    assert report.clock_ns == {"target": 10.0, "uncertainty": 2.7, "estimated": 7.215}
    asked = {memory.name: memory.asked for memory in report.memories}
    assert asked == reports.bindings(tmp_path / "hls") and "ram_s2p in bram" in asked.values()
    assert all(memory.found == {memory.asked: 2} for memory in report.memories)
    assert report.distance == {"D": CFG.tail, "least": 20 + CFG.passes - 1}
    predicted = hls_cycles(CFG, PROGRAM)
    assert report.cycles == {"predicted": [predicted, predicted], "of cosim": [230, 390]}
    report.write(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["loops"][9]["depth"] == 20
    table = (tmp_path / "report.txt").read_text()
    assert "ram_s2p in bram wanted, 2 ram_s2p in bram found" in table
    assert "Slots" in table and "cycles of cosim: 230 to 390" in table and "7.5 of 132" in table
    wanted = {"Slots": 1, "X_Beats": 1, "H_Beats": 1, "Instructions": 8, "Works": 2}
    assert reports.pipelines(tmp_path / "hls") == wanted


@pytest.mark.parametrize("name", CASES)
def test_what_reports_say(name: str, read: Read) -> None:
    case = CASES[name]
    changes, log = zip(case["-"], case["+"], strict=True), "\n".join([*case[">"], "", ""])
    if case["?"]:
        with pytest.raises(ToolError, match=case["?"][0]) as refused:
            read(*changes)
        assert "/vitis/project/solution1/" in str(refused.value)
        return
    report = read(*changes, log=log)
    for said, wanted in ((report.failures, case["!"]), (report.notes, case["~"])):
        assert len(said) == len(wanted), said
        assert all(re.fullmatch(form, text) for form, text in zip(wanted, said)), said
        assert all(len(text) < 300 for text in said)
    if name.endswith("(warning)"):
        assert read(log=log.replace("WARNING", "INFO")).failures == []


@pytest.mark.parametrize(
    ("old", "new", "asked", "found"),
    [
        ('IMPL="bram"', 'IMPL="auto"', "ram_s2p in bram", "ram_s2p in auto"),
        ('IMPL="lutram"', 'IMPL="bram"', "ram_s2p in lutram", "ram_s2p in bram"),
        ('OPTYPE="ram_s2p"', 'OPTYPE="ram_t2p"', "ram_s2p in bram", "ram_t2p in bram"),
        ('OPTYPE="fifo"', 'OPTYPE="ram_1p"', "fifo in lutram", "ram_1p in lutram"),
    ],
)
def test_a_memory_elsewhere_than_asked_for_fails(
    old: str, new: str, asked: str, found: str, read: Read, tmp_path: Path
) -> None:
    failures = read((old, new)).failures
    moved = [
        f"2 of 2 memories of {name} are {found}, not {asked} as its BIND_STORAGE asks; "
        "docs/first-run.md says what to do"
        for name, binding in reports.bindings(tmp_path / "hls").items()
        if binding == asked
    ]
    assert moved and set(moved) <= set(failures)


def test_bindings_are_those_that_the_tool_sees(tmp_path: Path) -> None:
    def bind(variable: str, where: str = "bram") -> str:
        return f"#pragma HLS BIND_STORAGE variable = {variable} type = RAM_2P impl = {where}"

    lines = ["#if defined(__SYNTHESIS__) || defined(OTHER)", bind("x"), "#else", bind("x", "uram")]
    lines += ["#endif", "#ifdef WIDE", bind("wide", "BRAM"), "#ifndef WIDE", bind("not_wide")]
    lines += ["#endif", "#else", bind("narrow"), "#endif", "#ifdef NARROW", bind("narrow")]
    (tmp_path / "config.hpp").write_text("#define WIDE\n")
    (tmp_path / "kernel.hpp").write_text("\n".join([*lines, "#endif", bind("all", "lutram"), ""]))
    two = "ram_2p in bram"
    assert reports.bindings(tmp_path) == {"x": two, "wide": two, "all": "ram_2p in lutram"}
    for name, has in (("zcu104", True), ("tiny", False)):
        render(config.load(name), tmp_path / name)
        found = reports.bindings(tmp_path / name / "hls").values()
        assert ("ram_s2p in uram" in found) == has


def test_parts_belong_to_the_array_that_they_are_named_after() -> None:
    names = ("h", "h_late", "p_ZZN4lstm3runEvE1h_0", "p_ZZN4lstm3runEvE6h_late_12", "path")
    nodes = "".join(f'<BindNode OPTYPE="ram_2p" IMPL="bram" VARIABLE="{n}"/>' for n in names)
    root = ElementTree.fromstring(f"<profile>{nodes}</profile>")
    first, second = reports.bound(root, {"h": "ram_2p in bram", "h_late": "ram_2p in bram"})
    assert first.found == second.found == {"ram_2p in bram": 2}


def test_a_pipeline_deeper_than_d_fails_with_the_value_that_would_do(read: Read) -> None:
    most = CFG.tail - (CFG.passes - 1)
    assert read((II.format(20), II.format(most))).failures == []
    deep = (II.format(20), II.format(most + 1))
    (failure,) = read(deep).failures
    assert f'"min_tail": {CFG.tail + 1} ' in failure
    deeper = config.resized(CFG, min_tail=CFG.tail + 1)
    assert deeper.tail == CFG.tail + 1 and deeper.identity != CFG.identity
    assert read(deep, cfg=deeper).failures == []


def test_no_report_and_two_reports_are_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no files syn/report/csynth.xml"):
        reports.read(CFG, tmp_path / "vitis", STAMP)
    other = tmp_path / "vitis" / "old" / "syn" / "report" / "csynth.xml"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(ToolError, match="2 files syn/report/csynth.xml"):
        read()
