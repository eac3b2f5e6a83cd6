"""The timing witness on small netlists made by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from lstm_sharp.engine import config
from lstm_sharp.engine.boards import KINDS, boards, facts
from lstm_sharp.engine.config import Config
from lstm_sharp.flow import yosys
from workshop import resources, witness
from workshop.netlist import Netlist
from workshop.witness import Route, Verdict


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

    def register(self, data: Any, name: str = "", enable: Any = "1") -> int:
        out = self.bit(name)
        self.cell(
            "FDRE", {"Q": [out]}, {"C": [self.clock], "CE": [enable], "D": [data], "R": ["0"]}
        )
        return out

    def luts(self, data: int, levels: int) -> int:
        for _ in range(levels):
            data, before = self.bit(), data
            self.cell("LUT2", {"O": [data]}, {"I0": [before], "I1": [before]}, INIT="0110")
        return data

    def chain(self, data: int, length: int) -> int:
        """Carry chain that a bit enters at the bottom; the sum on top."""
        carry: Any = "0"
        enters: Any = data
        for _ in range(length):
            carries, sums = [[self.bit() for _ in range(4)] for _ in range(2)]
            pins = {"CI": [carry], "CYINIT": ["0"], "S": [enters, "0", "0", "0"], "DI": ["0"] * 4}
            self.cell("CARRY4", {"CO": carries, "O": sums}, pins)
            carry, enters, data = carries[3], "0", sums[3]
        return data

    def dsp(self, a: int, b: int, name: str = "$dsp", c: Any = "0", **registers: int) -> int:
        out = self.bit()
        present = {"AREG": 1, "BREG": 1, "MREG": 1, "PREG": 1} | registers
        pins = {"A": [a], "B": [b], "C": [c], "CLK": [self.clock]}
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


def path(levels: int, *chains: int, after: int = 0) -> Verdict:
    maker = Maker()
    data = maker.luts(maker.register("0", "from_q"), levels)
    for chain in chains:
        data = maker.chain(data, chain)
    maker.register(maker.luts(data, after), "to_q")
    return maker.judge()


@pytest.mark.parametrize(
    ("levels", "chains", "after", "seen"),
    [
        (4, [], 0, None),
        (5, [], 0, (5, 0, 0)),
        (2, [12], 2, None),  # 48 bits
        (2, [13], 0, (2, 1, 13)),
        (3, [1], 2, (5, 1, 1)),  # levels count before and behind a chain
        (1, [2, 2], 0, (1, 2, 2)),
    ],
)
def test_paths_pass_up_to_a_length(
    levels: int, chains: list[int], after: int, seen: tuple[int, ...] | None
) -> None:
    verdict = path(levels, *chains, after=after)
    assert verdict.passes == (seen is None)
    assert [(p.luts, p.chains, p.carry4) for p in verdict.failing] == [seen] * bool(seen)


def test_a_path_is_shown_with_its_ends_and_its_way() -> None:
    assert [str(p) for p in path(5).failing] == ["5 LUT: from_q -> to_q"]
    (worst,) = path(2, 13).failing
    assert "52 bits" in str(worst) and "made.sv:" in str(worst)


def test_wide_muxes_are_no_level() -> None:
    maker = Maker()
    data, out = maker.luts(maker.register("0"), 4), maker.bit()
    maker.cell("MUXF7", {"O": [out]}, {"I0": [data], "I1": [data], "S": ["0"]})
    maker.register(out)
    assert maker.judge().passes


def test_enables_end_paths_too() -> None:
    maker = Maker()
    maker.register("1", "kept_q", enable=maker.luts(maker.register("0"), 5))
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
    ("name", "missing", "before", "behind", "passes"),
    [
        ("vs", {}, 4, 4, True),
        ("vs", {"MREG": 0}, 0, 0, False),
        ("vs", {"PREG": 0}, 0, 0, False),
        ("tanh_table", {"PREG": 0}, 0, 2, True),  # a slow output stands for two levels
        ("tanh_table", {"PREG": 0}, 0, 3, False),
        ("vs", {"AREG": 0}, 0, 0, True),  # straight from a register to the multiplier
        ("vs", {"AREG": 0}, 1, 0, False),
    ],
)
def test_dsp_registers(
    name: str, missing: dict[str, int], before: int, behind: int, passes: bool
) -> None:
    maker = Maker()
    a, b = maker.luts(maker.register("0"), before), maker.register("0")
    maker.register(maker.luts(maker.dsp(a, b, name, **missing), behind))
    assert maker.judge().passes == passes


def test_an_adder_input_without_its_register_has_the_adder_before_it() -> None:
    for registered in (0, 1):
        maker = Maker()
        a, b, c = (maker.register("0") for _ in range(3))
        maker.register(maker.dsp(a, b, c=maker.chain(c, 1), CREG=registered))
        assert [p.chains for p in maker.judge().failing] == [2] * (not registered)


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


@pytest.mark.parametrize(
    ("before", "behind", "data", "fails"),
    [(0, 3, 0, ""), (1, 3, 0, "5 LUT"), (4, 0, 0, "5 LUT"), (3, 0, 0, ""), (0, 0, 5, "(DIA)")],
)
def test_lut_memories_are_read_like_a_lut_and_written_like_a_register(
    before: int, behind: int, data: int, fails: str
) -> None:
    maker = Maker()
    start, out = maker.register("0", "address_q"), maker.bit()
    pins = {"ADDRA": [maker.luts(start, before)], "DIA": [maker.luts(start, data)]}
    pins |= {"ADDRD": [start], "WCLK": [maker.clock], "WE": ["1"]}
    maker.cell("RAM64M", {"DOA": [out]}, pins, name="u_some.mem.0.0")
    maker.register(maker.luts(out, behind))
    verdict = maker.judge()
    assert verdict.passes == (not fails) and fails in "".join(map(str, verdict.failing))


def test_an_unknown_cell_is_refused() -> None:
    maker = Maker()
    maker.cell("GTXE2_CHANNEL", {}, {})
    with pytest.raises(ValueError, match="GTXE2_CHANNEL"):
        maker.judge()


def test_usage_against_a_board() -> None:
    luts = {"LUT6": 10, "INV": 1, "RAM64M": 2, "SRL16E": 3, "CARRY4": 9, "MUXF7": 2}
    rest = {"FDRE": 5, "FDSE": 1, "RAMB18E1": 3, "RAMB36E1": 4, "DSP48E1": 7}
    used = yosys.usage({**luts, **rest})
    assert used == {"lut": 22, "lutram": 11, "ff": 6, "bram36": 5.5, "uram": 0, "dsp": 7}
    has = {"lut": 30, "lutram": 12, "ff": 6, "bram36": 6, "uram": 0, "dsp": 6}
    made = replace(facts("pynq-z2"), has=has, reserve={"lut": 6, "lutram": 2, "bram36": 1})
    assert resources.too_much(used, made) == ["lutram", "bram36", "dsp"]
    assert resources.table(used, made).count("TOO MUCH") == 3
    assert resources.too_much(used, None) == []


def test_what_fails_says_what_to_change() -> None:
    def said(cfg: Config, luts: int, carry4: int) -> list[str]:
        path = Route("a", "b", luts, 1, carry4, ())
        return resources.remedies(cfg, Verdict((path,), (path,) * path.fails, (), (), (), 1))

    wide = config.load("pynq-z2").with_format("W16A16")
    assert said(wide, 4, 12) == []
    (told,) = said(wide, 1, 13)
    assert told == "sums of 51 bits make chains of more than 48; max_shift = 5 would do"
    assert said(config.resized(wide, max_shift=5), 1, 13) == []
    large = config.resized(wide, max_shift=0, max_input=4096, max_hidden=4096, chains=1)
    assert "chains = 2 would halve" in said(wide, 5, 0)[0]
    assert "max_hidden = 2048 would halve" in said(large, 5, 0)[0]


@pytest.mark.parametrize("name", boards())
def test_boards_have_facts(name: str) -> None:
    assert all(facts(name).free(kind) >= 0 for kind in KINDS)
