"""Reports of Vitis HLS, written by hand, read back: what is seen, what fails, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from lstm_sharp.compiler.hls import hls_cycles
from lstm_sharp.engine import config
from lstm_sharp.engine.program import HEADER
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.render import render
from lstm_sharp.vendor import hls_log, reports
from lstm_sharp.vendor.reports import Report
from vitis import hls_reports

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
        ("compute", "Leave_Words", None, 1, None),
        ("compute", "Leave_Words", None, 1, None),
        ("compute_Pipeline_Slots", "Slots", 1, 20, 1),
    ]
    instructions = report.loops[2]
    assert (instructions.trips, instructions.latency) == ("1 ~ 127", "10 ~ 1018")
    assert report.loops[0].latency == "undef"
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


def test_loops_and_their_ii_come_from_the_kernel(read: Read, tmp_path: Path) -> None:
    wanted = {"Slots": 1, "X_Beats": 1, "H_Beats": 1, "Instructions": 8, "Works": 2}
    assert reports.pipelines(tmp_path / "hls") == wanted


def test_a_missed_ii_fails_with_the_reason_of_the_report(read: Read) -> None:
    two = II.replace(">1<", ">2<")
    why = "<IssueType>-</IssueType><ViolationType>-</ViolationType><SourceLocation>compute.hpp:48"
    said = why.replace(">-<", ">II Violation<", 1).replace(">-<", ">Memory Dependency<", 1)
    (failure,) = read((II, two), (why, said)).failures
    assert failure == (
        "loop Slots has II = 2, not 1: II Violation, Memory Dependency at compute.hpp:48; "
        "docs/first-run.md says what to do"
    )
    (failure,) = read((II, two)).failures
    assert failure.startswith("loop Slots has II = 2, not 1: the log may say why; ")


def violation(loop: str, ii: int = 1) -> str:
    return (
        f"WARNING: [HLS 200-880] The II Violation in module 'compute_Pipeline_{loop}' (loop "
        f"'{loop}'): Unable to enforce a carried dependence constraint (II = {ii}, distance = 23, "
        "offset = 1) between 'store' operation 0 bit ('h_buffer_3_addr_write_ln206', "
        "/home/user/hls/kernel/memories.hpp:206->/home/user/hls/kernel/compute.hpp:87) of variable "
        "'value' on array 'h_buffer_3' and 'load' operation 16 bit ('h_buffer_3_load') on array "
        "'h_buffer_3'.\n"
    )


def test_what_the_log_says_of_a_loop_fails_where_it_counts(read: Read) -> None:
    """Always of the loop over slots; of another one where that missed its II. Once a number."""
    log = violation("Slots", 1) + violation("Slots", 2)
    (failure,) = read(log=log).failures
    assert failure.startswith("loop Slots, [200-880] Unable to enforce a carried dependence ")
    assert failure.endswith(
        "on array 'h_buffer_3'; if it is a memory, raise min_tail in the config's file; else "
        "clock_mhz is too high"
    )
    assert len(failure) < 300
    assert read(log=violation("X_Beats")).failures == []
    slow = "<PipelineII>1</PipelineII><PipelineDepth>3</PipelineDepth>"
    missed, why = read((slow, slow.replace(">1<", ">4<")), log=violation("X_Beats")).failures
    assert "loop X_Beats has II = 4, not 1" in missed and why.startswith("loop X_Beats, [200-880]")


LIMITED = (
    "WARNING: [HLS 200-885] The II Violation in module 'compute_Pipeline_Slots' (loop 'Slots'): "
    "Unable to schedule 'load' operation 16 bit ('h_load', memories.hpp:69) on array 'h_buffer_0' "
    "due to limited memory ports (II = 1). Please consider using a memory core with more ports or "
    "partitioning the array 'h_buffer_0'.\n"
)
SLOTS = "INFO: [SCHED 204-61] Pipelining loop 'Slots'.\n"
SLOW = (
    "WARNING: [HLS 200-871] Estimated clock period (11.904 ns) exceeds the target (target clock "
    "period: 10.000 ns, clock uncertainty: 2.700 ns, effective delay budget: 7.300 ns).\n"
)
PATH = (
    "WARNING: [HLS 200-1016] The critical path in module 'compute_Pipeline_Slots' consists of the "
    "following:\n"
    "\t'phi' operation 16 bit ('left') [102]  (0.000 ns)\n"
    "\t'icmp' operation 1 bit ('again', walker.hpp:174) [140]  (2.455 ns)\n"
    "\t'select' operation 16 bit ('left') [151]  (9.449 ns)\n\n"
)


@pytest.mark.parametrize(
    ("said", "number", "ends"),
    [
        (LIMITED, "200-885", "the accesses that this memory was written for"),
        (SLOW, "200-871", "effective delay budget: 7.300 ns); name a slower clock_mhz in the "
         "config's file"),
        (PATH, "200-1016", "(9.449 ns); name a slower clock_mhz in the config's file"),
        # 2021.2 and before begin the path in the same line.
        (PATH.replace(":\n", ":", 1), "200-1016", "(9.449 ns); name a slower clock_mhz in the "
         "config's file"),
        ("WARNING: [HLS 200-878] Unable to schedule the loop exit test ('icmp' operation 1 bit "
         "('done')) in the first pipeline iteration (II = 1 cycles).\n", "200-878",
         "; docs/first-run.md says what to do"),
    ],
)  # fmt: skip
def test_each_message_on_the_loop_over_slots_fails(
    said: str, number: str, ends: str, read: Read
) -> None:
    """Some name no loop, and are on the one that is being pipelined."""
    (failure,) = read(log=SLOTS + said).failures
    assert failure.startswith(f"loop Slots, [{number}] ") and failure.endswith(ends), failure
    if number != "200-885":
        assert read(log=SLOTS.replace("Slots", "X_Beats") + said).failures == []
        module = "INFO: [HLS 200-42] -- Implementing module 'compute'\n"
        assert read(log=SLOTS + module + said).failures == []


def test_a_clock_that_routing_has_no_room_in_fails_with_one_that_would_do(read: Read) -> None:
    assert read((">7.215<", ">7.300<")).failures == []
    (failure,) = read((">7.215<", ">7.301<")).failures
    assert failure == (
        "the estimated clock is 7.301 ns, above the 7.3 that are left of 10 without 2.7 for "
        'routing: put "clock_mhz": 99 into the config\'s file'
    )


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
    bind = "#pragma HLS BIND_STORAGE variable = {} type = RAM_2P impl = {}\n"
    (tmp_path / "config.hpp").write_text("#define WIDE\n")
    (tmp_path / "kernel.hpp").write_text(
        "#if defined(__SYNTHESIS__) || defined(OTHER)\n" + bind.format("x", "bram") + "#else\n"
        + bind.format("x", "uram") + "#endif\n#ifdef WIDE\n  " + bind.format("wide", "BRAM")
        + "#ifndef WIDE\n" + bind.format("not_wide", "bram") + "#endif\n#else\n"
        + bind.format("narrow", "bram") + "#endif\n#ifdef NARROW\n" + bind.format("narrow", "bram")
        + "#endif\n" + bind.format("all", "lutram")
    )  # fmt: skip
    two = "ram_2p in bram"
    assert reports.bindings(tmp_path) == {"x": two, "wide": two, "all": "ram_2p in lutram"}
    for name, has in (("zcu104", True), ("tiny", False)):
        render(config.load(name), tmp_path / name)
        found = reports.bindings(tmp_path / name / "hls").values()
        assert ("ram_s2p in uram" in found) == has


def test_parts_belong_to_the_array_that_they_are_named_after() -> None:
    names = (
        "h",
        "h_late",
        "p_ZZN4lstm3runEvE1h_0",
        "p_ZZN4lstm3runEvE6h_late_12",
        "path",
    )
    nodes = "".join(f'<BindNode OPTYPE="ram_2p" IMPL="bram" VARIABLE="{n}"/>' for n in names)
    root = ElementTree.fromstring(f"<profile>{nodes}</profile>")
    first, second = reports.bound(root, {"h": "ram_2p in bram", "h_late": "ram_2p in bram"})
    assert (first.found, second.found) == ({"ram_2p in bram": 2}, {"ram_2p in bram": 2})


def test_one_used_port_and_no_memory_at_all_are_fine(read: Read) -> None:
    assert read(('OPTYPE="ram_s2p"', 'OPTYPE="ram_1p"')).failures == []
    report = read(("h_buffer", "h_buffered"))
    assert report.failures == []
    assert report.notes == [
        "no memory of the report bears the name h_buffer: it has become registers"
    ]


VALID = 'status="valid" parentFunction="lstm::compute" variable="h_buffer"'
TOLD = (
    'isDirective="0" options="variable=h_buffer inter RAW distance=kHGap true"/>',
    'isDirective="0" options="variable=h_buffer inter RAW distance=kHGap true">'
    '<Msg msg_id="207-5577" msg_severity="WARNING" msg_body="{}"/></Pragma>',
)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("invalid", "unexpected pragma parameter 'distance'"),
        ("warning", "Ignoring invalid 'distance' value in 'dependence' pragma"),
        ("warning", 'Assuming false dependence as a "true/false" selection was not specified'),
    ],
)
def test_a_pragma_that_the_report_calls_bad_fails(status: str, said: str, read: Read) -> None:
    changes = (VALID, VALID.replace("valid", status)), (TOLD[0], TOLD[1].format(escape(said)))
    (failure,) = read(*changes).failures
    assert failure.startswith(
        "a pragma was not honoured, dependence variable=h_buffer inter RAW distance=kHGap true at "
        "hls/kernel/compute.hpp:62: [207-5577] "
    )
    again = f"WARNING: [HLS 207-5577] {said} (hls/kernel/compute.hpp:62:9)\n"
    assert read(*changes, log=again).failures == [failure]
    told = TOLD[1].format(escape(said)).replace("WARNING", "INFO")
    assert read((TOLD[0], told)).failures == []
    (failure,) = read((VALID, VALID.replace("valid", "invalid"))).failures
    assert "no reason given" in failure


@pytest.mark.parametrize(
    "said",
    [
        "[HLS 207-5572] unknown HLS pragma ignored (hls/kernel/compute.hpp:59:9)",
        "[HLS 207-5554] unexpected pragma parameter 'style' (hls/kernel/compute.hpp:56:30)",
        "[HLS 207-5560] Array_Partition/Array_Reshape pragma is ignored, because variable is "
        "scalar type (hls/kernel/loader.hpp:12:9)",
        "[HLS 214-187] Cannot unroll loop 'Rows' (hls/kernel/memories.hpp:97:3) in function "
        "'lstm::compute' as it has a variable trip count",
        "[HLS 214-189] Pipeline directive for loop 'Slots' (hls/kernel/compute.hpp:52:1) in "
        "function 'lstm::compute' has been removed because the loop is unrolled completely",
        "[HLS 214-250] Ignore array partition/reshape applied to 'of' in struct. Please apply "
        "disaggregate or aggregate pragma.",
        "[HLS 214-253] Ignored unsupported array_partition pragma on variable 'tile_'.",
        "[HLS 214-340] The resource pragma (bind_storage) on top-level function argument, in "
        "'call' is unsupported, please use INTERFACE pragma instead",
        "[HLS 200-1946] Dependence pragma (hls/kernel/compute.hpp:62:9) in loop 'Slots' may become "
        "invalid because the loop was flattened with the outer loop 'A'.",
    ],
)
def test_a_pragma_that_the_log_calls_bad_fails(said: str, read: Read) -> None:
    (failure,) = read(log=f"WARNING: {said}\n").failures
    assert failure.startswith(f"a pragma was not honoured, [{said[5:].split(']')[0]}] ")
    assert failure.endswith("; docs/first-run.md says what to do") and len(failure) < 300
    assert read(log=f"INFO: {said}\n").failures == []


def test_messages_of_a_log_are_whole() -> None:
    first, second, third = hls_log.messages(f"{LIMITED}{PATH}Resolution: see\n\tnothing\n{SLOW}")
    assert (first.severity, first.number) == ("WARNING", "200-885")
    assert second.text.endswith("[151] (9.449 ns)") and third.number == "200-871"


def test_a_pipeline_deeper_than_d_fails_with_the_value_that_would_do(read: Read) -> None:
    most = CFG.tail - (CFG.passes - 1)
    assert read((II, II.replace("20", str(most)))).failures == []
    (failure,) = read((II, II.replace("20", str(most + 1)))).failures
    assert f'"min_tail": {CFG.tail + 1} ' in failure
    deeper = config.resized(CFG, min_tail=CFG.tail + 1)
    assert deeper.tail == CFG.tail + 1 and deeper.identity != CFG.identity
    assert read((II, II.replace("20", str(most + 1))), cfg=deeper).failures == []


def test_more_than_the_board_has_is_told(read: Read) -> None:
    report = read(("<DSP>46", "<DSP>221"))
    assert report.failures == []
    assert report.notes == ["221 dsp are more than the 220 that the board leaves"]


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
