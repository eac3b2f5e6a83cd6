"""The timing witness on small netlists made by hand."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from lstm_sharp.engine.boards import KINDS, Board, board, boards
from workshop import resources, witness
from workshop.netlist import Netlist
from workshop.witness import Verdict


class Maker:
    """Makes a netlist cell by cell, in the form of Yosys's write_json."""

    def __init__(self) -> None:
        self.cells: dict[str, Any] = {}
        self.names: dict[str, Any] = {}
        self.bits = count(2)
        self.clock = next(self.bits)

    def bit(self, name: str = "") -> int:
        bit = next(self.bits)
        if name:
            self.names[name] = {"hide_name": 0, "bits": [bit], "attributes": {}}
        return bit

    def cell(
        self, kind: str, out: dict[str, list[Any]], pins: dict[str, list[Any]], **params: str
    ) -> None:
        name = params.pop("name", f"$cell{len(self.cells)}")
        self.cells[name] = {
            "type": kind,
            "parameters": params,
            "attributes": {"src": f"rtl/made.sv:{len(self.cells)}.1-2.3"},
            "port_directions": dict.fromkeys(out, "output") | dict.fromkeys(pins, "input"),
            "connections": {**out, **pins},
        }

    def register(self, data: Any, name: str = "") -> int:
        out = self.bit(name)
        pins = {"C": [self.clock], "CE": ["1"], "D": [data], "R": ["0"]}
        self.cell("FDRE", {"Q": [out]}, pins)
        return out

    def luts(self, data: int, levels: int) -> int:
        for _ in range(levels):
            data, before = self.bit(), data
            self.cell("LUT2", {"O": [data]}, {"I0": [before], "I1": [before]}, INIT="0110")
        return data

    def chain(self, data: int, length: int) -> int:
        """Carry chain that a bit enters at the bottom; the sum on top."""
        carry: Any = "0"
        total = data
        for place in range(length):
            carries, sums = [[self.bit() for _ in range(4)] for _ in range(2)]
            pins = {
                "CI": [carry],
                "CYINIT": ["0"],
                "S": [data if place == 0 else "0", "0", "0", "0"],
                "DI": ["0"] * 4,
            }
            self.cell("CARRY4", {"CO": carries, "O": sums}, pins)
            carry, total = carries[3], sums[3]
        return total

    def dsp(self, a: int, b: int, name: str = "$dsp", **registers: int) -> int:
        out = self.bit()
        present = {"AREG": 1, "BREG": 1, "MREG": 1, "PREG": 1} | registers
        pins = {"A": [a], "B": [b], "C": ["0"], "CLK": [self.clock]}
        params = {key: f"{value:b}" for key, value in present.items()}
        self.cell("DSP48E1", {"P": [out]}, pins, USE_MULT="MULTIPLY", name=name, **params)
        return out

    def judge(self) -> Verdict:
        names = {**self.names, "clk": {"hide_name": 0, "bits": [self.clock], "attributes": {}}}
        module = {
            "ports": {"clk": {"direction": "input", "bits": [self.clock]}},
            "cells": self.cells,
            "netnames": names,
        }
        return witness.judge(Netlist(module))


def path(levels: int, chain: int = 0, after: int = 0) -> Verdict:
    maker = Maker()
    data = maker.luts(maker.register("0", "from_q"), levels)
    data = maker.chain(data, chain) if chain else data
    maker.register(maker.luts(data, after), "to_q")
    return maker.judge()


def test_four_levels_pass_and_five_fail() -> None:
    assert path(4).passes
    verdict = path(5)
    assert [str(p) for p in verdict.failing] == ["5 LUT: from_q -> to_q"]


def test_a_chain_of_48_bits_passes_and_a_longer_one_fails() -> None:
    assert path(2, chain=12, after=2).passes
    (worst,) = path(2, chain=13).failing
    assert (worst.luts, worst.chains, worst.carry4) == (2, 1, 13)
    assert "52 bits" in str(worst) and "made.sv:" in str(worst)


def test_levels_count_before_and_behind_a_chain() -> None:
    assert not path(3, chain=1, after=2).passes


def test_two_chains_fail() -> None:
    maker = Maker()
    data = maker.chain(maker.register("0"), 2)
    maker.register(maker.chain(maker.luts(data, 1), 2))
    (worst,) = maker.judge().failing
    assert (worst.luts, worst.chains, worst.carry4) == (1, 2, 2)


def test_wide_muxes_are_no_level() -> None:
    maker = Maker()
    data = maker.luts(maker.register("0"), 4)
    out = maker.bit()
    maker.cell("MUXF7", {"O": [out]}, {"I0": [data], "I1": [data], "S": ["0"]})
    maker.register(out)
    assert maker.judge().passes


def test_taking_a_register_away_fails() -> None:
    for registered in (True, False):
        maker = Maker()
        data = maker.luts(maker.register("0"), 3)
        maker.register(maker.luts(maker.register(data) if registered else data, 3))
        assert maker.judge().passes == registered


def test_enables_end_paths_too() -> None:
    maker = Maker()
    enable = maker.luts(maker.register("0"), 5)
    maker.cell(
        "FDRE",
        {"Q": [maker.bit("kept_q")]},
        {"C": [maker.clock], "CE": [enable], "D": ["1"], "R": ["0"]},
    )
    (worst,) = maker.judge().failing
    assert worst.end == "kept_q (CE)"


def test_a_cycle_is_reported() -> None:
    maker = Maker()
    a, b = maker.bit("round"), maker.bit("and_round")
    maker.cell("LUT1", {"O": [a]}, {"I0": [b]})
    maker.cell("LUT1", {"O": [b]}, {"I0": [a]})
    maker.register(maker.luts(b, 1), "behind_q")
    verdict = maker.judge()
    assert verdict.cycles == ("and_round", "round") and not verdict.passes


@pytest.mark.parametrize(
    ("name", "missing", "levels", "passes"),
    [
        ("vs", {}, 4, True),
        ("vs", {"MREG": 0}, 0, False),
        ("vs", {"PREG": 0}, 0, False),
        ("tanh_table", {"PREG": 0}, 2, True),  # a slow output stands for two levels
        ("tanh_table", {"PREG": 0}, 3, False),
    ],
)
def test_dsp_registers(name: str, missing: dict[str, int], levels: int, passes: bool) -> None:
    maker = Maker()
    a, b = maker.register("0"), maker.register("0")
    maker.register(maker.luts(maker.dsp(a, b, name, **missing), levels))
    assert maker.judge().passes == passes


@pytest.mark.parametrize(
    ("registered", "levels", "passes"), [(1, 4, True), (0, 0, True), (0, 1, False)]
)
def test_a_bare_multiplier_input_comes_straight_from_a_register(
    registered: int, levels: int, passes: bool
) -> None:
    maker = Maker()
    a = maker.luts(maker.register("0"), levels)
    maker.register(maker.dsp(a, maker.register("0"), AREG=registered))
    assert maker.judge().passes == passes


@pytest.mark.parametrize("name", ["u_weights.weight_mem.0.0", "u_sequence.mem.0.0"])
def test_weight_memory_wants_its_output_register(name: str) -> None:
    for register, levels in (("0", 0), ("1", 1), ("0", 1)):
        maker = Maker()
        out = maker.bit()
        pins = {"ADDRARDADDR": [maker.register("0")], "CLKARDCLK": [maker.clock]}
        maker.cell("RAMB36E1", {"DOADO": [out]}, pins, name=name, DOA_REG=register)
        maker.register(maker.luts(out, levels))
        faults = maker.judge().faults
        assert bool(faults) == ("weight" in name and register == "0" and levels == 1), faults


def test_lut_memories_are_read_like_a_lut_and_written_like_a_register() -> None:
    for before, behind, passes in ((0, 3, True), (1, 3, False), (4, 0, False), (3, 0, True)):
        maker = Maker()
        start = maker.register("0", "address_q")
        address, out = maker.luts(start, before), maker.bit()
        pins = {
            "ADDRA": [address],
            "ADDRD": [start],
            "DIA": [start],
            "WCLK": [maker.clock],
            "WE": ["1"],
        }
        maker.cell("RAM64M", {"DOA": [out]}, pins, name="u_some.mem.0.0")
        maker.register(maker.luts(out, behind))
        assert maker.judge().passes == passes, (before, behind)
    maker = Maker()
    start, late = maker.register("0"), maker.luts(maker.register("0"), 5)
    maker.cell(
        "RAM64M",
        {"DOA": [maker.bit()]},
        {"ADDRA": [start], "ADDRD": [start], "DIA": [late], "WE": ["1"]},
        name="u_some.mem.0.0",
    )
    (worst,) = maker.judge().failing
    assert worst.end == "RAM64M u_some.mem.*.* (DIA)"


def test_an_unknown_cell_is_refused() -> None:
    maker = Maker()
    maker.cell("GTXE2_CHANNEL", {}, {})
    with pytest.raises(ValueError, match="GTXE2_CHANNEL"):
        maker.judge()


def test_usage_against_a_board() -> None:
    used = resources.usage(
        {
            "LUT6": 10,
            "INV": 1,
            "RAM64M": 2,
            "SRL16E": 3,
            "FDRE": 5,
            "FDSE": 1,
            "RAMB18E1": 3,
            "RAMB36E1": 4,
            "DSP48E1": 7,
            "CARRY4": 9,
            "MUXF7": 2,
        }
    )
    assert used == {"lut": 22, "lutram": 11, "ff": 6, "bram36": 5.5, "uram": 0, "dsp": 7}
    has = {"lut": 30, "lutram": 12, "ff": 6, "bram36": 6, "uram": 0, "dsp": 6}
    made = Board("b", "xc7", has, {"lut": 6, "lutram": 2, "bram36": 1})
    assert resources.too_much(used, made) == ["lutram", "bram36", "dsp"]
    assert resources.table(used, made).count("TOO MUCH") == 3
    assert resources.too_much(used, None) == []


@pytest.mark.parametrize("name", boards())
def test_boards_have_facts(name: str) -> None:
    facts = board(name)
    assert facts and all(facts.free(kind) >= 0 for kind in KINDS)
