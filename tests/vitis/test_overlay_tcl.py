"""The Tcl that builds overlays, run by a stub for Vivado (vivado_stub.tcl): no such tool here.

The stub knows what Vivado has of commands, properties, pins and interfaces, fails on any other,
and says afterwards what was built.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.boards import boards
from lstm_sharp.engine.registers import ENGINE_VLNVS
from lstm_sharp.errors import ToolError
from lstm_sharp.flow.design import design
from lstm_sharp.vendor import vivado
from vitis import text_cases
from vivado_user import Stub

pytest.importorskip("jinja2")

RELEASES = ["2022.2", "2023.2", "2024.1", "2024.2", "2025.1"]
BOARDS = ["pynq-z2", "zcu104"]
ENGINES = ["hls", "sv"]
CASES = [
    *product(RELEASES, BOARDS, ENGINES),
    *product(["2024.1"], sorted({*boards()} - {*BOARDS}), ["sv"]),
]


@pytest.mark.parametrize(("release", "board", "engine"), CASES)
def test_what_is_built_is_the_design(stub: Stub, release: str, board: str, engine: str) -> None:
    cfg = config.load(board).of(engine)
    made = design(cfg, board)
    stub.use(release)
    bit = stub.build(cfg, board)

    pins = [[wire.source, sink] for wire in made.wires for sink in wire.sinks]
    assert sorted(stub.said("pin")) == sorted(pins)
    assert sorted(stub.said("intf")) == sorted([net.master, net.slave] for net in made.nets)
    assert {name for (name,) in stub.said("external")} == set(made.external)
    told = [[c.name, *pair] for c in made.cells for pair in c.parameters.items()]
    assert sorted(stub.said("config")) == sorted(told)
    old = release == "2022.2"  # which has another version of this
    vlnvs = {
        c.name: re.sub("(ultra_ps_e):.*", r"\1:3.4", c.vlnv) if old else c.vlnv for c in made.cells
    }
    assert dict(stub.said("cell")) == vlnvs

    wanted = [[s.space, f"0x{s.base:08X}", f"0x{s.span:08X}"] for s in made.segments]
    segments = stub.said("segment")
    assert [[space, *where] for space, _, *where in segments] == wanted
    assert all(fnmatch(path, s.path) for (_, path, *_), s in zip(segments, made.segments))

    marks = ("validate", "synth_1", "impl_1", "slack", "write_bitstream")
    order = [kind for kind, *_ in stub.all_said() if kind in marks]
    assert order == sorted(order, key=marks.index) and set(order) == set(marks)
    assert stub.said("slack") == [["max"], ["min"]]

    assert sorted(path.name for path in bit.parent.iterdir()) == [
        f"{board}.{suffix}" for suffix in ("bit", "hwh", "json")
    ]
    about = json.loads(bit.with_suffix(".json").read_text())
    assert about["identity"] == cfg.digest and about["knobs"] == cfg.knobs()
    assert about["engine"] == ENGINE_VLNVS[engine] and about["vivado"] == release
    assert about["slack_ns"] == {"setup": 0.321, "hold": 0.012}
    uram = 96 if made.system.ps == "zynqmp" else None  # as the stub says
    assert about["used"] == {"lut": 12345, "ff": 2345, "bram36": 67.5, "uram": uram, "dsp": 210}


FAILURES = {
    "part": r"part xc7z020clg400-1 is not installed; add its family with Vivado's installer",
    "synth_1": r"synth_1 ended as 'synth_1 ERROR'; its log is \S+/synth_1/runme.log",
    "synth_1 wait": r"synth_1 ended as 'synth_1 ERROR'",
    "impl_1": r"impl_1 ended as 'impl_1 ERROR'",
    "write_bitstream": r"impl_1 ended as 'impl_1 ERROR'",
    "setup": r"timing is not met at 100.000 MHz: slack is -0.123 ns for setup, 0.012 ns for hold",
    "hold": r"timing is not met at 100.000 MHz: slack is 0.321 ns for setup, -0.045 ns for hold",
    "pulse": r"timing is not met .* -0.2 ns in sum for pulse widths; see \S+/timing.rpt and lower",
    "unconstrained": r"a timed path is not there",
    "untimed": r"no clock times the design, its worst slack is 'Inf'",
    "hwh": r"the hardware handoff is not there",
    "killed": r"broken off during synthesis: vivado failed with status 137.*; run it again",
}


@pytest.mark.parametrize("fail", FAILURES)
def test_failure_is_one_sentence_and_leaves_no_overlay(stub: Stub, fail: str) -> None:
    cfg = config.load("pynq-z2")
    built = stub.build(cfg, "pynq-z2").parent
    stub.use(fail=fail)
    with pytest.raises(ToolError) as error:
        stub.build(cfg, "pynq-z2")
    assert re.match(f"no overlay: {FAILURES[fail]}", error.value.args[0])  # printed, it may be cut
    assert not built.exists() and not built.with_name("built.part").exists()
    text = str(error.value)
    log = re.search(r"\(log: (.*)\)$", text)
    assert "\n" not in text and log and Path(log[1]).is_file()
    if fail in ("setup", "hold", "pulse"):
        assert "write_bitstream" not in [kind for kind, *_ in stub.all_said()]


def test_srcs_is_searched_for_the_handoff_too(stub: Stub) -> None:
    stub.use(fail="srcs")
    assert stub.build(config.load("pynq-z2"), "pynq-z2").is_file()


@pytest.mark.parametrize("board", BOARDS)
def test_board_files_are_used_where_they_are(stub: Stub, board: str) -> None:
    cfg = config.load(board)
    stub.use(boards=design(cfg, board).system.board_part)
    stub.build(cfg, board)
    assert stub.said("preset") == [["1"]]


# Broken on purpose: each must fall
BROKEN = dict(text_cases.read("broken_overlays.txt"))


@pytest.mark.parametrize("name", BROKEN)
def test_stub_catches(stub: Stub, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (pattern,), by, message = BROKEN[name]["-"], "".join(BROKEN[name]["+"]), name.split(": ", 1)[1]
    write = vivado.write_script

    def broken(*arguments: object) -> Path:
        script = write(*arguments)
        text, count = re.subn(pattern, by, script.read_text())
        assert count, pattern
        script.write_text(text)
        return script

    monkeypatch.setattr(vivado, "write_script", broken)
    with pytest.raises(ToolError, match=re.escape(message)):
        stub.build(config.load("pynq-z2"), "pynq-z2")
