"""The engine's register map, from which hardware and kernel are rendered, and what the docs say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lstm_sharp.engine import program, registers
from lstm_sharp.engine.registers import ENGINE, ENGINE_MAP, Control, Register

DOCS = Path(__file__).resolve().parents[2] / "docs" / "engine.md"
OUTPUTS = ("identity", "status", "cycles")


def test_registers_lie_side_by_side() -> None:
    ends = [0]
    for register in ENGINE_MAP:
        assert register.offset >= ends[-1], register
        assert register.offset % 4 == register.size % 4 == 0
        ends.append(register.offset + register.size)
    assert ends[-1] == registers.ENGINE_SPAN
    assert len(ENGINE) == len(ENGINE_MAP)


def test_bits_and_window() -> None:
    """What templates and hardware take for granted of the map."""
    fields = ENGINE["CTRL"].fields
    for member in Control:
        assert member == 1 << fields[f"AP_{member.name}"]
    for name in ("IP_IER", "IP_ISR"):
        assert list(ENGINE[name].fields.values()) == [0, 1]
    assert list(ENGINE["GIER"].fields.values()) == [0]
    window = ENGINE["Memory_program"]
    assert window.offset + window.size == registers.ENGINE_SPAN
    assert window.size == 4 * program.STRIDE * (program.MAX_INSTRUCTIONS + 1)


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
        for name, bit in register.fields.items():
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
