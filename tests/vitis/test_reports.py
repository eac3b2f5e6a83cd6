"""Reports of Vitis HLS, written by hand, read back: what is seen, what fails, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lstm_sharp.build import reports
from lstm_sharp.build.render import render
from lstm_sharp.build.reports import Report
from lstm_sharp.engine import config
from lstm_sharp.engine.hls import hls_cycles
from lstm_sharp.engine.program import HEADER
from lstm_sharp.errors import UsageError

HERE = Path(__file__).parent
CFG = config.load("tiny").of("hls")
PROGRAM = np.zeros(16, np.uint32)
PROGRAM[HEADER["slots"].word] = 100
STAMP = {"tool": "2024.1", "stages": ["csynth", "cosim"], "programs": [PROGRAM.tolist()]}
II = "<PipelineII>1</PipelineII><PipelineDepth>20</PipelineDepth>"
"""Of the loop over slots, in its own module."""

Read = Callable[..., Report]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the reports with some of their text replaced."""
    render(CFG, tmp_path)
    out = tmp_path / "vitis"

    def read(*changes: tuple[str, str], log: str = "", cfg: config.Config = CFG) -> Report:
        for name, place in (("csynth.xml", "syn"), ("lstm_sharp_cosim.rpt", "sim")):
            text = (HERE / name).read_text()
            for old, new in changes:
                text = text.replace(old, new)
            path = out / "project" / "solution1" / place / "report" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (out / "vitis.log").write_text(log)
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
        ("store_h", "H_Beats", 1, 2, 1),
        ("compute", "Slots", None, None, 1),
        ("compute", "Drain", None, 1, None),
        ("compute", "Drain", None, 1, None),
        ("compute_Pipeline_Slots", "Slots", 1, 20, 1),
    ]
    instructions = report.loops[2]
    assert (instructions.trips, instructions.latency) == ("1 ~ 127", "10 ~ 1018")
    assert report.loops[0].latency == "undef"
    assert report.resources["bram36"] == {"used": 7.5, "free": 132}
    assert report.resources["lut"] == {"used": 12400, "free": 47200}
    assert report.clock_ns == {"target": 10.0, "uncertainty": 2.7, "estimated": 7.215}
    assert report.distance == {"D": CFG.tail, "least": 20 + CFG.passes - 1}
    predicted = hls_cycles(CFG, PROGRAM)
    assert report.cycles == {"predicted": [predicted, predicted], "of cosim": [230, 390]}
    report.write(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["loops"][8]["depth"] == 20
    table = (tmp_path / "report.txt").read_text()
    assert "Slots" in table and "cycles of cosim: 230 to 390" in table and "7.5 of 132" in table


def test_loops_and_their_ii_come_from_the_kernel(read: Read, tmp_path: Path) -> None:
    wanted = {"Slots": 1, "X_Beats": 1, "H_Beats": 1, "Instructions": 8}
    assert reports.pipelines(tmp_path / "hls") == wanted


def test_a_missed_ii_fails_with_the_reason_of_the_report(read: Read) -> None:
    two = II.replace(">1<", ">2<")
    why = "<IssueType>-</IssueType><ViolationType>-</ViolationType><SourceLocation>compute.hpp:48"
    said = why.replace(">-<", ">II Violation<", 1).replace(">-<", ">Memory Dependency<", 1)
    (failure,) = read((II, two), (why, said)).failures
    assert failure == (
        "loop Slots has II = 2, not 1: II Violation, Memory Dependency at compute.hpp:48"
    )


def test_a_missed_ii_fails_with_the_reason_of_the_log(read: Read) -> None:
    line = (
        "WARNING: [HLS 200-880] The II Violation in module 'compute_Pipeline_Slots' "
        "(loop 'Slots'): Unable to enforce a carried dependence constraint"
    )
    (failure,) = read((II, II.replace(">1<", ">4<")), log=f"INFO: a\n{line}\n").failures
    assert "II = 4, not 1" in failure and failure.endswith(line)
    (failure,) = read((II, II.replace(">1<", ">4<"))).failures
    assert "gives no reason" in failure


def test_a_pipeline_deeper_than_d_fails_with_the_value_that_would_do(read: Read) -> None:
    most = CFG.tail - (CFG.passes - 1)
    assert read((II, II.replace("20", str(most)))).failures == []
    (failure,) = read((II, II.replace("20", str(most + 1)))).failures
    assert f'"min_tail": {CFG.tail + 1} ' in failure
    deeper = config.resized(CFG, min_tail=CFG.tail + 1)
    assert deeper.tail == CFG.tail + 1 and deeper.identity != CFG.identity
    assert read((II, II.replace("20", str(most + 1))), cfg=deeper).failures == []


def test_more_than_the_board_has_is_told(read: Read) -> None:
    report = read(("<DSP>46", "<DSP>221"), (">7.215<", ">7.4<"))
    assert report.failures == [] and len(report.notes) == 2
    assert report.notes[0].startswith("221 dsp are more than the 220")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (II, "<TripCount>4</TripCount>", "lacks PipelineII or PipelineDepth of the loop Slots"),
        ("X_Beats>", "VITIS_LOOP_22_1>", "of the loop X_Beats"),
        ("<URAM>0</URAM>", "", "lacks AreaEstimates/Resources/URAM"),
        ("EstimatedClockPeriod>", "Estimated>", "EstimatedClockPeriod"),
        (">7.215<", ">undef<", "'undef' for Perf"),
        ("</profile>", "", "no whole XML"),
        ("|      Pass|", "|      Fail|", "says 'Fail'"),
        ("|   Verilog|", "|   Veri|", "lacks the latencies"),
    ],
)
def test_a_report_that_lacks_something_is_refused(
    old: str, new: str, said: str, read: Read
) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        read((old, new))
    assert "/vitis/project/solution1/" in str(refused.value)


def test_no_report_and_two_reports_are_refused(read: Read, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no files syn/report/csynth.xml"):
        reports.read(CFG, tmp_path / "vitis", STAMP)
    other = tmp_path / "vitis" / "old" / "syn" / "report" / "csynth.xml"
    other.parent.mkdir(parents=True)
    other.touch()
    with pytest.raises(UsageError, match="2 files syn/report/csynth.xml"):
        read()
