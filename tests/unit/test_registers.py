"""The engine's register map is what hardware, kernel, harness and docs say, each read as text."""

from __future__ import annotations

import re
from itertools import accumulate
from pathlib import Path

import pytest

from lstm_sharp import paths
from lstm_sharp.engine import program, registers
from lstm_sharp.engine.registers import ENGINE, ENGINE_MAP, Control, Register

DOCS = Path(__file__).resolve().parents[2] / "docs" / "engine.md"
SV = (paths.hardware() / "rtl" / "axil_control.sv").read_text(encoding="utf-8")
OUTPUTS = ("identity", "status", "cycles")
"""In the order in which the hardware keeps them."""


def _constants(text: str, pattern: str) -> dict[str, int]:
    return {name: int(value, 16) for name, value in re.findall(pattern, text)}


def test_registers_lie_side_by_side() -> None:
    ends = [0]
    for register in ENGINE_MAP:
        assert register.offset >= ends[-1], register
        assert register.offset % 4 == register.size % 4 == 0
        ends.append(register.offset + register.size)
    assert ends[-1] == registers.ENGINE_SPAN
    assert len(ENGINE) == len(ENGINE_MAP)


def test_addresses_of_the_systemverilog() -> None:
    found = _constants(SV, r"localparam logic \[12:0\] Addr(\w+) = 13'h([0-9a-f]+);")
    names = {"Control": "CTRL", "GlobalEnable": "GIER", "Enable": "IP_IER", "Status": "IP_ISR"}
    outputs = found.pop("Outputs")
    assert found == {short: ENGINE[name].offset for short, name in names.items()}
    (stride,) = set(re.findall(r"hits\(araddr, AddrOutputs \+ 13'\((\d+) \* i\)\)", SV))
    (valid,) = set(re.findall(rf"AddrOutputs \+ 13'\({stride} \* i \+ (\d+)\)", SV))
    for index, name in enumerate(OUTPUTS):
        assert ENGINE[name].offset == outputs + int(stride) * index
        assert ENGINE[f"{name}_ctrl"].offset == ENGINE[name].offset + int(valid)
    engine = (paths.hardware() / "rtl" / "run_control.sv").read_text(encoding="utf-8")
    (order,) = re.findall(r"assign outputs = '\{([^}]+)\};", engine)
    assert [item.strip().removesuffix("_q").lower() for item in order.split(",")] == list(OUTPUTS)


def test_window_of_the_systemverilog() -> None:
    window = ENGINE["Memory_program"]
    (high,) = re.findall(r"input +logic \[(\d+):0\] awaddr", SV)
    assert 1 << (int(high) + 1) == registers.ENGINE_SPAN
    (select,) = re.findall(r"window_we = write_fire && waddr_q\[(\d+)\]", SV)
    assert window.offset == 1 << int(select)
    (words,) = re.findall(r"window_addr = waddr_q\[(\d+):2\]", SV)
    assert window.size == 1 << (int(words) + 1)
    assert window.size == 4 * program.STRIDE * (program.MAX_INSTRUCTIONS + 1)


def test_bits_of_the_systemverilog() -> None:
    (parts,) = re.findall(r"register = \{([^}]+)\}", SV)
    items = [item.strip() for item in reversed(parts.split(","))]  # the lowest bit first
    sizes = [int(item.split("'")[0]) if "'" in item else 1 for item in items]
    starts = [0, *accumulate(sizes)]
    assert starts.pop() == 32
    signals = {item: bit for item, bit in zip(items, starts) if "'" not in item}
    names = {
        "start_q": "AP_START",
        "done_q": "AP_DONE",
        "ap_idle": "AP_IDLE",
        "ready_q": "AP_READY",
        "restart_q": "AUTO_RESTART",
        "interrupt": "INTERRUPT",
    }
    fields = dict(ENGINE["CTRL"].fields)
    assert {names[signal]: bit for signal, bit in signals.items()} == fields
    for member in Control:
        assert member == 1 << fields[f"AP_{member.name}"]
    for name in ("IP_IER", "IP_ISR"):
        assert [bit for _, bit in ENGINE[name].fields] == [0, 1]
    assert re.search(r"logic \[1:0\] enable_q, status_q;", SV)
    assert [bit for _, bit in ENGINE["GIER"].fields] == [0]


def test_offsets_of_the_kernel() -> None:
    text = (paths.templates() / "hls" / "top.cpp.j2").read_text(encoding="utf-8")
    found = _constants(text, r"port = (\w+) bundle = control offset = 0x([0-9a-f]+)")
    found["Memory_program"] = found.pop("program")
    assert found == {name: ENGINE[name].offset for name in (*OUTPUTS, "Memory_program")}


def test_constants_of_the_harness() -> None:
    text = (paths.hardware() / "tb" / "rtl_main.cpp").read_text(encoding="utf-8")
    found = _constants(text, r"\bk(\w+) = 0x([0-9a-f]+)")
    names = {
        "Control": "CTRL",
        "GlobalEnable": "GIER",
        "Enable": "IP_IER",
        "InterruptStatus": "IP_ISR",
        "Identity": "identity",
        "Status": "status",
        "Cycles": "cycles",
        "Window": "Memory_program",
    }
    assert found == {short: ENGINE[name].offset for short, name in names.items()}


def _row(text: str, start: str) -> str:
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return row


@pytest.mark.parametrize("register", ENGINE_MAP, ids=lambda register: register.name)
def test_addresses_of_the_docs(register: Register) -> None:
    text = DOCS.read_text(encoding="utf-8")
    address = f"0x{register.offset:04x}"
    if register.name in OUTPUTS:
        assert f"| {register.name} |" in _row(text, address)
    elif register.name.endswith("_ctrl"):
        output = ENGINE[register.name.removesuffix("_ctrl")]
        assert f"{address} bit 0: valid, cleared on read" in _row(text, f"0x{output.offset:04x}")
    elif register.name == "CTRL":
        row = _row(text, f"{address} | control")
        words = {"AP_START": "start", "AP_DONE": "done", "AP_IDLE": "idle", "AP_READY": "ready"}
        for name, bit in register.fields:
            word = words.get(name, name.lower().replace("_", " "))
            assert re.search(rf"\b{bit} {word}\b", row), name
    elif register.size > 4:
        high = register.offset + register.size - 1
        row = _row(text, f"{address}..0x{high:04x} | program")
        assert f"window of {register.size // 4:,} words" in row
    else:
        kinds = {"GIER": "global interrupt enable", "IP_IER": "interrupt enable"}
        row = _row(text, "0x0004")
        addresses, meanings = (cell.split(", ") for cell in row.split(" | ")[:2])
        at = [part.strip("| ") for part in addresses].index(address)
        assert meanings[at] == kinds.get(register.name, "interrupt status")
