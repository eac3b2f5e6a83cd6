"""The timing witness on the real RTL: units pass, and fail without one of their registers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lstm_sharp.engine import config
from lstm_sharp.flow import yosys
from lstm_sharp.flow.render import render
from workshop import witness
from workshop.netlist import Netlist
from workshop.witness import Verdict

pytestmark = [pytest.mark.rtl, pytest.mark.sv]

REMOVED = {  # unit: file, line, what takes its place, what the witness says then
    "reduce": (
        "reduce.sv",
        "always_ff @(posedge clk) gen_level[level].node[n] <= ",
        "assign gen_level[level].node[n] = ",
        "5 LUT + 1 carry",
    ),
    "vs_unit": (
        "vs_unit.sv",
        "        p_q <= m_q + halves();\n      end",
        "      end\n      assign p_q = m_q + halves();",
        "no P",
    ),
    "weight_memory": (
        "weight_banks.sv",
        "      bank_q[b] <= latch;\n    end",
        "    end\n    assign bank_q[b] = latch;",
        "no output register",
    ),
}


def judge(unit: str, folder: Path) -> Verdict:
    return witness.judge(Netlist.read(yosys.map_rtl(folder, "xc7", unit), unit))


@pytest.mark.parametrize(
    "unit",
    [u if u == "vs_unit" else pytest.param(u, marks=pytest.mark.slow) for u in REMOVED],
)
def test_a_register_taken_away_is_seen(unit: str, tmp_path: Path) -> None:
    file, line, instead, said = REMOVED[unit]
    render(config.load("pynq-z2"), tmp_path)
    verdict = judge(unit, tmp_path)
    assert verdict.passes, verdict
    source = tmp_path / "rtl" / file
    text = source.read_text()
    assert line in text
    source.write_text(text.replace(line, instead))
    verdict = judge(unit, tmp_path)
    assert not verdict.passes
    assert said in "; ".join(map(str, (*verdict.failing, *verdict.faults)))
