"""Block design, hardware handoff and virtual overlay: consistent alone, and as PYNQ reads them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lstm_sharp.engine import config, registers
from lstm_sharp.engine.boards import boards, facts
from lstm_sharp.engine.config import resized
from lstm_sharp.engine.registers import DMA_CELL, ENGINE_CELL, ENGINE_MAP, SPAN, WEIGHTS_DMA_CELL
from lstm_sharp.errors import UsageError
from lstm_sharp.flow.design import Cell, Design, design, divided
from lstm_sharp.package.folder import overlay_engine

pytest.importorskip("jinja2")

from lstm_sharp.flow.hwh import hwh
from lstm_sharp.virtual.overlay import read_virtual, virtual_overlay

TINY = config.load("tiny")
WITH_REGISTERS = {ENGINE_CELL, DMA_CELL, WEIGHTS_DMA_CELL}


@pytest.fixture(params=boards())
def made(request: pytest.FixtureRequest) -> Design:
    """The shipped config of each board."""
    return design(config.load(request.param), request.param)


def cell_of(pin: str) -> str:
    return pin.split("/")[0]


def named(made: Design, name: str) -> Cell:
    return next(cell for cell in made.cells if cell.name == name)


def test_addresses_do_not_overlap(made: Design) -> None:
    ranges = sorted((s.base, s.high) for s in made.segments if s.kind == "register")
    assert {cell_of(s.slave) for s in made.segments if s.kind == "register"} == WITH_REGISTERS
    assert all(end < start for (_, end), (start, _) in zip(ranges, ranges[1:]))
    assert ranges[0][0] >= made.system.ddr_bytes, "registers lie above DDR"
    assert registers.ENGINE_SPAN <= SPAN and all(base % SPAN == 0 for base, _ in ranges)


def test_every_interface_and_pin_has_one_net(made: Design) -> None:
    ends = Counter(pin for net in made.nets for pin in (net.master, net.slave))
    sinks = Counter(pin for wire in made.wires for pin in wire.sinks)
    assert set(ends.values()) == set(sinks.values()) == {1}
    cells = {cell.name for cell in made.cells}
    assert {cell_of(pin) for pin in (*ends, *sinks)} == cells
    assert {pin for s in made.segments for pin in (s.master, s.slave)} <= set(ends)
    assert {cell_of(p) for w in made.wires if w.kind == "clk" for p in w.sinks} == cells
    streams = {(cell_of(n.master), n.slave): n.bits for n in made.nets if n.kind == "axis"}
    assert set(streams.values()) == {made.cfg.stream_bits}
    assert {(DMA_CELL, "engine/x"), (WEIGHTS_DMA_CELL, "engine/weights")} <= set(streams)


def test_memory_side_is_not_narrower_than_the_stream() -> None:
    wide = design(resized(config.load("pynq-z2"), stream_bits=256), "pynq-z2")
    assert wide.system.hp_bits == 64
    assert named(wide, DMA_CELL).parameters["c_m_axi_mm2s_data_width"] == "256"


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(UsageError, match="engine 'vhdl' is unknown; choose one of hls, sv"):
        TINY.of("vhdl")
    with pytest.raises(UsageError, match="board 'none' is unknown; there are .*pynq-z2"):
        design(TINY, "none")


@pytest.mark.parametrize("board", boards())
def test_clock_is_the_fastest_within_what_is_asked(board: str) -> None:
    pll = facts(board).pll_mhz
    products = {a * b for a in range(1, 64) for b in range(1, 64)}
    for asked in range(1, 1001):
        mhz, divisors = divided(pll, asked)
        assert all(1 <= divisor <= 63 for divisor in divisors)
        fastest = max(pll / product for product in products if pll / product <= asked)
        assert mhz == pll / (divisors[0] * divisors[1]) == fastest, asked


@pytest.mark.parametrize("engine", ["hls", "sv"])
def test_handoff_says_what_the_design_says(made: Design, engine: str) -> None:
    made = design(made.cfg.of(engine), made.cfg.board)
    modules = list(ElementTree.fromstring(hwh(made).encode()).iter("MODULE"))
    assert [(m.get("INSTANCE"), m.get("VLNV")) for m in modules] == [
        (cell.name, cell.vlnv) for cell in made.cells
    ]
    assert named(made, ENGINE_CELL).vlnv == registers.ENGINE_VLNVS[engine]
    for cell, module in zip(made.cells, modules):
        told = {p.get("NAME"): p.get("VALUE") for p in module.iter("PARAMETER")}
        assert told.items() >= {**cell.parameters, **cell.derived}.items()
    keys = ("MASTERBUSINTERFACE", "INSTANCE", "SLAVEBUSINTERFACE", "BASEVALUE", "HIGHVALUE")
    found = [[m.get("INSTANCE"), *map(s.get, keys)] for m in modules for s in m.iter("MEMRANGE")]
    wanted = [f"{s.master}/{s.slave}/0x{s.base:08X}/0x{s.high:08X}" for s in made.segments]
    assert sorted("/".join(map(str, each)) for each in found) == sorted(wanted)


@pytest.mark.filterwarnings("ignore")  # pynq's import warns that there is no board
def test_pynq_finds_cells_registers_and_parameters(made: Design, tmp_path: Path) -> None:
    pytest.importorskip("pynq")
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    handoff = virtual_overlay(made.cfg, tmp_path).with_suffix(".hwh")
    parsed = RuntimeMetadataParser(Metadata(input=str(handoff)))
    assert set(parsed.ip_dict) == {*WITH_REGISTERS, "ps"} and parsed.mem_dict == {}
    for name in WITH_REGISTERS:
        ip = parsed.ip_dict[name]
        at = (ip["type"], ip["phys_addr"], ip["addr_range"])
        assert at == (named(made, name).vlnv, made.system.addresses[name], SPAN)
    found = parsed.ip_dict[ENGINE_CELL]["registers"]
    assert {name: r["address_offset"] for name, r in found.items()} == {
        r.name: r.offset for r in ENGINE_MAP
    }
    for register in ENGINE_MAP:
        fields = {n: f["bit_offset"] for n, f in found[register.name]["fields"].items()}
        assert fields.items() >= register.fields.items()
    clock = parsed.clock_dict[0]
    assert clock["enable"] == 1
    mhz = made.system.pll_mhz / (clock["divisor0"] * clock["divisor1"])
    assert mhz == pytest.approx(made.clock_mhz) and mhz <= made.cfg.clock_mhz
    assert not any(parsed.clock_dict[index]["enable"] for index in (1, 2, 3))


# The virtual overlay


def test_overlay_is_read_back_and_left_alone(tmp_path: Path) -> None:
    bit = virtual_overlay(TINY, tmp_path / "new" / "folder", "a.b")
    both = (bit, bit.with_suffix(".hwh"))
    assert [path.name for path in both] == ["a.b.bit", "a.b.hwh"]
    assert "no bitstream" in bit.read_text(encoding="utf-8").splitlines()[0]
    assert read_virtual(bit) == TINY
    before = [path.stat().st_mtime_ns for path in both]
    assert virtual_overlay(TINY, bit.parent, "a.b") == bit
    assert [path.stat().st_mtime_ns for path in both] == before
    other = resized(TINY, chains=2)
    assert read_virtual(virtual_overlay(other, bit.parent, "a.b")) == other
    hls = virtual_overlay(other.of("hls"), bit.parent, "a.b")  # there is no other on such a board
    assert read_virtual(hls) == other and overlay_engine(hls) == "sv"
    assert sorted(bit.parent.iterdir()) == sorted(both)


def test_board_of_an_overlay(tmp_path: Path) -> None:
    for board, wanted in ((None, "pynq-z2"), ("zcu104", "zcu104")):
        text = virtual_overlay(TINY, tmp_path, board=board).with_suffix(".hwh").read_text()
        assert facts(wanted).board_part in text


def test_what_is_no_overlay_is_refused(tmp_path: Path) -> None:
    bit = virtual_overlay(TINY, tmp_path)
    mark, text = bit.read_text(encoding="utf-8").split("\n", 1)
    facts = json.loads(text)
    facts["knobs"]["chains"] += 1
    for content, message in (
        (b"\x00\x09\x0f\xf0system_wrapper;UserID=0XFFFFFFFF\x00", "is no virtual overlay"),
        (b"", "is no virtual overlay"),
        (f"{mark}\n{text[:-9]}".encode(), "is damaged; write the virtual overlay again"),
        (f"{mark}\n[]".encode(), "is damaged"),
        (f"{mark}\n\xff".encode("latin-1"), "is damaged"),
        (f"{mark}\n{json.dumps(facts)}".encode(), f"it says '{TINY.digest}'"),
        (f'{mark}\n{{"knobs": {{}}, "identity": ""}}'.encode(), "knobs: missing key"),
    ):
        bit.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_virtual(bit)
    with pytest.raises(UsageError, match="cannot be read"):
        read_virtual(tmp_path / "none.bit")
    with pytest.raises(UsageError, match="cannot be made"):
        virtual_overlay(TINY, bit)
    (tmp_path / "x.bit").mkdir()
    with pytest.raises(UsageError, match="is a folder; name a file to write to"):
        virtual_overlay(TINY, tmp_path, "x")
    assert not (tmp_path / "x.hwh").exists()
